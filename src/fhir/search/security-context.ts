/**
 * Binary.securityContext: the resource that stands for a Binary when access is decided. Source: FHIR R4 binary.html, http.html#binary; decision 0046.
 * Binary has no search parameters of its own, so these rows are the server's: they are indexed always and searched by no client.
 */
import { isJsonObject, type Resource } from '../resource.ts';
import type { IndexEntry, ParameterKey, Predicate } from './algebra.ts';

export const BINARY = 'Binary';
/** Reference rows: what a Binary names. */
export const SECURITY_CONTEXT: ParameterKey = `${BINARY}.$securityContext`;
/** A token row of every Binary that has the element, also when it names nothing that could be followed (an identifier, say). */
const GUARDED: ParameterKey = `${BINARY}.$guarded`;

/** Without the element, whose access its scopes alone decide. */
export const UNGUARDED: Predicate = { kind: 'missing', parameter: GUARDED, missing: true };
export const IS_GUARDED: Predicate = { kind: 'missing', parameter: GUARDED, missing: false };

/** Rows of a resource, for any type but Binary none. */
export function securityContextRows(
  resource: Resource,
  local: (reference: string) => string | undefined,
): readonly IndexEntry[] {
  const { resourceType, securityContext: given } = resource;
  if (resourceType !== BINARY || given === undefined) return [];
  const guarded = { kind: 'token', parameter: GUARDED, system: '', code: 'true', group: 0 } as const;
  const target = isJsonObject(given) && typeof given.reference === 'string' ? local(given.reference) : undefined;
  if (target === undefined) return [guarded];
  return [guarded, { kind: 'reference', parameter: SECURITY_CONTEXT, target, version: '', group: 0 }];
}
