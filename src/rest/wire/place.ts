/** What a path names and which interaction a method asks of it. Source: http.html#summary. */
import { fhirError } from '../../fhir/outcome.ts';
import { ID_PATTERN, type ResourceKey } from '../../fhir/resource.ts';
import type { Interaction } from '../request.ts';

/** `bundle` is POST to the base: batch or transaction, as the body says. */
export type Asked = Exclude<Interaction, 'batch' | 'transaction'> | 'bundle';

/** THE table: kind of place -> method -> interaction. HEAD is GET (http.html#read); its body is dropped where bytes leave. */
const ROUTES = {
  base: { GET: 'search-system', POST: 'bundle' },
  'base/_search': { POST: 'search-system' },
  'base/_history': { GET: 'history-system' },
  metadata: { GET: 'capabilities' },
  type: {
    GET: 'search-type',
    POST: 'create',
    PUT: 'conditional-update',
    PATCH: 'conditional-patch',
    DELETE: 'conditional-delete',
  },
  'type/_search': { POST: 'search-type' },
  'type/_history': { GET: 'history-type' },
  instance: { GET: 'read', PUT: 'update', PATCH: 'patch', DELETE: 'delete' },
  'instance/_history': { GET: 'history-instance' },
  version: { GET: 'vread' },
  compartment: { GET: 'search-type' },
  'compartment/_search': { POST: 'search-type' },
  'compartment/*': { GET: 'search-system' },
  'compartment/*/_search': { POST: 'search-system' },
  operation: { GET: 'operation', POST: 'operation' },
} as const satisfies Record<string, Readonly<Record<string, Asked>>>;

export type PlaceKind = keyof typeof ROUTES;

/** What stands in a path; fields that the kind of place lacks are ''. */
export interface Place {
  readonly kind: PlaceKind;
  readonly type: string;
  /** Not yet checked against the id grammar: a read of a wrong one is 404, an update 400. */
  readonly id: string;
  /** 0 when the path names no version. */
  readonly version: number;
  /** Operation code without `$`. */
  readonly code: string;
  /** Whose compartment is searched; `type` then is what is searched in it, '' = everything. */
  readonly compartment?: ResourceKey;
}

const TYPE = /^[A-Z][A-Za-z]{0,63}$/;
const VERSION = /^[1-9]\d{0,14}$/;
const OPERATION = /^\$[a-z][A-Za-z0-9-]{0,63}$/;
const NONE = { type: '', id: '', version: 0, code: '' };

function segmentsOf(path: string): readonly string[] | undefined {
  if (path === '' || path === '/') return [];
  if (!path.startsWith('/')) return undefined;
  const segments = path.slice(1).split('/');
  if (!path.includes('%')) return segments;
  try {
    return segments.map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

/**
 * What a path names. Each segment is decoded once, then must be of the grammar as it is.
 * @param path below the FHIR base, still percent-encoded
 * @returns undefined when it is not a path of the FHIR RESTful API
 */
export function placeOf(path: string): Place | undefined {
  const segments = segmentsOf(path);
  if (segments === undefined || segments.length > 4) return undefined;
  const [first = '', second, third, fourth] = segments;
  if (segments.length === 0) return { ...NONE, kind: 'base' };
  if (!TYPE.test(first)) return segments.length === 1 ? atBase(first) : undefined;
  const place = { ...NONE, type: first };
  if (second === undefined) return { ...place, kind: 'type' };
  if (third === undefined) return belowType(place, second);
  if (!ID_PATTERN.test(second)) return undefined;
  const instance = { ...place, id: second };
  if (TYPE.test(third) || third === '*') return inCompartment({ type: first, id: second }, third, fourth);
  if (fourth !== undefined) {
    if (third !== '_history' || !VERSION.test(fourth)) return undefined;
    return { ...instance, kind: 'version', version: Number(fourth) };
  }
  if (third === '_history') return { ...instance, kind: 'instance/_history' };
  return OPERATION.test(third) ? { ...instance, kind: 'operation', code: third.slice(1) } : undefined;
}

function inCompartment(compartment: ResourceKey, searched: string, last: string | undefined): Place | undefined {
  if (last !== undefined && last !== '_search') return undefined;
  const all = searched === '*';
  const kind = all ? 'compartment/*' : 'compartment';
  return { ...NONE, kind: last === undefined ? kind : `${kind}/_search`, type: all ? '' : searched, compartment };
}

function atBase(segment: string): Place | undefined {
  if (segment === 'metadata') return { ...NONE, kind: 'metadata' };
  if (segment === '_history') return { ...NONE, kind: 'base/_history' };
  if (segment === '_search') return { ...NONE, kind: 'base/_search' };
  return OPERATION.test(segment) ? { ...NONE, kind: 'operation', code: segment.slice(1) } : undefined;
}

function belowType(place: Omit<Place, 'kind'>, segment: string): Place {
  if (segment === '_search') return { ...place, kind: 'type/_search' };
  if (segment === '_history') return { ...place, kind: 'type/_history' };
  if (OPERATION.test(segment)) return { ...place, kind: 'operation', code: segment.slice(1) };
  return { ...place, kind: 'instance', id: segment };
}

const METHODS: ReadonlyMap<string, ReadonlyMap<string, Asked>> = new Map(
  Object.entries(ROUTES).map(([kind, methods]) => [kind, new Map<string, Asked>(Object.entries(methods))]),
);

/** The interactions of a place by method, for dispatch and for the Allow header. */
export function methodsOf(place: Place): ReadonlyMap<string, Asked> {
  return METHODS.get(place.kind) ?? new Map();
}

/**
 * @returns what the method asks of the place; HEAD asks what GET asks
 * @throws FhirError `method-not-allowed` (405)
 */
export function askedOf(place: Place, method: string): Asked {
  const methods = methodsOf(place);
  const asked = methods.get(method === 'HEAD' ? 'GET' : method);
  if (asked !== undefined) return asked;
  const valid = [...methods.keys()].join(', ');
  throw fhirError('method-not-allowed', `This method is not defined here. Valid: ${valid}.`);
}
