/** Everything a service asked for, from the client or from our own store through the door. Source: CDS Hooks 2.0.1 "Prefetch", "FHIR Resource Access". */

import { fhirError } from '../../fhir/outcome.ts';
import type { Resource } from '../../fhir/resource.ts';
import type { DataGaps } from '../cards/frame.ts';
import {
  type ByReference,
  byReference,
  entriesOf,
  isAboutMedication,
  unresolvedMedications,
  withMedication,
} from '../hook/draft-orders.ts';
import type { HookRequest } from '../hook/request.ts';
import { isAbout } from '../hook/subject.ts';
import { isRequiredKey, type Service } from '../services/service.ts';
import { askedBy, keysNamed, type Template } from '../services/template.ts';
import { type Reader, readerFor, type Source } from './reader.ts';
import { type Entry, received } from './received.ts';

/** Most resources looked at in one call. */
const RESOURCE_LIMIT = 5000;
/** Most Medication references resolved in one call. */
const MEDICATION_LIMIT = 100;

export interface Prefetched extends DataGaps {
  readonly patient: Resource | undefined;
  /** Of the context's patient only, each once, Patients excluded; medications resolved where possible. */
  readonly resources: readonly Resource[];
  readonly index: ByReference;
  /** Keys by what became of them. */
  readonly given: readonly string[];
  readonly fetched: readonly string[];
}

interface Obtained {
  readonly key: string;
  readonly from: 'client' | 'store' | 'server' | undefined;
  readonly failed: boolean;
  readonly entries: readonly Entry[];
  readonly complete: boolean;
}

/**
 * Decides every key of the service by the table in received.ts; absent keys are read from our own store, in parallel, when the call concerns it.
 * @throws FhirError 412 `precondition-failed`: a required key is absent and cannot be read here; 400 `value`: a Patient of another id was sent
 */
export async function prefetch(service: Service, request: HookRequest, source: Source): Promise<Prefetched> {
  const reader = readerFor(request, source);
  const today = new Date(source.startedAt).toISOString().slice(0, 10);
  const pending = new Map<string, Promise<Obtained>>();
  for (const [key, template] of Object.entries(service.prefetch)) {
    const asked = askedAfter(template, request, today, pending);
    pending.set(key, obtain(service, key, asked, request, reader));
  }
  const obtained = await Promise.all(pending.values());
  const given = request.recorded.map((resource) => ({ fullUrl: undefined, resource }));
  const entries = [...given, ...obtained.flatMap(({ entries: found }) => found)];
  const patients = entries.filter(({ resource }) => resource.resourceType === 'Patient');
  const aliases = new Set(
    patients.flatMap(({ fullUrl, resource }) =>
      fullUrl !== undefined && resource.id === request.patientId ? [fullUrl] : [],
    ),
  );
  for (const name of await reader.sameAs(patients)) aliases.add(name);
  const own = entries.filter(({ resource }) => isAbout(resource, request.patientId, aliases));
  const drafts = request.draftOrders === undefined ? [] : entriesOf(request.draftOrders);
  const index = byReference([...drafts, ...own]);
  const known = reader.from !== undefined ? await withOwnMedications([...own, ...drafts], index, reader) : index;
  return {
    patient: own.find(({ resource }) => resource.resourceType === 'Patient')?.resource,
    resources: onceEach(own)
      .filter((resource) => resource.resourceType !== 'Patient')
      .map((resource) => withMedication(resource, known))
      .slice(0, RESOURCE_LIMIT),
    index: known,
    given: obtained.filter(({ from, failed }) => from === 'client' && !failed).map(({ key }) => key),
    fetched: obtained
      .filter(({ from, failed }) => (from === 'store' || from === 'server') && !failed)
      .map(({ key }) => key),
    missing: obtained.filter(({ from, failed }) => from === undefined || failed).map(({ key }) => key),
    incomplete: obtained.filter(({ complete }) => !complete || own.length > RESOURCE_LIMIT).map(({ key }) => key),
    foreign: entries.length - own.length,
  };
}

