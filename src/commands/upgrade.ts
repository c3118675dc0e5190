/** `firewatch upgrade`: where a rolling upgrade of a MongoDB database stands, and its end. */
import type { Command } from 'commander';
import { readConfig } from '../config.ts';

export function upgradeCommand(program: Command): void {
  program
    .command('upgrade')
    .description('tell which releases may use the MongoDB database, beside its servers; prints its schema numbers')
    .option('--finish', 'when no server of an older release runs any more: shut these out, and fill what they left')
    .option(
      '--rows',
      'going back to another release for good: whoever starts next makes all index rows by its own definitions',
    )
    .action(async ({ finish = false, rows = false }: { finish?: boolean; rows?: boolean }) => {
      const { MONGODB_URL: url } = readConfig();
      if (url === undefined) throw new Error('upgrade is for MONGODB_URL; the embedded database is upgraded at start.');
      const { connectMongo } = await import('../store/mongodb/connect.ts');
      const { finishUpgrade, upgradeState } = await import('../store/mongodb/upgrade.ts');
      const { client, db } = connectMongo(url);
      const { disown } = await import('../store/mongodb/index-owner.ts');
      try {
        if (rows) await disown(db);
        console.log(JSON.stringify(finish ? await finishUpgrade(db, Date.now) : await upgradeState(db)));
      } finally {
        await client.close();
      }
    });
}
