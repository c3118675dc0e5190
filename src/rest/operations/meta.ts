/**
 * $meta, $meta-add, $meta-delete of one resource. Source: FHIR R4 resource-operation-meta.html, -meta-add.html, -meta-delete.html.
 * A change of meta is a new version here (decision 0014): versions are never rewritten.
 */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { put, unchanged } from '../interactions/change.ts';
import { committed } from '../interactions/write.ts';
import { rawRequest } from '../permission/access-entry.ts';
import { respond, storedResource } from '../wire/represent.ts';
import { heldByKey } from './held.ts';
import { objectOf } from './input.ts';
import type { Operation, OperationCall } from './operation.ts';
import { answered, parametersText } from './output.ts';

const ELSEWHERE = 'The meta in use by a type or by everything is not gathered. Name one resource: `[type]/[id]/$meta`.';

export const META: Operation = {
  levels: ['instance'],
  elsewhere: ELSEWHERE,
  takes: [],
  perform: async (call, caller, context) => {
    const version = await heldByKey(call.key, caller, context);
    const { meta } = storedResource(version.text ?? 'null');
    return answered(call, metaText(call, meta), version.patients, context);
  },
};
export const META_ADD: Operation = {
  levels: ['instance'],
  takes: ['meta'],
  perform: (call, caller, context) => changed(call, caller, context, added),
};
export const META_DELETE: Operation = {
  levels: ['instance'],
  takes: ['meta'],
  perform: (call, caller, context) => changed(call, caller, context, removed),
};

const metaText = ({ definition }: OperationCall, meta: Json | undefined): string =>
  parametersText(definition, [{ name: 'return', value: meta ?? {} }]);

/** Profiles, tags and security labels are sets: the identity of a label is system and code. */
type SetOperation = (held: readonly Json[], given: readonly Json[]) => readonly Json[];
const SETS = ['profile', 'security', 'tag'] as const;

const identity = (value: Json): string =>
  isJsonObject(value) ? JSON.stringify([value.system ?? null, value.code ?? null]) : JSON.stringify(value);

const added: SetOperation = (held, given) => {
  const known = new Set(held.map(identity));
  const fresh = given.filter((each) => !known.has(identity(each)) && known.add(identity(each)));
  return fresh.length === 0 ? held : [...held, ...fresh];
};
const removed: SetOperation = (held, given) => {
  const gone = new Set(given.map(identity));
  const left = held.filter((each) => !gone.has(identity(each)));
  return left.length === held.length ? held : left;
};

const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);

/** The resource with the new sets; the same object when nothing changes. Elements of meta that are not sets are not touched. */
function withSets(resource: Resource, given: JsonObject, operation: SetOperation): Resource {
  const meta = resource.meta !== undefined && isJsonObject(resource.meta) ? resource.meta : {};
  const after: Record<string, Json | undefined> = { ...meta };
  let differs = false;
  for (const name of SETS) {
    const held = list(meta[name]);
    const next = operation(held, list(given[name]));
    if (next === held) continue;
    differs = true;
    if (next.length > 0) after[name] = next;
    else delete after[name];
  }
  return differs ? { ...resource, meta: after } : resource;
}

/** A lost race reads and decides again, as for an update; nothing to change makes no version. */
async function changed(
  call: OperationCall,
  caller: Caller,
  context: RestContext,
  operation: SetOperation,
): Promise<Performed> {
  const { request, definition } = call;
  const given = objectOf(call.input, 'meta') ?? {};
  const query = rawRequest(request.wire, request.rawQuery, context.settings.fhirBase);
  const { changes, entries } = await committed(100, undefined, caller, context, async () => {
    const held = await heldByKey(call.key, caller, context);
    const resource = storedResource(held.text ?? 'null');
    const next = withSets(resource, given, operation);
    const change = next === resource ? unchanged(held) : await put(next, held.key, held, 'PUT', caller, context);
    const access = {
      interaction: 'operation',
      operation: definition.code,
      resource: { ...held.key, version: change.version },
      query,
      patients: change.patients,
    };
    return { changes: [change], expects: [], access };
  });
  const [change] = changes;
  if (change === undefined) throw new TypeError('One change was decided.');
  const version = change.held ?? (await context.store.read(change.key, change.version));
  const { meta } = storedResource(version?.text ?? 'null');
  const response = respond(200, metaText(call, meta), request.representation.pretty);
  return { response, entries, audited: true };
}
