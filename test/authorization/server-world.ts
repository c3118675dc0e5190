/** An authorization server that listens on loopback over a real store: what an app, its user and an operator can do with it. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { TOTP, URI } from 'otpauth';
import type { ClientDraft } from '../../src/authorization/clients.ts';
import type { AuthorizationServer } from '../../src/authorization/server.ts';
import type { NewUser } from '../../src/authorization/users.ts';
import { readConfig } from '../../src/config.ts';
import { closeGracefully, listen } from '../../src/http/app.ts';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { buildSystem, type System } from '../../src/system.ts';
import { storeSettings } from '../test-store.ts';

export const DRAFT: ClientDraft = {
  name: 'An app',
  kind: 'public',
  redirectUris: ['http://127.0.0.1:9/callback'],
  scopes: [
    'openid',
    'fhirUser',
    'launch',
    'launch/patient',
    'offline_access',
    'online_access',
    'patient/*.cruds',
    'user/*.rs',
  ],
  backend: false,
  ehr: false,
  introspects: false,
  origins: [],
  roles: [],
  demo: false,
};
export const REDIRECT = 'http://127.0.0.1:9/callback';
export const PASSWORD = 'correct horse battery';

export interface Key {
  readonly privateKey: KeyObject;
  readonly jwks: { readonly keys: { readonly kty: string }[] };
  readonly algorithm: 'ES384' | 'RS384';
}
export function newKey(algorithm: Key['algorithm'] = 'ES384'): Key {
  const pair =
    algorithm === 'ES384'
      ? generateKeyPairSync('ec', { namedCurve: 'P-384' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = pair.publicKey.export({ format: 'jwk' });
  return {
    privateKey: pair.privateKey,
    jwks: { keys: [{ ...jwk, kty: jwk.kty ?? '', kid: 'k1', alg: algorithm, use: 'sig' } as { kty: string }] },
    algorithm,
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** One browser: it keeps cookies by path, and follows nothing by itself. */
export class Browser {
  readonly #cookies = new Map<string, { readonly value: string; readonly path: string }>();

