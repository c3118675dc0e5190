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
type StoreConfig = Pick<
  Config,
  'DATA_DIR' | 'DATA_KEY_FILE' | 'MONGODB_URL' | 'SEARCH_BUDGET_MS' | 'RESERVE_MB' | 'DATABASE_LIMIT_MB'
>;

/** What DATA_KEY_FILE holds; undefined: it is not set. */
export const passphraseOf = ({ DATA_KEY_FILE }: Pick<Config, 'DATA_KEY_FILE'>): string | undefined =>
  DATA_KEY_FILE === undefined ? undefined : readFileSync(DATA_KEY_FILE, 'utf8').trim();

/** Pages are of 4 KB. */
const PAGES_OF_MB = 256;

function sqliteOptions(config: StoreConfig, parts: StoreParts) {
  return {
    ...{ folder: config.DATA_DIR, ...parts, key: passphraseOf(config) },
    reserveBytes: config.RESERVE_MB * 1_048_576,
    maxPages: config.DATABASE_LIMIT_MB === 0 ? undefined : config.DATABASE_LIMIT_MB * PAGES_OF_MB,
  };
}

/** The driver costs every thread some 70 ms and 30 MB, so that only who uses it loads it. */
const mongodb = () => import('../store/mongodb.ts');

async function mongoOptions(config: StoreConfig, url: string, parts: StoreParts): Promise<MongoOptions> {
  const { mongoFields } = await import('../store/mongodb/connect.ts');
  const fields = await mongoFields(url, passphraseOf(config));
  return { url, ...parts, fields, headKey: secretOf(config, 'audit.key'), budgetMs: config.SEARCH_BUDGET_MS };
}

/** The main thread's store. @throws StoreError `unavailable`, with what to do where the key is not the store's */
export async function openStore(config: StoreConfig, parts: StoreParts): Promise<Engine> {
  const url = config.MONGODB_URL;
  if (url === undefined) return openSqlite(sqliteOptions(config, parts));
  return (await mongodb()).openMongo(await mongoOptions(config, url, parts));
}

/** Another thread's: `channel` is from the main thread's store. */
export async function attachStore(
  config: StoreConfig,
  parts: StoreParts,
  channel: MessagePort,
): Promise<AttachedStore> {
  const url = config.MONGODB_URL;
  if (url !== undefined) return (await mongodb()).attachMongo(await mongoOptions(config, url, parts));
  return attachSqlite({ ...sqliteOptions(config, parts), budgetMs: config.SEARCH_BUDGET_MS, port: channel });
}
