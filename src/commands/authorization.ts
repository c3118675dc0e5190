/** `firewatch client|user|key ...`: what an operator does to the authorization server, offline on the data folder. Secrets are shown once. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { type ClientDraft, Clients } from '../authorization/clients.ts';
import { rotateKeys } from '../authorization/keys.ts';
import { sealWith } from '../authorization/seal.ts';
import type { SecurityInteraction } from '../authorization/trail.ts';
import { Users } from '../authorization/users.ts';
import { readConfig } from '../config.ts';
import { securityAudit } from '../open/authorization.ts';
import { secretOf } from '../open/installation-secret.ts';
import type { AuditRow } from '../store/port.ts';
import { quietSystem } from '../system.ts';

interface Desk {
  readonly clients: Clients;
  readonly users: Users;
  /** Makes new signing keys. */
  rotate(): Promise<readonly string[]>;
  /** Names of roles that a file defines. */
  readonly roles: readonly string[];
  audit(interaction: SecurityInteraction, what: string): readonly AuditRow[];
}

/** @throws TypeError for a role that would permit nothing */
function assertRoles(named: readonly string[], known: readonly string[]): void {
  if (named.every((role) => known.includes(role))) return;
  throw new TypeError(`--role must be one of ${known.join(', ')}.`);
}

/**
 * Runs one command on the data folder.
 * @throws Error when a server runs on it
 */
async function atDesk(run: (desk: Desk) => Promise<void>): Promise<void> {
  const config = readConfig();
  const { context, store, close } = await quietSystem(config);
  try {
    const seal = sealWith(secretOf(config, 'oauth.key'));
    const { now, newId } = context.ambient;
    const row = securityAudit(context);
    const peer = { address: 'localhost', requestId: newId() };
    const audit: Desk['audit'] = (interaction, what) => [
      row({ interaction, peer, client: 'firewatch-command', status: 200, description: what }),
    ];
    await run({
      clients: new Clients(store, now),
      users: new Users({ store, seal, now, newId }),
      rotate: () => rotateKeys({ store, seal, now }, audit('key-change', 'rotate')),
      roles: [...(context.policy?.roles.keys() ?? [])],
      audit,
    });
  } finally {
    await close();
  }
}

interface ClientOptions {
  readonly name?: string;
  readonly redirectUri?: readonly string[];
  readonly scope: string;
  readonly secret?: boolean;
  readonly jwks?: string;
  readonly jwksUrl?: string;
  readonly backend?: boolean;
  readonly ehr?: boolean;
  readonly introspects?: boolean;
  readonly origin?: readonly string[];
  readonly role?: readonly string[];
}

function draftOf(id: string, options: ClientOptions): ClientDraft {
  const {
    name,
    redirectUri = [],
    scope,
    secret,
    jwks,
    jwksUrl,
    backend,
    ehr,
    introspects,
    origin = [],
    role = [],
  } = options;
  const hasKeys = jwks !== undefined || jwksUrl !== undefined;
  if (secret === true && hasKeys) throw new TypeError('Give either `--secret` or keys.');
  return {
    name: name ?? id,
    kind: hasKeys ? 'key' : secret === true ? 'secret' : 'public',
    redirectUris: redirectUri,
    scopes: scope.split(/\s+/).filter((each) => each !== ''),
    backend: backend === true,
    ehr: ehr === true,
    introspects: introspects === true,
    origins: origin,
    roles: role,
    ...(jwks === undefined ? {} : { jwks: keySetIn(jwks) }),
    ...(jwksUrl === undefined ? {} : { jwksUrl }),
    demo: false,
  };
}

/** What a file of JSON holds; undefined when it is none. @throws TypeError when it cannot be read */
function jsonIn(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new TypeError(`${file} cannot be read: ${why}.`, { cause });
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // said by who asks what it holds
  }
}

function keySetIn(file: string): NonNullable<ClientDraft['jwks']> {
  const found: unknown = jsonIn(file);
  const keys: unknown = typeof found === 'object' && found !== null ? Reflect.get(found, 'keys') : undefined;
  if (
    !Array.isArray(keys) ||
    !keys.every((key) => typeof key === 'object' && key !== null && typeof key.kty === 'string')
  )
    throw new TypeError(`${file} is no JSON Web Key Set: {"keys": [...]}.`);
  return { keys };
}

