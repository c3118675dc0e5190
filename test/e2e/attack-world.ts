/** A real server with an issuer, two people's records in it and callers who want the other's: shared by the tests named attacks. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { claims, ISSUER, KEYS, signed } from '../smart/tokens.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const AUDIENCE = 'https://fhir.example.org/fhir';
/** In every resource of the other person, in nothing else. */
export const CANARY = 'zebrafinch';
/** Ids of the other person's resources hold this; `absent` in its place names nothing. */
export const FOREIGN = 'foreign';

export interface Found {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}
export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A text goes as it is, anything else as JSON. */
  readonly body?: unknown;
}
export interface Token {
  readonly scope: string;
  readonly patient?: string;
  readonly roles?: readonly string[];
  readonly sub?: string;
  readonly client_id?: string;
  readonly fhirUser?: string;
}

/** The patient's own app. */
export const APP: Token = { scope: 'patient/*.cruds', patient: 'mine' };
export const OTHER_APP: Token = { scope: 'patient/*.cruds', patient: FOREIGN, sub: 'user-2', client_id: 'app-2' };
export const DOCTOR: Token = {
  scope: 'user/*.cruds',
  roles: ['physician'],
  sub: 'doctor',
  fhirUser: 'Practitioner/dr',
};
export const ENGINE: Token = {
  scope: 'system/*.cruds system/AuditEvent.rs',
  roles: ['integration-engine'],
  sub: 'engine',
  client_id: 'engine',
};

const subject = (id: string) => ({ subject: { reference: `Patient/${id}` } });
const code = (value: string) => ({ coding: [{ system: 'urn:codes', code: value }] });
const tagged = (mark: string) => ({ meta: { tag: [{ system: 'urn:mark', code: mark }] } });

/** The same record of either, with a mark of whose it is. */
function recordOf(id: string, mark: string): readonly object[] {
  const own = { ...subject(id), ...tagged(mark) };
  return [
    {
      resourceType: 'Patient',
      id,
      ...tagged(mark),
      name: [{ family: mark }],
      identifier: [{ system: 'urn:mrn', value: mark }],
      birthDate: '1970-01-01',
    },
    {
      resourceType: 'Encounter',
      id: `${id}-visit`,
      status: 'finished',
      class: { system: 'urn:codes', code: 'AMB' },
      ...own,
    },
    ...[1, 2, 3].map((count) => ({
      ...{ resourceType: 'Observation', id: `${id}-${count}`, status: 'final', code: code('hr'), ...own },
      ...{
        effectiveDateTime: `2026-01-0${count}`,
        encounter: { reference: `Encounter/${id}-visit` },
        note: [{ text: mark }],
      },
      valueQuantity: { value: 60 + count, system: 'http://unitsofmeasure.org', code: '/min', unit: mark },
    })),
    { resourceType: 'Condition', id: `${id}-condition`, code: { ...code('flu'), text: mark }, ...own },
    {
      resourceType: 'DocumentReference',
      id: `${id}-note`,
      status: 'current',
      ...own,
      content: [{ attachment: { title: mark } }],
    },
    {
      resourceType: 'Composition',
      id: `${id}-letter`,
      status: 'final',
      type: code('letter'),
      date: '2026-01-01',
      author: [{ display: mark }],
      title: mark,
      ...own,
    },
    {
      resourceType: 'List',
      id: `${id}-list`,
      status: 'current',
      mode: 'working',
      title: mark,
      ...own,
      entry: [{ item: { reference: `Observation/${id}-1` } }],
    },
    {
      resourceType: 'Binary',
      id: `${id}-file`,
      ...tagged(mark),
      contentType: 'text/plain',
      data: Buffer.from(mark).toString('base64'),
      securityContext: { reference: `DocumentReference/${id}-note` },
    },
    { resourceType: 'RiskAssessment', id: `${id}-risk`, status: 'final', ...own, note: [{ text: mark }] },
    {
      resourceType: 'Task',
      id: `${id}-task`,
      status: 'requested',
      intent: 'order',
      description: mark,
      for: { reference: `Patient/${id}` },
      ...tagged(mark),
    },
  ];
}

export class AttackWorld {
  readonly server: Running;
  readonly #issuers: string;

  private constructor(server: Running, issuers: string) {
    this.server = server;
    this.#issuers = issuers;
  }

  static async open(env: Readonly<Record<string, string>> = {}): Promise<AttackWorld> {
    const issuers = mkdtempSync(join(tmpdir(), 'issuers-'));
    const file = { issuer: ISSUER, audience: [AUDIENCE], jwks: { keys: [KEYS.jwk] } };
    writeFileSync(join(issuers, 'one.json'), JSON.stringify(file));
    const server = await start({ ISSUERS_DIR: issuers, PUBLIC_URL: 'https://fhir.example.org', ...env }, newFolder());
    const world = new AttackWorld(server, issuers);
    const group = {
      resourceType: 'Group',
      id: 'both',
      type: 'person',
      actual: true,
      member: ['mine', FOREIGN].map((id) => ({ entity: { reference: `Patient/${id}` } })),
    };
    const shared = [
      { resourceType: 'Practitioner', id: 'dr', active: true },
      { resourceType: 'Organization', id: 'ward', name: 'ward' },
      group,
    ];
    const entry = [...recordOf('mine', 'own'), ...recordOf(FOREIGN, CANARY), ...shared].map((resource) => {
      const { resourceType, id } = Object(resource);
      return { resource, request: { method: 'PUT', url: `${resourceType}/${id}` } };
    });
    const filled = await world.ask(ENGINE, '/', {
      method: 'POST',
      body: { resourceType: 'Bundle', type: 'transaction', entry },
    });
    if (filled.status !== 200) throw new Error(filled.text);
    return world;
  }

  /** @returns the exit code of the server, which has lived through all of it */
  async close(): Promise<number | string> {
    const ended = await this.server.stop();
    removeFolder(this.server.folder);
    rmSync(this.#issuers, { recursive: true });
    return ended;
  }

  async bearer(token: Token): Promise<string> {
    return `Bearer ${await signed(claims(Date.now(), { aud: AUDIENCE, jti: JSON.stringify(token), ...token }))}`;
  }

  /** @param path below the FHIR base; sent as it is written */
  async ask(token: Token | undefined, path: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Found> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const response = await fetch(`${this.server.url}/fhir${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(text === undefined ? {} : { 'content-type': 'application/fhir+json' }),
        ...(token === undefined ? {} : { authorization: await this.bearer(token) }),
        ...headers,
      },
      ...(text === undefined ? {} : { body: text }),
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  }
}
