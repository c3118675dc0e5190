// docs/operations.md#backup, decision 0063: a copy of one state taken under commits, what is refused, and what a restored store never gives again.
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { backup, verifyBackup } from '../../src/commands/backup.ts';
import { restore } from '../../src/commands/restore.ts';
import { readConfig } from '../../src/config.ts';
import { checkBackup, describeCopy, openSource } from '../../src/store/sqlite/backup.ts';
import { becomeDatabase } from '../../src/store/sqlite/restore.ts';
import { connectCopy, isBeingCopied } from '../../src/store/sqlite/schema.ts';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite.ts';
import { auditRow, put } from './world.ts';

const KEY = 'a passphrase';
const CANARY = 'Canary5512';

function folder(context: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'firewatch-backup-'));
  context.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}
async function open(context: TestContext, place: string, key?: string): Promise<SqliteStore> {
  const store = await openSqlite({
    ...{ folder: place, key, budgetMs: 5000, indexHash: 'one', types: ['Patient', 'Observation'] },
    renderAudit: (row) => row.bytes,
  });
  context.after(() => store.close());
  return store;
}
const write = (store: SqliteStore, id: string, version = 1) =>
  store.commit({ commands: [put('Patient', id, version)], audit: [auditRow(`{"who":"${CANARY}"}`)] });
const settings = (place: string, more: Readonly<Record<string, string>> = {}) =>
  readConfig({ DATA_DIR: place, SEED: 'none', ...more });
const silent = () => () => undefined;

