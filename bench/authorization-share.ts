/**
 * What authorization adds to reads and searches: `node bench/authorization-share.ts`. One server with an embedded authorization server and an issuer
 * by keys; the same requests go through the door as the local caller, who may do everything, and with tokens, in turn. Both are CPU of the whole
 * process (user + system, all threads) for a request without HTTP, so the share of a whole request is smaller than what is printed.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { readConfig } from '../src/config.ts';
import type { Caller } from '../src/rest/context.ts';
import { answer } from '../src/rest/interact.ts';
import { localCaller, localFacts } from '../src/rest/permission/caller.ts';
import { callerOf } from '../src/smart/access.ts';
import { buildSystem } from '../src/system.ts';
import { patientId, recordOf } from './data.ts';

const PATIENTS = 50;
/** Short rounds, so that what else the machine does meets both callers alike. */
const REQUESTS = 400;
const ROUNDS = 40;
const LANES = 16;
const ISSUER = 'https://login.example.org';

const folder = mkdtempSync(join(tmpdir(), 'firewatch-bench-'));
const issuers = join(folder, 'issuers');
mkdirSync(issuers);
const { privateKey, publicKey } = await generateKeyPair('ES384');
const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES384', use: 'sig' };
const config = readConfig({
  ...{
    DATA_DIR: join(folder, 'data'),
    SEED: 'none',
    LOG_LEVEL: 'error',
    AUTHORIZATION: 'embedded',
    ISSUERS_DIR: issuers,
  },
});
const fhirBase = `http://127.0.0.1:${config.PORT}/fhir`;
writeFileSync(
  join(issuers, 'one.json'),
  JSON.stringify({ issuer: ISSUER, audience: [fhirBase], jwks: { keys: [jwk] } }),
);
const system = await buildSystem(config);
for (let patient = 0; patient < PATIENTS; patient++) {
  const body = JSON.stringify(recordOf(patient, Date.now()));
  const wire = { method: 'POST', path: '', query: '', headers: { 'content-type': 'application/fhir+json' }, body };
  const { status, body: text } = await system.answerHeavy(wire, localFacts('load', '127.0.0.1'));
  if (status !== 200) throw new Error(`Loading was answered ${status}: ${text}`);
}

const PEER = { requestId: '0193b5a0-0000-7000-8000-000000000000', address: '127.0.0.1' };
const local = async (): Promise<Caller> => localCaller(localFacts(PEER.requestId, PEER.address));
const now = Math.floor(Date.now() / 1000);

/** A token of the issuer outside. */
const outside = (scope: string, more: object = {}): Promise<string> =>
  new SignJWT({ client_id: 'app', scope, ...more })
    .setProtectedHeader({ alg: 'ES384', kid: 'one', typ: 'at+jwt' })
    .setIssuer(ISSUER)
    .setSubject('somebody')
    .setAudience(fhirBase)
    .setIssuedAt(now)
    .setExpirationTime(now + 3600)
    .sign(privateKey);

/** A token of our own: its record is in the store, as the token endpoint leaves it. */
async function own(scope: string): Promise<string> {
  const jti = createHash('sha256').update('bench').digest('base64url');
  const value = JSON.stringify({ clientId: 'bench', scope });
  const row = { op: 'set', space: 'oauth.ClientCredentials', key: jti, value } as const;
  await system.store.commit({ commands: [{ ...row, expiresAt: Date.now() + 3_600_000 }], audit: [] });
  const tokens = system.authorization?.tokens;
  if (tokens === undefined) throw new TypeError('There is no authorization server.');
  return tokens.mint({ jti, subject: 'bench', client: 'bench', scope, seconds: 3600, extra: { roles: [] } });
}

function byToken(token: string): () => Promise<Caller> {
  const { identify } = system;
  if (identify === undefined) throw new TypeError('There is no issuer.');
  return async () => callerOf(await identify(`Bearer ${token}`, PEER), system.context);
}

const one = patientId(7);
const WAYS: readonly [name: string, ask: () => Promise<Caller>][] = [
  ['issuer outside, system/*.rs', byToken(await outside('system/*.rs'))],
  [
    'issuer outside, patient/*.rs',
    byToken(await outside('patient/*.rs', { patient: one, fhirUser: `Patient/${one}` })),
  ],
  ['our own issuer, system/*.rs', byToken(await own('system/*.rs'))],
];
const REQUESTED: readonly [name: string, path: string, query: string][] = [
  ['read of a Patient', `/Patient/${one}`, ''],
  ['search by patient and code', '/Observation', `patient=${one}&code=8867-4&_count=20`],
];

interface Cost {
  /** CPU of the whole process, and of the thread that answers, us a request. */
  readonly all: number;
  readonly main: number;
}

async function costOf(ask: () => Promise<Caller>, path: string, query: string): Promise<Cost> {
  const [before, beforeMain] = [process.cpuUsage(), process.threadCpuUsage()];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next++ < REQUESTS) {
      const wire = { method: 'GET', path, query, headers: {}, body: undefined };
      const { status } = await answer(wire, await ask(), system.context);
      if (status !== 200) throw new Error(`${path} was answered ${status}.`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  const [all, main] = [process.cpuUsage(before), process.threadCpuUsage(beforeMain)];
  return { all: (all.user + all.system) / REQUESTS, main: (main.user + main.system) / REQUESTS };
}
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

console.log(
  'request                      caller                          off us  adds us  adds (medians of the rounds; of the main thread)',
);
for (const [what, path, query] of REQUESTED) {
  for (const [who, ask] of WAYS) {
    const rounds: { readonly off: Cost; readonly on: Cost }[] = [];
    for (let round = -2; round < ROUNDS; round++) {
      // In turn who goes first: what a round leaves behind is the other's as often.
      const isFirst = round % 2 === 0;
      const early = await costOf(isFirst ? local : ask, path, query);
      const late = await costOf(isFirst ? ask : local, path, query);
      if (round >= 0) rounds.push(isFirst ? { off: early, on: late } : { off: late, on: early });
    }
    const of = (cost: (each: { readonly off: Cost; readonly on: Cost }) => number) => median(rounds.map(cost));
    const [off, adds] = [of((each) => each.off.all), of((each) => each.on.all - each.off.all)];
    const [offMain, addsMain] = [of((each) => each.off.main), of((each) => each.on.main - each.off.main)];
    const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;
    console.log(
      `${what.padEnd(28)} ${who.padEnd(31)} ${off.toFixed(0).padEnd(7)} ${adds.toFixed(1).padEnd(8)} ${share(adds, off).padEnd(8)} (${offMain.toFixed(0)}, ${addsMain.toFixed(1)}, ${share(addsMain, offMain)})`,
    );
  }
}
await system.close();
rmSync(folder, { recursive: true, force: true });
process.exit(0);
