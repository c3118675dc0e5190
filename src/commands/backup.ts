/** `firewatch backup`: the whole installation as one file, while its server runs and takes writes; and whether such a file is whole. docs/operations.md#backup */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { readFile, rm, statfs } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { systemAmbient } from '../ambient.ts';
import { type Config, readConfig } from '../config.ts';
import { LAST_BACKUP } from '../open/backup-watch.ts';
import { registerFile } from '../open/privacy.ts';
import { passphraseOf } from '../open/store.ts';
import {
  type BackupFile,
  type BackupNote,
  type Checked,
  checkBackup,
  describeCopy,
  openSource,
} from '../store/sqlite/backup.ts';
import { VERSION } from '../system.ts';
import { hashOfFile, renamed, synced, writeDurably } from './durable.ts';
import { type Progress, progressBar } from './progress.ts';

/** Files of DATA_DIR that an installation cannot be taken up without. THE table: whatever a room keeps there besides adds a name. */
export const INSTALLATION = [
  'audit.key',
  'cursor.key',
  'record.key',
  'oauth.key',
  'demo-service.jwk.json',
  'seed.json',
];
/** The register of erasures in a backup, wherever it lies otherwise. */
export const REGISTER = 'erasures.ndjson';
const NOT_IN_IT =
  'Not in it: files of bulk exports, imports and asynchronous answers; settings (environment); DATA_KEY_FILE and other files that settings name.';

export type KeyConfig = Pick<Config, 'DATA_DIR' | 'DATA_KEY_FILE' | 'MONGODB_URL' | 'ERASURE_REGISTER'>;
type Tell = (line: string) => void;

/** @throws Error where the data is MongoDB's */
export function assertEmbedded({ MONGODB_URL }: Pick<Config, 'MONGODB_URL'>): void {
  if (MONGODB_URL === undefined) return;
  throw new Error(
    'the data is in MongoDB (MONGODB_URL), which has tools of its own: `mongodump --oplog` and `mongorestore --oplogReplay`, or snapshots of its volumes, ' +
      'with the files of DATA_DIR beside them. `firewatch migrate --from mongodb --to sqlite:<folder>` copies it to a folder that `firewatch backup` takes (docs/operations.md).',
  );
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1_048_576)} MB`;

async function assertRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < bytes)
    throw new Error(`${folder} has ${megabytes(bavail * bsize)} left; the backup takes up to ${megabytes(bytes)}.`);
}

async function installationFiles(config: KeyConfig): Promise<readonly BackupFile[]> {
  const named = [
    ...INSTALLATION.map((name) => [name, join(config.DATA_DIR, name)] as const),
    [REGISTER, registerFile(config)] as const,
  ];
  const files: BackupFile[] = [];
  for (const [name, path] of named) if (existsSync(path)) files.push({ name, bytes: await readFile(path) });
  return files;
}

/** A backup that is finished: what is printed of it. */
export interface Taken {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly takenAt: string;
  readonly release: string;
  readonly encrypted: boolean;
  readonly counts: BackupNote['counts'];
  readonly audit: BackupNote['heads'];
  readonly files: readonly string[];
}

const takenOf = (file: string, sha256: string, encrypted: boolean, { note, files }: Checked): Taken => ({
  file: resolve(file),
  bytes: statSync(file).size,
  sha256,
  takenAt: new Date(note.takenAt).toISOString(),
  release: note.release,
  encrypted,
  counts: note.counts,
  audit: note.heads,
  files,
});

/**
 * Writes a backup under another name, looks through it, and gives it its name last: a file of that name is whole.
 * @throws Error when there is one already, no room, no database, or what was written is not what was read
 */
export async function backup(name: string, config: KeyConfig, progress: (what: string) => Progress): Promise<Taken> {
  assertEmbedded(config);
  const [file, part] = [resolve(name), `${resolve(name)}.part`];
  if (!existsSync(join(config.DATA_DIR, 'firewatch.db'))) throw new Error(`${config.DATA_DIR} holds no database.`);
  if (existsSync(file)) throw new Error(`${file} is there already: a backup takes nothing's place.`);
  if (existsSync(part))
    throw new Error(`${part} is being written, or was left by a backup that was cut short: remove it.`);
  // What was acknowledged before this instant is in it; what commits while it is copied may be.
  const began = systemAmbient().now();
  const key = passphraseOf(config);
  const source = openSource({ folder: config.DATA_DIR, key });
  try {
    await assertRoom(dirname(file), source.bytes);
    // Whoever asks the server goes before.
    setPriority(constants.priority.PRIORITY_LOW);
    await source.copy(part, progress('copy'));
    const bar = progress('check');
    bar(0, 3);
    const files = await installationFiles(config);
    const { heads, sequence } = describeCopy({ file: part, key }, { release: VERSION, takenAt: began }, files);
    bar(1, 3);
    if (!source.holds(heads) || sequence < source.state.sequence)
      throw new Error('The copy is not a later state of the database it was made of. It was removed.');
    const checked = checkBackup(part, key);
    if (checked.problems.length > 0)
      throw new Error(`The copy is not whole: ${checked.problems.join(' ')} It was removed.`);
    bar(2, 3);
    await synced(part);
    const sha256 = await hashOfFile(part);
    await writeDurably(`${file}.sha256`, `${sha256}  ${basename(file)}\n`);
    await renamed(part, file);
    bar(3, 3);
    const taken = takenOf(file, sha256, key !== undefined, checked);
    const { takenAt, bytes } = taken;
    await writeDurably(join(config.DATA_DIR, LAST_BACKUP), JSON.stringify({ takenAt, bytes, sha256 }));
    return taken;
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  } finally {
    source.close();
  }
}

