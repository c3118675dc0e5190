/**
 * The site's attestation: who has accepted which version of which model for use with patients, and when. Outside the demonstration it gates
 * CDS services and monitoring rules that say `"attestation": true`. Described in docs/cds-hooks.md. Source: 21 CFR 880.6316.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isJsonObject } from '../fhir/resource.ts';
import { intervalOf } from '../fhir/time.ts';

export interface Attestation {
  readonly attestedBy: string;
  /** FHIR instant or date. */
  readonly at: string;
  readonly model: string;
  readonly version: string;
}

const NAMES = ['attestedBy', 'at', 'model', 'version'] as const;

/**
 * @param given JSON text, or the path of a file that holds it
 * @param now ms since 1970: an attestation of the future is none
 * @throws Error saying what is wrong; never its content
 */
export function readAttestation(given: string, now: number): Attestation {
  const refuse = (why: string): never => {
    throw new Error(`SEPSIS_ATTESTATION ${why}.`);
  };
  const isText = given.trimStart().startsWith('{');
  if (!isText && !existsSync(given)) return refuse('names no file, and is no JSON object');
  let value: unknown;
  try {
    value = JSON.parse(isText ? given : readFileSync(given, 'utf8'));
  } catch {
    return refuse('is not JSON');
  }
  if (!isJsonObject(value)) return refuse('must be a JSON object');
  const fields = NAMES.map((name) => {
    const text = value[name];
    return typeof text === 'string' && text.trim() !== '' ? text.trim() : refuse(`must say \`${name}\` as a text`);
  });
  const unknown = Object.keys(value).find((name) => !NAMES.some((each) => each === name));
  if (unknown !== undefined) return refuse('has a member that is not known');
  const [attestedBy = '', at = '', model = '', version = ''] = fields;
  const when = intervalOf(at);
  if (when === undefined || at.length < 10) return refuse('must say `at` as a day or an instant');
  if (when.low > now) return refuse('is of the future');
  if (!/^\d+\.\d+\.\d+$/.test(version)) return refuse('must say `version` as 1.2.3');
  return { attestedBy, at, model, version };
}

/** Whether it is for just this version of this model. */
export function attests(attestation: Attestation | undefined, model: string, version: string | undefined): boolean {
  return attestation !== undefined && attestation.model === model && attestation.version === version;
}

/**
 * What is attested here.
 * @param given the setting SEPSIS_ATTESTATION; undefined: nothing is
 * @throws Error as `readAttestation`
 */
export function attestedModels(given: string | undefined, now: number): (model: string, version: string) => boolean {
  const attestation = given === undefined ? undefined : readAttestation(given, now);
  return (model, version) => attests(attestation, model, version);
}
