// Emergency access and kill -9: whatever was answered has its alert and its Task, once, and there is no half of the two. docs/decisions/0044.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AuditEvent, Bundle, Task } from 'fhir/r4.d.ts';
import { type Claims, claims, KEYS, signed } from '../smart/tokens.ts';
import { limit } from '../test-store.ts';
import { newFolder, removeFolder, start } from './server.ts';

const ISSUER = 'https://issuer.example';
const AUDIENCE = 'https://fhir.example/fhir';
const TOKEN = 'urn:ietf:params:oauth:jti:';
/** Answers after which the server is killed, in the middle of others. */
const ENOUGH = 25;
const AT_ONCE = 8;

const bearer = async (more: Claims): Promise<string> => {
  const own = { iss: ISSUER, aud: AUDIENCE, fhirUser: 'Practitioner/12', exp: Math.floor(Date.now() / 1000) + 900 };
  return `Bearer ${await signed(claims(Date.now(), { ...own, ...more }))}`;
};
const emergency = (jti: string) =>
  bearer({ jti, scope: 'patient/*.rs', patient: 'a', roles: ['physician'], purpose_of_use: 'BTG' });
const statusOf = async (url: string, authorization: string): Promise<number> => {
  const response = await fetch(url, { headers: { authorization } });
  await response.arrayBuffer();
  return response.status;
};

test('privacy@break-glass-kill: killed between first uses, every answered token has one alert and one Task', {
  timeout: limit(120_000),
}, async () => {
  const folder = newFolder();
  const issuers = join(folder, 'issuers');
  mkdirSync(issuers);
  const file = { issuer: ISSUER, audience: [AUDIENCE], jwks: { keys: [KEYS.jwk] }, breakGlass: true };
  writeFileSync(join(issuers, 'one.json'), JSON.stringify(file));
  try {
    const first = await start({ ISSUERS_DIR: issuers }, folder);
    const authorization = await bearer({ scope: 'user/*.cruds', roles: ['integration-engine'] });
    const put = await fetch(`${first.url}/fhir/Patient/a`, {
      method: 'PUT',
      headers: { authorization, 'content-type': 'application/fhir+json' },
      body: JSON.stringify({ resourceType: 'Patient', id: 'a' }),
    });
    assert.equal(put.status, 201, await put.text());
    const sent: string[] = [];
    const answered: string[] = [];
    const user = async (): Promise<void> => {
      for (;;) {
        const jti = `j${sent.push('')}`;
        sent[sent.length - 1] = jti;
        const token = await emergency(jti);
        const status = await statusOf(`${first.url}/fhir/Patient/a`, token).catch(() => undefined);
        if (status === undefined) return; // the server was killed
        assert.equal(status, 200);
        answered.push(jti);
        if (answered.length === ENOUGH) await first.stop('SIGKILL');
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, user));

    const second = await start({ ISSUERS_DIR: issuers }, folder);
    const officer = await bearer({ scope: 'user/*.rs user/AuditEvent.rs', roles: ['privacy-officer'] });
    const found = async <T>(query: string): Promise<readonly T[]> => {
      const response = await fetch(`${second.url}/fhir/${query}&_count=500`, { headers: { authorization: officer } });
      const { entry = [] } = (await response.json()) as Bundle;
      return entry.map(({ resource }) => resource as T);
    };
    const told = async () => {
      const tasks = await found<Task>('Task?code=break-glass-review');
      const alerts = await found<AuditEvent>('AuditEvent?subtype=110127');
      return {
        tasks: tasks.map(({ input }) => input?.[0]?.valueUri?.slice(TOKEN.length)).toSorted(),
        alerts: alerts.map(({ agent }) => agent.at(-1)?.policy?.[0]?.slice(TOKEN.length)).toSorted(),
      };
    };
    const { tasks, alerts } = await told();
    assert.deepEqual(alerts, tasks, 'both or neither');
    assert.equal(new Set(tasks).size, tasks.length, 'once');
    assert.deepEqual(
      answered.filter((jti) => !tasks.includes(jti)),
      [],
    );
    for (const jti of sent) assert.equal(await statusOf(`${second.url}/fhir/Patient/a`, await emergency(jti)), 200);
    assert.deepEqual(await told(), { tasks: sent.toSorted(), alerts: sent.toSorted() }, 'those that were cut off too');
    await second.stop();
  } finally {
    removeFolder(folder);
  }
});
