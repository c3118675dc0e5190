/** `firewatch erasures|compact`: the register of erasures and the pages that hold nothing any more, offline on the data folder. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { registerFile } from '../open/privacy.ts';
import { addToRegister, readRegister } from '../privacy/register.ts';
import { compactSqlite } from '../store/sqlite/compact.ts';
import { buildSystem } from '../system.ts';

export function privacyCommands(program: Command): void {
  program
    .command('erasures')
    .description(
      'purge again who is in the register of erasures but held, as after restoring a backup; prints the register',
    )
    .option('--apply <file>', 'a register kept elsewhere, whose erasures are taken over first')
    .action(async ({ apply }: { apply?: string }) => {
      const config = { ...readConfig(), LOG_LEVEL: 'error' } as const;
      const file = registerFile(config);
      if (apply !== undefined) await addToRegister(file, await readRegister(apply));
      const system = await buildSystem(config);
      await system.close();
      for (const { patient, at } of await readRegister(file)) console.log(JSON.stringify({ patient, at }));
    });
  program
    .command('compact')
    .description('rewrite the database file without what was removed from it, while no server runs on it')
    .action(() => {
      const { DATA_DIR, DATA_KEY_FILE, MONGODB_URL } = readConfig();
      if (MONGODB_URL !== undefined)
        throw new Error('compact rewrites the embedded database; MongoDB has `compact` of its own.');
      const key = DATA_KEY_FILE === undefined ? undefined : readFileSync(DATA_KEY_FILE, 'utf8').trim();
      compactSqlite({ folder: DATA_DIR, key });
    });
}
