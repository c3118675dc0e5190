/**
 * Elements inside the JSON of a resource: a primitive is a value and, beside it, an object with id and extensions (`birthDate`, `_birthDate`),
 * a list of them two arrays in step, a choice has its type in its name. Source: FHIR R4 json.html. Nothing is changed in place.
 */
import { type Definitions, type ElementDefinition, jsonNames } from '../definitions/definitions.ts';
import { fhirError } from '../outcome.ts';
import type { Step } from '../path/fhirpath.ts';
import { isJsonObject, type Json, type JsonObject } from '../resource.ts';

/** One element: the value, and id and extensions of a primitive. */
export interface Item {
  readonly value: Json | undefined;
  readonly extra: Json | undefined;
}

/** An object inside a resource. */
export interface Place {
  readonly object: JsonObject;
  /** JSON name (without `_`) and position of a child. */
  named(step: Step): { readonly key: string; readonly index: number | undefined };
  /** The whole resource with this object changed; what becomes empty goes. */
  changed(change: (object: JsonObject) => JsonObject): JsonObject;
}

/** Where steps lead; children of a primitive are in its `_name`. */
export function placeOf(resource: JsonObject, steps: readonly Step[]): Place {
  let object = resource;
  const path: (string | number)[] = [];
  for (const step of steps) {
    const { key, index } = named(object, step);
    const item = itemsAt(object, key)[index ?? 0];
    const isObject = item?.value !== undefined && isJsonObject(item.value);
    const inside = isObject ? item.value : item?.extra;
    path.push(isObject ? key : `_${key}`, ...(index === undefined ? [] : [index]));
    object = inside !== undefined && isJsonObject(inside) ? inside : {};
  }
  return {
    object,
    named: (step) => named(object, step),
    changed: (change) => {
      const after = updated(resource, path, change);
      return after !== undefined && isJsonObject(after) ? after : {};
    },
  };
}

/** `value` is `valueQuantity` here, when that is what the object holds. */
function named(object: JsonObject, { name, index }: Step) {
  const has = (key: string): boolean => object[key] !== undefined || object[`_${key}`] !== undefined;
  const choice = (): string | undefined =>
    Object.keys(object)
      .map((key) => key.replace(/^_/, ''))
      .find((key) => key.startsWith(name) && /^[A-Z]/.test(key.slice(name.length)));
  const key = has(name) ? name : (choice() ?? name);
  return { key, index };
}

/** The elements of one name; a single one is a list of one. */
export function itemsAt(object: JsonObject, key: string): readonly Item[] {
  const [value, extra] = [object[key], object[`_${key}`]];
  if (!Array.isArray(value) && !Array.isArray(extra)) {
    return value === undefined && extra === undefined ? [] : [{ value, extra }];
  }
  const values: readonly Json[] = Array.isArray(value) ? value : [];
  const extras: readonly Json[] = Array.isArray(extra) ? extra : [];
  const length = Math.max(values.length, extras.length);
  return Array.from({ length }, (_, index) => ({
    value: values[index] ?? undefined,
    extra: extras[index] ?? undefined,
  }));
}

/** The object with other elements of that name; the place among its members stays. */
export function withItems(object: JsonObject, key: string, items: readonly Item[], list = true): JsonObject {
  const values = items.map(({ value }) => value ?? null);
  const extras = items.map(({ extra }) => extra ?? null);
  const held = (all: readonly Json[]): Json | undefined => {
    if (all.every((each) => each === null)) return undefined;
    return list ? all : all[0];
  };
  const { [key]: _value, [`_${key}`]: _extra, ...rest } = object;
  const next: Record<string, Json | undefined> = object[key] === undefined ? rest : { ...object };
  const members: readonly (readonly [string, Json | undefined])[] = [
    [key, held(values)],
    [`_${key}`, held(extras)],
  ];
  for (const [name, value] of members) {
    if (value === undefined) delete next[name];
    else next[name] = value;
  }
  return next;
}

function updated(
  value: Json | undefined,
  path: readonly (string | number)[],
  change: (object: JsonObject) => JsonObject,
): Json | undefined {
  const [step, ...rest] = path;
  if (typeof step === 'number') {
    const before: readonly Json[] = Array.isArray(value) ? value : [];
    const items: (Json | undefined)[] = [...before];
    while (items.length <= step) items.push(null);
    items[step] = updated(items[step] ?? undefined, rest, change);
    return items.length === 0 ? undefined : items.map((item) => item ?? null);
  }
  const object = value !== undefined && isJsonObject(value) ? value : {};
  if (step === undefined) return emptied(change(object));
  const child = updated(object[step], rest, change);
  const { [step]: _before, ...others } = object;
  const kept = compact(step, child);
  return emptied(kept === undefined ? others : { ...object, [step]: kept });
}

