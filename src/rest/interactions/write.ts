/**
 * create, update, delete and their conditional forms: http.html#create, #update, #delete, #ccreate, #cond-update, #3.1.0.7.1, #concurrency.
 * Every write is decided from what is read, and judged again inside the commit: a lost race reads and decides anew.
 */
import type { AccessEntry } from '../../audit.ts';
import { fhirError } from '../../fhir/outcome.ts';
import { ID_PATTERN, label, type Resource, type ResourceKey } from '../../fhir/resource.ts';
import type { Command, CommitResult } from '../../store/port.ts';
import type { Caller, Perform, Performed, RestContext } from '../context.ts';
import { rawRequest } from '../permission/access-entry.ts';
import { assertSeesAll, heldFor, seesAll, unknown } from '../permission/permission.ts';
import type { FhirRequest } from '../request.ts';
import { accessOf, answer, assertPreconditions, type Change, deletion, put, unchanged } from './change.ts';
import { criteriaOf, deletable, matched, single } from './conditional.ts';
import { assertNotForgotten, namesNobodyForgotten } from './forgotten.ts';
import { integrityOf } from './integrity.ts';
import { isDefinition, soleClaims } from './parameter-claim.ts';
import { provenanceChange, provenanceOf } from './provenance.ts';
import { isConditionalReference, rewritten, withoutOwnBase } from './references.ts';

type Request<I extends FhirRequest['interaction']> = Extract<FhirRequest, { interaction: I }>;

/** Most times one interaction is decided anew before 409: far above what a ward's worth of writers on one resource needs. */
const TRIES = 100;

/** What one commit is to do. */
export interface Plan {
  readonly changes: readonly Change[];
  /** Searches whose result must not have changed. */
  readonly expects: readonly Command[];
  /** What the audit says when nothing is changed at all. */
  readonly access?: AccessEntry;
}
export interface Committed {
  /** As planned; an AuditEvent has its final id and text now. */
  readonly changes: readonly Change[];
  readonly entries: readonly AccessEntry[];
  /** ms since 1970. */
  readonly at: number;
}

/**
 * Decides and commits until nothing interferes. The AuditEvents of success are in the same commit.
 * @param decide reads and decides; runs again after a lost race
 * @param provenance what the request says of its own writes
 * @throws FhirError `conflict` (409) after `tries` lost races
 */
export async function committed(
  tries: number,
  envelope: 'transaction' | undefined,
  caller: Caller,
  context: RestContext,
  decide: () => Promise<Plan>,
  provenance?: Resource,
): Promise<Committed> {
  for (let count = 0; count < tries; count++) {
    const { changes, expects, access } = await decide();
    const said = provenance && (await provenanceChange(provenance, changes, caller, context));
    const all = said === undefined ? changes : [...changes, said];
    const holds = changes.flatMap(({ expect }) => expect ?? []);
    const stands = [...(await integrityOf(all, caller, context)), ...(await soleClaims(changes, caller, context))];
    const also = all.flatMap((change) => change.also);
    const commands = [...expects, ...holds, ...namesNobodyForgotten(all), ...stands, ...ordered(all), ...also];
    const entries = access === undefined ? all.map(accessOf) : [access];
    const status = envelope === undefined ? (changes[0]?.status ?? 204) : 200;
    const row = context.audit({ caller, entries, status, ...(envelope === undefined ? {} : { envelope }) });
    const posted = changes.flatMap((change) => change.posted ?? []);
    const result = await context.store.commit({ commands, audit: [...posted, row] });
    if (!result.ok) {
      await assertNotForgotten(all, context);
      continue;
    }
    if (changes.some(isDefinition)) await context.parametersWritten?.();
    return { changes: await named(changes, result, context), entries, at: result.at };
  }
  throw fhirError('conflict', `The resource changed ${tries} times while it was written; try again later.`);
}

/** Deletes first: http.html#trules. */
function ordered(changes: readonly Change[]): readonly Command[] {
  const commands = changes.flatMap(({ command }) => command ?? []);
  return [...commands.filter(({ op }) => op === 'delete'), ...commands.filter(({ op }) => op === 'put')];
}

/** AuditEvents get their ids inside the commit; their rows are the first ones, in the order of the changes. */
async function named(
  changes: readonly Change[],
  { auditIds }: Extract<CommitResult, { ok: true }>,
  { store }: RestContext,
): Promise<readonly Change[]> {
  const ids = auditIds.values();
  return Promise.all(
    changes.map(async (change) => {
      if (change.posted === undefined) return change;
      const key = { type: change.key.type, id: ids.next().value ?? change.key.id };
      return { ...change, key, held: await store.read(key) };
    }),
  );
}

/** Commits the plan of a single interaction and answers it. */
export async function performed(
  request: FhirRequest,
  caller: Caller,
  context: RestContext,
  decide: () => Promise<Plan>,
): Promise<Performed> {
  const provenance = provenanceOf(request.wire);
  const { changes, entries, at } = await committed(TRIES, undefined, caller, context, decide, provenance);
  const [change] = changes;
  const response =
    change === undefined || changes.length > 1
      ? { status: 204, headers: {}, body: undefined }
      : answer(change, at, request.representation, context);
  return { response, entries, audited: true };
}

/** Neither revealed nor silently doubled: who cannot see every match may not create on the condition that there is none. */
export const CONDITIONAL_CREATE =
  'Creating on a condition is for callers who may search and write every resource of the type. Name the resource by its id.';

