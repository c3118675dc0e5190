// docs/mongodb.md: DATA_KEY_FILE encrypts pages of the embedded file; with MongoDB it is refused before anything is sent, so that nobody takes clear data for encrypted.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { attachStore, openStore } from '../../src/open/store.ts';
import { storeParts } from '../migrate/world.ts';

test('a key of the embedded database and a MongoDB exclude each other, on every thread', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-key-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const key = join(folder, 'passphrase');
  writeFileSync(key, 'secret');
  // Nobody listens there: whoever tries to connect fails otherwise, and later.
  const config = {
    DATA_DIR: folder,
    MONGODB_URL: 'mongodb://127.0.0.1:1/x',
    DATA_KEY_FILE: key,
    SEARCH_BUDGET_MS: 1000,
  };
  await assert.rejects(openStore(config, storeParts), /DATA_KEY_FILE encrypts the embedded database only/);
  const { port1, port2 } = new MessageChannel();
  await assert.rejects(attachStore(config, storeParts, port2), /DATA_KEY_FILE encrypts the embedded database only/);
  port1.close();
  assert.deepEqual(readdirSync(folder), ['passphrase'], 'nothing was made');
  const embedded = await openStore({ ...config, MONGODB_URL: undefined }, storeParts);
  await embedded.close();
});
