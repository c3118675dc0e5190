/** The door as surveillance goes through it: its own principal, searches in pages, writes that are repeated when they lose a race. All audited. */
import { fhirError } from '../fhir/outcome.ts';
import { isJsonObject, type Json, parseJson, type Resource, serialize } from '../fhir/resource.ts';
import type { AccessFilter } from '../fhir/search/algebra.ts';
import type { Caller, RestContext } from '../rest/context.ts';
import { answer } from '../rest/interact.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import { storedResource } from '../rest/wire/represent.ts';

/** Resources a page: a few ms of reading. */
const PAGE = 200;
/** Ids named in one search. */
const CHUNK = 100;
const ATTEMPTS = 5;

/** Between two pages: lets others work, and throws when the run is to stop. */
export type Pause = () => Promise<void>;

export class SurveillanceDoor {
  readonly context: RestContext;
  readonly #caller: Caller;
  readonly #pause: Pause;

  constructor(context: RestContext, requestId: string, pause: Pause = async () => undefined) {
    this.context = context;
    this.#pause = pause;
    const client = { system: undefined, value: 'surveillance' };
    this.#caller = localCaller({ ...localFacts(requestId, 'localhost'), principal: 'surveillance', client });
  }

  /** What surveillance itself may see: everything. */
  get access(): AccessFilter {
    return this.#caller.access;
  }

  /** Lets others work. */
  rest(): Promise<void> {
    return this.#pause();
  }

  /** Every match, a page at a time. @throws FhirError when the search is refused: a ValueSet that cannot be expanded, too long a search */
  async *search(type: string, query: string): AsyncGenerator<Resource> {
    let next: string | undefined = `${query}&_count=${PAGE}`;
    while (next !== undefined) {
      await this.#pause();
      const bundle: Json = await this.#read(`/${type}`, next);
      const { entry, link } = isJsonObject(bundle) ? bundle : {};
      for (const each of Array.isArray(entry) ? entry : []) {
        const isMatch = isJsonObject(each) && isJsonObject(each.search) && each.search.mode === 'match';
        if (isMatch && isResource(each.resource)) yield each.resource;
      }
      next = nextQuery(link);
    }
  }

  /** Those of a type that are held, by id; what was deleted is left out. */
  async byId(type: string, ids: readonly string[]): Promise<ReadonlyMap<string, Resource>> {
    const found = new Map<string, Resource>();
    for (let from = 0; from < ids.length; from += CHUNK) {
      const some = ids.slice(from, from + CHUNK);
      for await (const each of this.search(type, `_id=${some.join(',')}`)) found.set(each.id ?? '', each);
    }
    return found;
  }

  /** Whether any resource matches; says nothing about whom, so it is no access to be recorded. */
  async isAny(type: string, query: string): Promise<boolean> {
    const { store, parseSearch, planSearch } = this.context;
    const plan = planSearch(parseSearch(type, query, 'strict'), this.#caller.access);
    return (await store.search(plan, { count: 1 })).matches.length > 0;
  }

  /**
   * Makes a resource what `made` says of the one that is held (undefined: none). The same content writes nothing.
   * @throws FhirError when it is refused
   */
  async put(type: string, id: string, made: (held: Resource | undefined) => Resource | undefined): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const held = await this.context.store.read({ type, id });
      const text = held?.deleted === false ? held.text : undefined;
      const resource = made(text === undefined ? undefined : storedResource(text));
      if (resource === undefined) return;
      const match = text === undefined ? {} : { 'if-match': `W/"${held?.version}"` };
      const headers = { 'content-type': 'application/fhir+json', prefer: 'return=minimal', ...match };
      const wire = { method: 'PUT', path: `/${type}/${id}`, query: '', headers, body: serialize(resource) };
      const { status } = await answer(wire, this.#caller, this.context);
      if (status === 200 || status === 201) return;
      const isLost = status === 409 || status === 412;
      if (isLost && attempt < ATTEMPTS) continue;
      throw fhirError(isLost ? 'conflict' : 'business-rule', `\`${type}/${id}\` could not be written (${status}).`);
    }
  }

  async #read(path: string, query: string): Promise<Json> {
    const headers = { accept: 'application/fhir+json', prefer: 'handling=strict' };
    const wire = { method: 'GET', path, query, headers, body: undefined };
    const { status, body } = await answer(wire, this.#caller, this.context);
    if (status === 200 && body !== undefined) return parseJson(body);
    if (status === 503) throw fhirError('transient', 'The store is not available. Try again.');
    if (body?.includes('"too-costly"') === true) {
      throw fhirError('too-costly', 'Counting takes too long. Ask for fewer days, or prefer to be answered later.');
    }
    throw fhirError('business-rule', `A search that counts cases is refused (${path}, ${status}): see the definition.`);
  }
}

function isResource(value: Json | undefined): value is Resource {
  return isJsonObject(value) && typeof value.resourceType === 'string';
}

function nextQuery(link: Json | undefined): string | undefined {
  const found = (Array.isArray(link) ? link : []).find((each) => isJsonObject(each) && each.relation === 'next');
  const url = isJsonObject(found) && typeof found.url === 'string' ? found.url : undefined;
  return url === undefined ? undefined : url.slice(url.indexOf('?') + 1);
}
