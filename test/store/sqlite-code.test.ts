// A code searched without its system: what it costs does not grow with the systems of the parameter. Migration 5, docs/decisions/0003.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { IndexEntry, Predicate } from '../../src/fhir/search/algebra.ts';
import { connect } from '../../src/store/sqlite/schema.ts';
import { attachSqlite, openSqlite } from '../../src/store/sqlite.ts';
import { all, idsOf, plan } from './contract.ts';
import { pick, put, random, remove, whole } from './world.ts';

const renderAudit = ({ bytes }: { bytes: string }): string => bytes;
const MANY = 10_000;

/** A store without time budget, so that it refuses what visits more than 4,000 rows, and one with. */
async function bounded(context: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-code-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const store = await openSqlite({ folder, renderAudit, indexHash: '', types: ['Patient', 'Observation'] });
  const heavy = attachSqlite({ folder, renderAudit, port: store.channel(), budgetMs: 5000 });
  context.after(async () => {
    await heavy.close();
    await store.close();
  });
  return { folder, store, heavy };
}

const identifier = (system: string, code: string): IndexEntry => ({
  kind: 'token',
  parameter: 'Patient.identifier',
  system,
  code,
  group: 0,
});
const bare = (code: string): Predicate => ({ kind: 'token', parameter: 'Patient.identifier', code });
const manySystems = (codeOf: (index: number) => string): IndexEntry[] =>
  Array.from({ length: MANY }, (_, index) => identifier(`urn:s${index}`, codeOf(index)));

test('store-sqlite-code: 10,000 systems of other codes are not visited', async (context) => {
  const { folder, store } = await bounded(context);
  const commands = [
    put(
      'Patient',
      'hostile',
      1,
      manySystems((index) => `c${index}`),
    ),
    put('Patient', 'a', 1, [identifier('urn:a', 'x')]),
    put('Patient', 'b', 1, [identifier('urn:b', 'x'), identifier('urn:a', 'y')]),
  ];
  await store.commit({ commands, audit: [] });
  const texts: string[] = [];
  store.watchStatements((text) => texts.push(text));
  assert.deepEqual(idsOf((await store.search(plan('Patient', bare('x')), { count: 10 })).matches), ['a', 'b']);
  assert.deepEqual(idsOf((await store.search(plan('Patient', bare('c9999')), { count: 10 })).matches), ['hostile']);
  const both: Predicate = { kind: 'and', of: [{ kind: 'ids', ids: ['a', 'hostile'] }, bare('x')] };
  assert.equal(await store.count(plan('Patient', both)), 1);

  const connection = connect({ folder });
  context.after(() => connection.close());
  assert.deepEqual(connection.prepare("SELECT count(*) AS n FROM code_system WHERE code='x'").get(), { n: 2 });
  const steps = texts
    .filter((text) => text.includes('token') || text.includes('entry'))
    .flatMap((text) => {
      connection.function('tick', { deterministic: false }, () => 1);
      const values = Array.from({ length: text.split('?').length - 1 }, () => 1);
      return connection.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...values) as { detail: string }[];
    })
    .map(({ detail }) => detail);
  const sought = (pattern: RegExp) => steps.some((detail) => pattern.test(detail));
  assert.ok(sought(/^SEARCH code_system USING PRIMARY KEY \(parameter=\? AND code=\?\)$/), steps.join('\n'));
  assert.ok(sought(/^SEARCH token USING PRIMARY KEY \(parameter=\? AND system=\? AND code=\?\)$/), steps.join('\n'));
  assert.ok(
    sought(/^SEARCH entry (EXISTS )?USING PRIMARY KEY \(rid=\? AND parameter=\? AND kind=\? AND a=\?\)/),
    `asked of a known resource by one key, whatever its systems: ${steps.join('\n')}`,
  );
});

