// What purge and forget leave in the SQLite files, and what a restart knows of them. docs/privacy.md
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { FORGOTTEN } from '../../src/store/port.ts';
import { connect } from '../../src/store/sqlite/schema.ts';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite.ts';
import { auditRow, put } from './world.ts';

const CANARY = 'Canary7351';

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'purge-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
const open = (folder: string): Promise<SqliteStore> =>
  openSqlite({ folder, renderAudit: (row) => row.bytes, indexHash: 'one', types: ['Patient'], budgetMs: 5000 });

const identifier: IndexEntry = { kind: 'token', parameter: 'Patient.identifier', system: 's', code: CANARY, group: 0 };
const name: IndexEntry = {
  kind: 'string',
  parameter: 'Patient.name',
  folded: CANARY.toLowerCase(),
  exact: CANARY,
  group: 0,
};

async function traces(folder: string): Promise<readonly string[]> {
  return readdirSync(folder).filter((file) => readFileSync(join(folder, file)).toString('latin1').includes(CANARY));
}

test('privacy@purge-pages: the file holds neither text nor index rows of what was purged', async (context) => {
  const folder = folderOf(context);
  const store = await open(folder);
  const command = put('Patient', 'p', 1, [identifier, name], 'PUT', ['p']);
  if (command.op !== 'put') throw new TypeError('A put.');
  const body = { head: command.body.head, tail: `"},"name":[{"family":"${CANARY}"}]}` };
  const told = { ...auditRow('1', { patient: 'p' }), erasable: `{"q":["GET /Patient?name=${CANARY}"],"t":"salt"}` };
  await store.commit({ commands: [{ ...command, body }], audit: [told] });
  const through = await store.latestSequence();
  const purge = { op: 'purge', key: { type: 'Patient', id: 'p' }, version: 1 } as const;
  const forget = { op: 'forget', patients: ['p'], through, value: '1' } as const;
  const about = () => {
    const connection = connect({ folder });
    const rows = connection.prepare('SELECT patient FROM about').all();
    connection.close();
    return rows;
  };
  assert.deepEqual(about(), [{ patient: 'p' }], 'control');
  assert.equal((await store.commit({ commands: [purge, forget], audit: [] })).ok, true);
  assert.deepEqual(about(), []);
  await store.close();
  assert.deepEqual(await traces(folder), []);
});

test('privacy@purge-restart: a restart knows who is forgotten, uses no sequence twice, and the chain is whole', async (context) => {
  const folder = folderOf(context);
  const first = await open(folder);
  await first.commit({
    commands: [put('Patient', 'p', 1, [], 'PUT', ['p'])],
    audit: [auditRow('1', { patient: 'p' })],
  });
  const through = await first.latestSequence();
  const purge = { op: 'purge', key: { type: 'Patient', id: 'p' }, version: 1 } as const;
  await first.commit({ commands: [purge, { op: 'forget', patients: ['p'], through, value: '1' }], audit: [] });
  await first.close();
  const second = await open(folder);
  context.after(() => second.close());
  assert.equal((await second.keyed(FORGOTTEN, 'p'))?.value, '1');
  const again = put('Patient', 'p', 1, [], 'PUT', ['p']);
  assert.equal((await second.commit({ commands: [again], audit: [] })).ok, false);
  const other = await second.commit({ commands: [put('Patient', 'q', 1, [], 'PUT', ['q'])], audit: [] });
  assert.equal(other.ok && other.versions[0]?.sequence, through + 1);
  assert.deepEqual(second.verifyAudit(), { rows: 1, broken: undefined });
});
