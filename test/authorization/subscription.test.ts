// A subscription is served as long as what its owner was granted lasts at this server: docs/subscriptions.md#rights, RFC 7009.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { type Receiver, receiver, until } from '../subscriptions/receiver.ts';
import { byCriteria, heartRate } from '../subscriptions/world.ts';
import { newKey, OauthWorld } from './server-world.ts';

const LIMIT = { timeout: 60_000 };
const SCOPES = [
  'launch/patient',
  'offline_access',
  'patient/Observation.rs',
  'user/Subscription.crus',
  'user/Patient.rs',
];
const key = newKey();
let world: OauthWorld;
let hook: Receiver;
before(async () => {
  world = await OauthWorld.open();
  hook = await receiver();
  for (const id of ['p1', 'p2']) await world.patient(id);
  await world.user('patient-1', { role: 'patient', fhirUser: 'Patient/p1' });
  await world.client('service', {
    ...{ redirectUris: [], backend: true, kind: 'key', jwks: key.jwks },
    ...{ scopes: ['system/Subscription.crus', 'system/Observation.rs'] },
  });
});
after(async () => {
  await hook.close();
  await world.close();
});

/** The token of a launch, and the refresh token when it was asked for. */
async function launched(client: string, offline: boolean) {
  await world.client(client, { scopes: SCOPES });
  const scope = SCOPES.filter((each) => offline || each !== 'offline_access').join(' ');
  const authorized = await world.authorize({ name: 'patient-1', totp: undefined }, { client_id: client, scope });
  const { json } = await world.exchange(authorized, { client_id: client });
  assert.ok(json.access_token, JSON.stringify(json));
  return json;
}

async function subscribed(token: unknown, path: string): Promise<string> {
  const body = byCriteria('Observation?code=8867-4', hook.url + path, { payload: 'application/fhir+json' });
  const response = await fetch(`${world.fhirBase}/Subscription`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  assert.equal(response.status, 201, text);
  const { id } = JSON.parse(text);
  await until(async () => (await held(id)).status !== 'requested');
  assert.equal((await held(id)).status, 'active');
  return id;
}

const held = async (id: string): Promise<Record<string, unknown>> => {
  const version = await world.system.store.read({ type: 'Subscription', id });
  return JSON.parse(version?.text ?? '{}');
};
async function observed(value: number, patient: string): Promise<void> {
  const wire = {
    method: 'POST',
    path: '/Observation',
    query: '',
    headers: { 'content-type': 'application/fhir+json' },
  };
  const body = JSON.stringify(heartRate(value, patient));
  assert.equal((await world.system.answerHeavy({ ...wire, body }, localFacts('test', '127.0.0.1'))).status, 201);
}
const told = (path: string): readonly unknown[] =>
  hook.received.flatMap((each) =>
    each.path.startsWith(`${path}/`) ? [JSON.parse(each.body).valueQuantity.value] : [],
  );

const ends: readonly [
  why: string,
  offline: boolean,
  end: (json: Readonly<Record<string, unknown>>, client: string) => unknown,
][] = [
  [
    'its refresh token is revoked',
    true,
    ({ refresh_token: token }, client) => world.post('/revoke', { token: String(token), client_id: client }),
  ],
  [
    'its access token is revoked, and with it all of the grant',
    true,
    ({ access_token: token }, client) => world.post('/revoke', { token: String(token), client_id: client }),
  ],
  [
    'its access token is revoked, which was all it had',
    false,
    ({ access_token: token }, client) => world.post('/revoke', { token: String(token), client_id: client }),
  ],
  ['its client is removed', true, (_json, client) => world.server.clients.remove(client)],
  [
    'its user is disabled',
    true,
    async () => {
      await world.server.users.disable('patient-1');
      await world.server.users.enable('patient-1');
    },
  ],
];
for (const [index, [why, offline, end]] of ends.entries()) {
  test(`subscriptions@access-revoked ${why}: off, and nothing more is told`, LIMIT, async () => {
    const [client, path] = [`app-${index}`, `/hook-${index}`];
    const json = await launched(client, offline);
    const id = await subscribed(json.access_token, path);
    await observed(1, 'p2');
    await observed(2, 'p1');
    await until(() => told(path).length > 0);
    assert.deepEqual(told(path), [2], 'of the patient of the launch only');
    if (offline) {
      const refreshed = await world.token({
        grant_type: 'refresh_token',
        client_id: client,
        refresh_token: String(json.refresh_token),
      });
      assert.equal(refreshed.status, 200);
      await observed(3, 'p1');
      await until(() => told(path).length === 2);
      await end(refreshed.json, client);
    } else await end(json, client);
    await observed(4, 'p1');
    await until(async () => (await held(id)).status === 'off');
    assert.ok(!told(path).includes(4));
  });
}

test(
  'subscriptions@access-client: a backend service is served after its token has ended, while it is registered',
  LIMIT,
  async () => {
    const { json } = await world.backendToken('service', key, 'system/Subscription.crus system/Observation.rs');
    const id = await subscribed(json.access_token, '/service');
    await world.post('/revoke', {
      token: String(json.access_token),
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await world.assertion('service', key),
    });
    assert.equal((await world.fhir(`/Observation`, json.access_token)).status, 401, 'its token is over');
    await observed(1, 'p1');
    await until(() => told('/service').length === 1);
    await world.server.clients.remove('service');
    await observed(2, 'p1');
    await until(async () => (await held(id)).status === 'off');
    assert.deepEqual(told('/service'), [1]);
  },
);
