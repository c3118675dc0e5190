// docs/authorization.md, decision 0046: a Binary is as visible as what its securityContext names. FHIR R4 binary.html, http.html#binary.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FOLDERS } from '../../src/folders.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import type { Situation } from '../../src/smart/scopes.ts';
import { type EngineWorld, engineWorld } from '../rest/engine-world.ts';
import { idsOf, json, type Sent } from '../world.ts';
import { callerWith } from './tokens.ts';

const subject = (id: string) => ({ subject: { reference: `Patient/${id}` } });
const binary = (id: string, securityContext?: object, more: object = {}) => ({
  ...{ resourceType: 'Binary', id, contentType: 'text/plain', data: 'AAAA' },
  ...(securityContext === undefined ? {} : { securityContext }),
  ...more,
});
const on = (reference: string) => ({ reference });
const note = (id: string, patient: string, more: object = {}) => ({
  ...{ resourceType: 'DocumentReference', id, status: 'current', ...subject(patient), ...more },
  content: [{ attachment: { url: `Binary/free` } }],
});
const restricted = { meta: { security: [{ system: 'urn:any', code: 'V' }] } };

let w: EngineWorld;
let guarded: RestContext;
before(async () => {
  w = await engineWorld([
    { resourceType: 'Patient', id: 'a' },
    { resourceType: 'Patient', id: 'b' },
    { resourceType: 'Organization', id: 'ward', name: 'x' },
    note('of-a', 'a'),
    note('of-b', 'b'),
    note('hidden', 'a', restricted),
    { resourceType: 'Observation', id: 'refused', status: 'final', code: { text: 'x' }, ...subject('b') },
    binary('free'),
    binary('by-a', on('Patient/a')),
    binary('by-b', on('Patient/b')),
    binary('by-note-a', on('DocumentReference/of-a')),
    binary('by-note-b', on('DocumentReference/of-b')),
    binary('by-version', on('DocumentReference/of-a/_history/1')),
    binary('by-ward', on('Organization/ward')),
    binary('by-hidden', on('DocumentReference/hidden')),
    binary('by-refused', on('Observation/refused')),
    binary('by-nothing', on('Patient/nobody')),
    binary('by-itself', on('Binary/by-itself')),
    binary('by-other', on('Binary/by-a')),
    binary('by-elsewhere', on('https://elsewhere.example/fhir/Patient/a')),
    binary('by-identifier', { identifier: { value: 'a' } }),
  ]);
  guarded = { ...w.context, policy: loadPolicy(FOLDERS) };
});
after(() => w.close());

type Who = readonly [scope: string, patients: readonly string[], situation?: Situation];
const ask = ([scope, patients, situation]: Who, method: string, url: string, sent?: Sent) => {
  const context = situation === undefined ? w.context : guarded;
  return answer(w.wire(method, url, sent), callerWith(context, scope, patients, situation), context);
};
const APP: Who = ['patient/*.cruds', ['a']];
const NARROW: Who = ['user/Binary.cruds user/DocumentReference.rs patient/Patient.rs', ['a']];
const doctor = (more: object = {}): Who => [
  'user/*.cruds',
  [],
  { roles: ['physician'], purposes: [], actors: [], ...more },
];
/** Subscriptions of others are part of everything: decision 0049. */
const WHOLE: Who = ['system/*.cruds', [], { roles: ['integration-engine'], purposes: [], actors: [] }];
const ALL =
  'free by-a by-b by-note-a by-note-b by-version by-ward by-hidden by-refused by-nothing by-itself by-other by-elsewhere by-identifier';

const seen: readonly [name: string, who: Who, ids: string][] = [
  [
    'a patient app: what names what it sees, and nothing that names nothing',
    APP,
    'by-a by-note-a by-version by-ward by-hidden',
  ],
  ['without the scope of what is named', ['patient/Binary.rs', ['a']], ''],
  ['with it', ['patient/Binary.rs patient/Patient.rs', ['a']], 'by-a'],
  ['without a patient nothing is widened', ['patient/*.rs', []], ''],
  [
    'user/Binary: what names nothing too; the rest by what is named',
    NARROW,
    'free by-a by-note-a by-note-b by-version by-hidden',
  ],
  ['who sees everything', WHOLE, ALL],
  [
    'all scopes without such a role: not what names nothing that is here',
    ['system/*.cruds', []],
    'free by-a by-b by-note-a by-note-b by-version by-ward by-hidden by-refused',
  ],
  ['a label on what is named', doctor(), 'free by-a by-b by-note-a by-note-b by-version by-ward by-refused'],
];
for (const [name, who, ids] of seen) {
  test(`binary@securityContext ${name}: read, vread, history, search and batch agree`, async () => {
    for (const id of ALL.split(' ')) {
      const expected = ids.split(' ').includes(id) ? 200 : 404;
      for (const path of ['', '/_history/1', '/_history', '/$meta']) {
        const { status } = await ask(who, 'GET', `/Binary/${id}${path}`);
        if (who[1].length === 0 && ids === '') assert.ok(status === 403 || status === 404, `${id}${path}: ${status}`);
        else assert.equal(status, expected, `${id}${path}`);
      }
    }
    if (ids === '') return;
    const found = json(await ask(who, 'GET', '/Binary?_count=50&_total=accurate'));
    assert.deepEqual(idsOf(found).toSorted(), ids.split(' ').toSorted());
    assert.equal(found.total, ids.split(' ').length);
    const whole = json(await ask(who, 'GET', '/?_type=Binary,Organization&_lastUpdated=gt2000&_count=50'));
    const binaries = idsOf(whole).filter((id) => id !== 'ward');
    assert.deepEqual(binaries.toSorted(), ids.split(' ').toSorted());
  });
}

