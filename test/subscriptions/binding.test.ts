// Subscriptions R5 Backport 1.1.0, $get-ws-binding-token: a token is good once, for five minutes, at whichever process. docs/decisions/0042
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { keepBinding, redeemBinding } from '../../src/subscriptions/binding.ts';
import { engineWorld } from '../rest/engine-world.ts';

const engine = await engineWorld([]);
const { store } = engine.context;
after(() => engine.close());
const NOW = Date.UTC(2100, 0, 1);
const BINDING = { ids: ['s1', 's2'], principal: 'anna', seesAll: false };

test('subscriptions@binding: what a token binds is known to whoever redeems it, and then to nobody', async () => {
  assert.deepEqual(await keepBinding('t', BINDING, NOW, store), { expiresAt: NOW + 300_000 });
  assert.equal(await redeemBinding('another', NOW, store), undefined);
  assert.deepEqual(await redeemBinding('t', NOW, store), BINDING);
  assert.equal(await redeemBinding('t', NOW, store), undefined, 'used');
});

test('subscriptions@binding: two that redeem it at once: one does', async () => {
  await keepBinding('both', BINDING, NOW, store);
  const found = await Promise.all([1, 2, 3].map(() => redeemBinding('both', NOW, store)));
  assert.equal(found.filter((each) => each !== undefined).length, 1);
});

test('subscriptions@binding: until its last millisecond, and not in the store as it is', async () => {
  for (const [at, isGood] of [
    [NOW + 299_999, true],
    [NOW + 300_000, false],
  ] as const) {
    await keepBinding(`at ${at}`, BINDING, NOW, store);
    assert.equal((await redeemBinding(`at ${at}`, at, store)) !== undefined, isGood, String(at));
  }
  await keepBinding('secret', BINDING, NOW, store);
  const kept = await store.keyedPage('subscription.binding', { count: 10 });
  assert.ok(kept.length > 0, 'control');
  assert.ok(kept.every(({ key, value }) => !`${key}${value}`.includes('secret')));
});
