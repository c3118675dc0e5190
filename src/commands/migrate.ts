/** `firewatch migrate`: the whole store to another engine or place, while no server runs on either, or online. docs/mongodb.md#moving, decisions 0047, 0053. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { systemAmbient } from '../ambient.ts';
import { type Config, readConfig } from '../config.ts';
import { loadDefinitions } from '../fhir/definitions/load.ts';
import { FOLDERS } from '../folders.ts';
import { Follower } from '../migrate/follow.ts';
import { compare, comparison, isEqual, move } from '../migrate/move.ts';
import { indexOf, layGround, storeParts } from '../open/ground.ts';
import { secretOf } from '../open/installation-secret.ts';
import { passphraseOf } from '../open/store.ts';
import type { IndexOf } from '../store/engine.ts';
import { followSqlite, moveSqlite } from '../store/sqlite/transfer.ts';
import type { Movable, Served } from '../store/transfer.ts';
import { progressBar } from './progress.ts';

/** Where a store is, and the folder of the keys of its installation. */
interface Place {
  readonly engine: 'sqlite' | 'mongodb';
  /** A folder, or a connection string. */
  readonly at: string;
  readonly keys: string;
  /** What its texts or its file are encrypted with; undefined: they are not. */
  readonly passphrase: string | undefined;
}
type MigrateConfig = Pick<Config, 'DATA_DIR' | 'DATA_KEY_FILE' | 'MONGODB_URL'>;

/** `none` for the file: without a key. @throws Error on a file that cannot be read */
const keyOf = (file: string | undefined, config: MigrateConfig): string | undefined =>
  file === 'none' ? undefined : passphraseOf(file === undefined ? config : { DATA_KEY_FILE: file });

