/**
 * Validates a resource against base R4: closures generated once per type from the StructureDefinition snapshots, no code from text.
 * Source: json.html, datatypes.html, references.html, narrative.html, terminologies.html#strength. Profiles are not validated.
 */

import { containedTypes, pointed, reportContained, reportUnreferenced } from '../contained.ts';
import type { Definitions, ElementDefinition, ElementType, StructureDefinition } from '../definitions/definitions.ts';
import { jsonNames } from '../definitions/definitions.ts';
import type { Issue } from '../outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../resource.ts';
import { listCheck, siblingCheck, siblingListCheck, single } from './cardinality.ts';
import { type Check, Findings, newScope } from './finding.ts';
import { INVARIANTS, type Invariant } from './invariant.ts';
import { narrativeFault } from './narrative.ts';
import { PRIMITIVES } from './primitive.ts';

/** One JSON property of an object. */
interface Property {
  /** Name in an expression: `value` for `valueQuantity` and `_valueString`. */
  readonly name: string;
  readonly check: Check;
  /** Bit of the element in `Shape.required`; 0 when it is optional. */
  readonly bit: number;
  /** The choice the property belongs to, else undefined. */
  readonly choice: Choice | undefined;
}
interface Choice {
  readonly bit: number;
  readonly name: string;
  /** JSON names without `_`. */
  readonly alternatives: readonly string[];
}
/** What an object of a type, or of an element with children, may hold. */
interface Shape {
  readonly properties: ReadonlyMap<string, Property>;
  readonly required: readonly string[];
  readonly requiredBits: number;
  readonly invariants: readonly { readonly key: string; readonly message: string; readonly holds: Invariant }[];
}

/**
 * A function that returns every finding of a resource, at most 100 and a closing note; empty = valid. It neither throws on any JSON value nor
 * changes its argument. About 10 us for an Observation.
 */
export function validator(definitions: Definitions): (resource: Resource) => readonly Issue[] {
  const compiler = new Compiler(definitions);
  return (resource) => {
    const type: unknown = isJsonObject(resource) ? resource.resourceType : undefined;
    const findings = new Findings(typeof type === 'string' && definitions.resourceTypes.has(type) ? type : 'Resource');
    compiler.checkResource(resource, findings);
    return findings.issues();
  };
}

class Compiler {
  readonly #definitions: Definitions;
  readonly #shapes = new Map<string, Shape>();

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /** A resource with a scope of its own: the root, a Bundle's entry, a parameter. */
  readonly checkResource = (value: Json, findings: Findings): void => {
    const outer = findings.scope;
    const contained = isJsonObject(value) ? value.contained : undefined;
    findings.scope = newScope(contained === undefined ? new Map() : containedTypes(contained));
    this.#checkTyped(value, findings);
    if (contained !== undefined) reportUnreferenced(contained, findings);
    findings.scope = outer;
  };

