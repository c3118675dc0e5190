// docs/authorization.md, decision 0037: Consents in every plan. FHIR R4 consent.html (Consent.provision): who, why, when, what; exceptions; deny wins.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FOLDERS } from '../../src/folders.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import type { Situation } from '../../src/smart/scopes.ts';
import { type EngineWorld, engineWorld } from '../rest/engine-world.ts';
import { idsOf, json, type Sent } from '../world.ts';
import { consentOf } from './consent-body.ts';
import { callerWith } from './tokens.ts';

const of = (patient: string) => ({ subject: { reference: `Patient/${patient}` } });
const code = (value: string) => ({ coding: [{ system: 'urn:codes', code: value }] });
const observation = (id: string, patient: string, more: object = {}) => ({
  ...{ resourceType: 'Observation', id, status: 'final', code: code('plain'), ...of(patient) },
  ...more,
});

let w: EngineWorld;
let context: RestContext;
let now = Date.UTC(2026, 5, 1);
before(async () => {
  w = await engineWorld([
    { resourceType: 'Patient', id: 'a' },
    { resourceType: 'Patient', id: 'b' },
    { resourceType: 'Practitioner', id: 'dr' },
    { resourceType: 'Practitioner', id: 'other' },
    { resourceType: 'Organization', id: 'ward', name: 'x' },
    {
      ...{ resourceType: 'PractitionerRole', id: 'at-ward' },
      ...{ practitioner: { reference: 'Practitioner/dr' }, organization: { reference: 'Organization/ward' } },
    },
    { resourceType: 'CareTeam', id: 'team', participant: [{ member: { reference: 'Practitioner/dr' } }] },
    observation('plain', 'a'),
    observation('labelled', 'a', { meta: { security: [{ system: 'urn:any', code: 'R' }] } }),
    observation('coded', 'a', { code: code('secret') }),
    observation('old', 'a', { effectiveDateTime: '2020-02-02' }),
    observation('new', 'a', { effectiveDateTime: '2026-02-02' }),
    observation('of-b', 'b'),
    { resourceType: 'Condition', id: 'c', ...of('a') },
  ]);
  const { newId } = w.context.ambient;
  context = { ...w.context, policy: loadPolicy(FOLDERS), ambient: { newId, now: () => now } };
});
after(() => w.close());

const DR: Situation = { roles: ['physician'], purposes: [], actors: ['Practitioner/dr'] };
const ask = (situation: Situation, method: string, url: string, sent?: Sent) =>
  answer(w.wire(method, url, sent), callerWith(context, 'user/*.cruds', [], situation), context);

let consents = 0;
async function consent(provision: object | undefined, more: object = {}): Promise<string> {
  const id = `consent-${++consents}`;
  const { status, body: text } = await w.send('PUT', `/Consent/${id}`, { body: consentOf(id, provision, more) });
  assert.equal(status, 201, text);
  return id;
}
const lifted = async (...ids: string[]): Promise<void> => {
  for (const id of ids) assert.equal((await w.send('DELETE', `/Consent/${id}`)).status, 204);
};

/** What of each type is seen: by search, with an honest total, and by id alike. */
async function seen(situation: Situation): Promise<readonly string[]> {
  const found: string[] = [];
  for (const type of ['Observation', 'Condition', 'Patient']) {
    const bundle = json(await ask(situation, 'GET', `/${type}?_total=accurate&_count=50`));
    const ids = idsOf(bundle);
    assert.equal(bundle.total, ids.length);
    const all = idsOf(json(await w.send('GET', `/${type}?_count=50`)));
    for (const id of all) {
      const { status } = await ask(situation, 'GET', `/${type}/${id}`);
      assert.equal(status, ids.includes(id) ? 200 : 404, `${type}/${id}`);
    }
    found.push(...ids);
  }
  return found.toSorted();
}

