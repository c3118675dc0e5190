// docs/authorization.md, decision 0037: roles as files, effective rights = scopes and role, where a role comes from; labels that restrict.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FOLDERS } from '../../src/folders.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { assertRoles } from '../../src/smart/access.ts';
import { tokenVerifier } from '../../src/smart/bearer.ts';
import { identityOf } from '../../src/smart/identity.ts';
import { issuerOf } from '../../src/smart/issuer.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import type { Situation } from '../../src/smart/scopes.ts';
import { type EngineWorld, engineWorld } from '../rest/engine-world.ts';
import { BASE, idsOf, json, type Sent, world } from '../world.ts';
import { callerWith, claims, ISSUER, KEYS, signed } from './tokens.ts';

const policy = loadPolicy(FOLDERS);
const labelled = (...codes: string[]) => ({ meta: { security: codes.map((code) => ({ system: 'urn:any', code })) } });
const of = (patient: string) => ({ subject: { reference: `Patient/${patient}` } });
const condition = (id: string, patient: string, ...codes: string[]) => ({
  resourceType: 'Condition',
  id,
  ...of(patient),
  ...(codes.length === 0 ? {} : labelled(...codes)),
});
const LABORATORY = {
  category: [
    { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'laboratory' }] },
  ],
};

let w: EngineWorld;
let context: RestContext;
before(async () => {
  w = await engineWorld([
    { resourceType: 'Patient', id: 'a' },
    { resourceType: 'Patient', id: 'b' },
    { resourceType: 'Practitioner', id: 'dr' },
    { resourceType: 'Observation', id: 'lab', status: 'final', code: { text: 'x' }, ...LABORATORY, ...of('a') },
    { resourceType: 'Observation', id: 'note', status: 'final', code: { text: 'x' }, ...of('a') },
    {
      resourceType: 'MedicationRequest',
      id: 'm',
      status: 'active',
      intent: 'order',
      ...of('a'),
      medicationCodeableConcept: { text: 'x' },
    },
    condition('plain', 'a'),
    condition('normal', 'a', 'N'),
    condition('restricted', 'a', 'R'),
    condition('very', 'a', 'V'),
    condition('very-b', 'b', 'V'),
    condition('psy', 'a', 'PSY'),
    condition('both', 'a', 'R', 'PSY'),
    condition('other', 'a', 'urn-unknown'),
  ]);
  context = { ...w.context, policy };
});
after(() => w.close());

const situation = (role: string | undefined, more: Partial<Situation> = {}): Situation => ({
  ...{ purposes: [], actors: [] },
  ...(role === undefined ? {} : { roles: role === '' ? [] : role.split(' ') }),
  ...more,
});
type Asked = readonly [role: string | undefined, scope: string, method: string, url: string, sent?: Sent];
const ask = ([role, scope, method, url, sent]: Asked, more?: Partial<Situation>, patients: readonly string[] = []) =>
  answer(w.wire(method, url, sent), callerWith(context, scope, patients, situation(role, more)), context);
const put = (body: object): Sent => ({ body });

const ALL = 'user/*.cruds user/AuditEvent.rs';
const effective: readonly [...Asked, status: number, why: string][] = [
  ['physician', ALL, 'GET', '/Condition/plain', {}, 200, 'control'],
  ['physician', 'user/Observation.rs', 'GET', '/Condition/plain', {}, 403, 'a role never widens scopes'],
  ['physician', ALL, 'GET', '/AuditEvent', {}, 403, 'AuditEvent is never of `*`'],
  [
    'physician',
    ALL,
    'POST',
    '/Organization',
    put({ resourceType: 'Organization', name: 'x' }),
    403,
    'read, not written',
  ],
  ['nurse', ALL, 'GET', '/MedicationRequest/m', {}, 200, 'orders are read'],
  ['nurse', ALL, 'DELETE', '/MedicationRequest/m', {}, 403, 'and not written'],
  ['pharmacist', ALL, 'GET', '/MedicationRequest/m', {}, 200, 'medications'],
  ['pharmacist', ALL, 'GET', '/Observation/lab', {}, 200, 'criteria of a role: laboratory'],
  ['pharmacist', ALL, 'GET', '/Observation/note', {}, 404, 'in the role by type, not by criteria: as absent'],
  ['pharmacist', ALL, 'GET', '/DocumentReference', {}, 403, 'not a type of the role'],
  ['administrator', ALL, 'GET', '/Practitioner/dr', {}, 200, 'people and places'],
  ['administrator', ALL, 'GET', '/Patient/a', {}, 403, 'no patient'],
  ['administrator', ALL, 'GET', '/AuditEvent', {}, 403, 'no audit'],
  ['auditor', ALL, 'GET', '/AuditEvent', {}, 200, 'who did what'],
  ['auditor', 'user/*.cruds', 'GET', '/AuditEvent', {}, 403, 'when a scope names it'],
  ['auditor', ALL, 'GET', '/Condition/plain', {}, 403, 'no clinical content'],
  ['auditor', ALL, 'GET', '/Patient/a/$everything', {}, 403, 'by no operation either'],
  ['auditor pharmacist', ALL, 'GET', '/MedicationRequest/m', {}, 200, 'roles add up'],
  ['', ALL, 'GET', '/Condition/plain', {}, 403, 'no role of the site: nothing'],
  ['unheard-of', ALL, 'GET', '/Condition/plain', {}, 403, 'a role that no file defines: nothing'],
  [undefined, ALL, 'GET', '/Condition/plain', {}, 200, 'who needs no role'],
];
for (const [role, scope, method, url, sent, status, why] of effective) {
  test(`roles@effective ${role ?? 'no role'} ${method} ${url}: ${status} (${why})`, async () => {
    const { status: got, body } = await ask([role, scope, method, url, sent ?? {}]);
    assert.equal(got, status, body);
  });
}

