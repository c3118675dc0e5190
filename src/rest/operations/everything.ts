/**
 * $everything of a patient or an encounter: its compartment, and what the resources in it point at, one step away.
 * Source: FHIR R4 patient-operation-everything.html, encounter-operation-everything.html. Texts are joined as stored, never parsed.
 */
import { careWithin } from '../../fhir/care-date.ts';
import { fhirError } from '../../fhir/outcome.ts';
import { label, type ResourceKey } from '../../fhir/resource.ts';
import { DAWN, DUSK, type Predicate, type SearchPlan } from '../../fhir/search/algebra.ts';
import { compartmentPredicate } from '../../fhir/search/compartment.ts';
import { PATIENT } from '../../fhir/search/person.ts';
import { planOf } from '../../fhir/search/plan.ts';
import { and, not } from '../../fhir/search/simplify.ts';
import { searchableTypes } from '../../fhir/search/system.ts';
import { type Interval, intervalOf } from '../../fhir/time.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { personOf } from '../interactions/patient-links.ts';
import { bundleText, searchEntry } from '../wire/bundle-text.ts';
import { openCursor, sealCursor } from '../wire/cursor.ts';
import { pageLinks, urlOf } from '../wire/links.ts';
import { type Pair, pairsOf } from '../wire/query-text.ts';
import { heldByKey } from './held.ts';
import { textOf, wholeOf } from './input.ts';
import type { Operation, OperationCall, OperationInput } from './operation.ts';
import { answered } from './output.ts';

/** Resources a page holds, those it points at apart: a record of thousands does not fit in one answer. */
const PAGE = 1000;
/** Ids asked for at once. */
const IDS = 500;
/** What stands in a cursor when the first page had room for the owner only. */
const START = 'start';

/** `outside`: linked resources that lie in the owner's own compartment come by themselves and are not added again. */
type Linked = 'outside' | 'any';

const everything =
  (linked: Linked): Operation['perform'] =>
  (call, caller, context) =>
    performed(call, linked, caller, context);

export const PATIENT_EVERYTHING: Operation = {
  levels: ['instance'],
  elsewhere: 'Everything of all patients is not given at once. Name one: `Patient/[id]/$everything`.',
  takes: ['start', 'end', '_since', '_type', '_count'],
  pages: true,
  long: true,
  perform: everything('outside'),
};
export const ENCOUNTER_EVERYTHING: Operation = {
  levels: ['instance'],
  takes: ['_since', '_type', '_count'],
  pages: true,
  long: true,
  perform: everything('any'),
};

async function performed(
  call: OperationCall,
  linked: Linked,
  caller: Caller,
  context: RestContext,
): Promise<Performed> {
  const { settings, ambient } = context;
  const { owner, matches, added, cursor } = await everythingPage(call, caller, context, linked);
  const entry = (mode: 'match' | 'include') => (version: StoredVersion) =>
    searchEntry(urlOf(settings.fhirBase, version.key), version.text ?? 'null', mode);
  const used = usedOf(call);
  const shown: readonly Pair[] = call.cursor === undefined ? used : [...used, ['_cursor', call.cursor]];
  const text = bundleText({
    id: ambient.newId(),
    at: ambient.now(),
    type: 'searchset',
    total: call.cursor === undefined && cursor === undefined ? matches.length : undefined,
    links: pageLinks(urlOfCall(call, context), shown, pairsOf(call.request.rawQuery), cursor),
    entries: [...matches.map(entry('match')), ...added.map(entry('include'))],
  });
  return answered(
    call,
    text,
    [owner, ...matches, ...added].flatMap(({ patients }) => patients),
    context,
  );
}

/** One page: the owner first, then the compartment type by type; and what the page points at. `cursor` leads on to the next one. */
export async function everythingPage(
  call: OperationCall,
  caller: Caller,
  context: RestContext,
  linked: Linked = 'outside',
): Promise<EverythingPage & { readonly owner: StoredVersion; readonly added: readonly StoredVersion[] }> {
  const owner = await heldByKey(call.key, caller, context);
  const asked = askedOf(call.input, context);
  const person = owner.key.type === PATIENT ? await personOf(owner.key.id, caller.access, context) : [owner.key.id];
  const { matches, cursor } = await pageOf(call, owner, person, asked, caller, context);
  const theirs = { ...owner, patients: [...owner.patients, ...patientsIn(owner, person)] };
  return { owner, matches, cursor, added: await linkedOf(matches, theirs, linked, asked, caller, context) };
}

/** Records of one person are not another patient's. */
const patientsIn = ({ key }: StoredVersion, person: readonly string[]): readonly string[] =>
  key.type === PATIENT ? person : [];

interface Asked {
  /** undefined = all. */
  readonly types: ReadonlySet<string> | undefined;
  /** ms. */
  readonly since: number | undefined;
  readonly care: Interval | undefined;
  readonly count: number;
}

function askedOf(input: OperationInput, { capability }: RestContext): Asked {
  const names = (input.get('_type') ?? []).flatMap(({ value }) => (typeof value === 'string' ? value.split(',') : []));
  if (!names.every((name) => capability.types.has(name))) {
    throw fhirError('value', '`_type` must hold types that this server serves, separated by commas.');
  }
  const count = wholeOf(input, '_count') ?? PAGE;
  if (count < 1) throw fhirError('value', '`_count` must be at least 1.');
  const since = textOf(input, '_since');
  return {
    types: names.length === 0 ? undefined : new Set(names),
    since: since === undefined ? undefined : intervalOf(since)?.low,
    care: careOf(textOf(input, 'start'), textOf(input, 'end')),
    count: Math.min(count, PAGE),
  };
}

