// Two releases with different search definitions beside each other on one MongoDB database: neither undoes the other's index rows. docs/decisions/0056.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import type { IndexOf } from '../../src/store/engine.ts';
import { disown } from '../../src/store/mongodb/index-owner.ts';
import { type MongoStore, openMongo } from '../../src/store/mongodb.ts';
import { StoreError } from '../../src/store/port.ts';
import { ok, pages, plan } from './contract.ts';
import { testServer } from './mongodb-server.ts';
import { put } from './world.ts';

const server = await testServer();
const LIMIT = { timeout: 120_000, skip: 'skip' in server ? server.skip : false };
const TYPES = ['Patient'];

/** What a release indexes of every Patient: one value for each parameter that it knows. */
const entriesOf = (parameters: readonly string[]): readonly IndexEntry[] =>
  parameters.map((parameter) => ({ kind: 'uri', parameter: `Patient.${parameter}`, value: 'x', group: 0 }));
interface Release {
  readonly hash: string;
  readonly entries: readonly IndexEntry[];
  readonly indexOf: IndexOf;
}
const release = (hash: string, parameters: readonly string[]): Release => {
  const entries = entriesOf(parameters);
  return { hash, entries, indexOf: () => ({ entries, patients: [] }) };
};
const OLD = release('one', ['a']);
const NEW = release('two', ['a', 'b']);

function world(context: TestContext) {
  if ('skip' in server) throw new TypeError('There is no server.');
  const own = { url: server.url(), renderAudit: () => '', headKey: new Uint8Array(32), types: TYPES };
  return async ({ hash }: Release) => {
    const store = await openMongo({ ...own, indexHash: hash });
    context.after(() => store.close());
    return store;
  };
}
/** As a server begins. @returns how many documents it made */
async function begin(store: MongoStore, { indexOf }: Release): Promise<number> {
  let made = 0;
  if (store.needsReindex) await store.reindex(TYPES, indexOf, (done) => (made = done));
  return made;
}
const write = async (store: MongoStore, { entries }: Release, id: string, version = 1) =>
  ok(await store.commit({ commands: [put('Patient', id, version, entries)], audit: [] }));
const found = async (store: MongoStore, parameter: string) =>
  (
    await pages(
      store,
      plan('Patient', { kind: 'uri', parameter: `Patient.${parameter}`, match: 'exact', value: 'x' }),
      50,
    )
  ).toSorted();
const superseded = (error: unknown) =>
  error instanceof StoreError && error.reason === 'unavailable' && /by a newer release/.test(error.message);

test(
  'mongodb@releases: an older process that starts again leaves the rows of the newer as they are',
  LIMIT,
  async (context) => {
    const open = world(context);
    const older = await open(OLD);
    for (const id of ['p', 'q']) await write(older, OLD, id);
    const newer = await open(NEW);
    assert.equal(newer.needsReindex, true);
    assert.equal(await begin(newer, NEW), 2);
    assert.deepEqual(await found(newer, 'b'), ['p', 'q']);

    const again = await open(OLD);
    assert.equal(again.needsReindex, false, 'it makes none anew');
    assert.deepEqual(await found(again, 'a'), ['p', 'q'], 'it answers by those it knows');
    assert.deepEqual(await found(newer, 'b'), ['p', 'q'], 'those of the newer are kept');
    const { rows } = await older.indexPage(0, 9);
    for (const store of [older, again]) await assert.rejects(store.remake(rows, OLD.indexOf), superseded);
    await newer.remake(rows, NEW.indexOf);
    assert.deepEqual(await found(newer, 'b'), ['p', 'q']);
    assert.equal((await open(NEW)).needsReindex, false, 'nothing was undone: nothing is to be done');
  },
);

