/**
 * Input of an operation: a query, a Parameters resource, or a bare resource; checked by the operation's definition.
 * Source: FHIR R4 operations.html#request, parameters.html. What is not a parameter of the operation is refused, never ignored.
 */
import type { OperationDefinition, OperationParameter } from '../../fhir/definitions/definitions.ts';
import { FhirError, fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import { PRIMITIVES } from '../../fhir/validation/primitive.ts';
import type { RestContext } from '../context.ts';
import { type Pair, pairsOf, queryOf, single } from '../wire/query-text.ts';
import type { Given, Operation, OperationInput, OperationRequest } from './operation.ts';

interface Inputs {
  readonly input: OperationInput;
  readonly search: string;
  readonly cursor: string | undefined;
}
type Taking = Pick<Operation, 'takes' | 'searches' | 'pages'>;

/** Most parameters of one request. */
const PARAMETER_LIMIT = 500;

/**
 * @throws FhirError 400 for a parameter that is unknown, not supported, of another type, missing or given too often; `method-not-allowed`
 *   (405) for a GET of an operation that changes something
 */
export function inputsOf(
  request: OperationRequest,
  definition: OperationDefinition,
  taking: Taking,
  context: RestContext,
): Inputs {
  if (request.wire.method !== 'POST' && definition.affectsState) {
    throw fhirError('method-not-allowed', `\`$${definition.code}\` changes what is stored: use POST.`);
  }
  const asked = pairsOf(request.query);
  if (asked.length > PARAMETER_LIMIT) throw tooMany();
  const cursor = taking.pages ? single(asked, '_cursor') : undefined;
  const pairs = asked.filter(([name]) => !(taking.pages && name === '_cursor'));
  const isOwn = ([name]: Pair): boolean => !taking.searches || parameterOf(definition, name) !== undefined;
  const body = bodyOf(request.resource, definition, taking, context);
  const given = [...pairs.filter(isOwn).map((pair) => ofQuery(pair, definition, taking)), ...body.given];
  const search = [...pairs.filter((pair) => !isOwn(pair)), ...body.search];
  return { input: collected(given, definition), search: queryOf(search), cursor };
}

const tooMany = (): FhirError => fhirError('too-costly', `An operation takes at most ${PARAMETER_LIMIT} parameters.`);

function parameterOf(definition: OperationDefinition, name: string): OperationParameter | undefined {
  return definition.parameters.find((each) => each.use === 'in' && each.name === name);
}

/** The definition of a parameter that is taken. */
function taken(
  name: string,
  { code, parameters }: OperationDefinition,
  { takes }: Taking,
  expression: string | undefined,
): OperationParameter {
  const found = takes.includes(name) ? parameters.find((each) => each.use === 'in' && each.name === name) : undefined;
  if (found !== undefined) return found;
  const valid = takes.length === 0 ? 'none' : takes.map((each) => `\`${each}\``).join(', ');
  throw fhirError('unsupported-parameter', `\`$${code}\` does not support this parameter. Valid: ${valid}.`, {
    expression,
  });
}

const TRUTHS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
]);
const NUMERIC: ReadonlySet<string> = new Set(['integer', 'positiveInt', 'unsignedInt', 'decimal']);

function ofQuery([name, text]: Pair, definition: OperationDefinition, taking: Taking): Given {
  const parameter = taken(name, definition, taking, undefined);
  const type = parameter.type ?? '';
  if (!PRIMITIVES.has(type)) {
    throw fhirError('value', `\`${name}\` is not a primitive: send it in a Parameters resource by POST.`);
  }
  const value = typed(text, type);
  const fault = PRIMITIVES.get(type)?.(value);
  if (fault !== undefined) throw fhirError('value', `\`${name}\`: the ${type} ${fault}.`);
  return { name, value, expression: undefined };
}

function typed(text: string, type: string): Json {
  if (type === 'boolean') return TRUTHS.get(text) ?? text;
  return NUMERIC.has(type) && /^-?\d{1,15}(?:\.\d{1,15})?$/.test(text) ? Number(text) : text;
}

interface Body {
  readonly given: readonly Given[];
  readonly search: readonly Pair[];
}

function bodyOf(
  resource: Resource | undefined,
  definition: OperationDefinition,
  taking: Taking,
  context: RestContext,
): Body {
  if (resource === undefined) return { given: [], search: [] };
  if (resource.resourceType === 'Parameters') return ofParameters(resource, definition, taking, context);
  const { resourceTypes } = context.definitions;
  const resources = definition.parameters.filter(
    ({ use, type }) => use === 'in' && isResourceType(type, resourceTypes),
  );
  const [only] = resources;
  if (only === undefined || resources.length > 1 || !taking.takes.includes(only.name)) {
    throw fhirError('invalid', `\`$${definition.code}\` takes its input as a Parameters resource.`, {
      expression: `${resource.resourceType}.resourceType`,
    });
  }
  assertType(resource, only, resource.resourceType);
  return { given: [{ name: only.name, value: resource, expression: resource.resourceType }], search: [] };
}

function isResourceType(type: string | undefined, resourceTypes: ReadonlySet<string>): boolean {
  return type !== undefined && (type === 'Resource' || resourceTypes.has(type));
}

