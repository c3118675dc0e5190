/** Search of one type, by GET or POST. Source: search.html; http.html#search, #paging. Pages are joined from stored texts. */
import { fhirError, type Issue, operationOutcome } from '../fhir/outcome.ts';
import type { SearchPlan } from '../fhir/search/algebra.ts';
import type { SearchQuery } from '../fhir/search/query.ts';
import type { SearchResult, StoredVersion } from '../store/port.ts';
import { rawRequest } from './access-entry.ts';
import { bundleText, searchEntry } from './bundle-text.ts';
import type { Caller, Perform, RestContext } from './context.ts';
import { openCursor, sealCursor } from './cursor.ts';
import { included } from './include.ts';
import { pageLinks, urlOf } from './links.ts';
import { type Pair, pairsOf } from './query-text.ts';
import { respond, shapedText } from './represent.ts';
import type { FhirRequest } from './request.ts';

type Search = Extract<FhirRequest, { interaction: 'search-type' }>;

/** 200 with a searchset. Refuses what `parseSearch` refuses, too-costly (400), and a cursor that is not this search's (400). */
export const search: Perform<Search> = async (request, caller, context) => {
  const { settings, ambient, capability } = context;
  const query = context.parseSearch(request.type, request.query, request.representation.prefer.handling);
  if (query.summary === 'text' && query.includes.length + query.revIncludes.length > 0) {
    throw fhirError('invalid', '`_summary=text` cannot be combined with `_include` or `_revinclude`.');
  }
  const plan = context.planSearch(query, caller.access);
  const page = await pageOf(query, plan, caller, context);
  const additions = await included(page.matches, query, caller, context);
  const total = await totalOf(query, plan, page, context);
  const text = bundleText({
    id: ambient.newId(),
    at: ambient.now(),
    type: 'searchset',
    total,
    links: pageLinks(`${settings.fhirBase}/${request.type}`, shownOf(query), pairsOf(request.rawQuery), page.cursor),
    entries: [
      ...page.matches.map((version) => entryOf(version, query, 'match', context)),
      ...additions.map((version) => entryOf(version, { ...query, elements: [] }, 'include', context)),
      ...outcomeEntries(query, [...(capability.types.get(request.type)?.searchParameters.keys() ?? [])]),
    ],
  });
  const patients = new Set([...page.matches, ...additions].flatMap((version) => version.patients));
  const raw = rawRequest(request.wire, request.rawQuery, settings.fhirBase);
  return {
    response: respond(200, text, request.representation.pretty),
    entries: [{ interaction: 'search-type', query: raw, patients: [...patients] }],
    audited: false,
  };
};

/** The parameters of the self link: what was used, and which page this is. */
function shownOf({ used, cursor }: SearchQuery): readonly Pair[] {
  const others = used.filter(([name]) => name !== '_cursor');
  return cursor === undefined ? others : [...others, ['_cursor', cursor]];
}

interface MatchPage extends Pick<SearchResult, 'matches'> {
  /** Sealed cursor of the next page. */
  readonly cursor: string | undefined;
  readonly isFirst: boolean;
  readonly isCountOnly: boolean;
}

async function pageOf(query: SearchQuery, plan: SearchPlan, caller: Caller, context: RestContext): Promise<MatchPage> {
  const { settings, ambient, store } = context;
  const isFirst = query.cursor === undefined;
  if (query.summary === 'count' || query.count === 0) {
    return { matches: [], cursor: undefined, isFirst, isCountOnly: true };
  }
  const count = Math.min(query.count ?? settings.defaultCount, settings.maxCount);
  const scope = JSON.stringify(['search', query.type, query.used.filter(([name]) => name !== '_cursor')]);
  const binding = { principal: caller.access.principal, scope };
  const now = ambient.now();
  const after = query.cursor === undefined ? undefined : openCursor(settings.cursorKey, binding, query.cursor, now);
  const { matches, next } = await store.search(plan, { count, after });
  const cursor = next === undefined ? undefined : sealCursor(settings.cursorKey, binding, next, now);
  return { matches, cursor, isFirst, isCountOnly: false };
}

/** Bundle.total: always the matches of the whole search. Free when the first page is the last; otherwise counted when asked for. */
async function totalOf(
  { total }: SearchQuery,
  plan: SearchPlan,
  { matches, cursor, isFirst, isCountOnly }: MatchPage,
  { store }: RestContext,
): Promise<number | undefined> {
  if (isCountOnly) return store.count(plan);
  if (total === 'none') return undefined;
  if (isFirst && cursor === undefined) return matches.length;
  return total === undefined ? undefined : store.count(plan);
}

function entryOf(
  version: StoredVersion,
  shape: Pick<SearchQuery, 'summary' | 'elements'>,
  mode: 'match' | 'include',
  { settings, definitions }: RestContext,
): string {
  const text = shapedText(version.text ?? 'null', shape, definitions);
  return searchEntry(urlOf(settings.fhirBase, version.key), text, mode);
}

/** What `Prefer: handling=lenient` left out is said in the page. */
function outcomeEntries({ ignored }: SearchQuery, valid: readonly string[]): readonly string[] {
  if (ignored.length === 0) return [];
  const list = valid.map((name) => `\`${name}\``).join(', ');
  const issues = ignored.map(
    (name): Issue => ({
      kind: 'unsupported-parameter',
      severity: 'warning',
      message: `The parameter \`${name.slice(0, 64)}\` is not supported and was ignored. Valid: ${list}.`,
    }),
  );
  return [searchEntry(undefined, JSON.stringify(operationOutcome(issues)), 'outcome')];
}
