/**
 * $export: checks and freezes an order, records it, hands it to the desk. Source: FHIR Bulk Data Access 2.0.0, export (kick-off request).
 * Nothing is read here but the Group; the job runs on a thread of its own: docs/decisions/0015-bulk-export.md.
 */

import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type ResourceKey } from '../../fhir/resource.ts';
import { PATIENT } from '../../fhir/search/person.ts';
import { planOf } from '../../fhir/search/plan.ts';
import { ALL } from '../../fhir/search/simplify.ts';
import { localReference } from '../../fhir/search/value.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { personOf, personsOf } from '../interactions/patient-links.ts';
import { mayRead } from '../interactions/read.ts';
import { heldByKey } from '../operations/held.ts';
import { textOf } from '../operations/input.ts';
import type { Operation, OperationCall } from '../operations/operation.ts';
import { rawRequest } from '../permission/access-entry.ts';
import { factsOf } from '../permission/caller.ts';
import { storedResource } from '../wire/represent.ts';
import type { DeidentifyMode, ExportDesk, ExportScope } from './export.ts';
import { exportUnits } from './export-filter.ts';
import { busy, kickOffUrl, prefersAsync, started } from './kick-off.ts';

/** What `$export` takes. */
const TAKES = ['_outputFormat', '_since', '_type', '_elements', '_typeFilter'] as const;
const FORMATS: ReadonlySet<string> = new Set(['application/fhir+ndjson', 'application/ndjson', 'ndjson']);
/** Most patients of one Group: they are frozen in the order. */
const MEMBER_LIMIT = 100_000;

export type Scoping = (call: OperationCall, caller: Caller, context: RestContext) => Promise<ExportScope>;

const exporting = (level: Operation['levels'][number], scope: Scoping): Operation => ({
  levels: [level],
  takes: TAKES,
  perform: (call, caller, context) => kickOff(call, scope, caller, context),
});

/** Level -> what is exported. */
export const SCOPING = {
  system: async () => ({ kind: 'system' }),
  patients: async (_call, caller) => ({ kind: 'patients', patients: planOf(PATIENT, ALL, caller.access) }),
  group: async ({ key }, caller, context) => ({ kind: 'members', members: await membersOf(key, caller, context) }),
} as const satisfies Record<string, Scoping>;

export const EXPORT_SYSTEM = exporting('system', SCOPING.system);
export const EXPORT_PATIENTS = exporting('type', SCOPING.patients);
export const EXPORT_GROUP = exporting('instance', SCOPING.group);

/** One person: every record that Patient.link joins. */
export const EXPORT_PATIENT = exporting('instance', async ({ key }, caller, context) => ({
  kind: 'members',
  members: await personOf((await heldByKey(key, caller, context)).key.id, caller.access, context),
}));

/** How an export is de-identified: in which mode, and which types can be. */
export interface Deidentified {
  readonly mode: DeidentifyMode;
  readonly types: ReadonlySet<string>;
}

export async function kickOff(
  call: OperationCall,
  scoping: Scoping,
  caller: Caller,
  context: RestContext,
  deidentified?: Deidentified,
) {
  checkAsync(call);
  const desk = deskOf(call, context);
  const format = textOf(call.input, '_outputFormat')?.replaceAll(' ', '+');
  if (format !== undefined && !FORMATS.has(format)) {
    throw fhirError('value', `\`_outputFormat\` must be one of ${[...FORMATS].join(', ')}.`);
  }
  const scope = await scoping(call, caller, context);
  const units = await exportUnits(call.input, scope.kind !== 'system', caller, context, deidentified?.types);
  const { entries } = accessed(call, context);
  const { request, key } = call;
  const order = {
    id: context.ambient.newId(),
    caller: factsOf(caller),
    request: kickOffUrl(call, context),
    resource: key,
    scope,
    ...(deidentified === undefined ? {} : { deidentify: deidentified.mode }),
    units,
  };
  return started(order, desk, entries, caller, context, () =>
    busy('An export', entries, request.representation.pretty),
  );
}

/** @throws FhirError `invalid` (400): there is no answer but the asynchronous one */
function checkAsync({ request, definition: { code } }: OperationCall): void {
  if (request.wire.method === 'HEAD') throw fhirError('method-not-allowed', `\`$${code}\` is asked by GET or POST.`);
  if (prefersAsync(request.wire)) return;
  throw fhirError('invalid', `\`$${code}\` answers asynchronously only: send the header \`Prefer: respond-async\`.`);
}

/** Only the main thread has the desk; what comes to another is a large body, or part of a batch. */
function deskOf({ definition: { code } }: OperationCall, { exports }: RestContext): ExportDesk {
  if (exports !== undefined) return exports;
  throw fhirError('payload-too-large', `\`$${code}\` takes a small request of its own, not a part of a Bundle.`);
}

/** Patients are not known yet: the job records them before it reads their data. */
function accessed({ request, definition, key }: OperationCall, { settings }: RestContext): Pick<Performed, 'entries'> {
  const query = rawRequest(request.wire, request.rawQuery, settings.fhirBase);
  const entry = { interaction: 'operation', operation: definition.code, patients: [], query };
  return { entries: [key === undefined ? entry : { ...entry, resource: key }] };
}

/** Active members that are Patients of this server. Groups within groups, and members that are no patients, are left out. */
async function membersOf(key: ResourceKey | undefined, caller: Caller, context: RestContext): Promise<string[]> {
  const version = key === undefined ? undefined : await context.store.read(key);
  if (key === undefined || version === undefined || !(await mayRead(key, caller, context))) {
    throw fhirError('not-found', 'The resource whose members are to be exported is not known.');
  }
  if (version.text === undefined) throw fhirError('deleted', `\`${key.type}/${key.id}\` was deleted.`);
  const { member } = storedResource(version.text);
  const members = new Set<string>();
  for (const each of Array.isArray(member) ? member : []) {
    const id = isJsonObject(each) && each.inactive !== true ? patientOf(each.entity, context) : undefined;
    if (id !== undefined) members.add(id);
  }
  if (members.size <= MEMBER_LIMIT) return personsIn(members, caller, context);
  throw fhirError('too-costly', `A Group of more than ${MEMBER_LIMIT} patients is not exported.`);
}

/** A member is a person: records linked to a member's are exported with it. */
async function personsIn(members: ReadonlySet<string>, caller: Caller, context: RestContext): Promise<string[]> {
  const persons = await personsOf([...members], caller.access, context, MEMBER_LIMIT);
  return [...new Set([...persons.values()].flat())];
}

function patientOf(entity: unknown, { settings }: RestContext): string | undefined {
  if (typeof entity !== 'object' || entity === null || !('reference' in entity)) return undefined;
  const target = typeof entity.reference === 'string' ? localReference(entity.reference, settings.fhirBase) : undefined;
  return target?.startsWith(`${PATIENT}/`) ? target.slice(PATIENT.length + 1) : undefined;
}
