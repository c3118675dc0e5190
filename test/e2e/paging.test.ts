// fhir-r4@http-paging, fhir-r4@search-paging: while others write, a walk shows each resource that does not change exactly once;
// next links are opaque and belong to their own search.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { limit, notOnStandIn } from '../test-store.ts';
import { type Json, labels, linkOf, type Send, sender } from './client.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const STILL = 60;
const MOVING = 40;
/** Writes during one walk. */
const WRITES = 80;

let server: Running;
let send: Send;
before(async () => {
  server = await start({ LOG_LEVEL: 'error' }, newFolder());
  send = sender(`${server.url}/fhir`);
  const entry = [...Array(STILL).keys()].map((number) => put(`still-${number}`, number));
  entry.push(...[...Array(MOVING).keys()].map((number) => put(`moving-${number}`, number)));
  const loaded = await send('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });
  assert.equal(loaded.status, 200, loaded.text);
});
after(async () => {
  assert.equal(await server.stop(), 0);
  removeFolder(server.folder);
});

/** Few values and some absent: most sort keys are ties. */
function content(id: string, number: number) {
  return {
    resourceType: 'Patient',
    id,
    active: true,
    ...(number % 5 === 0 ? {} : { birthDate: `19${70 + (number % 3)}-01` }),
    ...(number % 4 === 0 ? {} : { name: [{ family: `F${number % 6}` }, { family: `G${number % 7}` }] }),
    ...(number % 2 === 0 ? {} : { gender: 'female' }),
  };
}
const put = (id: string, number: number) => ({
  resource: content(id, number),
  request: { method: 'PUT', url: `Patient/${id}` },
});

async function walk(first: string, onPage: () => Promise<void>): Promise<readonly string[]> {
  const seen: string[] = [];
  for (let url: string | undefined = first; url !== undefined; ) {
    const { status, json, text }: { status: number; json: Json; text: string } = await send('GET', url);
    assert.equal(status, 200, `${url} ${text.slice(0, 200)}`);
    seen.push(...labels(json, 'match'));
    url = linkOf(json, 'next');
    await onPage();
  }
  return seen;
}

const SORTS = [
  '',
  '_id',
  '-_id',
  'birthdate',
  '-birthdate',
  'family',
  '-family',
  'gender,-birthdate',
  '-gender,family,_id',
  '_lastUpdated',
  '-_lastUpdated',
];
for (const [index, sort] of SORTS.entries()) {
  test(`each unchanged resource exactly once, sorted by \`${sort}\`, while others change`, {
    timeout: limit(60_000),
    skip: notOnStandIn('hundreds of sorted pages by scan in 60 s'),
  }, async () => {
    const sizes = [7, 1, 2, 3, 4, 5, 6].slice(index % 4, (index % 4) + 3);
    for (const count of sizes) {
      let turn = index * 1000 + count;
      const last = turn + 7 * WRITES; // a walk towards the newest would never end else
      const write = async (): Promise<void> => {
        turn += 7;
        if (turn > last) return;
        const id = `moving-${turn % MOVING}`;
        if (turn % 3 === 0) await send('DELETE', `/Patient/${id}`);
        else if (turn % 3 === 1) await send('PUT', `/Patient/${id}`, content(id, turn));
        else await send('POST', '/Patient', content('any', turn));
      };
      const seen = await walk(
        `/Patient?active=true&_count=${count}${sort === '' ? '' : `&_sort=${sort}`}`,
        async () => {
          await Promise.all([write(), write()]);
        },
      );
      const still = seen.filter((label) => label.startsWith('Patient/still-'));
      assert.equal(new Set(still).size, STILL, `_count=${count}: none left out`);
      assert.equal(still.length, STILL, `_count=${count}: none twice`);
      for (const { resource } of (await send('GET', '/Patient?_count=1000&_elements=id')).json.entry ?? []) {
        if (/^[0-9a-f-]{36}$/.test(resource?.id ?? '')) await send('DELETE', `/Patient/${resource?.id}`);
      }
    }
  });
}

test('history walks show each version that was there exactly once, while others are written', async () => {
  const held = labels((await send('GET', '/Patient/_history?_count=1000')).json).length;
  let turn = 0;
  const versions: string[] = [];
  for (let url: string | undefined = '/Patient/_history?_count=7'; url !== undefined; ) {
    const { json }: { json: Json } = await send('GET', url);
    versions.push(...(json.entry ?? []).map(({ fullUrl, response }) => `${fullUrl} ${response?.etag}`));
    url = linkOf(json, 'next');
    const id = `moving-${turn++ % MOVING}`;
    if (turn < WRITES) await send('PUT', `/Patient/${id}`, content(id, turn));
  }
  assert.equal(new Set(versions).size, versions.length, 'none twice');
  assert.ok(versions.length >= held, `${versions.length} of ${held}`);
});

test('a cursor belongs to its own search and cannot be made up', async () => {
  const next = linkOf((await send('GET', '/Patient?active=true&_count=3&_sort=birthdate')).json, 'next') ?? '';
  const cursor = new URL(next).searchParams.get('_cursor') ?? '';
  assert.ok(!/still|moving|19[67]/.test(Buffer.from(cursor, 'base64url').toString('latin1')), 'opaque');
  const flipped = (at: number) => `${cursor.slice(0, at)}${cursor[at] === 'A' ? 'B' : 'A'}${cursor.slice(at + 1)}`;
  const rows: readonly (readonly [why: string, path: string, status: number])[] = [
    ['control', `/Patient?active=true&_count=3&_sort=birthdate&_cursor=${cursor}`, 200],
    ['twice the same', `/Patient?active=true&_count=3&_sort=birthdate&_cursor=${cursor}`, 200],
    ['carrying _pretty along', `/Patient?active=true&_count=3&_sort=birthdate&_pretty=true&_cursor=${cursor}`, 200],
    ['first character', `/Patient?active=true&_count=3&_sort=birthdate&_cursor=${flipped(0)}`, 400],
    ['in the middle', `/Patient?active=true&_count=3&_sort=birthdate&_cursor=${flipped(40)}`, 400],
    ['near the end', `/Patient?active=true&_count=3&_sort=birthdate&_cursor=${flipped(cursor.length - 3)}`, 400],
    ['cut', `/Patient?active=true&_count=3&_sort=birthdate&_cursor=${cursor.slice(0, -2)}`, 400],
    ['longer', `/Patient?active=true&_count=3&_sort=birthdate&_cursor=${cursor}AAAA`, 400],
    ['empty', '/Patient?active=true&_count=3&_sort=birthdate&_cursor=', 400],
    ['huge', `/Patient?active=true&_count=3&_sort=birthdate&_cursor=${'A'.repeat(6000)}`, 400],
    ['other criteria', `/Patient?active=false&_count=3&_sort=birthdate&_cursor=${cursor}`, 400],
    ['no criteria', `/Patient?_count=3&_sort=birthdate&_cursor=${cursor}`, 400],
    ['another sort', `/Patient?active=true&_count=3&_sort=-birthdate&_cursor=${cursor}`, 400],
    ['another page size', `/Patient?active=true&_count=4&_sort=birthdate&_cursor=${cursor}`, 400],
    ['one criterion more', `/Patient?active=true&gender=female&_count=3&_sort=birthdate&_cursor=${cursor}`, 400],
    ['another type', `/Person?_count=3&_cursor=${cursor}`, 400],
    ['history', `/Patient/_history?_cursor=${cursor}`, 400],
  ];
  const wrong: string[] = [];
  for (const [why, path, status] of rows) {
    const answer = await send('GET', path);
    if (answer.status !== status) wrong.push(`${why}: ${answer.status} ${answer.text.slice(0, 150)}`);
  }
  assert.deepEqual(wrong, []);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const posted = await send('POST', '/Patient/_search', 'active=true&_count=3&_sort=birthdate', form);
  const followed = await send('GET', linkOf(posted.json, 'next') ?? '');
  assert.equal(followed.status, 200, 'the next link of a POST is a GET');
});
