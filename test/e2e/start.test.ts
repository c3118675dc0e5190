// README: one command runs the main job; it prints three requests that work; data survives restarts; SIGTERM drains; loopback only.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { readConfig } from '../../src/config.ts';
import { limit, storeSettings } from '../test-store.ts';
import { newFolder, removeFolder, start } from './server.ts';

interface Searchset {
  readonly total?: number;
  readonly entry?: readonly {
    readonly resource: {
      readonly resourceType: string;
      readonly id: string;
      readonly subtype?: readonly { readonly code: string }[];
    };
  }[];
}

const paste = (command: string): unknown => JSON.parse(execFileSync('sh', ['-c', command], { encoding: 'utf8' }));

test('a first start seeds, prints three requests that work, and the next start keeps the data', {
  timeout: limit(120_000),
}, async () => {
  const folder = newFolder();
  try {
    const first = await start({ SEED: 'demo' }, folder);
    const commands = first
      .output()
      .split('\n')
      .filter((line) => line.startsWith('curl '));
    assert.equal(commands.length, 3, first.output());
    const [hook = '', search = '', audit = ''] = commands;
    const answered = paste(hook) as { cards: readonly { indicator: string; summary: string; uuid: string }[] };
    assert.ok(answered.cards.length >= 1, 'the hook call returns a card');
    assert.equal(answered.cards[0]?.indicator, 'critical');
    const found = paste(search) as Searchset;
    assert.ok((found.entry?.length ?? 0) > 0, 'the search finds heart rates');
    const events = (paste(audit) as Searchset).entry?.map(({ resource }) => resource) ?? [];
    assert.ok(events.every(({ resourceType }) => resourceType === 'AuditEvent'));
    const subtypes = events.flatMap(({ subtype }) => subtype?.map(({ code }) => code) ?? []);
    assert.ok(
      subtypes.includes('search-type') || subtypes.includes('search'),
      `the search is among the events: ${subtypes}`,
    );
    assert.ok(
      subtypes.some((code) => code.includes('order-sign')),
      `the hook call is among the events: ${subtypes}`,
    );
    assert.equal(await first.stop(), 0, 'SIGTERM drains and ends with 0');

    const second = await start({ SEED: 'demo' }, folder);
    assert.equal((await fetch(`${second.url}/fhir/Patient/demo-sepsis`)).status, 200);
    const version = (await (await fetch(`${second.url}/fhir/Patient/demo-sepsis`)).json()) as {
      meta: { versionId: string };
    };
    assert.equal(version.meta.versionId, '1', 'the second start does not seed again');
    assert.equal(await second.stop(), 0);

    const verdict = spawnSync(process.execPath, ['src/main.ts', 'verify-audit'], {
      env: { ...process.env, ...storeSettings(folder) },
      encoding: 'utf8',
    });
    assert.equal(verdict.status, 0, verdict.stdout + verdict.stderr);
  } finally {
    removeFolder(folder);
  }
});

test('SIGTERM at any moment of a start ends with 0, and the next start has everything', {
  timeout: limit(180_000),
}, async () => {
  const folder = newFolder();
  const env = { ...process.env, ...storeSettings(folder), SEED: 'demo' };
  try {
    for (const wait of [0, 150, 400, 800, 1600]) {
      const child = spawn(process.execPath, ['src/main.ts', 'serve'], { env: { ...env, PORT: '0' }, stdio: 'pipe' });
      const ended = once(child, 'exit');
      await once(child.stderr, 'data');
      await setTimeout(wait);
      child.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null], `${wait} ms after its first word`);
    }
    const next = await start({ SEED: 'demo' }, folder);
    assert.equal((await fetch(`${next.url}/fhir/Patient/demo-septic-shock`)).status, 200);
    assert.equal(await next.stop(), 0);
  } finally {
    removeFolder(folder);
  }
});

test('§1.1.1 without identity provider it does not listen beyond loopback', () => {
  const { status, stderr } = spawnSync(process.execPath, ['src/main.ts', 'serve'], {
    env: { ...process.env, HOST: '0.0.0.0', SEED: 'none', ...storeSettings(newFolder()) },
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 1);
  assert.match(stderr, /loopback/);
});

test('a PUBLIC_URL that links cannot begin with is refused and named', () => {
  const wrong = ['x', 'ftp://x.example', 'https://x.example/', 'https://x.example/a?b=1', 'https://x.example#a'];
  for (const PUBLIC_URL of [...wrong, 'https://me@x.example']) {
    assert.throws(() => readConfig({ PUBLIC_URL }), /PUBLIC_URL must be an http or https URL/, PUBLIC_URL);
  }
  for (const PUBLIC_URL of ['http://127.0.0.1:8080', 'https://x.example/firewatch']) {
    assert.equal(readConfig({ PUBLIC_URL }).PUBLIC_URL, PUBLIC_URL);
  }
});

test('every address of the machine without a PUBLIC_URL is refused: no link could be followed', () => {
  const folder = newFolder();
  const { status, stderr } = spawnSync(process.execPath, ['src/main.ts', 'serve'], {
    env: { ...process.env, HOST: '0.0.0.0', AUTHORIZATION: 'embedded', SEED: 'none', ...storeSettings(folder) },
    encoding: 'utf8',
    timeout: 60_000,
  });
  removeFolder(folder);
  assert.equal(status, 1);
  assert.match(stderr, /set PUBLIC_URL/);
});

test('a wrong setting stops the start and is named', () => {
  const { status, stderr } = spawnSync(process.execPath, ['src/main.ts', 'serve'], {
    env: { ...process.env, PORT: 'eighty', ...storeSettings(newFolder()) },
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 1);
  assert.match(stderr, /PORT/);
});

/** Status of a raw request with headers that `fetch` would not send. */
function statusOf(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('foreign Host, Origin and forwarding headers are refused on every room', { timeout: limit(60_000) }, async () => {
  const server = await start();
  try {
    for (const path of ['/fhir/metadata', '/fhir/Patient', '/cds-services']) {
      assert.equal(await statusOf(server.url + path, { host: 'attacker.example' }), 421, `${path} Host`);
      assert.equal(await statusOf(server.url + path, { origin: 'https://attacker.example' }), 403, `${path} Origin`);
      assert.ok(
        (await statusOf(server.url + path, { 'x-forwarded-for': '10.0.0.1' })) >= 400,
        `${path} X-Forwarded-For`,
      );
      assert.equal(await statusOf(server.url + path, {}), 200, `${path} control`);
    }
    assert.ok(
      (await statusOf(`${server.url}/fhir/Patient`, JSON.parse('{"__proto__":"x"}') as Record<string, string>)) < 500,
    );
  } finally {
    assert.equal(await server.stop(), 0);
    removeFolder(server.folder);
  }
});