/** @throws Error on a name that is none, or a database that is not named anywhere */
function placeOf(name: string, config: MigrateConfig, keyFile?: string): Place {
  const { DATA_DIR, MONGODB_URL } = config;
  const passphrase = keyOf(keyFile, config);
  if (name === 'sqlite') return { engine: 'sqlite', at: resolve(DATA_DIR), keys: resolve(DATA_DIR), passphrase };
  const folder = /^sqlite:(.+)$/s.exec(name)?.[1];
  if (folder !== undefined) return { engine: 'sqlite', at: resolve(folder), keys: resolve(folder), passphrase };
  const at = name === 'mongodb' ? MONGODB_URL : name;
  if (at === undefined) throw new Error('`mongodb` is the database that MONGODB_URL names, and it names none.');
  if (/^mongodb(\+srv)?:\/\//.test(at)) return { engine: 'mongodb', at, keys: resolve(DATA_DIR), passphrase };
  throw new Error(
    'A store is `sqlite`, `sqlite:<folder>`, `mongodb` or a connection string that begins with mongodb://.',
  );
}

/** The same place, whoever connects to it. */
const nameOf = ({ engine, at }: Place): string =>
  createHash('sha256')
    .update(`${engine} ${at.replace(/\/\/[^@/]*@/, '//')}`)
    .digest('hex');

async function mongoOptions({ at, keys, passphrase }: Place, types: readonly string[], indexOf?: IndexOf) {
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  const headKey = secretOf({ DATA_DIR: keys }, 'audit.key');
  return { url: at, key: passphrase, headKey, types, now: systemAmbient().now, indexOf };
}
const mongoMoves = () => import('../store/mongodb/transfer.ts');

/** @param indexOf what an online move makes index entries by */
async function open(place: Place, types: readonly string[], indexOf?: IndexOf): Promise<Movable> {
  if (place.engine === 'sqlite') return moveSqlite({ folder: place.at, key: place.passphrase, types, indexOf });
  return (await mongoMoves()).openMongoMove(await mongoOptions(place, types, indexOf));
}

async function openServed(place: Place, types: readonly string[]): Promise<Served> {
  if (place.engine === 'sqlite') return followSqlite({ folder: place.at, key: place.passphrase });
  return (await mongoMoves()).followMongo(await mongoOptions(place, types));
}

/** What the installation keeps beside its store. */
function leftBehind(from: Place, to: Place): readonly string[] {
  if (from.keys === to.keys || !existsSync(from.keys)) return [];
  return readdirSync(from.keys).filter((name) => name.endsWith('.key') || name === 'erasures.ndjson');
}

interface Names {
  readonly from: string;
  readonly to: string;
  /** Files of passphrases, or `none`; undefined: DATA_KEY_FILE. */
  readonly fromKey?: string | undefined;
  readonly toKey?: string | undefined;
}
type Tell = (line: string) => void;

/** @throws Error on a name that is none, or the same place twice */
function placesOf(names: Names, config: MigrateConfig): readonly [source: Place, target: Place] {
  const [source, target] = [placeOf(names.from, config, names.fromKey), placeOf(names.to, config, names.toKey)];
  if (nameOf(source) === nameOf(target)) throw new Error('Source and target are the same store.');
  if (source.engine === 'sqlite' && !existsSync(resolve(source.at, 'firewatch.db')))
    throw new Error('The source folder holds no database.');
  return [source, target];
}

function tellOfFiles(source: Place, target: Place, tell: Tell): void {
  const files = leftBehind(source, target);
  if (files.length > 0) tell(`Copy from ${source.keys} to ${target.keys} before the first start: ${files.join(', ')}`);
}

const DIFFERS = 'The target is not equal to the source: it is not opened by a server. Empty it and move again.';

/** With both closed and held while `work` uses them. */
async function between<From extends Movable, T>(
  opened: readonly [from: () => Promise<From>, to: () => Promise<Movable>],
  work: (from: From, to: Movable) => Promise<T>,
): Promise<T> {
  const from = await opened[0]();
  try {
    const to = await opened[1]();
    return await work(from, to).finally(() => to.close());
  } finally {
    await from.close();
  }
}

/** @returns true when the target is whole */
export async function migrate(names: Names, config: MigrateConfig, tell: Tell): Promise<boolean> {
  const [source, target] = placesOf(names, config);
  const types = [...loadDefinitions(FOLDERS.definitions).resourceTypes].toSorted();
  const opened = [() => open(source, types), () => open(target, types)] as const;
  const isWhole = await between(opened, async (from, to) => {
    await move(from, to, { source: nameOf(source), onProgress: progressBar('move', 'rows') });
    const lines = await compare(from, to, { onProgress: progressBar('compare', 'rows') });
    tell(comparison(lines));
    if (!lines.every(isEqual)) return false;
    await to.finish(await from.latest());
    return true;
  });
  if (!isWhole) {
    tell(DIFFERS);
    return false;
  }
  tellOfFiles(source, target, tell);
  tell('Moved. The first start makes the index rows.');
  return true;
}

/**
 * Moves while the source is served. Without `final` it ends when the target is equal but for what is written since.
 * @returns true when the target is in step or, with `final`, whole
 */
export async function migrateOnline(
  names: Names,
  config: Config,
  { final, tell }: { readonly final: boolean; readonly tell: Tell },
): Promise<boolean> {
  const [source, target] = placesOf(names, config);
  const ground = layGround(config, systemAmbient());
  const { types, indexHash } = storeParts(ground);
  const opened = [() => openServed(source, types), () => open(target, types, indexOf(ground))] as const;
  const isDone = await between(opened, async (from, to) => {
    const bar = (what: string) => progressBar(what, 'rows');
    const follower = await Follower.begin(from, to, { source: nameOf(source), indexHash, bar });
    await follower.copy();
    const rounds = await follower.rounds();
    tell(`Written again, round by round: ${rounds.join(', ')}.`);
    if (!follower.isVerified) {
      const line = await follower.verify();
      tell(comparison([line]));
      if (!isEqual(line)) return false;
    }
    await follower.rounds();
    await follower.recheck();
    const differing = await follower.differing();
    if (differing > 0) {
      tell(`${differing} places differ that were not written meanwhile.`);
      return false;
    }
    if (!final) return true;
    const began = performance.now();
    const { isWhole, lines } = await follower.finish();
    const pauseMs = Math.round(performance.now() - began);
    tell(comparison(lines));
    tell(`The source took no writes for ${pauseMs} ms${isWhole ? ', and takes none any more' : '; it goes on'}.`);
    return isWhole;
  });
  if (!isDone) tell(DIFFERS);
  else if (final) {
    tellOfFiles(source, target, tell);
    tell('Moved. Stop the servers of the source and start those of the target.');
  } else tell('The target is in step with the source. Move with `--final` when the servers may change over.');
  return isDone;
}

/** The source as it was before an online move, and open for writes; what was copied stays where it is. */
export async function abandonMove(from: string, config: MigrateConfig, fromKey?: string): Promise<void> {
  const types = [...loadDefinitions(FOLDERS.definitions).resourceTypes].toSorted();
  const source = await openServed(placeOf(from, config, fromKey), types);
  await source.journal.abandon().finally(() => source.close());
}

interface MigrateOptions {
  readonly from: string;
  readonly to?: string;
  readonly fromKey?: string;
  readonly toKey?: string;
  readonly online?: boolean;
  readonly final?: boolean;
  readonly abandon?: boolean;
}

export function migrateCommand(program: Command): void {
  program
    .command('migrate')
    .description(
      'move the whole store to another engine or place and compare both, while no server runs on either, or with --online while servers answer from the source; taken up when it was cut short',
    )
    .requiredOption(
      '--from <store>',
      'sqlite (of DATA_DIR), sqlite:<folder>, mongodb (of MONGODB_URL) or its mongodb:// URL',
    )
    .option('--to <store>', 'the same names; must be empty')
    .option('--from-key <file>', 'passphrase of the source, or `none`; default: DATA_KEY_FILE')
    .option('--to-key <file>', 'passphrase of the target, or `none`; default: DATA_KEY_FILE')
    .option('--online', 'while servers answer from the source: until the target is in step with it')
    .option('--final', 'as --online, then shut the source for as long as the last changes take, and leave it')
    .option('--abandon', 'take back an online move: the source is open again, the target stays as it is')
    .action(async ({ from, to, fromKey, toKey, online = false, final = false, abandon = false }: MigrateOptions) => {
      const tell: Tell = (line) => console.log(line);
      if (abandon) {
        await abandonMove(from, readConfig(), fromKey);
        tell('The source is as it was before the move.');
        return;
      }
      if (to === undefined) throw new Error('Say with --to where to.');
      const names = { from, to, fromKey, toKey };
      const isDone =
        online || final
          ? await migrateOnline(names, readConfig(), { final, tell })
          : await migrate(names, readConfig(), tell);
      process.exitCode = isDone ? 0 : 1;
    });
}
