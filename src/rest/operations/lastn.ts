/**
 * $lastn: the most recent observations of each code. Source: FHIR R4 observation-operation-lastn.html.
 * Codes that one observation names together are one group, transitively; so every observation asked for is looked at, newest first.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';
import { withConcepts } from '../../fhir/search/concepts.ts';
import { planOf } from '../../fhir/search/plan.ts';
import type { SearchQuery } from '../../fhir/search/query.ts';
import { intervalOf, periodInterval, timingInterval } from '../../fhir/time.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { personPlanner } from '../interactions/patient-links.ts';
import { terminology } from '../interactions/terminology.ts';
import { bundleText, searchEntry } from '../wire/bundle-text.ts';
import { pageLinks, urlOf } from '../wire/links.ts';
import { type Pair, pairsOf } from '../wire/query-text.ts';
import { storedResource } from '../wire/represent.ts';
import { wholeOf } from './input.ts';
import type { Operation, OperationCall } from './operation.ts';
import { answered } from './output.ts';

/** Observations looked at for one answer; more is too costly. About 20 us each. */
const LOOKED_AT = 20_000;
const PAGE = 5000;

export const LASTN: Operation = {
  levels: ['type'],
  takes: ['max'],
  searches: true,
  long: true,
  perform: (call, caller, context) => performed(call, caller, context),
};

async function performed(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  const { settings, ambient } = context;
  const max = wholeOf(call.input, 'max') ?? 1;
  const query = await queryOf(call, caller, context);
  const groups = new Groups(max);
  for await (const version of newestFirst(query, caller, context)) groups.add(version);
  const matches = groups.kept();
  const used: readonly Pair[] = [...(call.input.has('max') ? [['max', String(max)] as const] : []), ...query.used];
  const text = bundleText({
    id: ambient.newId(),
    at: ambient.now(),
    type: 'searchset',
    total: matches.length,
    links: pageLinks(`${settings.fhirBase}/${call.type}/$lastn`, used, pairsOf(call.request.rawQuery), undefined),
    entries: matches.map(({ key, text: stored }) =>
      searchEntry(urlOf(settings.fhirBase, key), stored ?? 'null', 'match'),
    ),
  });
  return answered(
    call,
    text,
    matches.flatMap(({ patients }) => patients),
    context,
  );
}

/** @throws FhirError `required` (400) without a subject, or without a category or code */
async function queryOf({ type, search }: OperationCall, caller: Caller, context: RestContext): Promise<SearchQuery> {
  const names = pairsOf(search).map(([name]) => name.split(/[:.]/)[0] ?? '');
  if (!names.some((name) => name === 'patient' || name === 'subject')) {
    throw fhirError('required', '`$lastn` needs `patient` or `subject`.');
  }
  const parameters = context.capability.types.get(type)?.searchParameters;
  const isCode = (name: string): boolean =>
    name === 'category' ||
    /\bcode\b/.test(parameters?.get(name)?.expression ?? '') ||
    /^(?:combo|component)-code/.test(name);
  if (!names.some(isCode)) throw fhirError('required', '`$lastn` needs `category` or a parameter of a code.');
  const query = context.parseSearch(type, search, 'strict');
  const { sort, includes, revIncludes, elements, count, total, summary, cursor } = query;
  const shaping = [sort, includes, revIncludes, elements].some((list) => list.length > 0);
  if (shaping || [count, total, summary, cursor].some((each) => each !== undefined)) {
    throw fhirError('unsupported-parameter', '`$lastn` takes search criteria and `max`, no other result parameters.');
  }
  return withConcepts(query, terminology(caller, context));
}

async function* newestFirst(query: SearchQuery, caller: Caller, context: RestContext): AsyncIterable<StoredVersion> {
  const { type } = query;
  const { where } = await personPlanner(caller.access, context)(query);
  const plan = planOf(type, where, caller.access, [{ parameter: `${type}.date`, indexed: 'date', descending: true }]);
  let after: string | undefined;
  let looked = 0;
  do {
    const page = await context.store.search(plan, { count: PAGE, after });
    looked += page.matches.length;
    if (looked > LOOKED_AT) {
      throw fhirError(
        'too-costly',
        `More than ${LOOKED_AT} observations would be looked at. Ask for fewer codes or a period.`,
      );
    }
    yield* page.matches;
    after = page.next;
  } while (after !== undefined);
}

interface Member {
  readonly version: StoredVersion;
  /** Place in the order, newest first. */
  readonly place: number;
  /** Start of the effective time; undefined = not said, which ties with nothing. */
  readonly at: number | undefined;
}

/** Observations by code: codes that occur together are one group. */
class Groups {
  readonly #max: number;
  /** Code -> its group. */
  readonly #groups = new Map<string, { members: readonly Member[]; keys: readonly string[] }>();
  #place = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(version: StoredVersion): void {
    const resource = storedResource(version.text ?? 'null');
    const member = { version, place: this.#place++, at: effectiveAt(resource) };
    const keys = keysOf(resource.code);
    const met = new Set(keys.flatMap((key) => this.#groups.get(key) ?? []));
    const members = [...[...met].flatMap((group) => group.members), member].toSorted((a, b) => a.place - b.place);
    const all = [...new Set([...keys, ...[...met].flatMap((group) => group.keys)])];
    const group = { members: this.#newest(members), keys: all };
    for (const key of all) this.#groups.set(key, group);
  }

  /** The first `max`, and those at the same time as the last of them. */
  #newest(members: readonly Member[]): readonly Member[] {
    const last = members[this.#max - 1];
    return members.filter((each, index) => index < this.#max || (last?.at !== undefined && each.at === last.at));
  }

  /** Newest first. */
  kept(): readonly StoredVersion[] {
    const members = [...new Set(this.#groups.values())].flatMap((group) => group.members);
    return members.toSorted((a, b) => a.place - b.place).map(({ version }) => version);
  }
}

/** Each coding as a name; the text when there is none. Text is compared as written. */
function keysOf(code: Json | undefined): readonly string[] {
  const concept = code !== undefined && isJsonObject(code) ? code : {};
  const codings = Array.isArray(concept.coding) ? concept.coding.filter(isJsonObject) : [];
  const named = codings.filter((coding) => coding.code !== undefined);
  if (named.length === 0) return [JSON.stringify(['text', concept.text ?? null])];
  return named.map((coding) => JSON.stringify([coding.system ?? null, coding.code ?? null]));
}

function effectiveAt(resource: Resource): number | undefined {
  const text = resource.effectiveDateTime ?? resource.effectiveInstant;
  if (typeof text === 'string') return intervalOf(text)?.low;
  if (isJsonObject(resource.effectivePeriod)) return periodInterval(resource.effectivePeriod)?.low;
  return isJsonObject(resource.effectiveTiming) ? timingInterval(resource.effectiveTiming)?.low : undefined;
}
