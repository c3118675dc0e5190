/**
 * Compiles the FHIRPath of search parameters into visitors over one resource type: no interpretation at run time, types known beforehand.
 * Source: FHIR R4 searchparameter.html#expression, references.html (`resolve()` is decided by the reference's own text, nothing is fetched).
 */
import type { Definitions, ElementDefinition, StructureDefinition } from '../definitions/definitions.ts';
import type { Json, JsonObject, Resource } from '../resource.ts';
import { type Condition, type Path, PathSyntaxError, parseExpression, type Step } from './syntax.ts';

/** What every visitor is given beside the value. */
export interface Scope {
  readonly root: Resource;
}
export type Visit<S extends Scope> = (value: Json, scope: S) => void;

/** Where a node stands in the definitions: its type, and the structure and path below which its elements are defined. */
export interface Place {
  readonly type: string;
  readonly structure: StructureDefinition | undefined;
  readonly path: string;
  readonly element: ElementDefinition | undefined;
}
/** Gives the visitor for nodes of a place; undefined = such nodes are of no interest. */
export type Terminal<S extends Scope> = (place: Place) => Visit<S> | undefined;
export type Structures = Pick<Definitions, 'structure'>;

/** `visits` are run with the focus; `problem` says why an expression is outside the subset or names an element that does not exist. */
export type Compiled<S extends Scope> =
  | { readonly visits: readonly Visit<S>[]; readonly problem?: undefined }
  | { readonly problem: string };

/** A node with the name of its FHIR type. */
export interface PathNode {
  readonly type: string;
  readonly value: Json;
}

/** The place of a resource of `type` itself. */
export function rootPlace(type: string, structures: Structures): Place {
  return { type, structure: structures.structure(type), path: type, element: undefined };
}

/** Compiles an expression of a search parameter relative to `place`. */
export function compilePath<S extends Scope>(
  expression: string,
  place: Place,
  structures: Structures,
  terminal: Terminal<S>,
): Compiled<S> {
  const compiler: Compiler<S> = { root: place, structures, terminal };
  try {
    const parsed = parseExpression(expression);
    if (parsed.kind === 'boolean') {
      const found = terminal({ type: 'boolean', structure: undefined, path: '', element: undefined });
      const holds = compileCondition(parsed.condition, place, compiler);
      return { visits: found === undefined ? [] : [(value, scope) => found(holds(value, scope), scope)] };
    }
    return {
      visits: parsed.paths.map((path) => compileFrom(path, place, compiler)).filter((each) => each !== undefined),
    };
  } catch (error) {
    if (error instanceof PathSyntaxError) return { problem: error.message };
    throw error;
  }
}

/**
 * All nodes of an expression, in document order for each alternative.
 * @throws PathSyntaxError when the expression cannot be compiled
 */
export function pathNodes(
  expression: string,
  type: string,
  structures: Structures,
): (resource: Resource) => readonly PathNode[] {
  const compiled = compilePath<Scope & { readonly found: PathNode[] }>(
    expression,
    rootPlace(type, structures),
    structures,
    (place) => (value, scope) => {
      scope.found.push({ type: place.type, value });
    },
  );
  if (compiled.problem !== undefined) throw new PathSyntaxError(compiled.problem);
  return (resource) => {
    const found: PathNode[] = [];
    for (const visit of compiled.visits) visit(resource, { root: resource, found });
    return found;
  };
}

/** Names of the types an expression can give; empty when it cannot be compiled. */
export function pathNodeTypes(expression: string, type: string, structures: Structures): ReadonlySet<string> {
  const types = new Set<string>();
  compilePath(expression, rootPlace(type, structures), structures, (place) => {
    types.add(place.type);
    return undefined;
  });
  return types;
}

/** Cheaper than isJsonObject: a raw number passes, but has no elements. */
const isObject = (value: Json): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

interface Compiler<S extends Scope> {
  readonly root: Place;
  readonly structures: Structures;
  readonly terminal: Terminal<S>;
}

/** The roots that mean "this resource", whatever its type. */
const ANY_ROOT = new Set(['Resource', 'DomainResource', '%resource', '%context']);

