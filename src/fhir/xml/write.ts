/**
 * JSON text of a resource -> XML text. Source: FHIR R4 xml.html, json.html. Elements in the order of the definitions, numbers by their lexeme,
 * narrative as it is; the same input gives the same output. No whitespace unless asked.
 */
import type { Definitions } from '../definitions/definitions.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, lexemeOf, parseJson } from '../resource.ts';
import { FHIR_NAMESPACE, type XmlElement, type XmlShape, xmlShape } from './shape.ts';
import { withXmlEntities } from './xhtml-entities.ts';

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';
/** Nesting of an answer: a stored resource inside Bundles. */
const DEPTH = 256;

/**
 * @param text a valid resource: stored, or made by the server
 * @param pretty two spaces a level; narrative stays as it is
 * @throws TypeError on what no valid resource holds
 */
export function writeXml(text: string, definitions: Definitions, pretty = false): string {
  const resource = parseJson(text, DEPTH);
  if (!isJsonObject(resource)) throw new TypeError('The text is not a resource.');
  return new Writer(definitions, pretty).document(resource);
}

class Writer {
  readonly #definitions: Definitions;
  readonly #pretty: boolean;
  #text = DECLARATION;
  #depth = 0;

  constructor(definitions: Definitions, pretty: boolean) {
    this.#definitions = definitions;
    this.#pretty = pretty;
  }

  document(resource: JsonObject): string {
    this.#resource(resource, ` xmlns="${FHIR_NAMESPACE}"`);
    return this.#text;
  }

  #line(): void {
    if (this.#pretty) this.#text += `\n${'  '.repeat(this.#depth)}`;
  }

  #resource(resource: JsonObject, namespace: string): void {
    const type = resource.resourceType;
    if (typeof type !== 'string') throw new TypeError('A resource has no resourceType.');
    this.#object(type, resource, xmlShape(this.#definitions, type), namespace);
  }

  /** @param more attributes besides the object's own */
  #object(name: string, object: JsonObject, shape: XmlShape, more: string): void {
    this.#line();
    this.#text += `<${name}`;
    for (const attribute of shape.attributes) {
      const value = object[attribute];
      if (value !== undefined) this.#text += ` ${attribute}="${lexeme(value)}"`;
    }
    this.#text += more;
    const children = inOrder(object, shape);
    if (children.length === 0) {
      this.#text += '/>';
      return;
    }
    this.#text += '>';
    this.#depth++;
    for (const child of children) this.#child(child, object);
    this.#depth--;
    this.#line();
    this.#text += `</${name}>`;
  }

  #child(element: XmlElement, object: JsonObject): void {
    const value = object[element.name];
    const extra = object[`_${element.name}`];
    if (!element.repeats) {
      this.#element(element, value, extra);
      return;
    }
    const values: readonly (Json | undefined)[] = Array.isArray(value) ? value : [];
    const extras: readonly (Json | undefined)[] = Array.isArray(extra) ? extra : [];
    const length = Math.max(values.length, extras.length);
    for (let index = 0; index < length; index++) this.#element(element, values[index], extras[index]);
  }

  #element(element: XmlElement, value: Json | undefined, extra: Json | undefined): void {
    const { name, kind } = element;
    switch (kind) {
      case 'text':
      case 'number':
      case 'boolean': {
        const known = value === undefined || value === null ? '' : ` value="${lexeme(value)}"`;
        if (isJsonObject(extra)) this.#object(name, extra, element.shape(), known);
        else {
          this.#line();
          this.#text += `<${name}${known}/>`;
        }
        return;
      }
      case 'object':
        if (!isJsonObject(value)) throw new TypeError(`${name} is not an object.`);
        this.#object(name, value, element.shape(), '');
        return;
      case 'resource':
        if (!isJsonObject(value)) throw new TypeError(`${name} is not a resource.`);
        this.#wrapped(name, value);
        return;
      case 'xhtml':
        this.#line();
        this.#text += withXmlEntities(typeof value === 'string' ? legal(value.trim()) : '');
        return;
      case 'attribute':
        return;
      default:
        kind satisfies never;
    }
  }

  /** `<contained><Patient>...</Patient></contained>`. */
  #wrapped(name: string, resource: JsonObject): void {
    this.#line();
    this.#text += `<${name}>`;
    this.#depth++;
    this.#resource(resource, '');
    this.#depth--;
    this.#line();
    this.#text += `</${name}>`;
  }
}

/** The child elements an object holds, in the order of the definitions; `_name` alone counts as `name`. */
function inOrder(object: JsonObject, shape: XmlShape): readonly XmlElement[] {
  const children: XmlElement[] = [];
  let last = -1;
  let sorted = true;
  for (const key of Object.keys(object)) {
    const isExtra = key.charCodeAt(0) === 0x5f;
    const name = isExtra ? key.slice(1) : key;
    if (object[key] === undefined || (isExtra && object[name] !== undefined)) continue;
    const element = shape.elements.get(name);
    if (element === undefined) {
      if (key === 'resourceType') continue;
      throw new TypeError('A resource holds an element that is not defined.');
    }
    if (element.kind === 'attribute') continue;
    if (element.order < last) sorted = false;
    last = element.order;
    children.push(element);
  }
  return sorted ? children : children.sort((one, other) => one.order - other.order);
}

const SPECIAL = /[<>&"\u0000-\u001f\ufffe\uffff]/;
const ILLEGAL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;
const ESCAPES: Readonly<Record<string, string>> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

/** An attribute's value. White space other than blanks is escaped, or a reader would make it blanks. */
function lexeme(value: Json): string {
  if (typeof value === 'string') return SPECIAL.test(value) ? escaped(value) : value;
  if (typeof value === 'boolean') return String(value);
  if (isNumber(value)) return lexemeOf(value);
  throw new TypeError('A primitive is not a string, number or boolean.');
}

const escaped = (value: string): string =>
  legal(value).replace(/[<>&"\t\n\r]/g, (character) => ESCAPES[character] ?? '');

/** XML has no place for the noncharacters U+FFFE and U+FFFF, which JSON may hold: they become U+FFFD, as Unicode advises. */
function legal(value: string): string {
  ILLEGAL.lastIndex = 0;
  return value.replace(ILLEGAL, '\ufffd');
}
