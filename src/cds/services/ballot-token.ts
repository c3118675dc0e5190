/**
 * Prefetch tokens that the CDS Hooks 3.0 ballot adds: `today()` with an offset, and paths through the context or an earlier read. Legal only while
 * CDS_HOOKS_3 is on. Source: CDS Hooks 3.0.0-ballot "Prefetch tokens", "Simpler FHIRPath".
 */
import { isJsonObject, isNumber, type Json, type JsonObject, lexemeOf, type Resource } from '../../fhir/resource.ts';
import { type ByReference, byReference, entriesOf } from '../hook/draft-orders.ts';
import { isResource, referenceOf, relativeOf } from '../hook/subject.ts';

type Step =
  | { readonly kind: 'member'; readonly name: string }
  | { readonly kind: 'ofType'; readonly type: string }
  | { readonly kind: 'resolve' };
interface Path {
  /** `context`, or the key of an earlier read. */
  readonly root: { readonly kind: 'context' | 'key'; readonly name: string };
  readonly steps: readonly Step[];
}
type Unit = 'day' | 'week' | 'month' | 'year';
export type BallotToken =
  | { readonly kind: 'today'; readonly by: number; readonly unit: Unit }
  | { readonly kind: 'paths'; readonly paths: readonly Path[] };

/** What a token can see in a call. */
export interface TokenSources {
  readonly context: JsonObject;
  /** The day of the call, `2026-01-15`, in UTC. */
  readonly today: string;
  /** Resources of earlier reads, by prefetch key. */
  readonly earlier: ReadonlyMap<string, readonly Resource[]>;
}

const TODAY = /^today\(\)(?:\s*([+-])\s*(\d{1,4})\s+(day|week|month|year)s?)?$/;
const ROOT = /^(?:context\.([A-Za-z][A-Za-z0-9]*)|%([A-Za-z][A-Za-z0-9_-]*))((?:\.[A-Za-z]+(?:\([A-Za-z]*\))?)*)$/;
const STEP = /\.([A-Za-z]+)(?:\(([A-Za-z]*)\))?/g;
/** Longest token, and most alternatives of one. */
const LONGEST = 300;
const MOST_PATHS = 8;
/** Values of one token; more are no question that can be asked. */
const MOST_VALUES = 100;

/** The token, or undefined for what the ballot does not know. @param text between the braces */
export function ballotToken(text: string): BallotToken | undefined {
  if (text.length > LONGEST) return undefined;
  const day = TODAY.exec(text.trim());
  if (day !== null) {
    const [, sign = '+', count = '0', unit = 'day'] = day;
    return { kind: 'today', by: Number(`${sign}${count}`), unit: unitOf(unit) };
  }
  const paths = text.split('|').map((part) => pathOf(part.trim()));
  const known = paths.filter((path) => path !== undefined);
  return known.length === paths.length && known.length <= MOST_PATHS ? { kind: 'paths', paths: known } : undefined;
}

const UNITS: readonly Unit[] = ['day', 'week', 'month', 'year'];
const unitOf = (text: string): Unit => UNITS.find((unit) => unit === text) ?? 'day';

function pathOf(text: string): Path | undefined {
  const [, field, key, rest = ''] = ROOT.exec(text) ?? [];
  const name = field ?? key;
  if (name === undefined || rest === '') return undefined; // a field alone is a token of 2.0, or no primitive
  const steps = [...rest.matchAll(STEP)].map(([, called = '', argument]): Step | undefined => {
    if (argument === undefined) return { kind: 'member', name: called };
    if (called === 'ofType' && argument !== '') return { kind: 'ofType', type: argument };
    return called === 'resolve' && argument === '' ? { kind: 'resolve' } : undefined;
  });
  const known = steps.filter((step) => step !== undefined);
  return known.length === steps.length
    ? { root: { kind: field === undefined ? 'key' : 'context', name }, steps: known }
    : undefined;
}

/** Names at the root of a token: fields of the context, and keys of earlier reads. */
export function rootsOf(token: BallotToken): readonly Path['root'][] {
  return token.kind === 'today' ? [] : token.paths.map(({ root }) => root);
}