for (const key of [undefined, KEY]) {
  test(`reliability@backup: ${key === undefined ? 'in the clear' : 'encrypted'}, one state while commits go on, restored beyond what was seen`, async (context) => {
    const [place, other] = [folder(context), folder(context)];
    const store = await open(context, place, key);
    for (let index = 0; index < 50; index++) await write(store, `before-${index}`);
    let isOver = false;
    let during = 0;
    const writing = (async () => {
      while (!isOver) await write(store, `during-${during++}`);
    })();
    const [file, source] = [join(other, 'copy'), openSource({ folder: place, key })];
    assert.ok(isBeingCopied(place));
    assert.throws(() => openSource({ folder: place, key }), /Another backup/);
    const told: number[] = [];
    await source.copy(file, (done, total) => told.push(done / total));
    assert.equal(told.at(-1), 1, 'the bar ends full');
    while (during === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    isOver = true;
    await writing;
    const files = [{ name: 'audit.key', bytes: Buffer.from('secret') }];
    const note = describeCopy({ file, key }, { release: '0.1.0', takenAt: 7 }, files);
    assert.ok(note.sequence >= source.state.sequence && note.sequence >= 50, 'everything acknowledged before it began');
    assert.ok(source.holds(note.heads), 'its log is a beginning of the log');
    assert.ok(!source.holds([{ ...note.heads[0], chain: 1, rows: 1, hash: 'ff' }]), 'another log is told apart');
    source.close();
    assert.ok(!isBeingCopied(place));
    assert.equal(readFileSync(file).includes(CANARY), key === undefined);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const checked = checkBackup(file, key);
    assert.deepEqual([checked.problems, checked.files], [[], ['audit.key']]);
    assert.equal(checked.note.counts.audit, note.sequence, 'each commit has its row');

    // Meanwhile the served store goes on: these are lost, and what they were called is not given again.
    const lost = await write(store, 'lost');
    const restored = becomeDatabase(file, key, { at: 9, chance: 3, spaces: [] });
    assert.deepEqual(restored.files, files);
    renameSync(file, join(other, 'firewatch.db'));
    const second = await open(context, other, key);
    assert.equal((await second.read({ type: 'Patient', id: 'before-49' }))?.version, 1);
    assert.equal(await second.read({ type: 'Patient', id: 'lost' }), undefined);
    const first = await write(second, 'after');
    assert.ok(lost.ok && first.ok);
    assert.ok((first.versions[0]?.sequence ?? 0) > (lost.versions[0]?.sequence ?? 0));
    assert.equal(first.auditIds[0], `${restored.chain}-1-1`);
    assert.notEqual(restored.chain, 1);
    assert.equal((await second.read({ type: 'AuditEvent', id: first.auditIds[0] ?? '' }))?.text, `{"who":"${CANARY}"}`);
    assert.deepEqual(second.verifyAudit(), { rows: note.sequence + 1, broken: undefined });
    const [next] = await second.changes(note.sequence, 10);
    assert.equal(next?.key.id, 'after', 'whoever follows the feed misses nothing');
  });
}

test('reliability@backup: values that must not come back are dropped, others stay', async (context) => {
  const [place, other] = [folder(context), folder(context)];
  const store = await open(context, place);
  const set = (space: string) => ({ op: 'set', space, key: 'one', value: 'x' }) as const;
  await store.commit({ commands: [set('oauth.RefreshToken'), set('oauth.user')], audit: [] });
  const [file, source] = [join(other, 'firewatch.db'), openSource({ folder: place })];
  await source.copy(file, () => undefined);
  source.close();
  describeCopy({ file, key: undefined }, { release: '0.1.0', takenAt: 7 }, []);
  assert.equal(becomeDatabase(file, undefined, { at: 9, chance: 0, spaces: ['oauth.RefreshToken'] }).dropped, 1);
  const second = await open(context, other);
  assert.equal(await second.keyed('oauth.RefreshToken', 'one'), undefined);
  assert.equal((await second.keyed('oauth.user', 'one'))?.value, 'x');
});

test('reliability@backup-refused: what is damaged, of another key, newer, unfinished or no backup is not restored', async (context) => {
  const [place, kept] = [folder(context), folder(context)];
  const store = await open(context, place);
  await write(store, 'one');
  const file = join(kept, 'whole');
  const taken = await backup(file, settings(place), silent);
  assert.deepEqual(taken.files, []);
  assert.equal((await verifyBackup(file, settings(place))).compared, true, 'control: it is whole');
  assert.equal(JSON.parse(readFileSync(join(place, 'backup.json'), 'utf8')).sha256, taken.sha256);
  await assert.rejects(backup(file, settings(place), silent), /is there already/);
  writeFileSync(join(kept, 'cut.part'), '');
  await assert.rejects(backup(join(kept, 'cut'), settings(place), silent), /cut short/);
  await assert.rejects(backup(join(kept, 'x'), settings(kept), silent), /holds no database/);
  await assert.rejects(backup(join(kept, 'x'), settings(place, { MONGODB_URL: 'mongodb://h/x' }), silent), /mongodump/);
  assert.ok(!existsSync(join(kept, 'x.part')), 'nothing half is left');

  const keyFile = join(kept, 'key');
  writeFileSync(keyFile, KEY);
  const bytes = readFileSync(file);
  const at = bytes.indexOf(CANARY);
  assert.ok(at > 0, 'control: the bytes hold it');
  const changed = Buffer.from(bytes);
  changed[at] = 0x58;
  const as = (text: string) => (path: string) => {
    cpSync(file, path);
    const connection = connectCopy(path, undefined);
    connection.exec(text);
    connection.close();
  };
  const rows: readonly [
    name: string,
    make: (path: string) => void,
    env: Readonly<Record<string, string>>,
    said: RegExp,
  ][] = [
    [
      'a byte changed, with the hash beside it',
      (path) => {
        writeFileSync(path, changed);
        cpSync(`${file}.sha256`, `${path}.sha256`);
      },
      {},
      /not as it was written/,
    ],
    ['a byte of the log changed, without the hash', (path) => writeFileSync(path, changed), {}, /audit log is broken/],
    [
      'cut in half',
      (path) => writeFileSync(path, bytes.subarray(0, bytes.length / 2)),
      {},
      /not whole|cannot be read|malformed/,
    ],
    ['a row lost', as('DELETE FROM resource'), {}, /table resource has 0 rows, its note says 1/],
    ['of another key', (path) => cpSync(file, path), { DATA_KEY_FILE: keyFile }, /not encrypted, but DATA_KEY_FILE/],
    ['noise', (path) => writeFileSync(path, Buffer.alloc(8192, 7)), {}, /cannot be read.*DATA_KEY_FILE/],
    ['a database', (path) => cpSync(join(place, 'firewatch.db'), path), {}, /cannot be read|no backup/],
    [
      'of a newer schema',
      as(`UPDATE backup_note SET text=json_set(text, '$.schema', 999)`),
      {},
      /newer release 0\.1\.0/,
    ],
    ['of a newer form', as(`UPDATE backup_note SET text=json_set(text, '$.form', 2)`), {}, /newer release/],
    ['absent', () => undefined, {}, /is not there/],
  ];
  const wrong: string[] = [];
  for (const [index, [name, make, env, said]] of rows.entries()) {
    const [path, target] = [join(kept, `copy-${index}`), join(kept, `data-${index}`)];
    make(path);
    const how = { erasures: [], progress: silent };
    const message = await restore(path, settings(target, env), how).then(
      () => 'restored',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (!said.test(message)) wrong.push(`${name}: ${message}`);
    if (existsSync(target)) wrong.push(`${name}: the folder was made`);
  }
  assert.deepEqual(wrong, []);
  const how = { erasures: [], progress: silent };
  await assert.rejects(restore(file, settings(place), how), /is not empty \(/);
  await assert.rejects(restore(file, settings(join(kept, 'm'), { MONGODB_URL: 'mongodb://h/x' }), how), /mongorestore/);
});
