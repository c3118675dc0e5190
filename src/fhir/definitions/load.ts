/**
 * Reads profiles/: the published definitions, checked against their hashes, and our own search parameters and operations.
 * The only file of src/fhir that touches the disk. Source: profiles/README.md.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Profile, profileOf } from '../profile/profile.ts';
import { isJsonObject, type Resource } from '../resource.ts';
import { publishedTerminology } from '../terminology/load.ts';
import {
  type Constraint,
  type Definitions,
  type ElementDefinition,
  type ElementType,
  narrowedExpression,
  type OperationDefinition,
  type OperationParameter,
  type SearchParameter,
  type SearchParameterType,
  type StructureDefinition,
} from './definitions.ts';
import type {
  CompartmentsFile,
  ElementFile,
  LockFile,
  OperationFile,
  OperationParameterFile,
  SearchParameterFile,
  StructuresFile,
  ValueSetsFile,
} from './file.ts';

const SEARCH_TYPES = new Set<string>([
  'number',
  'date',
  'string',
  'token',
  'reference',
  'composite',
  'quantity',
  'uri',
  'special',
] satisfies SearchParameterType[]);

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * Definitions of a `profiles` folder: `definitions/` (generated), `search/`, `operation/`, `structure/` and `terminology/` (one resource a file).
 * @throws Error on a file that is missing, differs from its hash in definitions.lock.json, or is not what its folder says.
 */
export function loadDefinitions(folder: string): Definitions {
  const lockText = readFileSync(join(folder, 'definitions', 'definitions.lock.json'), 'utf8');
  const lock: LockFile = JSON.parse(lockText);
  /** The cast is proven by the hash: the text is what scripts/definitions.ts wrote in this shape. */
  const generated = <T>(name: string): T => {
    const text = readFileSync(join(folder, 'definitions', name), 'utf8');
    if (digest(text) !== lock.files[name]) {
      throw new Error(
        `profiles/definitions/${name} differs from its hash in definitions.lock.json; run npm run definitions.`,
      );
    }
    return JSON.parse(text) as T;
  };
  const ownSearch = ownResources(folder, 'search').map(({ name, value }) => ownSearchParameter(name, value));
  const ownOperations = ownResources(folder, 'operation').map(({ name, value }) => ownOperation(name, value));
  const structures = generated<StructuresFile>('structures.json');
  const valueSets = bindings(generated<ValueSetsFile>('value-sets.json'));
  const types = linkedStructures(structures, valueSets);
  const parameters = parameterIndex(generated<SearchParameterFile[]>('search-parameters.json'), ownSearch);
  const compartments = generated<CompartmentsFile>('compartments.json');
  const operations = [...generated<OperationFile[]>('operations.json'), ...ownOperations].map(linkedOperation);
  const resources = [...types.values()].filter(({ kind, abstract }) => kind === 'resource' && !abstract);
  return Object.freeze({
    hash: digest(lockText + JSON.stringify(ownSearch)),
    resourceTypes: new Set(resources.map(({ type }) => type)),
    types: new Set(types.keys()),
    constraints: new Map<string, Constraint>(Object.entries(structures.constraints)),
    structure: (type: string) => types.get(type),
    searchParameters: parameters,
    compartmentParameters: (compartment: string, type: string) => {
      const ofType = compartments[compartment];
      const codes = ofType !== undefined && Object.hasOwn(ofType, type) ? (ofType[type] ?? []) : [];
      return type === compartment ? ['{def}', ...codes] : codes;
    },
    profiles: ownProfiles(folder),
    published: withOwn(publishedTerminology(join(folder, 'definitions'), lock.files), folder),
    valueSet: (url: string) => valueSets.get(url)?.requiredConcepts,
    operations: Object.freeze(operations.map((each) => Object.freeze(each))),
  } satisfies Definitions);
}

function bindings(valueSets: ValueSetsFile): ReadonlyMap<string, Binding> {
  return new Map(Object.entries(valueSets).map(([url, systems]) => [url, binding(url, systems)]));
}

function linkedStructures(
  file: StructuresFile,
  bound: ReadonlyMap<string, Binding>,
): ReadonlyMap<string, StructureDefinition> {
  return new Map(
    file.types.map(({ url, type, kind, abstract = false, elements }) => [
      type,
      Object.freeze({
        url,
        type,
        kind,
        abstract,
        elements: Object.freeze(elements.map((each) => linkedElement(type, each, bound))),
      }),
    ]),
  );
}

