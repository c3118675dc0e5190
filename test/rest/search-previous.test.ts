// search.html#paging, http.html#paging: the way back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { idsOf, json, linkOf } from '../world.ts';
import { type OperationsWorld, operationsWorld } from './operations-world.ts';

let w: OperationsWorld;
const SIZE = 60;
before(async () => {
  w = await operationsWorld();
  await w.hold(
    ...Array.from({ length: SIZE }, (_, index) => ({
      resourceType: 'Patient',
      id: `p${String(index).padStart(2, '0')}`,
      name: [{ family: `F${index % 7}` }],
    })),
  );
});
after(() => w.close());

async function page(url: string) {
  const response = await w.send('GET', url);
  assert.equal(response.status, 200, response.body);
  const bundle = json(response);
  const link = (relation: string) => linkOf(bundle, relation);
  return {
    ids: idsOf(bundle),
    next: link('next'),
    previous: link('previous'),
    first: link('first'),
    last: link('last'),
  };
}

/** Pages from the first on, as far as asked. */
async function forward(url: string, pages: number) {
  const seen = [await page(url)];
  for (let next = seen[0]?.next; next !== undefined && seen.length < pages; next = seen.at(-1)?.next)
    seen.push(await page(next));
  return seen;
}

const SEARCHES = ['/Patient?_count=5', '/Patient?_count=5&_sort=-family', '/?_type=Patient,Group&_count=5'];
for (const url of SEARCHES)
  test(`search.html#paging ${url}: previous leads to the pages that were there, up to the first`, async () => {
    const seen = await forward(url, 6);
    assert.equal(seen.length, 6);
    assert.equal(seen[0]?.previous, undefined, 'the first page has none');
    let here = seen.at(-1);
    for (const expected of seen.toReversed().slice(1)) {
      assert.ok(here?.previous !== undefined);
      here = await page(here.previous);
      assert.deepEqual(here.ids, expected.ids);
    }
    assert.equal(here?.previous, undefined);
    assert.equal(here?.first, undefined, 'it is the first page itself');
  });

test('search.html#paging forward again from a page that previous led to', async () => {
  const seen = await forward('/Patient?_count=5', 4);
  const back = await page(seen[3]?.previous ?? '');
  assert.deepEqual((await page(back.next ?? '')).ids, seen[3]?.ids);
});

test('search.html#paging far from the first page the way back is long, not endless, and the URL stays short', async () => {
  const seen = await forward('/Patient?_count=1&_sort=family', SIZE);
  assert.equal(seen.length, SIZE);
  assert.ok(seen.every(({ next = '' }) => next.length < 2000));
  let steps = 0;
  for (let here = seen.at(-1); here?.previous !== undefined; steps++) {
    here = await page(here.previous);
    assert.deepEqual(here.ids, seen.at(-2 - steps)?.ids);
  }
  assert.ok(steps >= 5 && steps < SIZE, `${steps} steps`);
});

test('search.html#paging there is no last link, and no previous beside a count', async () => {
  const [, second] = await forward('/Patient?_count=5', 2);
  assert.equal(second?.last, undefined);
  assert.equal((await page('/Patient?_summary=count')).previous, undefined);
});
