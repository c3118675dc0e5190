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

const MOST = 50;

/**
 * One attestation, or a list of them: one for each model version that the site has accepted.
 * @param given JSON text, or the path of a file that holds it
 * @param now ms since 1970: an attestation of the future is none
 * @throws Error saying what is wrong; never its content
 */
export function readAttestations(given: string, now: number): readonly Attestation[] {
  const isText = /^\s*[{[]/.test(given);
  if (!isText && !existsSync(given)) refuse('names no file, and is no JSON');
  let value: unknown;
  try {
    value = JSON.parse(isText ? given : readFileSync(given, 'utf8'));
  } catch {
    refuse('is not JSON');
  }
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0 || list.length > MOST) refuse(`must hold 1 to ${MOST} attestations`);
  return list.map((each) => attestationOf(each, now));
}

function refuse(why: string): never {
  throw new Error(`SEPSIS_ATTESTATION ${why}.`);
}

function attestationOf(value: unknown, now: number): Attestation {
  if (!isJsonObject(value)) return refuse('must be a JSON object, or a list of them');
  const [attestedBy = '', at = '', model = '', version = ''] = NAMES.map((name) => {
    const text = value[name];
    return typeof text === 'string' && text.trim() !== '' ? text.trim() : refuse(`must say \`${name}\` as a text`);
  });
  const unknown = Object.keys(value).find((name) => !NAMES.some((each) => each === name));
  if (unknown !== undefined) refuse('has a member that is not known');
  const when = intervalOf(at);
  if (when === undefined || at.length < 10) return refuse('must say `at` as a day or an instant');
  if (when.low > now) refuse('is of the future');
  if (!/^\d+\.\d+\.\d+$/.test(version)) refuse('must say `version` as 1.2.3');
  return { attestedBy, at, model, version };
}

/** Whether one of them is for just this version of this model. */
export function attests(attestations: readonly Attestation[], model: string, version: string | undefined): boolean {
  return attestations.some((each) => each.model === model && each.version === version);
}

/**
 * What is attested here.
 * @param given the setting SEPSIS_ATTESTATION; undefined: nothing is
 * @throws Error as `readAttestations`
 */
export function attestedModels(given: string | undefined, now: number): (model: string, version: string) => boolean {
  const attestations = given === undefined ? [] : readAttestations(given, now);
  return (model, version) => attests(attestations, model, version);
}
