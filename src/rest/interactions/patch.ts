/** patch and conditional patch: http.html#patch. The forms of a patch: fhir/patch/patch.ts. The result is written like an update. */
import { fhirError } from '../../fhir/outcome.ts';
import { type Patch, patched } from '../../fhir/patch/patch.ts';
import { label, type Resource, type ResourceKey } from '../../fhir/resource.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Perform, RestContext } from '../context.ts';
import { heldFor, permitsVersion, unknown } from '../permission/permission.ts';
import type { FhirRequest, Preconditions } from '../request.ts';
import { storedResource } from '../wire/represent.ts';
import { assertPreconditions, put } from './change.ts';
import { criteriaOf, matched, single } from './conditional.ts';
import { normalised, performed } from './write.ts';

type Request<I extends FhirRequest['interaction']> = Extract<FhirRequest, { interaction: I }>;

/**
 * The resource that is held, patched.
 * @throws FhirError `not-found` (404), `deleted` (410), `version-mismatch` (412), and what the patch itself is refused with
 */
export function patchedHeld(
  key: ResourceKey,
  current: StoredVersion | undefined,
  { patch, ...preconditions }: { readonly patch: Patch } & Preconditions,
  { definitions }: RestContext,
): Resource {
  if (current === undefined) throw fhirError('not-found', `\`${label(key)}\` is not known.`);
  if (current.text === undefined) throw fhirError('deleted', `\`${label(key)}\` is deleted.`);
  assertPreconditions(key, current, preconditions);
  return patched(storedResource(current.text), patch, definitions);
}

/** A patch tells what it meets (`test`, paths that are not there), so who patches must be allowed to read. */
export const PATCH = ['read', 'update'] as const;

/** 200 with the patched resource. */
export const patch: Perform<Request<'patch'>> = async (request, caller, context) => {
  const { key } = request;
  return performed(request, caller, context, async () => {
    const current = await heldFor(PATCH, key, caller, context);
    const resource = normalised(patchedHeld(key, current, request, context), context);
    return { changes: [await put(resource, key, current, 'PATCH', caller, context)], expects: [] };
  });
};

/** One match: patched; none: 404; more: 412. */
export const conditionalPatch: Perform<Request<'conditional-patch'>> = async (request, caller, context) => {
  const { type, criteria } = request;
  return performed(request, caller, context, async () => {
    const { matches, expect } = await matched(criteriaOf(type, criteria, context), caller, context);
    const held = matchOf(type, matches);
    if (!(await permitsVersion(PATCH, held, caller, context))) throw unknown(held.key);
    const resource = normalised(patchedHeld(held.key, held, request, context), context);
    return { changes: [await put(resource, held.key, held, 'PATCH', caller, context)], expects: [expect] };
  });
};

/** @throws FhirError `not-found` (404) without a match, `multiple-matches` (412) */
export function matchOf(type: string, matches: readonly StoredVersion[]): StoredVersion {
  const held = single(type, matches);
  if (held === undefined) throw fhirError('not-found', `The criteria match no ${type}.`);
  return held;
}
