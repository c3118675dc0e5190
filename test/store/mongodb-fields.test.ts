// What a MongoDB is given to read when DATA_KEY_FILE is set, and what is found when it was changed there. docs/mongodb.md, docs/decisions/0058.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Binary } from 'mongodb';
import { connectMongo, mongoFields } from '../../src/store/mongodb/connect.ts';
import { changePassphrase } from '../../src/store/mongodb/data-key.ts';
import { sealedFields } from '../../src/store/mongodb/fields.ts';
import { Sealer } from '../../src/store/mongodb/xaes.ts';
import { openMongo } from '../../src/store/mongodb.ts';
import { StoreError } from '../../src/store/port.ts';
import { storeParts } from '../migrate/world.ts';
import { ok } from './contract.ts';
import { testServer } from './mongodb-server.ts';
import { auditRow, put } from './world.ts';

const server = await testServer();
const LIMIT = { timeout: 120_000, skip: 'skip' in server ? server.skip : false };
const urlOf = (): string => {
  if ('skip' in server) throw new TypeError('There is no server.');
  return server.url();
};
const KEY = 'a passphrase';
const common = { headKey: new Uint8Array(32), budgetMs: 10_000, ...storeParts };

/** @param key null: without one */
async function open(context: TestContext, url: string, key: string | null = KEY) {
  const store = await openMongo({ ...common, url, fields: await mongoFields(url, key ?? undefined) });
  context.after(() => store.close());
  return store;
}
const refused = (text: RegExp) => (error: unknown) =>
  error instanceof StoreError && error.reason === 'unavailable' && text.test(error.message);

const hex = (text: string) => Buffer.from(text, 'hex');
const NONCE = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWX');

test('fields@xaes: the test vectors of c2sp.org/XAES-256-GCM, one for either carry of the subkey', () => {
  const rows: readonly [key: number, bound: string, sealed: string][] = [
    [1, '', 'ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271'],
    [3, 'c2sp.org/XAES-256-GCM', '986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d'],
  ];
  for (const [byte, bound, expected] of rows) {
    const sealer = new Sealer(Buffer.alloc(32, byte));
    const sealed = sealer.seal(Buffer.from('XAES-256-GCM'), Buffer.from(bound), NONCE);
    assert.deepEqual(sealed, Buffer.concat([NONCE, hex(expected)]));
    assert.equal(sealer.open(sealed, Buffer.from(bound))?.toString(), 'XAES-256-GCM');
  }
});

test('fields@sealed: every bit that is flipped, another place, another key, a part: none opens', () => {
  const [fields, other] = [sealedFields(Buffer.alloc(32, 1)), sealedFields(Buffer.alloc(32, 2))];
  const place = ['version', 7, 'Patient/a'] as const;
  const sealed = fields.seal(place, 'Änne');
  assert.ok(sealed instanceof Binary);
  assert.equal(fields.open(place, sealed), 'Änne', 'control');
  const bytes = Buffer.from(sealed.value());
  const opens = (each: Buffer) => {
    try {
      return fields.open(place, new Binary(each));
    } catch {
      return undefined;
    }
  };
  assert.equal(opens(bytes), 'Änne', 'control');
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(opens(changed), undefined, `bit ${bit}`);
  }
  for (const length of [0, 1, 40, bytes.length - 1]) assert.equal(opens(bytes.subarray(0, length)), undefined);
  for (const moved of [
    ['version', 8, 'Patient/a'],
    ['version', 7, 'Patient/b'],
    ['kept', 7, 'Patient/a'],
  ] as const)
    assert.throws(() => fields.open(moved, sealed), /does not open/);
  assert.throws(() => other.open(place, sealed), /does not open/);
  assert.throws(() => fields.open(place, 'Änne'), /does not open/, 'a clear text is no sealed one');
  assert.notDeepEqual(fields.seal(place, 'Änne'), sealed, 'the same text is sealed to another each time');
});

test('fields@key: begun with a key it needs that key; begun without it takes none', LIMIT, async (context) => {
  const [url, plain] = [urlOf(), urlOf()];
  await Promise.all(Array.from({ length: 3 }, () => open(context, url)));
  await assert.rejects(mongoFields(url, undefined), refused(/written with a data key.*DATA_KEY_FILE/));
  await assert.rejects(openMongo({ ...common, url }), refused(/written with a data key/));
  await assert.rejects(mongoFields(url, 'another'), refused(/does not hold the passphrase/));
  await assert.rejects(mongoFields(url, ''), refused(/empty/));
  await open(context, plain, null);
  await assert.rejects(mongoFields(plain, KEY), refused(/without a data key.*firewatch migrate/));
  // A database of a release that knew no keys.
  const { client, db } = connectMongo(plain);
  context.after(() => client.close());
  await db.collection<{ _id: string }>('meta').deleteOne({ _id: 'fields' });
  await assert.rejects(mongoFields(plain, KEY), refused(/without a data key/));
  await open(context, plain, null);
});

test('fields@key: begun at the same time with and without a key, it is one of both for all', LIMIT, async () => {
  for (let round = 0; round < 5; round++) {
    const url = urlOf();
    const begun = await Promise.allSettled([KEY, undefined, KEY, undefined].map((key) => mongoFields(url, key)));
    const kinds = begun.map((each) => (each.status === 'fulfilled' ? each.value.isSealed : each.reason.reason));
    const isSealed = kinds.includes(true);
    assert.deepEqual(
      kinds,
      [true, false, true, false].map((each) => (each === isSealed ? each : 'unavailable')),
    );
  }
});

