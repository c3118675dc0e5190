/** What a caller may do with a Binary that names a securityContext. Source: FHIR R4 binary.html (Binary.securityContext); decision 0046. */
import type { AccessFilter, Predicate, Verb } from '../fhir/search/algebra.ts';
import { BINARY, SECURITY_CONTEXT, UNGUARDED } from '../fhir/search/security-context.ts';
import { ALL, chain, or } from '../fhir/search/simplify.ts';
import { EXPLICIT_ONLY } from './reach.ts';

/** Nothing stands for itself in a circle, and what is no resource of the store's tables stands for nothing. */
const NO_CONTEXT: ReadonlySet<string> = new Set([BINARY, ...EXPLICIT_ONLY]);

/**
 * Beside what scopes, roles and labels say of Binary itself: what it names must be there to be read; to be searched for a search.
 * Who sees everything of every type is asked nothing.
 */
export function throughContext(verb: Verb, types: Iterable<string>, visible: AccessFilter['visible']): Predicate {
  const needed = verb === 'search' ? 'search' : 'read';
  const referred = [...types]
    .filter((type) => !NO_CONTEXT.has(type))
    .map((type) => ({ type, where: visible(type, needed) }));
  if (referred.every(({ where }) => where.kind === 'all')) return ALL;
  return or([UNGUARDED, ...referred.map(({ type, where }) => chain(SECURITY_CONTEXT, type, where))]);
}