function compileFrom<S extends Scope>(path: Path, place: Place, compiler: Compiler<S>): Visit<S> | undefined {
  const { root, structures } = compiler;
  if (path.root === undefined || path.root === place.type) return compileSteps(path.steps, place, compiler);
  if (!ANY_ROOT.has(path.root)) throw new PathSyntaxError(`${path.root} is not ${root.type}.`);
  const start = root.structure?.kind === 'resource' ? rootPlace(root.structure.type, structures) : root;
  const visit = compileSteps(path.steps, start, compiler);
  return visit === undefined ? undefined : (_value, scope) => visit(scope.root, scope);
}

function compileSteps<S extends Scope>(
  steps: readonly Step[],
  place: Place,
  compiler: Compiler<S>,
): Visit<S> | undefined {
  const [step, ...rest] = steps;
  if (step === undefined) return compiler.terminal(place);
  switch (step.kind) {
    case 'field':
      return compileField(step.name, rest, place, compiler);
    case 'cast':
      return sameType(step.type, place.type) ? compileSteps(rest, place, compiler) : undefined;
    case 'where': {
      const holds = compileCondition(step.condition, place, compiler);
      const next = compileSteps(rest, place, compiler);
      return next === undefined ? undefined : (value, scope) => holds(value, scope) && next(value, scope);
    }
    case 'extension': {
      const next = compileSteps(rest, rootPlace('Extension', compiler.structures), compiler);
      return next === undefined
        ? undefined
        : (value, scope) => eachExtension(value, step.url, (one) => next(one, scope));
    }
    case 'index':
      throw new PathSyntaxError('An indexer stands behind an element.');
    default:
      return step satisfies never;
  }
}

/** `as DateTime` is written for `as dateTime` in places. */
const sameType = (asked: string, type: string): boolean => asked.toLowerCase() === type.toLowerCase();

function compileField<S extends Scope>(
  name: string,
  rest: readonly Step[],
  place: Place,
  compiler: Compiler<S>,
): Visit<S> | undefined {
  const [indexer] = rest;
  const index = indexer?.kind === 'index' ? indexer.index : undefined;
  const following = index === undefined ? rest : rest.slice(1);
  const visits = children(name, place, compiler.structures)
    .map(({ property, child }) => {
      const next = compileSteps(following, child, compiler);
      return next === undefined ? undefined : fieldVisit(property, index, next);
    })
    .filter((visit) => visit !== undefined);
  const [only, ...others] = visits;
  if (others.length === 0) return only;
  return (value, scope) => {
    for (const visit of visits) visit(value, scope);
  };
}

function fieldVisit<S extends Scope>(property: string, index: number | undefined, next: Visit<S>): Visit<S> {
  return (value, scope) => {
    if (!isObject(value)) return;
    const found = value[property];
    if (found === undefined || found === null) return;
    if (!Array.isArray(found)) {
      if (index === undefined || index === 0) next(found, scope);
    } else if (index !== undefined) {
      const one: Json | undefined = found[index];
      if (one !== undefined && one !== null) next(one, scope);
    } else {
      for (const one of found) if (one !== null) next(one, scope);
    }
  };
}

const elementIndex = new WeakMap<StructureDefinition, ReadonlyMap<string, ElementDefinition>>();

function elementAt(structure: StructureDefinition, path: string): ElementDefinition | undefined {
  const known = elementIndex.get(structure) ?? new Map(structure.elements.map((each) => [each.path, each]));
  elementIndex.set(structure, known);
  return known.get(path);
}

interface Child {
  readonly property: string;
  readonly child: Place;
}

