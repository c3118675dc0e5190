/** Resource -> index rows, by the claimed search parameters compiled once per type. Source: FHIR R4 search.html; the rows themselves: rows.ts. */
import { SUPPORTED } from '../definitions/capability.ts';
import type { SearchParameter } from '../definitions/definitions.ts';
import { compilePath, type Place, rootPlace, type Structures, type Terminal } from '../path/path.ts';
import type { Resource } from '../resource.ts';
import type { IndexEntry, ParameterKey } from './algebra.ts';
import { containedRows, type ExtractOf } from './contained.ts';
import { contentWords, narrativeWords } from './full-text.ts';
import { ownerRows } from './owner.ts';
import { type RowScope, type RowSettings, type RowVisit, rowVisit } from './rows.ts';
import { securityContextRows } from './security-context.ts';
import { localReference } from './value.ts';

export interface ExtractSettings extends RowSettings {
  readonly definitions: Structures;
  /** Parameters of all types that are claimed: `_text` and `_content` are indexed when they are. */
  readonly common?: ReadonlySet<string>;
  /** Claimed parameters of a type, for what is contained; absent = contained resources are not looked into. */
  claimed?(type: string): Iterable<SearchParameter> | undefined;
}

/** Raised when the same resource gives other rows than before: part of what decides whether a store is indexed anew. */
export const ROWS_FORM = 5;

const META = [
  ['_profile', 'uri', 'Resource.meta.profile'],
  ['_source', 'uri', 'Resource.meta.source'],
  ['_tag', 'token', 'Resource.meta.tag'],
  ['_security', 'token', 'Resource.meta.security'],
] as const;

/** Answered by the engine from its own columns: never extracted. */
const ENGINE_OWN = new Set(['_id', '_lastUpdated']);

/** Parameters of `meta` every resource is indexed by, claimed or not. */
const META_PARAMETERS: readonly SearchParameter[] = META.map(([code, type, expression]) => ({
  url: `http://hl7.org/fhir/SearchParameter/Resource-${code.slice(1)}`,
  code,
  type,
  expression,
  targets: [],
  components: [],
}));

interface CompiledParameter {
  readonly visits: readonly RowVisit[];
  readonly problem: string | undefined;
}

/** Follows an extension to its value, so that a parameter on an extension indexes what the extension holds. */
function terminalOf(type: SearchParameter['type'], key: ParameterKey, settings: ExtractSettings): Terminal<RowScope> {
  const terminal: Terminal<RowScope> = (place) => {
    if (place.type !== 'Extension') return rowVisit(type, key, place, settings);
    const visits = visitsOf(compilePath('value', place, settings.definitions, terminal));
    return visits.length === 0 ? undefined : (value, scope) => runAll(visits, value, scope);
  };
  return terminal;
}

function visitsOf(compiled: {
  readonly visits?: readonly RowVisit[];
  readonly problem?: string | undefined;
}): readonly RowVisit[] {
  return compiled.visits ?? [];
}

function runAll(visits: readonly RowVisit[], value: Parameters<RowVisit>[0], scope: RowScope): void {
  for (const visit of visits) visit(value, scope);
}

function compileParameter(parameter: SearchParameter, type: string, settings: ExtractSettings): CompiledParameter {
  const key = `${type}.${parameter.code}`;
  const problems: string[] = [];
  const terminal: Terminal<RowScope> =
    parameter.type === 'composite'
      ? (place) => compositeVisit(parameter, key, place, settings, problems)
      : terminalOf(parameter.type, key, settings);
  const compiled = compilePath(
    parameter.expression,
    rootPlace(type, settings.definitions),
    settings.definitions,
    terminal,
  );
  const visits = visitsOf(compiled);
  const problem = compiled.problem ?? problems[0];
  if (problem !== undefined) return { visits: [], problem };
  return {
    visits,
    problem: visits.length === 0 ? `no element is of a type that a ${parameter.type} can index` : undefined,
  };
}

/** One group for each occurrence of the composite's element; rows only when every component has a value. */
function compositeVisit(
  parameter: SearchParameter,
  key: ParameterKey,
  place: Place,
  settings: ExtractSettings,
  problems: string[],
): RowVisit | undefined {
  const components = parameter.components.map((component, index) => {
    const terminal = terminalOf(component.parameter.type, `${key}$${index + 1}`, settings);
    const compiled = compilePath(component.expression, place, settings.definitions, terminal);
    const visits = visitsOf(compiled);
    if (visits.length === 0) problems.push(compiled.problem ?? `component ${index + 1} has nothing to index`);
    return visits;
  });
  if (components.length === 0) return undefined;
  return (value, scope) => {
    const before = scope.rows.length;
    scope.group++;
    for (const visits of components) {
      const had = scope.rows.length;
      runAll(visits, value, scope);
      if (scope.rows.length > had) continue;
      scope.rows.length = before;
      scope.group--;
      return;
    }
  };
}