function careOf(start: string | undefined, end: string | undefined): Interval | undefined {
  if (start === undefined && end === undefined) return undefined;
  const low = start === undefined ? DAWN : (intervalOf(start)?.low ?? DAWN);
  const high = end === undefined ? DUSK : (intervalOf(end)?.high ?? DUSK);
  if (low < high) return { low, high };
  throw fhirError('value', '`start` is later than `end`.');
}

interface EverythingPage {
  readonly matches: readonly StoredVersion[];
  /** Sealed cursor of the next page. */
  readonly cursor: string | undefined;
}

/** The owner is the first entry of the first page; the rest follows type by type. */
async function pageOf(
  call: OperationCall,
  owner: StoredVersion,
  person: readonly string[],
  asked: Asked,
  caller: Caller,
  context: RestContext,
): Promise<EverythingPage> {
  const { settings, ambient, store } = context;
  const scope = JSON.stringify(['everything', urlOfCall(call, context), usedOf(call)]);
  const binding = { principal: caller.access.principal, scope };
  const now = ambient.now();
  const place = call.cursor === undefined ? undefined : openCursor(settings.cursorKey, binding, call.cursor, now);
  const first = place === undefined && isAsked(owner, asked) ? [owner] : [];
  const plans = plansOf(owner.key, person, asked, caller, context);
  const seal = (after: string | undefined) =>
    after === undefined ? undefined : sealCursor(settings.cursorKey, binding, after, now);
  const count = asked.count - first.length;
  if (count === 0) return { matches: first, cursor: plans.length === 0 ? undefined : seal(START) };
  if (plans.length === 0) return { matches: first, cursor: undefined };
  const page = await store.searchTypes(plans, { count, after: place === START ? undefined : place });
  return { matches: [...first, ...page.matches], cursor: seal(page.next) };
}

function isAsked({ key, at }: StoredVersion, { types, since }: Asked): boolean {
  return (types === undefined || types.has(key.type)) && (since === undefined || at >= since);
}

/** One plan a type of the compartment; AuditEvents are apart and never in it. */
function plansOf(
  owner: ResourceKey,
  person: readonly string[],
  asked: Asked,
  caller: Caller,
  context: RestContext,
): readonly SearchPlan[] {
  const { capability, definitions } = context;
  return searchableTypes(capability).flatMap((type) => {
    const inside = compartmentPredicate(owner, type, definitions, person);
    if (inside === undefined || !(asked.types?.has(type) ?? true)) return [];
    const where: Predicate[] = [inside];
    if (type === owner.type) where.push(not({ kind: 'ids', ids: [owner.id] }));
    else if (asked.care !== undefined) where.push(careWithin(type, asked.care, capability));
    if (asked.since !== undefined) where.push(since(type, asked.since));
    const plan = planOf(type, and(where), caller.access);
    return plan.where.kind === 'none' ? [] : [plan];
  });
}

function since(type: string, low: number): Predicate {
  return { kind: 'interval', parameter: `${type}._lastUpdated`, relation: 'ge', low, high: low + 1 };
}

/** Relative references in a stored text; inside a JSON string the quotes would be escaped. */
const REFERENCE = /"reference":"([A-Z][A-Za-z]{0,63})\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/[^"]*)?"/g;

/**
 * What the page points at, one step away, except what belongs to another patient. `_since` is not asked of them: a new resource may
 * point at an old one that the client has not seen.
 */
async function linkedOf(
  matches: readonly StoredVersion[],
  owner: StoredVersion,
  linked: Linked,
  { types }: Asked,
  caller: Caller,
  context: RestContext,
): Promise<readonly StoredVersion[]> {
  const held = new Set([label(owner.key), ...matches.map(({ key }) => label(key))]);
  const wanted = new Map<string, Set<string>>();
  for (const { text = '' } of matches) {
    for (const [, type = '', id = ''] of text.matchAll(REFERENCE)) {
      if (held.has(`${type}/${id}`) || !(types?.has(type) ?? true)) continue;
      const ids = wanted.get(type) ?? new Set<string>();
      wanted.set(type, ids.add(id));
    }
  }
  const found: StoredVersion[] = [];
  const searchable = new Set(searchableTypes(context.capability));
  for (const [type, ids] of wanted) {
    if (!searchable.has(type)) continue;
    if (linked === 'outside' && compartmentPredicate(owner.key, type, context.definitions) !== undefined) continue;
    found.push(...(await byIds(type, [...ids], caller, context)));
  }
  return found.filter(({ patients }) => patients.every((patient) => owner.patients.includes(patient)));
}

async function byIds(
  type: string,
  ids: readonly string[],
  caller: Caller,
  { store }: RestContext,
): Promise<readonly StoredVersion[]> {
  const found: StoredVersion[] = [];
  for (let from = 0; from < ids.length; from += IDS) {
    const some = ids.slice(from, from + IDS);
    const plan = planOf(type, { kind: 'ids', ids: some }, caller.access, [], 'read');
    const page = await store.search(plan, { count: some.length });
    found.push(...page.matches);
  }
  return found;
}

export function urlOfCall({ key, definition }: OperationCall, { settings }: RestContext): string {
  return `${settings.fhirBase}/${key === undefined ? '' : label(key)}/$${definition.code}`;
}

/** The parameters as a query: those of a POST too, so that its next link is a GET. */
export function usedOf({ input }: OperationCall): readonly Pair[] {
  return [...input.values()].flatMap((list) => list.map(({ name, value }): Pair => [name, String(value)]));
}
