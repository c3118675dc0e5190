/** What each engine must pass of src/store/transfer.ts: rows as they were written, taken out, put in, and told while they change. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Engine } from '../../src/store/engine.ts';
import { type Movable, PARTS, type Part, type PartName, type Served } from '../../src/store/transfer.ts';
import { entries, fill, indexOf, TYPES } from '../migrate/world.ts';
import { ok } from './contract.ts';
import { contractRow } from './contract-row.ts';
import { auditRow, put } from './world.ts';

export interface MovedPlace {
  serve(): Promise<Engine>;
  /** At rest; whatever was served is closed. */
  moved(types: readonly string[], index: typeof indexOf): Promise<Movable>;
  followed(): Promise<Served>;
}

interface AnyPart extends Part<object, never> {
  page(after: undefined, count: number): Promise<readonly object[]>;
}
/** A part as rows of any kind: what is read of one store is given to another. */
const partOf = (store: Movable, name: PartName): AnyPart => store[name] as unknown as AnyPart;
const ALL = 10_000;

async function rowsOf(store: Movable): Promise<Record<string, readonly object[]>> {
  const rows: Record<string, readonly object[]> = {};
  for (const name of PARTS) rows[name] = await partOf(store, name).page(undefined, ALL);
  return rows;
}
const placeOf = (row: object): string | number => {
  const { place, sequence, key } = row as { place?: string | number; sequence?: number; key?: string };
  return place ?? sequence ?? key ?? '';
};

export function transferContract(engine: string, newPlace: (context: TestContext) => MovedPlace): void {
  const specify = (name: string, body: (place: MovedPlace, other: MovedPlace) => Promise<void>) =>
    contractRow(engine, `transfer: ${name}`, (context) => body(newPlace(context), newPlace(context)));

  const filled = async (place: MovedPlace): Promise<void> => {
    const store = await place.serve();
    await fill(store, 4).finally(() => store.close());
  };
  const both = async (place: MovedPlace, other: MovedPlace, body: (from: Movable, to: Movable) => Promise<void>) => {
    const from = await place.moved(TYPES, indexOf);
    const to = await other.moved(TYPES, indexOf);
    await body(from, to).finally(() => Promise.all([from.close(), to.close()]));
  };

  for (const way of ['restore', 'replace'] as const) {
    specify(
      `what is written by ${way} is read as it was, part by part, in the order of places`,
      async (place, other) => {
        await filled(place);
        await both(place, other, async (from, to) => {
          const rows = await rowsOf(from);
          for (const name of PARTS) {
            const own = rows[name] ?? [];
            assert.ok(own.length > 0, name);
            const part = partOf(to, name);
            if (way === 'restore') await part.restore(own);
            else await part.replace(own.map(placeOf) as never[], own);
            assert.equal(await part.count(), own.length);
            assert.equal(await part.last(), placeOf(own.at(-1) ?? {}));
          }
          assert.deepEqual(await rowsOf(to), rows);
          assert.deepEqual(await to.verifyAudit(), await from.verifyAudit());
        });
      },
    );
  }

  specify('rows at places come ascending, and a place without one is left out', async (place) => {
    await filled(place);
    const from = await place.moved(TYPES, indexOf);
    for (const name of PARTS) {
      const part = partOf(from, name);
      const rows = await part.page(undefined, ALL);
      const [first, last] = [rows[0], rows.at(-1)].map((row) => placeOf(row ?? {}));
      const nowhere = typeof first === 'number' ? 2 ** 50 : 'a nowhere';
      const found = await part.at([last, nowhere, first] as never[]);
      assert.deepEqual(found, first === last ? [rows[0]] : [rows[0], rows.at(-1)], name);
      assert.deepEqual(await part.at([]), []);
    }
    await from.close();
  });

  specify('replace takes away what has no row, and done again it changes nothing', async (place, other) => {
    await filled(place);
    await both(place, other, async (from, to) => {
      const rows = await rowsOf(from);
      for (const name of ['version', 'kept', 'keyed', 'subject'] as const) {
        const own = rows[name] ?? [];
        const [first] = own;
        const places = own.map(placeOf) as never[];
        const part = partOf(to, name);
        await part.replace(places, own);
        await part.replace(places, own);
        assert.deepEqual(await part.page(undefined, ALL), own);
        await part.replace([placeOf(first ?? {})] as never[], []);
        assert.deepEqual(await part.page(undefined, ALL), own.slice(1), name);
      }
    });
  });

  specify('a store that is being filled is not served; it goes on after the sequences it was told', async (place) => {
    const to = await place.moved(TYPES, indexOf);
    await to.mark('source');
    await to.note('a note');
    assert.deepEqual([await to.marked(), await to.noted()], ['source', 'a note']);
    await to.close();
    await assert.rejects(place.serve(), /is being filled/);
    const again = await place.moved(TYPES, indexOf);
    await again.finish(41, 'one');
    assert.deepEqual([await again.marked(), await again.noted()], [undefined, undefined]);
    await again.close();
    const store = await place.serve();
    const { versions } = ok(await store.commit({ commands: [put('Patient', 'a')], audit: [] }));
    assert.equal(versions[0]?.sequence, 42);
    await store.close();
  });

  specify('the journal tells each place that a commit changed, and nothing of before it', async (place) => {
    await filled(place);
    const store = await place.serve();
    const { journal, close } = await place.followed();
    const begun = await journal.begin();
    const since = async (): Promise<Record<string, readonly (string | number)[]>> => {
      const { changed, more } = await journal.changes(begun, ALL);
      assert.equal(more, false);
      const byPart = Map.groupBy(changed, ({ part }) => part);
      return Object.fromEntries(
        [...byPart].map(([part, of]) => [part, [...new Set(of.map((each) => each.place))].sort()]),
      );
    };
    assert.deepEqual(await since(), {});
    const first = (await store.latestSequence()) + 1;
    const patient = put('Patient', 'told', 1, entries('Patient', 'told'), undefined, ['told']);
    const audit = [auditRow('told', { patient: 'told', key: 'key-told', agent: 'another' })];
    ok(
      await store.commit({
        commands: [
          patient,
          { op: 'keep', key: 'told', value: '1' },
          { op: 'set', space: 'told', key: 'one', value: '1' },
          { op: 'set', space: 'a', key: 'b', value: undefined },
        ],
        audit,
      }),
    );
    const told = await since();
    assert.deepEqual(told.version, [first]);
    assert.equal(told.audit?.length, 1);
    assert.deepEqual(told.kept, ['told']);
    assert.ok(told.keyed?.includes('told one'));
    assert.deepEqual(told.subject, ['key-told']);
    assert.ok(told.facet?.includes('agents another'));
    ok(await store.commit({ commands: [{ op: 'purge', key: { type: 'Patient', id: 'x1' }, version: 2 }], audit: [] }));
    const purged = ((await since()).version ?? []).filter((sequence) => Number(sequence) < first);
    assert.ok(purged.length > 0, 'what is gone is told as well');
    ok(
      await store.commit({ commands: [{ op: 'forget', patients: ['p1'], through: ALL, value: 'erased' }], audit: [] }),
    );
    const after = await since();
    assert.ok(after.keyed?.includes('forgotten p1'));
    assert.ok(after.subject?.includes('key-p1'));
    assert.ok((after.audit?.length ?? 0) > 1, 'rows whose erasable is gone');
    await store.close();
    await close();
  });
}