test('store-sqlite-code: one code in 10,000 systems leaves the bounded thread and is answered on the other', async (context) => {
  const { store, heavy } = await bounded(context);
  await store.commit({
    commands: [
      put(
        'Patient',
        'hostile',
        1,
        manySystems(() => 'x'),
      ),
    ],
    audit: [],
  });
  const others = Array.from({ length: 4001 }, (_, index) =>
    put('Patient', `p${index}`, 1, [identifier('urn:s1', 'z')]),
  );
  await store.commit({ commands: others, audit: [] });
  await assert.rejects(store.search(plan('Patient', bare('x')), { count: 10 }), { reason: 'bounded-thread' });
  assert.deepEqual(idsOf((await heavy.search(plan('Patient', bare('x')), { count: 10 })).matches), ['hostile']);
  const withSystem: Predicate = { kind: 'token', parameter: 'Patient.identifier', system: 'urn:s7', code: 'x' };
  assert.deepEqual(idsOf((await store.search(plan('Patient', withSystem), { count: 10 })).matches), ['hostile']);
});

test('store-sqlite-code: every form of a token, also after updates and deletions', async (context) => {
  const { store } = await bounded(context);
  const forms: readonly (readonly [Predicate, readonly string[]])[] = [
    [bare('x'), ['a', 'c']],
    [bare('y'), []],
    [{ kind: 'token', parameter: 'Patient.identifier', system: 'urn:a' }, ['a']],
    [{ kind: 'token', parameter: 'Patient.identifier', system: '' }, ['c']],
    [{ kind: 'token', parameter: 'Patient.identifier', system: '', code: 'x' }, ['c']],
    [{ kind: 'token', parameter: 'Patient.identifier' }, ['a', 'c']],
    [{ kind: 'not', of: bare('x') }, ['d']],
    [{ kind: 'and', of: [all, bare('x'), { kind: 'not', of: bare('z') }] }, ['a', 'c']],
  ];
  const none = put('Patient', 'd');
  const commands = [
    put('Patient', 'a', 1, [identifier('urn:a', 'y')]),
    put('Patient', 'b', 1, [identifier('urn:a', 'x')]),
    put('Patient', 'c', 1, [identifier('', 'x')]),
    none,
  ];
  await store.commit({ commands, audit: [] });
  await store.commit({ commands: [put('Patient', 'a', 2, [identifier('urn:a', 'x')])], audit: [] });
  await store.commit({ commands: [remove('Patient', 'b', 2)], audit: [] });
  for (const [where, expected] of forms) {
    const { matches } = await store.search(plan('Patient', where), { count: 10 });
    assert.deepEqual(idsOf(matches), expected, JSON.stringify(where));
    assert.equal(await store.count(plan('Patient', where)), expected.length, JSON.stringify(where));
  }
});

test('store-sqlite-code: many codes of one parameter are asked of a known resource in one look', async (context) => {
  const { store } = await bounded(context);
  const codes = Array.from({ length: 30 }, (_, index) => `c${index}`);
  const commands = [...codes, 'other'].map((code) => put('Patient', code, 1, [identifier('urn:a', code)]));
  await store.commit({ commands: [...commands, put('Patient', 'b', 1, [identifier('urn:b', 'c1')])], audit: [] });
  const texts: string[] = [];
  store.watchStatements((text) => texts.push(text));
  const coded = (system: string | undefined): Predicate[] =>
    codes.map((code) => ({
      kind: 'token',
      parameter: 'Patient.identifier',
      code,
      ...(system === undefined ? {} : { system }),
    }));
  const ids: Predicate = { kind: 'ids', ids: ['c1', 'c29', 'other', 'b'] };
  const cases: readonly (readonly [Predicate[], readonly string[]])[] = [
    [coded('urn:a'), ['c1', 'c29']],
    [coded('urn:b'), ['b']],
    [coded(undefined), ['b', 'c1', 'c29']],
    [
      [...coded('urn:a'), { kind: 'token', parameter: 'Patient.identifier', system: 'urn:b' }],
      ['b', 'c1', 'c29'],
    ],
    [
      [...coded('urn:a'), { kind: 'ids', ids: ['other'] }],
      ['c1', 'c29', 'other'],
    ],
  ];
  for (const [of, expected] of cases) {
    const { matches } = await store.search(plan('Patient', { kind: 'and', of: [ids, { kind: 'or', of }] }), {
      count: 9,
    });
    assert.deepEqual(idsOf(matches).toSorted(), expected);
  }
  const looks = texts.map((text) => text.split('FROM entry').length + text.split('FROM token').length - 2);
  assert.ok(Math.max(...looks) <= 2, `${looks}`);
});

