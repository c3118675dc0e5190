/** History of a resource, a type or everything. Source: http.html#history. */
import type { AccessEntry } from '../audit.ts';
import { fhirError } from '../fhir/outcome.ts';
import { label } from '../fhir/resource.ts';
import { searchableTypes } from '../fhir/search/system.ts';
import { type Interval, instantText, intervalOf } from '../fhir/time.ts';
import type { HistoryScope, StoredVersion } from '../store/port.ts';
import { rawRequest } from './access-entry.ts';
import { bundleText, historyEntry } from './bundle-text.ts';
import type { Caller, Perform, RestContext } from './context.ts';
import { openCursor, sealCursor } from './cursor.ts';
import { pageLinks, urlOf } from './links.ts';
import { permitsVersion, seesAll } from './permission.ts';
import { type Pair, pairsOf, single } from './query-text.ts';
import { mayRead } from './read.ts';
import { entityTag, respond, shapedText } from './represent.ts';
import type { FhirRequest } from './request.ts';

type HistoryRequest = Extract<FhirRequest, { interaction: 'history-instance' | 'history-type' | 'history-system' }>;

/** Parameters that decide which versions come in which page: a cursor is bound to them. */
const SCOPE: ReadonlySet<string> = new Set(['_count', '_since', '_at']);

/** 200 with a Bundle, newest version first. Refuses: not-found (404), forbidden (403), value (400) for a parameter that is not well formed. */
export const history: Perform<HistoryRequest> = async (request, caller, context) => {
  const pairs = pairsOf(request.rawQuery);
  await assertVisible(request, caller, context);
  const asked = askedOf(request, pairs, context);
  const { settings, ambient, definitions } = context;
  const now = ambient.now();
  const used = pairs.filter(([name]) => SCOPE.has(name));
  const binding = { principal: caller.access.principal, scope: JSON.stringify(['history', request.wire.path, used]) };
  const token = single(pairs, '_cursor');
  const after = token === undefined ? undefined : openCursor(settings.cursorKey, binding, token, now);
  const { matches, next } = await seenPage(request, asked, after, caller, context);
  if (matches.length === 0 && request.interaction === 'history-instance' && token === undefined) {
    await assertExists(request, context);
  }
  const isEmpty = asked.count === 0; // as in a search: no entries, and so no next page
  const cursor = next === undefined || isEmpty ? undefined : sealCursor(settings.cursorKey, binding, next, now);
  const isComplete = token === undefined && next === undefined;
  const { representation } = request;
  const text = bundleText({
    id: ambient.newId(),
    at: now,
    type: 'history',
    total: isComplete ? matches.length : undefined,
    links: pageLinks(`${settings.fhirBase}${request.wire.path}`, pairs, pairs, cursor),
    entries: (isEmpty ? [] : matches).map((version) => {
      const shaped = version.text === undefined ? undefined : shapedText(version.text, representation, definitions);
      return entryOf(version, shaped, settings.fhirBase);
    }),
  });
  return {
    response: respond(200, text, representation.pretty),
    entries: [accessOf(request, isEmpty ? [] : matches, context)],
    audited: false,
  };
};

/** Most rows of one resource that are looked through for a page. */
const LOOKED_AT = 1000;

/** A page with as many versions as were asked for that the caller may read; fewer when there are no more, or after a thousand that they may not. */
async function seenPage(
  { interaction }: HistoryRequest,
  asked: AskedHistory,
  start: string | undefined,
  caller: Caller,
  context: RestContext,
) {
  const count = Math.max(asked.count, 1);
  const matches: StoredVersion[] = [];
  let after = start;
  let looked = 0;
  do {
    const page = await context.store.history(asked.scope, { count: count - matches.length, after });
    const { matches: found, next } = asked.at === undefined ? page : currentDuring(asked.at, page.matches, page.next);
    matches.push(...(interaction === 'history-instance' ? await seenOf(found, caller, context) : found));
    looked += page.matches.length;
    after = next;
  } while (after !== undefined && matches.length < count && looked < LOOKED_AT);
  return { matches, next: after };
}

/** Each version of one resource by what it holds; of the resource as it is now, and of whole types, `assertVisible` has judged. */
async function seenOf(versions: readonly StoredVersion[], caller: Caller, context: RestContext) {
  const seen: StoredVersion[] = [];
  for (const version of versions) {
    if (await permitsVersion(['read'], version, caller, context)) seen.push(version);
  }
  return seen;
}