test('binary@securityContext what a Consent hides, a Binary that names it does not show', async () => {
  const provision = { type: 'deny', class: [{ system: 'http://hl7.org/fhir/resource-types', code: 'Observation' }] };
  const scope = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] };
  const body = {
    ...{ resourceType: 'Consent', id: 'no', status: 'active', scope, category: [{ text: 'x' }] },
    ...{ patient: on('Patient/b'), policyRule: { coding: [{ code: 'OPTIN' }] }, provision },
  };
  const read = async () => (await ask(doctor(), 'GET', '/Binary/by-refused')).status;
  assert.equal(await read(), 200);
  const officer: Who = ['user/*.cruds', [], { roles: ['integration-engine'], purposes: [], actors: [] }];
  assert.equal((await ask(officer, 'PUT', '/Consent/no', { body })).status, 201);
  assert.equal(await read(), 404);
  assert.equal((await ask(officer, 'GET', '/Binary/by-refused')).status, 200, 'unless no Consent binds');
  assert.equal((await ask(doctor(), 'GET', '/Binary/by-b')).status, 200, 'another type');
});

const PATCH = { 'content-type': 'application/json-patch+json' };
const move = (reference: string) => [{ op: 'replace', path: '/securityContext/reference', value: reference }];
const writes: readonly [name: string, who: Who, method: string, url: string, body: unknown, status: number][] = [
  ['a create that names what is seen', APP, 'POST', '/Binary', binary('x', on('Patient/a')), 201],
  ['a create that names what is not', APP, 'POST', '/Binary', binary('x', on('Patient/b')), 403],
  ['a create that names what is not there', APP, 'POST', '/Binary', binary('x', on('Patient/nobody')), 403],
  ['a create that names nothing', APP, 'POST', '/Binary', binary('x'), 403],
  ['an update of what is not seen', APP, 'PUT', '/Binary/by-b', binary('by-b', on('Patient/a')), 404],
  ['an update that hands it to another', APP, 'PUT', '/Binary/by-a', binary('by-a', on('Patient/b')), 403],
  ['an update that takes its guard off', APP, 'PUT', '/Binary/by-a', binary('by-a'), 403],
  ['a patch of what is not seen', APP, 'PATCH', '/Binary/by-b', move('Patient/a'), 404],
  ['a patch that hands it to another', APP, 'PATCH', '/Binary/by-a', move('Patient/b'), 403],
  [
    'a label on what is not seen',
    APP,
    'POST',
    '/Binary/by-b/$meta-add',
    { resourceType: 'Parameters', parameter: [{ name: 'meta', valueMeta: { tag: [{ code: 'x' }] } }] },
    404,
  ],
  ['a deletion of what is not seen is as of what is absent', APP, 'DELETE', '/Binary/by-b', undefined, 204],
];
for (const [name, who, method, url, sent, status] of writes) {
  test(`binary@securityContext ${name}: ${status}`, async () => {
    const headers = method === 'PATCH' ? { headers: PATCH } : {};
    const text = typeof sent === 'string' ? sent : JSON.stringify(sent);
    const found = await ask(who, method, url, sent === undefined ? {} : { ...headers, body: text });
    assert.equal(found.status, status, found.body);
    assert.equal(
      (await ask(['system/*.cruds', []], 'GET', '/Binary/by-b/_history/2')).status,
      404,
      'nothing was written',
    );
  });
}

test('binary@securityContext what points at a Binary shows nothing of it: whoever writes such a pointer would read what they guess', async () => {
  const pointer = { ...note('pointer', 'a'), content: [{ attachment: { url: 'Binary/by-b' } }] };
  assert.equal((await ask(APP, 'POST', '/DocumentReference', { body: pointer })).status, 201);
  for (const url of ['/Binary/by-b', '/Binary/free']) assert.equal((await ask(APP, 'GET', url)).status, 404);
});

test('binary@securityContext it moves with what it names, old versions too', async () => {
  await ask(WHOLE, 'PUT', '/Binary/moves', { body: binary('moves', on('Patient/a')) });
  await ask(WHOLE, 'PUT', '/Binary/moves', { body: binary('moves', on('Patient/b')) });
  const get = async (path: string) => (await ask(APP, 'GET', `/Binary/moves${path}`)).status;
  assert.deepEqual([await get(''), await get('/_history/2'), await get('/_history/1')], [404, 404, 404]);
  await ask(WHOLE, 'PUT', '/Binary/moves', { body: binary('moves', on('Patient/a')) });
  assert.deepEqual([await get(''), await get('/_history/2'), await get('/_history/1')], [200, 404, 200]);
  await ask(WHOLE, 'DELETE', '/DocumentReference/of-a');
  assert.equal((await ask(APP, 'GET', '/Binary/by-note-a')).status, 404, 'what is deleted stands for nothing');
});

test('binary@securityContext the rows are no search parameters', async () => {
  for (const name of ['$guarded', '$securityContext', 'security-context', 'securityContext']) {
    const found = await ask(['system/*.rs', []], 'GET', `/Binary?${encodeURIComponent(name)}=true`);
    assert.equal(found.status, 400, name);
  }
});
