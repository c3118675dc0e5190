// fhir-r4@http-concurrency, @http-ccreate, @http-transaction under contention: what must happen once happens once, and is audited.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Json, labels, type Send, sender } from './client.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const WIDE = 64;
/** 1,000 in `npm run test:full`. */
const ROUNDS = Number(process.env.RACE_ROUNDS ?? 20);

let server: Running;
let send: Send;
before(async () => {
  server = await start({ LOG_LEVEL: 'error' }, newFolder());
  send = sender(`${server.url}/fhir`);
});
after(async () => {
  assert.equal(await server.stop(), 0);
  removeFolder(server.folder);
});

const together = <T>(work: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: WIDE }, (_, index) => work(index)));
const tally = (values: readonly unknown[]): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(values, String)].map(([value, list]) => [value, list.length]));
const identified = (value: string) => ({ resourceType: 'Patient', identifier: [{ system: 'urn:race', value }] });

test(`${WIDE} conditional creates with the same criteria make one resource, ${ROUNDS} times`, {
  timeout: 1_800_000,
}, async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const body = identified(`create-${round}`);
    const answers = await together(() =>
      send('POST', '/Patient', body, { 'if-none-exist': `identifier=urn:race|create-${round}` }),
    );
    assert.deepEqual(tally(answers.map(({ status }) => status)), { 200: WIDE - 1, 201: 1 });
    assert.equal(new Set(answers.map(({ json }) => json.id)).size, 1, 'all are told of the same resource');
    assert.equal((await send('GET', `/Patient?identifier=urn:race|create-${round}`)).json.total, 1);
  }
});

test(`${WIDE} conditional updates with the same criteria make one resource with ${WIDE} versions`, async () => {
  const answers = await together((index) =>
    send('PUT', '/Patient?identifier=urn:race|update', { ...identified('update'), multipleBirthInteger: index }),
  );
  assert.deepEqual(tally(answers.map(({ status }) => status)), { 200: WIDE - 1, 201: 1 });
  assert.equal((await send('GET', '/Patient?identifier=urn:race|update')).json.total, 1);
  assert.equal(new Set(answers.map(({ json }) => json.meta?.versionId)).size, WIDE);
});

/** What races beside creates; each round on criteria of its own. */
const RACES = Math.max(2, Math.ceil(ROUNDS / 10));

test(`${WIDE} conditional patches with the same criteria: a version each, none lost, ${RACES} times`, {
  timeout: 900_000,
}, async () => {
  const json = { 'content-type': 'application/json-patch+json' };
  for (let round = 0; round < RACES; round++) {
    const criteria = `identifier=urn:race|patch-${round}`;
    await send('POST', '/Patient', identified(`patch-${round}`));
    const answers = await together((index) => {
      const name = { family: `f${index}` };
      const change = [
        { op: 'add', path: index === 0 ? '/name' : '/active', value: index === 0 ? [name] : index % 2 === 0 },
      ];
      return send('PATCH', `/Patient?${criteria}`, change, json);
    });
    assert.deepEqual(tally(answers.map(({ status }) => status)), { 200: WIDE });
    const found = (await send('GET', `/Patient?${criteria}`)).json;
    assert.equal(found.total, 1);
    const [held] = found.entry ?? [];
    assert.deepEqual(held?.resource?.name, [{ family: 'f0' }], 'no patch is lost by another');
    const { entry = [] } = (await send('GET', `/${labels(found)[0]}/_history?_count=1000`)).json;
    const versions = entry.map(({ resource }) => Number(resource?.meta?.versionId));
    assert.deepEqual(
      versions,
      versions.map((_, index) => versions.length - index),
      'without gaps',
    );
  }
});

