/** Just enough search meaning for tests of pages and links: tokens and references, `_id`, includes and result parameters. */
import type { Capability } from '../../src/fhir/capability.ts';
import { fhirError } from '../../src/fhir/outcome.ts';
import type { AccessFilter, Predicate, SearchPlan } from '../../src/fhir/search/algebra.ts';
import type { Include, SearchQuery } from '../../src/fhir/search/query.ts';
import { pairsOf } from '../../src/rest/query-text.ts';

const RESULT = /^_(?:count|total|summary|elements|cursor|include|revinclude)(?::iterate)?$/;

export function stubParse({ types }: Capability) {
  return (type: string, text: string, handling: 'strict' | 'lenient'): SearchQuery => {
    const pairs = pairsOf(text);
    const isKnown = (name: string): boolean =>
      RESULT.test(name) || name === '_id' || types.get(type)?.searchParameters.has(name) === true;
    const unknown = pairs.filter(([name]) => !isKnown(name)).map(([name]) => name);
    if (unknown.length > 0 && handling === 'strict') throw fhirError('unsupported-parameter', 'Unknown parameter.');
    const used = pairs.filter(([name]) => isKnown(name));
    const one = (name: string): string | undefined => used.find(([given]) => given === name)?.[1];
    const includes = (name: string): readonly Include[] =>
      used.filter(([given]) => given.split(':')[0] === name).map(([given, value]) => includeOf(given, value));
    const includeOf = (given: string, value: string): Include => {
      const [source = '', code = '', target] = value.split(':');
      const parameter = code === '*' ? '*' : types.get(source)?.searchParameters.get(code);
      if (parameter === undefined) throw fhirError('unsupported-parameter', 'Unknown include.');
      return { source, parameter, target, iterate: given.endsWith(':iterate') };
    };
    const count = one('_count');
    const criteria = used.filter(([name]) => !RESULT.test(name));
    const query: SearchQuery = {
      type,
      criteria: [],
      sort: [],
      count: count === undefined ? undefined : Number(count),
      total: one('_total') as SearchQuery['total'],
      includes: includes('_include'),
      revIncludes: includes('_revinclude'),
      summary: one('_summary') as SearchQuery['summary'],
      elements: one('_elements')?.split(',') ?? [],
      cursor: one('_cursor'),
      used,
      ignored: unknown,
    };
    ASKED.set(
      query,
      criteria.map(([name, value]) => predicateOf(types, type, name, value.split(','))),
    );
    return query;
  };
}

/** What a query asks, until it is planned. */
const ASKED = new WeakMap<SearchQuery, readonly Predicate[]>();

function predicateOf(types: Capability['types'], type: string, name: string, values: readonly string[]): Predicate {
  if (name === '_id') return { kind: 'ids', ids: values };
  const parameter = `${type}.${name}`;
  if (types.get(type)?.searchParameters.get(name)?.type === 'reference') {
    return { kind: 'reference', parameter, targets: values };
  }
  return { kind: 'or', of: values.map((code) => ({ kind: 'token', parameter, code })) };
}

export function stubPlan(query: SearchQuery, access: AccessFilter): SearchPlan {
  const { type } = query;
  const of = [...(ASKED.get(query) ?? []), access.visible(type)];
  return { type, where: { kind: 'and', of }, sort: [], principal: access.principal };
}
