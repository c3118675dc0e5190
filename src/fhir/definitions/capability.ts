/** capability-statement.json as the server's input: what is claimed, per type and interaction. Source: capabilitystatement.html. */
import { isJsonObject, type Json, type JsonObject } from '../resource.ts';
import { COMPARTMENTS } from '../search/compartment.ts';
import type { Definitions, OperationDefinition, SearchParameter, SearchParameterType } from './definitions.ts';

/** The claims in the form the server asks for them. */
export interface Capability {
  /** The statement as JSON text of the file, before live fields (date, url, software version, implementation) are filled in. */
  readonly statement: string;
  readonly types: ReadonlyMap<string, ClaimedType>;
  /** System interactions: transaction, batch, search-system, history-system. */
  readonly system: ReadonlySet<string>;
  /** Types whose compartments can be searched: Patient, Encounter ... */
  readonly compartments: ReadonlySet<string>;
  /** Parameters claimed for all types at once: `_text`, `_content` ... */
  readonly common: ReadonlySet<string>;
  /** Operations on the whole system, by code. */
  readonly operations: ReadonlyMap<string, OperationDefinition>;
  /** Parameters that clients defined and that are claimed besides those of `statement`. */
  readonly added?: readonly AddedParameter[];
  /** How far the index of a client's parameter is that is not claimed yet, by `Patient.eye-colour`: percent; undefined for every other. */
  readonly indexing?: (key: string) => number | undefined;
}
export interface AddedParameter {
  readonly type: string;
  readonly parameter: SearchParameter;
}
export interface ClaimedType {
  readonly type: string;
  /** read, vread, update, patch, delete, history-instance, history-type, create, search-type. */
  readonly interactions: ReadonlySet<string>;
  readonly updateCreate: boolean;
  readonly conditionalCreate: boolean;
  readonly conditionalUpdate: boolean;
  /** 'not-supported' | 'single' | 'multiple'. */
  readonly conditionalDelete: string;
  readonly searchParameters: ReadonlyMap<string, SearchParameter>;
  /** `Observation:subject`, as in CapabilityStatement.rest.resource.searchInclude; ['*'] = every claimed reference parameter. */
  readonly includes: readonly string[];
  readonly revIncludes: readonly string[];
  /** Operations on the type or on one resource of it, by code. */
  readonly operations: ReadonlyMap<string, OperationDefinition>;
}

const OPERATION_BASE = 'http://hl7.org/fhir/OperationDefinition/';
/** Operations that the code can perform: ids of their definitions. src/rest/operations.ts has a function for each, or does not compile. */
export const OPERATION_IDS = [
  'Resource-validate',
  'Patient-everything',
  'Patient-record',
  'Patient-merge',
  'Patient-purge',
  'Patient-access-report',
  'Patient-accounting-of-disclosures',
  'Encounter-everything',
  'Observation-lastn',
  'Observation-stats',
  'Resource-convert',
  'Resource-meta',
  'Resource-meta-add',
  'Resource-meta-delete',
  'ValueSet-expand',
  'ValueSet-validate-code',
  'CodeSystem-lookup',
  'CodeSystem-validate-code',
  'CodeSystem-subsumes',
  'ConceptMap-translate',
  'Composition-document',
  'System-export',
  'Patient-export',
  'Group-export',
  'Patient-export-one',
  'System-deidentified-export',
  'System-import',
  'SearchParameter-status',
  'RiskAssessment-evaluate',
  'Subscription-status',
  'Subscription-events',
  'Subscription-get-ws-binding-token',
  'System-surveillance',
] as const;
export type OperationId = (typeof OPERATION_IDS)[number];

