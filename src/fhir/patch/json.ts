/** JSON Patch: RFC 6902 by fast-json-patch, pointers by RFC 6901. Numbers with a lexeme of their own travel through it as marked texts. */
import jsonPatch from 'fast-json-patch';
import { fhirError } from '../outcome.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, lexemeOf, numberOf, type Resource } from '../resource.ts';
import { inOrder } from './order.ts';

export type JsonOperation =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: Json }
  | { readonly op: 'remove'; readonly path: string }
  | { readonly op: 'move' | 'copy'; readonly path: string; readonly from: string };

/** Characters that `copy` may add in one patch: copies of copies double each time. */
export const COPY_LIMIT = 1_048_576;

const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/;
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** Stands before the lexeme of a number. No text of decoded JSON holds NUL. */
const MARK = '\u0000';

/** @throws FhirError `structure` or `value` (400), with the index of the operation */
export function decodeJsonOperations(json: Json): readonly JsonOperation[] {
  if (!Array.isArray(json)) throw fhirError('structure', 'A JSON Patch must be an array of operations.');
  const given: readonly Json[] = json;
  const operations: JsonOperation[] = [];
  inOrder(given, undefined, (each) => {
    if (!isJsonObject(each)) throw fhirError('structure', 'It must be an object.');
    operations.push(operationOf(each));
  });
  return operations;
}

function operationOf(given: JsonObject): JsonOperation {
  const { op, value } = given;
  const path = pointerOf(given, 'path');
  switch (op) {
    case 'add':
    case 'replace':
    case 'test':
      if (value === undefined) throw fhirError('structure', `\`${op}\` needs a value.`);
      return { op, path, value };
    case 'remove':
      return { op, path };
    case 'move':
    case 'copy': {
      const from = pointerOf(given, 'from');
      if (op === 'move' && path.startsWith(`${from}/`)) {
        throw fhirError('structure', '`move` cannot put a value into itself.');
      }
      return { op, path, from };
    }
    default:
      throw fhirError('structure', '`op` must be add, remove, replace, move, copy or test.');
  }
}

function pointerOf(given: JsonObject, member: 'path' | 'from'): string {
  const pointer = given[member];
  if (typeof pointer !== 'string' || !POINTER.test(pointer)) {
    throw fhirError('structure', `\`${member}\` must be a JSON Pointer.`);
  }
  if (tokens(pointer).some((token) => FORBIDDEN.has(token))) {
    throw fhirError('value', `\`${member}\` holds a name that is not allowed.`);
  }
  return pointer;
}

const tokens = (pointer: string): readonly string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));

/**
 * JSON text of the resource after all operations; it is not yet known to be a resource.
 * @throws FhirError `not-unprocessable` (422): a path that is not there, a `test` that fails
 */
export function jsonPatched(resource: Resource, operations: readonly JsonOperation[]): string {
  let document: Json = marked(resource);
  let copied = 0;
  inOrder(operations, undefined, (operation) => {
    if (operation.op === 'test') {
      const found = valueAt(document, operation.path);
      if (found !== undefined && same(found, marked(operation.value))) return;
      throw fhirError('not-unprocessable', 'The test fails.');
    }
    if (operation.op === 'copy') copied += JSON.stringify(valueAt(document, operation.from) ?? null).length;
    if (copied > COPY_LIMIT) throw fhirError('too-costly', 'The patch copies too much.');
    document = applied(document, operation);
  });
  return JSON.stringify(document).replace(/"\\u0000([^"]*)"/g, '$1');
}

/** RFC 6901 §4: an index has no leading zeros; the library takes `00` for `0`. */
function assertIndexes(document: Json, pointer: string): void {
  let here: Json | undefined = document;
  for (const token of tokens(pointer)) {
    if (here === undefined) return;
    if (Array.isArray(here) && /^0\d+$/.test(token)) throw fhirError('structure', 'An index has no leading zeros.');
    here = within(here, token);
  }
}

function applied(document: Json, operation: Exclude<JsonOperation, { op: 'test' }>): Json {
  assertIndexes(document, operation.path);
  if ('from' in operation) assertIndexes(document, operation.from);
  const own = 'value' in operation ? { ...operation, value: marked(operation.value) } : { ...operation };
  let result: Json | undefined;
  let cause: unknown;
  try {
    result = jsonPatch.applyOperation<Json>(document, own, true, true, true).newDocument;
  } catch (error) {
    cause = error;
  }
  if (result !== undefined) return result; // undefined: something that is not there was put in place of everything
  throw fhirError('not-unprocessable', `\`${operation.op}\` cannot be applied at its path.`, { cause });
}

/** A copy in which each number with a lexeme of its own is a marked text. */
function marked(value: Json): Json {
  if (isNumber(value)) return typeof value === 'number' ? value : MARK + lexemeOf(value);
  if (Array.isArray(value)) return value.map(marked);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, each]) => (each === undefined ? [] : [[name, marked(each)]])),
  );
}

function valueAt(document: Json, pointer: string): Json | undefined {
  let here: Json | undefined = document;
  for (const token of tokens(pointer)) here = within(here, token);
  return here;
}

function within(here: Json | undefined, token: string): Json | undefined {
  if (Array.isArray(here)) {
    const items: readonly Json[] = here;
    return /^(?:0|[1-9]\d*)$/.test(token) ? items[Number(token)] : undefined;
  }
  return here !== undefined && isJsonObject(here) && Object.hasOwn(here, token) ? here[token] : undefined;
}

/** RFC 6902 §4.6: numbers are equal when their values are, members of objects have no order. */
function same(left: Json, right: Json): boolean {
  const [one, other] = [left, right].map((value) =>
    typeof value === 'string' && value.startsWith(MARK) ? Number(value.slice(1)) : value,
  );
  if (one === other) return true;
  if (Array.isArray(left) && Array.isArray(right)) {
    const items: readonly Json[] = right;
    return left.length === items.length && left.every((item: Json, index) => same(item, items[index] ?? null));
  }
  if (!isJsonObject(left) || !isJsonObject(right))
    return isNumber(left) && isNumber(right) && numberOf(left) === numberOf(right);
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => Object.hasOwn(right, name) && same(left[name] ?? null, right[name] ?? null))
  );
}
