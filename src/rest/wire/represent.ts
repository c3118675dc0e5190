/** The shape of a resource in an answer: `_summary`, `_elements`, `_pretty`; version headers. Source: search.html#summary, #elements, http.html#versions. */
import { type Definitions, type ElementDefinition, jsonNames } from '../../fhir/definitions/definitions.ts';
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, parseJson, type Resource, serialize } from '../../fhir/resource.ts';
import { writeXml } from '../../fhir/xml/write.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { FhirResponse, Representation } from '../request.ts';
import { SERVED_TYPES } from './negotiate.ts';
import { prettyText } from './pretty.ts';

export type Shape = Pick<Representation, 'summary' | 'elements' | 'pretty'>;

const SUBSETTED = {
  system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue',
  code: 'SUBSETTED',
  display: 'subsetted',
};

/** Refuses (422) to put a subset in the place of the whole: search.html#summary. */
export function assertWhole({ resourceType, meta }: Resource): void {
  const tags = isJsonObject(meta) && Array.isArray(meta.tag) ? meta.tag : [];
  const isSubset = (tag: Json): boolean =>
    isJsonObject(tag) && tag.system === SUBSETTED.system && tag.code === SUBSETTED.code;
  if (!tags.some(isSubset)) return;
  throw fhirError(
    'business-rule',
    'The resource is tagged SUBSETTED: it is part of a resource, and an update would drop the rest. Read it whole first.',
    { expression: `${resourceType}.meta.tag` },
  );
}

/** True when the stored text can go out as it is. */
export function isWhole({ summary, elements }: Pick<Shape, 'summary' | 'elements'>): boolean {
  return elements.length === 0 && (summary === undefined || summary === 'false' || summary === 'count');
}

/** A resource's text in the asked subset; `_pretty` is applied to the whole answer, see `respond`. */
export function shapedText(text: string, shape: Pick<Shape, 'summary' | 'elements'>, definitions: Definitions): string {
  return isWhole(shape) ? text : serialize(shaped(storedResource(text), shape, definitions));
}

/** A stored text as a resource: it was decoded and validated before it was stored. */
export function storedResource(text: string): Resource {
  return parseJson(text) as Resource;
}

/**
 * The subset of a resource with meta.tag SUBSETTED. Mandatory elements stay in every form but `data`, which drops the narrative only.
 * - `true`: elements marked as summary, at every level of the resource's own structure
 * - `text`: text, id, meta and mandatory elements
 * - `data`: everything but text
 * - elements: those named, and mandatory ones; a path below the top keeps its top element whole
 */
export function shaped(
  resource: Resource,
  { summary, elements }: Pick<Shape, 'summary' | 'elements'>,
  definitions: Definitions,
): Resource {
  const elementsOf = definitions.structure(resource.resourceType)?.elements ?? [];
  const children = childrenOf(elementsOf, resource.resourceType);
  const isMandatory = (name: string): boolean => (children.get(name)?.min ?? 0) > 0;
  if (elements.length > 0) {
    const named = new Set(elements.map(topName));
    const isNamed = (name: string): boolean => named.has(name) || named.has(stemOf(children.get(name)) ?? name);
    return tagged(keep(resource, (name) => isNamed(name) || isMandatory(name)));
  }
  if (summary === 'text') return tagged(keep(resource, (name) => name === 'text' || isMandatory(name)));
  if (summary === 'data') return tagged(keep(resource, (name) => name !== 'text'));
  if (summary === 'true')
    return tagged({ ...summarised(resource, resource.resourceType, elementsOf), resourceType: resource.resourceType });
  return resource;
}

/** `Patient.name.family` and `name.family` both name the top element `name`. */
function topName(path: string): string {
  const [first = '', second] = path.split('.');
  return /^[A-Z]/.test(first) && second !== undefined ? second : first;
}

/** JSON names of the direct children of a path -> their elements; `valueQuantity` leads to `value[x]`. */
type Children = ReadonlyMap<string, ElementDefinition>;