const BACKPORT = 'http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-';
/** Operations that R4 itself does not define: Bulk Data Access 2.0.0, Subscriptions R5 Backport 1.1.0, and our own. */
const GUIDES: ReadonlyMap<string, string> = new Map([
  ['System-export', 'http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export'],
  ['Patient-export', 'http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export'],
  ['Group-export', 'http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export'],
  ['Patient-record', 'urn:firewatch:OperationDefinition:Patient-record'],
  ['Patient-export-one', 'urn:firewatch:OperationDefinition:Patient-export-one'],
  ['System-deidentified-export', 'urn:firewatch:OperationDefinition:deidentified-export'],
  ['System-import', 'urn:firewatch:OperationDefinition:import'],
  ['Patient-access-report', 'urn:firewatch:OperationDefinition:Patient-access-report'],
  ['Patient-accounting-of-disclosures', 'urn:firewatch:OperationDefinition:Patient-accounting-of-disclosures'],
  ['SearchParameter-status', 'https://firewatch.example/fhir/OperationDefinition/SearchParameter-status'],
  ['RiskAssessment-evaluate', 'urn:firewatch:OperationDefinition:RiskAssessment-evaluate'],
  ['Subscription-status', `${BACKPORT}status`],
  ['Subscription-events', `${BACKPORT}events`],
  ['Subscription-get-ws-binding-token', `${BACKPORT}get-ws-binding-token`],
  ['System-surveillance', 'urn:firewatch:OperationDefinition:surveillance'],
]);
const canonicalOf = (id: OperationId): string => GUIDES.get(id) ?? OPERATION_BASE + id;

/** Which of `OPERATION_IDS` a definition is. */
export function operationId({ url }: OperationDefinition): OperationId | undefined {
  return OPERATION_IDS.find((id) => url === canonicalOf(id));
}

/** THE table: what the code can keep of a CapabilityStatement. A claim outside it stops the start. */
export const SUPPORTED = {
  interactions: new Set([
    'read',
    'vread',
    'update',
    'patch',
    'delete',
    'history-instance',
    'history-type',
    'create',
    'search-type',
  ]),
  system: new Set(['transaction', 'batch', 'history-system', 'search-system']),
  searchTypes: new Set<string>([
    'number',
    'date',
    'string',
    'token',
    'reference',
    'composite',
    'quantity',
    'uri',
  ] satisfies SearchParameterType[]),
  /** Parameters of type special that have rows and a grammar. */
  specials: new Set<string>(['near']),
  /** Parameters of all types that no SearchParameter with an expression defines. */
  common: new Set<string>(['_type', '_text', '_content', '_filter', '_list']),
  formats: new Set(['json', 'application/fhir+json', 'xml', 'application/fhir+xml']),
  versioning: new Set(['versioned']),
  conditionalRead: new Set(['not-supported', 'modified-since', 'not-match', 'full-support']),
  conditionalDelete: new Set(['not-supported', 'single', 'multiple']),
  patchFormats: new Set([
    'application/json-patch+json',
    'application/merge-patch+json',
    'application/fhir+json',
    'application/fhir+xml',
  ]),
  referencePolicy: new Set(['literal', 'local']),
  /** Canonicals of operations. */
  operations: new Set<string>(OPERATION_IDS.map(canonicalOf)),
  /** Operations that change a resource: not for types with fewer interactions. */
  changingOperations: new Set<string>(['meta-add', 'meta-delete', 'merge']),
  /** Types that only ever travel: they are never stored. */
  neverStored: new Set(['OperationOutcome', 'Parameters']),
  /** Types with fewer interactions. AuditEvent is append-only: written once, never changed, one version. */
  limited: new Map([['AuditEvent', new Set(['read', 'search-type', 'create'])]]),
  /** Types that searches of other types never reach, neither by `_revinclude` nor by `_has`: the audit is read as such, or not at all. */
  apart: new Set(['AuditEvent']),
} as const;

/**
 * The claims of a CapabilityStatement, each checked against the definitions and `SUPPORTED`.
 * @throws Error that lists every claim that cannot be kept, all at once.
 */
