/**
 * What each interaction and operation needs of a caller's scopes, before anything is looked at: 403 tells of scopes only, never of what is held.
 * Source: SMART App Launch 2.2, scopes (c, r, u, d, s); operations have no scopes of their own: docs/authorization.md.
 */
import { type OperationId, operationId } from '../../fhir/definitions/capability.ts';
import { fhirError } from '../../fhir/outcome.ts';
import type { Verb } from '../../fhir/search/algebra.ts';
import { mayBulk } from '../../smart/scopes.ts';
import type { Caller, RestContext } from '../context.ts';
import type { FhirRequest, Interaction } from '../request.ts';
import { claimedOperation } from './claimed.ts';
import { assertInScope } from './permission.ts';

type Judged = Exclude<Interaction, 'operation'>;

/** Verbs on the type of the request. What names no type is judged entry by entry, or by `anyType`. */
const VERBS = {
  read: ['read'],
  vread: ['read'],
  'history-instance': ['read'],
  'history-type': ['search'],
  'history-system': [],
  'search-type': ['search'],
  'search-system': [],
  create: ['create'],
  update: ['update'],
  'conditional-update': ['update', 'search'],
  delete: ['delete'],
  'conditional-delete': ['delete', 'search'],
  patch: ['read', 'update'],
  'conditional-patch': ['read', 'update', 'search'],
  capabilities: [],
  batch: [],
  transaction: [],
} as const satisfies Record<Judged, readonly Verb[]>;

/** Interactions for whoever may do this with any type at all. */
const ANY_TYPE: ReadonlyMap<Interaction, Verb> = new Map([
  ['search-system', 'search'],
  ['history-system', 'search'],
]);

interface Need {
  /** Verbs on the type the operation is asked of. */
  readonly verbs?: readonly Verb[];
  /** Verbs on the type it is about, where it is asked of another or of the system. */
  readonly of?: string;
  /** Verbs when it is asked of one resource. */
  readonly instance?: readonly Verb[];
  /** For system clients: what it reads or writes is bound by no screen. */
  readonly bulk?: true;
}

/** THE table of operations: an operation without a row does not compile. */
const OPERATIONS = {
  'Resource-validate': { instance: ['read'] },
  'Patient-everything': { verbs: ['read'] },
  'Patient-record': { verbs: ['read'] },
  'Patient-merge': { verbs: ['read', 'search', 'update'] },
  'Patient-purge': { verbs: ['read'], bulk: true },
  'Patient-access-report': { verbs: ['read'] },
  'Patient-accounting-of-disclosures': { verbs: ['read'] },
  'Encounter-everything': { verbs: ['read'] },
  'Observation-lastn': { verbs: ['search'] },
  'Observation-stats': { verbs: ['search'] },
  'Resource-convert': {},
  'Resource-meta': { verbs: ['read'] },
  'Resource-meta-add': { verbs: ['read', 'update'] },
  'Resource-meta-delete': { verbs: ['read', 'update'] },
  'ValueSet-expand': { instance: ['read'] },
  'ValueSet-validate-code': { instance: ['read'] },
  'CodeSystem-lookup': { instance: ['read'] },
  'CodeSystem-validate-code': { instance: ['read'] },
  'CodeSystem-subsumes': { instance: ['read'] },
  'ConceptMap-translate': { instance: ['read'] },
  'Composition-document': { verbs: ['read'] },
  'System-export': { bulk: true },
  'Patient-export': { bulk: true },
  'Group-export': { bulk: true, verbs: ['read'] },
  'Patient-export-one': { verbs: ['read'] },
  'System-deidentified-export': { bulk: true, instance: ['read'] },
  'System-import': { bulk: true },
  'SearchParameter-status': { verbs: ['read'] },
  'RiskAssessment-evaluate': { of: 'Patient', verbs: ['search'] },
  'Subscription-status': { verbs: ['read'] },
  'Subscription-events': { verbs: ['read'] },
  'Subscription-get-ws-binding-token': { verbs: ['read'] },
  // Names many types: it judges each of them itself.
  'System-surveillance': {},
} as const satisfies Record<OperationId, Need>;

/**
 * @throws FhirError `login` (401) without a token where one is needed; `insufficient-scope` (403) for what no scope of the caller allows
 */
export function assertPermitted(request: FhirRequest, caller: Caller, context: RestContext): void {
  if (request.interaction === 'capabilities') return;
  if (caller.rights.kind === 'nothing') throw fhirError('login', 'A valid access token is needed.');
  if (request.interaction === 'operation') {
    assertOperation(request, caller, context);
    return;
  }
  const verbs = VERBS[request.interaction];
  const type = typeOf(request);
  if (type !== undefined) assertInScope(type, verbs, caller);
  const any = ANY_TYPE.get(request.interaction);
  if (any === undefined || type !== undefined) return;
  const types = [...context.capability.types.keys()];
  if (types.some((each) => caller.access.visible(each, any).kind !== 'none')) return;
  throw fhirError('insufficient-scope', 'No type may be searched by this caller.');
}

function typeOf(request: FhirRequest): string | undefined {
  if ('key' in request) return request.key.type;
  return 'type' in request ? request.type : undefined;
}

function assertOperation(
  request: Extract<FhirRequest, { interaction: 'operation' }>,
  caller: Caller,
  context: RestContext,
): void {
  const id = operationId(claimedOperation(request, context.capability));
  const need: Need | undefined = id === undefined ? undefined : OPERATIONS[id];
  if (need === undefined) throw fhirError('insufficient-scope', 'The operation is not permitted to this caller.');
  const type = need.of ?? request.type;
  const verbs = [...(need.verbs ?? []), ...(request.id === undefined ? [] : (need.instance ?? []))];
  if (type !== undefined) assertInScope(type, verbs, caller);
  if (need.bulk && !mayBulk(caller.rights)) {
    throw fhirError('insufficient-scope', 'Bulk work is for clients with `system/` scopes.');
  }
}
