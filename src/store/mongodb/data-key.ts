/**
 * The data key of a database: random, kept in the database itself, wrapped by the passphrase of DATA_KEY_FILE, so that another passphrase needs no document written
 * again. One note decides for all processes whether the database is sealed. Reasons: docs/decisions/0058.
 */
import { createCipheriv, createDecipheriv, randomBytes, type ScryptOptions, scrypt } from 'node:crypto';
import { type Db, MongoServerError } from 'mongodb';
import { StoreError } from '../port.ts';
import { CLEAR, type Fields, sealedFields } from './fields.ts';
import { type Collections, collectionsOf } from './layout.ts';
import { KEY_BYTES } from './xaes.ts';

/** Of `meta.fields` when the database was begun without a key. */
const NONE = 'clear';
const FORM = 'scrypt-aes256gcm-1';
/** 32 MB and some 100 ms a start: a passphrase may be short. RFC 7914. */
const COST: ScryptOptions = { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 };
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const BOUND = Buffer.from('firewatch data key');

const MOVE =
  'Move it to a new database: firewatch migrate (docs/mongodb.md#a-database-that-does-not-read-what-it-holds).';
const unavailable = (message: string): StoreError => new StoreError('unavailable', message);

function stretched(passphrase: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, KEY_BYTES, COST, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

/** Each wrapping has a salt, so a key, of its own: a random nonce is never met twice under one key. */
async function wrapped(key: Uint8Array, passphrase: string): Promise<string> {
  const [salt, nonce] = [randomBytes(SALT_BYTES), randomBytes(NONCE_BYTES)];
  const cipher = createCipheriv('aes-256-gcm', await stretched(passphrase, salt), nonce);
  const sealed = [cipher.setAAD(BOUND).update(key), cipher.final()];
  return `${FORM} ${Buffer.concat([salt, nonce, ...sealed, cipher.getAuthTag()]).toString('base64')}`;
}

/** @returns undefined for another passphrase */
async function unwrapped(note: string, passphrase: string): Promise<Buffer | undefined> {
  const [form, text = ''] = note.split(' ');
  if (form !== FORM)
    throw unavailable('The data key of the database is kept in a way that this release does not know.');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== SALT_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES) return undefined;
  const nonceEnd = SALT_BYTES + NONCE_BYTES;
  const key = await stretched(passphrase, bytes.subarray(0, SALT_BYTES));
  const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(SALT_BYTES, nonceEnd), {
    authTagLength: TAG_BYTES,
  });
  cipher.setAAD(BOUND).setAuthTag(bytes.subarray(-TAG_BYTES));
  const opened = cipher.update(bytes.subarray(nonceEnd, -TAG_BYTES));
  try {
    cipher.final();
    return opened;
  } catch {
    return undefined;
  }
}

/** What the database says of its key; `begin` is written when nobody has begun it. A database of before is clear. */
async function noted(meta: Collections['meta'], begin: () => Promise<string>): Promise<string> {
  // In this order: whoever begins writes the note before the schema.
  const schema = await meta.findOne({ _id: 'schema' });
  const held = await meta.findOne({ _id: 'fields' });
  if (held !== null) return String(held.value);
  if (schema !== null) return NONE;
  const value = await begin();
  await meta.updateOne({ _id: 'fields' }, { $setOnInsert: { value } }, { upsert: true }).catch((error: unknown) => {
    // Another process has begun it.
    if (!(error instanceof MongoServerError && error.code === 11000)) throw error;
  });
  return String((await meta.findOne({ _id: 'fields' }))?.value ?? NONE);
}

const WITHOUT = `The database was written with a data key: give its passphrase with DATA_KEY_FILE. To have it without one: ${MOVE}`;

/**
 * What a process with this passphrase, or with none, may read and write. A database that nobody has begun is begun so.
 * @throws StoreError `unavailable`: another key, a key for a database without one, none for a database that has one
 */
export async function fieldsOf(db: Db, passphrase: string | undefined): Promise<Fields> {
  const { meta } = collectionsOf(db, CLEAR);
  if (passphrase === '') throw unavailable('The file of DATA_KEY_FILE is empty.');
  const note = await noted(meta, async () =>
    passphrase === undefined ? NONE : wrapped(randomBytes(KEY_BYTES), passphrase),
  );
  if (note === NONE && passphrase === undefined) return CLEAR;
  if (passphrase === undefined) throw unavailable(WITHOUT);
  if (note === NONE)
    throw unavailable(`The database was written without a data key, and DATA_KEY_FILE gives one. ${MOVE}`);
  const key = await unwrapped(note, passphrase);
  if (key === undefined)
    throw unavailable(
      'DATA_KEY_FILE does not hold the passphrase of this database: give the one that it was begun with, or was changed to last.',
    );
  return sealedFields(key);
}

/** @throws StoreError `unavailable` when the database has a data key and these fields know none */
export async function assertFields(db: Db, fields: Fields): Promise<void> {
  if (!fields.isSealed) await fieldsOf(db, undefined);
}

/**
 * The data key under another passphrase. Processes that run go on; who starts needs the new one. No document is written again.
 * @throws StoreError `unavailable`: another passphrase than the present one, no key, or changed by another meanwhile
 */
export async function changePassphrase(db: Db, present: string, next: string): Promise<void> {
  if (next === '') throw unavailable('The new passphrase is empty.');
  const { meta } = collectionsOf(db, CLEAR);
  const value = (await meta.findOne({ _id: 'fields' }))?.value;
  if (typeof value !== 'string' || value === NONE) throw unavailable('The database has no data key.');
  const key = await unwrapped(value, present);
  if (key === undefined) throw unavailable('DATA_KEY_FILE does not hold the present passphrase of this database.');
  const { matchedCount } = await meta.updateOne(
    { _id: 'fields', value },
    { $set: { value: await wrapped(key, next) } },
  );
  if (matchedCount === 0) throw unavailable('The passphrase was changed by another process meanwhile.');
}