const PLAIN = 'SQLite format 3\0';

function isEncrypted(file: string): boolean {
  const [descriptor, head] = [openSync(file, 'r'), Buffer.alloc(PLAIN.length)];
  try {
    readSync(descriptor, head);
    return head.toString('latin1') !== PLAIN;
  } finally {
    closeSync(descriptor);
  }
}

/** A backup that was found whole. */
export interface Verified extends Taken {
  /** False: there is no hash beside it, so that a change of its bytes shows only where the database itself shows it. */
  readonly compared: boolean;
}

/** @throws Error saying what is wrong with it */
export async function verifyBackup(name: string, config: Pick<Config, 'DATA_KEY_FILE'>): Promise<Verified> {
  const file = resolve(name);
  if (!existsSync(file)) throw new Error(`${file} is not there.`);
  const [key, encrypted] = [passphraseOf(config), isEncrypted(file)];
  if (!encrypted && key !== undefined)
    throw new Error(
      `${file} is not encrypted, but DATA_KEY_FILE is set: it is no backup of this installation, or is none.`,
    );
  const sha256 = await hashOfFile(file);
  const expected = existsSync(`${file}.sha256`) ? (await readFile(`${file}.sha256`, 'utf8')).split(' ')[0] : undefined;
  if (expected !== undefined && expected !== sha256)
    throw new Error(`${file} is not as it was written: its SHA-256 is ${sha256}, ${file}.sha256 says ${expected}.`);
  const checked = lookThrough(file, key, encrypted);
  if (checked.problems.length > 0) throw new Error(`${file} is not whole: ${checked.problems.join(' ')}`);
  return { ...takenOf(file, sha256, encrypted, checked), compared: expected !== undefined };
}

function lookThrough(file: string, key: string | undefined, encrypted: boolean): Checked {
  try {
    return checkBackup(file, key);
  } catch (cause) {
    const hint = encrypted && key === undefined ? ' Set DATA_KEY_FILE when it is encrypted.' : '';
    throw new Error(`${file}: ${cause instanceof Error ? cause.message : String(cause)}${hint}`, { cause });
  }
}

export function backupCommand(program: Command): void {
  program
    .command('backup')
    .description(
      'write the whole store, the keys of the installation and the register of erasures to one new file, while the server runs; it is looked through before it gets its name',
    )
    .argument('<file>', 'a file that is not there yet; `<file>.sha256` is written beside it')
    .option('--verify', 'look through a backup that is there instead: hash, pages, indexes, audit log, counts')
    .action(async (file: string, { verify = false }: { verify?: boolean }) => {
      const tell: Tell = (line) => console.error(`firewatch: ${line}`);
      const config = readConfig();
      if (verify) {
        const verified = await verifyBackup(file, config);
        if (!verified.compared) tell(`There is no ${file}.sha256: the bytes were not compared with those written.`);
        console.log(JSON.stringify(verified));
        return;
      }
      console.log(JSON.stringify(await backup(file, config, (what) => progressBar(what))));
      tell(NOT_IN_IT);
      if (config.DATA_KEY_FILE === undefined)
        tell('It is not encrypted, and holds the keys of the installation: keep it as you keep the data.');
    });
}
