// The connection strings of tests, and the compose file that runs the suite on a replica set: it cannot be run here, so what can be read of it is.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { withDatabase } from '../test-store.ts';

const URLS: readonly (readonly [url: string, expected: string])[] = [
  ['mongodb://a', 'mongodb://a/x'],
  ['mongodb://a/', 'mongodb://a/x'],
  ['mongodb://a,b:1,c/other?replicaSet=rs0', 'mongodb://a,b:1,c/x?replicaSet=rs0'],
  ['mongodb+srv://u:p@a.example/?tls=true', 'mongodb+srv://u:p@a.example/x?tls=true'],
];
for (const [url, expected] of URLS) {
  test(`a database of its own in ${url}`, () => assert.equal(withDatabase(url, 'x'), expected));
}

test('the compose file starts each member of the set that it initiates, and the tests name the same', () => {
  const file = readFileSync('deploy/mongodb-test-set.compose.yaml', 'utf8');
  const services = [...file.matchAll(/^ {2}(mongo\d):$/gm)].map(([, name]) => name);
  const members = [...file.matchAll(/host: '(mongo\d):27017'/g)].map(([, name]) => name);
  assert.deepEqual(members, services);
  assert.equal(services.length, 3);
  const [, hosts = '', set] = /MONGODB_URL: mongodb:\/\/([^/]+)\/\?replicaSet=(\w+)/.exec(file) ?? [];
  assert.deepEqual(
    hosts.split(','),
    services.map((name) => `${name}:27017`),
  );
  assert.match(file, new RegExp(`--replSet, ${set},`));
  assert.match(file, new RegExp(`_id: '${set}'`));
});
