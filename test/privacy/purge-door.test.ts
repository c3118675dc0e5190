// The kick-off of Patient/$purge: who may, what is refused before a job exists. docs/privacy.md#erasure
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Jobs } from '../../src/jobs/desk.ts';
import { answer } from '../../src/rest/interact.ts';
import { PURGE_KIND, type PurgeOrder, type PurgeResult } from '../../src/rest/jobs/purge.ts';
import { jobAnswer } from '../../src/rest/jobs/status.ts';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { callerOf } from '../../src/smart/access.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import { type Rights, scopesOf } from '../../src/smart/scopes.ts';
import { engineWorld } from '../rest/engine-world.ts';
import { world } from '../world.ts';

const PATIENT = { resourceType: 'Patient', id: 'p' };
const HOLD = {
  ...{ resourceType: 'List', id: 'h', status: 'current', mode: 'working' },
  code: { coding: [{ system: 'https://firewatch.example/fhir/CodeSystem/privacy', code: 'legal-hold' }] },
  entry: [{ item: { reference: 'Patient/held' } }],
};
const engine = await engineWorld([PATIENT, { resourceType: 'Patient', id: 'held' }, HOLD]);
/** Jobs stay where they are: none of them is run. */
const desk = await Jobs.open<PurgeOrder, PurgeResult>({
  kind: 'purge',
  store: engine.context.store,
  folder: undefined,
  url: 'http://127.0.0.1:8080/purge',
  expiryMs: 3_600_000,
  now: () => 0,
  start: () => new Promise(() => undefined),
  report: () => undefined,
});
test.after(async () => {
  await engine.close();
});
const { wire } = world();

async function send(rights: Rights, method: string, path: string, principal = 'officer', body?: unknown) {
  const context = { ...engine.context, purges: desk };
  const caller = callerOf({ ...localFacts('door-1', '127.0.0.1'), principal, rights }, context);
  return answer(wire(method, path, body === undefined ? {} : { body }), caller, context);
}
const everything: Rights = { kind: 'everything' };
const granted = (scope: string): Rights => ({ kind: 'granted', scopes: scopesOf(scope), patients: ['p'] });

for (const [scope, status] of [
  // Subscriptions of others are part of every resource, and for roles that say so (decision 0049).
  ['system/*.cruds', 403],
  ['system/*.rd', 403],
  // A Binary belongs to what its securityContext names (decision 0046): who may not read that may not delete it.
  ['system/*.d system/Patient.r', 403],
  ['system/*.rs', 403],
  ['system/*.d', 403],
  ['system/Patient.cruds', 403],
  ['user/*.cruds', 403],
  ['patient/*.cruds', 403],
] as const) {
  test(`privacy@purge-scope: ${scope} is answered ${status}`, async () => {
    const found = await send(granted(scope), 'POST', '/Patient/p/$purge', scope);
    assert.equal(found.status, status, found.body);
  });
}

const policy = loadPolicy({ roles: 'roles', labels: 'security-labels' });
for (const [role, status, scope = 'system/*.cruds'] of [
  ['integration-engine', 202],
  ['integration-engine', 202, 'system/*.rd'],
  ['administrator', 403],
  ['physician', 403],
  [undefined, 403],
] as const) {
  test(`privacy@purge-scope: ${scope} with the role ${role} is answered ${status}`, async () => {
    const situation = { purposes: [], actors: [], ...(role === undefined ? {} : { roles: [role] }) };
    const rights: Rights = { kind: 'granted', scopes: scopesOf(scope), patients: [], situation };
    const context = { ...engine.context, purges: desk, policy };
    const caller = callerOf(
      { ...localFacts('door-3', '127.0.0.1'), principal: `role ${role} ${scope}`, rights },
      context,
    );
    const found = await answer(wire('POST', '/Patient/p/$purge'), caller, context);
    assert.equal(found.status, status, found.body);
  });
}

for (const [name, method, path, status] of [
  ['a patient who is not held', 'POST', '/Patient/nobody/$purge', 404],
  ['an id that nothing can have', 'POST', '/Patient/a_b/$purge', 404],
  ['all patients', 'POST', '/Patient/$purge', 404],
  ['GET', 'GET', '/Patient/p/$purge', 405],
  ['a parameter', 'POST', '/Patient/p/$purge?force=true', 400],
  ['a patient under legal hold', 'POST', '/Patient/held/$purge', 422],
] as const) {
  test(`privacy@purge-kickoff: ${name} is refused with ${status}`, async () => {
    const found = await send(everything, method, path);
    assert.equal(found.status, status, found.body);
  });
}

test('privacy@purge-kickoff: 202 with a status that only who asked can see; a second one waits for it', async () => {
  const found = await send(everything, 'POST', '/Patient/p/$purge');
  assert.equal(found.status, 202);
  const path = (found.headers['Content-Location'] ?? '').slice(desk.url.length);
  const { context } = engine;
  const ask = (principal: string) => {
    const caller = callerOf({ ...localFacts('door-2', '127.0.0.1'), principal, rights: everything }, context);
    return jobAnswer({ method: 'GET', path }, desk, PURGE_KIND, caller, context);
  };
  assert.equal((await ask('officer')).status, 202);
  assert.equal((await ask('somebody')).status, 404);
  assert.equal((await send(everything, 'POST', '/Patient/p/$purge')).status, 429);
});
