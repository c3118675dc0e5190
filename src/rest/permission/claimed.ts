/** What capability-statement.json claims, asked of one request. Source: http.html#capabilities; a claim not made is an interaction not given. */
import { type Capability, type ClaimedType, ofOne } from '../../fhir/definitions/capability.ts';
import type { OperationDefinition } from '../../fhir/definitions/definitions.ts';
import { fhirError } from '../../fhir/outcome.ts';
import type { FhirRequest } from '../request.ts';
import { type Asked, methodsOf, placeOf } from '../wire/place.ts';

/** Interactions of the whole system and how CapabilityStatement.rest.interaction names them. */
const SYSTEM: ReadonlySet<string> = new Set(['search-system', 'history-system', 'batch', 'transaction']);

/**
 * @throws FhirError `unknown-type` (404), `unknown-operation` (404), `method-not-allowed` (405), or `precondition-failed` (412)
 *   for a conditional create that is not claimed, as http.html#ccreate asks
 */
export function assertClaimed(request: FhirRequest, { capability }: { readonly capability: Capability }): void {
  if (request.interaction === 'capabilities') return;
  if (request.interaction === 'operation') {
    claimedOperation(request, capability);
    return;
  }
  if ('compartment' in request && request.compartment !== undefined) {
    if (!capability.compartments.has(request.compartment.type)) {
      throw fhirError('not-found', `There is no \`${request.compartment.type}\` compartment.`);
    }
    if (request.interaction === 'search-system') return;
  }
  if (SYSTEM.has(request.interaction)) {
    if (capability.system.has(request.interaction)) return;
    throw fhirError('method-not-allowed', `The interaction ${request.interaction} is not supported.`);
  }
  const name = typeOf(request);
  const type = capability.types.get(name);
  if (type === undefined) throw fhirError('unknown-type', `The resource type \`${name}\` is not supported.`);
  if (!isClaimed(request.interaction, type)) {
    throw fhirError('method-not-allowed', `The interaction ${request.interaction} is not supported for \`${name}\`.`);
  }
  if (request.interaction === 'create' && request.ifNoneExist !== undefined && !type.conditionalCreate) {
    throw fhirError('precondition-failed', `Conditional create is not supported for \`${name}\`.`);
  }
}

type OperationRequest = Extract<FhirRequest, { interaction: 'operation' }>;

/**
 * The definition of the operation that is asked for, when it is claimed at this level (system, type or instance).
 * @throws FhirError `unknown-type` or `unknown-operation` (404)
 */
export function claimedOperation(
  { code, type, id }: Pick<OperationRequest, 'code' | 'type' | 'id'>,
  capability: Capability,
): OperationDefinition {
  const claims = type === undefined ? capability : capability.types.get(type);
  if (claims === undefined) throw fhirError('unknown-type', `The resource type \`${type}\` is not supported.`);
  const found = (id === undefined ? undefined : claims.operations.get(ofOne(code))) ?? claims.operations.get(code);
  const where = type === undefined ? 'the whole system' : `\`${type}\``;
  if (found === undefined) {
    throw fhirError('unknown-operation', `The operation \`$${code}\` is not supported for ${where}.`);
  }
  if (type === undefined || (id === undefined ? found.type : found.instance)) return found;
  const level = id === undefined ? 'one resource, as' : 'the type, as';
  const path = id === undefined ? `${type}/[id]` : type;
  throw fhirError('unknown-operation', `\`$${code}\` is asked of ${level} \`${path}/$${code}\`.`);
}

function typeOf(request: FhirRequest): string {
  if ('key' in request) return request.key.type;
  return 'type' in request ? (request.type ?? '') : '';
}

/** Whether a type claims an interaction; the conditional ones have claims of their own. */
function isClaimed(interaction: string, type: ClaimedType): boolean {
  switch (interaction) {
    case 'conditional-update':
      return type.interactions.has('update') && type.conditionalUpdate;
    case 'conditional-delete':
      return type.interactions.has('delete') && type.conditionalDelete !== 'not-supported';
    case 'conditional-patch':
      return type.interactions.has('patch');
    default:
      return type.interactions.has(interaction);
  }
}

/** Methods that are claimed at a path, for the Allow header; GET brings HEAD. */
export function allowedMethods(path: string, capability: Capability): readonly string[] {
  const place = placeOf(path);
  if (place === undefined) return [];
  const type = capability.types.get(place.type);
  const isGiven = (asked: Asked): boolean => {
    if (asked === 'capabilities') return true;
    if (asked === 'bundle') return capability.system.has('batch') || capability.system.has('transaction');
    if (asked === 'operation') return (type ?? capability).operations.has(place.code);
    if (place.compartment !== undefined && !capability.compartments.has(place.compartment.type)) return false;
    if (place.compartment !== undefined && asked === 'search-system') return true;
    if (SYSTEM.has(asked)) return capability.system.has(asked);
    return type !== undefined && isClaimed(asked, type);
  };
  const methods = [...methodsOf(place)].filter(([, asked]) => isGiven(asked)).map(([method]) => method);
  return methods.includes('GET') ? ['GET', 'HEAD', ...methods.filter((method) => method !== 'GET')] : methods;
}
