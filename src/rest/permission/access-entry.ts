/** What a request tried to access, for the audit of what failed before it could say so itself. */
import type { Access, AccessEntry } from '../../audit.ts';
import { OPERATION_IDS } from '../../fhir/definitions/capability.ts';
import { ID_PATTERN } from '../../fhir/resource.ts';
import type { FhirRequest, WireRequest } from '../request.ts';
import { askedOf, placeOf } from '../wire/place.ts';

/** `GET /fhir/Patient?name=x`; a search by POST is written with its form as query. It is PHI: only for `AccessEntry.query`. */
export function rawRequest(wire: WireRequest, rawQuery: string, fhirBase: string): string {
  const base = fhirBase.replace(/^[a-z]+:\/\/[^/]+/, '');
  return `${wire.method} ${base}${wire.path}${rawQuery === '' ? '' : `?${rawQuery}`}`;
}

/** restful-interaction has no code of its own for conditional interactions. */
const CODES: Readonly<Record<string, string>> = {
  'conditional-update': 'update',
  'conditional-delete': 'delete',
  'conditional-patch': 'patch',
};
/** Code for a request that is none of the API's, by what its method would do. */
const BY_METHOD: ReadonlyMap<string, string> = new Map([
  ['GET', 'read'],
  ['HEAD', 'read'],
  ['POST', 'create'],
  ['PUT', 'update'],
  ['PATCH', 'patch'],
  ['DELETE', 'delete'],
]);

type Attempt = Pick<Access, 'entries' | 'envelope'>;

/** A parsed request that failed. Patients are unknown; the resource or the query says what was wanted. */
export function attempted(request: FhirRequest, fhirBase: string): Attempt {
  const { interaction } = request;
  if (interaction === 'batch' || interaction === 'transaction') return { entries: [], envelope: interaction };
  const entry = { interaction: CODES[interaction] ?? interaction, patients: [] };
  if ('key' in request) return { entries: [{ ...entry, resource: request.key }] };
  if (request.interaction === 'operation') return { entries: [{ ...entry, ...operationAsked(request, fhirBase) }] };
  const type = request.interaction === 'search-type' ? { type: request.type } : {};
  return { entries: [{ ...entry, ...type, query: rawRequest(request.wire, request.rawQuery, fhirBase) }] };
}

/** A code that is not served is whatever the client wrote: it stays in the query, which can be erased. */
function operationAsked(request: Extract<FhirRequest, { interaction: 'operation' }>, fhirBase: string) {
  const { code, type, id, wire, rawQuery } = request;
  const isServed = OPERATION_IDS.some((each) => each.endsWith(`-${code}`));
  const key = type !== undefined && id !== undefined && ID_PATTERN.test(id) ? { resource: { type, id } } : {};
  return { ...key, query: rawRequest(wire, rawQuery, fhirBase), ...(isServed ? { operation: code } : {}) };
}

/** A request that could not be parsed, or was refused before that. */
export function attemptedWire(wire: WireRequest, fhirBase: string): Attempt {
  const entry: AccessEntry = {
    interaction: interactionOf(wire),
    query: rawRequest(wire, wire.query, fhirBase),
    patients: [],
  };
  return { entries: [entry] };
}

function interactionOf(wire: WireRequest): string {
  const fallback = BY_METHOD.get(wire.method) ?? 'operation';
  const place = placeOf(wire.path);
  if (place === undefined) return fallback;
  try {
    const asked = askedOf(place, wire.method);
    return asked === 'bundle' ? 'transaction' : (CODES[asked] ?? asked);
  } catch {
    return fallback; // the method is not defined there: that is why the request is refused
  }
}
