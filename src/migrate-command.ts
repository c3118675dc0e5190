/** `firewatch migrate`: the whole store to another engine or place, while no server runs on either. docs/mongodb.md#moving, decision 0047. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { systemAmbient } from './ambient.ts';
import { progressBar } from './commands/progress.ts';
import { type Config, readConfig } from './config.ts';
import { loadDefinitions } from './fhir/definitions-load.ts';
import { FOLDERS } from './folders.ts';
import { compare, comparison, isEqual, move } from './migrate.ts';
import { secretOf } from './open/installation-secret.ts';
import { moveSqlite } from './store/sqlite-transfer.ts';
import type { Movable } from './store/transfer.ts';

/** Where a store is, and the folder of the keys of its installation. */
interface Place {
  readonly engine: 'sqlite' | 'mongodb';
  /** A folder, or a connection string. */
  readonly at: string;
  readonly keys: string;
}
type MigrateConfig = Pick<Config, 'DATA_DIR' | 'DATA_KEY_FILE' | 'MONGODB_URL'>;

/** @throws Error on a name that is none, or a database that is not named anywhere */
function placeOf(name: string, { DATA_DIR, MONGODB_URL }: MigrateConfig): Place {
  if (name === 'sqlite') return { engine: 'sqlite', at: resolve(DATA_DIR), keys: resolve(DATA_DIR) };
  const folder = /^sqlite:(.+)$/s.exec(name)?.[1];
  if (folder !== undefined) return { engine: 'sqlite', at: resolve(folder), keys: resolve(folder) };
  const at = name === 'mongodb' ? MONGODB_URL : name;
  if (at === undefined) throw new Error('`mongodb` is the database that MONGODB_URL names, and it names none.');
  if (/^mongodb(\+srv)?:\/\//.test(at)) return { engine: 'mongodb', at, keys: resolve(DATA_DIR) };
  throw new Error(
    'A store is `sqlite`, `sqlite:<folder>`, `mongodb` or a connection string that begins with mongodb://.',
  );
}

/** The same place, whoever connects to it. */
const nameOf = ({ engine, at }: Place): string =>
  createHash('sha256')
    .update(`${engine} ${at.replace(/\/\/[^@/]*@/, '//')}`)
    .digest('hex');

async function open({ engine, at, keys }: Place, config: MigrateConfig, types: readonly string[]): Promise<Movable> {
  if (engine === 'sqlite') {
    const key = config.DATA_KEY_FILE === undefined ? undefined : readFileSync(config.DATA_KEY_FILE, 'utf8').trim();
    return moveSqlite({ folder: at, key, types });
  }
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  const { openMongoMove } = await import('./store/mongodb-transfer.ts');
  const headKey = secretOf({ DATA_DIR: keys }, 'audit.key');
  return openMongoMove({ url: at, headKey, types, now: systemAmbient().now() });
}

/** What the installation keeps beside its store. */
function leftBehind(from: Place, to: Place): readonly string[] {
  if (from.keys === to.keys || !existsSync(from.keys)) return [];
  return readdirSync(from.keys).filter((name) => name.endsWith('.key') || name === 'erasures.ndjson');
}

/** @returns true when the target is whole */
export async function migrate(
  names: { readonly from: string; readonly to: string },
  config: MigrateConfig,
  tell: (line: string) => void,
): Promise<boolean> {
  const [source, target] = [placeOf(names.from, config), placeOf(names.to, config)];
  if (nameOf(source) === nameOf(target)) throw new Error('Source and target are the same store.');
  if (source.engine === 'sqlite' && !existsSync(resolve(source.at, 'firewatch.db')))
    throw new Error('The source folder holds no database.');
  const types = [...loadDefinitions(FOLDERS.definitions).resourceTypes].toSorted();
  const from = await open(source, config, types);
  try {
    const to = await open(target, config, types);
    try {
      await move(from, to, { source: nameOf(source), onProgress: progressBar('move') });
      const lines = await compare(from, to, { onProgress: progressBar('compare') });
      tell(comparison(lines));
      if (!lines.every(isEqual)) {
        tell('The target is not equal to the source: it is not opened by a server. Empty it and move again.');
        return false;
      }
      await to.finish(await from.latest());
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
  const files = leftBehind(source, target);
  if (files.length > 0) tell(`Copy from ${source.keys} to ${target.keys} before the first start: ${files.join(', ')}`);
  tell('Moved. The first start makes the index rows.');
  return true;
}

export function migrateCommand(program: Command): void {
  program
    .command('migrate')
    .description(
      'move the whole store to another engine or place and compare both, while no server runs on either; taken up when it was cut short',
    )
    .requiredOption(
      '--from <store>',
      'sqlite (of DATA_DIR), sqlite:<folder>, mongodb (of MONGODB_URL) or its mongodb:// URL',
    )
    .requiredOption('--to <store>', 'the same names; must be empty')
    .action(async (names: { from: string; to: string }) => {
      process.exitCode = (await migrate(names, readConfig(), (line) => console.log(line))) ? 0 : 1;
    });
}
