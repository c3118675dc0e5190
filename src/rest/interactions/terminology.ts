/** Value sets and code systems as this server holds them, read under the caller's access. Source: terminology-service.html does not apply: there is none. */
import { fhirError } from '../../fhir/outcome.ts';
import type { Resource } from '../../fhir/resource.ts';
import type { Predicate } from '../../fhir/search/algebra.ts';
import { planOf } from '../../fhir/search/plan.ts';
import type { Terminology } from '../../fhir/search/value-set.ts';
import type { Caller, RestContext } from '../context.ts';
import { storedResource } from '../wire/represent.ts';

/** Longest text, in characters, that is read as a definition while a search waits. */
const LONGEST = 2_000_000;
/** Versions of one canonical that are looked through. */
const MOST_VERSIONS = 20;

/** Each definition is read once: for one request. */
export function terminology(caller: Caller, { store, definitions, capability }: RestContext): Terminology {
  const known = new Map<string, Promise<Resource | undefined>>();
  const newest = async (type: string, where: Predicate, version: string): Promise<Resource | undefined> => {
    if (!capability.types.has(type)) return undefined;
    const byDate = [{ parameter: `${type}._lastUpdated`, indexed: 'updated', descending: true }] as const;
    const { matches } = await store.search(planOf(type, where, caller.access, byDate), { count: MOST_VERSIONS });
    for (const { text = '', key } of matches) {
      if (text.length > LONGEST)
        throw fhirError('too-costly', `\`${key.type}/${key.id}\` is too long to be read here.`);
      const resource = storedResource(text);
      if (version === '' || resource.version === version) return resource;
    }
    return undefined;
  };
  const once = (type: string, where: Predicate, version: string): Promise<Resource | undefined> => {
    const key = JSON.stringify([type, where, version]);
    const found = known.get(key) ?? newest(type, where, version);
    known.set(key, found);
    return found;
  };
  return {
    published: (url) => definitions.valueSet(url),
    byUrl: (type, url, version) =>
      once(type, { kind: 'uri', parameter: `${type}.url`, match: 'exact', value: url }, version),
    byId: (type, id) => once(type, { kind: 'ids', ids: [id] }, ''),
  };
}
