/** What each engine must pass: the guarantees of src/store/port.ts, and search equal to the oracle of the algebra. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { IndexEntry, Predicate, SearchPlan, SortKey } from '../../src/fhir/search/algebra.ts';
import {
  type Command,
  type CommitResult,
  type HistoryScope,
  type ResourceStore,
  type StoredVersion,
  StoreError,
} from '../../src/store/port.ts';
import { contractRow } from './contract-row.ts';
import { auditRow, IDS, pick, put, random, remove, whole } from './world.ts';

/** Opens an empty store that is closed and removed after the test. `at`: a fixed clock, else the system's. */
export type OpenStore = (context: TestContext, at?: number) => Promise<ResourceStore>;

export const plan = (type: string, where: Predicate, sort: readonly SortKey[] = []): SearchPlan => ({
  type,
  where,
  sort,
  principal: 'someone',
});
export const all: Predicate = { kind: 'all' };
export const ok = (result: CommitResult): Extract<CommitResult, { ok: true }> => {
  if (!result.ok) throw new assert.AssertionError({ message: `conflict of command ${result.command}` });
  return result;
};
export const idsOf = (found: readonly StoredVersion[]): string[] => found.map(({ key }) => key.id);

/** Every page, joined. */
export async function pages(store: ResourceStore, asked: SearchPlan, count: number): Promise<string[]> {
  const found: string[] = [];
  let after: string | undefined;
  do {
    const page = await store.search(asked, { count, after });
    assert.ok(page.matches.length <= count);
    found.push(...idsOf(page.matches));
    after = page.next;
  } while (after !== undefined);
  return found;
}

