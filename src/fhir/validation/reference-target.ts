/** Which resource type a literal reference points at, as far as its text tells. Source: references.html#literal. */
import { ID_PATTERN } from '../resource.ts';

/**
 * Type named by `Patient/1`, `Patient/1/_history/2`, `https://host/fhir/Patient/1` or `Patient?identifier=...`; undefined for fragments, urns
 * and everything else that does not tell.
 */
export function referencedType(reference: string, resourceTypes: ReadonlySet<string>): string | undefined {
  const query = reference.indexOf('?');
  if (query !== -1) {
    const type = reference.slice(reference.lastIndexOf('/', query) + 1, query);
    return resourceTypes.has(type) ? type : undefined;
  }
  const parts = reference.split('/');
  const end = parts.at(-2) === '_history' ? parts.length - 2 : parts.length;
  const type = parts[end - 2];
  const id = parts[end - 1];
  if (type === undefined || id === undefined || !ID_PATTERN.test(id) || !resourceTypes.has(type)) return undefined;
  return end === 2 || /^https?:$/.test(parts[0] ?? '') ? type : undefined;
}