/**
 * Type and system history hold deleted versions and versions of resources that have left the caller's view; a filter on current
 * resources says nothing about those. So they are refused (fail closed) to callers who may not see everything.
 */
async function assertVisible(request: HistoryRequest, caller: Caller, context: RestContext): Promise<void> {
  if (request.interaction === 'history-instance') {
    if (await mayRead(request.key, caller, context)) return;
    throw fhirError('not-found', `\`${label(request.key)}\` is not known.`);
  }
  const types = request.interaction === 'history-type' ? [request.type] : searchableTypes(context.capability);
  if (types.every((type) => seesAll(type, ['search'], caller))) return;
  throw fhirError('insufficient-scope', 'History of a type or of everything is not permitted to this caller.');
}

async function assertExists(
  { key }: Extract<HistoryRequest, { interaction: 'history-instance' }>,
  { store }: RestContext,
): Promise<void> {
  if ((await store.read(key)) === undefined) throw fhirError('not-found', `\`${label(key)}\` is not known.`);
}

interface AskedHistory {
  readonly scope: HistoryScope;
  readonly count: number;
  readonly at: Interval | undefined;
}

function askedOf(request: HistoryRequest, pairs: readonly Pair[], { settings }: RestContext): AskedHistory {
  const since = instantOf(single(pairs, '_since'));
  const at = intervalAt(single(pairs, '_at'), request);
  if (since !== undefined && at !== undefined) throw fhirError('invalid', '`_since` and `_at` contradict each other.');
  const key = request.interaction === 'history-instance' ? request.key : undefined;
  const type = request.interaction === 'history-type' ? request.type : key?.type;
  const scope = { type, id: key?.id, since, before: at === undefined ? undefined : at.high - 1 };
  return { scope, count: countOf(single(pairs, '_count'), settings), at };
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;

/** An unescaped `+` of a zone arrives as a space. */
const unspaced = (text: string): string => text.replace(/ (\d{2}:\d{2})$/, '+$1');

function instantOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  const text = unspaced(given);
  const interval = INSTANT.test(text) ? intervalOf(text) : undefined;
  if (interval === undefined) throw fhirError('value', '`_since` must be an instant such as 2026-01-02T03:04:05Z.');
  return interval.low;
}

function intervalAt(given: string | undefined, request: HistoryRequest): Interval | undefined {
  if (given === undefined) return undefined;
  if (request.interaction !== 'history-instance') {
    throw fhirError('unsupported-parameter', '`_at` is supported for the history of one resource only; use `_since`.');
  }
  const interval = intervalOf(unspaced(given));
  if (interval === undefined) throw fhirError('value', '`_at` must be a date or dateTime.');
  return interval;
}

function countOf(text: string | undefined, { defaultCount, maxCount }: RestContext['settings']): number {
  if (text === undefined) return Math.min(defaultCount, maxCount);
  if (!/^\d{1,9}$/.test(text)) throw fhirError('value', '`_count` must be a whole number.');
  return Math.min(Number(text), maxCount);
}

/** Versions that were current at some point of the interval: those made in it and the newest one made before. */
function currentDuring(
  { low }: Interval,
  versions: readonly StoredVersion[],
  next: string | undefined,
): { readonly matches: readonly StoredVersion[]; readonly next: string | undefined } {
  const last = versions.findIndex(({ at }) => at <= low);
  return last < 0 ? { matches: versions, next } : { matches: versions.slice(0, last + 1), next: undefined };
}

/** http.html#history: how each version came to be, as the request and response that made it. */
function entryOf(version: StoredVersion, text: string | undefined, base: string): string {
  const { key, method } = version;
  const made = version.version === 1;
  const status = version.deleted ? '204 No Content' : made ? '201 Created' : '200 OK';
  return historyEntry(
    urlOf(base, key),
    text,
    { method, url: method === 'POST' ? key.type : label(key) },
    { status, etag: entityTag(version.version), lastModified: instantText(version.at) },
  );
}

function accessOf(request: HistoryRequest, versions: readonly StoredVersion[], context: RestContext): AccessEntry {
  const patients = [...new Set(versions.flatMap((version) => version.patients))];
  const { interaction } = request;
  const query = rawRequest(request.wire, request.rawQuery, context.settings.fhirBase);
  return {
    interaction,
    query,
    patients,
    ...(request.interaction === 'history-instance' ? { resource: request.key } : {}),
  };
}
