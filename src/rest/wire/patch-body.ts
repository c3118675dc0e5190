/** The patch that a request carries. Source: FHIR R4 http.html#patch (media types; Binary and Parameters in a Bundle). */
import { fhirError } from '../../fhir/outcome.ts';
import { decodeCarriedPatch, decodePatch, PATCH_TYPES, type Patch } from '../../fhir/patch/patch.ts';
import { parseJson, type Resource } from '../../fhir/resource.ts';

/**
 * The patch of a request: by its media type, or what an entry of a Bundle carries.
 * @param whole decodes the body as a FHIR resource in any format
 * @throws FhirError 400 or 415
 */
export function patchOf(
  contentType: string | undefined,
  body: string | undefined,
  given: Resource | undefined,
  whole: () => Resource,
): Patch {
  if (given !== undefined) return decodeCarriedPatch(given);
  const form = PATCH_TYPES.get((contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '');
  if (form === undefined) return decodePatch('fhirpath', whole());
  if ((body ?? '').trim() === '') throw fhirError('required', 'The request has no body.');
  return decodePatch(form, parseJson(body ?? ''));
}
