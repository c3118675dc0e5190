/** Connections to the MongoDB that a URL names. */
import { type Db, MongoClient } from 'mongodb';
import { StoreError } from '../port.ts';
import { fieldsOf } from './data-key.ts';
import { storeError } from './errors.ts';
import type { Fields } from './fields.ts';

/** Until a server is found, and until an answer that does not come is given up, ms. */
const SELECTION_MS = 5000;
const SOCKET_MS = 30_000;

/** Of its own pool of connections: whoever asks for it closes it. */
export function connectMongo(url: string): { readonly client: MongoClient; readonly db: Db } {
  const client = new MongoClient(url, {
    appName: 'firewatch',
    readConcern: { level: 'majority' },
    writeConcern: { w: 'majority', journal: true },
    readPreference: 'primary',
    ...(/[?&]serverSelectionTimeoutMS=/.test(url) ? {} : { serverSelectionTimeoutMS: SELECTION_MS }),
    connectTimeoutMS: SELECTION_MS,
    socketTimeoutMS: SOCKET_MS,
    ignoreUndefined: true,
  });
  const name = client.options.dbName;
  return { client, db: client.db(name === 'test' ? 'firewatch' : name) };
}

/** @throws StoreError `unavailable` */
export async function assertReplicaSet(db: Db): Promise<void> {
  const hello = await db.admin().command({ hello: 1 });
  if (hello.setName !== undefined || hello.msg === 'isdbgrid') return;
  throw new StoreError('unavailable', 'MongoDB must run as a replica set: a standalone server has no transactions.');
}

/**
 * What a process with this passphrase may read and write of a database; one that nobody has begun is begun so. For `MongoOptions.fields`.
 * @throws StoreError `unavailable`: it cannot be reached, has another key, has one and none is given, or the other way round
 */
export async function mongoFields(url: string, passphrase: string | undefined): Promise<Fields> {
  const { client, db } = connectMongo(url);
  try {
    await assertReplicaSet(db);
    return await fieldsOf(db, passphrase);
  } catch (error) {
    throw storeError(error);
  } finally {
    await client.close();
  }
}
