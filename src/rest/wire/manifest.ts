/** A plain JSON object as Parameters: what a manifest says, in the form that every other operation takes. Source: FHIR R4 parameters.html. */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';

/** Members as parameters, lists repeated, objects as parts. Null and absent members are left out. */
export function manifestParameters(manifest: JsonObject): Resource {
  return { resourceType: 'Parameters', parameter: partsOf(manifest) };
}

function partsOf(object: JsonObject): JsonObject[] {
  return Object.entries(object).flatMap(([name, value]) => listOf(value).map((each) => ({ name, ...contentOf(each) })));
}

function listOf(value: Json | undefined): readonly Json[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function contentOf(value: Json): JsonObject {
  if (isJsonObject(value)) return { part: partsOf(value) };
  if (typeof value === 'boolean') return { valueBoolean: value };
  return typeof value === 'string' ? { valueString: value } : { valueDecimal: value };
}