  /** A contained resource: shares the scope of its container; dom-2, dom-4, dom-5. */
  readonly #checkContained = (value: Json, findings: Findings): void => {
    if (!isJsonObject(value)) {
      findings.report('structure', 'A resource is a JSON object.');
      return;
    }
    reportContained(value, findings);
    findings.scope.inside = typeof value.id === 'string' ? value.id : undefined;
    this.#checkTyped(value, findings);
    findings.scope.inside = undefined;
  };

  #checkTyped(value: Json, findings: Findings): void {
    if (!isJsonObject(value)) {
      findings.report('structure', 'A resource is a JSON object.');
      return;
    }
    const type = value.resourceType;
    if (typeof type !== 'string' || !this.#definitions.resourceTypes.has(type)) {
      findings.report('structure', 'resourceType is not a resource type of R4.', 'resourceType');
      return;
    }
    checkObject(this.#shape(type), value, findings, true);
  }

  /** Shape at a path: a type's name or an element with children. Compiled when first met. */
  #shape(path: string): Shape {
    const known = this.#shapes.get(path);
    if (known !== undefined) return known;
    const shape = this.#compiled(path);
    this.#shapes.set(path, shape);
    return shape;
  }

  #compiled(path: string): Shape {
    const structure = this.#structureOf(path);
    const depth = path.split('.').length + 1;
    const children = structure.elements.filter(
      (each) => each.path.startsWith(`${path}.`) && each.path.split('.').length === depth,
    );
    const own = structure.elements.find((each) => each.path === path)?.constraints ?? [];
    const properties = new Map<string, Property>();
    const required: string[] = [];
    for (const [index, child] of children.entries()) {
      const bit = child.min > 0 ? 1 << required.length : 0;
      if (bit !== 0) required.push(nameOf(child));
      this.#addProperties(properties, child, structure, bit, index);
    }
    return {
      properties,
      required,
      requiredBits: 2 ** required.length - 1,
      invariants: own.flatMap((key) => this.#invariant(key)),
    };
  }

  #invariant(key: string): Shape['invariants'] {
    const holds = INVARIANTS.get(key);
    const constraint = this.#definitions.constraints.get(key);
    if (holds === undefined || constraint === undefined) return [];
    return [{ key, holds, message: `${key.replace(/^.*:/, '')}: ${constraint.expression}` }];
  }

  #structureOf(path: string): StructureDefinition {
    const type = path.split('.')[0] ?? path;
    const structure = this.#definitions.structure(type);
    if (structure === undefined) throw new TypeError(`The definitions hold no type ${type}.`);
    return structure;
  }

  #addProperties(
    properties: Map<string, Property>,
    element: ElementDefinition,
    structure: StructureDefinition,
    bit: number,
    index: number,
  ): void {
    const name = nameOf(element);
    const names = jsonNames(element);
    const choice = element.path.endsWith('[x]') ? { bit: 1 << (index % 31), name, alternatives: names } : undefined;
    const isList = element.max > 1;
    for (const [at, jsonName] of names.entries()) {
      const type = element.types[at] ?? element.types[0];
      const isPrimitive = type !== undefined && PRIMITIVES.has(type.code);
      const each = this.#check(element, type, structure);
      const check = isList ? listCheck(each, element, isPrimitive ? jsonName : undefined) : single(each);
      properties.set(jsonName, { name, check, bit, choice });
      if (!isPrimitive || name === 'id' || type.code === 'xhtml') continue;
      const extra = this.#complex('Element');
      const sibling = isList ? siblingListCheck(extra, jsonName) : siblingCheck(extra, jsonName);
      properties.set(`_${jsonName}`, { name, check: sibling, bit, choice });
    }
  }

  /** The check of one value of an element. */
  #check(element: ElementDefinition, type: ElementType | undefined, structure: StructureDefinition): Check {
    const checks = [this.#typeCheck(element, type, structure), ...this.#elementChecks(element, type)];
    const [first, ...rest] = checks;
    if (rest.length === 0 && first !== undefined) return first;
    return (value, findings, parent) => {
      for (const check of checks) check(value, findings, parent);
    };
  }

  #typeCheck(element: ElementDefinition, type: ElementType | undefined, structure: StructureDefinition): Check {
    if (element.contentReference !== undefined) return this.#complex(element.contentReference.slice(1));
    if (type === undefined) throw new TypeError(`${element.path} has no type.`);
    if (type.code === 'xhtml') return narrative;
    const primitive = PRIMITIVES.get(type.code);
    if (primitive !== undefined) {
      const mayPoint = type.code === 'canonical' || type.code === 'uri' || type.code === 'url';
      return (value, findings) => {
        if (mayPoint && typeof value === 'string' && value.startsWith('#')) findings.scope.used.add(value.slice(1));
        const fault = primitive(value);
        if (fault === undefined) return;
        const isJsonType = fault.startsWith('is not a JSON');
        findings.report(isJsonType ? 'structure' : 'value', `The ${type.code} ${fault}.`);
      };
    }
    if (type.code === 'Resource')
      return element.path.endsWith('.contained') ? this.#checkContained : this.checkResource;
    const hasChildren = structure.elements.some((each) => each.path.startsWith(`${element.path}.`));
    return this.#complex(hasChildren ? element.path : type.code);
  }

  #complex(path: string): Check {
    let shape: Shape | undefined;
    return (value, findings) => {
      shape ??= this.#shape(path);
      if (isJsonObject(value)) checkObject(shape, value, findings, false);
      else findings.report('structure', 'The element is a JSON object.');
    };
  }

  /** What the element itself adds to its type: reference targets, required codes, profile of the type, invariants. */
  #elementChecks(element: ElementDefinition, type: ElementType | undefined): readonly Check[] {
    const checks: Check[] = [];
    if (type?.code === 'Reference') checks.push(this.#referenceCheck(type));
    if (element.requiredCodes !== undefined && element.requiredConcepts !== undefined) {
      checks.push(bindingCheck(element, element.requiredCodes, element.requiredConcepts));
    }
    if (type?.profile === 'SimpleQuantity') checks.push(withoutComparator);
    const onType = element.types.length > 0 && !this.#hasOwnShape(element);
    for (const { holds, message } of onType ? element.constraints.flatMap((key) => this.#invariant(key)) : []) {
      checks.push((value, findings) => {
        if (isJsonObject(value) && !holds(value)) findings.report('invariant', message);
      });
    }
    return checks;
  }

  /** Elements with children get their invariants with their shape. */
  #hasOwnShape({ path }: ElementDefinition): boolean {
    return this.#structureOf(path).elements.some((each) => each.path.startsWith(`${path}.`));
  }

  #referenceCheck({ targets }: ElementType): Check {
    const allowed = targets.length === 0 ? undefined : new Set(targets);
    const types = this.#definitions.resourceTypes;
    return (value, findings) => {
      if (!isJsonObject(value)) return;
      const { reference, type: claimed } = value;
      const found = typeof reference === 'string' ? pointed(reference, types, findings) : undefined;
      const named = typeof claimed === 'string' && types.has(claimed) ? claimed : undefined;
      if (found !== undefined && named !== undefined && found !== named) {
        findings.report('structure', `Reference.type says ${named}, the reference says ${found}.`, 'type');
      }
      const target = found ?? named;
      if (target !== undefined && allowed !== undefined && !allowed.has(target)) {
        findings.report('structure', `A reference to ${target} is not allowed here; allowed: ${targets.join(', ')}.`);
      }
    };
  }
}

