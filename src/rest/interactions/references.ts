/**
 * Links inside a resource: own absolute references become relative, and in a transaction the links to other entries become the ids the
 * server assigned. Source: FHIR R4 references.html, http.html#trules ("replace all matching links"; canonicals are not replaced).
 */
import type { Definitions, ElementDefinition } from '../../fhir/definitions/definitions.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';

/** `Patient/1`, `Patient/1/_history/2`. */
const RELATIVE = /^([A-Z][A-Za-z]{0,63})\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/;
/** `Patient?identifier=...`. */
const CONDITIONAL = /^[A-Z][A-Za-z]{0,63}\?/;
/** `http://example.org/fhir/Patient/1` split into base and the relative part; bundle.html#references. */
const RESTFUL = /^(https?:\/\/.+)\/([A-Z][A-Za-z]{0,63}\/[A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/;
const NARRATIVE_LINK = /(<(?:a|img)\b[^<>]*?\s(?:href|src)\s*=\s*)("[^"<>]*"|'[^'<>]*')/g;
/**
 * Types whose value is a link that may become `Type/id`. Canonicals are left alone on purpose. http.html#trules names oid and uuid too, but
 * no value of these can be `Type/id` (datatypes.html#primitive): replacing one would refuse the transaction for what the server wrote itself.
 */
const LINK_TYPES: ReadonlySet<string> = new Set(['uri', 'url']);

/** What becomes of links. Both return the text to store. */
export interface LinkRules {
  /** The text of a `Reference.reference`. */
  reference(text: string): string;
  /** Full URLs of the bundle's entries and what they become; undefined outside a transaction. */
  readonly links: ReadonlyMap<string, string> | undefined;
}

/** `Type/id` of a relative reference, without its version; undefined for anything else. */
export function localTarget(reference: string): { readonly type: string; readonly id: string } | undefined {
  const [, type, id] = RELATIVE.exec(reference) ?? [];
  return type === undefined || id === undefined ? undefined : { type, id };
}

/** True for `Patient?identifier=x`, which http.html#transaction allows in transactions only. */
export function isConditionalReference(reference: string): boolean {
  return CONDITIONAL.test(reference);
}

/** The reference without our own base when it names one of our resources (or asks for one); otherwise as it was. */
export function withoutOwnBase(reference: string, fhirBase: string): string {
  if (!reference.startsWith(fhirBase) || reference[fhirBase.length] !== '/') return reference;
  const rest = reference.slice(fhirBase.length + 1);
  return RELATIVE.test(rest) || CONDITIONAL.test(rest) ? rest : reference;
}

/** Base of a RESTful full URL, against which relative references of that entry are resolved; undefined for a urn. */
export function rootOf(fullUrl: string | undefined): string | undefined {
  return fullUrl === undefined ? undefined : RESTFUL.exec(fullUrl)?.[1];
}

/** The resource with its links rewritten; the same object when nothing changed. Never mutates. One pass; depth is bounded by the JSON codec. */
export function rewritten(resource: Resource, rules: LinkRules, definitions: Definitions): Resource {
  const after = object(resource, { type: resource.resourceType, path: [] }, rules, definitions);
  return after === resource ? resource : { ...resource, ...after };
}

interface Place {
  /** Type of the nearest resource around, contained ones included. */
  readonly type: string;
  /** Element names from there. */
  readonly path: string[];
}

function object(value: JsonObject, at: Place, rules: LinkRules, definitions: Definitions): JsonObject {
  const type = value.resourceType;
  const place = typeof type === 'string' ? { type, path: [] } : at;
  let copy: Record<string, Json | undefined> | undefined;
  for (const key of Object.keys(value)) {
    const before = value[key];
    if (before === undefined) continue;
    place.path.push(key);
    const after = element(before, key, place, rules, definitions);
    place.path.pop();
    if (after === before) continue;
    copy ??= { ...value };
    copy[key] = after;
  }
  return copy ?? value;
}

function element(value: Json, key: string, place: Place, rules: LinkRules, definitions: Definitions): Json {
  if (typeof value === 'string') return text(value, key, place, rules, definitions);
  if (Array.isArray(value)) {
    const items: readonly Json[] = value;
    const after = items.map((item) => element(item, key, place, rules, definitions));
    return after.some((item, index) => item !== items[index]) ? after : value;
  }
  return isJsonObject(value) && !isApart(value, key) ? object(value, place, rules, definitions) : value;
}

/**
 * True for a resource inside another one that is not contained in it: an entry of a document Bundle, a parameter. Its links are resolved
 * where it comes from, and a signature may cover it.
 */
export function isApart(value: JsonObject, key: string): boolean {
  return key !== 'contained' && typeof value.resourceType === 'string';
}

function text(value: string, key: string, place: Place, { reference, links }: LinkRules, definitions: Definitions) {
  if (key === 'reference') return reference(value);
  if (links === undefined || links.size === 0) return value;
  if (key === 'div') return narrative(value, links);
  const target = links.get(value);
  if (target === undefined) return value;
  return LINK_TYPES.has(elementType(place, definitions) ?? '') ? target : value;
}

function narrative(div: string, links: ReadonlyMap<string, string>): string {
  return div.replace(NARRATIVE_LINK, (whole, start: string, quoted: string) => {
    const target = links.get(quoted.slice(1, -1).replaceAll('&amp;', '&'));
    return target === undefined ? whole : `${start}${quoted[0]}${target}${quoted[0]}`;
  });
}

/** FHIR type of the element at a place, by its definition; undefined when the path is not defined. Runs only for texts that equal a link. */
function elementType({ type, path }: Place, definitions: Definitions): string | undefined {
  let prefix = type;
  let structure = definitions.structure(type);
  let code: string | undefined;
  for (const key of path) {
    if (key.startsWith('_')) {
      [structure, prefix, code] = [definitions.structure('Element'), 'Element', undefined];
      continue;
    }
    const found = structure && definedAs(structure.elements, prefix, key);
    code = found?.code ?? (/^(?:modifierE|e)xtension$/.test(key) ? 'Extension' : undefined);
    if (found?.content !== undefined) prefix = found.content;
    else if (code === 'BackboneElement' || code === 'Element') prefix = `${prefix}.${key}`;
    else if (code !== undefined) [structure, prefix] = [definitions.structure(code), code];
    else return undefined;
  }
  return code;
}

function definedAs(elements: readonly ElementDefinition[], prefix: string, key: string) {
  for (const { path, types, contentReference } of elements) {
    if (path === `${prefix}.${key}`) {
      if (contentReference !== undefined) return { code: undefined, content: contentReference.replace(/^.*#/, '') };
      return { code: types[0]?.code, content: undefined };
    }
    if (path.endsWith('[x]') && path.startsWith(`${prefix}.`)) {
      const stem = path.slice(prefix.length + 1, -3);
      const chosen = key.startsWith(stem) ? key.slice(stem.length).toLowerCase() : '';
      const choice = types.find(({ code }) => code.toLowerCase() === chosen);
      if (choice !== undefined) return { code: choice.code, content: undefined };
    }
  }
  return undefined;
}
