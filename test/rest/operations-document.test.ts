// composition-operation-document.html, documents.html#content.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { at, BASE, json } from '../world.ts';
import { type OperationsWorld, operationsWorld } from './operations-world.ts';

let w: OperationsWorld;
const COMPOSITION = {
  resourceType: 'Composition',
  status: 'final',
  type: { text: 'note' },
  date: '2025-01-01',
  title: 'Note',
  subject: { reference: 'Patient/p1' },
  author: [{ reference: 'Practitioner/nurse' }],
};
before(async () => {
  w = await operationsWorld();
  await w.hold(
    { resourceType: 'Patient', id: 'p1' },
    { resourceType: 'Practitioner', id: 'nurse' },
    { resourceType: 'Condition', id: 'c1', subject: { reference: 'Patient/p1' } },
    {
      ...COMPOSITION,
      id: 'whole',
      section: [{ title: 'Problems', entry: [{ reference: 'Condition/c1' }, { reference: 'Patient/p1' }] }],
    },
    { ...COMPOSITION, id: 'broken', section: [{ title: 'x', entry: [{ reference: 'Condition/none' }] }] },
  );
});
after(async () => {
  await w.close();
  assert.deepEqual(w.reported, []);
});

test('$document: the Composition first, each part once, and the Bundle is valid', async () => {
  const bundle = json(await w.send('GET', '/Composition/whole/$document'));
  const entries = Array.isArray(bundle.entry) ? bundle.entry : [];
  assert.deepEqual(
    entries.map(({ fullUrl }) => fullUrl),
    ['Composition/whole', 'Patient/p1', 'Practitioner/nurse', 'Condition/c1'].map((each) => `${BASE}/${each}`),
  );
  assert.equal(bundle.type, 'document');
  const identifier = { system: 'urn:ietf:rfc:3986', value: 'urn:uuid:7c9e6679-7425-40de-944b-e07fc1f90ae7' }; // counted ids are no UUIDs
  const faults = w.context.validate({ ...bundle, resourceType: 'Bundle', identifier });
  assert.deepEqual(faults, []);
});

for (const id of ['whole', 'Composition/whole', `${BASE}/Composition/whole`]) {
  test(`$document of a type: id=${id}`, async () => {
    const bundle = json(await w.send('GET', `/Composition/$document?id=${id}`));
    assert.equal(at(bundle, 'entry.0.resource.id'), 'whole');
  });
}

const refused: readonly (readonly [url: string, status: number, why: string])[] = [
  ['/Composition/broken/$document', 422, 'a part is not held'],
  ['/Composition/none/$document', 404, 'not held'],
  ['/Composition/$document', 400, 'of which'],
  ['/Composition/whole/$document?id=whole', 400, 'named twice'],
  ['/Composition/$document?id=http://elsewhere.org/Composition/1', 404, 'of another server'],
  ['/Composition/whole/$document?persist=true', 400, 'nothing is stored'],
];
for (const [url, status, why] of refused) {
  test(`$document refuses ${url}: ${why}`, async () => assert.equal((await w.send('GET', url)).status, status));
}

test('$document: the audit names the patients', async () => {
  w.accesses.length = 0;
  await w.send('GET', '/Composition/whole/$document?persist=false');
  const [entry] = w.accesses[0]?.entries ?? [];
  assert.deepEqual([entry?.operation, at(entry, 'resource.id'), entry?.patients], ['document', 'whole', ['p1']]);
});

test('$document: what the caller may not see is no part of a document', async () => {
  const visible = (type: string) => (type === 'Condition' ? ({ kind: 'none' } as const) : ({ kind: 'all' } as const));
  assert.equal((await w.sendAs(visible, 'GET', '/Composition/whole/$document')).status, 422);
});
