/** Search, count, sort and pages of an engine against the oracle of the algebra, on small random worlds. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { IndexEntry, SortKey } from '../../src/fhir/search/algebra.ts';
import type { ResourceStore } from '../../src/store/port.ts';
import { type Indexed, matches } from '../fhir/evaluate.ts';
import { all, idsOf, type OpenStore, ok, pages, plan } from './contract.ts';
import { contractRow } from './contract-row.ts';
import { entriesOf, IDS, pick, predicate, put, type Random, random, remove, sortKeys, TYPES, whole } from './world.ts';

/** Search, count, sort and pages against the oracle, on random worlds. */
export function searchContract(engine: string, open: OpenStore, seeds: readonly number[] = [1, 2, 3, 4]): void {
  const specify = (name: string, body: (context: TestContext) => Promise<void>) => contractRow(engine, name, body);
  for (const seed of seeds) {
    specify(`search, count, sort and pages equal the oracle (seed ${seed})`, async (context) => {
      const next = random(seed);
      const store = await open(context, 3 * 86_400_000);
      const world = await populate(store, next);
      for (let round = 0; round < 150; round++) await compare(store, world, next);
      for (let round = 0; round < 40; round++) await compareTypes(store, world, next);
    });
  }

  specify('pages while others write: what does not change appears exactly once', async (context) => {
    const store = await open(context);
    const next = random(7);
    const world = await populate(store, next);
    const changing = new Set(['r0', 'r3', 'r7']);
    for (let round = 0; round < 40; round++) {
      const sort = sortKeys(next, 'Patient');
      const found: string[] = [];
      let after: string | undefined;
      do {
        const page = await store.search(plan('Patient', all, sort), { count: 2, after });
        found.push(...idsOf(page.matches));
        after = page.next;
        const id = pick(next, [...changing]);
        const version = (await store.read({ type: 'Patient', id }))?.version ?? 0;
        ok(await store.commit({ commands: [put('Patient', id, version + 1, entriesOf(next, 'Patient'))], audit: [] }));
      } while (after !== undefined && found.length < 100);
      const still = world.filter(({ type, id }) => type === 'Patient' && !changing.has(id)).map(({ id }) => id);
      assert.deepEqual(found.filter((id) => !changing.has(id)).sort(), still.sort(), JSON.stringify(sort));
    }
  });
}

/** Random creates, updates and deletions; what is left. */
async function populate(store: ResourceStore, next: Random): Promise<readonly Indexed[]> {
  const current = new Map<string, Indexed>();
  const versions = new Map<string, number>();
  for (let round = 0; round < 90; round++) {
    const [type, id] = [pick(next, TYPES), pick(next, IDS)];
    const key = `${type}/${id}`;
    const version = (versions.get(key) ?? 0) + 1;
    const deletes = current.has(key) && next() < 0.2;
    const entries = entriesOf(next, type);
    const command = deletes ? remove(type, id, version) : put(type, id, version, entries);
    const result = ok(await store.commit({ commands: [command], audit: [] }));
    versions.set(key, version);
    if (deletes) current.delete(key);
    else current.set(key, { type, id, at: result.at, entries });
  }
  return [...current.values()];
}

async function compare(store: ResourceStore, world: readonly Indexed[], next: Random): Promise<void> {
  const type = pick(next, TYPES);
  const where = predicate(next, type);
  const sort = sortKeys(next, type);
  const expected = world.filter((resource) => resource.type === type && matches(where, resource, world));
  const found = await pages(store, plan(type, where, sort), whole(next, 5) + 1);
  const why = JSON.stringify({ where, sort });
  assert.deepEqual([...found].sort(), expected.map(({ id }) => id).sort(), why);
  assert.equal(await store.count(plan(type, where)), expected.length, why);
  const sorted = found.map((id) =>
    sortValues(
      expected.find((resource) => resource.id === id),
      sort,
    ),
  );
  sorted.slice(1).forEach((values, index) => {
    assert.ok(!isBefore(values, sorted[index] ?? [], sort), why);
  });
  const result = await store.commit({ commands: [{ op: 'expect', plan: plan(type, where), ids: found }], audit: [] });
  assert.equal(result.ok, true, why);
}

/** Both types in one search: the same matches, one order over both, and their total. */
async function compareTypes(store: ResourceStore, world: readonly Indexed[], next: Random): Promise<void> {
  const keys = sortKeys(next, TYPES[0]);
  const sortOf = (type: string): readonly SortKey[] =>
    keys.map((key) => ({ ...key, parameter: key.parameter.replace(TYPES[0], type) }));
  const plans = TYPES.map((type) => plan(type, predicate(next, type), sortOf(type)));
  const expected = plans.flatMap(({ type, where }) =>
    world.filter((resource) => resource.type === type && matches(where, resource, world)),
  );
  const names = (all: readonly { readonly type: string; readonly id: string }[]) =>
    all.map(({ type, id }) => `${type}/${id}`);
  const why = JSON.stringify(plans);
  const found: string[] = [];
  let after: string | undefined;
  do {
    const page = await store.searchTypes(plans, { count: whole(next, 5) + 1, after });
    found.push(...names(page.matches.map(({ key }) => key)));
    after = page.next;
  } while (after !== undefined);
  assert.deepEqual(found.toSorted(), names(expected).toSorted(), why);
  const values = found.map((name) => {
    const resource = expected.find(({ type, id }) => name === `${type}/${id}`);
    return sortValues(resource, sortOf(resource?.type ?? ''));
  });
  values.slice(1).forEach((each, index) => {
    assert.ok(!isBefore(each, values[index] ?? [], keys), why);
  });
  assert.deepEqual(await store.countTypes(plans, 'accurate'), { count: expected.length, exact: true }, why);
  assert.deepEqual(await store.countTypes(plans, 'estimate'), { count: expected.length, exact: true }, why);
}

type Value = string | number | undefined;

function sortValues(resource: Indexed | undefined, sort: readonly SortKey[]): readonly Value[] {
  if (resource === undefined) return [];
  return sort.map(({ parameter, indexed, descending }) => {
    if (indexed === 'id') return resource.id;
    if (indexed === 'updated') return resource.at;
    const entries = resource.entries.filter((entry) => entry.kind === indexed && entry.parameter === parameter);
    const converted = entries.filter((entry) => entry.kind === 'quantity' && entry.unit.startsWith('canonical|'));
    const values = (converted.length > 0 ? converted : entries).map(sortValue).sort((a, b) => (a < b ? -1 : 1));
    return descending ? values.at(-1) : values[0];
  });
}

function sortValue(entry: IndexEntry): string | number {
  switch (entry.kind) {
    case 'token':
      return entry.code;
    case 'string':
      return entry.folded;
    case 'reference':
      return entry.target;
    case 'uri':
      return entry.value;
    case 'text':
      return entry.text;
    default:
      return entry.low;
  }
}

/** Strictly before, missing last. */
function isBefore(left: readonly Value[], right: readonly Value[], sort: readonly SortKey[]): boolean {
  for (const [index, { descending }] of sort.entries()) {
    const [a, b] = [left[index], right[index]];
    if (a === b) continue;
    if (a === undefined) return false;
    if (b === undefined) return true;
    return a < b !== descending;
  }
  return false;
}