export function storeContract(engine: string, open: OpenStore): void {
  const specify = (name: string, body: (store: ResourceStore, context: TestContext) => Promise<void>) =>
    contractRow(engine, name, async (context) => body(await open(context), context));

  specify('a committed version is read back whole, with the instant of the commit in its text', async (store) => {
    const result = ok(await store.commit({ commands: [put('Patient', 'a', 1, [], 'POST', ['a'])], audit: [] }));
    const found = await store.read({ type: 'Patient', id: 'a' });
    assert.deepEqual(found, {
      key: { type: 'Patient', id: 'a' },
      version: 1,
      sequence: result.versions[0]?.sequence,
      at: result.at,
      method: 'POST',
      deleted: false,
      text: `{"resourceType":"Patient","id":"a","meta":{"versionId":"1","lastUpdated":"${new Date(result.at).toISOString()}"}}`,
      patients: ['a'],
    });
    assert.equal(await store.read({ type: 'Patient', id: 'A' }), undefined, 'ids are case-sensitive');
    assert.equal(await store.read({ type: 'Observation', id: 'a' }), undefined);
    assert.equal(await store.read({ type: 'Patient', id: 'a' }, 2), undefined);
  });

  specify('a life: create, update, delete, create again; each version stays', async (store) => {
    const key = { type: 'Patient', id: 'a' };
    for (const command of [
      put('Patient', 'a', 1),
      put('Patient', 'a', 2),
      remove('Patient', 'a', 3),
      put('Patient', 'a', 4),
    ]) {
      ok(await store.commit({ commands: [command], audit: [] }));
    }
    assert.deepEqual(
      await Promise.all([1, 2, 3, 4, 5].map(async (version) => (await store.read(key, version))?.deleted)),
      [false, false, true, false, undefined],
    );
    const { matches: found } = await store.history(key, { count: 10 });
    assert.deepEqual(
      found.map(({ version }) => version),
      [4, 3, 2, 1],
    );
    assert.deepEqual(
      found.map(({ method }) => method),
      ['PUT', 'DELETE', 'PUT', 'POST'],
    );
    assert.equal((await store.read(key))?.version, 4);
    assert.deepEqual(await pages(store, plan('Patient', all), 5), ['a']);
  });

  specify('every read sees each commit acknowledged before it, whatever was read or audited between', async (store) => {
    const next = random(7);
    const versions = new Map<string, number>();
    let audits = 0;
    for (let step = 0; step < 300; step++) {
      const id = pick(next, IDS);
      const known = versions.get(id) ?? 0;
      switch (whole(next, 5)) {
        case 0:
        case 1: {
          const gone = known > 0 && known % 3 === 0;
          const command = gone ? remove('Patient', id, known + 1) : put('Patient', id, known + 1);
          ok(await store.commit({ commands: [command], audit: [] }));
          versions.set(id, known + 1);
          break;
        }
        case 2: {
          const { auditIds } = ok(await store.commit({ commands: [], audit: [auditRow(`${++audits}`)] }));
          const event = { type: 'AuditEvent', id: auditIds[0] ?? '' };
          if (whole(next, 2) === 0) assert.ok(await store.read(event), event.id);
          else assert.equal(await store.count(plan('AuditEvent', all)), audits);
          break;
        }
        case 3:
          ok(await store.commit({ commands: [{ op: 'keep', key: `${step}`, value: id }], audit: [] }));
          assert.equal(await store.kept(`${step}`), id);
          break;
        default: {
          const { matches } = await store.history({ type: 'Patient', id }, { count: 1 });
          assert.equal(matches[0]?.version ?? 0, known);
        }
      }
      assert.equal((await store.read({ type: 'Patient', id }))?.version ?? 0, versions.get(id) ?? 0);
      const live = [...versions].filter(([, version]) => version % 3 !== 1 || version === 1);
      assert.equal(await store.count(plan('Patient', all)), live.length);
    }
  });

  const lost: readonly (readonly [string, Parameters<typeof put>[2], boolean])[] = [
    ['version 1 of something that exists', 1, false],
    ['the next version', 2, true],
    ['a version too far', 3, false],
  ];
  for (const [name, version, holds] of lost) {
    specify(`precondition: ${name} ${holds ? 'commits' : 'conflicts'}`, async (store) => {
      ok(await store.commit({ commands: [put('Patient', 'a')], audit: [] }));
      const result = await store.commit({ commands: [put('Patient', 'a', version)], audit: [] });
      assert.equal(result.ok, holds);
    });
  }

  specify('a conflict writes nothing of its request, neither data nor audit, and names the command', async (store) => {
    ok(await store.commit({ commands: [put('Patient', 'a')], audit: [auditRow('1')] }));
    const result = await store.commit({
      commands: [put('Patient', 'b'), put('Patient', 'a', 1), put('Patient', 'c')],
      audit: [auditRow('2')],
    });
    assert.deepEqual(result, { ok: false, reason: 'conflict', command: 1 });
    assert.equal(await store.read({ type: 'Patient', id: 'b' }), undefined);
    const next = ok(await store.commit({ commands: [put('Patient', 'b')], audit: [auditRow('3')] }));
    assert.deepEqual(next.auditIds, ['1-2-1'], 'no gap in the audit');
    assert.equal(await store.read({ type: 'AuditEvent', id: '1-3-1' }), undefined);
  });

  const held: readonly (readonly [name: string, id: string, version: number, holds: boolean])[] = [
    ['the current version', 'a', 2, true],
    ['an older version', 'a', 1, false],
    ['a version to come', 'a', 3, false],
    ['a version of nothing', 'b', 1, false],
  ];
  for (const [name, id, version, holds] of held) {
    specify(`hold: ${name} ${holds ? 'commits' : 'conflicts'}`, async (store) => {
      ok(await store.commit({ commands: [put('Patient', 'a'), put('Patient', 'c')], audit: [] }));
      ok(await store.commit({ commands: [put('Patient', 'a', 2)], audit: [] }));
      const hold = { op: 'hold', key: { type: 'Patient', id }, version } as const;
      const result = await store.commit({ commands: [hold, put('Patient', 'c', 2)], audit: [auditRow('1')] });
      assert.equal(result.ok, holds);
      assert.equal((await store.read({ type: 'Patient', id: 'c' }))?.version, holds ? 2 : 1);
      if (result.ok)
        assert.deepEqual(
          result.versions.map(({ key }) => key.id),
          ['c'],
          'nothing is written for it',
        );
    });
  }

  specify('keep: a key is kept once, in the same commit, however many race', async (store) => {
    assert.equal(await store.kept('k'), undefined);
    const race = await Promise.all(
      IDS.map((id) => store.commit({ commands: [{ op: 'keep', key: 'k', value: id }, put('Patient', id)], audit: [] })),
    );
    assert.equal(race.filter((result) => result.ok).length, 1);
    assert.deepEqual(await pages(store, plan('Patient', all), 50), [await store.kept('k')]);
    const twice = [1, 2].map((value) => ({ op: 'keep', key: 'l', value: String(value) }) as const);
    assert.deepEqual(await store.commit({ commands: twice, audit: [] }), { ok: false, reason: 'conflict', command: 1 });
    assert.equal(await store.kept('l'), undefined, 'nothing of a conflict is kept');
    const other = { commands: [{ op: 'keep', key: 'm', value: '' } as const, put('Patient', 'z', 9)], audit: [] };
    assert.equal((await store.commit(other)).ok, false);
    assert.equal(await store.kept('m'), undefined);
  });

  const set = (key: string, value: string | undefined, more: { expect?: string | null; expiresAt?: number } = {}) =>
    ({ op: 'set', space: 's', key, value, ...more }) as const;
  const setCases: readonly [
    name: string,
    commands: readonly ReturnType<typeof set>[],
    holds: boolean,
    after: unknown,
  ][] = [
    ['anything may be there', [set('k', '2')], true, '2'],
    ['the value that is there', [set('k', '2', { expect: '1' })], true, '2'],
    ['another value', [set('k', '2', { expect: '0' })], false, '1'],
    ['nothing expected, something there', [set('k', '2', { expect: null })], false, '1'],
    ['removed', [set('k', undefined)], true, undefined],
    ['removed when it is the value', [set('k', undefined, { expect: '0' })], false, '1'],
    ['earlier commands count', [set('k', '2', { expect: '1' }), set('k', '3', { expect: '2' })], true, '3'],
    ['earlier removal counts', [set('k', undefined), set('k', '3', { expect: null })], true, '3'],
    ['all or nothing', [set('k', '2'), set('other', '1', { expect: 'x' })], false, '1'],
    ['a value of this clock on is not expired', [set('k', '2', { expiresAt: Number.MAX_SAFE_INTEGER })], true, '2'],
  ];
  for (const [name, commands, holds, after] of setCases) {
    specify(`set: ${name}`, async (store) => {
      ok(await store.commit({ commands: [set('k', '1')], audit: [] }));
      const result = await store.commit({ commands: [...commands, put('Patient', 'a')], audit: [] });
      assert.equal(result.ok, holds);
      assert.equal((await store.keyed('s', 'k'))?.value, after);
      assert.equal(
        (await store.read({ type: 'Patient', id: 'a' })) !== undefined,
        holds,
        'with the data or not at all',
      );
      assert.equal(await store.keyed('t', 'k'), undefined, 'spaces are apart');
    });
  }

  specify('set: what has expired is nothing to `expect`, and is removed in time', async (store) => {
    ok(await store.commit({ commands: [set('old', '1', { expiresAt: 1 })], audit: [] }));
    ok(await store.commit({ commands: [set('old', '2', { expect: null, expiresAt: 2 })], audit: [] }));
    ok(await store.commit({ commands: [set('new', '1', { expiresAt: Number.MAX_SAFE_INTEGER })], audit: [] }));
    assert.equal(await store.keyed('s', 'old'), undefined);
    assert.deepEqual(await store.keyed('s', 'new'), { key: 'new', value: '1', expiresAt: Number.MAX_SAFE_INTEGER });
  });

  specify('set: of racing compare-and-sets exactly one wins; pages are in key order', async (store) => {
    const race = await Promise.all(
      IDS.map((id) => store.commit({ commands: [set('k', id, { expect: null })], audit: [] })),
    );
    assert.equal(race.filter((result) => result.ok).length, 1);
    ok(await store.commit({ commands: ['b', 'a', 'Z', 'é'].map((key) => set(key, key)), audit: [] }));
    const first = await store.keyedPage('s', { count: 3 });
    const rest = await store.keyedPage('s', { after: first.at(-1)?.key, count: 3 });
    assert.deepEqual(
      [...first, ...rest].map(({ key }) => key),
      ['Z', 'a', 'b', 'k', 'é'],
    );
  });

  specify('stamp: another one after each acknowledged commit of data, the same otherwise', async (store) => {
    const before = store.stamp();
    ok(await store.commit({ commands: [], audit: [auditRow('1')] }));
    assert.equal(store.stamp(), before);
    ok(await store.commit({ commands: [put('Patient', 'a')], audit: [] }));
    if (before !== undefined) assert.notEqual(store.stamp(), before);
  });

  specify(
    'askedStamp: another one after each commit of a type that is asked for, the same while nothing is written',
    async (store) => {
      const known = async () => [await store.askedStamp(), await store.askedStamp(['Observation', 'Patient'])];
      let before = await known();
      ok(await store.commit({ commands: [], audit: [auditRow('1')] }));
      assert.deepEqual(await known(), before, 'an audit row');
      const changes: readonly (readonly [string, Command])[] = [
        ['a create', put('Patient', 'a')],
        ['an update', put('Patient', 'a', 2)],
        ['another type that is asked for', put('Observation', 'a')],
        ['a deletion', remove('Patient', 'a', 3)],
        ['a purge', { op: 'purge', key: { type: 'Patient', id: 'a' }, version: 3 }],
      ];
      for (const [what, command] of changes) {
        ok(await store.commit({ commands: [command], audit: [] }));
        const after = await known();
        for (const index of [0, 1]) assert.notEqual(after[index], before[index], what);
        before = after;
      }
    },
  );

  specify('changes: every version once, in the order of writes, from wherever one goes on', async (store) => {
    assert.equal(await store.latestSequence(), 0);
    assert.deepEqual(await store.changes(0, 10), []);
    for (const version of [1, 2, 3]) {
      ok(await store.commit({ commands: [put('Patient', 'a', version), put('Observation', 'o', version)], audit: [] }));
    }
    ok(await store.commit({ commands: [remove('Patient', 'a', 4)], audit: [auditRow('x')] }));
    const seen: string[] = [];
    let after = 0;
    for (;;) {
      const page = await store.changes(after, 2);
      if (page.length === 0) break;
      for (const { key, version, deleted, text, sequence } of page) {
        assert.ok(sequence > after);
        assert.equal(text === undefined, deleted);
        after = sequence;
        seen.push(`${key.type}/${key.id}/${version}`);
      }
    }
    assert.deepEqual(seen, [1, 2, 3].flatMap((n) => [`Patient/a/${n}`, `Observation/o/${n}`]).concat('Patient/a/4'));
    assert.equal(after, await store.latestSequence());
  });

  specify('deleting what is absent or deleted conflicts', async (store) => {
    assert.equal((await store.commit({ commands: [remove('Patient', 'a', 1)], audit: [] })).ok, false);
    ok(await store.commit({ commands: [put('Patient', 'a')], audit: [] }));
    ok(await store.commit({ commands: [remove('Patient', 'a', 2)], audit: [] }));
    assert.equal((await store.commit({ commands: [remove('Patient', 'a', 3)], audit: [] })).ok, false);
  });

  specify('of racing writes of one version exactly one wins', async (store) => {
    ok(await store.commit({ commands: [put('Patient', 'a')], audit: [] }));
    const race = await Promise.all(
      Array.from({ length: 20 }, () => store.commit({ commands: [put('Patient', 'a', 2)], audit: [auditRow('x')] })),
    );
    assert.equal(race.filter((result) => result.ok).length, 1);
  });

  specify('expect: a conditional create is done once, however many race', async (store) => {
    const entry: IndexEntry = { kind: 'token', parameter: 'Patient.identifier', system: 's', code: '1', group: 0 };
    const where: Predicate = { kind: 'token', parameter: 'Patient.identifier', system: 's', code: '1' };
    const race = await Promise.all(
      IDS.map((id) =>
        store.commit({
          commands: [{ op: 'expect', plan: plan('Patient', where), ids: [] }, put('Patient', id, 1, [entry])],
          audit: [],
        }),
      ),
    );
    assert.equal(race.filter((result) => result.ok).length, 1);
    const [winner = ''] = await pages(store, plan('Patient', where), 5);
    const rows: readonly (readonly [readonly string[], boolean, string])[] = [
      [[winner], true, 'exactly these'],
      [[], false, 'one too many'],
      [[winner, 'other'], false, 'one missing'],
      [['other'], false, 'another'],
    ];
    for (const [ids, holds, why] of rows) {
      const result = await store.commit({ commands: [{ op: 'expect', plan: plan('Patient', where), ids }], audit: [] });
      assert.equal(result.ok, holds, why);
    }
  });

  specify('one commit of many versions has one instant and consecutive sequences', async (store) => {
    const result = ok(await store.commit({ commands: IDS.map((id) => put('Patient', id)), audit: [] }));
    const first = result.versions[0]?.sequence ?? 0;
    assert.deepEqual(
      result.versions.map(({ sequence }) => sequence - first),
      IDS.map((_id, index) => index),
    );
    const found = await Promise.all(IDS.map((id) => store.read({ type: 'Patient', id })));
    assert.ok(found.every((version) => version?.at === result.at));
  });

  specify('history: by instance, type and system, newest first, in pages', async (store) => {
    for (const id of ['a', 'b', 'c']) ok(await store.commit({ commands: [put('Patient', id)], audit: [] }));
    ok(
      await store.commit({
        commands: [put('Observation', 'o'), put('Patient', 'a', 2), remove('Patient', 'b', 2)],
        audit: [],
      }),
    );
    const read = async (scope: { type?: string; id?: string }, count: number): Promise<string[]> => {
      const found: string[] = [];
      let after: string | undefined;
      do {
        const page = await store.history(scope, { count, after });
        found.push(...page.matches.map(({ key, version }) => `${key.id}${version}`));
        after = page.next;
      } while (after !== undefined);
      return found;
    };
    for (const count of [1, 2, 3, 100]) {
      assert.deepEqual(await read({ type: 'Patient', id: 'a' }, count), ['a2', 'a1']);
      assert.deepEqual(await read({ type: 'Patient' }, count), ['b2', 'a2', 'c1', 'b1', 'a1']);
      assert.deepEqual(await read({}, count), ['b2', 'a2', 'o1', 'c1', 'b1', 'a1']);
    }
    assert.deepEqual(await read({ type: 'Patient', id: 'none' }, 5), []);
  });

  specify('history of patients: versions about any of them, and below a version, in pages', async (store) => {
    const about = (type: string, id: string, version: number, patients: readonly string[]) =>
      put(type, id, version, [], 'PUT', patients);
    const gone = { op: 'delete', key: { type: 'Observation', id: 'b' }, version: 3, patients: ['q'] } as const;
    for (const commands of [
      [about('Observation', 'a', 1, ['p']), about('Observation', 'b', 1, ['p', 'q']), about('Patient', 'p', 1, ['p'])],
      [about('Observation', 'c', 1, []), about('Observation', 'b', 2, ['q'])],
      [gone, about('Observation', 'a', 2, ['p', 'pp'])],
    ]) {
      ok(await store.commit({ commands, audit: [] }));
    }
    const named = ({ key, version }: StoredVersion): string => `${key.id}${version}`;
    const every = (await store.history({}, { count: 9 })).matches;
    const read = async (scope: HistoryScope, count: number): Promise<string[]> => {
      const found: string[] = [];
      let after: string | undefined;
      do {
        const page = await store.history(scope, { count, after });
        assert.ok(page.matches.length <= count);
        found.push(...page.matches.map(named));
        after = page.next;
      } while (after !== undefined);
      return found;
    };
    const type = 'Observation';
    const rows: readonly (readonly [scope: HistoryScope, found: readonly string[]])[] = [
      [{ patients: ['p'] }, ['a2', 'p1', 'b1', 'a1']],
      [{ patients: ['q'] }, ['b3', 'b2', 'b1']],
      [{ patients: ['p', 'q', 'p'] }, ['a2', 'b3', 'b2', 'p1', 'b1', 'a1']],
      [{ patients: ['p'], type }, ['a2', 'b1', 'a1']],
      [{ patients: ['p'], type: 'Patient' }, ['p1']],
      [{ patients: ['p'], type: 'Basic' }, []],
      [{ patients: ['P', 'x'] }, []],
      [{ patients: [] }, []],
      [{ patients: ['p'], since: 0, before: 0 }, []],
    ];
    for (const count of [1, 2, 9]) {
      for (const [scope, found] of rows) assert.deepEqual(await read(scope, count), found, JSON.stringify(scope));
      for (const [index, below] of every.entries()) {
        const left = every.slice(index + 1);
        const about = left.filter(({ patients }) => patients.includes('q'));
        const observations = left.filter(({ key }) => key.type === type);
        assert.deepEqual(await read({ below }, count), left.map(named));
        assert.deepEqual(await read({ below, type }, count), observations.map(named));
        assert.deepEqual(await read({ below, patients: ['q'] }, count), about.map(named));
        const ofB = left.filter(({ key }) => key.id === 'b');
        assert.deepEqual(await read({ below, type, id: 'b' }, count), ofB.map(named));
      }
    }
  });

  contractRow(engine, 'history since and before are inclusive', async (context) => {
    const at = 1_000_000;
    const store = await open(context, at);
    ok(await store.commit({ commands: [put('Patient', 'a')], audit: [auditRow('x')] }));
    const rows: readonly (readonly [since: number | undefined, before: number | undefined, found: number])[] = [
      [undefined, undefined, 1],
      [at, undefined, 1],
      [at + 1, undefined, 0],
      [undefined, at, 1],
      [undefined, at - 1, 0],
    ];
    const scopes = [
      {},
      { type: 'Patient' },
      { type: 'Patient', id: 'a' },
      { type: 'AuditEvent' },
      { type: 'AuditEvent', id: '1-1-1' },
    ];
    for (const scope of scopes) {
      for (const [since, before, found] of rows) {
        const page = await store.history({ ...scope, since, before }, { count: 5 });
        assert.equal(page.matches.length, found, JSON.stringify({ scope, since, before }));
      }
    }
  });

  specify('AuditEvents: ids, search by facet, patient, entity and date, both orders, count', async (store) => {
    ok(await store.commit({ commands: [], audit: [auditRow('1', { patient: 'p1' })] }));
    ok(
      await store.commit({
        commands: [],
        audit: [auditRow('2', { patient: 'p2', action: 'C', entity: 'Observation/o' })],
      }),
    );
    const third = await store.commit({
      commands: [],
      audit: [
        auditRow('3', { patient: 'p1', key: 'second', events: 2 }),
        auditRow('4', { agent: 'x', entity: 'https://ehr.example/fhir/Encounter/e' }),
      ],
    });
    assert.deepEqual(ok(third).auditIds, ['1-3-1', '1-3-2', '1-4-1']);
    const token = (name: string, code: string): Predicate => ({ kind: 'token', parameter: `AuditEvent.${name}`, code });
    const reference = (name: string, ...targets: string[]): Predicate => ({
      kind: 'reference',
      parameter: `AuditEvent.${name}`,
      targets,
    });
    const date = (relation: 'ge' | 'lt' | 'eq' | 'ne' | 'sa' | 'le', at: number): Predicate => ({
      kind: 'interval',
      parameter: 'AuditEvent.date',
      relation,
      low: at,
      high: at + 1,
    });
    const at = ok(third).at;
    const everything = ['1-1-1', '1-2-1', '1-3-1', '1-3-2', '1-4-1'];
    const rows: readonly (readonly [Predicate, readonly string[]])[] = [
      [all, everything],
      [token('action', 'C'), ['1-2-1']],
      [token('action', 'D'), []],
      [{ kind: 'not', of: token('action', 'R') }, ['1-2-1']],
      [token('agent', 'x'), ['1-4-1']],
      [reference('patient', 'Patient/p1'), ['1-1-1', '1-3-1', '1-3-2']],
      [reference('patient', 'Patient/p9'), []],
      [reference('entity', 'Patient/p2'), ['1-2-1']],
      [reference('entity', 'https://ehr.example/fhir/Encounter/e'), ['1-4-1']],
      [reference('entity', 'Encounter/e'), []],
      [reference('entity', 'Observation/o', 'Patient/p1'), ['1-1-1', '1-2-1', '1-3-1', '1-3-2']],
      [{ kind: 'and', of: [reference('patient', 'Patient/p1', 'Patient/p2'), token('action', 'C')] }, ['1-2-1']],
      [{ kind: 'or', of: [token('agent', 'x'), token('action', 'C')] }, ['1-2-1', '1-4-1']],
      [{ kind: 'missing', parameter: 'AuditEvent.patient', missing: true }, ['1-4-1']],
      [{ kind: 'missing', parameter: 'AuditEvent.action', missing: false }, everything],
      [{ kind: 'missing', parameter: 'AuditEvent.never', missing: false }, []],
      [{ kind: 'ids', ids: ['1-3-2', '1-9-1', 'x', '2-1-1'] }, ['1-3-2']],
      [date('ge', at + 1), []],
      [date('sa', at), []],
      [date('le', at), everything],
      [date('ge', 0), everything],
      [date('lt', 0), []],
      [date('ne', 0), everything],
      [{ kind: 'none' }, []],
    ];
    for (const [where, expected] of rows) {
      const why = JSON.stringify(where);
      assert.deepEqual(await pages(store, plan('AuditEvent', where), 2), expected, why);
      assert.equal(await store.count(plan('AuditEvent', where)), expected.length, why);
      const newest = [{ parameter: 'AuditEvent.date', indexed: 'date', descending: true }] as const;
      assert.deepEqual(await pages(store, plan('AuditEvent', where, newest), 2), expected.toReversed(), why);
    }
    assert.deepEqual((await store.read({ type: 'AuditEvent', id: '1-3-2' }))?.text, '3 2 p1');
    assert.deepEqual((await store.read({ type: 'AuditEvent', id: '1-3-2' }))?.patients, ['p1']);
    for (const id of ['1-3-3', '1-0-1', '1-5-1', '0-1-1', '1-1', '1-1-0', '01-1-1']) {
      assert.equal(await store.read({ type: 'AuditEvent', id }), undefined, id);
    }
  });

  specify('AuditEvents are neither put nor deleted', async (store) => {
    await assert.rejects(store.commit({ commands: [put('AuditEvent', '1-1-1')], audit: [] }), TypeError);
    await assert.rejects(store.commit({ commands: [remove('AuditEvent', '1-1-1', 2)], audit: [] }), TypeError);
  });

  specify('subject keys: stable, opaque, one a patient; those stored are found again', async (store) => {
    const [first, second, again] = store.subjectKeys(['a', 'b', 'a']);
    assert.equal(first, again);
    assert.notEqual(first, second);
    assert.match(first ?? '', /^[0-9a-f]{24}$/);
    ok(await store.commit({ commands: [], audit: [auditRow('x', { patient: 'c', key: 'known' })] }));
    assert.deepEqual(store.subjectKeys(['c']), ['known']);
  });

  const foreign: readonly string[] = ['', 'x', '!!!', 'W10', 'WzEsMl0', Buffer.from('[1,{}]').toString('base64url')];
  for (const cursor of foreign) {
    specify(`a cursor that is none (${JSON.stringify(cursor)}) is refused`, async (store) => {
      const refused = (error: unknown) => error instanceof StoreError && error.reason === 'bad-cursor';
      await assert.rejects(store.search(plan('Patient', all), { count: 5, after: cursor }), refused);
      await assert.rejects(store.history({}, { count: 5, after: cursor }), refused);
    });
  }

  specify('a cursor belongs to its type, sort and principal', async (store) => {
    ok(await store.commit({ commands: IDS.map((id) => put('Patient', id)), audit: [] }));
    const own = plan('Patient', all);
    const { next: after } = await store.search(own, { count: 2 });
    const byId = [{ parameter: 'Patient._id', indexed: 'id', descending: false }] as const;
    assert.equal((await store.search(own, { count: 2, after })).matches.length, 2, 'control');
    for (const other of [
      { ...own, principal: 'x' },
      { ...own, sort: byId },
      { ...own, type: 'Observation' },
    ]) {
      await assert.rejects(store.search(other, { count: 2, after }), StoreError);
    }
  });

  for (const alternatives of [1, 200, 201, 700, 3000]) {
    specify(`search with ${alternatives} alternatives`, async (store) => {
      const entry = (code: string) =>
        ({ kind: 'token', parameter: 'Patient.code', system: 's', code, group: 0 }) as const;
      const commands = IDS.map((id, index) => put('Patient', id, 1, [entry(`c${index < 6 ? 0 : -index}`)]));
      ok(await store.commit({ commands, audit: [] }));
      const of = Array.from(
        { length: alternatives },
        (_, index) => ({ kind: 'token', parameter: 'Patient.code', system: 's', code: `c${index}` }) as const,
      );
      assert.deepEqual(await pages(store, plan('Patient', { kind: 'or', of }), 4), IDS.slice(0, 6));
    });
  }

  specify('ping proves reads and writes', async (store) => store.ping());
}

/** Whole-table steps that are meant: our own subqueries (aliases b, t, p, m), JSON lists, and system history along its sequence. */
export const SCANS_ALLOWED =
  /^SCAN (b|t|p|m|json_each VIRTUAL TABLE INDEX 1:|\(subquery-\d+\)|CONSTANT ROW|resource USING INDEX resource_seq|history|fulltext (EXISTS )?VIRTUAL TABLE INDEX \d+:\S*M\S*)$/;
