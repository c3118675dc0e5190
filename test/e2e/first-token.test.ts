// docs/authorization-server.md, "From nothing to a token": what the page says to type, typed; the browser's part by forms and cookies.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { Browser } from '../authorization/server-world.ts';
import { limit, storeSettings } from '../test-store.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const page = readFileSync('docs/authorization-server.md', 'utf8');
const section = /## From nothing to a token\n([\s\S]*?)\n## /.exec(page)?.[1] ?? '';
const [begin = '', service = '', address = '', exchange = ''] = [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(
  ([, text]) => text ?? '',
);
const keys = /whose private half stays with the service:\n```sh\n([\s\S]*?)```/.exec(page)?.[1] ?? '';

let server: Running;
let folder: string;
before(async () => {
  folder = newFolder();
  const checkout = join(folder, 'checkout');
  server = await start({ SEED: 'demo', AUTHORIZATION: 'embedded' }, join(folder, 'data'));
  execFileSync('mkdir', ['-p', checkout]);
  symlinkSync(resolve('node_modules'), join(checkout, 'node_modules'));
  symlinkSync(join(folder, 'data'), join(checkout, 'data'));
});
after(async () => {
  await server.stop();
  removeFolder(folder);
});

/** In a shell of its own, as far as the blocks go. */
function typed(...blocks: readonly string[]): string {
  const script = ['set -eu', ...blocks].join('\n').replaceAll('http://127.0.0.1:8080', server.url);
  return execFileSync('bash', ['-c', script], { encoding: 'utf8', cwd: join(folder, 'checkout') });
}

test('smart@open-paths: what needs no token tells nothing of a patient; everything else of FHIR needs one', async () => {
  for (const path of ['/fhir/metadata', '/fhir/.well-known/smart-configuration', '/health/live', '/health/ready']) {
    assert.equal((await fetch(server.url + path)).status, 200, path);
  }
  for (const path of ['/models', '/models.json', '/metrics']) {
    const answer = await fetch(server.url + path);
    assert.equal(answer.status, 200, path);
    assert.doesNotMatch(await answer.text(), /demo-(?!app|service)|Patient\/|[0-9a-f]{8}-[0-9a-f]{4}-/, path);
  }
  for (const path of ['/fhir', '/fhir/Patient', '/fhir/_history', '/fhir/Patient/demo-sepsis/_history']) {
    assert.equal((await fetch(server.url + path)).status, 401, path);
  }
});

test('smart-server@walkthrough: the commands of the page give a backend service a token that opens the API', {
  timeout: limit(120_000),
}, () => {
  assert.equal(begin.trim().split(/ {2,}/)[0], 'AUTHORIZATION=embedded npm start');
  const found = JSON.parse(typed(service));
  assert.deepEqual([found.resourceType, found.entry?.length], ['Bundle', 1]);
});

test('smart-server@walkthrough: the address that is printed signs a patient in, and its code gives a token', {
  timeout: limit(120_000),
}, async () => {
  const [, verifier = '', url = ''] =
    /V=(\S+)\n(http\S+)/.exec(typed('B=http://127.0.0.1:8080', address.replace('echo "', 'echo "V=$V"; echo "'))) ?? [];
  const browser = new Browser();
  let answer = await browser.ask(url);
  let at = url;
  for (let step = 0; step < 8 && !at.startsWith('http://127.0.0.1:3000/'); step++) {
    const location = answer.headers.get('location');
    if (location !== null) {
      at = new URL(location, server.url).href;
      if (!at.startsWith('http://127.0.0.1:3000/')) answer = await browser.ask(at);
    } else if (answer.text.includes('value="login"')) {
      answer = await browser.post(at, { step: 'login', name: 'patient', password: 'firewatch-demo' });
    } else {
      const scope = [...answer.text.matchAll(/name="scope" value="([^"]+)"/g)].map(([, each = '']) => each);
      assert.ok(scope.includes('patient/*.rs'), answer.text);
      answer = await browser.post(at, { step: 'consent', scope, patient: 'demo-sepsis' });
    }
  }
  const code = new URL(at).searchParams.get('code') ?? '';
  const told = JSON.parse(
    typed('B=http://127.0.0.1:8080', `V=${verifier}`, exchange.replace('code=CODE', `code=${code}`)),
  );
  assert.equal(told.patient, 'demo-sepsis');
  assert.ok(told.id_token);
  const read = await fetch(`${server.url}/fhir/Patient/demo-sepsis`, {
    headers: { authorization: `Bearer ${told.access_token}` },
  });
  assert.equal(read.status, 200);
});

test('smart-server@walkthrough: a key pair as the page makes it is one that `client add --jwks` takes, and what is none is said', {
  timeout: limit(120_000),
}, () => {
  typed(keys);
  const file = (name: string) => join(folder, 'checkout', name);
  const add = (jwks: string) =>
    spawnSync(
      process.execPath,
      ['src/main.ts', 'client', 'add', 'bulk', '--backend', '--jwks', jwks, '--scope', 'system/*.rs'],
      {
        encoding: 'utf8',
        env: { ...process.env, AUTHORIZATION: 'embedded', LOG_LEVEL: 'error', ...storeSettings(join(folder, 'other')) },
      },
    );
  const told = (jwks: string) => {
    const { status, stderr } = add(jwks);
    return [status, stderr.replace(`${join(folder, 'checkout')}/`, '')];
  };
  assert.deepEqual(told(file('none.json')), [1, 'firewatch: none.json cannot be read: ENOENT.\n']);
  assert.deepEqual(told(file('key.json')), [1, 'firewatch: key.json is no JSON Web Key Set: {"keys": [...]}.\n']);
  assert.deepEqual(told(file('keys.json')), [0, '']);
});