test(
  'mongodb@releases: what the older writes has the rows of the newer when that has looked, and only that is made',
  LIMIT,
  async (context) => {
    const open = world(context);
    const older = await open(OLD);
    for (const id of ['p', 'q', 'r']) await write(older, OLD, id);
    const newer = await open(NEW);
    await begin(newer, NEW);
    assert.equal(await newer.followOthers(TYPES, NEW.indexOf), 0, 'nothing was written');
    await write(older, OLD, 'q', 2);
    for (let each = 0; each < 25; each++) await write(older, OLD, `by-older-${each}`);
    await write(newer, NEW, 'r', 2);
    assert.deepEqual(await found(newer, 'b'), ['p', 'r'], 'control: the older takes them away');
    assert.equal(await older.followOthers(TYPES, OLD.indexOf), 0, 'the older follows nobody');
    assert.equal(await newer.followOthers(TYPES, NEW.indexOf), 27, 'what was written since, not the whole store');
    for (const store of [older, newer]) assert.equal((await found(store, 'a')).length, 28);
    assert.equal((await found(newer, 'b')).length, 28);
    assert.equal(await newer.followOthers(TYPES, NEW.indexOf), 0);

    // Written while no newer process runs: made when one starts, before it answers.
    await newer.close();
    await write(older, OLD, 'p', 2);
    const again = await open(NEW);
    assert.equal(again.needsReindex, true);
    assert.equal(await begin(again, NEW), 0, 'no pass over all of them');
    assert.equal((await found(again, 'b')).length, 28);
    assert.equal((await open(NEW)).needsReindex, false);
  },
);

test(
  'mongodb@releases: what the older writes while the newer makes all rows is made behind it',
  LIMIT,
  async (context) => {
    const open = world(context);
    const older = await open(OLD);
    const ids = Array.from({ length: 250 }, (_, each) => `p${each}`);
    ok(await older.commit({ commands: ids.map((id) => put('Patient', id, 1, OLD.entries)), audit: [] }));
    const newer = await open(NEW);
    const writes: Promise<unknown>[] = [];
    let refused: unknown;
    let made = 0;
    const indexOf: IndexOf = (text) => {
      // In the second page: the first is behind the pass.
      if (++made === 201) writes.push(write(older, OLD, 'p0', 2), write(older, OLD, 'p249', 2));
      return NEW.indexOf(text);
    };
    await newer.reindex(
      TYPES,
      indexOf,
      () =>
        void older.remake([], OLD.indexOf).catch((error: unknown) => {
          refused ??= error;
        }),
    );
    assert.ok(made >= 250);
    await Promise.all(writes);
    await newer.followOthers(TYPES, NEW.indexOf);
    assert.deepEqual(await found(newer, 'b'), ids.toSorted());
    assert.ok(superseded(refused), 'the older makes no rows while the newer does');
  },
);

test('mongodb@releases: cut short, the newer goes on, and the older answers meanwhile', LIMIT, async (context) => {
  const open = world(context);
  const older = await open(OLD);
  for (const id of ['p', 'q']) await write(older, OLD, id);
  const newer = await open(NEW);
  await assert.rejects(newer.reindex(TYPES, () => assert.fail('killed')));
  await newer.close();
  const second = await open(OLD);
  assert.equal(second.needsReindex, false);
  assert.deepEqual(await found(second, 'a'), ['p', 'q']);
  await write(second, OLD, 'p', 2);
  const again = await open(NEW);
  assert.equal(again.needsReindex, true);
  await begin(again, NEW);
  assert.deepEqual(await found(again, 'b'), ['p', 'q']);
  assert.equal((await open(OLD)).needsReindex, false);
});

test(
  'mongodb@releases: a third release supersedes both; going back for good is said by an operator',
  LIMIT,
  async (context) => {
    const open = world(context);
    const third = release('three', ['b', 'c']);
    for (const each of [OLD, NEW, third]) {
      const store = await open(each);
      await begin(store, each);
      if (each === OLD) await write(store, OLD, 'p');
    }
    for (const each of [OLD, NEW]) assert.equal((await open(each)).needsReindex, false);
    const back = await open(NEW);
    assert.deepEqual(await found(back, 'a'), [], 'control: the third makes none of these');
    await disown(back.database);
    const alone = await open(NEW);
    assert.equal(alone.needsReindex, true);
    await begin(alone, NEW);
    assert.deepEqual(await found(alone, 'a'), ['p']);
  },
);
