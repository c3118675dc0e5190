/**
 * Contained resources as part of what refers to them: a chained condition also looks into them. Source: FHIR R4 search.html#contained, #chaining.
 * Their rows are rows of the container, under the reference that leads to them: `MedicationRequest.medication:contained:Medication.code`.
 */
import { isJsonObject, type Resource } from '../resource.ts';
import type { IndexEntry, ParameterKey, Predicate } from './algebra.ts';
import { and, NONE, not, or } from './simplify.ts';
import { SEARCH_LIMITS } from './types.ts';

/** A reference `#id` at a search parameter. */
export interface Fragment {
  readonly parameter: ParameterKey;
  readonly id: string;
}
export interface Extracted {
  readonly rows: readonly IndexEntry[];
  readonly fragments: readonly Fragment[];
}
/** Rows of a resource by the claimed parameters of its type; undefined when the type is not one that chains lead to. */
export type ExtractOf = (type: string, resource: Resource) => Extracted | undefined;

/** Most rows of contained resources in one resource. They are made in the order of depth; what lies beyond is not found by chains. */
const MOST_ROWS = 10_000;

/** Stands where the name of a type stands in the keys of the type's own parameters. */
export function containedScope(parameter: ParameterKey, type: string): string {
  return `${parameter}:contained:${type}`;
}

/** Rows of this parameter say of which types the contained resources are that a reference leads to. */
export function containedKey(parameter: ParameterKey): ParameterKey {
  return `${parameter}:contained`;
}

/** Rows of everything contained that the fragments lead to, over at most as many references as a chain has. */
export function containedRows(root: Resource, fragments: readonly Fragment[], extractOf: ExtractOf): IndexEntry[] {
  const contained = Array.isArray(root.contained) ? root.contained.filter(isJsonObject) : [];
  const rows = new Map<string, IndexEntry>();
  const seen = new Set<string>();
  let group = 0;
  let level = fragments;
  for (let depth = 0; depth < SEARCH_LIMITS.chainDepth && level.length > 0; depth++) {
    const next: Fragment[] = [];
    for (const { parameter, id } of level) {
      const found = contained.find((each) => each.id === id);
      const type = found?.resourceType;
      const name = `${parameter} ${id}`;
      if (typeof type !== 'string' || seen.has(name)) continue;
      seen.add(name);
      // Its own fragments are looked for among its siblings.
      const inside = extractOf(type, { ...found, resourceType: type, contained });
      if (inside === undefined) continue;
      const scope = containedScope(parameter, type);
      const below = (key: ParameterKey): ParameterKey => scope + key.slice(type.length);
      const marker: IndexEntry = {
        kind: 'token',
        parameter: containedKey(parameter),
        system: '',
        code: type,
        group: 0,
      };
      const groups = Math.max(0, ...inside.rows.map((row) => row.group));
      for (const row of [marker, ...inside.rows.map((each) => ({ ...each, parameter: below(each.parameter) }))]) {
        const entry = row.group === 0 ? row : { ...row, group: row.group + group };
        rows.set(JSON.stringify(entry), entry);
      }
      if (rows.size > MOST_ROWS) return [...rows.values()].slice(0, MOST_ROWS);
      group += groups;
      next.push(...inside.fragments.map((each) => ({ ...each, parameter: below(each.parameter) })));
    }
    level = next;
  }
  return [...rows.values()];
}

/**
 * What a link of a chain asks of a contained resource: `where` was made with `containedScope`. Nothing is said of ids, instants and full
 * text: a contained resource has none. Several contained resources at one reference are judged together under `:not` and `:missing`.
 */
export function containedPredicate(parameter: ParameterKey, type: string, where: Predicate): Predicate {
  const asked = withoutOwn(where);
  if (!holdsWithoutRows(asked)) return asked;
  return and([{ kind: 'token', parameter: containedKey(parameter), system: '', code: type }, asked]);
}

/** Without what only a resource of its own has. */
function withoutOwn(where: Predicate): Predicate {
  switch (where.kind) {
    case 'and':
      return and(where.of.map(withoutOwn));
    case 'or':
      return or(where.of.map(withoutOwn));
    case 'not':
      return not(withoutOwn(where.of));
    case 'ids':
    case 'text':
    case 'has':
      return NONE;
    case 'interval':
      return where.parameter.endsWith('._lastUpdated') ? NONE : where;
    default:
      return where;
  }
}

/** True when a resource without any row could satisfy it. */
function holdsWithoutRows(where: Predicate): boolean {
  switch (where.kind) {
    case 'all':
    case 'not':
      return true;
    case 'missing':
      return where.missing;
    case 'and':
      return where.of.every(holdsWithoutRows);
    case 'or':
      return where.of.some(holdsWithoutRows);
    default:
      return false;
  }
}