function childrenOf(elements: readonly ElementDefinition[], path: string): Children {
  const prefix = `${path}.`;
  return new Map(
    elements
      .filter((element) => element.path.startsWith(prefix) && !element.path.includes('.', prefix.length))
      .flatMap((element) => jsonNames(element).map((name): [string, ElementDefinition] => [name, element])),
  );
}

/** `value` of `Observation.value[x]`: how `_elements` names a choice. */
function stemOf(element: ElementDefinition | undefined): string | undefined {
  return element === undefined ? undefined : /([A-Za-z]+)\[x\]$/.exec(element.path)?.[1];
}

/** Kept in every subset: identity, and what changes how all else is read. */
const ALWAYS: ReadonlySet<string> = new Set(['resourceType', 'id', 'meta', 'implicitRules', 'modifierExtension']);

/** The properties that `wanted` says, with their `_name` siblings. */
function keep(resource: Resource, wanted: (name: string) => boolean): Resource {
  const kept = Object.entries(resource).filter(([key]) => {
    const name = baseName(key);
    return ALWAYS.has(name) || wanted(name);
  });
  return { ...Object.fromEntries(kept), resourceType: resource.resourceType };
}

const baseName = (key: string): string => (key.startsWith('_') ? key.slice(1) : key);

function summarised(object: JsonObject, path: string, elements: readonly ElementDefinition[]): JsonObject {
  const children = childrenOf(elements, path);
  if (children.size === 0) return object;
  const kept = Object.entries(object).flatMap(([key, value]): [string, Json | undefined][] => {
    const name = baseName(key);
    if (ALWAYS.has(name)) return [[key, value]];
    const element = children.get(name);
    if (element === undefined || value === undefined || !(element.summary || element.min > 0)) return [];
    return [[key, below(value, element, elements)]];
  });
  return Object.fromEntries(kept);
}

/** Backbone elements are cut in their turn; data types stay whole. */
function below(value: Json, element: ElementDefinition, elements: readonly ElementDefinition[]): Json {
  const path = element.contentReference?.replace(/^#/, '') ?? element.path;
  if (Array.isArray(value)) return value.map((item: Json) => below(item, element, elements));
  return isJsonObject(value) ? summarised(value, path, elements) : value;
}

function tagged(resource: Resource): Resource {
  const { resourceType, id, meta, ...rest } = resource;
  const held = isJsonObject(meta) ? meta : {};
  const tags: readonly Json[] = Array.isArray(held.tag) ? held.tag : [];
  const tag = [...tags.filter((each) => !isJsonObject(each) || each.code !== SUBSETTED.code), SUBSETTED];
  return { resourceType, ...(id === undefined ? {} : { id }), meta: { ...held, tag }, ...rest };
}

/** `W/"3"`. */
export function entityTag(version: number): string {
  return `W/"${version}"`;
}

/** ETag and Last-Modified of a version. */
export function versionHeaders({
  version,
  at,
}: Pick<StoredVersion, 'version' | 'at'>): Readonly<Record<string, string>> {
  return { ETag: entityTag(version), 'Last-Modified': new Date(at).toUTCString() };
}

/** A complete answer in JSON; `_pretty` indents by two spaces and keeps the lexeme of every number. */
export function respond(
  status: number,
  text: string | undefined,
  pretty: boolean,
  headers: Readonly<Record<string, string>> = {},
): FhirResponse {
  if (text === undefined) return { status, headers, body: undefined };
  const body = pretty ? prettyText(text) : text;
  return { status, headers: { 'Content-Type': SERVED_TYPES.json, ...headers }, body };
}

/** A complete answer in the format asked for; JSON stays as it is. Costs about 30 us for an Observation. */
export function rendered(
  response: FhirResponse,
  { format, pretty }: Pick<Representation, 'format' | 'pretty'>,
  definitions: Definitions,
): FhirResponse {
  const { headers, body } = response;
  if (format === 'json' || body === undefined || headers['Content-Type'] !== SERVED_TYPES.json) return response;
  return {
    ...response,
    headers: { ...headers, 'Content-Type': SERVED_TYPES.xml },
    body: writeXml(body, definitions, pretty),
  };
}
