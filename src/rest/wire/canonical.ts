/** When two JSON contents are one. Source: FHIR R4 json.html (the order of properties says nothing), meta of the server's apart. */
import { isJsonObject, type Json, type Resource, serialize } from '../../fhir/resource.ts';

/** JSON text that does not depend on the order of members. */
export function canonicalText(value: Json): string {
  return serialize(sorted(value));
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  const names = Object.keys(value).toSorted();
  return Object.fromEntries(names.flatMap((name) => (value[name] === undefined ? [] : [[name, sorted(value[name])]])));
}

/** Whether both say the same, meta apart. */
export const isAlike = (one: Resource, other: Resource): boolean =>
  canonicalText({ ...one, meta: null }) === canonicalText({ ...other, meta: null });
