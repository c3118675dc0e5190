// Durability: what was acknowledged survives SIGKILL, whole and in order; a torn log gives an earlier commit, never half of one.
// src/store/port.ts, guarantees 1 and 5. CRASH_ROUNDS sets the number of kills (default 10).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect } from '../../src/store/sqlite/schema.ts';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite.ts';
import { auditRow, put, random, whole } from './world.ts';

const rounds = Number(process.env.CRASH_ROUNDS ?? 10);
const open = (folder: string, checkpointMs = 250): Promise<SqliteStore> =>
  openSqlite({
    folder,
    checkpointMs,
    budgetMs: 5000,
    renderAudit: ({ bytes }) => bytes,
    indexHash: '',
    types: ['Patient', 'Observation'],
  });

/** Lines `id auditId` the child printed before it was killed, after about `lines` of them. */
function runAndKill(folder: string, round: number, lines: number): Promise<readonly string[]> {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./crash-child.ts', import.meta.url)), folder, String(round)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let output = '';
  child.stdout.on('data', (part: Buffer) => {
    output += part.toString();
    if (output.split('\n').length > lines) child.kill('SIGKILL');
  });
  // The last line may be torn by the kill.
  return new Promise((resolve) => child.on('close', () => resolve(output.split('\n').slice(0, -1))));
}

/** Every request there is has both resources and its audit row; the chain is whole. @returns how many */
async function assertWhole(store: SqliteStore): Promise<number> {
  const count = (type: string) => store.count({ type, where: { kind: 'all' }, sort: [], principal: '' });
  const [patients, observations, events] = await Promise.all(['Patient', 'Observation', 'AuditEvent'].map(count));
  assert.deepEqual([observations, events], [patients, patients], 'no half request');
  assert.deepEqual(store.verifyAudit(), { rows: patients, broken: undefined });
  return patients ?? 0;
}

test(`acknowledged commits survive ${rounds} SIGKILLs`, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-crash-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const next = random(42);
  let kept = 0;
  for (let round = 0; round < rounds; round++) {
    const acknowledged = await runAndKill(folder, round, whole(next, 400));
    const store = await open(folder);
    for (const line of acknowledged) {
      const [id = '', auditId = ''] = line.split(' ');
      const found = await Promise.all([
        store.read({ type: 'Patient', id }),
        store.read({ type: 'Observation', id }),
        store.read({ type: 'AuditEvent', id: auditId }),
      ]);
      assert.deepEqual(
        found.map((version) => version?.version),
        [1, 1, 1],
        line,
      );
      assert.equal(found[2]?.text, id, 'its own audit row');
    }
    kept += acknowledged.length;
    assert.ok((await assertWhole(store)) >= kept, 'nothing of earlier rounds is lost');
    await store.close();
    const connection = connect({ folder });
    assert.equal(connection.pragma('integrity_check', { simple: true }), 'ok');
    connection.close();
  }
  assert.ok(kept > 0, 'control: something was acknowledged');
});

test('a log cut anywhere opens as a prefix of the commits, with a whole chain', async (context) => {
  const made = mkdtempSync(join(tmpdir(), 'firewatch-log-'));
  context.after(() => rmSync(made, { recursive: true, force: true }));
  // A checkpoint copies only what the log holds durably; without one the log can be cut by itself.
  const store = await open(made, 3_600_000);
  context.after(() => store.close());
  const total = 30;
  for (let index = 0; index < total; index++) {
    const id = `p${String(index).padStart(2, '0')}`;
    const commands = [put('Patient', id), put('Observation', id)];
    assert.ok((await store.commit({ commands, audit: [auditRow(id)] })).ok);
  }
  const size = readFileSync(join(made, 'firewatch.db-wal')).length;
  const next = random(5);
  const seen = new Set<number>();
  for (const cut of [0, ...Array.from({ length: 12 }, () => whole(next, size)), size]) {
    const copy = mkdtempSync(join(tmpdir(), 'firewatch-cut-'));
    context.after(() => rmSync(copy, { recursive: true, force: true }));
    for (const file of ['firewatch.db', 'firewatch.db-wal']) copyFileSync(join(made, file), join(copy, file));
    truncateSync(join(copy, 'firewatch.db-wal'), cut);
    const opened = await open(copy);
    const found = await assertWhole(opened);
    const ids = await opened.search(
      { type: 'Patient', where: { kind: 'all' }, sort: [], principal: '' },
      { count: total },
    );
    const expected = Array.from({ length: found }, (_, index) => `p${String(index).padStart(2, '0')}`);
    assert.deepEqual(
      ids.matches.map(({ key }) => key.id),
      expected,
      `cut at ${cut}`,
    );
    seen.add(found);
    await opened.close();
  }
  assert.ok(seen.has(total), 'control: the uncut log holds every commit');
});
