/** Whose a new version is, of types that belong to who made them: what a client writes of that is not believed. Source: docs/authorization.md, decision 0049. */
import { fhirError } from '../../fhir/outcome.ts';
import type { Resource } from '../../fhir/resource.ts';
import { OWNED, ownerIn, withOwner } from '../../fhir/search/owner.ts';
import { seesOthers } from '../../smart/policy.ts';
import { NO_SITUATION } from '../../smart/scopes.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { isAlike } from '../wire/canonical.ts';
import { storedResource } from '../wire/represent.ts';

/** A version of such a status is served in the name of who wrote it; others stay whose they were. */
const ASKED: ReadonlySet<unknown> = new Set(['requested', 'active']);

/**
 * The resource with the mark of its owner; as it is for other types, and where whoever asks may do everything.
 * @throws FhirError `insufficient-scope` (403) for who would make what is nobody's and could never see it: their token does not say whose it is
 */
export function belonging(
  resource: Resource,
  current: StoredVersion | undefined,
  { rights }: Caller,
  { policy }: Pick<RestContext, 'policy'>,
): Resource {
  if (!OWNED.has(resource.resourceType) || rights.kind !== 'granted') return resource;
  const before = current?.text === undefined ? undefined : storedResource(current.text);
  const { situation = NO_SITUATION } = rights;
  const { holder } = situation;
  if (holder === undefined && !seesOthers(situation, policy)) {
    throw fhirError('insufficient-scope', `A ${resource.resourceType} is for callers whose token says who they are.`);
  }
  if (before === undefined) return withOwner(resource, holder);
  const kept = withOwner(resource, ownerIn(before));
  return !ASKED.has(resource.status) || isAlike(kept, before) ? kept : withOwner(resource, holder);
}