type Binding = Pick<ElementDefinition, 'valueSet' | 'requiredCodes' | 'requiredConcepts'>;

function binding(url: string, systems: ValueSetsFile[string]): Binding {
  if (systems === null) return { valueSet: url };
  const concepts = Object.entries(systems).flatMap(([system, codes]) => codes.map((code) => `${system}|${code}`));
  return {
    valueSet: url,
    requiredCodes: new Set(Object.values(systems).flat()),
    requiredConcepts: new Set(concepts),
  };
}

function linkedElement(type: string, file: ElementFile, bindings: ReadonlyMap<string, Binding>): ElementDefinition {
  return Object.freeze({
    path: file.path === '' ? type : `${type}.${file.path}`,
    min: file.min ?? 0,
    max: file.max === undefined ? 1 : file.max === -1 ? Number.POSITIVE_INFINITY : file.max,
    types: Object.freeze((file.types ?? []).map(elementType)),
    ...(file.required === undefined ? {} : bindings.get(file.required)),
    ...(file.content === undefined ? {} : { contentReference: `#${file.content}` }),
    summary: file.summary ?? false,
    constraints: Object.freeze(file.constraints ?? []),
  });
}

/** `Quantity`, `Quantity<SimpleQuantity>` or `Reference(Patient|Group)`. */
function elementType(text: string): ElementType {
  const open = text.search(/[(<]/);
  if (open === -1) return Object.freeze({ code: text, targets: Object.freeze([]) });
  const code = text.slice(0, open);
  const inner = text.slice(open + 1, -1);
  return Object.freeze(
    text[open] === '<'
      ? { code, targets: Object.freeze([]), profile: inner }
      : { code, targets: Object.freeze(inner.split('|')) },
  );
}

/** Parameters by type, linked when a type is first asked for. Ours replace published ones of the same code and type. */
function parameterIndex(
  published: readonly SearchParameterFile[],
  own: readonly SearchParameterFile[],
): (type: string) => ReadonlyMap<string, SearchParameter> {
  const byUrl = new Map<string, SearchParameterFile>();
  const byBase = new Map<string, Map<string, SearchParameterFile>>();
  for (const file of [...published, ...own]) {
    byUrl.set(file.url, file);
    for (const base of file.base) {
      const ofBase = byBase.get(base) ?? new Map<string, SearchParameterFile>();
      byBase.set(base, ofBase.set(file.code, file));
    }
  }
  const linked = new Map<string, ReadonlyMap<string, SearchParameter>>();
  return (type) => {
    const known = linked.get(type);
    if (known !== undefined) return known;
    const files = ['Resource', 'DomainResource', type].flatMap((base) => [...(byBase.get(base)?.entries() ?? [])]);
    const ofType = new Map(files.map(([code, file]) => [code, linkedParameter(file, type, byUrl)]));
    if (byBase.has(type)) linked.set(type, ofType);
    return ofType;
  };
}

function linkedParameter(
  file: SearchParameterFile,
  type: string,
  byUrl: ReadonlyMap<string, SearchParameterFile>,
): SearchParameter {
  const components = (file.component ?? []).map(({ definition, expression }) => {
    const part = byUrl.get(definition);
    if (part === undefined) throw new Error(`Search parameter ${file.url} names the unknown component ${definition}.`);
    return Object.freeze({ parameter: linkedParameter(part, type, byUrl), expression });
  });
  return Object.freeze({
    url: file.url,
    code: file.code,
    type: file.type,
    expression: narrowedExpression(file.expression, type) ?? file.expression,
    targets: Object.freeze(file.target ?? []),
    components: Object.freeze(components),
  });
}

function linkedOperation(file: OperationFile): OperationDefinition {
  return { ...file, parameters: Object.freeze(file.parameters.map(linkedOperationParameter)) };
}

function linkedOperationParameter({ name, use, min, max, type, parts }: OperationParameterFile): OperationParameter {
  return Object.freeze({
    name,
    use,
    min: min ?? 0,
    max: max === undefined ? 1 : max === -1 ? Number.POSITIVE_INFINITY : max,
    type,
    parts: Object.freeze((parts ?? []).map(linkedOperationParameter)),
  });
}

type Own = Readonly<Record<string, unknown>>;

function ownResources(folder: string, kind: string): readonly { readonly name: string; readonly value: Own }[] {
  const path = join(folder, kind);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => ({ name: `${kind}/${name}`, value: JSON.parse(readFileSync(join(path, name), 'utf8')) }));
}

