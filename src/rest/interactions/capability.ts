/** capabilities: what this server claims, with the fields that only a running server knows. Source: http.html#capabilities, capabilitystatement.html. */
import { createHash } from 'node:crypto';
import { revIncludeClaims } from '../../fhir/definitions/custom-claims.ts';
import { isJsonObject, type Json, type JsonObject, parseJson, serialize } from '../../fhir/resource.ts';
import { instantText } from '../../fhir/time.ts';
import type { Perform, RestContext } from '../context.ts';
import type { FhirRequest } from '../request.ts';
import { respond, shapedText } from '../wire/represent.ts';

type Capabilities = Extract<FhirRequest, { interaction: 'capabilities' }>;

interface LiveStatement {
  readonly text: string;
  readonly etag: string;
}

/** Built once a system: its date is when the claims came into force, so that ETag and text stay the same. */
const STATEMENTS = new WeakMap<RestContext['capability'], LiveStatement>();

const SECURITY =
  'No identity provider is configured: the server answers on the loopback interface only and permits everything to whoever reaches it. ' +
  'Requests with a foreign Host or Origin, or with forwarding headers, are refused. Every request is recorded as an AuditEvent.';

/** 200 with the CapabilityStatement, or 304. */
export const capabilities: Perform<Capabilities> = async ({ representation, wire }, _caller, context) => {
  const { text, etag } = STATEMENTS.get(context.capability) ?? remembered(context);
  const headers = { ETag: etag };
  const entries = [{ interaction: 'capabilities', patients: [] }];
  if (wire.headers['if-none-match']?.trim() === etag) {
    return { response: respond(304, undefined, false, headers), entries, audited: false };
  }
  const shaped = shapedText(text, representation, context.definitions);
  return { response: respond(200, shaped, representation.pretty, headers), entries, audited: false };
};

function remembered(context: RestContext): LiveStatement {
  const text = liveText(context);
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const statement = { text, etag: `W/"${hash}"` };
  STATEMENTS.set(context.capability, statement);
  return statement;
}

function liveText({ capability, settings, ambient }: RestContext): string {
  const statement = parseJson(capability.statement);
  if (!isJsonObject(statement)) throw new TypeError('The capability statement is not a JSON object.');
  const { resourceType, software, implementation, rest, ...others } = statement;
  const [server, ...more]: readonly Json[] = Array.isArray(rest) ? rest : [];
  return serialize({
    resourceType,
    url: `${settings.fhirBase}/metadata`,
    ...others,
    date: instantText(ambient.now()),
    software: { ...objectOf(software), version: settings.softwareVersion },
    implementation: { ...objectOf(implementation), url: settings.fhirBase },
    rest: [
      {
        ...websocketOf(settings),
        ...withAdded(objectOf(server), capability),
        security: { cors: false, ...securityOf(server, settings) },
      },
      ...more,
    ],
  });
}

/** The claims with those of the parameters that clients defined and whose rows are whole. */
function withAdded(server: JsonObject, capability: RestContext['capability']): JsonObject {
  const { added = [] } = capability;
  if (added.length === 0 || !Array.isArray(server.resource)) return server;
  const own = Map.groupBy(added, ({ type }) => type);
  const back = revIncludeClaims(added, capability);
  const resource = server.resource.map((each): Json => {
    if (!isJsonObject(each)) return each;
    const type = String(each.type);
    const claims = (own.get(type) ?? []).map(({ parameter: { code, url, type: kind } }) => ({
      name: code,
      definition: url,
      type: kind,
    }));
    return {
      ...each,
      ...appended(each, 'searchParam', claims),
      ...appended(each, 'searchRevInclude', back.get(type) ?? []),
    };
  });
  return { ...server, resource };
}

function appended(claims: JsonObject, element: string, more: readonly Json[]): JsonObject {
  const held = claims[element];
  return more.length === 0 ? {} : { [element]: [...(Array.isArray(held) ? held : []), ...more] };
}

const objectOf = (value: Json | undefined) => (value !== undefined && isJsonObject(value) ? value : {});

const WEBSOCKET = 'http://hl7.org/fhir/StructureDefinition/capabilitystatement-websocket';

function websocketOf({ websocketUrl }: RestContext['settings']) {
  return websocketUrl === undefined ? {} : { extension: [{ url: WEBSOCKET, valueUri: websocketUrl }] };
}

const WITH_TOKENS =
  'Every request but this one and .well-known/smart-configuration needs an access token (SMART App Launch 2.2). Its scopes are part of every ' +
  'search and write; what they do not show is answered like what is not there. Every request is recorded as an AuditEvent.';
const SERVICE = 'http://terminology.hl7.org/CodeSystem/restful-security-service';
const URIS = 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris';

function securityOf(server: Json | undefined, { authority }: RestContext['settings']): JsonObject {
  const claimed = objectOf(objectOf(server).security);
  if (authority === undefined) return { description: SECURITY, ...claimed };
  const uris = Object.entries(authority).flatMap(([url, valueUri]) =>
    valueUri === undefined ? [] : [{ url, valueUri }],
  );
  return {
    ...(uris.length === 0 ? {} : { extension: [{ url: URIS, extension: uris }] }),
    service: [{ coding: [{ system: SERVICE, code: 'SMART-on-FHIR' }] }],
    ...claimed,
    description: WITH_TOKENS,
  };
}
