/** FHIRPath Patch: Parameters with operations add, insert, delete, replace, move. Source: FHIR R4 fhirpatch.html. */
import type { Definitions } from '../definitions/definitions.ts';
import { fhirError } from '../outcome.ts';
import { type Budget, FHIRPATH_LIMITS, type Selected, selected } from '../path/fhirpath.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf, type Resource } from '../resource.ts';
import { inOrder } from './order.ts';
import { added, type Content, contentOf, definitionOf, itemsAt, placeOf, withItems } from './tree.ts';

export type PathOperation = { readonly path: string } & (
  | { readonly type: 'add'; readonly name: string; readonly value: Content }
  | { readonly type: 'insert'; readonly index: number; readonly value: Content }
  | { readonly type: 'delete' }
  | { readonly type: 'replace'; readonly value: Content }
  | { readonly type: 'move'; readonly source: number; readonly destination: number }
);

const at = (index: number): string => `Parameters.parameter[${index}]`;

/** @throws FhirError 400, with the index of the operation */
export function decodePathOperations(json: Json): readonly PathOperation[] {
  if (!isJsonObject(json) || json.resourceType !== 'Parameters') {
    throw fhirError('structure', 'A FHIRPath Patch must be a Parameters resource.');
  }
  const { parameter = [] } = json;
  if (!Array.isArray(parameter)) throw fhirError('structure', 'Parameters.parameter must be an array.');
  const given: readonly Json[] = parameter;
  const operations: PathOperation[] = [];
  inOrder(given, at, (each) => {
    if (!isJsonObject(each) || each.name !== 'operation') {
      throw fhirError('structure', 'Each parameter of a FHIRPath Patch must be named `operation`.');
    }
    operations.push(operationOf(partsOf(each)));
  });
  return operations;
}

/** Parts by name; none may occur twice. */
function partsOf({ part }: JsonObject): ReadonlyMap<string, JsonObject> {
  const parts = new Map<string, JsonObject>();
  const given: readonly Json[] = Array.isArray(part) ? part : [];
  for (const each of given) {
    if (!isJsonObject(each) || typeof each.name !== 'string') throw fhirError('structure', 'A part has no name.');
    if (parts.has(each.name)) throw fhirError('structure', 'A part is given twice.');
    parts.set(each.name, each);
  }
  return parts;
}

/** Which parts an operation takes besides `type` and `path`. */
const PARTS: Readonly<Record<PathOperation['type'], readonly string[]>> = {
  add: ['name', 'value'],
  insert: ['index', 'value'],
  delete: [],
  replace: ['value'],
  move: ['source', 'destination'],
};

function operationOf(parts: ReadonlyMap<string, JsonObject>): PathOperation {
  const type = text(parts, 'type');
  const path = text(parts, 'path');
  if (!isType(type)) throw fhirError('code-invalid', 'The type must be add, insert, delete, replace or move.');
  const allowed = new Set(['type', 'path', ...PARTS[type]]);
  if ([...parts.keys()].some((name) => !allowed.has(name))) {
    throw fhirError('structure', `\`${type}\` takes the parts ${[...allowed].join(', ')}.`);
  }
  switch (type) {
    case 'add':
      return { type, path, name: text(parts, 'name'), value: contentOf(needed(parts, 'value')) };
    case 'insert':
      return { type, path, index: position(parts, 'index'), value: contentOf(needed(parts, 'value')) };
    case 'delete':
      return { type, path };
    case 'replace':
      return { type, path, value: contentOf(needed(parts, 'value')) };
    case 'move':
      return { type, path, source: position(parts, 'source'), destination: position(parts, 'destination') };
    default:
      return type satisfies never;
  }
}

const isType = (type: string): type is PathOperation['type'] => Object.hasOwn(PARTS, type);

function needed(parts: ReadonlyMap<string, JsonObject>, name: string): JsonObject {
  const part = parts.get(name);
  if (part === undefined) throw fhirError('required', `The part \`${name}\` is missing.`);
  return part;
}

function text(parts: ReadonlyMap<string, JsonObject>, name: string): string {
  const { valueString, valueCode } = needed(parts, name);
  const given = valueString ?? valueCode;
  if (typeof given === 'string' && given !== '') return given;
  throw fhirError('value', `The part \`${name}\` must hold a text.`);
}

function position(parts: ReadonlyMap<string, JsonObject>, name: string): number {
  const { valueInteger, valueUnsignedInt, valuePositiveInt } = needed(parts, name);
  const given = valueInteger ?? valueUnsignedInt ?? valuePositiveInt;
  const number = given !== undefined && isNumber(given) ? numberOf(given) : Number.NaN;
  if (Number.isInteger(number) && number >= 0) return number;
  throw fhirError('value', `The part \`${name}\` must hold a whole number from 0.`);
}