test('roles@files: one more role is one more file; the same name takes the place; what cannot be kept is named', () => {
  const site = mkdtempSync(join(tmpdir(), 'roles-'));
  const file = (name: string, more: object = {}) => {
    const clearance = { confidentiality: 'N', sensitivity: [] };
    const permits = [{ types: ['Patient'], interactions: 'r' }];
    writeFileSync(join(site, `${name}.json`), JSON.stringify({ name, title: 'x', permits, clearance, ...more }));
  };
  try {
    file('midwife');
    file('nurse', { title: 'Ours' });
    const { roles } = loadPolicy(FOLDERS, site);
    assert.deepEqual([roles.size, roles.get('nurse')?.title], [policy.roles.size + 1, 'Ours']);
    file('midwife', { permits: [{ types: ['Patient'], interactions: 'sr' }] });
    assert.throws(() => loadPolicy(FOLDERS, site), /midwife\.json: \/permits\/0\/interactions/);
    file('midwife', { name: 'other' });
    assert.throws(() => loadPolicy(FOLDERS, site), /\/name must be that of the file/);
    file('midwife', { permits: [{ types: ['Patientt'], interactions: 'r' }] });
    assert.throws(() => assertRoles(loadPolicy(FOLDERS, site), context), /midwife\.json: Patientt is not served/);
    file('midwife', { permits: [{ types: ['Observation'], interactions: 'r', criteria: 'patient.name=x' }] });
    assert.throws(() => assertRoles(loadPolicy(FOLDERS, site), context), /criteria are none of Observation/);
    assert.throws(() => loadPolicy(FOLDERS, join(site, 'none')), /ROLES_DIR/);
    cpSync(join(FOLDERS.roles, 'nurse.json'), join(site, 'nurse.json'));
    writeFileSync(join(site, 'midwife.json'), 'not JSON');
    assert.throws(() => loadPolicy(FOLDERS, site), /midwife\.json/);
  } finally {
    rmSync(site, { recursive: true });
  }
});

