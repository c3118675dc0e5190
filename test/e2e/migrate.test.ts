// docs/mongodb.md#moving: the command, between two servers that answer the same through the door.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testServer } from '../store/mongodb-server.ts';
import { type Send, sender } from './client.ts';
import { newFolder, removeFolder, start } from './server.ts';

const server = await testServer();

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

async function command(folder: string, ...given: readonly string[]): Promise<Ended> {
  const { MONGODB_URL: _, ...inherited } = process.env;
  const child = spawn(process.execPath, ['src/main.ts', ...given], {
    env: { ...inherited, DATA_DIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk;
    });
  await once(child, 'close');
  return { code: child.exitCode, output };
}

const patient = (id: string, family: string) => ({ resourceType: 'Patient', id, name: [{ family }] });
const pulse = (id: string, value: number) => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: 'Patient/a' },
  effectiveDateTime: '2026-01-02T03:04:05Z',
  valueQuantity: { value, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
});

async function filled(send: Send): Promise<void> {
  for (const [path, body] of [
    ['/Patient/a', patient('a', 'First')],
    ['/Patient/a', patient('a', 'Second')],
    ['/Patient/b', patient('b', 'Other')],
    ['/Observation/one', pulse('one', 80)],
    ['/Observation/two', pulse('two', 120)],
  ] as const) {
    const { status, text } = await send('PUT', path, body);
    assert.ok(status < 300, text);
  }
  assert.ok((await send('DELETE', '/Observation/two')).status < 300);
}

/** Answers without what is of the server or the moment: ports, the Bundle's own id and instant. */
async function told(send: Send): Promise<readonly string[]> {
  const asked = [
    '/Patient/a',
    '/Patient/a/_history',
    '/Observation/two/_history',
    '/Patient?name=second',
    '/Observation?patient=a&code=http://loinc.org|8867-4&value-quantity=gt70',
    '/Patient?_has:Observation:patient:code=8867-4',
    '/AuditEvent?patient=a&action=C,U,D&_count=50',
    '/AuditEvent?entity=Observation/one&action=C,U&_count=50',
  ];
  const answers: string[] = [];
  for (const path of asked) {
    const { status, json } = await send('GET', path);
    assert.equal(status, 200, path);
    const found = json.entry?.map(({ resource, request }) => [resource, request]) ?? json;
    if (path.includes('?')) assert.ok((json.entry?.length ?? 0) > 0, `${path} finds something`);
    answers.push(JSON.stringify(found).replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, ''));
  }
  return answers;
}

async function served<T>(folder: string, env: Readonly<Record<string, string>>, body: (send: Send) => Promise<T>) {
  const running = await start({ LOG_LEVEL: 'error', ...env }, folder);
  try {
    return await body(sender(`${running.url}/fhir`));
  } finally {
    await running.stop();
  }
}

test('firewatch migrate: to MongoDB and to another folder, the answers are the same', {
  skip: 'skip' in server ? server.skip : process.env.MONGODB_URL ? 'names its own places' : false,
  timeout: 240_000,
}, async (t) => {
  if ('skip' in server) return;
  const [one, other] = [newFolder(), newFolder()];
  t.after(() => {
    for (const folder of [one, other]) removeFolder(folder);
  });
  const before = await served(one, {}, async (send) => {
    await filled(send);
    return told(send);
  });
  const url = server.url();
  const there = await command(one, 'migrate', '--from', 'sqlite', '--to', url);
  assert.equal(there.code, 0, there.output);
  assert.match(there.output, /version of Patient +3 +3 +equal/);
  assert.doesNotMatch(there.output, /DIFFERS|Copy from|mongodb:\/\//);

  const again = await command(one, 'migrate', '--from', 'sqlite', '--to', url);
  assert.equal(again.code, 1);
  assert.match(again.output, /The target holds data/);
  const same = await command(one, 'migrate', '--from', 'sqlite', '--to', `sqlite:${one}`);
  assert.match(same.output, /the same store/);
  const unknown = await command(one, 'migrate', '--from', 'sqlite', '--to', 'oracle');
  assert.match(unknown.output, /A store is/);

  assert.deepEqual(await served(one, { MONGODB_URL: url }, told), before);
  const back = await command(one, 'migrate', '--from', url, '--to', `sqlite:${other}`);
  assert.equal(back.code, 0, back.output);
  assert.match(back.output, /Copy from .*audit\.key, cursor\.key/);
  for (const name of ['audit.key', 'cursor.key', 'record.key']) copyFileSync(join(one, name), join(other, name));
  assert.deepEqual(await served(other, {}, told), before);
  const verified = await command(other, 'verify-audit');
  assert.equal(verified.code, 0, verified.output);
});
