/** What each engine must pass of guarantee 7 of src/store/port.ts: purged is gone from every answer, forgotten stays forgotten. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { FORGOTTEN, type ResourceStore } from '../../src/store/port.ts';
import { all, idsOf, type OpenStore, ok, plan } from './contract.ts';
import { contractRow } from './contract-row.ts';
import { auditRow, put, remove } from './world.ts';

const code = (value: string): IndexEntry => ({
  kind: 'token',
  parameter: 'Observation.code',
  system: 's',
  code: value,
  group: 0,
});
const words: IndexEntry = { kind: 'text', parameter: 'Observation._text', text: 'liver', group: 0 };
const about = (id: string, version: number, patients: readonly string[], entries: readonly IndexEntry[] = []) =>
  put('Observation', id, version, entries, undefined, patients);
const everyVersion = async (store: ResourceStore): Promise<string[]> =>
  (await store.changes(0, 100)).map(({ key, version }) => `${key.id}/${version}`);

export function purgeContract(engine: string, open: OpenStore): void {
  const specify = (name: string, body: (store: ResourceStore, context: TestContext) => Promise<void>) =>
    contractRow(engine, name, async (context) => body(await open(context), context));

  specify('versionsAbout: of a range, about these patients, superseded and deletions too', async (store) => {
    const deletion = { ...remove('Observation', 'b', 2), patients: ['p'] };
    const commands = [about('a', 1, ['p']), about('b', 1, ['p', 'q']), about('c', 1, ['pp'])];
    ok(await store.commit({ commands, audit: [] }));
    ok(await store.commit({ commands: [about('a', 2, ['q']), deletion], audit: [] }));
    const found = async (patients: readonly string[], after: number, until: number) =>
      (await store.versionsAbout(patients, after, until)).map(({ key, version }) => `${key.id}/${version}`);
    const last = await store.latestSequence();
    assert.deepEqual(await found(['p'], 0, last), ['a/1', 'b/1', 'b/2']);
    assert.deepEqual(await found(['q'], 0, last), ['b/1', 'a/2']);
    assert.deepEqual(await found(['p', 'q'], 1, last - 1), ['b/1', 'a/2']);
    assert.deepEqual(await found(['P', 'x'], 0, last), []);
    assert.deepEqual(await found([], 0, last), []);
  });

  specify('purge of a resource: no read, history, search, count, words or feed shows it', async (store) => {
    const rows = [code('x'), words];
    ok(await store.commit({ commands: [about('a', 1, ['p'], rows), about('b', 1, ['q'], rows)], audit: [] }));
    ok(await store.commit({ commands: [about('a', 2, ['p'], [code('y'), words])], audit: [] }));
    ok(
      await store.commit({ commands: [{ op: 'purge', key: { type: 'Observation', id: 'a' }, version: 2 }], audit: [] }),
    );
    const key = { type: 'Observation', id: 'a' };
    for (const version of [undefined, 1, 2]) assert.equal(await store.read(key, version), undefined);
    assert.deepEqual((await store.history(key, { count: 9 })).matches, []);
    assert.deepEqual((await store.history({ patients: ['p'] }, { count: 9 })).matches, []);
    assert.deepEqual(idsOf((await store.history({}, { count: 9 })).matches), ['b']);
    assert.deepEqual(await everyVersion(store), ['b/1']);
    for (const where of [all, { kind: 'token', parameter: 'Observation.code', system: 's', code: 'x' }] as const) {
      assert.deepEqual(idsOf((await store.search(plan('Observation', where), { count: 9 })).matches), ['b']);
      assert.equal(await store.count(plan('Observation', where)), 1);
    }
    assert.equal(
      await store.count(plan('Observation', { kind: 'token', parameter: 'Observation.code', code: 'y' })),
      0,
    );
    ok(await store.commit({ commands: [about('a', 1, ['p'], [code('z')])], audit: [] }));
    assert.equal(
      await store.count(plan('Observation', { kind: 'token', parameter: 'Observation.code', code: 'z' })),
      1,
    );
  });

  specify('purge of superseded versions: the current one and its rows stay', async (store) => {
    const key = { type: 'Observation', id: 'a' };
    for (const version of [1, 2, 3]) ok(await store.commit({ commands: [about('a', version, ['p'])], audit: [] }));
    ok(await store.commit({ commands: [{ op: 'purge', key, version: 3, versions: [1] }], audit: [] }));
    assert.deepEqual(await everyVersion(store), ['a/2', 'a/3']);
    assert.equal(await store.read(key, 1), undefined);
    assert.equal(await store.count(plan('Observation', all)), 1);
    ok(await store.commit({ commands: [about('a', 4, ['p'])], audit: [] }));
  });

  specify('purge conflicts when the resource has changed since; a deletion is purged too', async (store) => {
    const key = { type: 'Observation', id: 'a' };
    ok(await store.commit({ commands: [about('a', 1, ['p'])], audit: [] }));
    ok(await store.commit({ commands: [about('a', 2, ['p'])], audit: [] }));
    for (const version of [1, 3]) {
      const result = await store.commit({ commands: [{ op: 'purge', key, version }], audit: [] });
      assert.equal(result.ok, false, String(version));
    }
    ok(await store.commit({ commands: [remove('Observation', 'a', 3)], audit: [] }));
    ok(await store.commit({ commands: [{ op: 'purge', key, version: 3 }], audit: [] }));
    assert.deepEqual(await everyVersion(store), []);
  });

  specify('a sequence is not used again after its version was purged', async (store) => {
    ok(await store.commit({ commands: [about('a', 1, ['p'])], audit: [] }));
    const last = await store.latestSequence();
    ok(
      await store.commit({ commands: [{ op: 'purge', key: { type: 'Observation', id: 'a' }, version: 1 }], audit: [] }),
    );
    assert.equal(await store.latestSequence(), last);
    const { versions } = ok(await store.commit({ commands: [about('b', 1, [])], audit: [] }));
    assert.equal(versions[0]?.sequence, last + 1);
  });

  const forget = (patient: string, through: number) =>
    ({ op: 'forget', patients: [patient], through, value: 'when' }) as const;

  specify('forget: a version about the patient above `through` makes it conflict', async (store) => {
    const { versions } = ok(await store.commit({ commands: [about('a', 1, ['p'])], audit: [] }));
    const sequence = versions[0]?.sequence ?? 0;
    assert.equal((await store.commit({ commands: [forget('p', sequence - 1)], audit: [] })).ok, false);
    assert.equal(await store.keyed(FORGOTTEN, 'p'), undefined);
    ok(await store.commit({ commands: [forget('p', sequence)], audit: [] }));
    assert.equal((await store.keyed(FORGOTTEN, 'p'))?.value, 'when');
  });

  specify('forget: nothing about the patient can be put again, others can', async (store) => {
    ok(await store.commit({ commands: [forget('p', 0)], audit: [] }));
    for (const patients of [['p'], ['q', 'p']]) {
      assert.equal((await store.commit({ commands: [about('a', 1, patients)], audit: [] })).ok, false);
    }
    ok(await store.commit({ commands: [about('a', 1, ['pp']), about('b', 1, [])], audit: [] }));
  });

  specify(
    'unforgotten: what names a patient is committed before `forget`, or conflicts, also in one race',
    async (store) => {
      const unforgotten = (...patients: readonly string[]) => ({ op: 'unforgotten', patients }) as const;
      const named = (id: string, ...patients: readonly string[]) => ({
        commands: [unforgotten(...patients), about(id, 1, [])],
        audit: [auditRow(id)],
      });
      ok(await store.commit(named('before', 'p', 'q')));
      const [racing, , late] = await Promise.all([
        store.commit(named('racing', 'p')),
        store.commit({ commands: [forget('p', Number.MAX_SAFE_INTEGER)], audit: [] }),
        store.commit(named('late', 'p')),
      ]);
      assert.deepEqual([racing?.ok, late?.ok], [true, false], 'in the order they were asked for');
      assert.equal((await store.commit(named('after', 'q', 'p'))).ok, false);
      assert.equal(
        (await store.commit({ commands: [unforgotten('p')], audit: [auditRow('x')] })).ok,
        false,
        'audit only',
      );
      assert.equal(await store.read({ type: 'Observation', id: 'late' }), undefined);
      ok(await store.commit(named('others', 'q', 'pp')));
    },
  );

  specify('forget: the audit keeps its rows and loses who they are about', async (store) => {
    const told = (bytes: string, patient: string) => ({ ...auditRow(bytes, { patient }), erasable: '{"t":"salt"}' });
    ok(await store.commit({ commands: [], audit: [told('1', 'p'), told('2', 'q')] }));
    const mine = plan('AuditEvent', { kind: 'reference', parameter: 'AuditEvent.patient', targets: ['Patient/p'] });
    const other = plan('AuditEvent', { kind: 'reference', parameter: 'AuditEvent.patient', targets: ['Patient/q'] });
    assert.equal(await store.count(mine), 1, 'control');
    ok(await store.commit({ commands: [forget('p', 0)], audit: [told('3', 'p')] }));
    assert.equal(await store.count(mine), 0);
    assert.equal(await store.count(other), 1);
    assert.equal(await store.count(plan('AuditEvent', all)), 3);
    ok(await store.commit({ commands: [], audit: [auditRow('4', { patient: 'p', key: 'new key' })] }));
    assert.equal(await store.count(mine), 0, 'no mapping is made again');
  });

  specify(
    'forget: what AuditEvents are found by loses the user and the ids of the user’s tokens, of nobody else',
    async (store) => {
      const asked = (user: string) => {
        const row = auditRow(`by ${user}`);
        const more: readonly IndexEntry[] = [
          { kind: 'reference', parameter: 'AuditEvent.agent', target: `Patient/${user}`, version: '', group: 0 },
          { kind: 'uri', parameter: 'AuditEvent.policy', value: `urn:token:${user}`, group: 0 },
        ];
        const agents = { key: `agents ${user}`, entries: [...(row.events[0]?.agents.entries ?? []), ...more] };
        return { ...row, events: row.events.map((event) => ({ ...event, agents })) };
      };
      ok(await store.commit({ commands: [], audit: [asked('p'), asked('q')] }));
      const count = (where: Parameters<typeof plan>[1]) => store.count(plan('AuditEvent', where));
      const ways = (user: string) =>
        Promise.all([
          count({ kind: 'reference', parameter: 'AuditEvent.agent', targets: [`Patient/${user}`] }),
          count({ kind: 'uri', parameter: 'AuditEvent.policy', match: 'exact', value: `urn:token:${user}` }),
          count({ kind: 'uri', parameter: 'AuditEvent.policy', match: 'below', value: `urn:token:${user}` }),
        ]);
      assert.deepEqual(
        [await ways('p'), await ways('q')],
        [
          [1, 1, 1],
          [1, 1, 1],
        ],
        'control',
      );
      ok(await store.commit({ commands: [forget('p', 0)], audit: [] }));
      assert.deepEqual(
        [await ways('p'), await ways('q')],
        [
          [0, 0, 0],
          [1, 1, 1],
        ],
      );
      assert.equal(await count({ kind: 'token', parameter: 'AuditEvent.agent', code: 'local' }), 2, 'the rest stays');
      assert.equal(await count({ kind: 'missing', parameter: 'AuditEvent.policy', missing: true }), 1);
    },
  );

  specify('only forget says who is forgotten', async (store) => {
    const command = { op: 'set', space: FORGOTTEN, key: 'p', value: 'x' } as const;
    await assert.rejects(store.commit({ commands: [command], audit: [] }), TypeError);
  });
}
