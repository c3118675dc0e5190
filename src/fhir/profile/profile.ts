/**
 * Profiles as the server holds them: constraints of StructureDefinitions of derivation `constraint`, read from their snapshots as a tree.
 * Source: FHIR R4 profiling.html, elementdefinition.html. What the snapshot says is decoded here and nowhere else.
 */
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf } from '../resource.ts';

export interface ProfileType {
  readonly code: string;
  /** Canonicals of profiles on the type; one of them has to hold. */
  readonly profiles: readonly string[];
  /** Canonicals of profiles of the target. Empty = any. */
  readonly targets: readonly string[];
}
export interface ProfileConstraint {
  readonly key: string;
  readonly severity: 'error' | 'warning';
  /** FHIRPath. */
  readonly expression: string;
}
export interface Discriminator {
  readonly type: string;
  readonly path: string;
}
export interface Slicing {
  readonly discriminators: readonly Discriminator[];
  readonly rules: 'open' | 'closed' | 'openAtEnd';
  readonly ordered: boolean;
}
/** An element of a snapshot, or one of its slices. */
export interface ProfileElement {
  /** `Observation.component:systolic.code`. */
  readonly id: string;
  /** Element name without `[x]`. */
  readonly name: string;
  readonly isChoice: boolean;
  readonly slice: string | undefined;
  readonly min: number;
  /** Infinity for `*`. */
  readonly max: number;
  readonly types: readonly ProfileType[];
  /** The value has to be just this. */
  readonly fixed: Json | undefined;
  /** The value has to hold at least this. */
  readonly pattern: Json | undefined;
  /** Required and extensible bindings only. */
  readonly binding: { readonly strength: 'required' | 'extensible'; readonly valueSet: string } | undefined;
  readonly constraints: readonly ProfileConstraint[];
  readonly slicing: Slicing | undefined;
  readonly children: readonly ProfileElement[];
  readonly slices: readonly ProfileElement[];
}
export interface Profile {
  readonly url: string;
  readonly version: string | undefined;
  /** Resource or data type that it constrains. */
  readonly type: string;
  readonly root: ProfileElement;
}

interface Growing extends ProfileElement {
  readonly children: Growing[];
  readonly slices: Growing[];
}

/**
 * @param where file, for the message
 * @throws Error when it is not a StructureDefinition of derivation `constraint` with a snapshot, or the snapshot is not a tree
 */
export function profileOf(value: JsonObject, where: string): Profile {
  const { url, version, type, snapshot } = value;
  const elements = isJsonObject(snapshot) ? objects(snapshot.element) : [];
  const [first, ...others] = elements;
  if (
    value.resourceType !== 'StructureDefinition' ||
    value.derivation !== 'constraint' ||
    typeof url !== 'string' ||
    typeof type !== 'string' ||
    first === undefined
  ) {
    throw new Error(`${where} is not a StructureDefinition that constrains a type, with url, type and snapshot.`);
  }
  const root = element(first);
  const byId = new Map<string, Growing>([[root.id, root]]);
  for (const each of others) {
    const grown = element(each);
    const parent = byId.get(parentId(grown));
    if (parent === undefined) throw new Error(`${where}: the snapshot holds ${grown.id} without its parent.`);
    byId.set(grown.id, grown);
    (grown.slice === undefined ? parent.children : parent.slices).push(grown);
  }
  return { url, version: typeof version === 'string' ? version : undefined, type, root };
}

/** `a.b:c` belongs to `a.b`, `a.b:c/d` too, `a.b` to `a`. */
function parentId({ id, slice }: ProfileElement): string {
  const dot = id.lastIndexOf('.');
  if (slice === undefined) return id.slice(0, dot);
  return id.slice(0, id.indexOf(':', dot));
}

