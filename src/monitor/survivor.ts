/** Which of the records of one person is monitored: the one that is in use. Source: FHIR R4 patient.html#links, `replaced-by`. */
import { isJsonObject, type Resource } from '../fhir/resource.ts';
import { storedResource } from '../rest/wire/represent.ts';
import type { ResourceStore } from '../store/port.ts';

/** @param person ids of the records of one person; the first that is held, active and not replaced, else the one asked for */
export async function survivorOf(id: string, person: readonly string[], store: ResourceStore): Promise<string> {
  if (person.length <= 1) return id;
  for (const each of person.toSorted()) {
    const held = await store.read({ type: 'Patient', id: each });
    if (held?.text !== undefined && isInUse(storedResource(held.text))) return each;
  }
  return id;
}

function isInUse({ active, link }: Resource): boolean {
  const links = Array.isArray(link) ? link.filter(isJsonObject) : [];
  return active !== false && !links.some(({ type }) => type === 'replaced-by');
}