function ownProfiles(folder: string): ReadonlyMap<string, Profile> {
  const profiles = new Map<string, Profile>();
  for (const { name, value } of ownResources(folder, 'structure')) {
    const profile = profileOf(isJsonObject(value) ? value : {}, `profiles/${name}`);
    if (profiles.has(profile.url)) throw new Error(`profiles/${name}: ${profile.url} is held twice.`);
    profiles.set(profile.url, profile);
  }
  return profiles;
}

/** What profiles/terminology holds, else what is published with R4. */
function withOwn(published: Definitions['published'], folder: string): Definitions['published'] {
  const own = new Map<string, Resource>();
  for (const { name, value } of ownResources(folder, 'terminology')) {
    if (!isTerminology(value)) throw new Error(`profiles/${name} is not a CodeSystem or ValueSet with a url.`);
    own.set(`${value.resourceType} ${String(value.url)}`, value);
  }
  return (type, url) => own.get(`${type} ${url}`) ?? published(type, url);
}

function isTerminology(value: unknown): value is Resource {
  if (!isJsonObject(value) || typeof value.url !== 'string') return false;
  return value.resourceType === 'CodeSystem' || value.resourceType === 'ValueSet';
}

function ownSearchParameter(name: string, value: Own): SearchParameterFile {
  const { url, code, type, base, expression, target, component } = value;
  const textList = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((each) => typeof each === 'string');
  if (
    value.resourceType !== 'SearchParameter' ||
    typeof url !== 'string' ||
    typeof code !== 'string' ||
    !isSearchType(type) ||
    !textList(base) ||
    typeof expression !== 'string' ||
    !(target === undefined || textList(target))
  ) {
    throw new Error(`profiles/${name} is not a SearchParameter with url, code, type, base and expression.`);
  }
  return {
    url,
    code,
    type,
    base,
    expression,
    ...(target === undefined ? {} : { target }),
    ...(component === undefined ? {} : { component: ownComponents(name, component) }),
  };
}

function isSearchType(type: unknown): type is SearchParameterType {
  return typeof type === 'string' && SEARCH_TYPES.has(type);
}

function ownComponents(name: string, component: unknown): { definition: string; expression: string }[] {
  const list: readonly Own[] = Array.isArray(component) ? component : [];
  return list.map(({ definition, expression }) => {
    if (typeof definition !== 'string' || typeof expression !== 'string') {
      throw new Error(`profiles/${name} has a component without definition or expression.`);
    }
    return { definition, expression };
  });
}

function ownOperation(name: string, value: Own): OperationFile {
  const { url, code, system, type, instance, resource = [], affectsState = false, parameter = [] } = value;
  if (
    value.resourceType !== 'OperationDefinition' ||
    typeof url !== 'string' ||
    typeof code !== 'string' ||
    !Array.isArray(resource) ||
    !Array.isArray(parameter)
  ) {
    throw new Error(`profiles/${name} is not an OperationDefinition with url, code and resource.`);
  }
  return {
    url,
    code,
    system: system === true,
    type: type === true,
    instance: instance === true,
    resource: resource.map(String),
    affectsState: affectsState === true,
    parameters: parameter.map((each: Own) => ownOperationParameter(name, each)),
  };
}

function ownOperationParameter(file: string, value: Own): OperationParameterFile {
  const { name, use, min, max, type, part } = value;
  if (
    typeof name !== 'string' ||
    (use !== 'in' && use !== 'out') ||
    typeof min !== 'number' ||
    typeof max !== 'string'
  ) {
    throw new Error(`profiles/${file} has a parameter without name, use, min or max.`);
  }
  return {
    name,
    use,
    min,
    max: max === '*' ? -1 : Number(max),
    ...(typeof type === 'string' ? { type } : {}),
    ...(Array.isArray(part) ? { parts: part.map((each: Own) => ownOperationParameter(file, each)) } : {}),
  };
}
