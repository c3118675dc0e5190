/** Body of a hook call -> HookRequest, checked against the hook's row. Source: CDS Hooks 2.0.1 "HTTP Request", "FHIR Resource Access", hook library. */
import { Ajv, type ValidateFunction } from 'ajv';
import { fhirError } from '../../fhir/outcome.ts';
import {
  isJsonObject,
  isNumber,
  type Json,
  type JsonObject,
  numberOf,
  parseJson,
  type Resource,
} from '../../fhir/resource.ts';
import { entriesOf } from './draft-orders.ts';
import { type ContextField, HOOKS, type Hook } from './hooks.ts';
import { isResource } from './subject.ts';

export interface HookRequest {
  readonly hook: string;
  /** UUID, lower case. */
  readonly hookInstance: string;
  /** The client's FHIR base without trailing slash; undefined = none given. */
  readonly fhirServer: string | undefined;
  /** For reads of `fhirServer` within this call: never logged, kept or handed on. `expiresIn` in seconds. */
  readonly authorization: { readonly token: string; readonly expiresIn: number } | undefined;
  /** Bare id. */
  readonly patientId: string;
  readonly userId: string | undefined;
  /** String fields of the context, bare ids: what tokens stand for. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** As received, for the tokens of the 3.0 ballot. */
  readonly context: JsonObject;
  /** undefined when the hook has none. */
  readonly selections: readonly string[] | undefined;
  /** Bundle of the orders to judge; undefined when the hook has none. */
  readonly draftOrders: JsonObject | undefined;
  /** Resources that the context itself gives as known: a new allergy, new problems. */
  readonly recorded: readonly Resource[];
  readonly prefetch: JsonObject;
  /** True when an id came as `Patient/123` and was made bare. */
  readonly prefixedIds: boolean;
}

const ID = '[A-Za-z0-9\\-.]{1,64}';
const UUID = '^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$';
/** Longest list in a context; a larger one is not a basket of orders. */
const LIST_LIMIT = 1000;

const FIELD_SCHEMA = {
  id: (field: ContextField) => ({
    type: 'string',
    pattern: `^(?:${field.kind === 'id' ? field.target : ''}/)?${ID}$`,
  }),
  user: () => ({ type: 'string', maxLength: 500, pattern: `^(?:https?://[^\\s]+/)?[A-Z][A-Za-z]*/${ID}$` }),
  reference: () => ({ type: 'string', maxLength: 500, pattern: `^(?:https?://[^\\s]+/)?[A-Z][A-Za-z]*/${ID}$` }),
  references: () => ({ type: 'array', maxItems: LIST_LIMIT, items: { type: 'string', maxLength: 500 } }),
  bundle: () => ({
    type: 'object',
    required: ['resourceType'],
    properties: {
      resourceType: { const: 'Bundle' },
      entry: { type: ['array', 'null'], maxItems: LIST_LIMIT, items: { type: 'object' } },
    },
  }),
  resource: (field: ContextField) => ({
    type: 'object',
    required: ['resourceType'],
    properties: { resourceType: { const: field.kind === 'resource' ? field.type : '' } },
  }),
  any: () => ({}),
} as const satisfies Record<ContextField['kind'], (field: ContextField) => object>;

/** Compiled once per hook; extra fields anywhere (`extension`, vendor fields) are legal. */
const VALIDATORS: ReadonlyMap<string, ValidateFunction> = new Map(
  [...HOOKS].map(([name, { fields }]) => {
    const required = Object.keys(fields).filter((field) => fields[field]?.required === true);
    const schema = {
      type: 'object',
      required: ['hook', 'hookInstance', 'context'],
      properties: {
        hook: { const: name },
        hookInstance: { type: 'string', pattern: UUID },
        fhirServer: { type: 'string', maxLength: 2000 },
        fhirAuthorization: {
          type: 'object',
          required: ['access_token', 'token_type', 'expires_in', 'scope', 'subject'],
          properties: {
            access_token: { type: 'string', minLength: 1 },
            token_type: { type: 'string', pattern: '^[Bb]earer$' },
            expires_in: { type: 'integer' },
            scope: { type: 'string' },
            subject: { type: 'string' },
            patient: { type: 'string', pattern: `^(?:Patient/)?${ID}$` },
          },
        },
        context: {
          type: 'object',
          required,
          properties: Object.fromEntries(
            Object.entries(fields).map(([field, row]) => [field, FIELD_SCHEMA[row.kind](row)]),
          ),
        },
        prefetch: { type: 'object' },
      },
      dependencies: { fhirAuthorization: ['fhirServer'] },
    };
    return [name, new Ajv({ allErrors: false, allowUnionTypes: true }).compile(schema)];
  }),
);

/**
 * @param hook the hook that the called service is registered for
 * @throws FhirError 400: not JSON, not an object, another hook, a field missing or of the wrong shape. Messages name fields and never hold values.
 */