const EVERYTHING = ['a', 'b', 'c', 'coded', 'labelled', 'new', 'of-b', 'old', 'plain'];
const without = (...hidden: string[]) => EVERYTHING.filter((id) => !hidden.includes(id));
const ONLY_B = ['b', 'of-b'];
const role = (each: string) => ({
  coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: each }],
});
const actor = (reference: string, as = 'IRCP') => [{ role: role(as), reference: { reference } }];
const action = (...codes: string[]) =>
  codes.map((each) => ({ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentaction', code: each }] }));
const purpose = (...codes: string[]) => codes.map((each) => ({ system: 'urn:purpose', code: each }));
const clazz = (each: string) => [{ system: 'http://hl7.org/fhir/resource-types', code: each }];
const deny = (more: object = {}) => ({ type: 'deny', ...more });

type Case = readonly [
  why: string,
  situation: Situation,
  given: readonly (object | undefined)[],
  seen: readonly string[],
  more?: object,
];
const cases: readonly Case[] = [
  ['none', DR, [], EVERYTHING],
  ['everything denied to everyone', DR, [deny()], ONLY_B],
  ['denied to the actor', DR, [deny({ actor: actor('Practitioner/dr') })], ONLY_B],
  ['denied to another', DR, [deny({ actor: actor('Practitioner/other') })], EVERYTHING],
  ['denied to the organisation they work for', DR, [deny({ actor: actor('Organization/ward') })], ONLY_B],
  ['denied to the care team they are in', DR, [deny({ actor: actor('CareTeam/team') })], ONLY_B],
  [
    'denied to an organisation they do not work for',
    { ...DR, actors: ['Practitioner/other'] },
    [deny({ actor: actor('Organization/ward') })],
    EVERYTHING,
  ],
  [
    'denied to a client by its identifier',
    { ...DR, actors: ['app-7'] },
    [deny({ actor: [{ role: code('x'), reference: { identifier: { value: 'app-7' } } }] })],
    ONLY_B,
  ],
  [
    'denied to somebody only described',
    DR,
    [deny({ actor: [{ role: code('x'), reference: { display: 'the neighbour' } }] })],
    EVERYTHING,
  ],
  ['denied for treatment, which who says nothing comes for', DR, [deny({ purpose: purpose('TREAT') })], ONLY_B],
  ['denied for research, asked to treat', DR, [deny({ purpose: purpose('HRESCH') })], EVERYTHING],
  [
    'denied for research, asked for research',
    { ...DR, purposes: ['HRESCH'] },
    [deny({ purpose: purpose('HRESCH', 'HMARKT') })],
    ONLY_B,
  ],
  ['denied by class', DR, [deny({ class: clazz('Observation') })], ['a', 'b', 'c', 'of-b']],
  ['denied by label', DR, [deny({ securityLabel: [{ code: 'R' }] })], without('labelled')],
  ['denied by code', DR, [deny({ code: [code('secret')] })], without('coded')],
  [
    'denied by a period of the data; what has no date is denied',
    DR,
    [deny({ class: clazz('Observation'), dataPeriod: { start: '2025' } })],
    without('new', 'plain', 'labelled', 'coded'),
  ],
  [
    'denied by instance',
    DR,
    [deny({ data: [{ meaning: 'instance', reference: { reference: 'Observation/plain' } }] })],
    without('plain'),
  ],
  [
    'what is related cannot be judged: all is denied',
    DR,
    [deny({ data: [{ meaning: 'related', reference: { reference: 'Observation/plain' } }] })],
    ONLY_B,
  ],
  [
    'conditions of one provision are all needed',
    DR,
    [deny({ class: clazz('Condition'), code: [code('secret')] })],
    EVERYTHING,
  ],
  ['in force', DR, [deny({ period: { start: '2026-01-01', end: '2026-12-31' } })], ONLY_B],
  ['over', DR, [deny({ period: { end: '2026-05-31' } })], EVERYTHING],
  ['not yet', DR, [deny({ period: { start: '2026-06-02' } })], EVERYTHING],
  ['not agreed yet', DR, [deny()], EVERYTHING, { dateTime: '2027-01-01' }],
  ['a draft', DR, [deny()], EVERYTHING, { status: 'draft' }],
  ['about research, not privacy', DR, [deny()], EVERYTHING, { scope: code('research') }],
  ['the policy opts out, without a provision', DR, [undefined], ONLY_B, { policyRule: code('OPTOUT') }],
  [
    'the policy opts out, with an exception',
    DR,
    [{ provision: [{ type: 'permit', actor: actor('Practitioner/dr') }] }],
    EVERYTHING,
    { policyRule: code('OPTOUT') },
  ],
  [
    'denied but for one class',
    DR,
    [deny({ provision: [{ type: 'permit', class: clazz('Observation') }] })],
    ['b', 'coded', 'labelled', 'new', 'of-b', 'old', 'plain'],
  ],
  [
    'permitted but for one class',
    DR,
    [{ type: 'permit', provision: [deny({ class: clazz('Observation') })] }],
    ['a', 'b', 'c', 'of-b'],
  ],
  [
    'an exception to an exception',
    DR,
    [
      deny({
        provision: [{ type: 'permit', class: clazz('Observation'), provision: [deny({ code: [code('secret')] })] }],
      }),
    ],
    ['b', 'labelled', 'new', 'of-b', 'old', 'plain'],
  ],
  [
    'of two exceptions that meet, deny wins',
    DR,
    [deny({ provision: [{ type: 'permit', class: clazz('Observation') }, deny({ code: [code('secret')] })] })],
    ['b', 'labelled', 'new', 'of-b', 'old', 'plain'],
  ],
  ['of two Consents, deny wins', DR, [{ type: 'permit' }, deny({ class: clazz('Condition') })], without('c')],
  [
    'denied to whoever keeps it: the role of who is denied is of no account',
    DR,
    [deny({ actor: actor('Practitioner/dr', 'CST') })],
    ONLY_B,
  ],
  [
    'denied but to an actor in a role that is given data',
    DR,
    [deny({ provision: [{ type: 'permit', actor: actor('Practitioner/dr', 'PRCP') }] })],
    EVERYTHING,
  ],
  [
    'a permission for who keeps it is none for who reads it',
    DR,
    [deny({ provision: [{ type: 'permit', actor: actor('Practitioner/dr', 'CST') }] })],
    ONLY_B,
  ],
  [
    'a permission for a role in words is not used',
    DR,
    [
      deny({
        provision: [
          { type: 'permit', actor: [{ role: { text: 'reader' }, reference: { reference: 'Practitioner/dr' } }] },
        ],
      }),
    ],
    ONLY_B,
  ],
  [
    'what a permission that is not used denies, is denied',
    DR,
    [{ type: 'permit', actor: actor('Practitioner/dr', 'CST'), provision: [deny({ class: clazz('Condition') })] }],
    without('c'),
  ],
  ['denied for a purpose in words only', DR, [deny({ purpose: [{ display: 'gossip' }] })], ONLY_B],
  ['denied by a class in words only', DR, [deny({ class: [{ display: 'letters' }] })], ONLY_B],
  ['denied by a label in words only', DR, [deny({ securityLabel: [{ display: 'secret' }] })], ONLY_B],
  ['denied by a code in words only', DR, [deny({ code: [{ text: 'gossip' }] })], ONLY_B],
  [
    'denied by data that no reference names',
    DR,
    [deny({ data: [{ meaning: 'instance', reference: { identifier: { value: 'x' } } }] })],
    ONLY_B,
  ],
  ...(['purpose', 'class', 'securityLabel'] as const).map(
    (name): Case => [
      `a permission by a ${name} in words only is not used`,
      DR,
      [deny({ provision: [{ type: 'permit', [name]: [{ display: 'x' }] }] })],
      ONLY_B,
    ],
  ),
  [
    'a permission by a code in words only is not used',
    DR,
    [deny({ provision: [{ type: 'permit', code: [{ text: 'x' }] }] })],
    ONLY_B,
  ],
  ['the patient is not bound by their own', { ...DR, roles: ['patient'] }, [deny()], EVERYTHING],
  ['the privacy officer is not bound', { ...DR, roles: ['privacy-officer'] }, [deny()], EVERYTHING],
  ['in an emergency', { ...DR, breakGlass: { patient: 'a' } }, [deny()], EVERYTHING],
  ['in an emergency of somebody else', { ...DR, breakGlass: { patient: 'b' } }, [deny()], ONLY_B],
];
for (const [why, situation, given, ids, more] of cases) {
  test(`consent@rules ${why}`, async () => {
    const kept: string[] = [];
    for (const each of given) kept.push(await consent(each, more));
    assert.deepEqual(await seen(situation), ids);
    await lifted(...kept);
  });
}

test('consent@at-once: from the answer to the Consent on, for filters that were made before too, until it is withdrawn', async () => {
  const caller = callerWith(context, 'user/*.cruds', [], DR);
  const status = async () => (await answer(w.wire('GET', '/Observation/plain'), caller, context)).status;
  assert.equal(await status(), 200);
  const id = await consent(deny());
  assert.equal(await status(), 404);
  const body = { ...json(await w.send('GET', `/Consent/${id}`)), status: 'inactive' };
  assert.equal((await w.send('PUT', `/Consent/${id}`, { body })).status, 200);
  assert.equal(await status(), 200);
  await lifted(id);
});

test('consent@periods: a period that begins or ends needs no write', async () => {
  const id = await consent(deny({ period: { start: '2026-07-01', end: '2026-07-02' } }));
  const status = async (at: number) => {
    now = at;
    return (await ask(DR, 'GET', '/Observation/plain')).status;
  };
  const start = Date.UTC(2026, 6, 1);
  const end = Date.UTC(2026, 6, 3);
  assert.deepEqual(
    [await status(start - 1), await status(start), await status(end - 1), await status(end)],
    [200, 404, 404, 200],
  );
  now = Date.UTC(2026, 5, 1);
  await lifted(id);
});

test('consent@no-oracle: absence is never told from what a Consent hides, also while there is none', async () => {
  const told = async (id: string) => {
    const answers = [
      await ask(DR, 'PUT', `/Observation/${id}`, { body: observation(id, 'a') }),
      await ask(DR, 'POST', '/Observation', { headers: { 'if-none-exist': `_id=${id}` }, body: observation('x', 'a') }),
      await ask(DR, 'GET', `/Observation/${id}`, { headers: { 'if-none-match': 'W/"1"' } }),
      await ask(DR, 'DELETE', `/Observation/${id}`),
    ];
    return answers.map(({ status, body }) => `${status} ${body ?? ''}`.replaceAll(id, '[id]'));
  };
  const free = await told('absent');
  assert.deepEqual(
    free.map((each) => each.slice(0, 3)),
    ['404', '403', '404', '204'],
  );
  const id = await consent(deny());
  assert.deepEqual(await told('plain'), free);
  await lifted(id);
});

test('consent@many: the Consents of many patients are one condition with many patients', async () => {
  const kept: string[] = [];
  for (let index = 0; index < 30; index++) {
    kept.push(await consent(deny(), { patient: { reference: `Patient/p${index}` } }));
  }
  const caller = callerWith(context, 'user/*.cruds', [], DR);
  const access = (await caller.access.asOfNow?.()) ?? caller.access;
  const visible = JSON.stringify(access.visible('Condition', 'read'));
  assert.equal(visible.split('"Condition.patient"').length - 1, 1, visible);
  assert.ok(visible.includes('Patient/p0') && visible.includes('Patient/p29'));
  await lifted(...kept);
});

test('consent@links: it is the person who refuses: a denial follows links and merges, either way, over several records, and back', async () => {
  const all = (method: string, url: string, body?: unknown) => w.send(method, url, body === undefined ? {} : { body });
  const patient = (id: string, ...to: string[]) =>
    all('PUT', `/Patient/${id}`, {
      ...{ resourceType: 'Patient', id },
      ...(to.length === 0
        ? {}
        : { link: to.map((each) => ({ other: { reference: `Patient/${each}` }, type: 'seealso' })) }),
    });
  const read = async () =>
    Promise.all(
      ['Patient/b', 'Observation/of-b'].map(async (url) => {
        const { status } = await ask(DR, 'GET', `/${url}`);
        const count = json(await ask(DR, 'GET', `/${url.replace('/', '?_id=')}&_total=accurate`)).total;
        return `${status} ${count}`;
      }),
    );
  const id = await consent(deny());
  assert.deepEqual(await read(), ['200 1', '200 1'], 'another person');
  await patient('b', 'a');
  assert.deepEqual(await read(), ['404 0', '404 0'], 'a link from the other record');
  await patient('b');
  assert.deepEqual(await read(), ['200 1', '200 1'], 'the link is gone');
  await patient('a', 'middle');
  await patient('b', 'middle');
  assert.deepEqual(await read(), ['404 0', '404 0'], 'over a record that is not here');
  await patient('a');
  await patient('b');
  const merged = await all('POST', '/Patient/$merge', {
    resourceType: 'Parameters',
    parameter: [
      { name: 'source-patient', valueReference: { reference: 'Patient/a' } },
      { name: 'target-patient', valueReference: { reference: 'Patient/b' } },
    ],
  });
  assert.equal(merged.status, 200, merged.body);
  assert.deepEqual(await read(), ['404 0', '404 0'], 'after a merge');
  await lifted(id);
  assert.deepEqual(await read(), ['200 1', '200 1'], 'and is lifted with the Consent');
  const again = await consent(deny());
  assert.deepEqual(await read(), ['404 0', '404 0'], 'links that were there before any Consent');
  await lifted(again);
});

test('consent@self-lift: whom a Consent binds neither lifts nor loosens nor deletes it, also when they may read it; they may add to it', async () => {
  const id = await consent(deny({ class: clazz('Observation') }));
  const { body: text = '' } = await ask(DR, 'GET', `/Consent/${id}`);
  const held = JSON.parse(text);
  const put = (more: object, who = DR) => ask(who, 'PUT', `/Consent/${id}`, { body: { ...held, ...more } });
  const patch = {
    headers: { 'content-type': 'application/json-patch+json' },
    body: '[{"op":"replace","path":"/status","value":"inactive"}]',
  };
  const entry = [{ request: { method: 'DELETE', url: `Consent/${id}` } }];
  const tries: readonly [why: string, status: number][] = [
    ['inactive', (await put({ status: 'inactive' })).status],
    ['another patient', (await put({ patient: { reference: 'Patient/b' } })).status],
    ['another scope', (await put({ scope: { coding: [{ code: 'research' }] } })).status],
    ['an exception', (await put({ provision: { ...held.provision, provision: [{ type: 'permit' }] } })).status],
    ['over already', (await put({ provision: { ...held.provision, period: { end: '2020-01-01' } } })).status],
    ['not yet', (await put({ dateTime: '2099-01-01' })).status],
    ['patched', (await ask(DR, 'PATCH', `/Consent/${id}`, patch)).status],
    ['patched by search', (await ask(DR, 'PATCH', `/Consent?_id=${id}`, patch)).status],
    ['deleted', (await ask(DR, 'DELETE', `/Consent/${id}`)).status],
    ['deleted by search', (await ask(DR, 'DELETE', `/Consent?_id=${id}`)).status],
    [
      'deleted in a transaction',
      (await ask(DR, 'POST', '/', { body: { resourceType: 'Bundle', type: 'transaction', entry } })).status,
    ],
  ];
  assert.deepEqual(
    tries.filter(([, status]) => status !== 403),
    [],
  );
  assert.equal((await ask(DR, 'GET', '/Observation/plain')).status, 404, 'it still denies');
  assert.equal((await put({ category: [code('y')] })).status, 200, 'what says no more and no less');
  const patient: Situation = { roles: ['patient'], purposes: [], actors: ['Patient/a'] };
  assert.equal((await put({ status: 'inactive' }, patient)).status, 200, 'who is not bound may');
  assert.equal((await ask(DR, 'GET', '/Observation/plain')).status, 200);
  assert.equal((await ask(DR, 'DELETE', `/Consent/${id}`)).status, 204, 'one that denies nothing any more');
});

/** What each interaction is answered with, of a resource that the provision is about; 404, 403 and 204 without effect are refusals. */
async function done(situation: Situation): Promise<string> {
  const body = observation('acted', 'a');
  assert.ok((await w.send('PUT', '/Observation/acted', { body })).status < 300);
  const created = await ask(situation, 'POST', '/Observation', { body: { ...body, id: undefined } });
  const read = await ask(situation, 'GET', '/Observation/acted');
  const found = json(await ask(situation, 'GET', '/Observation?_id=acted')).total === 1;
  const updated = await ask(situation, 'PUT', '/Observation/acted', { body: { ...body, language: 'en' } });
  await ask(situation, 'DELETE', '/Observation/acted');
  const deleted = (await w.send('GET', '/Observation/acted')).status === 410;
  const letters = [
    [created.status === 201, 'c'],
    [read.status === 200, 'r'],
    [updated.status === 200, 'u'],
    [deleted, 'd'],
    [found, 's'],
  ] as const;
  return letters.flatMap(([isDone, letter]) => (isDone ? [letter] : [])).join('');
}
const permit = (...codes: string[]) => [deny({ provision: [{ type: 'permit', action: action(...codes) }] })];
const actions: readonly [why: string, provisions: readonly object[], left: string][] = [
  ['none named: all', [deny()], ''],
  ['access denied: nothing that shows it', [deny({ action: action('access') })], 'c'],
  ['use denied: what is read may be used', [deny({ action: action('use') })], 'c'],
  ['disclosure denied: what is read may be disclosed', [deny({ action: action('disclose') })], 'c'],
  ['“access and correct” denied', [deny({ action: action('correct') })], 'c'],
  ['collection denied: nothing new, neither by a version', [deny({ action: action('collect') })], 'rds'],
  ['two denied', [deny({ action: action('collect', 'access') })], ''],
  ['an action of another system denied: all', [deny({ action: [code('x')] })], ''],
  ['an action in words denied: all', [deny({ action: [{ text: 'x' }] })], ''],
  ['all denied but access', permit('access'), 'rs'],
  ['all denied but “access and correct”', permit('correct'), 'ruds'],
  ['all denied but collection', permit('collect'), 'c'],
  ['all denied but use, which gives no access', permit('use'), ''],
  ['all denied but disclosure, which gives no access', permit('disclose'), ''],
  ['all denied but all five', permit('access', 'collect', 'use', 'disclose', 'correct'), 'cruds'],
  ['all denied but an action of another system', [deny({ provision: [{ type: 'permit', action: [code('x')] }] })], ''],
  ['all denied but an action in words', [deny({ provision: [{ type: 'permit', action: [{ text: 'x' }] }] })], ''],
  ['of two Consents that meet, deny wins', [deny({ action: action('access') }), { type: 'permit' }], 'c'],
];
test('consent@actions control: nothing denied', async () => assert.equal(await done(DR), 'cruds'));
for (const [why, provisions, left] of actions) {
  test(`consent@actions ${why}: ${left === '' ? 'nothing' : left} is left`, async () => {
    const kept: string[] = [];
    for (const each of provisions) kept.push(await consent(Object.assign({}, each)));
    assert.equal(await done(DR), left);
    await lifted(...kept);
  });
}

test('consent@bounded beyond 50,000 patients nobody whom Consents bind is answered by a part of them', async () => {
  const put = (others: number) =>
    w.send('PUT', '/Patient/hub', {
      body: {
        ...{ resourceType: 'Patient', id: 'hub' },
        link: Array.from({ length: others }, (_, index) => ({
          ...{ other: { reference: `Patient/other-${index}` }, type: 'seealso' },
        })),
      },
    });
  const id = await consent(deny(), { patient: { reference: 'Patient/hub' } });
  const statuses = async () =>
    Promise.all(
      ['/Observation/plain', '/Observation?code=plain', '/Practitioner/dr'].map(
        async (url) => (await ask(DR, 'GET', url)).status,
      ),
    );
  assert.equal((await put(49_999)).status, 201);
  assert.deepEqual(await statuses(), [200, 200, 200]);
  assert.equal((await put(50_000)).status, 200);
  assert.deepEqual(await statuses(), [400, 400, 200], 'a type that is nobody’s record is');
  assert.equal((await ask({ ...DR, roles: ['privacy-officer'] }, 'GET', '/Observation/plain')).status, 200);
  await w.send('DELETE', '/Patient/hub');
  await lifted(id);
  assert.deepEqual(await statuses(), [200, 200, 200]);
});
