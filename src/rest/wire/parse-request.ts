/** Wire -> FhirRequest: the only parser of paths, queries and headers, also for Bundle entries. Source: http.html#summary. */
import type { Definitions } from '../../fhir/definitions/definitions.ts';
import { FhirError, fhirError } from '../../fhir/outcome.ts';
import { ID_PATTERN, isJsonObject, type Json, parseJson, type Resource } from '../../fhir/resource.ts';
import { readXml } from '../../fhir/xml/read.ts';
import type { FhirRequest, Representation, WireRequest } from '../request.ts';
import { ifNoneExistOf, preconditionsOf, preferOf } from './conditions.ts';
import { manifestParameters } from './manifest.ts';
import { answerFormat, bodyFormat, checkFormBody, type Format } from './negotiate.ts';
import { patchOf } from './patch-body.ts';
import { type Asked, askedOf, type Place, placeOf } from './place.ts';
import { onlyThese, type Pair, pairsOf, single, without } from './query-text.ts';

export interface ParseSettings {
  /** Types that exist here; any other is 404 before anything else is looked at. */
  readonly types: { has(type: string): boolean };
  /** What bodies in XML are read by; without them they are refused (415). */
  readonly definitions?: Definitions;
}

const GENERAL = ['_format', '_pretty'] as const;
const SHAPING = [...GENERAL, '_summary', '_elements'] as const;
const HISTORY = [...SHAPING, '_count', '_since', '_at', '_cursor'] as const;
/** Shape only the answer's text; everything else in a search's query belongs to search.html. */
const NOT_CRITERIA: ReadonlySet<string> = new Set(GENERAL);

/** Query parameters of interactions whose query is not search criteria. */
const PARAMETERS: Partial<Record<Asked, readonly string[]>> = {
  read: SHAPING,
  vread: SHAPING,
  capabilities: [...SHAPING, 'mode'],
  'history-instance': HISTORY,
  'history-type': HISTORY,
  'history-system': HISTORY,
  create: GENERAL,
  update: GENERAL,
  delete: GENERAL,
  patch: GENERAL,
  bundle: GENERAL,
};

/**
 * The request as FHIR sees it.
 * @param given the body when it is already parsed (a Bundle entry); then the Content-Type does not matter
 * @throws FhirError 400, 404, 405, 406 or 415; never anything else, whatever the text
 */
export function parseRequest(wire: WireRequest, settings: ParseSettings, given?: Resource): FhirRequest {
  const place = placeOf(wire.path);
  if (place === undefined) throw fhirError('not-found', 'This is not a path of the FHIR RESTful API.');
  if (place.type !== '' && !settings.types.has(place.type)) {
    throw fhirError('unknown-type', `The resource type \`${place.type}\` is not supported.`);
  }
  if (place.compartment !== undefined && !settings.types.has(place.compartment.type)) {
    throw fhirError('unknown-type', `The resource type \`${place.compartment.type}\` is not supported.`);
  }
  const asked = askedOf(place, wire.method);
  const rawQuery = asked === 'search-type' || asked === 'search-system' ? searchText(wire, asked) : wire.query;
  const pairs = pairsOf(rawQuery);
  const valid = PARAMETERS[asked];
  if (valid !== undefined) onlyThese(pairs, valid);
  const representation = representationOf(pairs, wire.headers);
  if (representation.summary === 'count' && valid !== undefined) {
    throw fhirError('value', '`_summary=count` is for searches.');
  }
  const common = { representation, rawQuery, wire };
  return {
    ...common,
    ...parsePlace(asked, place, { wire, rawQuery, pairs, given, definitions: settings.definitions }),
  };
}

interface Parts {
  readonly wire: WireRequest;
  readonly rawQuery: string;
  readonly pairs: readonly Pair[];
  readonly given: Resource | undefined;
  readonly definitions: Definitions | undefined;
}
/** The part of a request that its interaction defines. */
type Specific = FhirRequest extends infer R
  ? R extends FhirRequest
    ? Omit<R, 'representation' | 'rawQuery' | 'wire'>
    : never
  : never;

