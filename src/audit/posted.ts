/** An AuditEvent that a client posts -> its audit row of form 2. Source: ITI-20, docs/audit.md#posted-events. */
import type { AuditSource } from '../audit.ts';
import { fhirError } from '../fhir/outcome.ts';
import { isJsonObject, type Json, type Resource, serialize } from '../fhir/resource.ts';
import type { AuditRow } from '../store/port.ts';
import { commitment } from './commitment.ts';
import { type EntriesOf, splitEntries } from './facet.ts';
import { marked, POSTED_FORM } from './posted-render.ts';

/** Codes and systems that go into bytes; anything else stays in the erasable text only. */
const CODE = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;
const SYSTEM = /^(?:https?:\/\/|urn:)[A-Za-z0-9./:-]{1,200}$/;
const LOCAL_PATIENT = /^Patient\/([A-Za-z0-9\-.]{1,64})$/;

/**
 * The row of one posted AuditEvent, already validated. The whole resource is erasable: bytes hold a commitment to it and its codes.
 * @param subjectKeys opaque keys of distinct patients, in order, from the store
 * @throws FhirError `business-rule` (422) when its source.observer is this server
 * @throws TypeError when it is not an AuditEvent
 */
export function postedAuditRow(
  resource: Resource,
  subjectKeys: (patients: readonly string[]) => readonly string[],
  salt: string,
  source: AuditSource,
  entriesOf: EntriesOf,
): AuditRow {
  if (resource.resourceType !== 'AuditEvent') throw new TypeError(`A ${resource.resourceType} is not an AuditEvent.`);
  assertOwnName(resource, source);
  const split = splitEntries(entriesOf(marked(resource)));
  const patients = [...new Set(split.patients.flatMap((target) => LOCAL_PATIENT.exec(target)?.[1] ?? []))];
  const keys = patients.length === 0 ? [] : subjectKeys(patients);
  const erasable = `{"r":${serialize(resource)},"t":${JSON.stringify(salt)}}`;
  const entities = split.entities.filter((target) => !LOCAL_PATIENT.test(target));
  return {
    form: POSTED_FORM,
    bytes: bytesOf(resource, commitment(salt, erasable), keys),
    erasable,
    events: [{ kind: split.kind, agents: split.agents, subjects: keys, entities }],
    subjects: patients.map((patient, index) => ({ key: keys[index] ?? '', patient })),
  };
}

/** Refuses an event whose observer says it is this server: only this server writes those. */
function assertOwnName(resource: Resource, { observer }: AuditSource): void {
  const source = resource.source;
  const given = isJsonObject(source) && isJsonObject(source.observer) ? source.observer : {};
  const identifier = isJsonObject(given.identifier) ? given.identifier : {};
  const names = [given.reference, given.display, identifier.value];
  if (!names.some((name) => typeof name === 'string' && plain(name) === plain(observer))) return;
  throw fhirError('business-rule', 'source.observer is this server, which alone writes such AuditEvents.', {
    expression: 'AuditEvent.source.observer',
  });
}
const plain = (name: string): string => name.normalize('NFKC').trim().toLowerCase().replace(/\/+$/, '');

/** Keys in alphabetical order: action, commitment, outcome, subject keys, subtypes, type. */
function bytesOf(resource: Resource, k: string, s: readonly string[]): string {
  const subtypes = resource.subtype;
  const t = Array.isArray(subtypes) ? subtypes.map(pairOf).filter((pair) => pair !== undefined) : [];
  return JSON.stringify({
    a: codeOf(resource.action),
    k,
    o: codeOf(resource.outcome),
    s,
    t,
    y: pairOf(resource.type),
  });
}

const codeOf = (value: Json | undefined): string | undefined =>
  typeof value === 'string' && CODE.test(value) ? value : undefined;

function pairOf(coding: Json | undefined): readonly [system: string, code: string] | undefined {
  if (!isJsonObject(coding)) return undefined;
  const code = codeOf(coding.code);
  const { system } = coding;
  return code === undefined ? undefined : [typeof system === 'string' && SYSTEM.test(system) ? system : '', code];
}