  async ask(url: string, init: RequestInit = {}): Promise<Answer> {
    const { pathname } = new URL(url);
    const sent = [...this.#cookies].filter(([, { path }]) => pathname.startsWith(path));
    const cookie = sent.map(([name, { value }]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, {
      ...init,
      redirect: 'manual',
      headers: { ...Object.fromEntries(new Headers(init.headers)), ...(cookie === '' ? {} : { cookie }) },
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      const path = /;\s*path=([^;]+)/i.exec(line)?.[1] ?? '/';
      if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, { value, path });
    }
    return answerOf(response);
  }

  post(url: string, form: Readonly<Record<string, string | readonly string[]>>): Promise<Answer> {
    return this.ask(url, { method: 'POST', body: formOf(form) });
  }
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : {} };
}

/** JSON of a public address. */
export async function jsonAt(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer['json']> {
  return (await answerOf(await fetch(url, { headers }))).json;
}

export function formOf(form: Readonly<Record<string, string | readonly string[]>>): URLSearchParams {
  const body = new URLSearchParams();
  for (const [name, value] of Object.entries(form))
    for (const each of typeof value === 'string' ? [value] : value) body.append(name, each);
  return body;
}

export interface Reason {
  readonly code: string;
  readonly text: string;
}

export interface Authorized {
  readonly code: string | undefined;
  readonly error: string | undefined;
  readonly verifier: string;
  readonly answer: Answer;
}

export class OauthWorld {
  readonly system: System;
  readonly url: string;
  readonly server: AuthorizationServer;
  readonly #close: () => Promise<void>;

  private constructor(system: System, server: AuthorizationServer, close: () => Promise<void>) {
    this.system = system;
    this.server = server;
    this.url = system.url;
    this.#close = close;
  }

  static async open(env: Readonly<Record<string, string>> = {}): Promise<OauthWorld> {
    const folder = env.DATA_DIR ?? mkdtempSync(join(tmpdir(), 'firewatch-oauth-'));
    const port = env.PORT ?? (await freePort());
    const all = {
      SEED: 'none',
      LOG_LEVEL: 'error',
      ...env,
      AUTHORIZATION: 'embedded',
      ...storeSettings(folder),
      PORT: String(port),
    };
    const config = readConfig(all);
    const system = await buildSystem(config);
    const http = await listen(system.app, config);
    http.on('upgrade', (...asked) => system.sockets.upgrade(...asked));
    system.setListening(true);
    if (system.authorization === undefined) throw new Error('There is no authorization server.');
    return new OauthWorld(system, system.authorization, async () => {
      system.setListening(false);
      await closeGracefully(http, 1000);
      await system.close();
      if (env.DATA_DIR === undefined) rmSync(folder, { recursive: true, force: true });
    });
  }

  close(): Promise<void> {
    return this.#close();
  }

  get fhirBase(): string {
    return `${this.url}/fhir`;
  }

  /** The FHIR API as an app uses it. */
  async fhir(path: string, token: unknown): Promise<Answer> {
    return answerOf(await fetch(`${this.fhirBase}${path}`, { headers: { authorization: `Bearer ${token}` } }));
  }

  client(id: string, draft: Partial<ClientDraft> = {}): Promise<string | undefined> {
    return this.server.clients.add(id, { ...DRAFT, ...draft });
  }

  /** @returns what makes codes of the second factor */
  async user(name: string, draft: Partial<NewUser> = {}): Promise<TOTP | undefined> {
    const added = await this.server.users.add({
      name,
      role: 'physician',
      fhirUser: 'Practitioner/12',
      password: PASSWORD,
      ...draft,
    });
    const totp = added.totpUri === undefined ? undefined : URI.parse(added.totpUri);
    return totp instanceof TOTP ? totp : undefined;
  }

  /** Stores a patient straight through the store's door. */
  async patient(id: string): Promise<void> {
    const answered = await this.system.answerHeavy(
      {
        method: 'PUT',
        path: `/Patient/${id}`,
        query: '',
        headers: { 'content-type': 'application/fhir+json' },
        body: JSON.stringify({
          resourceType: 'Patient',
          id,
          name: [{ family: 'Fenwick', given: [id] }],
          birthDate: '1960-02-03',
        }),
      },
      localFacts('seed', '127.0.0.1'),
    );
    if (answered.status >= 300) throw new Error(`The patient is refused with ${answered.status}.`);
  }

  authorizeUrl(changes: Readonly<Record<string, string | undefined>>, verifier: string): string {
    const parameters = {
      response_type: 'code',
      client_id: 'app',
      redirect_uri: REDIRECT,
      scope: 'launch/patient patient/*.rs',
      state: 'state-0123456789-0123456789',
      aud: this.fhirBase,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...changes,
    };
    const given = Object.entries(parameters).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    );
    return `${this.url}/oauth/authorize?${new URLSearchParams(Object.fromEntries(given))}`;
  }

  /** The whole way of a user through the pages, as far as it goes. `scopes` are the boxes left ticked; undefined: all. */
  async authorize(
    user: { readonly name: string; readonly totp: Pick<TOTP, 'generate'> | undefined },
    changes: Readonly<Record<string, string | undefined>> = {},
    {
      patient,
      scopes,
      encounter = (ids) => ids[0],
      reason,
      browser = new Browser(),
    }: {
      patient?: string;
      scopes?: readonly string[];
      encounter?: (ids: readonly string[]) => string | undefined;
      /** Of emergency access. */
      reason?: Reason;
      browser?: Browser;
    } = {},
  ): Promise<Authorized> {
    const verifier = randomBytes(32).toString('base64url');
    let answer = await browser.ask(this.authorizeUrl(changes, verifier));
    let page = '';
    for (let step = 0; step < 12; step++) {
      const location = answer.headers.get('location');
      if (answer.status >= 300 && answer.status < 400 && location !== null) {
        if (location.startsWith(REDIRECT)) {
          const { search, hash } = new URL(location);
          const searchParams = new URLSearchParams(search === '' ? hash.slice(1) : search);
          return {
            code: searchParams.get('code') ?? undefined,
            error: searchParams.get('error') ?? undefined,
            verifier,
            answer,
          };
        }
        page = new URL(location, this.url).href;
        answer = await browser.ask(page);
        continue;
      }
      const form = this.#filled(answer.text, user, { patient, scopes, encounter, reason });
      if (form === undefined || answer.status !== 200) break;
      answer = await browser.post(page, form);
    }
    return { code: undefined, error: undefined, verifier, answer };
  }

  #filled(
    page: string,
    { name, totp }: { readonly name: string; readonly totp: Pick<TOTP, 'generate'> | undefined },
    {
      patient,
      scopes,
      encounter,
      reason,
    }: {
      readonly patient: string | undefined;
      readonly scopes: readonly string[] | undefined;
      readonly reason: Reason | undefined;
      encounter(ids: readonly string[]): string | undefined;
    },
  ): Readonly<Record<string, string | readonly string[]>> | undefined {
    const step = /name="step" value="(\w+)"/.exec(page)?.[1];
    if (step === 'login') return { step, name, password: PASSWORD };
    if (step === 'code') return { step, code: totp?.generate() ?? '' };
    const hidden = (name: string): Readonly<Record<string, string>> => {
      const value = new RegExp(`type="hidden" name="${name}" value="([^"]+)"`).exec(page)?.[1];
      return value === undefined ? {} : { [name]: unescaped(value) };
    };
    if (step === 'reason') return reason && { step, reason: reason.code, 'reason-text': reason.text };
    const kept = { ...hidden('reason'), ...hidden('reason-text') };
    if (step === 'search' && patient !== undefined) return { step: 'patient', patient, ...kept };
    if (step === 'encounter') {
      const ids = [...page.matchAll(/name="encounter" value="([^"]+)"/g)].map(([, id = '']) => id);
      return { step, ...hidden('patient'), encounter: encounter(ids) ?? '' };
    }
    if (step !== 'consent') return undefined;
    const ticked = [...page.matchAll(/name="scope" value="([^"]+)" checked/g)].map(([, scope]) =>
      unescaped(scope ?? ''),
    );
    return { step, scope: scopes ?? ticked, ...hidden('patient'), ...hidden('encounter'), ...kept };
  }

  token(form: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.post('/token', form, headers);
  }

  async post(
    path: string,
    form: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    return answerOf(await fetch(`${this.url}/oauth${path}`, { method: 'POST', headers, body: formOf(form) }));
  }

  exchange({ code, verifier }: Authorized, changes: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.token({
      grant_type: 'authorization_code',
      client_id: 'app',
      redirect_uri: REDIRECT,
      code: code ?? '',
      code_verifier: verifier,
      ...changes,
    });
  }

  /** A client assertion of SMART, as `changes` make it wrong. */
  assertion(
    client: string,
    key: Key,
    changes: Readonly<Record<string, unknown>> = {},
    header: Readonly<Record<string, unknown>> = {},
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: client,
      sub: client,
      aud: `${this.url}/oauth/token`,
      exp: now + 240,
      jti: randomBytes(16).toString('hex'),
    };
    return new SignJWT({ ...claims, ...changes })
      .setProtectedHeader({ alg: key.algorithm, kid: 'k1', typ: 'JWT', ...header })
      .sign(key.privateKey);
  }

  async backendToken(client: string, key: Key, scope: string): Promise<Answer> {
    return this.token({
      grant_type: 'client_credentials',
      scope,
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: await this.assertion(client, key),
    });
  }
}
export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const unescaped = (text: string): string =>
  text
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