/**
 * The resource after all operations; not validated.
 * @throws FhirError `not-unprocessable` (422) when a path does not select exactly one element (`delete`: at most one), an element is not defined
 *   or a position is out of range; 400 on a path that is none
 */
export function pathPatched(
  resource: Resource,
  operations: readonly PathOperation[],
  definitions: Definitions,
): JsonObject {
  const budget: Budget = { steps: FHIRPATH_LIMITS.steps };
  let result: Resource = resource;
  inOrder(operations, at, (operation) => {
    const after = applied(result, operation, { definitions, budget });
    result = { ...after, resourceType: resource.resourceType };
  });
  return result;
}

interface Tools {
  readonly definitions: Definitions;
  readonly budget: Budget;
}

function applied(resource: Resource, operation: PathOperation, tools: Tools): JsonObject {
  const { definitions, budget } = tools;
  switch (operation.type) {
    case 'add': {
      const parent = one(selected(resource, operation.path, budget));
      const { name, value } = operation;
      return placeOf(resource, parent.steps).changed((object) => added(object, parent.path, name, value, definitions));
    }
    case 'insert': {
      const { place, key, element } = listOf(resource, operation.path, tools);
      const items = itemsAt(place.object, key);
      if (operation.index > items.length) throw outOfRange('index', items.length);
      const item = operation.value.item(element, definitions);
      return place.changed((object) => withItems(object, key, items.toSpliced(operation.index, 0, item)));
    }
    case 'delete': {
      const found = selected(resource, operation.path, budget);
      return found.length === 0 ? resource : without(resource, one(found));
    }
    case 'replace':
      return replaced(resource, one(selected(resource, operation.path, budget)), operation.value, definitions);
    case 'move': {
      const { place, key } = listOf(resource, operation.path, tools);
      const items = itemsAt(place.object, key);
      const { source, destination } = operation;
      const moved = items[source];
      if (moved === undefined) throw outOfRange('source', items.length - 1);
      if (destination >= items.length) throw outOfRange('destination', items.length - 1);
      const after = items.toSpliced(source, 1).toSpliced(destination, 0, moved);
      return place.changed((object) => withItems(object, key, after));
    }
    default:
      return operation satisfies never;
  }
}

function without(resource: Resource, target: Selected): JsonObject {
  const { place, key, index } = within(resource, target);
  return place.changed((object) =>
    withItems(object, key, itemsAt(object, key).toSpliced(index ?? 0, 1), index !== undefined),
  );
}

function replaced(resource: Resource, target: Selected, value: Content, definitions: Definitions): JsonObject {
  const { place, key, index, name } = within(resource, target);
  const element = definitionOf(target.parentPath ?? '', name, definitions);
  const item = value.item(element, definitions);
  if (index !== undefined) {
    return place.changed((object) => withItems(object, key, itemsAt(object, key).toSpliced(index, 1, item)));
  }
  const renamed = value.key(element);
  return place.changed((object) => {
    const others = renamed === key ? object : withItems(object, key, [], false);
    return withItems(others, renamed, [item], false);
  });
}

const outOfRange = (part: string, last: number) =>
  fhirError('not-unprocessable', `\`${part}\` is out of range: at most ${Math.max(last, 0)} here.`);

/** fhirpatch.html: "The FHIRPath statement must return a single element". */
function one(found: readonly Selected[]): Selected {
  const [first, second] = found;
  if (first === undefined) throw fhirError('not-unprocessable', 'No element is at this path.');
  if (second !== undefined) throw fhirError('not-unprocessable', 'The path selects more than one element.');
  return first;
}

/** The parent of an element, and what the element is called there. */
function within(resource: Resource, { steps }: Selected) {
  const last = steps.at(-1);
  if (last === undefined) throw fhirError('not-unprocessable', 'The resource itself cannot be replaced or deleted.');
  const place = placeOf(resource, steps.slice(0, -1));
  return { place, name: last.name, ...place.named(last) };
}

/** `Patient.contact[0].telecom` names the list `telecom` of one element, which may be empty. */
const LIST = /^(?:(?<parent>[\s\S]+)\.)?\s*`?(?<name>[A-Za-z][A-Za-z0-9]*)`?\s*$/;

function listOf(resource: Resource, path: string, { definitions, budget }: Tools) {
  const { parent = '$this', name } = LIST.exec(path)?.groups ?? {};
  if (name === undefined) throw fhirError('value', 'The path of a list must end in the name of an element.');
  const container = one(selected(resource, parent, budget));
  const element = definitionOf(container.path, name, definitions);
  if (element.max <= 1) throw fhirError('not-unprocessable', 'The path names no list.');
  const place = placeOf(resource, container.steps);
  return { place, key: name, element };
}
