/** `firewatch restore`: a backup becomes the data of an empty DATA_DIR, without whoever was erased since. docs/operations.md#restore */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { copyFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { systemAmbient } from '../ambient.ts';
import { type Config, readConfig } from '../config.ts';
import { registerFile } from '../open/privacy.ts';
import { passphraseOf } from '../open/store.ts';
import { addToRegister, readRegister } from '../privacy/register.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import { becomeDatabase } from '../store/sqlite/restore.ts';
import { buildSystem, type System } from '../system.ts';
import { assertEmbedded, REGISTER, verifyBackup } from './backup.ts';
import { renamed, synced, writeDurably } from './durable.ts';
import { type Progress, progressBar } from './progress.ts';

/** What was signed in, granted and opened is over: some of it was ended since the backup was taken, and nobody knows any more what. THE table. */
const ENDED = [
  ...['AccessToken', 'ClientCredentials', 'RefreshToken', 'AuthorizationCode', 'Session', 'Grant', 'Interaction'],
  ...['grant-member', 'grant-context', 'session-uid', 'session-grant', 'launch', 'pending-login'],
].map((name) => `oauth.${name}`);

/** What may be in the folder already: a register that was brought there, and what file systems put there. */
const HARMLESS = new Set([REGISTER, 'lost+found']);

export interface RestoredStore {
  readonly file: string;
  readonly takenAt: string;
  readonly folder: string;
  readonly files: readonly string[];
  /** Erasures in the register by now; each is done again where the backup holds the person. */
  readonly erasures: number;
  /** Sign-ins, tokens and grants that were ended. */
  readonly ended: number;
  readonly auditChain: number;
}

function assertEmpty(folder: string): void {
  const held = existsSync(folder) ? readdirSync(folder).filter((name) => !HARMLESS.has(name)) : [];
  if (held.length === 0) return;
  const cut = held.includes('firewatch.db.part')
    ? ' A restore was cut short in it: remove all of it and restore again.'
    : '';
  throw new Error(
    `${folder} is not empty (${held.slice(0, 3).join(', ')}${held.length > 3 ? ' ...' : ''}). Name an empty folder by DATA_DIR.${cut}`,
  );
}

/**
 * The database gets its name when everything else is in place: a start finds all of it or none.
 * @param erasures registers of erasures that were kept elsewhere
 * @throws Error when the backup is not whole, of another key or a newer release, or the folder is not empty
 */
export async function restore(
  name: string,
  config: Config,
  { erasures, progress }: { readonly erasures: readonly string[]; progress(what: string): Progress },
): Promise<RestoredStore> {
  assertEmbedded(config);
  const folder = resolve(config.DATA_DIR);
  assertEmpty(folder);
  const [key, ambient] = [passphraseOf(config), systemAmbient()];
  const bar = progress('restore');
  bar(0, 4);
  const { file, takenAt } = await verifyBackup(name, config);
  bar(1, 4);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const part = join(folder, 'firewatch.db.part');
  try {
    await writeFile(part, '', { mode: 0o600, flag: 'wx' });
    await copyFile(file, part);
    const chance = Number.parseInt(ambient.newId().slice(-4), 16);
    const { files, chain, dropped } = becomeDatabase(part, key, { at: ambient.now(), chance, spaces: ENDED });
    bar(2, 4);
    const register = registerFile(config);
    const kept = files.find((each) => each.name === REGISTER);
    const beside = join(folder, `${REGISTER}.backup`);
    if (kept !== undefined) {
      await writeDurably(beside, kept.bytes);
      await addToRegister(register, await readRegister(beside));
      await rm(beside);
    }
    for (const each of erasures) await addToRegister(register, await readRegister(each));
    const own = files.filter((each) => each.name !== REGISTER);
    for (const each of own) await writeDurably(join(folder, basename(each.name)), each.bytes);
    await synced(part);
    await renamed(part, join(folder, 'firewatch.db'));
    bar(3, 4);
    // Opening it erases again whoever the register names.
    const system = await buildSystem({ ...config, LOG_LEVEL: 'error', SURVEILLANCE: 'off', MONITORING: 'off' });
    await recorded(system, takenAt).finally(() => system.close());
    bar(4, 4);
    return {
      ...{ file, takenAt, folder, files: own.map((each) => each.name) },
      erasures: (await readRegister(register)).length,
      ...{ ended: dropped, auditChain: chain },
    };
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** The first row of the restored store's own chain. */
async function recorded({ context, config, ambient }: System, takenAt: string): Promise<void> {
  const caller = localCaller({ ...localFacts(ambient.newId(), config.HOST), principal: 'restore' });
  const row = context.audit({
    caller,
    entries: [{ interaction: 'restore', patients: [] }],
    status: 200,
    outcomeDescription: `Restored from the backup taken at ${takenAt}.`,
  });
  await context.store.commit({ commands: [], audit: [row] });
}

export function restoreCommand(program: Command): void {
  program
    .command('restore')
    .description('make an empty DATA_DIR of a backup, erase again who was erased since, and say what was done')
    .argument('<file>', 'a file that `firewatch backup` wrote')
    .option(
      '--erasures <file...>',
      'registers of erasures that are newer than the backup, such as erasures.ndjson of the folder that was lost',
    )
    .action(async (file: string, { erasures = [] }: { erasures?: readonly string[] }) => {
      for (const each of erasures) if (!existsSync(each)) throw new Error(`${each} is not there.`);
      const config = readConfig();
      const done = await restore(file, config, { erasures, progress: (what) => progressBar(what) });
      console.log(JSON.stringify(done));
      console.error(
        'firewatch: Restored. What was written after the backup is not there. Everybody signs in again; files of jobs are not restored. Before clients come back: docs/operations.md#after-a-restore.',
      );
    });
}