export function loadCapability(text: string, definitions: Definitions): Capability {
  const statement: Json = JSON.parse(text);
  const wrong: string[] = [];
  const rests = isJsonObject(statement) ? objects(statement.rest) : [];
  const rest = rests[0] ?? {};
  if (!isJsonObject(statement) || statement.resourceType !== 'CapabilityStatement') {
    wrong.push('It is not a CapabilityStatement.');
  } else {
    if (statement.fhirVersion !== '4.0.1') wrong.push('fhirVersion is not 4.0.1.');
    if (statement.kind !== 'instance') wrong.push('kind is not instance.');
    wrong.push(...outside(strings(statement.format), SUPPORTED.formats, 'format'));
    wrong.push(...outside(strings(statement.patchFormat), SUPPORTED.patchFormats, 'patchFormat'));
  }
  if (rests.length !== 1 || rest.mode !== 'server') wrong.push('rest is not exactly one of mode server.');
  const system = new Set(objects(rest.interaction).map(codeOf));
  wrong.push(...outside([...system], SUPPORTED.system, 'system interaction'));
  const operations = claimedOperations(rest, undefined, definitions, wrong);
  const types = new Map<string, ClaimedType>();
  for (const resource of objects(rest.resource)) {
    const claimed = claimedType(resource, definitions, wrong);
    if (types.has(claimed.type)) wrong.push(`${claimed.type} is claimed twice.`);
    types.set(claimed.type, claimed);
  }
  for (const claimed of types.values()) wrong.push(...includeFaults(claimed, types));
  wrong.push(...commonFaults(rest, types, system));
  const common = new Set(commonNames(rest));
  const compartments = new Set(strings(rest.compartment).map((url) => COMPARTMENTS.get(url) ?? url));
  for (const compartment of compartments) wrong.push(...compartmentFaults(compartment, types, definitions));
  if (wrong.length > 0) {
    throw new Error(
      `capability-statement.json claims what cannot be kept:\n${wrong.map((each) => `- ${each}`).join('\n')}`,
    );
  }
  return Object.freeze({ statement: text, types, system, compartments, common, operations });
}

function claimedType(resource: JsonObject, definitions: Definitions, wrong: string[]): ClaimedType {
  const type = text(resource.type) ?? '';
  if (!definitions.resourceTypes.has(type))
    wrong.push(`${type || 'A resource without type'}: not a resource type of R4.`);
  if (SUPPORTED.neverStored.has(type)) wrong.push(`${type}: is never stored.`);
  const interactions = new Set(objects(resource.interaction).map(codeOf));
  const allowed = SUPPORTED.limited.get(type) ?? SUPPORTED.interactions;
  const limited = SUPPORTED.limited.has(type);
  wrong.push(...outside([...interactions], allowed, `${type} interaction`));
  wrong.push(...choiceFaults(resource, type));
  const conditionalDelete = text(resource.conditionalDelete) ?? 'not-supported';
  const needs: readonly (readonly [claim: string, made: boolean, interaction: string])[] = [
    ['updateCreate', resource.updateCreate === true, 'update'],
    ['conditionalCreate', resource.conditionalCreate === true, 'create'],
    ['conditionalUpdate', resource.conditionalUpdate === true, 'update'],
    ['conditionalDelete', conditionalDelete !== 'not-supported', 'delete'],
  ];
  for (const [claim, made, interaction] of needs) {
    if (!made) continue;
    if (!interactions.has(interaction)) wrong.push(`${type}: ${claim} without the interaction ${interaction}.`);
    else if (limited) wrong.push(`${type}: ${claim} is not supported.`);
  }
  wrong.push(...profileFaults(resource, type, definitions));
  return Object.freeze({
    type,
    interactions,
    updateCreate: resource.updateCreate === true,
    conditionalCreate: resource.conditionalCreate === true,
    conditionalUpdate: resource.conditionalUpdate === true,
    conditionalDelete,
    searchParameters: claimedParameters(resource, type, definitions, wrong),
    includes: strings(resource.searchInclude),
    revIncludes: strings(resource.searchRevInclude),
    operations: claimedOperations(resource, type, definitions, wrong),
  });
}

