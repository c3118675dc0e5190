/** The demonstration's own users, apps and key: known to everyone, so they exist on this machine only and a server that others can reach refuses to start with them. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientDraft } from '../authorization/clients.ts';
import type { AuthorizationServer } from '../authorization/server.ts';
import type { Config } from '../config.ts';
import { isOnlyHere } from '../demonstration.ts';

const PASSWORD = 'firewatch-demo';
/** Base32; the same for all of them. */
const TOTP_SECRET = 'MZUXEZLXMF2GG2BAMRSW23ZAONSWG4TF';
const REDIRECTS = ['http://127.0.0.1:3000/', 'http://localhost:3000/'];
const STAFF = ['physician', 'nurse', 'pharmacist', 'administrator', 'auditor', 'integration-engine', 'privacy-officer'];
const PATIENT = 'demo-sepsis';

const APP: ClientDraft = {
  name: 'Demonstration app',
  kind: 'public',
  redirectUris: REDIRECTS,
  scopes: [
    ...['openid', 'fhirUser', 'launch', 'launch/patient', 'launch/encounter', 'online_access', 'offline_access'],
    ...['patient/*.cruds', 'user/*.cruds'],
  ],
  ...{ backend: false, ehr: false, introspects: false, origins: [], roles: [], demo: true },
};

/** @throws Error when others can reach a server that keeps credentials of the demonstration */
export async function assertNoDemo(config: Config, server: AuthorizationServer): Promise<void> {
  if (isOnlyHere(config) || !(await server.holdsDemo())) return;
  throw new Error(
    'This data folder holds users and clients of the demonstration, whose passwords everyone knows. A server that others can reach does not start ' +
      'with them: use another DATA_DIR, or HOST=127.0.0.1 without PUBLIC_URL.',
  );
}

/** Makes what is missing. @returns what a newcomer must know; nothing where the demonstration has no place */
export async function openDemo(config: Config, server: AuthorizationServer): Promise<readonly string[]> {
  if (config.SEED !== 'demo' || !isOnlyHere(config)) return [];
  for (const role of STAFF) await addUser(server, role, role, `Practitioner/demo-${role}`);
  await addUser(server, 'patient', 'patient', `Patient/${PATIENT}`);
  if ((await server.clients.find('demo-app')) === undefined) await server.clients.add('demo-app', APP);
  const file = join(config.DATA_DIR, 'demo-service.jwk.json');
  const jwks = { keys: [publicKeyIn(file)] };
  if ((await server.clients.find('demo-service')) === undefined) {
    const scopes = ['system/*.cruds', 'launch'];
    const service = {
      name: 'Demonstration service',
      kind: 'key',
      redirectUris: [],
      scopes,
      jwks,
      backend: true,
      ehr: true,
    } as const;
    await server.clients.add('demo-service', { ...APP, ...service, roles: ['integration-engine'] });
  }
  return [
    '',
    'DEMONSTRATION CREDENTIALS, known to everyone; they exist because SEED=demo, and only on this machine:',
    `  users     ${[...STAFF, 'patient'].join(', ')}   password ${PASSWORD}`,
    `  code      authenticator secret ${TOTP_SECRET} (all but patient)`,
    `  app       client_id demo-app, public with PKCE, returns to ${REDIRECTS.join(' or ')}`,
    `  service   client_id demo-service, private key in ${file}`,
  ];
}

async function addUser(server: AuthorizationServer, name: string, role: string, fhirUser: string): Promise<void> {
  if ((await server.users.byName(name)) !== undefined) return;
  await server.users.add({ name, role, fhirUser, password: PASSWORD, totpSecret: TOTP_SECRET, demo: true });
}

/** The public part of the service's key, which is made at first start. */
function publicKeyIn(file: string) {
  if (!existsSync(file)) {
    const jwk = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({ format: 'jwk' });
    writeFileSync(file, JSON.stringify({ ...jwk, kid: 'demo', alg: 'ES384', use: 'sig' }), { mode: 0o600 });
  }
  const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
  const part = (name: string): string => {
    const value: unknown = typeof found === 'object' && found !== null ? Reflect.get(found, name) : undefined;
    if (typeof value !== 'string') throw new TypeError(`${file} is no key: remove it.`);
    return value;
  };
  return {
    kty: part('kty'),
    crv: part('crv'),
    x: part('x'),
    y: part('y'),
    kid: part('kid'),
    alg: part('alg'),
    use: part('use'),
  };
}
