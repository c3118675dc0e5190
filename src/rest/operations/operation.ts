/** What an operation is to the door: a definition, the input that was checked by it, and a function. Source: FHIR R4 operations.html. */
import type { OperationDefinition } from '../../fhir/definitions/definitions.ts';
import { isJsonObject, type Json, type Resource, type ResourceKey } from '../../fhir/resource.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import type { FhirRequest } from '../request.ts';

export type OperationRequest = Extract<FhirRequest, { interaction: 'operation' }>;
export type OperationLevel = 'system' | 'type' | 'instance';

/** One input parameter, of the type its definition says. */
export interface Given {
  readonly name: string;
  /** A primitive, an object of a complex type, or a resource. */
  readonly value: Json;
  /** Where it stands in the body: `Parameters.parameter[2].resource`, `Patient` for a bare resource, undefined in a query. */
  readonly expression: string | undefined;
}

/** Input parameters by name; lists are in the order they came in. */
export type OperationInput = ReadonlyMap<string, readonly Given[]>;

/** The resource of a parameter; undefined when there is none. */
export function resourceOf(given: Given | undefined): Resource | undefined {
  const value = given?.value;
  return value !== undefined && isResource(value) ? value : undefined;
}

function isResource(value: Json): value is Resource {
  return isJsonObject(value) && typeof value.resourceType === 'string';
}

export interface OperationCall {
  readonly request: OperationRequest;
  readonly definition: OperationDefinition;
  /** Type the operation is asked of; '' for the system. */
  readonly type: string;
  /** The resource the operation is asked of, at the instance level. It may not be there. */
  readonly key: ResourceKey | undefined;
  readonly input: OperationInput;
  /** Search parameters, for operations that take them: a query string. */
  readonly search: string;
  /** `_cursor` of our own next link, for operations that answer in pages. */
  readonly cursor: string | undefined;
}

export interface Operation {
  /** Levels that are served; others that the definition allows are refused (404), as the reason says. */
  readonly levels: readonly OperationLevel[];
  readonly elsewhere?: string;
  /** Names of the input parameters that are honoured. Those defined but not named here are refused, never ignored. */
  readonly takes: readonly string[];
  /** True: search parameters of the type are taken besides. */
  readonly searches?: boolean;
  /** True: computes at length by itself (not in the store, which knows), so it runs on the thread for large requests. */
  readonly heavy?: boolean;
  /** True: may take long, so it is answered asynchronously when the client prefers it. */
  readonly long?: boolean;
  /** True: answers in pages, whose next links hold a `_cursor`. */
  readonly pages?: boolean;
  readonly perform: (call: OperationCall, caller: Caller, context: RestContext) => Promise<Performed>;
}