const LABELS = ['R', 'V', 'ETH', 'PSY', 'N'];
const label = (code: string): Predicate => ({ kind: 'token', parameter: 'Patient._security', code });
const labelled = (code: string): IndexEntry => ({
  kind: 'token',
  parameter: 'Patient._security',
  system: 'urn:labels',
  code,
  group: 0,
});
const hidden = (codes: readonly string[]): Predicate => {
  const [only] = codes;
  const of = codes.map(label);
  return { kind: 'not', of: codes.length === 1 && only !== undefined ? label(only) : { kind: 'or', of } };
};

for (const seed of [1, 2, 3]) {
  test(`store-sqlite-excluded: a code is excluded from the commit on that first writes it, on every thread (seed ${seed})`, async (context) => {
    const { store, heavy } = await bounded(context);
    const next = random(seed);
    const held = new Map<string, { version: number; labels: readonly string[] | undefined }>();
    const open = Array.from({ length: 40 }, (_, index) => `x${index}`);
    for (let round = 0; round < 120; round++) {
      const id = `p${whole(next, 8)}`;
      const { version, labels } = held.get(id) ?? { version: 0, labels: undefined };
      const way = whole(next, 5);
      if (way === 0 && labels !== undefined) {
        await store.commit({ commands: [remove('Patient', id, version + 1)], audit: [] });
        held.set(id, { version: version + 1, labels: undefined });
      } else if (way === 1 && version > 0) {
        // The last of a code takes it off the list of codes; it may come again.
        await store.commit({ commands: [{ op: 'purge', key: { type: 'Patient', id }, version }], audit: [] });
        held.delete(id);
      } else {
        const own = [pick(next, [[], [], [pick(next, LABELS)], [pick(next, LABELS), 'open']])].flat();
        const many = round === 100 ? open : [];
        const entries = [...new Set([...own, ...many])].map(labelled);
        await store.commit({ commands: [put('Patient', id, version + 1, entries)], audit: [] });
        held.set(id, { version: version + 1, labels: own });
      }
      const codes = pick(next, [LABELS.slice(0, 4), ['R'], ['PSY', 'V']]);
      const wanted = [...held].flatMap(([each, { labels: has }]) =>
        has === undefined || codes.some((code) => has.includes(code)) ? [] : [each],
      );
      for (const reader of [heavy, store]) {
        const { matches } = await reader.search(plan('Patient', hidden(codes)), { count: 20 });
        assert.deepEqual(idsOf(matches).sort(), wanted.sort(), `round ${round}`);
      }
      const expected = { op: 'expect', plan: plan('Patient', hidden(codes)), ids: wanted } as const;
      assert.equal((await heavy.commit({ commands: [expected], audit: [] })).ok, true, 'judged by the writer');
    }
  });
}

test('store-sqlite-excluded: labels that nothing has are not asked of each resource', async (context) => {
  const { store } = await bounded(context);
  await store.commit({ commands: [put('Patient', 'a', 1, [labelled('N')])], audit: [] });
  const texts: string[] = [];
  store.watchStatements((text) => texts.push(text));
  const asked = async () => {
    texts.length = 0;
    const { matches } = await store.search(plan('Patient', hidden(['R', 'V'])), { count: 10 });
    return { ids: idsOf(matches), isAsked: texts.some((text) => text.includes('FROM entry')) };
  };
  assert.deepEqual(await asked(), { ids: ['a'], isAsked: false });
  await store.commit({ commands: [put('Patient', 'b', 1, [labelled('V')])], audit: [] });
  assert.deepEqual(await asked(), { ids: ['a'], isAsked: true });
});
