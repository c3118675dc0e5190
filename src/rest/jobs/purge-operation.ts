/**
 * Patient/[id]/$purge: checks an order, records it, hands it to the desk. Source: FHIR R6 ballot patient-operation-purge.html; GDPR Art. 17;
 * docs/decisions/0038-erasure.md. A person is every record that Patient.link joins, as $everything shows them.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { label } from '../../fhir/resource.ts';
import { searchableTypes } from '../../fhir/search/system.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { personOf } from '../interactions/patient-links.ts';
import type { Operation, OperationCall } from '../operations/operation.ts';
import { rawRequest } from '../permission/access-entry.ts';
import { factsOf } from '../permission/caller.ts';
import { seesAll } from '../permission/permission.ts';
import { holdPlan } from '../privacy/legal-hold.ts';
import { busy, kickOffUrl, started } from './kick-off.ts';
import { HELD, type PurgeDesk } from './purge.ts';

export const PURGE: Operation = {
  levels: ['instance'],
  takes: [],
  perform: (call, caller, context) => kickOff(call, caller, context),
};

/** 202 with the status. A Patient that is deleted can be purged too: its history is what is left to remove. */
async function kickOff(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  assertDeletesAll(caller, context);
  const desk = deskOf(context);
  const { request, definition, key } = call;
  const { store, settings, ambient } = context;
  if (key === undefined) throw new TypeError('A purge is asked of one patient.');
  if ((await store.read(key)) === undefined) throw fhirError('not-found', `\`${label(key)}\` is not known.`);
  const patients = await personOf(key.id, caller.access, context);
  if ((await store.search(holdPlan(patients), { count: 1 })).matches.length > 0) throw fhirError('business-rule', HELD);
  const query = rawRequest(request.wire, request.rawQuery, settings.fhirBase);
  const entries = [{ interaction: 'operation', operation: definition.code, resource: key, patients, query }];
  const order = {
    id: ambient.newId(),
    caller: factsOf(caller),
    request: kickOffUrl(call, context),
    patients,
    isRepeated: false,
  };
  return started(order, desk, entries, caller, context, () => busy('A purge', entries, request.representation.pretty));
}

/** @throws FhirError `insufficient-scope` (403): what a purge removes is not cut by a filter */
function assertDeletesAll(caller: Caller, { capability }: RestContext): void {
  if (searchableTypes(capability).every((type) => seesAll(type, ['delete'], caller))) return;
  throw fhirError('insufficient-scope', 'A purge is for callers who may delete every resource.');
}

function deskOf({ purges }: RestContext): PurgeDesk {
  if (purges !== undefined) return purges;
  throw fhirError('payload-too-large', '`$purge` takes a small request of its own, not a part of a Bundle.');
}
