/**
 * The three forms of a patch: JSON Patch (RFC 6902), merge patch (RFC 7396) and FHIRPath Patch (fhirpatch.html). Source: FHIR R4 http.html#patch.
 * Pure: a resource goes in, another one comes out. Numbers keep their lexeme. The result is decoded anew, so that a patch can store nothing that
 * a whole resource could not; validating it is the caller's.
 */
import type { Definitions } from '../definitions/definitions.ts';
import { fhirError } from '../outcome.ts';
import { isJsonObject, type Json, type JsonObject, parseJson, type Resource, serialize } from '../resource.ts';
import { decodeJsonOperations, type JsonOperation, jsonPatched } from './json.ts';
import { decodePathOperations, type PathOperation, pathPatched } from './path.ts';

export type Patch =
  | { readonly form: 'json'; readonly operations: readonly JsonOperation[] }
  | { readonly form: 'merge'; readonly changes: JsonObject }
  | { readonly form: 'fhirpath'; readonly operations: readonly PathOperation[] };

/** Media types of the forms that are no FHIR resource; a FHIRPath Patch is a Parameters resource in any FHIR format. */
export const PATCH_TYPES: ReadonlyMap<string, 'json' | 'merge'> = new Map([
  ['application/json-patch+json', 'json'],
  ['application/merge-patch+json', 'merge'],
]);

/** Bounds on what one patch may cost: each operation may walk the whole resource. */
export const PATCH_LIMITS = { operations: 1000, walked: 10_000_000 } as const;

/**
 * A patch as it was sent.
 * @throws FhirError 400 when it is not a patch of that form
 */
export function decodePatch(form: Patch['form'], json: Json): Patch {
  switch (form) {
    case 'json':
      return { form, operations: limited(decodeJsonOperations(json)) };
    case 'merge':
      if (isJsonObject(json)) return { form, changes: json };
      throw fhirError('structure', 'A merge patch of a resource must be a JSON object.');
    case 'fhirpath':
      return { form, operations: limited(decodePathOperations(json)) };
    default:
      return form satisfies never;
  }
}

function limited<T>(operations: readonly T[]): readonly T[] {
  if (operations.length <= PATCH_LIMITS.operations) return operations;
  throw fhirError('too-costly', `A patch may hold at most ${PATCH_LIMITS.operations} operations.`);
}

/**
 * A patch that is an entry of a Bundle: Parameters, or a Binary that holds another form (http.html#patch).
 * @throws FhirError 400 when it is neither, or not a patch
 */
export function decodeCarriedPatch(resource: Resource): Patch {
  if (resource.resourceType !== 'Binary') return decodePatch('fhirpath', resource);
  const { contentType, data } = resource;
  const form = PATCH_TYPES.get(typeof contentType === 'string' ? contentType : '');
  if (form === undefined || typeof data !== 'string') {
    const types = [...PATCH_TYPES.keys()].join(' or ');
    throw fhirError('value', `A Binary as patch must hold data of contentType ${types}.`, { expression: 'Binary' });
  }
  return decodePatch(form, parseJson(Buffer.from(data, 'base64').toString('utf8')));
}

/**
 * The resource after every operation, or none.
 * @throws FhirError `not-unprocessable` (422) when an operation cannot be applied (the message names it), or type or id would change; 400 on a
 *   path that is none
 */
export function patched(resource: Resource, patch: Patch, definitions: Definitions): Resource {
  const count = patch.form === 'merge' ? 1 : patch.operations.length;
  const size = serialize(resource).length;
  if (count > 1 && count * size > PATCH_LIMITS.walked) {
    throw fhirError('too-costly', 'This patch has too many operations for a resource of this size.');
  }
  const result = parseJson(textAfter(resource, patch, definitions));
  if (isJsonObject(result) && result.resourceType === resource.resourceType && result.id === resource.id) {
    return { ...result, resourceType: resource.resourceType };
  }
  throw fhirError('not-unprocessable', 'A patch cannot change the resource type or the id.');
}

function textAfter(resource: Resource, patch: Patch, definitions: Definitions): string {
  switch (patch.form) {
    case 'json':
      return jsonPatched(resource, patch.operations);
    case 'merge':
      return serialize(merged(resource, patch.changes));
    case 'fhirpath':
      return serialize(pathPatched(resource, patch.operations, definitions));
    default:
      return patch satisfies never;
  }
}

/** RFC 7396 §2. */
function merged(target: Json | undefined, changes: Json): Json {
  if (!isJsonObject(changes)) return changes;
  const result: Record<string, Json | undefined> = target !== undefined && isJsonObject(target) ? { ...target } : {};
  for (const [name, change] of Object.entries(changes)) {
    if (change === undefined) continue;
    if (change === null) delete result[name];
    else result[name] = merged(result[name], change);
  }
  return result;
}
