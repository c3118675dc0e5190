/**
 * FHIRPath that names elements of one resource: FHIRPath Patch needs places, not values. Source: hl7.org/fhirpath, FHIR R4 fhirpath.html.
 * The only importer of the `fhirpath` package, which is loaded on first use (about 270 ms, measured on Node 24). Of a client's expression only
 * functions that navigate and filter are let through, so none leaves the resource, runs a pattern of the client's or grows a text.
 * Constraints of definitions are the whole language: they come from files of the installation.
 */
import { createRequire } from 'node:module';
import { fhirError } from '../outcome.ts';
import { isJsonObject, isNumber, type Json, numberOf, type Resource } from '../resource.ts';

/** One step down: the element's name as the definition has it (`value`, never `valueQuantity`) and, in a list, its position. */
export interface Step {
  readonly name: string;
  readonly index: number | undefined;
}
/** An element that an expression selected. */
export interface Selected {
  /** From the resource; empty for the resource itself. */
  readonly steps: readonly Step[];
  /** Where its children are defined: `Patient`, `Patient.contact`, `HumanName`. */
  readonly path: string;
  /** The same of its parent; undefined for the resource itself. */
  readonly parentPath: string | undefined;
}
/** Evaluation steps that are left, shared by the expressions of one request. */
export interface Budget {
  steps: number;
}

export const FHIRPATH_LIMITS = { characters: 2000, nesting: 20, steps: 200_000, compiled: 500 } as const;

const FUNCTIONS: ReadonlySet<string> = new Set(
  'where exists empty not all first last tail skip take single extension ofType as is hasValue count startsWith endsWith contains lower upper'.split(
    ' ',
  ),
);
/** Kinds of syntax that are refused: variables of the environment, unions and text concatenation are never needed to name one element. */
const REFUSED_SYNTAX: ReadonlySet<string> = new Set(['ExternalConstantTerm', 'UnionExpression', 'AdditiveExpression']);

type Evaluate = (resource: Json) => readonly unknown[];
const compiled = new Map<string, Evaluate>();
const meter: { budget: Budget } = { budget: { steps: 0 } };
class OutOfSteps extends Error {}

const load = createRequire(import.meta.url);

/**
 * The elements an expression selects, in document order. The resource is not changed.
 * @throws FhirError `value` (400): too long, not FHIRPath, a function that does not navigate, or something that is not an element;
 *   `too-costly` (400) when the budget is spent
 */
export function selected(resource: Resource, expression: string, budget: Budget): readonly Selected[] {
  const evaluate = compiledOf(expression);
  let found: readonly unknown[];
  try {
    meter.budget = budget;
    found = evaluate(plain(resource));
  } catch (cause) {
    if (cause instanceof OutOfSteps) throw fhirError('too-costly', 'The path takes too many steps.', { cause });
    throw fhirError('value', 'The path cannot be evaluated.', { cause });
  }
  return found.map((node) => {
    if (isNode(node)) return selectedOf(node);
    throw fhirError('value', 'The path must select elements of the resource, not computed values.');
  });
}

function compiledOf(expression: string): Evaluate {
  const known = compiled.get(expression);
  if (known !== undefined) return known;
  assertModest(expression);
  const fhirpath: typeof import('fhirpath') = load('fhirpath');
  const model = load('fhirpath/fhir-context/r4');
  let evaluate: Evaluate;
  try {
    assertNavigates(fhirpath.parse(expression));
    const options = { resolveInternalTypes: false, traceFn: () => undefined, debugger: countStep };
    evaluate = fhirpath.compile(expression, model, options);
  } catch (cause) {
    if (cause instanceof OutOfSteps || (cause instanceof Error && cause.name === 'FhirError')) throw cause;
    throw fhirError('value', 'The path is not FHIRPath.', { cause });
  }
  if (compiled.size >= FHIRPATH_LIMITS.compiled) compiled.clear();
  compiled.set(expression, evaluate);
  return evaluate;
}

/** `unknown`: it cannot be evaluated here. */
export type Holding = 'holds' | 'fails' | 'unknown';
/** What a constraint is asked about; values as `plainJson` gives them. */
export interface ConstraintInput {
  readonly value: Json;
  /** %resource: the nearest resource, contained ones included. */
  readonly resource: Json;
  /** %rootResource. */
  readonly container: Json;
}