/** The distinct values of a token in a call, in order; none: the question cannot be asked. Only primitives count. */
export function valuesOf(token: BallotToken, sources: TokenSources): readonly string[] {
  if (token.kind === 'today') return [shifted(sources.today, token.by, token.unit)];
  const index = indexOf(sources);
  const found = token.paths.flatMap((path) => walk(path, sources, index));
  const texts = [...new Set(found.flatMap(({ value }) => textOf(value)))];
  return texts.length > MOST_VALUES ? [] : texts;
}

/** A day of another month that has no such day is its last one, as FHIRPath has it. */
function shifted(day: string, by: number, unit: Unit): string {
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number);
  const days = unit === 'day' ? by : unit === 'week' ? by * 7 : 0;
  const months = unit === 'month' ? by : unit === 'year' ? by * 12 : 0;
  const last = new Date(Date.UTC(year, month + months, 0)).getUTCDate();
  const at = Date.UTC(year, month - 1 + months, Math.min(date, last) + days);
  return new Date(at).toISOString().slice(0, 10);
}

interface Node {
  readonly value: Json;
  /** Data type, where the name of the element says it: `Reference` of `medicationReference`. */
  readonly type: string | undefined;
  /** The resource it stands in: `#m` is resolved there. */
  readonly within: Resource | undefined;
}

function walk({ root, steps }: Path, { context, earlier }: TokenSources, index: ByReference): readonly Node[] {
  const start: readonly Node[] =
    root.kind === 'context'
      ? members({ value: context, type: undefined, within: undefined }, root.name)
      : (earlier.get(root.name) ?? []).map((value) => ({ value, type: value.resourceType, within: value }));
  return steps.reduce<readonly Node[]>((nodes, step) => nodes.flatMap((node) => stepped(node, step, index)), start);
}

function stepped(node: Node, step: Step, index: ByReference): readonly Node[] {
  switch (step.kind) {
    case 'member':
      return members(node, step.name);
    case 'ofType':
      return node.type === step.type ? [node] : [];
    case 'resolve':
      return resolved(node, index);
  }
}

/** The element, or that of a choice: `medication` is also `medicationReference`. */
function members({ value, within }: Node, name: string): readonly Node[] {
  if (!isJsonObject(value)) return [];
  const owner = isResource(value) ? value : within;
  const choice = new RegExp(`^${name}([A-Z][A-Za-z]*)$`);
  const key = Object.hasOwn(value, name) ? name : Object.keys(value).find((each) => choice.test(each));
  const found = key === undefined ? undefined : value[key];
  if (key === undefined || found === undefined || found === null) return [];
  const type = choice.exec(key)?.[1];
  return (Array.isArray(found) ? found : [found]).map((item: Json) => ({
    value: item,
    type: isResource(item) ? item.resourceType : type,
    within: isResource(item) ? item : owner,
  }));
}

/** What is contained, in the call, or was read earlier; of anything else only type and id are known, which is what a search needs. */
function resolved({ value, within }: Node, index: ByReference): readonly Node[] {
  const reference = typeof value === 'string' ? value : referenceOf(value);
  if (reference === undefined) return [];
  if (reference.startsWith('#')) {
    const contained: readonly Json[] = Array.isArray(within?.contained) ? within.contained : [];
    const found = contained.filter(isResource).find(({ id }) => id === reference.slice(1));
    return found === undefined ? [] : [{ value: found, type: found.resourceType, within }];
  }
  const relative = relativeOf(reference);
  const [type = '', id = ''] = relative?.split('/') ?? [];
  const known =
    index.get(reference) ?? index.get(relative ?? '') ?? (id === '' ? undefined : { resourceType: type, id });
  return known === undefined ? [] : [{ value: known, type: known.resourceType, within: known }];
}

function indexOf({ context, earlier }: TokenSources): ByReference {
  const bundles = Object.values(context).filter(isJsonObject);
  const read = [...earlier.values()]
    .flat()
    .map((resource) => [`${resource.resourceType}/${resource.id}`, resource] as const);
  return new Map([...bundles.flatMap((bundle) => [...byReference(entriesOf(bundle))]), ...read]);
}

function textOf(value: Json): readonly string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (typeof value === 'boolean') return [String(value)];
  return isNumber(value) ? [lexemeOf(value)] : [];
}
