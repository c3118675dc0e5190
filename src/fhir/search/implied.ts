/**
 * Access that a search already asks for: `patient=1` by a token for Patient/1 asks each match for its compartment again. Left out only where one
 * index row proves the other, and only when both name the same patients, so that the plan finds and names what it did.
 */
import type { Capability } from '../definitions/capability.ts';
import type { ParameterKey, Predicate } from './algebra.ts';
import { and } from './simplify.ts';

type Reference = Extract<Predicate, { kind: 'reference' }>;

/** What of `visible` is left to ask of resources that satisfy `where`. */
export function unimplied(visible: Predicate, where: Predicate, { types }: Pick<Capability, 'types'>): Predicate {
  const given = (where.kind === 'and' ? where.of : [where]).filter((each) => each.kind === 'reference');
  if (given.length === 0 || visible.kind === 'all') return visible;
  const isImplied = (each: Predicate): boolean => {
    if (each.kind === 'or') return each.of.some(isImplied);
    return each.kind === 'reference' && each.version === undefined && given.some((one) => implies(one, each, types));
  };
  return and((visible.kind === 'and' ? visible.of : [visible]).filter((each) => !isImplied(each)));
}

function implies(given: Reference, asked: Reference, types: Capability['types']): boolean {
  return (
    isSame(given.targets, asked.targets) &&
    (given.parameter === asked.parameter || narrows(given.parameter, asked.parameter, types))
  );
}

const isSame = (one: readonly string[], other: readonly string[]): boolean =>
  one.every((each) => other.includes(each)) && other.every((each) => one.includes(each));

/** Whether every row of one parameter is one of the other too: `Observation.subject.where(resolve() is Patient)` of `Observation.subject`. */
function narrows(narrow: ParameterKey, wide: ParameterKey, types: Capability['types']): boolean {
  const expression = (key: ParameterKey): string | undefined => {
    const dot = key.indexOf('.');
    return types.get(key.slice(0, dot))?.searchParameters.get(key.slice(dot + 1))?.expression;
  };
  const whole = expression(wide);
  return whole !== undefined && expression(narrow) === `${whole}.where(resolve() is Patient)`;
}
