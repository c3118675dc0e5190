// A patient who signs in and is erased leaves nothing at the authorization server: docs/privacy.md#what-is-removed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../subscriptions/receiver.ts';
import { newKey, OauthWorld } from './server-world.ts';

const key = newKey();
let world: OauthWorld;
before(async () => {
  world = await OauthWorld.open();
  await world.client('app');
  await world.client('engine', {
    ...{ redirectUris: [], backend: true, kind: 'key', jwks: key.jwks },
    ...{ scopes: ['system/*.cruds'], roles: ['integration-engine'] },
  });
});
after(() => world.close());

const SPACES = [
  ...['user', 'user-id', 'totp-step', 'pending-login', 'launch', 'grant-context', 'grant-member'],
  ...['Interaction', 'AuthorizationCode', 'AccessToken', 'RefreshToken', 'Grant'],
  ...['Session', 'session-uid', 'session-grant'],
];
/** How many rows each space has. */
async function rows(): Promise<Readonly<Record<string, number>>> {
  const counts: [string, number][] = [];
  for (const space of SPACES)
    counts.push([space, (await world.system.store.keyedPage(`oauth.${space}`, { count: 500 })).length]);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}
/** A launch that is used, and one whose code never is. */
async function connected(id: string): Promise<unknown> {
  await world.patient(id);
  const user = { name: id, totp: await world.user(id, { role: 'patient', fhirUser: `Patient/${id}` }) };
  const scope = 'launch/patient patient/*.rs online_access';
  const { json } = await world.exchange(await world.authorize(user, { scope }));
  assert.ok(json.refresh_token, JSON.stringify(json));
  assert.ok((await world.authorize(user, { scope })).code);
  return json.access_token;
}

test('privacy@purge-users: user, sessions, grants and tokens go with the patient, those of another stay', {
  timeout: 60_000,
}, async () => {
  const stays = await connected('p2');
  const before = await rows();
  const token = await connected('p1');
  assert.equal((await world.fhir('/Patient/p1', token)).status, 200);
  assert.equal((await rows()).Session, 2 * (before.Session ?? 0));
  const failure = { failures: 1, until: 0 };
  for (const name of ['user:p1', 'user:p2', 'address:p1'])
    await world.system.store.commit({
      commands: [{ op: 'set', space: 'oauth.attempts', key: name, value: JSON.stringify(failure) }],
      audit: [],
    });
  const { json } = await world.backendToken('engine', key, 'system/*.cruds');
  const authorization = `Bearer ${json.access_token}`;
  const started = await fetch(`${world.fhirBase}/Patient/p1/$purge`, { method: 'POST', headers: { authorization } });
  assert.equal(started.status, 202, await started.text());
  const status = started.headers.get('content-location') ?? '';
  await until(async () => (await fetch(status, { headers: { authorization } })).status === 200);
  assert.deepEqual(await rows(), before);
  const attempts = ['user:p1', 'user:p2', 'address:p1'].map((name) => world.system.store.keyed('oauth.attempts', name));
  assert.deepEqual(
    (await Promise.all(attempts)).map((each) => each !== undefined),
    [false, true, true],
    'wrong passwords under the name of the user',
  );
  assert.equal((await world.fhir('/Patient/p2', stays)).status, 200);
});
