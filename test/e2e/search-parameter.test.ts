// docs/decisions/0017: a parameter added at run time on the real server with all its threads; kill -9 while its rows are made, restart, and it goes on.
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isStandIn, limit } from '../test-store.ts';
import { at } from '../world.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const HEADERS = { 'content-type': 'application/fhir+json' };
const EXTENSION = 'http://client.example/eye';
const PARAMETER = {
  resourceType: 'SearchParameter',
  id: 'eye',
  url: 'http://client.example/SearchParameter/eye',
  name: 'eye',
  status: 'active',
  description: 'Colour of the eyes.',
  code: 'eye',
  base: ['Patient'],
  type: 'token',
  expression: `Patient.extension('${EXTENSION}').value`,
};

async function asked(server: Running, path: string, init: RequestInit = {}) {
  const response = await fetch(`${server.url}${path}`, { headers: HEADERS, ...init });
  const text = await response.text();
  const body: unknown = text === '' ? {} : JSON.parse(text);
  return { status: response.status, body };
}
const patient = (id: string, code: string) => ({
  resourceType: 'Patient',
  id,
  extension: [{ url: EXTENSION, valueCode: code }],
});
const bundle = (resources: readonly { resourceType: string; id: string }[]) =>
  JSON.stringify({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: resources.map((resource) => ({
      resource,
      request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
    })),
  });
const percentOf = async (server: Running): Promise<number | undefined> => {
  const { body } = await asked(server, '/health/ready');
  const checks = at(body, 'checks') as readonly unknown[];
  const found = checks.find((each) => at(each, 'name') === 'search-parameters');
  return found === undefined ? undefined : Number(at(found, 'observedValue'));
};
/** Each look is a write to the store (readiness, a refused search with its AuditEvent): the stand-in would do little else. */
const isSlow = isStandIn(process.env.MONGODB_URL);
const LOOK_MS = isSlow ? 200 : 10;
const until = async (holds: () => Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
};
const count = async (server: Running, code: string): Promise<unknown> => {
  const { status, body } = await asked(server, `/fhir/Patient?eye=${code}&_summary=count`);
  return status === 200 ? at(body, 'total') : status;
};

/** Several places are kept on the way, one in 500. */
const MANY = isSlow ? 1500 : 3000;

test('kill -9 while rows are made, twice; writes meanwhile; the parameter comes back whole', {
  timeout: limit(120_000),
}, async () => {
  const folder = newFolder();
  let server = await start({}, folder);
  try {
    for (let first = 0; first < MANY; first += 500) {
      const body = bundle(Array.from({ length: 500 }, (_, index) => patient(`p${first + index}`, 'blue')));
      assert.equal((await asked(server, '/fhir', { method: 'POST', body })).status, 200);
    }
    const sent = { method: 'PUT', body: JSON.stringify(PARAMETER) };
    assert.equal((await asked(server, '/fhir/SearchParameter/eye', sent)).status, 201);
    assert.equal(await count(server, 'blue'), 400, 'refused while rows are made');
    const places: number[] = [];
    for (const least of [40, 75]) {
      await until(async () => ((await percentOf(server)) ?? 100) >= least);
      const id = `p${least}`;
      const written = { method: 'PUT', body: JSON.stringify(patient(id, 'green')) };
      assert.equal((await asked(server, `/fhir/Patient/${id}`, written)).status, 200);
      assert.equal(await server.stop('SIGKILL'), 'SIGKILL');
      server = await start({}, folder);
      places.push((await percentOf(server)) ?? 100);
    }
    assert.ok(
      places.every((percent) => percent > 0),
      `it went on from ${places}, not from the beginning`,
    );
    await until(async () => (await percentOf(server)) === undefined);
    await until(async () => (await count(server, 'blue')) !== 400);
    assert.deepEqual([await count(server, 'blue'), await count(server, 'green')], [MANY - 2, 2]);
    // The log comes through a pipe: it may be later than the answer.
    await until(async () => /"event":"reindexing","resourceType":"Patient","percent":100/.test(server.output()));

    // The heavy thread answers by the same definitions: a search in XML goes there.
    const heavy = await fetch(`${server.url}/fhir/Patient?eye=green&_format=xml`);
    assert.equal(heavy.status, 200);
    assert.match(await heavy.text(), /<total value="2"\/>/);
    // A definition inside a large transaction is written by the heavy thread and known to the main one before the answer.
    const padding = Array.from({ length: 200 }, (_, index) => patient(`extra${index}`, 'grey'));
    const second = { ...PARAMETER, id: 'iris', code: 'iris', url: 'http://client.example/SearchParameter/iris' };
    assert.equal((await asked(server, '/fhir', { method: 'POST', body: bundle([...padding, second]) })).status, 200);
    const { status, body } = await asked(server, '/fhir/Patient?iris=grey');
    assert.ok(status === 200 || /not yet indexed/.test(JSON.stringify(body)), JSON.stringify(body));
    await until(async () => (await asked(server, '/fhir/Patient?iris=grey&_count=1')).status === 200);
    assert.equal(at((await asked(server, '/fhir/Patient?iris=grey&_summary=count')).body, 'total'), 200);

    assert.equal((await asked(server, '/fhir/SearchParameter/eye', { method: 'DELETE' })).status, 204);
    assert.equal(await count(server, 'blue'), 400);
    assert.equal(await server.stop(), 0, 'it stops while rows are removed');
    server = await start({}, folder);
    await until(async () => (await percentOf(server)) === undefined);
    const states = await asked(server, '/fhir/SearchParameter/$status');
    assert.equal((at(states.body, 'parameter') as readonly unknown[]).length, 1);
    assert.equal(await server.stop(), 0);
  } finally {
    await server.stop('SIGKILL');
    removeFolder(folder);
  }
});

test('a file that is laid into the folder while the server runs', { timeout: limit(60_000) }, async () => {
  const folder = newFolder();
  const files = join(folder, 'search-parameters');
  mkdirSync(files);
  const lay = (name: string, text: string): void => {
    writeFileSync(join(files, `${name}.part`), text);
    renameSync(join(files, `${name}.part`), join(files, `${name}.json`));
  };
  let server = await start({ SEARCH_PARAMETERS_DIR: files }, folder);
  try {
    const written = { method: 'PUT', body: JSON.stringify(patient('p1', 'blue')) };
    assert.equal((await asked(server, '/fhir/Patient/p1', written)).status, 201);
    lay('broken', '{');
    lay('refused', JSON.stringify({ ...PARAMETER, code: 'gender' }));
    lay('eye', JSON.stringify(PARAMETER));
    await until(async () => (await count(server, 'blue')) === 1);
    assert.match(server.output(), /"event":"parameter-files-refused","count":2/);
    const sent = { method: 'PUT', body: JSON.stringify(PARAMETER) };
    assert.equal((await asked(server, '/fhir/SearchParameter/eye', sent)).status, 409, 'the place is taken');
    assert.equal(await server.stop(), 0);
    server = await start({ SEARCH_PARAMETERS_DIR: files }, folder);
    assert.equal(await count(server, 'blue'), 1, 'a restart brings it back');
    rmSync(join(files, 'eye.json'));
    await until(async () => (await count(server, 'blue')) === 400);
    assert.equal((await asked(server, '/fhir/SearchParameter/eye', sent)).status, 201, 'the place is free');
    assert.equal(await server.stop(), 0);
  } finally {
    await server.stop('SIGKILL');
    removeFolder(folder);
  }
});
