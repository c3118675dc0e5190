/** `:in`, `:not-in`, `:above` and `:below` of tokens -> the concepts they stand for, before there is a plan. Source: search.html#modifiers. */
import { fhirError } from '../outcome.ts';
import type { Criterion, SearchQuery } from './query.ts';
import { splitUnescaped, unescaped } from './value.ts';
import { type Concept, subsumedConcepts, type Terminology, valueSetConcepts } from './value-set.ts';

type Value = Extract<Criterion, { kind: 'value' }>;

const STANDS_FOR_CONCEPTS: ReadonlySet<string | undefined> = new Set(['in', 'not-in', 'above', 'below']);

/** True for a token whose value names a value set or a place in a hierarchy. */
export function namesConcepts({ parameter, modifier }: Value): boolean {
  return parameter.type === 'token' && STANDS_FOR_CONCEPTS.has(modifier);
}

function anyNames(criterion: Criterion): boolean {
  switch (criterion.kind) {
    case 'value':
      return namesConcepts(criterion);
    case 'chain':
      return criterion.links.some(({ where }) => anyNames(where));
    case 'has':
      return anyNames(criterion.where);
    case 'all':
    case 'any':
      return criterion.of.some(anyNames);
    case 'none':
      return anyNames(criterion.of);
    default:
      return false;
  }
}

/**
 * The query with every such criterion replaced by its concepts; the same query when there is none.
 * @throws FhirError what `valueSetConcepts` and `subsumedConcepts` refuse
 */
export async function withConcepts(query: SearchQuery, terminology: Terminology): Promise<SearchQuery> {
  if (!query.criteria.some(anyNames)) return query;
  const criteria: Criterion[] = [];
  for (const criterion of query.criteria) criteria.push(await resolved(criterion, terminology));
  return { ...query, criteria };
}

async function resolved(criterion: Criterion, terminology: Terminology): Promise<Criterion> {
  switch (criterion.kind) {
    case 'value':
      return namesConcepts(criterion) ? named(criterion, terminology) : criterion;
    case 'chain': {
      const links: (typeof criterion.links)[number][] = [];
      for (const link of criterion.links) links.push({ ...link, where: await resolved(link.where, terminology) });
      return { ...criterion, links };
    }
    case 'has':
      return { ...criterion, where: await resolved(criterion.where, terminology) };
    case 'all':
    case 'any': {
      const of: Criterion[] = [];
      for (const each of criterion.of) of.push(await resolved(each, terminology));
      return { ...criterion, of };
    }
    case 'none':
      return { ...criterion, of: await resolved(criterion.of, terminology) };
    default:
      return criterion;
  }
}

async function named({ parameter, modifier, values }: Value, terminology: Terminology): Promise<Criterion> {
  const concepts: Concept[] = [];
  for (const value of values) {
    if (modifier === 'above' || modifier === 'below') {
      const [system = '', code = '', ...more] = splitUnescaped(value, '|').map(unescaped);
      if (system === '' || code === '' || more.length > 0) {
        throw fhirError('value', `A value of \`${parameter.code}:${modifier}\` is not of the form system|code.`);
      }
      concepts.push(...(await subsumedConcepts({ system, code }, modifier, terminology)));
    } else concepts.push(...(await valueSetConcepts(unescaped(value), terminology)));
  }
  return { kind: 'concepts', parameter, negated: modifier === 'not-in', concepts };
}