test(
  'fields@key: one that has lost its note, or holds another installation’s, is not opened',
  LIMIT,
  async (context) => {
    const [url, other] = [urlOf(), urlOf()];
    for (const each of [url, other]) await open(context, each);
    const [{ client, db }, second] = [connectMongo(url), connectMongo(other)];
    context.after(() => Promise.all([client.close(), second.client.close()]));
    const key = { type: 'Patient', id: 'a' };
    const store = await open(context, url);
    ok(await store.commit({ commands: [put('Patient', 'a')], audit: [] }));
    const meta = (of: typeof db) => of.collection<{ _id: string; value: string }>('meta');
    const note = await meta(second.db).findOne({ _id: 'fields' });
    await meta(db).replaceOne({ _id: 'fields' }, { value: note?.value ?? '' });
    const confused = await open(context, url);
    await assert.rejects(confused.read(key), /does not open/, 'the same passphrase, another data key');
    await meta(db).replaceOne({ _id: 'fields' }, { value: 'something else' });
    await assert.rejects(mongoFields(url, KEY), refused(/does not know/));
    await meta(db).deleteOne({ _id: 'fields' });
    await assert.rejects(mongoFields(url, KEY), refused(/without a data key/));
  },
);

test(
  'fields@rotation: another passphrase opens what the first one sealed; who runs goes on',
  LIMIT,
  async (context) => {
    const url = urlOf();
    const running = await open(context, url);
    const key = { type: 'Patient', id: 'a' };
    ok(await running.commit({ commands: [put('Patient', 'a')], audit: [] }));
    const { client, db } = connectMongo(url);
    context.after(() => client.close());
    const before = await db.collection('version').find().toArray();
    await assert.rejects(changePassphrase(db, 'another', 'next'), refused(/present passphrase/));
    await assert.rejects(changePassphrase(db, KEY, ''), refused(/empty/));
    await changePassphrase(db, KEY, 'next');
    await assert.rejects(mongoFields(url, KEY), refused(/changed to last/));
    const later = await open(context, url, 'next');
    assert.deepEqual(await later.read(key), await running.read(key));
    ok(await running.commit({ commands: [put('Patient', 'a', 2)], audit: [] }));
    assert.equal((await later.read(key))?.version, 2);
    assert.deepEqual((await db.collection('version').find().toArray()).slice(0, 1), before, 'nothing is written again');
  },
);

function bytesOf(stored: unknown): Buffer {
  assert.ok(stored instanceof Binary);
  return Buffer.from(stored.value());
}

const SECRET = 'Quirinus';
const value = { op: 'set', space: 'room', key: 'one', value: `{"of":"${SECRET}"}` } as const;

test(
  'fields@moved: a text that is changed or put elsewhere is an error, of whatever kind it is',
  LIMIT,
  async (context) => {
    const url = urlOf();
    const store = await open(context, url);
    const body = { head: `{"a":"${SECRET}","at":"`, tail: '"}' };
    const commands = ['a', 'b'].map((id) => ({ ...put('Patient', id), body }));
    const audit = [auditRow(`${SECRET} one`), auditRow(`${SECRET} two`)].map((row) => ({ ...row, erasable: SECRET }));
    const kept = ['k', 'l'].map((key) => ({ op: 'keep', key, value: SECRET }) as const);
    ok(await store.commit({ commands: [...commands, ...kept, value, { ...value, key: 'two' }], audit }));
    assert.deepEqual(await store.verifyAudit(), { rows: 2, broken: undefined }, 'control');
    const { client, db } = connectMongo(url);
    context.after(() => client.close());
    const ask = {
      version: () => store.read({ type: 'Patient', id: 'a' }),
      audit: () => store.read({ type: 'AuditEvent', id: '1-1-1' }),
      kept: () => store.kept('k'),
      keyed: () => store.keyed('room', 'one'),
    };
    const rows: readonly [collection: keyof typeof ask, member: string][] = [
      ['version', 'x'],
      ['audit', 'b'],
      ['audit', 'x'],
      ['kept', 'v'],
      ['keyed', 'v'],
    ];
    for (const [name, member] of rows) {
      const collection = db.collection<{ _id: number | string; readonly [member: string]: unknown }>(name);
      const [one, two] = await collection.find().sort({ _id: 1 }).toArray();
      const set = (to: unknown) => collection.updateOne({ _id: one?._id ?? '' }, { $set: { [member]: to } });
      const flipped = bytesOf(one?.[member]);
      flipped[30] = (flipped[30] ?? 0) ^ 1;
      for (const [what, to] of [
        ['flipped', new Binary(flipped)],
        ['moved', two?.[member]],
        ['clear', SECRET],
      ] as const) {
        await set(to);
        await assert.rejects(ask[name](), new RegExp(`does not open.*\\(${name} `), `${name}.${member} ${what}`);
        if (member === 'b') assert.deepEqual(await store.verifyAudit(), { rows: 0, broken: 1 }, what);
      }
      await set(one?.[member]);
      assert.ok(await ask[name](), `${name}.${member} as it was`);
    }
  },
);

test('fields@expiry: what a value expires by is bound to it', LIMIT, async (context) => {
  const url = urlOf();
  const store = await open(context, url);
  ok(await store.commit({ commands: [{ ...value, expiresAt: 9e12 }], audit: [] }));
  assert.equal((await store.keyed('room', 'one'))?.expiresAt, 9e12, 'control');
  const { client, db } = connectMongo(url);
  context.after(() => client.close());
  await db.collection('keyed').updateOne({}, { $set: { x: 9e12 + 1 } });
  await assert.rejects(store.keyed('room', 'one'), /does not open/);
});
