/** Issuers of access tokens as data: whose tokens are believed, and how they are proved. Source: RFC 9068, RFC 7662; docs/authorization.md. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import type { JSONWebKeySet } from 'jose';

export interface ClaimNames {
  readonly scope: string;
  readonly patient: string;
  readonly fhirUser: string;
  readonly client: string;
  readonly roles: string;
  readonly purpose: string;
}
export interface Introspection {
  readonly endpoint: string;
  readonly clientId: string;
  readonly secret: string;
}

/** What an issuer says of itself in smart-configuration, by the names there. */
export interface IssuerMetadata {
  readonly token_endpoint: string;
  readonly authorization_endpoint?: string;
  readonly introspection_endpoint?: string;
  readonly revocation_endpoint?: string;
  readonly registration_endpoint?: string;
  readonly management_endpoint?: string;
  readonly jwks_uri?: string;
  readonly grant_types_supported: readonly string[];
  readonly response_types_supported?: readonly string[];
  readonly token_endpoint_auth_methods_supported?: readonly string[];
  readonly token_endpoint_auth_signing_alg_values_supported?: readonly string[];
  readonly capabilities: readonly string[];
}

/** What can be asked of the server's own issuer besides its keys. */
export interface OwnIssuer {
  /** The token with this `jti`, and the grant it is of, if any; undefined: revoked or ended. Asked at every use. */
  standing(id: string): Promise<{ readonly grant: string | undefined } | undefined>;
  /** Whether a client is registered, and the grant, if any, can still be refreshed. */
  lasts(client: string, grant: string | undefined): Promise<boolean>;
}

/** One issuer, with its defaults. */
export interface Issuer {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly jwks: JSONWebKeySet | undefined;
  readonly jwksUrl: string | undefined;
  readonly algorithms: readonly string[];
  /** Lower case, without `application/`; '' = no `typ`. */
  readonly types: readonly string[];
  readonly maxTokenSeconds: number;
  readonly introspection: Introspection | undefined;
  readonly networks: readonly string[];
  /** Undefined: apps are not led to it. */
  readonly metadata?: IssuerMetadata | undefined;
  readonly claims: ClaimNames;
  /** Purpose of use of tokens that claim none: a code of v3-ActReason. */
  readonly purpose: string;
  /** The same by client id. */
  readonly clientPurposes: ReadonlyMap<string, string>;
  /** Of an issuer in this process. */
  readonly own?: OwnIssuer;
  /** Its names of roles -> ours; names that are not here stay what they are. */
  readonly roles: ReadonlyMap<string, string>;
  /** What becomes of staff without a role: `none` = nothing is permitted, `scopes` = scopes alone decide, or the role they are taken for. */
  readonly withoutRole: string;
  /** Its tokens may claim the purpose BTG. */
  readonly breakGlass: boolean;
}

/** One file of the folder ISSUERS_DIR; every field is described in issuers/schema.json. */
interface IssuerFile {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly jwks?: JSONWebKeySet;
  readonly jwksUrl?: string;
  readonly algorithms?: readonly string[];
  readonly types?: readonly string[];
  readonly maxTokenSeconds?: number;
  readonly introspection?: Omit<Introspection, 'secret'> & { readonly secretFile: string };
  readonly networks?: readonly string[];
  readonly metadata?: IssuerMetadata;
  readonly claims?: Partial<ClaimNames>;
  readonly roles?: Readonly<Record<string, string>>;
  readonly withoutRole?: string;
  readonly purpose?: string;
  readonly clientPurposes?: Readonly<Record<string, string>>;
  readonly breakGlass?: boolean;
}

const ALGORITHMS = ['RS256', 'RS384', 'PS256', 'ES256', 'ES384'];
const CLAIMS: ClaimNames = {
  scope: 'scope',
  patient: 'patient',
  fhirUser: 'fhirUser',
  client: 'client_id',
  roles: 'roles',
  purpose: 'purpose_of_use',
};
const LOOPBACK = /^http:\/\/(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d+)?(?:\/|$)/;

