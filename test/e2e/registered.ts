/** A server with registered CDS clients, and clients that sign their calls: over real HTTP. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { type Running, removeFolder, start } from './server.ts';

export interface Key {
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}
export async function newKey(alg: string, kid: string): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; undefined when it is none. */
  readonly json: Json | undefined;
}
/** Loosely typed JSON: what a test asserts on, it asserts by value. */
export interface Json {
  readonly [name: string]: unknown;
}

export interface Sent {
  /** Changes of the JWT's claims; undefined takes a claim away. */
  readonly claims?: Json;
  readonly header?: Json;
  readonly key?: Key;
  /** The whole header `Authorization`; null: none is sent. */
  readonly authorization?: string | null;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const DEFINED = (claims: Json): Json =>
  Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
let uses = 0;

/** One EHR: whatever it sends carries a fresh JWT for exactly that address, unless `sent` says otherwise. */
export function ehr(url: string, issuer: string, key: Key) {
  const jwt = async (path: string, { claims = {}, header = {}, key: by = key }: Sent = {}): Promise<string> => {
    const at = Math.floor(Date.now() / 1000);
    const standard = {
      iss: issuer,
      aud: `${url}/cds-services${path}`,
      iat: at,
      exp: at + 300,
      jti: `use-${process.pid}-${uses++}`,
    };
    return new SignJWT(DEFINED({ ...standard, ...claims }))
      .setProtectedHeader({ alg: by.alg, kid: by.jwk.kid ?? '', typ: 'JWT', ...header })
      .sign(by.privateKey);
  };
  const ask = async (path: string, body?: unknown, sent: Sent = {}): Promise<Answered> => {
    const authorization = sent.authorization === undefined ? `Bearer ${await jwt(path, sent)}` : sent.authorization;
    const response = await fetch(`${url}/cds-services${path}`, {
      method: sent.method ?? (body === undefined ? 'GET' : 'POST'),
      redirect: 'manual',
      signal: AbortSignal.timeout(20_000),
      headers: {
        ...(authorization === null ? {} : { authorization }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...sent.headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
  };
  return { jwt, ask };
}
export type Ehr = ReturnType<typeof ehr>;

/** A file of CDS_CLIENTS_DIR. */
export const registration = (name: string, keys: readonly Key[], more: Json = {}): Json => ({
  name,
  issuer: `https://${name}.example/fhir`,
  services: ['*'],
  ...(more.jku === undefined && more.jwksUrl === undefined ? { jwks: { keys: keys.map(({ jwk }) => jwk) } } : {}),
  ...more,
});

/** A site that accepts the sepsis models in just these versions: their services are there. */
const ATTESTED = Object.entries({
  'sepsis-icu': '1.1.0',
  'sepsis-3': '1.1.0',
  sofa: '1.0.0',
  'sepsis-hour-1': '1.0.0',
}).map(([model, version]) => ({ attestedBy: 'Head of intensive care', at: '2026-01-15', model, version }));

export interface Registered {
  readonly server: Running;
  readonly data: string;
  readonly clients: string;
  /** Stops the server and starts it on the same data; clients may be other ones. */
  again(clients?: readonly Json[]): Promise<Registered>;
  end(): Promise<void>;
}

/** The real server, with the synthetic patients and these clients. */
export async function registeredServer(
  clients: readonly Json[],
  environment: Readonly<Record<string, string>> = {},
  folder: string = mkdtempSync(join(tmpdir(), 'firewatch-cds-')),
): Promise<Registered> {
  const [registrations, data] = [join(folder, 'clients'), join(folder, 'data')];
  removeFolder(registrations);
  for (const each of [registrations, data]) mkdirSync(each, { recursive: true });
  for (const [index, client] of clients.entries()) {
    writeFileSync(join(registrations, `${index}.json`), JSON.stringify(client));
  }
  const attested = { SEPSIS_ATTESTATION: JSON.stringify(ATTESTED) };
  const server = await start({ SEED: 'demo', ...attested, ...environment, CDS_CLIENTS_DIR: registrations }, data);
  return {
    server,
    data,
    clients: registrations,
    again: async (others = clients) => {
      await server.stop();
      return registeredServer(others, environment, folder);
    },
    end: async () => {
      await server.stop();
      removeFolder(folder);
    },
  };
}

export const HOOK_INSTANCE = 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea';
const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
export const CLARITHROMYCIN = {
  resourceType: 'MedicationRequest',
  id: 'draft-1',
  status: 'draft',
  intent: 'order',
  subject: { reference: 'Patient/demo-polypharmacy' },
  medicationCodeableConcept: {
    coding: [{ system: RXNORM, code: '21212', display: 'clarithromycin' }],
    text: 'Clarithromycin 500 mg oral tablet',
  },
};
/** A drug that no table knows. */
export const UNKNOWN_DRUG = { ...CLARITHROMYCIN, id: 'draft-2', medicationCodeableConcept: { text: 'Zzyzxumab' } };

const draftOrders = {
  resourceType: 'Bundle',
  type: 'collection',
  entry: [{ resource: CLARITHROMYCIN }, { resource: UNKNOWN_DRUG }],
};
const ALLERGY = {
  resourceType: 'AllergyIntolerance',
  id: 'new-1',
  patient: { reference: 'Patient/demo-polypharmacy' },
  code: { text: 'simvastatin' },
};
/** A stay of thirty days with four emergency visits before it: both indices of readmission are high. */
const DAY_MS = 86_400_000;
const daysAgo = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString();
const ACT = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
const stay = (id: string, code: string, status: string, from: number, to?: number) => ({
  resource: {
    resourceType: 'Encounter',
    id,
    status,
    class: { system: ACT, code },
    subject: { reference: 'Patient/demo-heart-failure' },
    period: { start: daysAgo(from), ...(to === undefined ? {} : { end: daysAgo(to) }) },
  },
});
const STAYS = {
  resourceType: 'Bundle',
  type: 'searchset',
  entry: [
    stay('stay', 'IMP', 'in-progress', 30),
    ...[40, 60, 80, 100].map((days) => stay(`visit-${days}`, 'EMER', 'finished', days, days - 0.2)),
  ],
};

const PEOPLE = { userId: 'Practitioner/demo-physician', patientId: 'demo-polypharmacy' };
/** A good call of every service that is shipped, about synthetic patients; prefetched is only what no synthetic patient has. */
export const CALLS: Readonly<Record<string, Json>> = {
  'deterioration-sepsis': {
    hook: 'patient-view',
    context: { ...PEOPLE, patientId: 'demo-sepsis', encounterId: 'enc-1' },
  },
  triage: { hook: 'patient-view', context: { ...PEOPLE, patientId: 'demo-chest-pain' } },
  'drug-interactions-select': {
    hook: 'order-select',
    context: { ...PEOPLE, selections: ['MedicationRequest/draft-1', 'MedicationRequest/draft-2'], draftOrders },
  },
  'drug-interactions-sign': { hook: 'order-sign', context: { ...PEOPLE, draftOrders } },
  'drug-interactions-refill': { hook: 'medication-refill', context: { ...PEOPLE, medications: draftOrders } },
  'sepsis-icu': { hook: 'patient-view', context: { ...PEOPLE, patientId: 'demo-septic-shock' } },
  'sepsis-3-view': { hook: 'patient-view', context: { ...PEOPLE, patientId: 'demo-septic-shock' } },
  'sepsis-3-start': {
    hook: 'encounter-start',
    context: { ...PEOPLE, patientId: 'demo-septic-shock', encounterId: 'enc-1' },
  },
  'icu-mortality': { hook: 'patient-view', context: { ...PEOPLE, patientId: 'demo-icu-day2' } },
  'readmission-discharge': {
    hook: 'encounter-discharge',
    context: { ...PEOPLE, patientId: 'demo-heart-failure', encounterId: 'stay' },
    prefetch: { encounters: STAYS },
  },
  'allergy-create': { hook: 'allergyintolerance-create', context: { ...PEOPLE, allergyIntolerance: ALLERGY } },
};
/** @param id of a shipped service */
export const goodCall = (id: string, change: Json = {}): Json => ({
  hookInstance: HOOK_INSTANCE,
  ...CALLS[id],
  ...change,
});
