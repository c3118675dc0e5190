/**
 * Whether one resource in hand satisfies a predicate: the algebra judged on its index entries, without a store. Meaning: algebra.ts.
 * `chain` and `has` need other resources, so they cannot be asked here: refuse them with `needsOthers` first.
 */
import type { IndexEntry, Predicate, Relation } from './algebra.ts';
import { EARTH_RADIUS, latitudeKey, longitudeKey } from './near.ts';

export interface Subject {
  readonly type: string;
  readonly id: string;
  /** ms; meta.lastUpdated. */
  readonly at: number;
  readonly entries: readonly IndexEntry[];
}

type Leaf = Extract<Predicate, { kind: 'token' | 'string' | 'reference' | 'uri' | 'interval' | 'quantity' | 'text' }>;

/** True when a predicate joins other resources. */
export function needsOthers(predicate: Predicate): boolean {
  switch (predicate.kind) {
    case 'chain':
    case 'has':
      return true;
    case 'and':
    case 'or':
      return predicate.of.some(needsOthers);
    case 'not':
      return needsOthers(predicate.of);
    case 'composite':
      return predicate.components.some(needsOthers);
    default:
      return false;
  }
}

/** From here on a list is looked up in a set, made once: that of patients whose Consents deny is asked of every resource in hand. */
const MANY = 16;
const sets = new WeakMap<readonly string[], ReadonlySet<string>>();

function isOneOf(text: string, list: readonly string[]): boolean {
  if (list.length <= MANY) return list.includes(text);
  const known = sets.get(list) ?? new Set(list);
  sets.set(list, known);
  return known.has(text);
}

/** @throws TypeError on `chain` and `has` */
export function satisfies(predicate: Predicate, subject: Subject): boolean {
  switch (predicate.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'ids':
      return isOneOf(subject.id, predicate.ids);
    case 'and':
      return predicate.of.every((each) => satisfies(each, subject));
    case 'or':
      return predicate.of.some((each) => satisfies(each, subject));
    case 'not':
      return !satisfies(predicate.of, subject);
    case 'missing':
      return predicate.missing !== subject.entries.some(({ parameter }) => parameter === predicate.parameter);
    case 'near':
      return isNear(predicate, subject);
    case 'composite':
      return inOneGroup(predicate.components, subject);
    case 'interval':
      if (predicate.parameter === `${subject.type}._lastUpdated`) {
        return lies(predicate.relation, subject.at, subject.at + 1, predicate.low, predicate.high, false);
      }
      return subject.entries.some((entry) => holds(predicate, entry));
    case 'token':
    case 'string':
    case 'reference':
    case 'uri':
    case 'quantity':
    case 'text':
      return subject.entries.some((entry) => holds(predicate, entry));
    case 'chain':
    case 'has':
      throw new TypeError('One resource alone cannot answer a chain.');
    default:
      return predicate satisfies never;
  }
}

/** Some group of rows of the first component's satisfies every component. */
function inOneGroup(components: readonly Predicate[], subject: Subject): boolean {
  const groups = new Set(subject.entries.flatMap(({ group }) => (group > 0 ? [group] : [])));
  return [...groups].some((group) => {
    const within = { ...subject, entries: subject.entries.filter((entry) => entry.group === group) };
    return components.every((component) => satisfies(component, within));
  });
}

function holds(leaf: Leaf, entry: IndexEntry): boolean {
  switch (leaf.kind) {
    case 'token': {
      if (entry.kind !== 'token' || entry.parameter !== leaf.parameter) return false;
      const inSystem = leaf.system === undefined || leaf.system === entry.system;
      return inSystem && (leaf.code === undefined || leaf.code === entry.code);
    }
    case 'string':
      return entry.kind === 'string' && entry.parameter === leaf.parameter && reads(leaf, entry.folded, entry.exact);
    case 'reference': {
      if (entry.kind !== 'reference' || entry.parameter !== leaf.parameter) return false;
      return isOneOf(entry.target, leaf.targets) && (leaf.version === undefined || leaf.version === entry.version);
    }
    case 'uri': {
      if (entry.kind !== 'uri' || entry.parameter !== leaf.parameter) return false;
      if (leaf.match === 'exact') return entry.value === leaf.value;
      return leaf.match === 'below' ? isBelow(entry.value, leaf.value) : isBelow(leaf.value, entry.value);
    }
    case 'interval': {
      const { relation, low, high } = leaf;
      return (
        entry.kind === 'date' &&
        entry.parameter === leaf.parameter &&
        lies(relation, entry.low, entry.high, low, high, false)
      );
    }
    case 'quantity': {
      if (entry.kind !== 'quantity' || entry.parameter !== leaf.parameter) return false;
      const inUnit = leaf.unit === undefined ? !entry.unit.startsWith('canonical|') : leaf.unit === entry.unit;
      return inUnit && lies(leaf.relation, entry.low, entry.high, leaf.low, leaf.high, true);
    }
    case 'text': {
      if (entry.kind !== 'text') return false;
      const narrative = leaf.parameter.replace(/\._content$/, '._text');
      const isOne = entry.parameter === leaf.parameter || entry.parameter === narrative;
      return isOne && ` ${entry.text} `.includes(` ${leaf.words.join(' ')} `);
    }
    default:
      return leaf satisfies never;
  }
}

function reads({ match, value }: Extract<Leaf, { kind: 'string' }>, folded: string, exact: string): boolean {
  switch (match) {
    case 'exact':
      return exact === value;
    case 'equal':
      return folded === value;
    case 'prefix':
      return folded.startsWith(value);
    case 'suffix':
      return folded.endsWith(value);
    case 'contains':
      return folded.includes(value);
    default:
      return match satisfies never;
  }
}

const isBelow = (value: string, base: string): boolean =>
  value === base || value.startsWith(base.endsWith('/') ? base : `${base}/`);

/** A stored [l, h) to the searched [a, b); closed on both sides for quantities. */
function lies(relation: Relation, l: number, h: number, a: number, b: number, closed: boolean): boolean {
  const isWithin = a <= l && l <= b && h <= b;
  switch (relation) {
    case 'eq':
      return isWithin;
    case 'ne':
      return l < a || h > b;
    case 'gt':
      return h > b;
    case 'lt':
      return l < a;
    case 'ge':
      return l >= a || h > b;
    case 'le':
      return l < a || h <= b;
    case 'sa':
      return closed ? l > b : l >= b;
    case 'eb':
      return closed ? h < a : h <= a;
    case 'ap':
      return closed ? h >= a && l <= b : h > a && l < b;
    default:
      return relation satisfies never;
  }
}

/** Great-circle distance (haversine) of the first position. */
function isNear(predicate: Extract<Predicate, { kind: 'near' }>, { entries }: Subject): boolean {
  const degrees = (parameter: string): number | undefined => {
    const row = entries.find((entry) => entry.kind === 'quantity' && entry.parameter === parameter);
    return row?.kind === 'quantity' ? row.low : undefined;
  };
  const latitude = degrees(latitudeKey(predicate.parameter));
  const longitude = degrees(longitudeKey(predicate.parameter));
  if (latitude === undefined || longitude === undefined) return false;
  const radians = (value: number): number => (value * Math.PI) / 180;
  const half = (from: number, to: number): number => Math.sin(radians(to - from) / 2) ** 2;
  const across = Math.cos(radians(latitude)) * Math.cos(radians(predicate.latitude));
  const chord = half(latitude, predicate.latitude) + across * half(longitude, predicate.longitude);
  return 2 * EARTH_RADIUS * Math.asin(Math.min(1, Math.sqrt(chord))) <= predicate.metres;
}