export interface LoadedIssuers {
  readonly issuers: readonly Issuer[];
  /** One sentence each; the server refuses to start when there is any. */
  readonly problems: readonly string[];
}

/** An issuer with its defaults, for those that are not in a file. */
export function issuerOf(file: Omit<IssuerFile, 'introspection'>, introspection?: Introspection): Issuer {
  return {
    issuer: file.issuer,
    audience: file.audience,
    jwks: file.jwks,
    jwksUrl: file.jwksUrl,
    algorithms: file.algorithms ?? ALGORITHMS,
    types: (file.types ?? ['at+jwt']).map((type) => (type === 'none' ? '' : type.toLowerCase())),
    maxTokenSeconds: file.maxTokenSeconds ?? 3600,
    introspection,
    networks: file.networks ?? [],
    metadata: file.metadata,
    claims: { ...CLAIMS, ...file.claims },
    roles: new Map(Object.entries(file.roles ?? {})),
    withoutRole: file.withoutRole ?? 'none',
    purpose: file.purpose ?? 'TREAT',
    clientPurposes: new Map(Object.entries(file.clientPurposes ?? {})),
    breakGlass: file.breakGlass ?? false,
  };
}

/**
 * Reads every `*.json` of the folder but schema.json; a folder without an issuer is a problem, never "no issuers".
 * @param schemaFile issuers/schema.json
 */
export function loadIssuers(folder: string, schemaFile: string): LoadedIssuers {
  if (!existsSync(folder)) return { issuers: [], problems: ['ISSUERS_DIR: there is no such folder.'] };
  const isIssuer = new Ajv({ allErrors: true, formats: { uri: isAddress } }).compile<IssuerFile>(
    JSON.parse(readFileSync(schemaFile, 'utf8')),
  );
  const issuers: Issuer[] = [];
  const problems: string[] = [];
  const names = readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'schema.json');
  for (const name of names.toSorted()) {
    const found = parsed(join(folder, name));
    if (!isIssuer(found)) {
      const errors = isIssuer.errors ?? [];
      problems.push(
        ...errors.map(({ instancePath, message }) => `${name}: ${instancePath || 'file'} ${message ?? 'is invalid'}.`),
      );
      continue;
    }
    const secret = secretOf(found);
    if (secret === '') problems.push(`${name}: /introspection/secretFile cannot be read, or is empty.`);
    const introspection = found.introspection && { ...found.introspection, secret };
    issuers.push(issuerOf(found, introspection));
  }
  problems.push(...together(issuers));
  if (issuers.length === 0 && problems.length === 0) problems.push('ISSUERS_DIR: the folder holds no issuer.');
  return { issuers, problems };
}

function parsed(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function secretOf({ introspection }: IssuerFile): string {
  if (introspection === undefined) return 'none';
  try {
    return readFileSync(introspection.secretFile, 'utf8').trim();
  } catch {
    return '';
  }
}

/** A token that is no JWT does not say whose it is: it must never be shown to an issuer that did not make it. */
function together(issuers: readonly Issuer[]): readonly string[] {
  const twice = issuers.filter(({ issuer }, index) => issuers.findIndex((each) => each.issuer === issuer) !== index);
  const asking = issuers.filter(({ introspection, jwks, jwksUrl }) => introspection && !jwks && !jwksUrl);
  return [
    ...twice.map(({ issuer }) => `Issuer \`${issuer}\` is in two files.`),
    ...(asking.length > 1 ? ['Only one issuer may have tokens that are proved by introspection alone.'] : []),
  ];
}

/** https; http for this machine alone. No name or password inside, no fragment. */
function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hash } = new URL(text);
  return username === '' && password === '' && hash === '' && (protocol === 'https:' || LOOPBACK.test(text));
}
