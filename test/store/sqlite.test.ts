// The SQLite engine: the common contract, and what is its own: query plans, threads, limits, encryption, migration. docs/decisions/0003.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { IndexEntry, Predicate } from '../../src/fhir/search/algebra.ts';
import { StoreError } from '../../src/store/port.ts';
import { attachSqlite, openSqlite, type SqliteOptions, type SqliteStore } from '../../src/store/sqlite.ts';
import { connect } from '../../src/store/sqlite-schema.ts';
import { storeContract } from './contract.ts';
import { auditRow, IDS, put } from './world.ts';

export function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-store-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const renderAudit: SqliteOptions['renderAudit'] = (row, event) =>
  `${row.bytes} ${event} ${row.patientOf('second') ?? row.patientOf('key-p1')}`;
const options = (folder: string, more: Partial<SqliteOptions> = {}): SqliteOptions => ({
  folder,
  budgetMs: 5000,
  renderAudit,
  indexHash: 'one',
  types: ['Patient', 'Observation'],
  ...more,
});

async function open(
  context: TestContext,
  more: Partial<SqliteOptions> = {},
  folder = temporaryFolder(context),
): Promise<SqliteStore> {
  const store = await openSqlite(options(folder, more));
  context.after(() => store.close().catch(() => undefined));
  return store;
}

const seen = new Set<string>();
storeContract('sqlite', async (context, at) => {
  const store = await open(context, at === undefined ? {} : { clock: { fixed: at } });
  store.watchStatements((text) => seen.add(text));
  return store;
});
for (const collect of [0, 3]) {
  storeContract(`sqlite, collecting at most ${collect}`, async (context, at) => {
    const store = await open(context, { collect, ...(at === undefined ? {} : { clock: { fixed: at } }) });
    store.watchStatements((text) => seen.add(text));
    return store;
  });
}

/** Whole-table steps that are meant: our own subqueries, JSON lists, the dictionaries. */
const SCANS_ALLOWED =
  /^SCAN (b|t|p|m|g|x|j|json_each|value|shape|parameter_system|parameter_unit|\(subquery-\d+\)|subquery-\d+|CONSTANT ROW|\d+ CONSTANT ROWS?)\b/;

test('sqlite: no statement of the contract scans a table', async (context) => {
  const folder = temporaryFolder(context);
  await (await open(context, {}, folder)).close();
  const connection = connect({ folder });
  connection.function('tick', { deterministic: false }, () => 1);
  const scans = [...seen].flatMap((text) => {
    if (/^(BEGIN|COMMIT)/.test(text)) return [];
    const steps = connection.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...Array(text.split('?').length - 1).fill(null));
    return steps
      .map((step) => String((step as { detail: string }).detail))
      .filter((detail) => detail.startsWith('SCAN ') && !SCANS_ALLOWED.test(detail))
      .map((detail) => `${detail} in ${text}`);
  });
  connection.close();
  assert.ok(seen.size > 500, `control: ${seen.size} statements seen`);
  assert.deepEqual(scans.slice(0, 5), []);
});