type Visits = readonly RowVisit[];

/** Visits of every parameter that has any. */
function compiledVisits(
  parameters: Iterable<SearchParameter>,
  type: string,
  settings: ExtractSettings,
): readonly Visits[] {
  const byCode = new Map(META_PARAMETERS.map((parameter) => [parameter.code, parameter]));
  for (const parameter of parameters) byCode.set(parameter.code, parameter);
  return [...byCode.values()]
    .filter(({ code }) => !ENGINE_OWN.has(code))
    .map((parameter) => compileParameter(parameter, type, settings).visits)
    .filter((visits) => visits.length > 0);
}

function visited(resource: Resource, compiled: readonly Visits[]): RowScope {
  const scope: RowScope = { root: resource, rows: [], fragments: [], start: 0, group: 0 };
  for (const visits of compiled) {
    scope.start = scope.rows.length;
    scope.group = 0;
    for (const visit of visits) visit(resource, scope);
  }
  return scope;
}

/** Compiles a type when it is first met inside another. */
function containedExtractor(settings: ExtractSettings): ExtractOf {
  const known = new Map<string, readonly Visits[]>();
  return (type, resource) => {
    let compiled = known.get(type);
    if (compiled === undefined) {
      const parameters = SUPPORTED.apart.has(type) ? undefined : settings.claimed?.(type);
      if (parameters === undefined) return undefined;
      compiled = compiledVisits(parameters, type, settings);
      known.set(type, compiled);
    }
    return visited(resource, compiled);
  };
}

/**
 * Index rows of resources of one type. Parameters that cannot be compiled give no rows: see `uncompilable`.
 * `_profile`, `_source`, `_tag` and `_security` are always extracted; `_id` and `_lastUpdated` never.
 * A parameter whose first element is absent costs one property look-up. Elements of the wrong JSON type are passed over, never thrown at.
 */
export function extractor(
  parameters: Iterable<SearchParameter>,
  type: string,
  settings: ExtractSettings,
): (resource: Resource) => IndexEntry[] {
  const compiled = compiledVisits(parameters, type, settings);
  const extractContained = containedExtractor(settings);
  const isRead = (code: string): boolean => settings.common?.has(code) === true && !SUPPORTED.apart.has(type);
  const [narrative, content] = [isRead('_text'), isRead('_content')];
  const addWords = (code: string, text: string, rows: IndexEntry[]): void => {
    if (text !== '') rows.push({ kind: 'text', parameter: `${type}.${code}`, text, group: 0 });
  };
  return (resource) => {
    const scope = visited(resource, compiled);
    if (scope.fragments.length > 0 && !SUPPORTED.apart.has(type)) {
      for (const row of containedRows(resource, scope.fragments, extractContained)) scope.rows.push(row);
    }
    if (narrative || content) addWords('_text', narrativeWords(resource), scope.rows);
    if (content) addWords('_content', contentWords(resource), scope.rows);
    scope.rows.push(...securityContextRows(resource, (text) => localReference(text, settings.fhirBase)));
    scope.rows.push(...ownerRows(resource));
    return scope.rows;
  };
}

export type ReferenceEntry = Extract<IndexEntry, { kind: 'reference' }>;

/** The rows of reference parameters alone, of the resource itself and not of what it contains: what `_include` follows. */
export function referenceExtractor(
  parameters: Iterable<SearchParameter>,
  type: string,
  settings: ExtractSettings,
): (resource: Resource) => readonly ReferenceEntry[] {
  const compiled = [...parameters]
    .filter((parameter) => parameter.type === 'reference')
    .map((parameter) => compileParameter(parameter, type, settings).visits);
  return (resource) => visited(resource, compiled).rows.filter((entry) => entry.kind === 'reference');
}

/** The parameters of a type that this server cannot index, with the reason; a claim on one of them must be refused. */
export function uncompilable(
  parameters: Iterable<SearchParameter>,
  type: string,
  definitions: Structures,
): readonly { readonly code: string; readonly problem: string }[] {
  return [...parameters].flatMap((parameter) => {
    if (ENGINE_OWN.has(parameter.code)) return [];
    const { problem } = compileParameter(parameter, type, { definitions, fhirBase: '' });
    return problem === undefined ? [] : [{ code: parameter.code, problem }];
  });
}