/** 201 with the new resource; with If-None-Exist 200 and the match when there is one, 412 when there are several. */
export const create: Perform<Request<'create'>> = async (request, caller, context) => {
  const { type, ifNoneExist } = request;
  const resource = normalised(request.resource, context);
  const key = { type, id: context.ambient.newId() };
  return performed(request, caller, context, async () => {
    if (ifNoneExist === undefined) {
      return { changes: [await put(resource, key, undefined, 'POST', caller, context)], expects: [] };
    }
    assertSeesAll(type, ['search'], CONDITIONAL_CREATE, caller);
    const { matches, expect } = await matched(criteriaOf(type, ifNoneExist, context), caller, context);
    const held = single(type, matches);
    const change = held === undefined ? await put(resource, key, undefined, 'POST', caller, context) : unchanged(held);
    return { changes: [change], expects: [expect] };
  });
};

/** 200, or 201 when the id is new or was deleted; 412 when If-Match or If-None-Match do not hold. */
export const update: Perform<Request<'update'>> = async (request, caller, context) => {
  const { key } = request;
  const resource = normalised(request.resource, context);
  return performed(request, caller, context, async () => {
    const current = await heldFor(['update'], key, caller, context);
    if (current === undefined && !seesAll(key.type, ['create', 'update'], caller)) throw unknown(key);
    assertPreconditions(key, current, request);
    if (current === undefined) assertUpdateCreates(key.type, context);
    return { changes: [await put(resource, key, current, 'PUT', caller, context)], expects: [] };
  });
};

/** No match: created; one: updated; more: 412. */
export const conditionalUpdate: Perform<Request<'conditional-update'>> = async (request, caller, context) => {
  const resource = normalised(request.resource, context);
  const newId = context.ambient.newId();
  return performed(request, caller, context, async () => {
    const { matches, expect } = await matched(criteriaOf(request.type, request.criteria, context), caller, context);
    const { key, current } = await updateTarget(request, newId, matches, caller, context);
    return { changes: [await put(resource, key, current, 'PUT', caller, context)], expects: [expect] };
  });
};

/** 204; also when it is deleted already or never was. */
export const remove: Perform<Request<'delete'>> = async (request, caller, context) => {
  return performed(request, caller, context, async () => {
    const current = await heldFor(['delete'], request.key, caller, context);
    assertPreconditions(request.key, current, { ifMatch: request.ifMatch, ifNoneMatch: undefined });
    return { changes: [await deletion(request.key, current, caller, context)], expects: [] };
  });
};

/** 204 for no match, one, or several where the type claims that; 412 for too many. */
export const conditionalDelete: Perform<Request<'conditional-delete'>> = async (request, caller, context) => {
  return performed(request, caller, context, async () => {
    const criteria = criteriaOf(request.type, request.criteria, context);
    const { matches, expect } = await deletable(request.type, criteria, caller, context);
    if (matches.length > 0) {
      const changes = await Promise.all(matches.map((held) => deletion(held.key, held, caller, context)));
      return { changes, expects: [expect] };
    }
    const query = rawRequest(request.wire, request.rawQuery, context.settings.fhirBase);
    return { changes: [], expects: [expect], access: { interaction: 'delete', query, patients: [] } };
  });
};

/** What a conditional update writes to, by what its criteria match; http.html#cond-update. */
export async function updateTarget(
  request: Request<'conditional-update'>,
  newId: string,
  matches: Parameters<typeof single>[1],
  caller: Caller,
  context: RestContext,
) {
  const { type } = request;
  const held = single(type, matches);
  const given = request.resource.id;
  if (held !== undefined) {
    if (given !== undefined) assertSameId(request.resource, held.key);
    assertPreconditions(held.key, held, request);
    return { key: held.key, current: held };
  }
  // Without a match it creates: only for who sees whether there is one, and whether the id is taken.
  assertSeesAll(type, ['search', 'create', 'update'], CONDITIONAL_CREATE, caller);
  const key: ResourceKey = { type, id: given ?? newId };
  if (!ID_PATTERN.test(key.id)) throw fhirError('value', 'The id is not a FHIR id.', { expression: `${type}.id` });
  const current = given === undefined ? undefined : await context.store.read(key);
  assertPreconditions(key, current, request);
  if (current !== undefined && !current.deleted) {
    throw fhirError('conflict', `\`${label(key)}\` is held, but the criteria do not match it.`);
  }
  if (given !== undefined) assertUpdateCreates(type, context);
  return { key, current };
}

/** Refuses (405) an update that would create where the capability statement does not say so. */
export function assertUpdateCreates(type: string, { capability }: RestContext): void {
  if (capability.types.get(type)?.updateCreate === true) return;
  throw fhirError('method-not-allowed', `${type} cannot be created with an id of the client's choice.`);
}

/** Refuses (400) a body with another id than the match. */
function assertSameId(resource: Resource, key: ResourceKey): void {
  if (resource.id === key.id) return;
  throw fhirError('invalid', `The criteria match \`${label(key)}\`, but the body has another id.`, {
    expression: `${key.type}.id`,
  });
}

/** Own absolute references become relative. Conditional references have no meaning outside a transaction (400). */
export function normalised(resource: Resource, { definitions, settings }: RestContext): Resource {
  const reference = (text: string): string => {
    const own = withoutOwnBase(text, settings.fhirBase);
    if (!isConditionalReference(own)) return own;
    throw fhirError('value', 'A conditional reference is resolved in a transaction only.');
  };
  return rewritten(resource, { reference, links: undefined }, definitions);
}