export function parseHookRequest(text: string, hook: string): HookRequest {
  const body = parseJson(text);
  if (!isJsonObject(body)) throw fhirError('structure', 'The body of a hook call is a JSON object.');
  if (typeof body.hook === 'string' && body.hook !== hook) {
    throw fhirError('value', `\`hook\` is not the hook of this service (\`${hook}\`).`);
  }
  const { fields, orders = '', recorded = [] }: Hook = HOOKS.get(hook) ?? { version: '', fields: {} };
  const request = tolerated(body, fields);
  const validate = VALIDATORS.get(hook);
  if (validate === undefined || !validate(request)) throw refusal(validate);
  const context = isJsonObject(request.context) ? request.context : {};
  const server = serverOf(request.fhirServer);
  const { values, prefixedIds } = valuesOf(context, fields);
  checkAuthorizedPatient(request.fhirAuthorization, values.patientId);
  return {
    hook,
    hookInstance: String(request.hookInstance).toLowerCase(),
    fhirServer: server,
    authorization: authorizationOf(request.fhirAuthorization),
    patientId: values.patientId ?? '',
    userId: values.userId,
    values,
    context,
    selections: Array.isArray(context.selections) ? context.selections.map(String) : undefined,
    draftOrders: bundleOf(context[orders]),
    recorded: recorded.flatMap((field) => resourcesIn(context[field])),
    prefetch: isJsonObject(request.prefetch) ? request.prefetch : {},
    prefixedIds,
  };
}

const bundleOf = (value: Json | undefined): JsonObject | undefined => (isJsonObject(value) ? value : undefined);

/** The resource itself, or those of a Bundle. */
function resourcesIn(value: Json | undefined): readonly Resource[] {
  if (!isResource(value)) return [];
  return value.resourceType === 'Bundle' ? entriesOf(value).map(({ resource }) => resource) : [value];
}

const isEmpty = (value: Json | undefined) =>
  value === undefined ||
  value === null ||
  value === '' ||
  (Array.isArray(value) && value.length === 0) ||
  (isJsonObject(value) && Object.keys(value).length === 0);

/** Optional fields that came as null, "", [] or {} count as absent; numbers become doubles where the schema wants a number. */
function tolerated(body: JsonObject, fields: Readonly<Record<string, ContextField>>): JsonObject {
  const optional = new Set(['fhirServer', 'fhirAuthorization', 'prefetch']);
  const top = Object.fromEntries(Object.entries(body).filter(([key, value]) => !optional.has(key) || !isEmpty(value)));
  const { fhirAuthorization, context } = top;
  return {
    ...top,
    ...(isJsonObject(fhirAuthorization) ? { fhirAuthorization: toleratedAuthorization(fhirAuthorization) } : {}),
    ...(isJsonObject(context)
      ? {
          context: Object.fromEntries(
            Object.entries(context).filter(([key, value]) => fields[key]?.required === true || !isEmpty(value)),
          ),
        }
      : {}),
  };
}

function toleratedAuthorization(authorization: JsonObject): JsonObject {
  const { patient, expires_in: seconds, ...rest } = authorization;
  return {
    ...rest,
    ...(isNumber(seconds) ? { expires_in: numberOf(seconds) } : seconds === undefined ? {} : { expires_in: seconds }),
    ...(isEmpty(patient) ? {} : { patient }),
  };
}

/** Names the field and the rule. Paths consist of field names of the schema only, since nothing else is constrained. */
function refusal(validate: ValidateFunction | undefined) {
  const error = validate?.errors?.[0];
  const path = (error?.instancePath ?? '').split('/').filter((part) => part !== '' && !/^\d+$/.test(part));
  const field = (error?.keyword === 'required' ? [...path, String(error.params.missingProperty)] : path).join('.');
  if (error?.keyword === 'dependencies') {
    return fhirError('required', '`fhirAuthorization` needs `fhirServer` beside it.', { expression: 'fhirServer' });
  }
  return error?.keyword === 'required'
    ? fhirError('required', `\`${field}\` is required.`, { expression: field })
    : fhirError(
        'value',
        `\`${field || 'The body'}\` does not have the shape that the hook requires (${error?.keyword ?? 'invalid'}).`,
        field === '' ? {} : { expression: field },
      );
}

function serverOf(given: Json | undefined): string | undefined {
  if (typeof given !== 'string') return undefined;
  const wrong = () =>
    fhirError('value', '`fhirServer` is an absolute http(s) URL without user information, query or fragment.', {
      expression: 'fhirServer',
    });
  if (!URL.canParse(given) || /[\s\\]/.test(given)) throw wrong();
  const url = new URL(given);
  if (!/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) throw wrong();
  return url.href.replace(/\/+$/, '');
}

function valuesOf(
  context: JsonObject,
  fields: Readonly<Record<string, ContextField>>,
): { readonly values: Readonly<Record<string, string | undefined>>; readonly prefixedIds: boolean } {
  let prefixedIds = false;
  const values: Record<string, string | undefined> = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = context[name];
    if (typeof value !== 'string') continue;
    const bare = field.kind === 'id' && value.includes('/');
    prefixedIds ||= bare;
    values[name] = bare ? value.slice(value.indexOf('/') + 1) : value;
  }
  return { values, prefixedIds };
}

function authorizationOf(given: Json | undefined): HookRequest['authorization'] {
  if (!isJsonObject(given) || typeof given.access_token !== 'string' || typeof given.expires_in !== 'number') {
    return undefined;
  }
  return { token: given.access_token, expiresIn: given.expires_in };
}

/** A token that is bound to one patient may not be used for another (CDS Hooks 2.0.1 "Passing the Access Token"). */
function checkAuthorizedPatient(authorization: Json | undefined, patientId: string | undefined): void {
  const patient = isJsonObject(authorization) ? authorization.patient : undefined;
  if (typeof patient !== 'string' || patientId === undefined) return;
  if (patient.replace(/^Patient\//, '') !== patientId) {
    throw fhirError('value', '`fhirAuthorization.patient` is not the patient of the context.', {
      expression: 'fhirAuthorization.patient',
    });
  }
}
