/** The entries of an element in a resource: values with their `_name` siblings, as profiles count and check them. Source: json.html#primitive. */
import type { Definitions, ElementDefinition } from '../definitions/definitions.ts';
import { jsonNames } from '../definitions/definitions.ts';
import type { Budget } from '../path/fhirpath.ts';
import { isJsonObject, type Json, type JsonObject } from '../resource.ts';
import type { Findings } from '../validation/finding.ts';

/** One entry of an element. */
export interface Item {
  /** undefined: only extensions are there. */
  readonly value: Json | undefined;
  /** The `_name` sibling of a primitive. */
  readonly sibling: Json | undefined;
  /** Type by the name of a choice (`Quantity`), or the one type of the element; undefined when it has several. */
  readonly type: string | undefined;
  /** Where its children are defined: `Observation.component`, `Quantity`; of a resource inside another, its type. */
  readonly definedAt: string;
  /** As FHIRPath needs it: `Observation.valueQuantity`; undefined for a resource. */
  readonly base: string | undefined;
  readonly index: number | undefined;
}
/** One judgement under way. */
export interface Judging {
  readonly findings: Findings;
  /** Ids of contained resources -> their types. */
  readonly contained: ReadonlyMap<string, string>;
  /** The nearest resource, and the outermost, as FHIRPath takes them. */
  readonly resource: Json;
  readonly container: Json;
  readonly budget: Budget;
  /** What was noted once and is not noted again. */
  readonly noted: Set<string>;
}

/** JSON property of an element. */
export interface Place {
  readonly name: string;
  readonly type: string | undefined;
  readonly definedAt: string;
  readonly base: string;
}

/** Elements of the base definitions by path, and where their children are defined. */
export class Places {
  readonly #definitions: Definitions;
  readonly #elements = new Map<string, ReadonlyMap<string, ElementDefinition>>();
  readonly #parents = new Map<string, ReadonlySet<string>>();

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /** The places of an element below a path; empty when the base does not know it. */
  of(parent: string, name: string): readonly Place[] {
    const type = parent.split('.')[0] ?? parent;
    const elements = this.#elementsOf(type);
    const element = elements.get(`${parent}.${name}`) ?? elements.get(`${parent}.${name}[x]`);
    if (element === undefined) return [];
    const { contentReference, path, types } = element;
    const hasChildren = this.#parents.get(type)?.has(path) === true;
    return jsonNames(element).map((jsonName, at) => {
      const code = types[at]?.code ?? types[0]?.code;
      const definedAt = contentReference?.slice(1) ?? (hasChildren ? path : (code ?? 'Element'));
      return { name: jsonName, type: code, definedAt, base: `${parent}.${jsonName}` };
    });
  }

  #elementsOf(type: string): ReadonlyMap<string, ElementDefinition> {
    const known = this.#elements.get(type);
    if (known !== undefined) return known;
    const list = this.#definitions.structure(type)?.elements ?? [];
    const elements = new Map(list.map((each) => [each.path, each]));
    this.#elements.set(type, elements);
    this.#parents.set(type, new Set(list.map(({ path }) => path.slice(0, path.lastIndexOf('.')))));
    return elements;
  }
}

/** Every entry that stands at the places, in the order of the places. */
export function itemsAt(object: JsonObject, places: readonly Place[]): readonly Item[] {
  return places.flatMap((place) => {
    const value = object[place.name];
    const sibling = object[`_${place.name}`];
    if (value === undefined && sibling === undefined) return [];
    if (!Array.isArray(value) && !Array.isArray(sibling)) return [item(place, value, sibling, undefined)];
    const values: readonly Json[] = Array.isArray(value) ? value : [];
    const siblings: readonly Json[] = Array.isArray(sibling) ? sibling : [];
    return Array.from({ length: Math.max(values.length, siblings.length) }, (_, index) =>
      item(place, values[index] ?? undefined, siblings[index] ?? undefined, index),
    );
  });
}

function item(place: Place, value: Json | undefined, sibling: Json | undefined, index: number | undefined): Item {
  const { type, definedAt, base } = place;
  if (type !== 'Resource' || value === undefined || !isJsonObject(value)) {
    return { value, sibling, type, definedAt, base, index };
  }
  const own = typeof value.resourceType === 'string' ? value.resourceType : 'Resource';
  return { value, sibling, type: own, definedAt: own, base: undefined, index };
}

/** What holds the children of an entry: the object itself, or the sibling of a primitive. */
export function objectOf({ value, sibling }: Item): JsonObject {
  if (value !== undefined && isJsonObject(value)) return value;
  return sibling !== undefined && isJsonObject(sibling) ? sibling : {};
}

/** Codes of a code, Coding, CodeableConcept or Quantity. */
export function codesOf(
  value: Json | undefined,
): readonly { readonly system: string | undefined; readonly code: string }[] {
  if (typeof value === 'string') return [{ system: undefined, code: value }];
  if (value === undefined || !isJsonObject(value)) return [];
  const codings: readonly Json[] = Array.isArray(value.coding) ? value.coding : [value];
  return codings.flatMap((each) => {
    if (!isJsonObject(each) || typeof each.code !== 'string') return [];
    return [{ system: typeof each.system === 'string' ? each.system : '', code: each.code }];
  });
}