function ofParameters(resource: Resource, definition: OperationDefinition, taking: Taking, context: RestContext): Body {
  assertWellFormed(resource, context);
  const parameters = Array.isArray(resource.parameter) ? resource.parameter.filter(isJsonObject) : [];
  if (parameters.length > PARAMETER_LIMIT) throw tooMany();
  const given: Given[] = [];
  const search: Pair[] = [];
  for (const [index, part] of parameters.entries()) {
    const name = typeof part.name === 'string' ? part.name : '';
    const expression = `Parameters.parameter[${index}]`;
    if (taking.searches && parameterOf(definition, name) === undefined) search.push(searchPair(name, part, expression));
    else given.push(ofPart(part, taken(name, definition, taking, expression), expression));
  }
  return { given, search };
}

/** The resources inside are the operation's to judge: $validate answers 200 for one that is not valid. */
function assertWellFormed(parameters: Resource, { validate }: RestContext): void {
  const stub = { resourceType: 'Basic', code: { text: 'in place of the resource' } };
  const list = parameters.parameter;
  const shell = Array.isArray(list)
    ? { ...parameters, parameter: list.map((part: Json) => (holdsResource(part) ? { ...part, resource: stub } : part)) }
    : parameters;
  const [first, ...others] = validate(shell).filter(({ severity = 'error' }) => severity === 'error');
  if (first !== undefined) throw new FhirError([first, ...others]);
}

function holdsResource(part: Json): part is JsonObject {
  return isJsonObject(part) && isJsonObject(part.resource) && typeof part.resource.resourceType === 'string';
}

const valueEntry = (part: JsonObject): readonly [string, Json] | undefined => {
  for (const [name, value] of Object.entries(part)) {
    if (name.startsWith('value') && value !== undefined) return [name, value];
  }
  return undefined;
};

/** A search parameter as it would stand in a query. */
function searchPair(name: string, part: JsonObject, expression: string): Pair {
  const [, value] = valueEntry(part) ?? [];
  if (typeof value === 'string' || typeof value === 'boolean') return [name, String(value)];
  throw fhirError('value', 'A search parameter is given as a string.', { expression });
}

function ofPart(part: JsonObject, parameter: OperationParameter, expression: string): Given {
  const { name, type = '' } = parameter;
  if (parameter.parts.length > 0) return { name, value: ofParts(part, parameter, expression), expression };
  if (isJsonObject(part.resource)) {
    assertType(part.resource, parameter, `${expression}.resource`);
    return { name, value: part.resource, expression: `${expression}.resource` };
  }
  const [element, value] = valueEntry(part) ?? [];
  if (element === undefined || value === undefined) {
    throw fhirError('value', `\`${name}\` has no value of type ${type}.`, { expression });
  }
  const check = PRIMITIVES.get(type);
  const isOfType = check === undefined ? element === `value${type}` : typeof value !== 'object';
  const fault = isOfType ? check?.(value) : `is of another type`;
  if (fault !== undefined) {
    throw fhirError('value', `\`${name}\`: the ${type} ${fault}.`, { expression: `${expression}.value` });
  }
  return { name, value, expression: `${expression}.value` };
}

/** An object of the parts by name, each of the type that the definition says. */
function ofParts(part: JsonObject, { name, parts }: OperationParameter, expression: string): JsonObject {
  const given = Array.isArray(part.part) ? part.part.filter(isJsonObject) : [];
  const values = new Map<string, Json>();
  for (const [index, each] of given.entries()) {
    const place = `${expression}.part[${index}]`;
    const defined = parts.find((one) => one.name === each.name);
    if (defined === undefined || values.has(defined.name)) {
      const valid = parts.map((one) => `\`${one.name}\``).join(', ');
      throw fhirError('invalid', `\`${name}\` takes the parts ${valid}, each once.`, { expression: place });
    }
    values.set(defined.name, ofPart(each, defined, place).value);
  }
  const missing = parts.find((one) => one.min > 0 && !values.has(one.name));
  if (missing !== undefined)
    throw fhirError('required', `\`${name}\` needs the part \`${missing.name}\`.`, { expression });
  return Object.fromEntries(values);
}

function assertType(value: JsonObject, { name, type = '' }: OperationParameter, expression: string): void {
  if (type === 'Resource' || value.resourceType === type) return;
  throw fhirError('invalid', `\`${name}\` must be of type ${type}.`, { expression });
}

function collected(given: readonly Given[], { parameters, code }: OperationDefinition): OperationInput {
  const input = new Map<string, Given[]>();
  for (const each of given) input.set(each.name, [...(input.get(each.name) ?? []), each]);
  for (const { name, use, min, max } of parameters) {
    const found = input.get(name) ?? [];
    if (use !== 'in') continue;
    if (found.length < min) throw fhirError('required', `\`$${code}\` needs the parameter \`${name}\`.`);
    if (found.length > max) {
      throw fhirError('invalid', `The parameter \`${name}\` is given more than once.`, {
        expression: found.at(-1)?.expression,
      });
    }
  }
  return input;
}

/** Text of a parameter that occurs at most once. */
export function textOf(input: OperationInput, name: string): string | undefined {
  const value = input.get(name)?.[0]?.value;
  return typeof value === 'string' ? value : undefined;
}

export function truthOf(input: OperationInput, name: string): boolean | undefined {
  const value = input.get(name)?.[0]?.value;
  return typeof value === 'boolean' ? value : undefined;
}

export function wholeOf(input: OperationInput, name: string): number | undefined {
  const value = input.get(name)?.[0]?.value;
  return typeof value === 'number' ? value : undefined;
}

/** An object (complex type or resource) that occurs at most once. */
export function objectOf(input: OperationInput, name: string): JsonObject | undefined {
  const value = input.get(name)?.[0]?.value;
  return value !== undefined && isJsonObject(value) ? value : undefined;
}