/** The element `name` below a place; a choice (`value[x]`) has one property for each of its types. */
function children(name: string, place: Place, structures: Structures): readonly Child[] {
  const { structure, path } = place;
  if (structure === undefined) throw new PathSyntaxError(`${place.type} has no element ${name}.`);
  const plain = elementAt(structure, `${path}.${name}`);
  if (plain?.contentReference !== undefined) {
    return [
      {
        property: name,
        child: { type: 'BackboneElement', structure, path: plain.contentReference.slice(1), element: plain },
      },
    ];
  }
  if (plain !== undefined) {
    return plain.types
      .slice(0, 1)
      .map(({ code }) => ({ property: name, child: childPlace(code, plain, structure, structures) }));
  }
  const choice = elementAt(structure, `${path}.${name}[x]`);
  if (choice === undefined) throw new PathSyntaxError(`${path} has no element ${name}.`);
  return choice.types.map(({ code }) => ({
    property: `${name}${code.charAt(0).toUpperCase()}${code.slice(1)}`,
    child: childPlace(code, choice, structure, structures),
  }));
}

function childPlace(
  type: string,
  element: ElementDefinition,
  structure: StructureDefinition,
  structures: Structures,
): Place {
  return type === 'BackboneElement' || type === 'Element'
    ? { type, structure, path: element.path, element }
    : { type, structure: structures.structure(type), path: type, element };
}

type Holds = (value: Json, scope: Scope) => boolean;

function compileCondition<S extends Scope>(condition: Condition, place: Place, compiler: Compiler<S>): Holds {
  switch (condition.kind) {
    case 'and':
    case 'or': {
      const left = compileCondition(condition.left, place, compiler);
      const right = compileCondition(condition.right, place, compiler);
      return condition.kind === 'and'
        ? (value, scope) => left(value, scope) && right(value, scope)
        : (value, scope) => left(value, scope) || right(value, scope);
    }
    case 'exists': {
      const values = compileValues(condition.path, place, compiler);
      return (value, scope) => values(value, scope).length > 0;
    }
    case 'compare': {
      const values = compileValues(condition.path, place, compiler);
      const { equal, literal } = condition;
      return (value, scope) => {
        const found = values(value, scope);
        return equal ? found.includes(literal) : found.length > 0 && !found.includes(literal);
      };
    }
    case 'resolves':
      return (value, scope) => referencedType(value, scope.root) === condition.type;
    case 'hasExtension':
      return (value) => {
        let found = false;
        eachExtension(value, condition.url, () => {
          found = true;
        });
        return found;
      };
    default:
      return condition satisfies never;
  }
}

function compileValues<S extends Scope>(
  path: Path,
  place: Place,
  { root, structures }: Compiler<S>,
): (value: Json, scope: Scope) => readonly Json[] {
  const visit = compileFrom<Scope & { readonly found: Json[] }>(path, place, {
    root,
    structures,
    terminal: () => (value, scope) => {
      scope.found.push(value);
    },
  });
  return (value, scope) => {
    const found: Json[] = [];
    visit?.(value, { root: scope.root, found });
    return found;
  };
}

function eachExtension(value: Json, url: string, visit: (extension: JsonObject) => void): void {
  const extensions = isObject(value) ? value.extension : undefined;
  if (!Array.isArray(extensions)) return;
  for (const one of extensions) if (one?.url === url) visit(one);
}

const TYPED_REFERENCE = /(?:^|\/)([A-Z][A-Za-z]{1,63})\/[A-Za-z0-9\-.]{1,64}(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/;

/**
 * Type of what a Reference (or canonical) points at, from its text: `Patient/1`, an absolute URL ending so, a contained `#id`,
 * otherwise `Reference.type`. Undefined when nothing tells, as with `urn:uuid:`.
 */
export function referencedType(value: Json, root: Resource): string | undefined {
  const object = isObject(value) ? value : undefined;
  const reference = object === undefined ? value : object.reference;
  if (typeof reference === 'string') {
    if (reference.startsWith('#')) return containedType(reference.slice(1), root);
    const named = TYPED_REFERENCE.exec(reference)?.[1];
    if (named !== undefined) return named;
  }
  return typeof object?.type === 'string' ? object.type : undefined;
}

function containedType(id: string, root: Resource): string | undefined {
  if (id === '') return root.resourceType;
  const contained = Array.isArray(root.contained) ? root.contained : [];
  const found = contained.find((one) => one?.id === id)?.resourceType;
  return typeof found === 'string' ? found : undefined;
}