/**
 * A constraint of a definition, parsed when it is first asked. It holds when the result is true; an empty one fails, as in HL7's validator.
 * What needs another resource or a terminology (`resolve`, `memberOf`), or more steps than the budget has, is unknown. Never throws.
 * @param base where the value stands, with the type of a choice: `Observation.valueQuantity`; undefined for a resource
 */
export function constraint(
  expression: string,
  base: string | undefined,
): (input: ConstraintInput, budget: Budget) => Holding {
  let evaluate: Expression | undefined;
  return ({ value, resource, container }, budget) => {
    try {
      evaluate ??= constraintOf(expression, base);
      meter.budget = budget;
      const found = evaluate(value, { resource, rootResource: container });
      if (found.length !== 1) return found.length === 0 ? 'fails' : 'unknown';
      return found[0] === false ? 'fails' : 'holds';
    } catch {
      return 'unknown';
    }
  };
}

type Expression = (value: Json, variables: Readonly<Record<string, Json>>) => readonly unknown[];

function constraintOf(expression: string, base: string | undefined): Expression {
  const fhirpath: typeof import('fhirpath') = load('fhirpath');
  const model = load('fhirpath/fhir-context/r4');
  const options = { resolveInternalTypes: true, traceFn: () => undefined, debugger: countStep, async: false } as const;
  return fhirpath.compile(base === undefined ? expression : { base, expression }, model, options);
}

/**
 * A criterion of a subscription topic over two versions of a resource, `%previous` and `%current`; an absent one is empty. True when the result is
 * true. Topics are files of the installation, so the whole language is theirs; what cannot be evaluated within the budget is not true.
 * @throws Error when it is not FHIRPath
 */
export function criterionOf(
  expression: string,
): (previous: Resource | undefined, current: Resource | undefined, budget: Budget) => boolean {
  const evaluate = constraintOf(expression, undefined);
  return (previous, current, budget) => {
    try {
      meter.budget = budget;
      const versions = { previous: previous ?? [], current: current ?? [] };
      const found = evaluate(plain(current ?? previous ?? {}), {
        previous: plain(versions.previous),
        current: plain(versions.current),
      });
      return found.length === 1 && found[0] === true;
    } catch {
      return false;
    }
  };
}

/** A copy of a value for constraints: numbers as the engine reckons with them. */
export function plainJson(value: Json): Json {
  return plain(value);
}

function countStep(): void {
  if (--meter.budget.steps < 0) throw new OutOfSteps();
}

/** The parser recurses: what is nested deeper than any path is refused before it. */
function assertModest(expression: string): void {
  const { characters, nesting } = FHIRPATH_LIMITS;
  let depth = 0;
  let deepest = 0;
  for (const character of expression) {
    if (character === '(' || character === '[') deepest = Math.max(deepest, ++depth);
    if (character === ')' || character === ']') depth--;
  }
  if (expression.length > characters || deepest > nesting) {
    throw fhirError('value', `A path has at most ${characters} characters and ${nesting} levels.`);
  }
}

function assertNavigates(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  const type: unknown = Reflect.get(node, 'type');
  const text: unknown = Reflect.get(node, 'text');
  if (type === 'Functn' && !(typeof text === 'string' && FUNCTIONS.has(text))) {
    throw fhirError('value', 'A path may navigate and filter only: it uses a function that does something else.');
  }
  if (typeof type === 'string' && REFUSED_SYNTAX.has(type)) {
    throw fhirError('value', 'A path may navigate and filter only: no variables, unions or sums.');
  }
  const children: unknown = Reflect.get(node, 'children');
  if (Array.isArray(children)) for (const child of children) assertNavigates(child);
}

/** A copy the engine may write to, with numbers it can reckon with. */
function plain(value: Json): Json {
  if (isNumber(value)) return numberOf(value);
  if (Array.isArray(value)) return value.map(plain);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, each === undefined ? each : plain(each)]),
  );
}

interface Node {
  readonly parentResNode: unknown;
  readonly path: string | null;
  readonly propName: string | null;
  readonly index: number | null;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'parentResNode' in value && 'propName' in value;
}

function selectedOf(node: Node): Selected {
  const steps: Step[] = [];
  for (let each = node; isNode(each.parentResNode); each = each.parentResNode) {
    steps.unshift({ name: each.propName ?? '', index: each.index ?? undefined });
  }
  const parent = isNode(node.parentResNode) ? (node.parentResNode.path ?? '') : undefined;
  return { steps, path: node.path ?? '', parentPath: parent };
}