test(`${WIDE} conditional deletes, updates and creates with the same criteria: never two at once, ${RACES} times`, {
  timeout: 900_000,
}, async () => {
  for (let round = 0; round < RACES; round++) {
    const criteria = `identifier=urn:race|mixed-${round}`;
    const body = identified(`mixed-${round}`);
    const answers = await together((index) => {
      if (index % 4 === 0) return send('DELETE', `/Patient?${criteria}`);
      if (index % 4 === 1) return send('PUT', `/Patient?${criteria}`, { ...body, multipleBirthInteger: index });
      return send('POST', '/Patient', body, { 'if-none-exist': criteria });
    });
    assert.ok(
      answers.every(({ status }) => [200, 201, 204].includes(status)),
      JSON.stringify(tally(answers.map(({ status }) => status))),
    );
    const { total = Number.NaN } = (await send('GET', `/Patient?${criteria}`)).json;
    assert.ok(total <= 1, `${total} at the end`);
    const created = new Set(answers.filter(({ status }) => status === 201).map(({ json }) => json.id));
    const gone = answers.filter(({ status }) => status === 204).length;
    assert.ok(created.size >= 1 && created.size <= gone + 1, `${created.size} created, ${gone} deletes`);
    // At no instant were there two: a creation begins only after the deletion of the one before.
    const lives: (readonly [from: number, to: number])[] = [];
    for (const id of created) {
      const { entry = [] } = (await send('GET', `/Patient/${id}/_history?_count=1000`)).json;
      const at = entry.map(({ response }) => Date.parse(response?.lastModified ?? ''));
      const isGone = entry[0]?.request?.method === 'DELETE';
      lives.push([at.at(-1) ?? Number.NaN, isGone ? (at[0] ?? Number.NaN) : Number.POSITIVE_INFINITY]);
    }
    const ordered = lives.toSorted(([a], [b]) => a - b);
    ordered.slice(1).forEach(([from], index) => {
      const [, to] = ordered[index] ?? [0, 0];
      assert.ok(from >= to, `round ${round}: created at ${from} while another lived to ${to}`);
    });
  }
});

test(`${WIDE} conditional deletes of one resource: one version says so`, async () => {
  await send('POST', '/Patient', identified('gone'));
  const [label] = labels((await send('GET', '/Patient?identifier=urn:race|gone')).json);
  const answers = await together(() => send('DELETE', '/Patient?identifier=urn:race|gone'));
  assert.deepEqual(tally(answers.map(({ status }) => status)), { 204: WIDE });
  const { entry = [] } = (await send('GET', `/${label}/_history`)).json;
  assert.deepEqual(
    entry.map(({ request }) => request?.method),
    ['DELETE', 'POST'],
  );
});

test(`${WIDE} updates without If-Match all succeed, with consecutive versions`, async () => {
  const answers = await together((index) =>
    send('PUT', '/Patient/wild', { resourceType: 'Patient', id: 'wild', multipleBirthInteger: index }),
  );
  assert.deepEqual(tally(answers.map(({ status }) => status)), { 200: WIDE - 1, 201: 1 });
  const versions = answers.map(({ json }) => Number(json.meta?.versionId)).toSorted((a, b) => a - b);
  assert.deepEqual(
    versions,
    Array.from({ length: WIDE }, (_, index) => index + 1),
  );
  const { entry = [] } = (await send('GET', '/Patient/wild/_history?_count=1000')).json;
  const kept = new Map(entry.map(({ resource }) => [resource?.meta?.versionId, resource?.multipleBirthInteger]));
  for (const { json } of answers) assert.equal(kept.get(json.meta?.versionId), json.multipleBirthInteger, 'as told');
});

test(`of ${WIDE} updates with If-Match one wins each version`, async () => {
  await send('PUT', '/Patient/tame', { resourceType: 'Patient', id: 'tame' });
  for (let version = 1; version <= 5; version++) {
    const answers = await together((index) =>
      send(
        'PUT',
        '/Patient/tame',
        { resourceType: 'Patient', id: 'tame', multipleBirthInteger: version * WIDE + index },
        {
          'if-match': `W/"${version}"`,
        },
      ),
    );
    assert.deepEqual(tally(answers.map(({ status }) => status)), { 200: 1, 412: WIDE - 1 });
    const [won] = answers.filter(({ status }) => status === 200);
    assert.equal((await send('GET', '/Patient/tame')).json.multipleBirthInteger, won?.json.multipleBirthInteger);
  }
});