function parsePlace(asked: Asked, place: Place, parts: Parts): Specific {
  const { wire, rawQuery } = parts;
  const key = { type: place.type, id: place.id };
  if (WITHOUT_BODY.has(asked) && wire.method !== 'POST' && (wire.body ?? '') !== '') {
    throw fhirError('invalid', `${wire.method} takes no body here.`);
  }
  switch (asked) {
    case 'read':
      return { interaction: asked, key: known(key), ...preconditionsOf(wire.headers) };
    case 'vread':
      return { interaction: asked, key, version: place.version };
    case 'history-instance':
      return { interaction: asked, key };
    case 'history-type':
      return { interaction: asked, type: place.type };
    case 'history-system':
      return { interaction: asked };
    case 'search-type':
      return { interaction: asked, type: place.type, query: without(rawQuery, NOT_CRITERIA), ...compartmentOf(place) };
    case 'search-system':
      return { interaction: asked, query: without(rawQuery, NOT_CRITERIA), ...compartmentOf(place) };
    case 'create':
      return {
        interaction: asked,
        type: place.type,
        resource: resourceOf(parts, place.type),
        ifNoneExist: ifNoneExistOf(wire.headers),
      };
    case 'update':
      return {
        interaction: asked,
        key: wellFormed(key),
        resource: sameId(resourceOf(parts, place.type), key.id),
        ...preconditionsOf(wire.headers),
      };
    case 'conditional-update': {
      const criteria = criteriaOf(rawQuery);
      const resource = resourceOf(parts, place.type);
      return { interaction: asked, type: place.type, criteria, resource, ...preconditionsOf(wire.headers) };
    }
    case 'delete':
      return { interaction: asked, key: known(key), ...preconditionsOf(wire.headers) };
    case 'conditional-delete':
      if (wire.headers['if-match'] !== undefined) {
        throw fhirError(
          'invalid',
          'If-Match names one version; a conditional delete may reach several resources. Delete by id.',
        );
      }
      return { interaction: asked, type: place.type, criteria: criteriaOf(rawQuery) };
    case 'patch':
      return { interaction: asked, key: known(key), patch: patchIn(parts), ...preconditionsOf(wire.headers) };
    case 'conditional-patch': {
      const criteria = criteriaOf(rawQuery);
      return {
        interaction: asked,
        type: place.type,
        criteria,
        patch: patchIn(parts),
        ...preconditionsOf(wire.headers),
      };
    }
    case 'capabilities':
      return capabilities(parts.pairs);
    case 'bundle':
      return bundleOf(parts);
    case 'operation':
      return {
        interaction: asked,
        code: place.code,
        type: place.type || undefined,
        id: place.id || undefined,
        resource: wire.method === 'POST' && hasBody(parts) ? inputOf(parts, place.code) : undefined,
        query: without(rawQuery, NOT_CRITERIA),
      };
    default:
      return asked satisfies never;
  }
}

const compartmentOf = ({ compartment }: Place) => (compartment === undefined ? {} : { compartment });

const WITHOUT_BODY: ReadonlySet<Asked> = new Set<Asked>([
  'read',
  'vread',
  'history-instance',
  'history-type',
  'history-system',
  'search-type',
  'search-system',
  'delete',
  'conditional-delete',
  'capabilities',
  'operation',
]);

/** A GET's query; a POST's query and form body together, which mean the same as one GET (search.html#searching). */
function searchText(wire: WireRequest, asked: Asked): string {
  if (wire.method !== 'POST') return wire.query;
  if ((wire.body ?? '') !== '' || wire.headers['content-type'] !== undefined) {
    checkFormBody(wire.headers['content-type']);
  }
  const parts = [wire.query, (wire.body ?? '').trim()].filter((part) => part !== '');
  if (asked === 'search-type' || asked === 'search-system') return parts.join('&');
  return wire.query;
}

const SUMMARIES: readonly Representation['summary'][] = ['true', 'false', 'text', 'data', 'count'];
const ELEMENT = /^[a-zA-Z][A-Za-z0-9]{0,63}(?:\.[a-zA-Z][A-Za-z0-9]{0,63})*$/;
const ELEMENTS_LIMIT = 100;

function representationOf(pairs: readonly Pair[], headers: WireRequest['headers']): Representation {
  const format = formatOf(pairs, headers);
  const prefer = preferOf(headers.prefer);
  if (pairs.length === 0) return { format, pretty: false, summary: undefined, elements: [], prefer };
  const pretty = single(pairs, '_pretty');
  if (pretty !== undefined && pretty !== 'true' && pretty !== 'false') {
    throw fhirError('value', '`_pretty` must be `true` or `false`.');
  }
  const summary = summaryOf(single(pairs, '_summary'));
  const elements = elementsOf(single(pairs, '_elements'));
  if (elements.length > 0 && summary !== undefined && summary !== 'false') {
    throw fhirError('invalid', '`_summary` and `_elements` contradict each other.');
  }
  return { format, pretty: pretty === 'true', summary, elements, prefer };
}

const formatOf = (pairs: readonly Pair[], { accept, 'content-type': contentType }: WireRequest['headers']): Format =>
  answerFormat({ format: single(pairs, '_format'), accept, contentType });

/** The format to answer a request in that may be malformed: what it asks for as far as that can be read, else JSON. */
export function likelyFormat({ query, headers }: Pick<WireRequest, 'query' | 'headers'>): Format {
  try {
    return formatOf(pairsOf(query), headers);
  } catch (error) {
    if (error instanceof FhirError) return 'json';
    throw error;
  }
}

