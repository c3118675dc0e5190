/** The patch that a request carries. Source: FHIR R4 http.html#patch (media types; Binary and Parameters in a Bundle). */
import { FhirError, fhirError } from '../../fhir/outcome.ts';
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
  if (form === undefined) return decodePatch('fhirpath', pathPatch(whole));
  if ((body ?? '').trim() === '') throw fhirError('required', 'The request has no body.');
  return decodePatch(form, parseJson(body ?? ''));
}

/** What another media type could be: only here it may be a patch of JSON too. */
function pathPatch(whole: () => Resource): Resource {
  try {
    return whole();
  } catch (error) {
    if (!(error instanceof FhirError) || error.kind !== 'unsupported-media-type') throw error;
    throw fhirError(
      'unsupported-media-type',
      `A patch is \`${[...PATCH_TYPES.keys()].join('`, `')}\`, or Parameters (FHIRPath Patch) in \`application/fhir+json\` or \`application/fhir+xml\`.`,
      { cause: error },
    );
  }
}