test('deletes and updates of one resource: a version each, none lost', async () => {
  const answers = await together((index) =>
    index % 2 === 0
      ? send('DELETE', '/Patient/flicker')
      : send('PUT', '/Patient/flicker', { resourceType: 'Patient', id: 'flicker', multipleBirthInteger: index }),
  );
  assert.ok(
    answers.every(({ status }) => [200, 201, 204].includes(status)),
    JSON.stringify(tally(answers.map(({ status }) => status))),
  );
  const { entry = [] } = (await send('GET', '/Patient/flicker/_history?_count=1000')).json;
  const versions = entry.map(({ response }) => Number(response?.etag?.slice(3, -1)));
  assert.deepEqual(
    versions,
    versions.map((_, index) => versions.length - index),
    'without gaps',
  );
  assert.equal(entry.filter(({ request }) => request?.method === 'PUT').length, WIDE / 2);
});

test('transactions that meet at one conditional reference and one conditional create', async () => {
  const bundle = (index: number) => ({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      {
        fullUrl: 'urn:uuid:7c9e6679-7425-40de-944b-e07fc1f90ae7',
        resource: identified('shared'),
        request: { method: 'POST', url: 'Patient', ifNoneExist: 'identifier=urn:race|shared' },
      },
      ...['urn:uuid:7c9e6679-7425-40de-944b-e07fc1f90ae7', 'Patient?identifier=urn:race|shared'].map((reference) => ({
        resource: { resourceType: 'Observation', status: 'final', code: { text: `${index}` }, subject: { reference } },
        request: { method: 'POST', url: 'Observation' },
      })),
    ],
  });
  const answers = await together((index) => send('POST', '', bundle(index)));
  assert.deepEqual(tally(answers.map(({ status }) => status)), { 200: WIDE });
  const found = (await send('GET', '/Patient?identifier=urn:race|shared')).json;
  assert.equal(found.total, 1);
  const { total } = (await send('GET', `/Observation?subject=${labels(found)[0]}&_summary=count`)).json;
  assert.equal(total, 2 * WIDE, 'every Observation points at it');
});

test('half of the transactions fail: their entries are nowhere', async () => {
  const answers = await together((index) =>
    send('POST', '', {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [
        { resource: { resourceType: 'Basic', code: { text: 'x' } }, request: { method: 'POST', url: 'Basic' } },
        index % 2 === 0
          ? { resource: { resourceType: 'Basic', code: { text: 'y' } }, request: { method: 'POST', url: 'Basic' } }
          : { request: { method: 'GET', url: 'Basic/none' } },
      ],
    }),
  );
  assert.deepEqual(tally(answers.map(({ status }) => status)), { 200: WIDE / 2, 404: WIDE / 2 });
  assert.equal((await send('GET', '/Basic?_summary=count')).json.total, WIDE);
});

test('what was answered is found at once: read your writes', async () => {
  const wrong: string[] = [];
  await together(async (index) => {
    await send('POST', '/Patient', identified(`mine-${index}`));
    const found = (await send('GET', `/Patient?identifier=urn:race|mine-${index}`)).json;
    if (found.total !== 1) wrong.push(`${index}: ${found.total}`);
  });
  assert.deepEqual(wrong, []);
});

test('one AuditEvent for every request, refused or not', async () => {
  const count = async (): Promise<number> => (await send('GET', '/AuditEvent?_summary=count')).json.total ?? Number.NaN;
  const first = await count();
  const kinds: readonly (() => Promise<{ status: number; json: Json }>)[] = [
    () => send('GET', '/Patient/wild'),
    () => send('GET', '/Patient/none'),
    () => send('GET', '/Patient?name=x'),
    () => send('GET', '/Patient?nonsense=x'),
    () => send('POST', '/Patient', { resourceType: 'Patient' }),
    () => send('POST', '/Patient', { resourceType: 'Patient', nonsense: 1 }),
    () => send('GET', '/Nonsense/1'),
    () => send('PUT', '/Patient/wild', { resourceType: 'Patient', id: 'wild' }, { 'if-match': 'W/"1"' }),
  ];
  const answers = await together((index) => (kinds[index % kinds.length] ?? kinds[0])?.() ?? Promise.reject());
  assert.equal(answers.length, WIDE);
  assert.equal((await count()) - first, WIDE + 1, 'the requests, and the first count itself');
});