const USER = `${BASE}/Practitioner/dr`;
const sources: readonly [
  claims: object,
  withoutRole: string | undefined,
  roles: readonly string[] | undefined,
  why: string,
][] = [
  [{ roles: ['physician'] }, undefined, ['physician'], 'by our name'],
  [{ roles: ['Doctors', 'Doctors'] }, undefined, ['physician'], 'by the name of the issuer'],
  [{ roles: 'nurse auditor' }, undefined, ['nurse', 'auditor'], 'a text of names'],
  [{ roles: ['Doctors', 'Gardeners'] }, undefined, ['physician'], 'what is no role of ours says nothing'],
  [{ roles: ['Gardeners'] }, undefined, [], 'staff without a role'],
  [{}, undefined, [], 'user/ scopes without a role'],
  [{}, 'nurse', ['nurse'], 'the role an issuer takes them for'],
  [{}, 'scopes', undefined, 'an issuer whose scopes decide alone'],
  [{ scope: 'patient/*.rs', patient: 'a', fhirUser: USER }, undefined, [], 'staff with the scopes of a patient'],
  [{ scope: 'patient/*.rs', patient: 'a', fhirUser: `${BASE}/Patient/a` }, undefined, ['patient'], 'a patient'],
  [
    { scope: 'patient/*.rs', patient: 'b', fhirUser: `${BASE}/Patient/a` },
    undefined,
    undefined,
    'of another: no role of theirs',
  ],
  [{ scope: 'patient/*.rs', patient: 'a' }, undefined, undefined, 'an app that does not say who uses it'],
  [{ scope: 'system/*.rs', sub: 'app' }, undefined, undefined, 'a backend client'],
  [
    { scope: 'system/*.rs', sub: 'app', roles: ['integration-engine'] },
    undefined,
    ['integration-engine'],
    'one with a role',
  ],
];
for (const [more, withoutRole, roles, why] of sources) {
  test(`roles@claims ${why}: ${JSON.stringify(roles)}`, async () => {
    const there = world();
    const issuer = { issuer: ISSUER, audience: [BASE], jwks: { keys: [KEYS.jwk] }, roles: { Doctors: 'physician' } };
    const issuers = [issuerOf({ ...issuer, ...(withoutRole === undefined ? {} : { withoutRole }) })];
    const now = () => there.context.ambient.now();
    const verifier = tokenVerifier({ issuers, now, call: () => Promise.reject(new Error('no call')) });
    const identify = identityOf({
      verifier,
      fhirBase: BASE,
      context: () => ({ ...there.context, policy }),
      tellEmergency: async () => undefined,
    });
    const token = await signed(
      claims(now(), {
        fhirUser: USER,
        ...more,
        ...('sub' in more || 'patient' in more ? { fhirUser: Reflect.get(more, 'fhirUser') } : {}),
      }),
    );
    const { rights } = await identify(`Bearer ${token}`, { requestId: 'r', address: 'x' });
    assert.ok(rights.kind === 'granted');
    assert.deepEqual(rights.situation?.roles, roles);
  });
}

/** Conditions that are seen, of those of Patient a and the one of b. */
const seen: readonly [role: string | undefined, more: Partial<Situation>, ids: readonly string[], why: string][] = [
  ['integration-engine', {}, ['both', 'normal', 'other', 'plain', 'psy', 'restricted', 'very', 'very-b'], 'everything'],
  ['physician', {}, ['both', 'normal', 'other', 'plain', 'psy', 'restricted'], 'R and sensitive, not V'],
  ['nurse', {}, ['normal', 'other', 'plain', 'restricted'], 'R, and nothing that needs clearance by name'],
  ['pharmacist', {}, ['both', 'normal', 'other', 'plain', 'psy', 'restricted', 'very', 'very-b'], 'V'],
  [undefined, {}, ['normal', 'other', 'plain'], 'no role: what is open'],
  ['nurse', { clearance: ['PSY'] }, ['both', 'normal', 'other', 'plain', 'psy', 'restricted'], 'cleared for one code'],
  ['nurse', { clearance: ['V'] }, ['normal', 'other', 'plain', 'restricted', 'very', 'very-b'], 'cleared for V'],
  [
    'nurse',
    { breakGlass: { patient: 'a' } },
    ['both', 'normal', 'other', 'plain', 'psy', 'restricted', 'very'],
    'in an emergency: of one patient',
  ],
  ['administrator', { breakGlass: { patient: 'a' } }, [], 'which widens no role'],
];
for (const [role, more, ids, why] of seen) {
  test(`labels@plan ${role ?? 'no role'} ${JSON.stringify(more)}: ${why}`, async () => {
    const found = await ask([role, 'user/*.cruds', 'GET', '/Condition?_total=accurate&_count=50'], more);
    if (ids.length === 0) {
      assert.equal(found.status, 403);
      return;
    }
    const bundle = json(found);
    assert.deepEqual([idsOf(bundle).toSorted(), bundle.total], [ids, ids.length]);
    for (const id of ['plain', 'normal', 'restricted', 'very', 'very-b', 'psy', 'both', 'other']) {
      for (const path of [`/Condition/${id}`, `/Condition/${id}/_history/1`]) {
        const { status } = await ask([role, 'user/*.cruds', 'GET', path], more);
        assert.equal(status, ids.includes(id) ? 200 : 404, path);
      }
    }
    const all = json(await ask([role, 'user/*.cruds', 'GET', '/Patient?_id=a&_revinclude=Condition:patient'], more));
    assert.deepEqual(
      idsOf(all, 'include').toSorted(),
      ids.filter((id) => id !== 'very-b'),
    );
    const { status } = await ask([role, 'user/Condition.rs', 'GET', '/Patient/a'], more);
    assert.equal(status, 403, 'a scope is not widened');
  });
}

