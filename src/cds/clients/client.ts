/** CDS clients as data: who may call which services, with which keys, and what a call of theirs may reach. Source: CDS Hooks 2.0.1 "Trusting CDS Clients". */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import type { JSONWebKeySet } from 'jose';

export type ClientProfile = 'generic' | 'sandbox' | 'epic' | 'crd';

/** One file of the folder CDS_CLIENTS_DIR; every field is described in cds-services/clients/schema.json. */
interface ClientFile {
  readonly name: string;
  readonly issuer: string;
  readonly tenant?: string;
  readonly jwks?: JSONWebKeySet;
  readonly jwksUrl?: string;
  readonly jku?: readonly string[];
  readonly algorithms?: readonly string[];
  readonly typ?: boolean;
  readonly maxTokenSeconds?: number;
  readonly audiences?: readonly string[];
  readonly services: readonly string[];
  readonly fhirServers?: readonly string[];
  readonly ownPatients?: boolean;
  readonly profile?: ClientProfile;
  readonly hooks3?: boolean;
  readonly callsPerMinute?: number;
  readonly callsAtOnce?: number;
  readonly origins?: readonly string[];
}

/** A registration with its defaults. Addresses are without trailing slash. */
export interface CdsClient extends Omit<Required<ClientFile>, 'tenant' | 'jwks' | 'jwksUrl'> {
  readonly tenant: string | undefined;
  readonly jwks: JSONWebKeySet | undefined;
  readonly jwksUrl: string | undefined;
}

/** Recommended by the specification; others by registration only. */
const ALGORITHMS = ['ES384', 'RS384'];
const LOOPBACK = /^http:\/\/(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d+)?(?:\/|$)/;

const bare = (address: string): string => address.replace(/\/+$/, '');

function withDefaults(file: ClientFile): CdsClient {
  return {
    name: file.name,
    issuer: file.issuer,
    tenant: file.tenant,
    jwks: file.jwks,
    jwksUrl: file.jwksUrl,
    jku: file.jku ?? [],
    algorithms: file.algorithms ?? ALGORITHMS,
    typ: file.typ ?? true,
    maxTokenSeconds: file.maxTokenSeconds ?? 1200,
    audiences: (file.audiences ?? []).map(bare),
    services: file.services,
    fhirServers: (file.fhirServers ?? []).map(bare),
    ownPatients: file.ownPatients ?? false,
    profile: file.profile ?? 'generic',
    hooks3: file.hooks3 ?? false,
    callsPerMinute: file.callsPerMinute ?? 600,
    callsAtOnce: file.callsAtOnce ?? 32,
    origins: file.origins ?? [],
  };
}

/**
 * Who calls while no clients are registered: programs of this machine. Their patients are ours, and no call goes out for them.
 * @param origins of pages that may call besides the server's own
 */
export function demonstrationClient(origins: readonly string[]): CdsClient {
  return withDefaults({
    name: 'local',
    issuer: '',
    services: ['*'],
    ownPatients: true,
    callsPerMinute: 100_000,
    callsAtOnce: 1000,
    origins,
  });
}

export interface LoadedClients {
  readonly clients: readonly CdsClient[];
  /** One sentence each; the server refuses to start when there is any. */
  readonly problems: readonly string[];
}

/**
 * Reads every `*.json` of the folder except schema.json.
 * @param schemaFile cds-services/clients/schema.json
 * @param serviceIds ids of the services that exist
 */
export function loadClients(folder: string, schemaFile: string, serviceIds: ReadonlySet<string>): LoadedClients {
  if (!existsSync(folder)) return { clients: [], problems: ['CDS_CLIENTS_DIR: there is no such folder.'] };
  const isClient = new Ajv({ allErrors: true, formats: { uri: isSafeAddress } }).compile<ClientFile>(
    JSON.parse(readFileSync(schemaFile, 'utf8')),
  );
  const clients: CdsClient[] = [];
  const problems: string[] = [];
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith('.json') && name !== 'schema.json')
    .toSorted()) {
    const found = parsed(join(folder, file));
    if (!isClient(found)) {
      problems.push(
        ...(isClient.errors ?? []).map(
          ({ instancePath, message }) => `${file}: ${instancePath || 'file'} ${message ?? 'is invalid'}.`,
        ),
      );
      continue;
    }
    const client = withDefaults(found);
    const own = clientProblems(client, clients, serviceIds);
    problems.push(...own.map((reason) => `${file}: ${reason}.`));
    if (own.length === 0) clients.push(client);
  }
  if (clients.length === 0 && problems.length === 0) problems.push('CDS_CLIENTS_DIR: the folder holds no client.');
  return { clients, problems };
}

function parsed(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** https; http for this machine alone. No name or password inside, no fragment. */
export function isSafeAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hash } = new URL(text);
  return username === '' && password === '' && hash === '' && (protocol === 'https:' || LOOPBACK.test(text));
}

function clientProblems(
  client: CdsClient,
  others: readonly CdsClient[],
  services: ReadonlySet<string>,
): readonly string[] {
  const { name, issuer, tenant } = client;
  return [
    ...(others.some((other) => other.name === name) ? ['the name is used by another file'] : []),
    ...(others.some((other) => other.issuer === issuer && (other.tenant === tenant || !other.tenant || !tenant))
      ? ['another file has this issuer (and tenant)']
      : []),
    ...client.services.filter((id) => id !== '*' && !services.has(id)).map((id) => `service \`${id}\` is not known`),
  ];
}

/** Whether a registration names this service. */
export function mayCall({ services }: CdsClient, id: string): boolean {
  return services.includes('*') || services.includes(id);
}
