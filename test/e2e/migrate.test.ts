// docs/mongodb.md#moving: the command, between two servers that answer the same through the door.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pace } from 'node:timers/promises';
import { testServer } from '../store/mongodb-server.ts';
import { type Send, sender } from './client.ts';
import { newFolder, removeFolder, start } from './server.ts';

const server = await testServer();

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

async function command(folder: string, ...given: readonly string[]): Promise<Ended> {
  return commandUntil(folder, () => undefined, ...given);
}

/** @param seen is given what was written so far, and the process to kill */
async function commandUntil(
  folder: string,
  seen: (output: string, child: ChildProcess) => void,
  ...given: readonly string[]
): Promise<Ended> {
  const { MONGODB_URL: _, ...inherited } = process.env;
  const child = spawn(process.execPath, ['src/main.ts', ...given], {
    env: { ...inherited, DATA_DIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk;
      seen(output, child);
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

const SYSTEM = 'http://example.org/pushed';
const pushed = (id: string) => {
  const subject = { reference: 'urn:uuid:9f1c6e9e-0c1b-4b3e-8d55-0a3f1a6f0001' };
  const { id: _, ...body } = pulse('', 80);
  return {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      {
        fullUrl: subject.reference,
        request: { method: 'POST', url: 'Patient' },
        resource: { resourceType: 'Patient', identifier: [{ system: SYSTEM, value: id }] },
      },
      { request: { method: 'POST', url: 'Observation' }, resource: { ...body, subject } },
      { request: { method: 'PUT', url: 'Patient/last' }, resource: patient('last', id) },
    ],
  };
};

/** Transactions one after the other. */
class Pusher {
  readonly #send: Send;
  readonly #name: string;
  readonly taken: string[] = [];
  readonly refused: string[] = [];
  /** Retry-After of what was refused. */
  readonly retry: (string | null)[] = [];
  #next = 0;

  constructor(send: Send, name: string) {
    this.#send = send;
    this.#name = name;
  }

  /** @param most transactions; with `untilRefused` as many as it takes beyond that, at a pace that the stand-in of MongoDB keeps up with */
  async push(most: number, untilRefused = false): Promise<void> {
    for (let sent = 0; sent < most || (untilRefused && this.refused.length === 0); sent++) {
      if (sent >= most) await pace(500);
      const id = `${this.#name}-${this.#next++}`;
      const { status, headers, text } = await this.#send('POST', '', pushed(id));
      if (status === 200) this.taken.push(id);
      else {
        assert.equal(status, 503, text);
        this.refused.push(id);
        this.retry.push(headers.get('retry-after'));
        if (untilRefused) return;
      }
    }
  }
}

test('firewatch migrate --online: transactions go on meanwhile, none is lost and none is there twice', {
  skip: 'skip' in server ? server.skip : process.env.MONGODB_URL ? 'names its own places' : false,
  timeout: 480_000,
}, async (t) => {
  if ('skip' in server) return;
  const folder = newFolder();
  t.after(() => removeFolder(folder));
  const url = server.url();
  const source = await start({ LOG_LEVEL: 'error' }, folder);
  const send = sender(`${source.url}/fhir`);
  await filled(send);
  const pushers = ['one', 'two'].map((name) => new Pusher(send, name));
  const pushing = (most: number, untilRefused = false) =>
    Promise.all(pushers.map((pusher) => pusher.push(most, untilRefused)));
  await pushing(5);

  const online = ['migrate', '--from', 'sqlite', '--to', url] as const;
  const [killed] = await Promise.all([
    commandUntil(folder, (output, child) => /copy \d/.test(output) && child.kill('SIGKILL'), ...online, '--online'),
    pushing(10),
  ]);
  assert.equal(killed.code, null, killed.output);
  await assert.rejects(start({ LOG_LEVEL: 'error', MONGODB_URL: url }, newFolder()), /is being filled/);
  const [inStep] = await Promise.all([command(folder, ...online, '--online'), pushing(15)]);
  assert.equal(inStep.code, 0, inStep.output);
  assert.match(inStep.output, /compare 100 % [\d,]+ rows\/s/);
  assert.match(inStep.output, /in step with the source/);
  const [left] = await Promise.all([command(folder, ...online, '--final'), pushing(10, true)]);
  assert.equal(left.code, 0, left.output);
  assert.match(left.output, /The source took no writes for \d+ ms, and takes none any more/);
  const retries = pushers.flatMap(({ retry }) => retry);
  assert.deepEqual(
    retries,
    retries.map(() => '1'),
  );
  assert.ok(pushers.every(({ refused }) => refused.length > 0));
  assert.equal((await send('GET', '/Patient/a')).status, 503, 'a read is answered with its AuditEvent only');
  assert.equal((await fetch(`${source.url}/health/ready`)).status, 503);
  await source.stop();
  await assert.rejects(start({ LOG_LEVEL: 'error' }, folder), /was moved/);

  const taken = pushers.flatMap((pusher) => pusher.taken);
  const there = await served(folder, { MONGODB_URL: url }, async (ask) => {
    const answers = await told(ask);
    const { json } = await ask('GET', `/Patient?identifier=${SYSTEM}|&_count=500`);
    const found = json.entry?.map(({ resource }) => Object(resource).identifier[0].value).sort();
    assert.deepEqual(found, taken.toSorted(), 'what was taken, each once, and no more');
    const count = async (query: string) => (await ask('GET', `/${query}&_summary=count`)).json.total;
    assert.equal(await count('Observation?code=8867-4'), taken.length + 1, 'with the one of before');
    return answers;
  });
  const back = await command(folder, 'migrate', '--from', 'sqlite', '--abandon');
  assert.equal(back.code, 0, back.output);
  assert.deepEqual(await served(folder, {}, told), there);
});
