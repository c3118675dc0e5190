/** When two JSON contents are one. Source: FHIR R4 json.html (the order of properties says nothing), meta of the server's apart. */
import { isJsonObject, type Json, type Resource, serialize } from '../../fhir/resource.ts';

/** JSON text that does not depend on the order of members. */
export function canonicalText(value: Json): string {
  return serialize(sorted(value));
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  const inOrder: [string, Json][] = [];
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member !== undefined) inOrder.push([name, sorted(member)]);
  }
  return Object.fromEntries(inOrder);
}

/** Whether both say the same, meta apart. */
export const isAlike = (one: Resource, other: Resource): boolean =>
  canonicalText({ ...one, meta: null }) === canonicalText({ ...other, meta: null });
