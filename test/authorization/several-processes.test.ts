// docs/decisions/0042: a token that one process ends is over in the others with the next request, whatever they have looked up before.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AccessTokens } from '../../src/authorization/access-token.ts';
import { spaceOf } from '../../src/authorization/adapter.ts';
import { endingsCounted } from '../../src/authorization/endings.ts';
import { openMongo } from '../../src/store/mongodb.ts';
import { testServer } from '../store/mongodb-server.ts';

const server = await testServer();

test('a token ended by another process', { skip: 'skip' in server ? server.skip : false }, async (t) => {
  if ('skip' in server) return;
  const options = {
    url: server.url(),
    headKey: new Uint8Array(32),
    indexHash: 'test',
    types: ['Patient'],
    renderAudit: () => '',
  };
  const [one, other] = await Promise.all(
    [0, 1].map(async () => {
      const engine = await openMongo(options);
      t.after(() => engine.close());
      const counted = endingsCounted(engine);
      const ground = { ...counted, keys: { keys: [] }, issuer: 'i', fhirBase: 'f', now: () => 0 };
      return { ...counted, tokens: new AccessTokens(ground) };
    }),
  );
  assert.ok(one && other);
  const space = spaceOf('ClientCredentials');
  const set = (value: string | undefined) =>
    one.store.commit({ commands: [{ op: 'set', space, key: 't', value }], audit: [] });
  await set('{}');
  assert.deepEqual([await one.tokens.isActive('t'), await other.tokens.isActive('t')], [true, true], 'control');
  await set(undefined);
  assert.deepEqual([await one.tokens.isActive('t'), await other.tokens.isActive('t')], [false, false]);
});