function element(value: JsonObject): Growing {
  const path = text(value.path) ?? '';
  const id = text(value.id) ?? path;
  const last = path.slice(path.lastIndexOf('.') + 1);
  const ownId = id.slice(lastSegment(id));
  const max = text(value.max) ?? '*';
  return {
    id,
    name: last.replace(/\[x\]$/, ''),
    isChoice: last.endsWith('[x]'),
    slice: ownId.includes(':') ? ownId.slice(ownId.indexOf(':') + 1) : undefined,
    min: isNumber(value.min) ? numberOf(value.min) : 0,
    max: max === '*' ? Number.POSITIVE_INFINITY : Number(max),
    types: objects(value.type).map(typeOf),
    fixed: choiceValue(value, 'fixed'),
    pattern: choiceValue(value, 'pattern'),
    binding: bindingOf(value.binding),
    constraints: objects(value.constraint).flatMap(constraintOf),
    slicing: slicingOf(value.slicing),
    children: [],
    slices: [],
  };
}

const lastSegment = (id: string): number => id.lastIndexOf('.') + 1;

function typeOf(value: JsonObject): ProfileType {
  const targets = texts(value.targetProfile);
  const anything = targets.includes('http://hl7.org/fhir/StructureDefinition/Resource');
  return { code: text(value.code) ?? '', profiles: texts(value.profile), targets: anything ? [] : targets };
}

function bindingOf(value: Json | undefined): ProfileElement['binding'] {
  if (value === undefined || !isJsonObject(value)) return undefined;
  const { strength } = value;
  const valueSet = text(value.valueSet);
  if (valueSet === undefined || (strength !== 'required' && strength !== 'extensible')) return undefined;
  return { strength, valueSet };
}

function constraintOf(value: JsonObject): readonly ProfileConstraint[] {
  const [key, expression] = [text(value.key), text(value.expression)];
  if (key === undefined || expression === undefined) return [];
  return [{ key, expression, severity: value.severity === 'warning' ? 'warning' : 'error' }];
}

function slicingOf(value: Json | undefined): Slicing | undefined {
  if (value === undefined || !isJsonObject(value)) return undefined;
  const { rules, ordered } = value;
  return {
    discriminators: objects(value.discriminator).map((each) => ({
      type: text(each.type) ?? '',
      path: text(each.path) ?? '',
    })),
    rules: rules === 'closed' || rules === 'openAtEnd' ? rules : 'open',
    ordered: ordered === true,
  };
}

/** The value of `fixed[x]` or `pattern[x]`. */
function choiceValue(value: JsonObject, prefix: 'fixed' | 'pattern'): Json | undefined {
  const name = Object.keys(value).find((key) => key.startsWith(prefix) && /[A-Z]/.test(key.charAt(prefix.length)));
  return name === undefined ? undefined : value[name];
}

const text = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined);
const texts = (value: Json | undefined): readonly string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
const objects = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : [];

/** Url of a canonical, its version left out. */
export function urlOf(canonical: string): string {
  const bar = canonical.indexOf('|');
  return bar === -1 ? canonical : canonical.slice(0, bar);
}

/** Same value: numbers by what they are worth, the order of members does not matter. */
export function isSame(a: Json | undefined, b: Json | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (isNumber(a) || isNumber(b)) return isNumber(a) && isNumber(b) && numberOf(a) === numberOf(b);
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((each, at) => isSame(each, b[at]));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return a === b;
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => isSame(a[name], b[name]));
}

/** Holds at least the pattern: each member of it, and each entry of its arrays somewhere; elementdefinition.html#ElementDefinition.pattern. */
export function holdsPattern(value: Json | undefined, pattern: Json): boolean {
  if (value === undefined) return false;
  if (Array.isArray(pattern)) {
    return Array.isArray(value) && pattern.every((each) => value.some((held: Json) => holdsPattern(held, each)));
  }
  if (!isJsonObject(pattern)) return isSame(value, pattern);
  if (!isJsonObject(value)) return false;
  return Object.entries(pattern).every(([name, each]) => each === undefined || holdsPattern(value[name], each));
}