/** Profiles that are claimed are held, in the version named, and are for the type. */
function profileFaults({ supportedProfile }: JsonObject, type: string, { profiles }: Definitions): readonly string[] {
  return strings(supportedProfile).flatMap((canonical) => {
    const [url = '', version] = canonical.split('|');
    const held = profiles.get(url);
    if (held === undefined || (version !== undefined && held.version !== version)) {
      return [`${type}: supportedProfile ${canonical} is not held in profiles/structure.`];
    }
    return held.type === type ? [] : [`${type}: supportedProfile ${canonical} is for ${held.type}.`];
  });
}

function choiceFaults(resource: JsonObject, type: string): readonly string[] {
  const choice = (element: string, allowed: ReadonlySet<string>): readonly string[] => {
    const value = resource[element];
    return value === undefined
      ? []
      : outside(Array.isArray(value) ? strings(value) : [text(value) ?? ''], allowed, `${type} ${element}`);
  };
  return [
    ...choice('versioning', SUPPORTED.versioning),
    ...choice('conditionalRead', SUPPORTED.conditionalRead),
    ...choice('conditionalDelete', SUPPORTED.conditionalDelete),
    ...choice('referencePolicy', SUPPORTED.referencePolicy),
  ];
}

/** A parameter is named by the canonical of its definition, else by its code. */
function claimedParameters(
  resource: JsonObject,
  type: string,
  definitions: Definitions,
  wrong: string[],
): ReadonlyMap<string, SearchParameter> {
  const known = definitions.searchParameters(type);
  const claimed = new Map<string, SearchParameter>();
  for (const claim of objects(resource.searchParam)) {
    const name = text(claim.name) ?? '';
    const url = text(claim.definition)?.split('|')[0];
    const parameter = url === undefined ? known.get(name) : [...known.values()].find((each) => each.url === url);
    if (parameter === undefined) wrong.push(`${type}: unknown search parameter ${name} ${url ?? ''}`.trimEnd());
    else if (parameter.code !== name) wrong.push(`${type}: search parameter ${name} has the code ${parameter.code}.`);
    else if (parameter.type !== claim.type)
      wrong.push(`${type}: search parameter ${name} is of type ${parameter.type}.`);
    else if (!SUPPORTED.searchTypes.has(parameter.type) && !SUPPORTED.specials.has(name)) {
      wrong.push(`${type}: search parameters of type ${parameter.type} are not supported: ${name}.`);
    } else if (claimed.has(name)) wrong.push(`${type}: search parameter ${name} is claimed twice.`);
    else claimed.set(name, parameter);
  }
  return claimed;
}

function includeFaults(
  { type, includes, revIncludes }: ClaimedType,
  types: ReadonlyMap<string, ClaimedType>,
): readonly string[] {
  const fault = (claim: string, forward: boolean): string | undefined => {
    const [source = '', code = ''] = claim.split(':');
    const parameter = types.get(source)?.searchParameters.get(code);
    if (parameter?.type !== 'reference') return 'names no claimed reference parameter';
    if (forward) return source === type ? undefined : 'starts at another type';
    if (SUPPORTED.apart.has(source) && source !== type) return 'is searched by itself only';
    return parameter.targets.length === 0 || parameter.targets.includes(type) ? undefined : 'cannot point at this type';
  };
  const faults = (claims: readonly string[], forward: boolean): readonly string[] =>
    claims.flatMap((claim) => {
      const found = forward && claim === '*' ? undefined : fault(claim, forward);
      return found === undefined
        ? []
        : [`${type} ${forward ? 'searchInclude' : 'searchRevInclude'} ${claim}: ${found}.`];
    });
  return [...faults(includes, true), ...faults(revIncludes, false)];
}

const commonNames = (rest: JsonObject): readonly string[] =>
  objects(rest.searchParam).map(({ name }) => text(name) ?? '');

