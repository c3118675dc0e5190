/** Search of one type, of several or of a compartment, by GET or POST. Source: search.html; http.html#search, #paging. Pages are joined from stored texts. */
import { fhirError, type Issue, operationOutcome } from '../../fhir/outcome.ts';
import { label } from '../../fhir/resource.ts';
import type { SearchPlan } from '../../fhir/search/algebra.ts';
import { compartmentPredicate, namedPatients, ownerPatients } from '../../fhir/search/compartment.ts';
import { withConcepts } from '../../fhir/search/concepts.ts';
import { PATIENT } from '../../fhir/search/person.ts';
import type { SearchQuery } from '../../fhir/search/query.ts';
import { and } from '../../fhir/search/simplify.ts';
import { parseSystemSearch, type SystemQuery, searchableTypes } from '../../fhir/search/system.ts';
import type { SearchResult, StoredVersion } from '../../store/port.ts';
import type { Caller, Perform, RestContext } from '../context.ts';
import { rawRequest } from '../permission/access-entry.ts';
import type { FhirRequest } from '../request.ts';
import { bundleText, searchEntry } from '../wire/bundle-text.ts';
import { openCursor, sealCursor } from '../wire/cursor.ts';
import { pageLinks, urlOf } from '../wire/links.ts';
import { type Pair, pairsOf } from '../wire/query-text.ts';
import { respond, shapedText } from '../wire/represent.ts';
import { backward, FIRST, onward, type Trail, trailOf, trailText } from '../wire/trail.ts';
import { included } from './include.ts';
import { personOf, personPlanner } from './patient-links.ts';
import { terminology } from './terminology.ts';

type Search = Extract<FhirRequest, { interaction: 'search-type' | 'search-system' }>;
type PageQuery = SystemQuery['page'];

/** 200 with a searchset. Refuses what `parseSearch` refuses, too-costly (400), and a cursor that is not this search's (400). */
export const search: Perform<Search> = async (request, caller, context) => {
  const { settings, ambient } = context;
  const asked = queriesOf(request, context);
  const query = asked.page;
  const queries = await resolvedAll(asked.queries, caller, context);
  if (query.summary === 'text' && query.includes.length + query.revIncludes.length > 0) {
    throw fhirError('invalid', '`_summary=text` cannot be combined with `_include` or `_revinclude`.');
  }
  const plans = await plansOf(request, queries, caller, context);
  const page = await pageOf(request, query, plans, caller, context);
  const additions = await included(page.matches, query, caller, context);
  const total = await totalOf(query, plans, page, context);
  const remarks = [
    ...(query.ignored.length === 0 ? [] : ignoredIssues(query, validNames(queries, context))),
    ...(total?.exact === false ? [ESTIMATED] : []),
  ];
  const text = bundleText({
    id: ambient.newId(),
    at: ambient.now(),
    type: 'searchset',
    total: total?.count,
    links: pageLinks(
      settings.fhirBase + placeOf(request),
      shownOf(query),
      pairsOf(request.rawQuery),
      page.cursor,
      page.previous,
    ),
    entries: [
      ...page.matches.map((version) => entryOf(version, query, 'match', context)),
      ...additions.map((version) => entryOf(version, { ...query, elements: [] }, 'include', context)),
      ...outcomeEntries(remarks),
    ],
  });
  const named = [...ownerPatients(request.compartment), ...plans.flatMap(namedPatients)];
  const patients = new Set([...named, ...[...page.matches, ...additions].flatMap((version) => version.patients)]);
  const raw = rawRequest(request.wire, request.rawQuery, settings.fhirBase);
  return {
    response: respond(200, text, request.representation.pretty),
    entries: [
      {
        ...{ interaction: request.interaction, query: raw, patients: [...patients] },
        ...('type' in request ? { type: request.type } : {}),
      },
    ],
    audited: false,
  };
};

/** One query a type. Of a search over everything, the types that take part in the compartment. */
function queriesOf(request: Search, { capability, definitions, parseSearch }: RestContext): SystemQuery {
  const { handling } = request.representation.prefer;
  const { compartment } = request;
  const takesPart = (type: string): boolean =>
    compartment === undefined || compartmentPredicate(compartment, type, definitions) !== undefined;
  if (request.interaction === 'search-system') {
    const types = searchableTypes(capability).filter(takesPart);
    return parseSystemSearch(request.query, handling, types, parseSearch);
  }
  if (!takesPart(request.type)) {
    throw fhirError('not-found', `No \`${request.type}\` is in a \`${compartment?.type}\` compartment.`);
  }
  const query = parseSearch(request.type, request.query, handling);
  return { page: query, queries: [query] };
}

/** Value sets and hierarchies that the queries name, looked up once for all of them. */
async function resolvedAll(
  queries: readonly SearchQuery[],
  caller: Caller,
  context: RestContext,
): Promise<readonly SearchQuery[]> {
  const known = terminology(caller, context);
  const all: SearchQuery[] = [];
  for (const query of queries) all.push(await withConcepts(query, known));
  return all;
}

