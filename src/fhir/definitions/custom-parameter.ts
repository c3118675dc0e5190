/**
 * SearchParameters that clients define at run time: decoded, judged, linked. Source: FHIR R4 searchparameter.html, search.html.
 * Judged against the published definitions and the claims: what cannot be indexed, or would take a published parameter's place, has faults.
 */

import type { Issue } from '../outcome.ts';
import { isJsonObject, type Json, type Resource } from '../resource.ts';
import { uncompilable } from '../search/extract.ts';
import { type Capability, SUPPORTED } from './capability.ts';
import { type Definitions, narrowedExpression, type SearchParameter, type SearchParameterType } from './definitions.ts';

/** What of a SearchParameter decides rows and claims. Plain data: it crosses threads. */
export interface CustomParameter {
  /** Logical id of the resource. */
  readonly id: string;
  /** The operator laid it into the folder of files: it may be known as a definition already, though nobody claims it. */
  readonly isFile?: boolean;
  readonly url: string;
  readonly code: string;
  readonly type: string;
  readonly base: readonly string[];
  /** '' when there is none. */
  readonly expression: string;
  readonly targets: readonly string[];
  readonly components: readonly { readonly definition: string; readonly expression: string }[];
}

/** What a parameter is judged by: the definitions and claims as published, without those of clients. */
export interface Published {
  readonly definitions: Definitions;
  readonly capability: Capability;
}

export const DEFINING_TYPE = 'SearchParameter';
/** Longest expression, characters: three times the longest published one of one type. */
const LONGEST_EXPRESSION = 2000;
/** A name that the search grammar can hold: `_` begins those of the specification, `:`, `.` and `$` have a meaning. */
const CODE = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);

/** The parameter that a resource switches on: a SearchParameter of status active. Anything else: undefined. */
export function activeParameter(resource: Resource): CustomParameter | undefined {
  if (resource.resourceType !== DEFINING_TYPE || resource.status !== 'active') return undefined;
  return {
    id: textOf(resource.id),
    url: textOf(resource.url),
    code: textOf(resource.code),
    type: textOf(resource.type),
    base: [...new Set(list(resource.base).map(textOf))],
    expression: textOf(resource.expression),
    targets: [...new Set(list(resource.target).map(textOf))],
    components: list(resource.component)
      .filter(isJsonObject)
      .map(({ definition, expression }) => ({
        definition: textOf(definition).split('|')[0] ?? '',
        expression: textOf(expression),
      })),
  };
}

/** Name of a parameter's rows: `Patient.eye-colour`. */
export const keyOf = (type: string, code: string): string => `${type}.${code}`;

const fault = (element: string, message: string, kind: Issue['kind'] = 'not-indexable'): Issue => ({
  kind,
  message,
  expression: `${DEFINING_TYPE}.${element}`,
});

/**
 * Why this server cannot keep the parameter; empty when it can.
 * @param known definitions in which components are looked up: the published ones and those of clients that are in force
 */
export function parameterFaults(
  custom: CustomParameter,
  published: Published,
  known: Definitions = published.definitions,
): readonly Issue[] {
  const { code, type, base, expression, components } = custom;
  if (!CODE.test(code)) {
    return [fault('code', 'The code of an active parameter is a letter, then up to 63 letters, digits, `-` and `_`.')];
  }
  if (!isIndexed(type)) return [fault('type', 'Parameters of this type are not indexed.')];
  if (expression === '')
    return [fault('expression', 'An active parameter needs an expression: there is nothing to index.')];
  const long = [expression, ...components.map((each) => each.expression)].some(
    (text) => text.length > LONGEST_EXPRESSION,
  );
  if (long) return [fault('expression', `The expression is longer than ${LONGEST_EXPRESSION} characters.`)];
  const based = base.flatMap((each) => baseFaults(each, custom, published));
  if (based.length > 0) return based;
  return base.flatMap((each) => expressionFaults(custom, type, each, known));
}

function isIndexed(type: string): type is SearchParameterType {
  return SUPPORTED.searchTypes.has(type);
}

function baseFaults(
  type: string,
  { code, url, isFile = false }: CustomParameter,
  { definitions, capability }: Published,
): readonly Issue[] {
  const claimed = capability.types.get(type);
  if (claimed === undefined || !claimed.interactions.has('search-type') || SUPPORTED.limited.has(type)) {
    return [fault('base', `\`${type}\` is not a type that parameters can be added to; name the types one by one.`)];
  }
  const standard = definitions.searchParameters(type);
  if (isFile && standard.get(code)?.url === url) return [];
  if (standard.has(code)) {
    return [fault('code', `\`${code}\` is a published parameter of ${type}; it stays what it is.`, 'business-rule')];
  }
  if ([...standard.values()].some((each) => each.url === url)) {
    return [fault('url', 'This is the url of a published parameter; it stays what it is.', 'business-rule')];
  }
  return [];
}

function expressionFaults(
  custom: CustomParameter,
  type: SearchParameterType,
  base: string,
  known: Definitions,
): readonly Issue[] {
  if (narrowedExpression(custom.expression, base) === undefined) {
    return [fault('expression', `No alternative of the expression starts at ${base}.`)];
  }
  if (type === 'composite') {
    if (custom.components.length === 0) return [fault('component', 'A composite needs components.')];
    const wrong = custom.components.flatMap(({ definition }, index) =>
      component(definition, base, known) === undefined
        ? [fault(`component[${index}].definition`, `It names no parameter of ${base} that is not itself composite.`)]
        : [],
    );
    if (wrong.length > 0) return wrong;
  }
  const linked = linkedCustom(custom, base, known);
  const problems = linked === undefined ? [] : uncompilable([linked], base, known);
  return problems.map(({ problem }) => fault('expression', `It cannot be indexed for ${base}: ${problem}`));
}

function component(url: string, base: string, known: Definitions): SearchParameter | undefined {
  const found = [...known.searchParameters(base).values()].find((each) => each.url === url);
  return found?.type === 'composite' || found?.type === 'special' ? undefined : found;
}

/** The parameter as it applies to one of its base types; undefined when a component or the type is not known. */
export function linkedCustom(custom: CustomParameter, base: string, known: Definitions): SearchParameter | undefined {
  const { url, code, type, expression, targets } = custom;
  if (!isIndexed(type)) return undefined;
  const components = custom.components.map((each) => {
    const parameter = component(each.definition, base, known);
    return parameter === undefined ? undefined : { parameter, expression: each.expression };
  });
  const linked = components.filter((each) => each !== undefined);
  if (type === 'composite' && linked.length < components.length) return undefined;
  return Object.freeze({
    url,
    code,
    type,
    expression: narrowedExpression(expression, base) ?? expression,
    targets: Object.freeze([...targets]),
    components: Object.freeze(type === 'composite' ? linked : []),
  });
}

/** Text that differs when the rows of two parameters may differ. */
export function rowsDecidedBy({ type, expression, components }: SearchParameter): string {
  const parts = components.map((each) => [each.expression, rowsDecidedBy(each.parameter)]);
  return JSON.stringify(parts.length === 0 ? [type, expression] : [type, expression, parts]);
}
