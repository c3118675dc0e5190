/**
 * Value sets and code systems that can be enumerated here: the published ones of required bindings, and resources of this server.
 * Source: valueset.html#compositions, codesystem.html#hierarchy. What needs a terminology server is refused, by name.
 */
import { fhirError } from '../outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../resource.ts';
import { canonicalParts } from './value.ts';

export interface Concept {
  readonly system: string;
  readonly code: string;
}

/** Where definitions are looked up, under the caller's access. */
export interface Terminology {
  /** `system|code` of a published value set; undefined when it is not known or cannot be enumerated. */
  published(url: string): ReadonlySet<string> | undefined;
  /** The newest resource of this server with this canonical; version '' = any. */
  byUrl(type: 'ValueSet' | 'CodeSystem', url: string, version: string): Promise<Resource | undefined>;
  byId(type: 'ValueSet', id: string): Promise<Resource | undefined>;
}

/** Most concepts that one search may stand for, and how deep value sets may include value sets. */
const MOST_CONCEPTS = 1000;
const DEEPEST = 5;

type Concepts = ReadonlyMap<string, Concept>;

function conceptMap(concepts: Iterable<Concept>, name: string): Concepts {
  const map = new Map<string, Concept>();
  for (const concept of concepts) {
    map.set(`${concept.system}|${concept.code}`, concept);
    if (map.size > MOST_CONCEPTS) {
      throw fhirError('too-costly', `\`${name}\` stands for more than ${MOST_CONCEPTS} concepts.`);
    }
  }
  return map;
}

const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const objects = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : [];
const texts = (value: Json | undefined): readonly string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];

function cannot(name: string, why: string): never {
  throw fhirError('unsupported-parameter', `\`${name}\` cannot be enumerated here: ${why}.`);
}

/**
 * The concepts of a value set, named by its canonical or as `ValueSet/id` of this server.
 * @throws FhirError `unsupported-parameter` (400) when it is not held or cannot be enumerated; `too-costly` (400) when it is too large
 */
export async function valueSetConcepts(name: string, terminology: Terminology): Promise<readonly Concept[]> {
  return [...(await conceptsOf(name, terminology, 0)).values()];
}

async function conceptsOf(name: string, terminology: Terminology, depth: number): Promise<Concepts> {
  if (depth > DEEPEST) return cannot(name, 'value sets include each other too deeply');
  const local = /^ValueSet\/([A-Za-z0-9\-.]{1,64})$/.exec(name);
  const { url, version } = canonicalParts(name);
  const held =
    local?.[1] === undefined
      ? await terminology.byUrl('ValueSet', url, version)
      : await terminology.byId('ValueSet', local[1]);
  if (held !== undefined) return heldConcepts(held, name, terminology, depth);
  const published = version === '' || version === '4.0.1' ? terminology.published(url) : undefined;
  if (published === undefined) return cannot(name, 'it is not a value set that this server holds');
  const split = [...published].map((each) => {
    const bar = each.lastIndexOf('|');
    return { system: each.slice(0, bar), code: each.slice(bar + 1) };
  });
  return conceptMap(split, name);
}

async function heldConcepts(set: Resource, name: string, terminology: Terminology, depth: number): Promise<Concepts> {
  const { compose, expansion } = set;
  if (isJsonObject(expansion) && isComplete(expansion)) return conceptMap(expanded(objects(expansion.contains)), name);
  if (!isJsonObject(compose)) return cannot(name, 'it has neither a complete expansion nor a composition');
  const found = new Map<string, Concept>();
  for (const include of objects(compose.include)) {
    for (const [key, concept] of await composed(include, name, terminology, depth)) found.set(key, concept);
  }
  for (const exclude of objects(compose.exclude)) {
    for (const key of (await composed(exclude, name, terminology, depth)).keys()) found.delete(key);
  }
  return conceptMap(found.values(), name);
}

/** An expansion that is a page of a longer one says so. */
function isComplete({ total, offset, contains }: JsonObject): boolean {
  return contains !== undefined && offset === undefined && (total === undefined || objects(contains).length > 0);
}

function* expanded(contains: readonly JsonObject[]): Iterable<Concept> {
  for (const each of contains) {
    if (each.abstract !== true && textOf(each.code) !== '') {
      yield { system: textOf(each.system), code: textOf(each.code) };
    }
    yield* expanded(objects(each.contains));
  }
}

