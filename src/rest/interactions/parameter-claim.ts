/** One code of one type means one thing: at most one active SearchParameter of a client claims it. Judged inside the commit. Source: search.html. */
import { DEFINING_TYPE } from '../../fhir/definitions/custom-parameter.ts';
import { fhirError } from '../../fhir/outcome.ts';
import { label } from '../../fhir/resource.ts';
import type { Predicate, SearchPlan } from '../../fhir/search/algebra.ts';
import { unfilteredPlan } from '../../fhir/search/plan.ts';
import { and, or } from '../../fhir/search/simplify.ts';
import type { Command } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import type { Change } from './change.ts';

/** Whether a change may change what can be searched by. */
export function isDefinition({ key, command }: Change): boolean {
  return key.type === DEFINING_TYPE && command !== undefined;
}

/** Most active definitions of one code that are looked at. */
const LOOKED_AT = 20;

/**
 * Commands that judge inside the commit that nobody else claims the code of an active parameter for one of its types.
 * @throws FhirError `conflict` (409) when another active SearchParameter does, here or in the same transaction
 */
export async function soleClaims(
  changes: readonly Change[],
  caller: Caller,
  context: RestContext,
): Promise<readonly Command[]> {
  const written = new Set(changes.filter(isDefinition).map(({ key }) => label(key)));
  const commands: Command[] = [];
  const claimed = new Set<string>();
  for (const change of changes.filter(isDefinition)) {
    const [code] = tokens(change, 'code');
    const bases = tokens(change, 'base');
    if (code === undefined || !tokens(change, 'status').includes('active')) continue;
    for (const base of bases) {
      const name = `${base} ${code}`;
      if (claimed.has(name)) throw taken(code, base);
      claimed.add(name);
    }
    const plan = claimants(code, bases, caller);
    const { matches } = await context.store.search(plan, { count: LOOKED_AT });
    const other = matches.find(({ key }) => !written.has(label(key)));
    if (other !== undefined) throw taken(code, bases.join(' or '), label(other.key));
    commands.push({ op: 'expect', plan, ids: matches.map(({ key }) => key.id) });
  }
  return commands;
}

function tokens({ command }: Change, element: string): readonly string[] {
  if (command?.op !== 'put') return [];
  const parameter = `${DEFINING_TYPE}.${element}`;
  return command.entries.flatMap((entry) =>
    entry.kind === 'token' && entry.parameter === parameter ? entry.code : [],
  );
}

function claimants(code: string, bases: readonly string[], caller: Caller): SearchPlan {
  const is = (element: string, value: string): Predicate => ({
    kind: 'token',
    parameter: `${DEFINING_TYPE}.${element}`,
    code: value,
  });
  const where = and([is('code', code), or(bases.map((base) => is('base', base))), is('status', 'active')]);
  return unfilteredPlan(DEFINING_TYPE, where, caller.access.principal);
}

function taken(code: string, base: string, by = 'another entry') {
  const message = `\`${code}\` of ${base} is defined by \`${by}\` already; retire that first.`;
  return fhirError('conflict', message, { expression: `${DEFINING_TYPE}.code` });
}