function summaryOf(text: string | undefined): Representation['summary'] {
  if (text === undefined) return undefined;
  const summary = SUMMARIES.find((known) => known === text);
  if (summary === undefined) throw fhirError('value', '`_summary` must be true, false, text, data or count.');
  return summary;
}

function elementsOf(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  const elements = text.split(',').map((name) => name.trim());
  if (elements.length > ELEMENTS_LIMIT || !elements.every((name) => ELEMENT.test(name))) {
    throw fhirError('value', `\`_elements\` takes at most ${ELEMENTS_LIMIT} element names, separated by commas.`);
  }
  return elements;
}

function capabilities(pairs: readonly Pair[]): Specific {
  const mode = single(pairs, 'mode') ?? 'full';
  if (mode !== 'full') throw fhirError('unsupported-parameter', 'The only supported `mode` is `full`.');
  return { interaction: 'capabilities' };
}

/** An id that is not of the grammar names nothing that could exist. */
function known<K extends { readonly type: string; readonly id: string }>(key: K): K {
  if (!ID_PATTERN.test(key.id)) throw fhirError('not-found', `No \`${key.type}\` can have this id.`);
  return key;
}

function wellFormed<K extends { readonly id: string }>(key: K): K {
  if (!ID_PATTERN.test(key.id)) {
    throw fhirError('value', 'An id has 1 to 64 letters, digits, `-` and `.`.');
  }
  return key;
}

function criteriaOf(rawQuery: string): string {
  const criteria = without(rawQuery, NOT_CRITERIA);
  if (criteria === '') {
    throw fhirError(
      'required',
      'A conditional interaction needs search parameters; without them name a resource by its id.',
    );
  }
  return criteria;
}

const hasBody = ({ wire, given }: Parts): boolean => given !== undefined || (wire.body ?? '').trim() !== '';

const patchIn = (parts: Parts) =>
  patchOf(parts.wire.headers['content-type'], parts.wire.body, parts.given, () => decode(parts));

/** Operations whose published input is a plain JSON object: its members are read as Parameters. */
const MANIFESTS: ReadonlySet<string> = new Set(['import']);

function inputOf(parts: Parts, code: string): Resource {
  if (!MANIFESTS.has(code) || parts.given !== undefined) return resourceOf(parts, undefined);
  const { body = '', headers } = parts.wire;
  if (bodyFormat(headers['content-type']) !== 'json') return resourceOf(parts, undefined);
  const json = parseJson(body);
  return isJsonObject(json) && json.resourceType === undefined
    ? manifestParameters(json)
    : resourceOf(parts, undefined);
}

/** @param type the type that the path names; undefined = any */
function resourceOf(parts: Parts, type: string | undefined): Resource {
  const resource = parts.given ?? decode(parts);
  if (type !== undefined && resource.resourceType !== type) {
    throw fhirError('invalid', `The body must be a \`${type}\`, as the path says.`, {
      expression: `${type}.resourceType`,
    });
  }
  return resource;
}

function decode({ wire, definitions }: Parts): Resource {
  const text = wire.body ?? '';
  const type = wire.headers['content-type'];
  const format = type !== undefined || text !== '' ? bodyFormat(type) : 'json';
  if (text.trim() === '') throw fhirError('required', 'The request has no body.');
  const json = format === 'json' ? parseJson(text) : fromXml(text, definitions);
  if (isResource(json)) return json;
  throw fhirError('structure', 'The body must be a JSON object with a `resourceType`.');
}

function fromXml(text: string, definitions: Definitions | undefined): Json {
  if (definitions !== undefined) return readXml(text, definitions);
  throw fhirError('unsupported-media-type', 'The body must be JSON here.');
}

const RESOURCE_TYPE = /^[A-Z][A-Za-z]{0,63}$/;

/** True for an object that names its type; nothing else is checked here. */
function isResource(json: Json): json is Resource {
  return isJsonObject(json) && typeof json.resourceType === 'string' && RESOURCE_TYPE.test(json.resourceType);
}

/** http.html#update: the body holds an id and it is the URL's. */
function sameId(resource: Resource, id: string): Resource {
  const expression = `${resource.resourceType}.id`;
  if (resource.id === undefined) throw fhirError('required', 'The body of an update must hold the id.', { expression });
  if (resource.id !== id) throw fhirError('invalid', 'The id in the body is not the id in the URL.', { expression });
  return resource;
}

function bundleOf(parts: Parts): Specific {
  const bundle = resourceOf(parts, 'Bundle');
  if (bundle.type === 'batch' || bundle.type === 'transaction') return { interaction: bundle.type, bundle };
  throw fhirError('value', 'A Bundle posted to the base must be of type `batch` or `transaction`.', {
    expression: 'Bundle.type',
  });
}