/** One plan a query, only for what lies in the compartment that the request names. A patient named is the person: patient-links.ts. */
async function plansOf(
  { compartment }: Search,
  queries: readonly SearchQuery[],
  caller: Caller,
  context: RestContext,
): Promise<readonly SearchPlan[]> {
  const plan = personPlanner(caller.access, context);
  const owners = compartment?.type === PATIENT ? await personOf(compartment.id, caller.access, context) : undefined;
  const plans: SearchPlan[] = [];
  for (const query of queries) {
    const found = await plan(query);
    const inside = compartment && compartmentPredicate(compartment, query.type, context.definitions, owners);
    plans.push(inside === undefined ? found : { ...found, where: and([found.where, inside]) });
  }
  return plans;
}

/** Path of the search by GET. */
function placeOf(request: Search): string {
  const type = request.interaction === 'search-type' ? request.type : undefined;
  if (request.compartment !== undefined) return `/${label(request.compartment)}/${type ?? '*'}`;
  return type === undefined ? '' : `/${type}`;
}

/** Names that are claimed for each of the types. */
function validNames(queries: readonly SearchQuery[], { capability }: RestContext): readonly string[] {
  const [first = [], ...others] = queries.map(({ type }) => [
    ...(capability.types.get(type)?.searchParameters.keys() ?? []),
  ]);
  const sets = others.map((names) => new Set(names));
  return first.filter((name) => sets.every((names) => names.has(name)));
}

/** The parameters of the self link: what was used, and which page this is. */
function shownOf({ used, cursor }: PageQuery): readonly Pair[] {
  const others = used.filter(([name]) => name !== '_cursor');
  return cursor === undefined ? others : [...others, ['_cursor', cursor]];
}

interface MatchPage extends Pick<SearchResult, 'matches'> {
  /** Sealed cursor of the next page. */
  readonly cursor: string | undefined;
  /** The page before; its cursor is undefined when it is the first. */
  readonly previous: { readonly cursor: string | undefined } | undefined;
  readonly isFirst: boolean;
  readonly isCountOnly: boolean;
}

async function pageOf(
  request: Search,
  query: PageQuery,
  plans: readonly SearchPlan[],
  caller: Caller,
  context: RestContext,
): Promise<MatchPage> {
  const { settings, ambient, store } = context;
  const isFirst = query.cursor === undefined;
  if (query.summary === 'count' || query.count === 0) {
    return { matches: [], cursor: undefined, previous: undefined, isFirst, isCountOnly: true };
  }
  const count = Math.min(query.count ?? settings.defaultCount, settings.maxCount);
  const scope = JSON.stringify(['search', placeOf(request), query.used.filter(([name]) => name !== '_cursor')]);
  const binding = { principal: caller.access.principal, scope };
  const now = ambient.now();
  const trail =
    query.cursor === undefined ? FIRST : trailOf(openCursor(settings.cursorKey, binding, query.cursor, now));
  const after = trail.after ?? undefined;
  const [plan, ...others] = plans;
  const { matches, next } =
    plan !== undefined && others.length === 0
      ? await store.search(plan, { count, after })
      : await store.searchTypes(plans, { count, after });
  const sealed = (each: Trail): string | undefined =>
    each.after === null ? undefined : sealCursor(settings.cursorKey, binding, trailText(each), now);
  const back = backward(trail);
  return {
    matches,
    cursor: next === undefined ? undefined : sealed(onward(trail, next)),
    previous: back && { cursor: sealed(back) },
    isFirst,
    isCountOnly: false,
  };
}

/** Bundle.total: always the matches of the whole search. Free when the first page is the last; otherwise counted when asked for. */
type Total = Awaited<ReturnType<RestContext['store']['countTypes']>>;

async function totalOf(
  { total }: PageQuery,
  plans: readonly SearchPlan[],
  { matches, cursor, isFirst, isCountOnly }: MatchPage,
  { store }: RestContext,
): Promise<Total | undefined> {
  if (isCountOnly) return store.countTypes(plans, total === 'estimate' ? 'estimate' : 'accurate');
  if (total === 'none') return undefined;
  if (isFirst && cursor === undefined) return { count: matches.length, exact: true };
  return total === undefined ? undefined : store.countTypes(plans, total);
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

const ESTIMATED: Issue = {
  kind: 'too-costly',
  severity: 'information',
  message: '`total` is an estimate from a sample. `_total=accurate` counts.',
};

/** What there is to say about a page is said in the page. */
function outcomeEntries(issues: readonly Issue[]): readonly string[] {
  return issues.length === 0 ? [] : [searchEntry(undefined, JSON.stringify(operationOutcome(issues)), 'outcome')];
}

/** What `Prefer: handling=lenient` left out. */
function ignoredIssues({ ignored, unindexed }: PageQuery, valid: readonly string[]): readonly Issue[] {
  const list = valid.map((name) => `\`${name}\``).join(', ');
  return ignored.map((name): Issue => {
    const shown = name.slice(0, 64);
    const unready = unindexed?.get(name);
    if (unready !== undefined) {
      return { kind: 'not-indexed', severity: 'warning', message: `\`${shown}\` was ignored: ${unready}.` };
    }
    const message = `The parameter \`${shown}\` is not supported and was ignored. Valid: ${list}.`;
    return { kind: 'unsupported-parameter', severity: 'warning', message };
  });
}
