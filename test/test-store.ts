/** The store of a test that is about something else: the embedded engine, or MongoDB when MONGODB_URL is set. */
import { createHash } from 'node:crypto';
import type { Engine } from '../src/store/engine.ts';
import type { Clock } from '../src/store/mongodb/commit.ts';
import { type MongoOptions, openMongo } from '../src/store/mongodb.ts';
import { openSqlite } from '../src/store/sqlite.ts';

/** Databases of tests start with this: scripts/test.ts drops them when the run ends. */
export const TEST_DATABASES = 'fw-test-';

/** A connection string with this database. It may name several hosts, so it is no URL. */
export function withDatabase(url: string, database: string): string {
  const found = /^(mongodb(?:\+srv)?:\/\/[^/?]+)(?:\/[^?]*)?(\?.*)?$/.exec(url);
  if (found === null) throw new TypeError('MONGODB_URL is no connection string.');
  return `${found[1]}/${database}${found[2] ?? ''}`;
}

/** The MONGODB_URL of the run with a database of its own for each folder, so that a folder that is opened again finds its data; undefined without one. */
export function mongoUrl(folder: string): string | undefined {
  const given = process.env.MONGODB_URL;
  if (given === undefined || given === '') return undefined;
  return withDatabase(given, TEST_DATABASES + createHash('sha256').update(folder).digest('hex').slice(0, 16));
}

/** The stand-in of decision 0041 is named by its own word in the connection string, see scripts/test-stand-in.ts. */
export const STAND_IN_NAME = 'appName=stand-in';
export const isStandIn = (url: string | undefined): boolean => url?.includes(STAND_IN_NAME) === true;

/** Why a test is skipped when the store is the stand-in of MongoDB; false: it runs. @param what is beyond it */
export const notOnStandIn = (what: string): string | false =>
  isStandIn(process.env.MONGODB_URL) && `the stand-in of MongoDB: ${what}`;

/** The stand-in shares the machine with those who ask it, and answers many searches by scan: what is about time only is given more of it there. */
const SLOWER = 5;
/** Longest time of a row, ms: it ends what hangs, and says nothing of speed. */
export const limit = (ms: number): number => (isStandIn(process.env.MONGODB_URL) ? ms * SLOWER : ms);
/** Rows that are about a budget set their own. */
const BUDGETS = { SEARCH_BUDGET_MS: '20000', CDS_DEADLINE_MS: '20000' };

/** Why a test of the embedded database's own tables is skipped when the store is another; false: it runs. */
export const embeddedOnly: string | false =
  (process.env.MONGODB_URL ?? '') !== '' && 'looks into the file of the embedded database';

/** Settings of a process or system of a test that has its data in this folder, or in the folder's own database. */
export function storeSettings(folder: string): {
  readonly DATA_DIR: string;
  readonly MONGODB_URL?: string;
  readonly JOBS_DIR?: string;
  readonly SEARCH_BUDGET_MS?: string;
  readonly CDS_DEADLINE_MS?: string;
} {
  const url = mongoUrl(folder);
  const budgets = isStandIn(url) ? BUDGETS : {};
  return { DATA_DIR: folder, ...(url === undefined ? {} : { MONGODB_URL: url, JOBS_DIR: folder, ...budgets }) };
}

export interface TestStoreOptions extends Pick<MongoOptions, 'renderAudit' | 'indexHash' | 'types'> {
  readonly folder: string;
  readonly budgetMs?: number;
  readonly clock?: Clock;
}

export function openTestStore(options: TestStoreOptions): Promise<Engine> {
  const url = mongoUrl(options.folder);
  if (url === undefined) return openSqlite(options);
  const budget = options.budgetMs === undefined ? {} : { budgetMs: limit(options.budgetMs) };
  return openMongo({ ...options, ...budget, url, headKey: new Uint8Array(32) });
}
