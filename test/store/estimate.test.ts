// search.html#total, `_total=estimate`: bounded work on a type that is larger than the sample; what is bounded anyway is counted.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { IndexEntry, Predicate } from '../../src/fhir/search/algebra.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { plan } from './contract.ts';
import { put, remove } from './world.ts';

const SIZE = 3000;
const token = (code: string): IndexEntry => ({ kind: 'token', parameter: 'Patient.x', system: '', code, group: 0 });
const is = (code: string): Predicate => ({ kind: 'token', parameter: 'Patient.x', system: '', code });

test('an estimate is near the truth, says that it is one, and visits no more than the sample', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'estimate-'));
  const renderAudit = () => '{}';
  const store = await openSqlite({ folder, renderAudit, indexHash: 'x', types: ['Patient', 'Observation'] });
  context.after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  // A third are of code a, every hundredth of code rare; every tenth is deleted again.
  const ids = Array.from({ length: SIZE }, (_, index) => index);
  const entries = (index: number) => [
    token(index % 3 === 0 ? 'a' : 'b'),
    ...(index % 100 === 0 ? [token('rare')] : []),
  ];
  await store.commit({ commands: ids.map((index) => put('Patient', `p${index}`, 1, entries(index))), audit: [] });
  const gone = ids.filter((index) => index % 10 === 5);
  await store.commit({ commands: gone.map((index) => remove('Patient', `p${index}`, 2)), audit: [] });

  const estimate = (where: Predicate) => store.countTypes([plan('Patient', where)], 'estimate');
  const rows: readonly [why: string, where: Predicate, truth: number, exact: boolean][] = [
    ['everything', { kind: 'all' }, 2700, false],
    ['not b', { kind: 'not', of: is('b') }, 900, false],
    ['rare: an index range bounds it', is('rare'), 30, true],
    ['nothing', is('none'), 0, true],
  ];
  for (const [why, where, truth, exact] of rows) {
    const found = await estimate(where);
    assert.equal(found.exact, exact, why);
    assert.ok(Math.abs(found.count - truth) <= (exact ? 0 : truth / 20), `${why}: ${found.count} for ${truth}`);
  }
  const both = await store.countTypes(
    [plan('Patient', { kind: 'all' }), plan('Observation', { kind: 'all' })],
    'estimate',
  );
  assert.equal(both.exact, false, 'one estimate makes the sum one');
});