const NONE: ReadonlyMap<string, readonly Resource[]> = new Map();

/** What a template asks for, once the reads that its tokens name are there. */
async function askedAfter(
  template: string,
  { values, context }: HookRequest,
  today: string,
  pending: ReadonlyMap<string, Promise<Obtained>>,
): Promise<Template | undefined> {
  const keys = keysNamed(template);
  if (keys.length === 0) return askedBy(template, values, { context, today, earlier: NONE });
  const named = await Promise.all(
    keys.map(async (key) => {
      const read = await pending.get(key);
      return [key, (read?.entries ?? []).map(({ resource }) => resource)] as const;
    }),
  );
  return askedBy(template, values, { context, today, earlier: new Map(named) });
}

async function obtain(
  service: Service,
  key: string,
  template: Promise<Template | undefined>,
  request: HookRequest,
  reader: Reader,
): Promise<Obtained> {
  const asked = await template;
  const absent = { key, from: undefined, failed: false, entries: [], complete: true } as const;
  if (asked === undefined) return absent;
  const given = received(Object.hasOwn(request.prefetch, key) ? request.prefetch[key] : undefined, asked);
  if (given.kind === 'data') {
    refuseOtherPatient(given.entries, asked, request.patientId);
    return { key, from: 'client', failed: false, ...(await reader.goOn(given, asked)) };
  }
  if (given.kind === 'failed') return { ...absent, from: 'client', failed: true };
  const answer = await reader.ask(asked);
  if (answer.kind === 'absent') {
    if (isRequiredKey(service, key)) throw cannotHave(key, reader.why);
    return absent;
  }
  if (answer.kind === 'failed') return { ...absent, from: reader.from, failed: true };
  return { key, from: reader.from, failed: false, ...(await reader.goOn(answer, asked)) };
}

function cannotHave(key: string, why: string) {
  return fhirError('precondition-failed', `Prefetch \`${key}\` was not sent, and ${why}.`, {
    expression: `prefetch.${key}`,
  });
}

/** Whoever answers a question about Patients with another Patient has mixed up charts: nothing of it is used. */
function refuseOtherPatient(entries: readonly Entry[], asked: Template, patientId: string): void {
  const other = entries.some(
    ({ resource }) => resource.resourceType === 'Patient' && resource.id !== undefined && resource.id !== patientId,
  );
  if (asked.type === 'Patient' && other) {
    throw fhirError('value', 'The Patient in `prefetch` is not the patient of the context.', {
      expression: 'prefetch',
    });
  }
}

function onceEach(entries: readonly Entry[]): readonly Resource[] {
  const seen = new Set<string>();
  return entries.flatMap(({ resource }) => {
    const name = resource.id === undefined ? undefined : `${resource.resourceType}/${resource.id}`;
    if (name !== undefined && seen.has(name)) return [];
    if (name !== undefined) seen.add(name);
    return [resource];
  });
}

/** The index with Medications that orders and statements only point at, read in one search. */
async function withOwnMedications(entries: readonly Entry[], index: ByReference, reader: Reader): Promise<ByReference> {
  const unresolved = entries
    .map(({ resource }) => resource)
    .filter(isAboutMedication)
    .map((resource) => withMedication(resource, index));
  const ids = unresolvedMedications(unresolved)
    .slice(0, MEDICATION_LIMIT)
    .map((reference) => reference.slice('Medication/'.length));
  if (ids.length === 0) return index;
  const query = `_id=${ids.join(',')}&_count=${ids.length}`;
  const answer = await reader.ask({ type: 'Medication', id: undefined, query, newest: undefined });
  if (answer.kind !== 'data') return index;
  const found = answer.entries.map(({ resource }) => [`${resource.resourceType}/${resource.id}`, resource] as const);
  return new Map([...index, ...found]);
}
