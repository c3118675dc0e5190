/** Answers of operations: the one resource they return, or Parameters of what the definition names. Source: FHIR R4 operations.html#response. */
import type { OperationDefinition, OperationParameter } from '../../fhir/definitions/definitions.ts';
import { type Json, type JsonObject, serialize } from '../../fhir/resource.ts';
import type { Performed, RestContext } from '../context.ts';
import { rawRequest } from '../permission/access-entry.ts';
import { respond } from '../wire/represent.ts';
import type { OperationCall } from './operation.ts';

/** An output parameter: a value, a resource, or parts. */
export type Out =
  | { readonly name: string; readonly value: Json; readonly type?: string }
  | { readonly name: string; readonly resource: JsonObject }
  | { readonly name: string; readonly part: readonly Out[] };

/**
 * JSON text of Parameters.
 * @throws TypeError for what the definition does not name as output, or a mandatory output that is missing: our own mistake
 */
export function parametersText({ code, parameters }: OperationDefinition, outs: readonly Out[]): string {
  const defined = parameters.filter(({ use }) => use === 'out');
  return serialize({ resourceType: 'Parameters', parameter: outParts(outs, defined, code) });
}

function outParts(outs: readonly Out[], defined: readonly OperationParameter[], code: string): Json[] {
  for (const { name, min } of defined) {
    if (min > 0 && !outs.some((each) => each.name === name)) throw new TypeError(`$${code} must give ${name}.`);
  }
  return outs.map((out) => {
    const parameter = defined.find(({ name }) => name === out.name);
    if (parameter === undefined) throw new TypeError(`$${code} does not define the output ${out.name}.`);
    if ('resource' in out) return { name: out.name, resource: out.resource };
    if ('part' in out) return { name: out.name, part: outParts(out.part, parameter.parts, code) };
    const type = parameter.type === undefined || parameter.type === 'Element' ? (out.type ?? 'string') : parameter.type;
    return { name: out.name, [`value${type.charAt(0).toUpperCase()}${type.slice(1)}`]: out.value };
  });
}

/** 200 with the text, and what the audit says: the operation, what it was asked of, whose data was touched. */
export function answered(
  { request, definition, key }: OperationCall,
  text: string,
  patients: readonly string[],
  { settings }: RestContext,
): Performed {
  const query = rawRequest(request.wire, request.rawQuery, settings.fhirBase);
  const asked = key === undefined ? { query } : { resource: key, query };
  return {
    response: respond(200, text, request.representation.pretty),
    entries: [{ interaction: 'operation', operation: definition.code, patients: [...new Set(patients)], ...asked }],
    audited: false,
  };
}
