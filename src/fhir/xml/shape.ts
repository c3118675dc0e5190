/** What the XML reader and writer ask of the definitions: order, names and kinds of the children of a type. Source: FHIR R4 xml.html. */
import type { Definitions, ElementDefinition, StructureDefinition } from '../definitions/definitions.ts';
import { jsonNames } from '../definitions/definitions.ts';
import { PRIMITIVES } from '../validation/primitive.ts';

export const FHIR_NAMESPACE = 'http://hl7.org/fhir';
export const XHTML_NAMESPACE = 'http://www.w3.org/1999/xhtml';

/** `text`, `number` and `boolean` are primitives, by the JSON type of their value; `resource` holds one resource of any type. */
export type XmlKind = 'text' | 'number' | 'boolean' | 'object' | 'resource' | 'xhtml' | 'attribute';

/** One child of an object: an XML element, or for `attribute` an XML attribute. */
export interface XmlElement {
  /** The same in XML and JSON: `valueQuantity`. */
  readonly name: string;
  /** Name in an expression: `value`. */
  readonly stem: string;
  /** Place in the sequence; alternatives of a choice share one. */
  readonly order: number;
  readonly repeats: boolean;
  readonly kind: XmlKind;
  /** Code of its type, for messages. */
  readonly type: string;
  /** What it may hold; a primitive: extensions. */
  shape(): XmlShape;
}
export interface XmlShape {
  readonly elements: ReadonlyMap<string, XmlElement>;
  /** `id`, and `url` of an Extension. Resources have none: their id is an element. */
  readonly attributes: readonly string[];
}

const NUMBERS: ReadonlySet<string> = new Set(['decimal', 'integer', 'positiveInt', 'unsignedInt']);
const SHAPES = new WeakMap<Definitions, Map<string, XmlShape>>();

/**
 * The children of a type, or of an element that defines its own (`Patient.contact`); compiled when first asked for.
 * @throws TypeError on a type that the definitions lack
 */
export function xmlShape(definitions: Definitions, path: string): XmlShape {
  const shapes = SHAPES.get(definitions) ?? new Map<string, XmlShape>();
  SHAPES.set(definitions, shapes);
  const known = shapes.get(path);
  if (known !== undefined) return known;
  const shape = compiled(definitions, path);
  shapes.set(path, shape);
  return shape;
}

function compiled(definitions: Definitions, path: string): XmlShape {
  const structure = definitions.structure(path.split('.')[0] ?? path);
  if (structure === undefined) throw new TypeError(`The definitions hold no type ${path}.`);
  const attributes = attributesOf(structure, path);
  const prefix = `${path}.`;
  const elements = structure.elements
    .filter((each) => each.path.startsWith(prefix) && !each.path.includes('.', prefix.length))
    .flatMap((element, order) => alternatives(definitions, structure, element, order, attributes));
  return { elements: new Map(elements.map((element) => [element.name, element])), attributes };
}

function attributesOf({ kind }: StructureDefinition, path: string): readonly string[] {
  if (path === 'Extension') return ['id', 'url'];
  return kind === 'resource' && !path.includes('.') ? [] : ['id'];
}

/** An element as often as it has JSON names: once, or once a type of a choice. */
function alternatives(
  definitions: Definitions,
  structure: StructureDefinition,
  element: ElementDefinition,
  order: number,
  attributes: readonly string[],
): readonly XmlElement[] {
  const stem = element.path.slice(element.path.lastIndexOf('.') + 1).replace('[x]', '');
  return jsonNames(element).map((name, index) => {
    const type = (element.types[index] ?? element.types[0])?.code ?? '';
    const kind = attributes.includes(name) ? 'attribute' : kindOf(type);
    const below = kind === 'object' ? childPath(structure, element, type) : 'Element';
    let shape: XmlShape | undefined;
    return {
      name,
      stem,
      order,
      repeats: element.max > 1,
      kind,
      type,
      shape: () => {
        shape ??= xmlShape(definitions, below);
        return shape;
      },
    };
  });
}

function kindOf(type: string): XmlKind {
  if (type === 'Resource') return 'resource';
  if (type === 'xhtml') return 'xhtml';
  if (!PRIMITIVES.has(type)) return 'object';
  if (type === 'boolean') return 'boolean';
  return NUMBERS.has(type) ? 'number' : 'text';
}

function childPath({ elements }: StructureDefinition, element: ElementDefinition, type: string): string {
  if (element.contentReference !== undefined) return element.contentReference.slice(1);
  return elements.some(({ path }) => path.startsWith(`${element.path}.`)) ? element.path : type;
}
