/** Which engine holds the data: the embedded one, or MongoDB when MONGODB_URL is set. Both keep the contract of src/store/port.ts. */
import { readFileSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import type { RenderAuditEvent } from '../audit.ts';
import type { Config } from '../config.ts';
import type { AttachedStore, Engine } from '../store/engine.ts';
import type { MongoOptions } from '../store/mongodb.ts';
import { attachSqlite, openSqlite } from '../store/sqlite.ts';
import { secretOf } from './installation-secret.ts';

export interface StoreParts {
  readonly renderAudit: RenderAuditEvent;
  /** `Definitions.hash` and whatever else decides index rows. */
  readonly indexHash: string;
  readonly types: readonly string[];
}
type StoreConfig = Pick<Config, 'DATA_DIR' | 'DATA_KEY_FILE' | 'MONGODB_URL' | 'SEARCH_BUDGET_MS'>;

function sqliteOptions(config: StoreConfig, parts: StoreParts) {
  const key = config.DATA_KEY_FILE === undefined ? {} : { key: readFileSync(config.DATA_KEY_FILE, 'utf8').trim() };
  return { folder: config.DATA_DIR, ...parts, ...key };
}

/** @throws Error when the data would lie in the clear although a key was given */
function mongoOptions(config: StoreConfig, url: string, parts: StoreParts): MongoOptions {
  if (config.DATA_KEY_FILE !== undefined) {
    throw new Error(
      'DATA_KEY_FILE encrypts the embedded database only: with MONGODB_URL let the database encrypt its files.',
    );
  }
  return { url, ...parts, headKey: secretOf(config, 'audit.key'), budgetMs: config.SEARCH_BUDGET_MS };
}

/** The driver costs every thread some 70 ms and 30 MB, so that only who uses it loads it. */
const mongodb = () => import('../store/mongodb.ts');

/** The main thread's store. @throws StoreError `unavailable`, Error on settings that exclude each other */
export async function openStore(config: StoreConfig, parts: StoreParts): Promise<Engine> {
  const url = config.MONGODB_URL;
  if (url === undefined) return openSqlite(sqliteOptions(config, parts));
  return (await mongodb()).openMongo(mongoOptions(config, url, parts));
}

/** Another thread's: `channel` is from the main thread's store. */
export async function attachStore(
  config: StoreConfig,
  parts: StoreParts,
  channel: MessagePort,
): Promise<AttachedStore> {
  const url = config.MONGODB_URL;
  if (url !== undefined) return (await mongodb()).attachMongo(mongoOptions(config, url, parts));
  return attachSqlite({ ...sqliteOptions(config, parts), budgetMs: config.SEARCH_BUDGET_MS, port: channel });
}
