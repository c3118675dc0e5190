// resource-operation-meta.html, -meta-add.html, -meta-delete.html; decision 0014: a change of meta is a version.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isJsonObject, type Json } from '../../src/fhir/resource.ts';
import { at, json } from '../world.ts';
import { type OperationsWorld, operationsWorld, out, parameters } from './operations-world.ts';

let w: OperationsWorld;
const TAG = { system: 'http://example.org', code: 'a', display: 'A' };
before(async () => {
  w = await operationsWorld();
});
after(async () => {
  await w.close();
  assert.deepEqual(w.reported, []);
});

const META = { tag: [TAG], profile: ['http://example.org/p'], source: 'http://example.org/s' };
let count = 0;
/** A fresh Patient with META. */
async function patient(): Promise<string> {
  const id = `p${++count}`;
  await w.hold({ resourceType: 'Patient', id, meta: META });
  return id;
}
const meta = (value: object) => ({ body: parameters(['meta', { valueMeta: value }]) });
const sets = (value: Json | undefined) =>
  value !== undefined && isJsonObject(value) ? [value.profile, value.security, value.tag, value.versionId] : [];

test('$meta gives what a read gives, as Parameters', async () => {
  const id = await patient();
  const given = out(await w.send('GET', `/Patient/${id}/$meta`), 'return');
  assert.deepEqual(given, json(await w.send('GET', `/Patient/${id}`)).meta);
});

const OTHER = { system: 'http://example.org', code: 'b' };
const rows: readonly (readonly [operation: string, given: object, after: unknown[], why: string])[] = [
  ['meta-add', { tag: [OTHER] }, [META.profile, undefined, [TAG, OTHER], '2'], 'a tag more'],
  ['meta-add', { tag: [{ ...TAG, display: 'other' }] }, [META.profile, undefined, [TAG], '1'], 'display is ignored'],
  ['meta-add', { tag: [OTHER, OTHER] }, [META.profile, undefined, [TAG, OTHER], '2'], 'sets: no duplicates'],
  ['meta-add', { security: [OTHER] }, [META.profile, [OTHER], [TAG], '2'], 'security labels'],
  [
    'meta-add',
    { profile: ['http://example.org/q'] },
    [[...META.profile, 'http://example.org/q'], undefined, [TAG], '2'],
    'profiles',
  ],
  ['meta-add', { versionId: '9', source: 'http://example.org/x' }, [META.profile, undefined, [TAG], '1'], 'only sets'],
  ['meta-delete', { tag: [TAG] }, [META.profile, undefined, undefined, '2'], 'the last tag'],
  ['meta-delete', { tag: [OTHER] }, [META.profile, undefined, [TAG], '1'], 'what is not there is no error'],
  ['meta-delete', { tag: [{ code: 'a' }] }, [META.profile, undefined, [TAG], '1'], 'identity is system and code'],
  ['meta-delete', { profile: META.profile }, [undefined, undefined, [TAG], '2'], 'a profile'],
];
for (const [operation, given, expected, why] of rows) {
  test(`$${operation} ${JSON.stringify(given)}: ${why}`, async () => {
    const id = await patient();
    const response = await w.send('POST', `/Patient/${id}/$${operation}`, meta(given));
    assert.equal(response.status, 200, response.body);
    assert.deepEqual(sets(out(response, 'return')), expected);
    const held = json(await w.send('GET', `/Patient/${id}`));
    assert.deepEqual(out(response, 'return'), held.meta);
    assert.equal(at(held, 'meta.source'), META.source);
  });
}

test('$meta-add makes a version that history shows, and the old one stays', async () => {
  const id = await patient();
  await w.send('POST', `/Patient/${id}/$meta-add`, meta({ tag: [OTHER] }));
  assert.deepEqual(at(json(await w.send('GET', `/Patient/${id}/_history/1`)), 'meta.tag'), [TAG]);
  assert.equal(json(await w.send('GET', `/Patient/${id}/_history`)).total, 2);
});

test('$meta-add is found by search at once', async () => {
  const id = await patient();
  await w.send('POST', `/Patient/${id}/$meta-add`, meta({ tag: [{ system: 'http://example.org', code: 'found' }] }));
  assert.equal(at(json(await w.send('GET', '/Patient?_tag=found')), 'entry.0.resource.id'), id);
});

test('$meta-add: 8 at once all hold', async () => {
  const id = await patient();
  const tags = Array.from({ length: 8 }, (_, index) => ({ system: 'http://example.org', code: `t${index}` }));
  await Promise.all(tags.map((tag) => w.send('POST', `/Patient/${id}/$meta-add`, meta({ tag: [tag] }))));
  const held = at(json(await w.send('GET', `/Patient/${id}`)), 'meta.tag');
  assert.equal(Array.isArray(held) ? held.length : 0, 9);
});

test('$meta-add: the audit names operation, version and patient', async () => {
  const id = await patient();
  w.accesses.length = 0;
  await w.send('POST', `/Patient/${id}/$meta-add`, meta({ tag: [OTHER] }));
  assert.equal(w.accesses.length, 1);
  const [entry] = w.accesses[0]?.entries ?? [];
  assert.deepEqual(
    [entry?.interaction, entry?.operation, entry?.resource, entry?.patients],
    ['operation', 'meta-add', { type: 'Patient', id, version: 2 }, [id]],
  );
});

const refused: readonly (readonly [method: string, url: string, sent: object, status: number, why: string])[] = [
  ['GET', '/$meta', {}, 404, 'not gathered for everything'],
  ['GET', '/Patient/$meta', {}, 404, 'nor for a type'],
  ['GET', '/Patient/nobody/$meta', {}, 404, 'not held'],
  ['POST', '/Patient/nobody/$meta-add', meta({ tag: [TAG] }), 404, 'not held'],
  ['GET', '/Patient/p1/$meta-add', {}, 400, 'meta is missing'],
  ['GET', '/Patient/p1/$meta-add?meta=x', {}, 400, 'meta is not a primitive'],
  ['POST', '/Patient/p1/$meta-add', { body: parameters(['meta', { valueString: 'x' }]) }, 400, 'meta of another type'],
  ['POST', '/Patient/p1/$meta-add', meta({ tag: 'x' }), 400, 'meta that is not valid'],
  ['POST', '/Patient/$meta-add', meta({ tag: [TAG] }), 404, 'of a type'],
  ['POST', '/AuditEvent/1-1-1/$meta-add', meta({ tag: [TAG] }), 404, 'AuditEvents never change'],
];
for (const [method, url, sent, status, why] of refused) {
  test(`meta refuses ${method} ${url}: ${why}`, async () => {
    await patient();
    assert.equal((await w.send(method, url, sent)).status, status);
  });
}

test('$meta of an AuditEvent can be read', async () => {
  await patient();
  assert.equal((await w.send('GET', '/AuditEvent/1-1-1/$meta')).status, 200);
});

test('a caller who sees only some of a type changes only these', async () => {
  const id = await patient();
  const some = () => ({ kind: 'ids', ids: [id] }) as const;
  assert.equal((await w.sendAs(some, 'GET', `/Patient/${id}/$meta`)).status, 200);
  assert.equal((await w.sendAs(some, 'POST', `/Patient/${id}/$meta-add`, meta({ tag: [OTHER] }))).status, 200);
  const others = () => ({ kind: 'ids', ids: ['another'] }) as const;
  assert.equal((await w.sendAs(others, 'GET', `/Patient/${id}/$meta`)).status, 404);
  assert.equal((await w.sendAs(others, 'POST', `/Patient/${id}/$meta-add`, meta({ tag: [OTHER] }))).status, 404);
});
