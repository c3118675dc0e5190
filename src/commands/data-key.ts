/** `firewatch change-data-key`: another passphrase for the data key of a MongoDB database. docs/mongodb.md#another-passphrase. */
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { passphraseOf } from '../open/store.ts';

export function dataKeyCommand(program: Command): void {
  program
    .command('change-data-key')
    .description(
      'wrap the data key of the MongoDB database with another passphrase than that of DATA_KEY_FILE, beside its servers; nothing else is written again',
    )
    .requiredOption('--to <file>', 'file with the new passphrase, which DATA_KEY_FILE has to name from then on')
    .action(async ({ to }: { to: string }) => {
      const config = readConfig();
      const [present, next] = [passphraseOf(config), passphraseOf({ DATA_KEY_FILE: to }) ?? ''];
      if (config.MONGODB_URL === undefined || present === undefined)
        throw new Error(
          'change-data-key is for MONGODB_URL with DATA_KEY_FILE; the embedded database is moved: migrate --to-key.',
        );
      const { connectMongo } = await import('../store/mongodb/connect.ts');
      const { changePassphrase } = await import('../store/mongodb/data-key.ts');
      const { client, db } = connectMongo(config.MONGODB_URL);
      await changePassphrase(db, present, next).finally(() => client.close());
      console.log('Changed. Servers that run go on; start others with DATA_KEY_FILE naming the new file.');
    });
}
