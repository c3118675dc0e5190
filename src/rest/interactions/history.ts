/** History of a resource, a type or everything. Source: http.html#history. */
import type { AccessEntry } from '../../audit.ts';
import { fhirError } from '../../fhir/outcome.ts';
import { label } from '../../fhir/resource.ts';
import { type Interval, instantText, intervalOf } from '../../fhir/time.ts';
import type { HistoryScope, StoredVersion } from '../../store/port.ts';
import type { Caller, Perform, RestContext } from '../context.ts';
import { rawRequest } from '../permission/access-entry.ts';
import { heldFor, permitsVersion } from '../permission/permission.ts';
import type { FhirRequest } from '../request.ts';
import { bundleText, historyEntry } from '../wire/bundle-text.ts';
import { openCursor, sealCursor } from '../wire/cursor.ts';
import { pageLinks, urlOf } from '../wire/links.ts';
import { type Pair, pairsOf, single } from '../wire/query-text.ts';
import { entityTag, respond, shapedText } from '../wire/represent.ts';
import { merged, type Place, sourcesOf, type Walk, walked } from './history-walk.ts';
import { mayRead } from './read.ts';

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
  const below = token === undefined ? undefined : placeIn(openCursor(settings.cursorKey, binding, token, now));
  const { seen: matches, next } = await seenPage(request, asked, below, caller, context);
  if (matches.length === 0 && request.interaction === 'history-instance' && token === undefined) {
    await assertExists(request, context);
  }
  const isEmpty = asked.count === 0; // as in a search: no entries, and so no next page
  const cursor =
    next === undefined || isEmpty
      ? undefined
      : sealCursor(settings.cursorKey, binding, JSON.stringify([next.at, next.sequence]), now);
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

/** @throws FhirError `value` (400) for a cursor that an earlier release has sealed */
function placeIn(cursor: string): Place {
  const found: unknown = /^\[\d+,\d+\]$/.test(cursor) ? JSON.parse(cursor) : undefined;
  const [at, sequence] = Array.isArray(found) ? found : [];
  if (Number.isSafeInteger(at) && Number.isSafeInteger(sequence)) return { at, sequence };
  throw fhirError('value', 'The `_cursor` is not one of this history. Follow the next link as it was given.');
}

/** A page with as many versions as were asked for that the caller may see. */
async function seenPage(
  request: HistoryRequest,
  { scope, count, at }: AskedHistory,
  below: Place | undefined,
  caller: Caller,
  context: RestContext,
): Promise<Walk> {
  const most = Math.max(count, 1);
  if (request.interaction === 'history-instance') {
    // Of the resource as it is now `assertVisible` has judged.
    const versions = merged([scope], below, most + 1, context.store);
    const current = at === undefined ? versions : currentDuring(at, versions);
    return walked(current, most, (version) => permitsVersion(['read'], version, caller, context));
  }
  const type = request.interaction === 'history-type' ? request.type : undefined;
  const sources = sourcesOf(type, caller, context).map((each) => ({ ...scope, ...each }));
  const judged = judge(caller, context);
  return walked(
    merged(sources, below, most + 1, context.store),
    most,
    async (version) => (await wasCurrent(at, version, context)) && judged(version),
  );
}

/** A version is seen in a history of many resources by who may search for it as it was, and for the resource as it is now. */
function judge(caller: Caller, context: RestContext): (version: StoredVersion) => Promise<boolean> {
  const nowSeen = new Map<string, Promise<boolean>>();
  return async (version) => {
    const { key } = version;
    if (caller.access.visible(key.type, 'search').kind === 'all') return true;
    if (!(await permitsVersion(['search'], version, caller, context))) return false;
    const name = label(key);
    const now = nowSeen.get(name) ?? heldFor(['search'], key, caller, context).then((held) => held !== undefined);
    nowSeen.set(name, now);
    return now;
  };
}

/** Who may not see the resource as it is now is answered as if it were not there. */
async function assertVisible(request: HistoryRequest, caller: Caller, context: RestContext): Promise<void> {
  if (request.interaction !== 'history-instance' || (await mayRead(request.key, caller, context))) return;
  throw fhirError('not-found', `\`${label(request.key)}\` is not known.`);
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
  const at = intervalAt(single(pairs, '_at'));
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

function intervalAt(given: string | undefined): Interval | undefined {
  if (given === undefined) return undefined;
  const interval = intervalOf(unspaced(given));
  if (interval === undefined) throw fhirError('value', '`_at` must be a date or dateTime.');
  return interval;
}

function countOf(text: string | undefined, { defaultCount, maxCount }: RestContext['settings']): number {
  if (text === undefined) return Math.min(defaultCount, maxCount);
  if (!/^\d{1,9}$/.test(text)) throw fhirError('value', '`_count` must be a whole number.');
  return Math.min(Number(text), maxCount);
}

/** Of one resource, newest first: the versions made in the interval and the newest one made before. */
async function* currentDuring({ low }: Interval, versions: AsyncIterable<StoredVersion>): AsyncIterable<StoredVersion> {
  for await (const version of versions) {
    yield version;
    if (version.at <= low) return;
  }
}

/** Whether a version that was made before the end of the interval was current at some point of it. */
async function wasCurrent(
  at: Interval | undefined,
  { key, at: made, sequence }: StoredVersion,
  { store }: RestContext,
): Promise<boolean> {
  if (at === undefined || made > at.low) return true;
  const { matches } = await store.history({ ...key, before: at.low }, { count: 1 });
  return matches[0]?.sequence === sequence;
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