/** One include or exclude: a code system, its concepts or its filters, and in all of the value sets it names. */
async function composed(part: JsonObject, name: string, terminology: Terminology, depth: number): Promise<Concepts> {
  const system = textOf(part.system);
  const sets: Concepts[] = [];
  if (system !== '') sets.push(conceptMap(await systemConcepts(part, system, name, terminology), name));
  for (const other of texts(part.valueSet)) sets.push(await conceptsOf(other, terminology, depth + 1));
  const [first, ...others] = sets;
  if (first === undefined) return new Map();
  return new Map([...first].filter(([key]) => others.every((each) => each.has(key))));
}

async function systemConcepts(
  part: JsonObject,
  system: string,
  name: string,
  terminology: Terminology,
): Promise<readonly Concept[]> {
  if (part.concept !== undefined) {
    return objects(part.concept).map(({ code }) => ({ system, code: textOf(code) }));
  }
  const tree = await codeSystem(system, textOf(part.version), name, terminology);
  const filters = objects(part.filter).map(({ property, op, value }) => {
    const isA = textOf(op) === 'is-a' || textOf(op) === 'descendent-of';
    if (textOf(property) !== 'concept' || !isA)
      return cannot(name, `the filter ${textOf(op).slice(0, 30)} is not understood`);
    const below = new Set(tree.below(textOf(value)));
    if (textOf(op) === 'descendent-of') below.delete(textOf(value));
    return below;
  });
  return [...tree.codes].filter((code) => filters.every((each) => each.has(code))).map((code) => ({ system, code }));
}

/** A code system with its hierarchy: concepts inside concepts, and properties `parent` (codesystem.html#hierarchy). */
interface CodeTree {
  readonly codes: ReadonlySet<string>;
  /** The concept and everything that is one; empty when there is no such concept. */
  below(code: string): readonly string[];
  /** The concept and everything it is one of. */
  above(code: string): readonly string[];
}

async function codeSystem(system: string, version: string, name: string, terminology: Terminology): Promise<CodeTree> {
  const held = await terminology.byUrl('CodeSystem', system, version);
  if (held === undefined) return cannot(name, `the code system ${system.slice(0, 200)} is not held by this server`);
  if (held.content !== 'complete') return cannot(name, `the code system ${system.slice(0, 200)} is not held complete`);
  return treeOf(held);
}

function treeOf(resource: Resource): CodeTree {
  const parents = new Map<string, string[]>();
  const children = new Map<string, string[]>();
  const link = (parent: string, code: string): void => {
    parents.set(code, [...(parents.get(code) ?? []), parent]);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [code]);
    else siblings.push(code);
  };
  const codes = new Set<string>();
  // An explicit stack: concepts may be nested deeper than a call stack is.
  const waiting = objects(resource.concept).map((concept) => ({ concept, parent: '' }));
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { concept, parent } = next;
    const code = textOf(concept.code);
    codes.add(code);
    if (parent !== '') link(parent, code);
    for (const { code: kind, valueCode } of objects(concept.property)) {
      if (kind === 'parent' && textOf(valueCode) !== '') link(textOf(valueCode), code);
    }
    for (const inner of objects(concept.concept)) waiting.push({ concept: inner, parent: code });
  }
  const reach = (code: string, edges: ReadonlyMap<string, readonly string[]>): readonly string[] => {
    if (!codes.has(code)) return [];
    const seen = new Set([code]);
    for (const each of seen) for (const next of edges.get(each) ?? []) seen.add(next);
    return [...seen];
  };
  return { codes, below: (code) => reach(code, children), above: (code) => reach(code, parents) };
}

/** Hierarchies that say what subsumes what; one that says nothing of its meaning is taken as such. */
const SUBSUMES: ReadonlySet<Json | undefined> = new Set<Json | undefined>([undefined, 'is-a']);

/**
 * The concept and everything it subsumes (`below`) or that subsumes it (`above`).
 * @throws FhirError as `valueSetConcepts`, and `value` (400) for a code that the system does not have
 */
export async function subsumedConcepts(
  { system, code }: Concept,
  direction: 'above' | 'below',
  terminology: Terminology,
): Promise<readonly Concept[]> {
  const held = await terminology.byUrl('CodeSystem', system, '');
  if (held !== undefined && !SUBSUMES.has(held.hierarchyMeaning)) return cannot(system, 'its hierarchy is not is-a');
  const tree = await codeSystem(system, '', system, terminology);
  const found = tree[direction](code);
  if (found.length === 0) throw fhirError('value', `The code system \`${system.slice(0, 200)}\` has no such concept.`);
  return [
    ...conceptMap(
      found.map((each) => ({ system, code: each })),
      system,
    ).values(),
  ];
}
