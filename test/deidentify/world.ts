/** The rules as they ship, over a fixed key, and what they make of a resource. */
import { deidentifier } from '../../src/deidentify/deidentify.ts';
import { pseudonyms } from '../../src/deidentify/pseudonyms.ts';
import { loadRules, type Mode } from '../../src/deidentify/rules.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import { validator } from '../../src/fhir/validation/validate.ts';
import { BASE } from '../world.ts';

export const definitions = loadDefinitions('profiles');
export const rules = loadRules('deidentification');
export const validate = validator(definitions);
/** The year that ages are counted to. */
export const YEAR = 2026;

export function deidentified(
  resource: object,
  mode: Mode = 'safe-harbor',
  patients: readonly string[] = ['p'],
  key: Uint8Array = Buffer.alloc(32, 7),
): Resource | undefined {
  const keys = pseudonyms(key);
  const settings = { rules, definitions, fhirBase: BASE, pseudonyms: keys, year: YEAR, mode };
  return deidentifier(settings)(resource as Resource, patients);
}
