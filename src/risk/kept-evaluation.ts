/**
 * What makes one evaluation the same as another, and who made it from what: for evaluations that are stored. The instant judged at is no part of it:
 * the same model over the same values says the same, so that it is kept once.
 */
import { createHash } from 'node:crypto';
import { isJsonObject, type JsonObject, type Resource } from '../fhir/resource.ts';
import { instantText } from '../fhir/time.ts';
import type { Assessment, Manifest } from './assessment.ts';
import { deviceOf, HASH_SYSTEM } from './risk-assessment.ts';

const PARTICIPANT = 'http://terminology.hl7.org/CodeSystem/provenance-participant-type';

/** The same value for the same patient, model, version, file and inputs, used and missing; base64url, 43 characters. */
export function evaluationIdentity(subject: string, assessment: Assessment): string {
  const { model, answeredBy, used, missing } = assessment;
  const inputs = used.map(({ name, value, unit, at, source }) => [name, value, unit, at ?? null, source ?? null]);
  const absent = missing.map(({ name, reason }) => [name, reason]);
  const text = JSON.stringify([subject, model.id, model.version, model.sha256, answeredBy, inputs, absent]);
  return createHash('sha256').update(text).digest('base64url');
}

/** The Provenance of an evaluation, without its targets: the model as a device, its file by hash and its inputs, by version, as sources. */
export function evaluationProvenance(
  { used }: Assessment,
  manifest: Manifest,
  resources: readonly Resource[],
  issuedAt: number,
): Resource {
  const sources = new Set(used.map(({ source }) => source));
  const inputs = resources.flatMap(({ resourceType, id, meta }): readonly JsonObject[] => {
    if (!sources.has(`${resourceType}/${id}`) || !isJsonObject(meta) || typeof meta.versionId !== 'string') return [];
    return [{ reference: `${resourceType}/${id}/_history/${meta.versionId}` }];
  });
  const file = { identifier: { system: HASH_SYSTEM, value: manifest.sha256 }, display: manifest.title };
  return {
    resourceType: 'Provenance',
    recorded: instantText(issuedAt),
    agent: [{ type: { coding: [{ system: PARTICIPANT, code: 'assembler' }] }, who: deviceOf(manifest) }],
    entity: [file, ...inputs].map((what) => ({ role: 'source', what })),
  };
}
