// Limits of the authorization server, each from both sides: waits after failures, the second factor by role, where the demonstration has a place. docs/authorization-server.md.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Attempts } from '../../src/authorization/attempts.ts';
import { readConfig } from '../../src/config.ts';
import { openDemo } from '../../src/open/demo-access.ts';
import { OauthWorld, PASSWORD } from './server-world.ts';

let world: OauthWorld;
before(async () => {
  world = await OauthWorld.open();
});
after(() => world.close());

test('smart-server@lock-out-boundary: the fifth failure of a user begins a wait of 30 s, which ends to the millisecond', async () => {
  let now = world.system.ambient.now();
  const attempts = new Attempts(world.system.store, () => now);
  const begin = (address = 'a') => attempts.begin('somebody', address);
  for (let count = 1; count < 5; count++) assert.equal(await begin(), 'try', `failure ${count}`);
  assert.equal(await begin(), 'locked-now', 'the fifth');
  now += 29_999;
  assert.equal(await begin(), 'locked', 'of any address');
  assert.equal(await begin('b'), 'locked');
  assert.equal(await attempts.begin('another', 'a'), 'try', 'others are not');
  now += 1;
  assert.equal(await begin(), 'locked-now', 'the sixth may be tried, and waits for a minute when it fails');
  now += 59_999;
  assert.equal(await begin(), 'locked');
  now += 1;
  await begin();
  await attempts.succeeded('somebody', 'a');
  assert.equal(await begin(), 'try', 'a success ends the count');
});

test('smart-server@lock-out-strangers: strangers who guess do not lock out where the user has signed in before; there five failures do', async () => {
  const now = world.system.ambient.now();
  const attempts = new Attempts(world.system.store, () => now);
  await attempts.begin('owner', 'desk');
  await attempts.succeeded('owner', 'desk');
  const tries = async (address: string, count: number) => {
    const said: string[] = [];
    for (let index = 0; index < count; index++) said.push(await attempts.begin('owner', address));
    return said.join(' ');
  };
  assert.equal(await tries('elsewhere', 6), 'try try try try locked-now locked');
  assert.equal(await attempts.begin('owner', 'third'), 'locked', 'from anywhere unknown');
  assert.equal(await attempts.begin('owner', 'desk'), 'try');
  await attempts.succeeded('owner', 'desk');
  assert.equal(await attempts.begin('owner', 'elsewhere'), 'locked', 'a sign-in there gives strangers no new tries');
  assert.equal(await tries('desk', 6), 'try try try try locked-now locked');
  assert.equal(await attempts.begin('neighbour', 'desk'), 'try', 'the place is known for its user only');
});

test('smart-server@lock-out-boundary: twenty failures of an address, whoever is tried, begin a wait', async () => {
  const now = world.system.ambient.now();
  const attempts = new Attempts(world.system.store, () => now);
  const seen = [];
  for (let count = 1; count <= 21; count++) seen.push(await attempts.begin(`name-${count}`, 'shared'));
  assert.deepEqual(
    seen.slice(0, 19),
    Array.from({ length: 19 }, () => 'try'),
  );
  assert.deepEqual(seen.slice(19), ['locked-now', 'locked']);
});

const ROLES = [
  'physician',
  'nurse',
  'pharmacist',
  'administrator',
  'auditor',
  'integration-engine',
  'a-role-of-the-site',
  'patient',
];
for (const role of ROLES) {
  const isPatient = role === 'patient';
  test(`smart-server@second-factor-roles ${role}: ${isPatient ? 'the password is enough' : 'has a second factor from the start'}`, async () => {
    const fhirUser = isPatient ? 'Patient/p1' : 'Practitioner/12';
    const { totpUri } = await world.server.users.add({
      ...{ name: `of-${role}`, role, fhirUser, password: PASSWORD },
    });
    assert.equal(totpUri === undefined, isPatient);
  });
}

const places: readonly [why: string, env: Record<string, string>, isMade: boolean][] = [
  ['another address', { HOST: '0.0.0.0' }, false],
  ['an address behind a proxy', { PUBLIC_URL: 'https://fhir.example.org' }, false],
  ['loopback without seed data', { SEED: 'none' }, false],
  ['loopback with seed data', {}, true],
];
for (const [why, env, isMade] of places) {
  test(`smart-server@demo-place ${why}: ${isMade ? 'users, apps and keys are made, and said' : 'nothing is made'}`, async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'firewatch-demo-'));
    context.after(() => rmSync(folder, { recursive: true }));
    const said = await openDemo(readConfig({ SEED: 'demo', DATA_DIR: folder, ...env }), world.server);
    assert.equal(await world.server.holdsDemo(), isMade);
    assert.equal(said.join('\n').includes('DEMONSTRATION CREDENTIALS, known to everyone'), isMade);
  });
}