/** A list without the objects that became empty; in the list beside primitives their places stay. */
function compact(name: string, value: Json | undefined): Json | undefined {
  if (!Array.isArray(value)) return value;
  const items: readonly Json[] = value;
  if (items.every((item) => item === null)) return undefined;
  return name.startsWith('_')
    ? items
    : items.filter((item) => item !== null || items.some((each) => !isJsonObject(each) && each !== null));
}

const emptied = (object: JsonObject): JsonObject | undefined => (Object.keys(object).length === 0 ? undefined : object);

/** @throws FhirError `not-unprocessable` (422) when the type has no such element */
export function definitionOf(path: string, name: string, definitions: Definitions): ElementDefinition {
  const type = path.split('.')[0] ?? '';
  const stem = name.replace(/\[x\]$/, '');
  const found = definitions
    .structure(type)
    ?.elements.find(
      (element) =>
        element.path === `${path}.${stem}` ||
        element.path === `${path}.${stem}[x]` ||
        (element.path.endsWith('[x]') &&
          element.path.startsWith(`${path}.`) &&
          isChild(element, path) &&
          jsonNames(element).includes(stem)),
    );
  if (found !== undefined) return found;
  throw fhirError('not-unprocessable', 'No such element is defined at this path.');
}

const isChild = ({ path }: ElementDefinition, parent: string): boolean => !path.includes('.', parent.length + 1);

/** What a `value` part holds, to be put where its element is known. */
export interface Content {
  item(element: ElementDefinition, definitions: Definitions): Item;
  /** JSON name of the element; a choice needs a typed value. */
  key(element: ElementDefinition): string;
}

/**
 * @param part a part with `value[x]`, a resource, or parts for what no value[x] can hold
 * @throws FhirError `required` (400) without any of them
 */
export function contentOf(part: JsonObject): Content {
  const typed = Object.keys(part).find((name) => /^_?value[A-Z]/.test(name));
  const suffix = typed?.replace(/^_?value/, '');
  const key = (element: ElementDefinition): string => keyOf(element, suffix);
  if (suffix !== undefined) {
    const item = { value: part[`value${suffix}`], extra: part[`_value${suffix}`] };
    return { key, item: () => item };
  }
  if (part.resource !== undefined) {
    const item = { value: part.resource, extra: undefined };
    return { key, item: () => item };
  }
  const parts: readonly Json[] = Array.isArray(part.part) ? part.part : [];
  if (parts.length === 0) throw fhirError('required', 'A value must hold value[x], a resource or parts.');
  const children = parts.map((each) => {
    if (!isJsonObject(each) || typeof each.name !== 'string') throw fhirError('structure', 'A part has no name.');
    return { name: each.name, content: contentOf(each) };
  });
  return {
    key,
    item: (element, definitions) => {
      const path = contentPath(element);
      const object = children.reduce<JsonObject>(
        (made, { name, content }) => added(made, path, name, content, definitions),
        {},
      );
      return { value: object, extra: undefined };
    },
  };
}

function keyOf(element: ElementDefinition, suffix: string | undefined): string {
  const name = element.path.slice(element.path.lastIndexOf('.') + 1);
  if (!name.endsWith('[x]')) return name;
  const key = `${name.slice(0, -3)}${suffix ?? ''}`;
  if (jsonNames(element).includes(key)) return key;
  throw fhirError('not-unprocessable', 'The value has a type that this element cannot have.');
}

/** Where the children of an element are defined. */
function contentPath({ path, types, contentReference }: ElementDefinition): string {
  if (contentReference !== undefined) return contentReference.replace(/^.*#/, '');
  const code = types[0]?.code ?? '';
  return code === 'BackboneElement' || code === 'Element' ? path : code;
}

/**
 * The object with one more element: at the end of a list, or where a single one is missing.
 * @throws FhirError `not-unprocessable` (422) when the element is not defined or, being single, is there already
 */
export function added(
  object: JsonObject,
  path: string,
  name: string,
  content: Content,
  definitions: Definitions,
): JsonObject {
  const element = definitionOf(path, name, definitions);
  const key = content.key(element);
  const item = content.item(element, definitions);
  if (element.max > 1) return withItems(object, key, [...itemsAt(object, key), item]);
  if (jsonNames(element).some((each) => itemsAt(object, each).length > 0)) {
    throw fhirError('not-unprocessable', 'The element is there already and cannot repeat.');
  }
  return withItems(object, key, [item], false);
}
