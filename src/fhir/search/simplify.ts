/** Builders of predicates that fold `all` and `none` and flatten nests, so that an engine sees no empty work. Meaning: algebra.ts. */
import type { ParameterKey, Predicate } from './algebra.ts';

export const ALL: Predicate = { kind: 'all' };
export const NONE: Predicate = { kind: 'none' };

/** Every one; `all` of nothing. */
export function and(predicates: readonly Predicate[]): Predicate {
  const of = predicates
    .flatMap((each) => (each.kind === 'and' ? each.of : [each]))
    .filter((each) => each.kind !== 'all');
  if (of.some((each) => each.kind === 'none')) return NONE;
  const [only] = of;
  if (only === undefined) return ALL;
  return of.length === 1 ? only : { kind: 'and', of };
}

/** At least one; `none` of nothing. */
export function or(predicates: readonly Predicate[]): Predicate {
  const of = predicates
    .flatMap((each) => (each.kind === 'or' ? each.of : [each]))
    .filter((each) => each.kind !== 'none');
  if (of.some((each) => each.kind === 'all')) return ALL;
  const [only] = of;
  if (only === undefined) return NONE;
  return of.length === 1 ? only : { kind: 'or', of };
}

export function not(of: Predicate): Predicate {
  if (of.kind === 'all') return NONE;
  if (of.kind === 'none') return ALL;
  return of.kind === 'not' ? of.of : { kind: 'not', of };
}

export function chain(parameter: ParameterKey, type: string, where: Predicate): Predicate {
  return where.kind === 'none' ? NONE : { kind: 'chain', parameter, type, where };
}

export function has(type: string, parameter: ParameterKey, where: Predicate): Predicate {
  return where.kind === 'none' ? NONE : { kind: 'has', type, parameter, where };
}

/** What is left to ask of a resource without a value of the parameter. Chains and composites are left as they are. */
export function withoutRows(predicate: Predicate, parameter: ParameterKey): Predicate {
  switch (predicate.kind) {
    case 'token':
      return predicate.parameter === parameter ? NONE : predicate;
    case 'and':
      return and(predicate.of.map((each) => withoutRows(each, parameter)));
    case 'or':
      return or(predicate.of.map((each) => withoutRows(each, parameter)));
    case 'not':
      return not(withoutRows(predicate.of, parameter));
    default:
      return predicate;
  }
}
