/** Settings of commands that ask what is held. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Config, readConfig } from '../config.ts';

/**
 * The configuration, when there is something to ask. A mistyped DATA_DIR would otherwise become a new, empty store of which all is well.
 * @throws Error when DATA_DIR holds no database and none is named by MONGODB_URL
 */
export function heldConfig(): Config {
  const config = readConfig();
  if (config.MONGODB_URL === undefined && !existsSync(join(config.DATA_DIR, 'firewatch.db'))) {
    throw new Error(
      `There is no database in ${resolve(config.DATA_DIR)}, or this account may not see it. DATA_DIR names the folder of the server.`,
    );
  }
  return config;
}