function clientCommands(program: Command): void {
  const client = program
    .command('client')
    .description('apps and services that may ask for tokens; while no server runs');
  client
    .command('add')
    .argument('<id>', 'client_id')
    .requiredOption('--scope <scopes>', 'scopes it may ask for, separated by blanks: "launch/patient patient/*.rs"')
    .option('--name <text>', 'name that users are shown')
    .option('--redirect-uri <uri...>', 'where users are sent back; matched exactly')
    .option('--secret', 'confidential, with a secret that is made and shown once')
    .option('--jwks <file>', 'confidential, with the public keys of this file (ES384, RS384)')
    .option('--jwks-url <url>', 'confidential, with the keys at this URL, which OUTBOUND_ALLOW must list')
    .option('--backend', 'acts for itself: client_credentials, `system/` scopes, keys only')
    .option('--ehr', 'is an EHR: may open launches (POST /oauth/launch) with the scope `launch`')
    .option('--introspects', 'is a resource server: may introspect the tokens of all clients')
    .option('--origin <origin...>', 'origins of its pages besides those of its redirect URIs')
    .option('--role <role...>', 'roles of a backend service')
    .description('register a client; public with PKCE unless --secret or keys are given')
    .action((id: string, options: ClientOptions) =>
      atDesk(async ({ clients, roles, audit }) => {
        assertRoles(options.role ?? [], roles);
        const secret = await clients.add(id, draftOf(id, options), audit('client-change', `add ${id}`));
        console.log(`Client ${id} is registered.`);
        if (secret !== undefined) console.log(`client_secret: ${secret}\nIt is not shown again.`);
      }),
    );
  client
    .command('list')
    .description('ids, kinds, redirect URIs and scopes')
    .action(() =>
      atDesk(async ({ clients }) => {
        const all = await clients.list();
        for (const { id, client: each } of all) {
          const traits = [
            each.kind,
            ...(['backend', 'ehr', 'introspects', 'demo'] as const).filter((trait) => each[trait]),
          ];
          console.log([id, traits.join('+'), each.redirectUris.join(' ') || '-', each.scopes.join(' ')].join('\t'));
        }
        if (all.length === 0) console.log('No client is registered.');
      }),
    );
  client
    .command('remove')
    .argument('<id>', 'client_id')
    .description('forget a client; its refresh tokens are worth nothing from now on')
    .action((id: string) =>
      atDesk(async ({ clients, audit }) => {
        await clients.remove(id, audit('client-change', `remove ${id}`));
        console.log(`Client ${id} is removed.`);
      }),
    );
}

function userCommands(program: Command): void {
  const user = program.command('user').description('people who sign in; while no server runs');
  user
    .command('add')
    .argument('<name>', 'what they type to sign in')
    .requiredOption(
      '--role <role>',
      'name of a file of roles/ or ROLES_DIR: physician, nurse, pharmacist, administrator, auditor, privacy-officer, integration-engine, patient',
    )
    .requiredOption('--fhir-user <reference>', 'who they are in the record: Practitioner/12, Patient/7')
    .description('add a user; the password and the second factor are made and shown once')
    .action((name: string, { role, fhirUser }: { readonly role: string; readonly fhirUser: string }) =>
      atDesk(async ({ users, roles, audit }) => {
        assertRoles([role], roles);
        const { password, totpUri } = await users.add({ name, role, fhirUser }, audit('user-change', 'add'));
        console.log(`User ${name} is added.\npassword: ${password}`);
        if (totpUri !== undefined) console.log(`second factor: ${totpUri}`);
        console.log('They are not shown again.');
      }),
    );
  user
    .command('list')
    .description('names, roles, who they are in the record, and whether they may sign in')
    .action(() =>
      atDesk(async ({ users }) => {
        const all = await users.list();
        for (const { name, role, fhirUser, disabled, demo } of all)
          console.log([name, role, fhirUser, disabled ? 'disabled' : 'active', ...(demo ? ['demo'] : [])].join('\t'));
        if (all.length === 0) console.log('There is no user.');
      }),
    );
  const change = (command: string, text: string, run: (name: string, desk: Desk) => Promise<string>): void => {
    user
      .command(command)
      .argument('<name>', 'the user')
      .description(text)
      .action((name: string) => atDesk(async (desk) => console.log(await run(name, desk))));
  };
  change('disable', 'end all sign-ins and refresh tokens of a user', async (name, { users, audit }) => {
    await users.disable(name, audit('user-change', 'disable'));
    return `User ${name} may not sign in.`;
  });
  change('enable', 'let a disabled user sign in again', async (name, { users, audit }) => {
    await users.enable(name, audit('user-change', 'enable'));
    return `User ${name} may sign in.`;
  });
  change('reset-password', 'make a new password and show it once', async (name, { users, audit }) => {
    const password = await users.resetPassword(name, audit('user-change', 'reset-password'));
    return `password: ${password}\nIt is not shown again.`;
  });
  change('reset-totp', 'make a new second factor and show it once', async (name, { users, audit }) => {
    const uri = await users.resetTotp(name, audit('user-change', 'reset-totp'));
    return `second factor: ${uri}\nIt is not shown again.`;
  });
}

/** All of them open the data folder, which a running server holds. */
export function authorizationCommands(program: Command): void {
  clientCommands(program);
  userCommands(program);
  program
    .command('key')
    .description('signing keys; while no server runs')
    .command('rotate')
    .description('make new keys that sign from the next start on; the old ones stay published for seven days')
    .action(() =>
      atDesk(async ({ rotate }) =>
        console.log(`New keys: ${(await rotate()).join(', ')}\nThey sign from the next start on.`),
      ),
    );
}