/** A parameter of all types must be claimed by each type that a search over all types reaches. */
function commonFaults(
  rest: JsonObject,
  types: ReadonlyMap<string, ClaimedType>,
  system: ReadonlySet<string>,
): readonly string[] {
  const names = commonNames(rest);
  if (names.length > 0 && !system.has('search-system'))
    return ['rest.searchParam without the interaction search-system.'];
  const reached = [...types.values()].filter(({ type }) => !SUPPORTED.apart.has(type));
  return names.flatMap((name) => {
    const lacking = reached.find(({ searchParameters }) => !SUPPORTED.common.has(name) && !searchParameters.has(name));
    return lacking === undefined ? [] : [`rest.searchParam ${name}: ${lacking.type} does not claim it.`];
  });
}

/** Every parameter that puts a claimed type into the compartment must be claimed: it is what the index knows. */
function compartmentFaults(
  compartment: string,
  types: ReadonlyMap<string, ClaimedType>,
  definitions: Definitions,
): readonly string[] {
  if (![...COMPARTMENTS.values()].includes(compartment)) return [`compartment ${compartment} is not supported.`];
  if (!types.has(compartment)) return [`compartment ${compartment}: the type is not claimed.`];
  return [...types.values()].flatMap(({ type, searchParameters }) =>
    definitions
      .compartmentParameters(compartment, type)
      .filter((code) => code !== '{def}' && searchParameters.get(code)?.type !== 'reference')
      .map((code) => `compartment ${compartment}: ${type} does not claim its parameter ${code}.`),
  );
}

/** Key of an operation on one resource, where its type has another of the same code. */
export const ofOne = (code: string): string => `[id] ${code}`;

/** An operation is named by the canonical of its definition; its name is the code of that. @param type undefined = of the whole system */
function claimedOperations(
  claims: JsonObject,
  type: string | undefined,
  definitions: Definitions,
  wrong: string[],
): ReadonlyMap<string, OperationDefinition> {
  const claimed = new Map<string, OperationDefinition>();
  /** One of a resource may stand beside one of its type, where a guide defines the one only. */
  const keyOf = (name: string, found: OperationDefinition | undefined): string =>
    claimed.get(name)?.instance === false && found?.type === false ? ofOne(name) : name;
  for (const claim of objects(claims.operation)) {
    const name = text(claim.name) ?? '';
    const url = text(claim.definition)?.split('|')[0] ?? '';
    const found = definitions.operations.find((each) => each.url === url);
    const fault =
      found === undefined
        ? `names no known definition: ${url}`
        : operationFault(found, name, type, claimed.has(keyOf(name, found)));
    if (found !== undefined && fault === undefined) claimed.set(keyOf(name, found), found);
    else wrong.push(`${type ?? 'system'} operation ${name} ${fault}.`);
  }
  return claimed;
}

function operationFault(
  { url, code, system, type: onType, instance, resource }: OperationDefinition,
  name: string,
  type: string | undefined,
  twice: boolean,
): string | undefined {
  if (!SUPPORTED.operations.has(url)) return 'is not supported';
  if (code !== name) return `has the code ${code}`;
  if (twice) return 'is claimed twice';
  if (type === undefined) return system ? undefined : 'is not defined for the system';
  if (!(onType || instance)) return 'is defined for the system only';
  if (!resource.includes(type) && !resource.includes('Resource')) return 'is defined for other types';
  return SUPPORTED.limited.has(type) && SUPPORTED.changingOperations.has(code)
    ? 'would change what never changes'
    : undefined;
}

const outside = (values: readonly string[], allowed: ReadonlySet<string>, what: string): readonly string[] =>
  values.filter((value) => !allowed.has(value)).map((value) => `${what} ${value} is not supported.`);

const text = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined);
const codeOf = ({ code }: JsonObject): string => text(code) ?? '';
const objects = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : [];
const strings = (value: Json | undefined): readonly string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
