/** The resource that an operation is asked of. */
import { fhirError } from '../../fhir/outcome.ts';
import { label, type ResourceKey } from '../../fhir/resource.ts';
import { instantText } from '../../fhir/time.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { mayRead } from '../interactions/read.ts';

/** @throws FhirError `not-found` (404) also for what the caller may not see, `deleted` (410) */
export async function heldByKey(
  key: ResourceKey | undefined,
  caller: Caller,
  context: RestContext,
): Promise<StoredVersion> {
  if (key === undefined) throw new TypeError('This is asked of one resource.');
  const version = await context.store.read(key);
  if (version === undefined || !(await mayRead(key, caller, context))) {
    throw fhirError('not-found', `\`${label(key)}\` is not known.`);
  }
  if (!version.deleted) return version;
  throw fhirError('deleted', `\`${label(key)}\` was deleted at ${instantText(version.at)}.`);
}