/** Element name without the choice's `[x]`. */
function nameOf({ path }: ElementDefinition): string {
  const name = path.slice(path.lastIndexOf('.') + 1);
  return name.endsWith('[x]') ? name.slice(0, -3) : name;
}

/** THE loop: unknown elements, cardinality, choices, invariants of one object. */
function checkObject(shape: Shape, value: JsonObject, findings: Findings, isResource: boolean): void {
  if (findings.full) return;
  const { properties } = shape;
  const { path } = findings;
  let seen = 0;
  let choices = 0;
  let count = 0;
  let content = 0;
  for (const key of Object.keys(value)) {
    const child = value[key];
    if (child === undefined) continue;
    count++;
    const property = properties.get(key);
    if (property === undefined) {
      if (isResource && key === 'resourceType') continue;
      findings.report('structure', 'The element is not known here.', key);
      if (findings.full) return;
      continue;
    }
    if (key !== 'id') content++;
    seen |= property.bit;
    if (property.choice !== undefined) {
      if ((choices & property.choice.bit) !== 0) reportChoice(property.choice, key, value, findings);
      choices |= property.choice.bit;
    }
    path.push(property.name);
    property.check(child, findings, value);
    path.pop();
  }
  if (!isResource && content === 0) {
    if (count === 0) findings.report('structure', 'The object is empty.');
    else if (value.id !== undefined)
      findings.report('invariant', 'ele-1: an element has a value or children besides its id.');
  }
  if (seen !== shape.requiredBits) reportMissing(shape, seen, findings);
  for (const { holds, message } of shape.invariants) if (!holds(value)) findings.report('invariant', message);
}

function reportMissing(shape: Shape, seen: number, findings: Findings): void {
  for (const [index, name] of shape.required.entries()) {
    if ((seen & (1 << index)) === 0) findings.report('required', 'The element is required.', name);
  }
}

/** Two properties of one choice: allowed only as `valueString` with `_valueString`. Reported once, at the second alternative. */
function reportChoice(choice: Choice, key: string, value: JsonObject, findings: Findings): void {
  const present = choice.alternatives.filter((each) => value[each] !== undefined || value[`_${each}`] !== undefined);
  const keys = Object.keys(value).filter((each) =>
    choice.alternatives.includes(each.startsWith('_') ? each.slice(1) : each),
  );
  if (present.length > 1 && keys.at(-1) === key) {
    findings.report('structure', `Only one of ${choice.name}[x] is allowed.`, choice.name);
  }
}

/** A required binding: the code, or at least one coding of the concept, is in the value set. */
function bindingCheck(
  { types, valueSet = '' }: ElementDefinition,
  codes: ReadonlySet<string>,
  concepts: ReadonlySet<string>,
): Check {
  const isCoded = ({ system, code }: JsonObject): boolean =>
    typeof system === 'string' && typeof code === 'string' && concepts.has(`${system}|${code}`);
  const ofConcept = ({ coding }: JsonObject): boolean =>
    Array.isArray(coding) && coding.some((each) => isJsonObject(each) && isCoded(each));
  const onText = types.some(({ code }) => PRIMITIVES.has(code));
  const onConcept = types.some(({ code }) => code === 'CodeableConcept');
  return (value, findings) => {
    let holds = true;
    if (typeof value === 'string') holds = !onText || codes.has(value);
    else if (isJsonObject(value)) holds = onText || (onConcept ? ofConcept(value) : isCoded(value));
    if (!holds) findings.report('code-invalid', `The code is not in the required value set ${valueSet}.`);
  };
}

const withoutComparator: Check = (value, findings) => {
  if (isJsonObject(value) && value.comparator !== undefined) {
    findings.report('invariant', 'sqr-1: a SimpleQuantity has no comparator.', 'comparator');
  }
};

const narrative: Check = (value, findings) => {
  if (typeof value !== 'string') {
    findings.report('structure', 'The xhtml is not a JSON string.');
    return;
  }
  const fault = narrativeFault(value);
  if (fault !== undefined) findings.report('invariant', `txt-1, txt-2: the narrative ${fault}.`);
};
