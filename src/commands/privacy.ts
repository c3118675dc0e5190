/** `firewatch erasures|compact`: the register of erasures and the pages that hold nothing any more, offline on the data folder. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { registerFile } from '../open/privacy.ts';
import { addToRegister, type Erasure, readRegister } from '../privacy/register.ts';
import { compactSqlite } from '../store/sqlite/compact.ts';
import { buildSystem } from '../system.ts';
import { heldConfig } from './held-config.ts';

export function privacyCommands(program: Command): void {
  program
    .command('erasures')
    .description(
      'purge again who is in the register of erasures but held, as after restoring a backup; prints the register',
    )
    .option('--apply <file>', 'a register kept elsewhere, whose erasures are taken over first')
    .action(async ({ apply }: { apply?: string }) => {
      const config = { ...heldConfig(), LOG_LEVEL: 'error' } as const;
      const file = registerFile(config);
      if (apply !== undefined) await addToRegister(file, await erasuresOf(apply));
      const system = await buildSystem(config);
      await system.close();
      for (const { patient, at } of await readRegister(file)) console.log(JSON.stringify({ patient, at }));
    });
  program
    .command('compact')
    .description('rewrite the database file without what was removed from it, while no server runs on it')
    .action(() => {
      const { DATA_DIR, DATA_KEY_FILE, MONGODB_URL } = heldConfig();
      if (MONGODB_URL !== undefined)
        throw new Error('compact rewrites the embedded database; MongoDB has `compact` of its own.');
      const key = DATA_KEY_FILE === undefined ? undefined : readFileSync(DATA_KEY_FILE, 'utf8').trim();
      compactSqlite({ folder: DATA_DIR, key });
    });
}

/** @throws Error when the file holds no erasure: mistyped, it would look as if everybody had been purged again */
async function erasuresOf(file: string): Promise<readonly Erasure[]> {
  const erasures = await readRegister(file);
  if (erasures.length === 0) throw new Error(`${file} is not there, or holds no erasure.`);
  return erasures;
}