test('labels@writing: nobody writes what they may not see, and a label is taken off only by who may', async () => {
  const update = (role: string, body: object & { readonly id: string }) =>
    ask([role, 'user/*.cruds', 'PUT', `/Condition/${body.id}`, { body }]);
  assert.equal((await update('physician', condition('restricted', 'a'))).status, 403, 'the label would be gone');
  assert.equal((await update('physician', condition('restricted', 'a', 'N', 'R'))).status, 200, 'it stays');
  assert.equal((await update('physician', condition('plain', 'a', 'V'))).status, 403, 'beyond their own sight');
  assert.equal((await update('physician', condition('very', 'a'))).status, 404, 'as if it were not there');
  assert.equal((await update('physician', condition('never', 'a'))).status, 404, 'and so is what is not');
  const meta = { resourceType: 'Parameters', parameter: [{ name: 'meta', valueMeta: labelled('R').meta }] };
  const relabel = (role: string, operation: string) =>
    ask([role, 'user/*.cruds', 'POST', `/Condition/normal/${operation}`, { body: meta }]);
  assert.equal((await relabel('privacy-officer', '$meta-add')).status, 200);
  assert.equal((await ask([undefined, 'user/*.cruds', 'GET', '/Condition/normal'])).status, 404, 'restricted at once');
  assert.equal((await relabel('physician', '$meta-delete')).status, 403);
  assert.equal((await relabel('privacy-officer', '$meta-delete')).status, 200);
  assert.equal((await ask([undefined, 'user/*.cruds', 'GET', '/Condition/normal'])).status, 200);
});

test('labels@old-versions: a version that was restricted stays so when the resource no longer is', async () => {
  const engine: Asked = ['integration-engine', 'system/*.cruds', 'PUT', '/Condition/turns'];
  for (const codes of [[], ['V'], []]) {
    const { status, body } = await ask([
      engine[0],
      engine[1],
      'PUT',
      engine[3],
      { body: condition('turns', 'a', ...codes) },
    ]);
    assert.ok(status === 200 || status === 201, body);
  }
  const status = async (path: string) =>
    (await ask(['physician', 'user/*.rs', 'GET', `/Condition/turns${path}`])).status;
  assert.deepEqual(
    [await status(''), await status('/_history/1'), await status('/_history/2'), await status('/_history/3')],
    [200, 200, 404, 200],
  );
  const history = json(await ask(['physician', 'user/*.rs', 'GET', '/Condition/turns/_history']));
  assert.equal(history.total, 2);
});

test('roles@refused-deletes: with referential integrity, deleting is for who sees what could refer', async () => {
  const strict = { ...context, settings: { ...context.settings, referentialIntegrity: true } };
  const remove = async (role: string, id: string) => {
    const caller = callerWith(strict, 'user/*.cruds', [], situation(role));
    return (await answer(w.wire('DELETE', `/Patient/${id}`), caller, strict)).status;
  };
  assert.equal(await remove('physician', 'a'), 403, 'whether anything refers to it or not');
  assert.equal(await remove('integration-engine', 'a'), 409);
});

test('roles@audited: a refusal is an AuditEvent with its outcome and reason, and names nothing of what was refused', async () => {
  const before = json(await w.send('GET', '/AuditEvent?_summary=count')).total;
  assert.equal((await ask(['auditor', ALL, 'GET', '/Condition/psy'])).status, 403);
  assert.equal((await ask(['nurse', ALL, 'GET', '/Condition/psy'])).status, 404);
  assert.equal((await ask(['nurse', ALL, 'GET', '/Condition/plain'])).status, 200);
  const bundle = json(await w.send('GET', '/AuditEvent?_sort=-date&_count=10'));
  const events = (Array.isArray(bundle.entry) ? bundle.entry : []).map((each) => Object(Object(each).resource));
  const of = (id: string) => events.filter((each) => JSON.stringify(each.entity).includes(`Condition/${id}`));
  const [hidden, refused] = of('psy');
  assert.deepEqual([of('plain').length, of('plain')[0]?.outcome], [1, '0']);
  assert.deepEqual([refused?.outcome, hidden?.outcome], ['4', '4']);
  assert.match(refused?.outcomeDesc, /not permitted to this caller for Condition: read/);
  assert.match(hidden?.outcomeDesc, /not known/);
  assert.ok(!JSON.stringify([refused, hidden]).includes('Patient/a'));
  assert.equal(Number(json(await w.send('GET', '/AuditEvent?_summary=count')).total) - Number(before), 5);
});
