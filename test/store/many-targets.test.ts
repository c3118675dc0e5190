// Long lists of targets: what patients' Consents make of a plan (docs/authorization.md#consents). Port: a known resource is tested by its own rows, so
// that the list costs a search once, not each of its candidates.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { renderAuditEvent } from '../../src/audit.ts';
import type { IndexEntry, Predicate } from '../../src/fhir/search/algebra.ts';
import { satisfies } from '../../src/fhir/search/satisfies.ts';
import type { Engine } from '../../src/store/engine.ts';
import { connect } from '../../src/store/sqlite/schema.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { mongoUrl, openTestStore } from '../test-store.ts';
import { plan } from './contract.ts';
import { put } from './world.ts';

const folder = mkdtempSync(join(tmpdir(), 'many-'));
const options = { folder, renderAudit: renderAuditEvent, indexHash: 'test', types: ['Observation'], budgetMs: 5000 };
const rows = (target: string, version = ''): readonly IndexEntry[] => [
  { kind: 'reference', parameter: 'Observation.subject', target, version, group: 0 },
  { kind: 'token', parameter: 'Observation.code', system: 's', code: 'hr', group: 0 },
];
const HELD = ['first', 'last', 'outside', 'versioned'];
const rowsOf: Readonly<Record<string, readonly IndexEntry[]>> = {
  first: rows('Patient/0'),
  last: rows('Patient/last'),
  outside: rows('Patient/outside'),
  versioned: rows('Patient/0', '3'),
};
let store: Engine;
before(async () => {
  store = await openTestStore(options);
  const commands = HELD.map((id) => put('Observation', id, 1, [...(rowsOf[id] ?? [])]));
  assert.ok((await store.commit({ commands, audit: [] })).ok);
});
after(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const targets = (count: number) => [
  ...Array.from({ length: count - 1 }, (_, index) => `Patient/${index}`),
  'Patient/last',
];
const CODE: Predicate = { kind: 'token', parameter: 'Observation.code', system: 's', code: 'hr' };
const among = (count: number, version?: string): Predicate => ({
  ...{ kind: 'reference', parameter: 'Observation.subject', targets: targets(count) },
  ...(version === undefined ? {} : { version }),
});

/** Both sides of where long lists begin. */
for (const count of [2, 16, 17, 3000]) {
  const cases: readonly [string, Predicate, readonly string[]][] = [
    ['only', among(count), ['first', 'last', 'versioned']],
    ['without', { kind: 'not', of: among(count) }, ['outside']],
    ['of a version', among(count, '3'), ['versioned']],
  ];
  for (const [why, where, expected] of cases) {
    test(`store@many-targets ${why} those of ${count}`, async () => {
      const found = await store.search(plan('Observation', { kind: 'and', of: [CODE, where] }), { count: 10 });
      assert.deepEqual(found.matches.map(({ key }) => key.id).toSorted(), expected);
      assert.equal(await store.count(plan('Observation', { kind: 'and', of: [CODE, where] })), expected.length);
      const inHand = HELD.filter((id) =>
        satisfies(where, { type: 'Observation', id, at: 0, entries: rowsOf[id] ?? [] }),
      );
      assert.deepEqual(inHand, expected, 'a resource in hand');
    });
  }
}

test('store@many-targets a candidate is asked for its rows of the parameter, not for each target', {
  skip: mongoUrl(folder) !== undefined,
}, async (context) => {
  const other = mkdtempSync(join(tmpdir(), 'many-explain-'));
  const own = await openSqlite({ ...options, folder: other });
  const texts: string[] = [];
  own.watchStatements((text) => texts.push(text));
  await own.search(plan('Observation', { kind: 'and', of: [CODE, { kind: 'not', of: among(3000) }] }), { count: 10 });
  const connection = connect({ folder: other });
  context.after(async () => {
    connection.close();
    await own.close();
    rmSync(other, { recursive: true });
  });
  connection.function('tick', { deterministic: false }, () => 1);
  const steps = texts
    .filter((text) => text.includes('json_each'))
    .flatMap((text) =>
      connection.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...Array(text.split('?').length - 1).fill(1)),
    )
    .map((step) => String(Reflect.get(Object(step), 'detail')));
  assert.ok(
    steps.some((step) =>
      /^SEARCH entry (EXISTS )?USING PRIMARY KEY \(rid=\? AND parameter=\? AND kind=\?\)$/.test(step),
    ),
    steps.join('\n'),
  );
  assert.ok(!steps.some((step) => step.startsWith('SEARCH reference')), steps.join('\n'));
});
