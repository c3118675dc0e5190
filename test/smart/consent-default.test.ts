// docs/authorization.md#consents: what the site denies where no Consent permits (CONSENT_DEFAULT), in every plan. FHIR R4 consent.html (opt-in).
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FOLDERS } from '../../src/folders.ts';
import { consentDefault } from '../../src/open/consent-default.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import type { Situation } from '../../src/smart/scopes.ts';
import { type EngineWorld, engineWorld } from '../rest/engine-world.ts';
import { idsOf, json } from '../world.ts';
import { consentOf } from './consent-body.ts';
import { callerWith } from './tokens.ts';

const of = (patient: string) => ({ subject: { reference: `Patient/${patient}` } });
const code = (value: string) => ({ coding: [{ system: 'urn:codes', code: value }] });
const observation = (id: string, more: object) => ({
  ...{ resourceType: 'Observation', id, status: 'final', code: code('plain') },
  ...more,
});
const folder = mkdtempSync(join(tmpdir(), 'consent-default-'));
let w: EngineWorld;
let now = Date.UTC(2026, 5, 1);
before(async () => {
  w = await engineWorld([
    { resourceType: 'Patient', id: 'a' },
    { resourceType: 'Patient', id: 'b' },
    { resourceType: 'Practitioner', id: 'dr' },
    observation('of-a', of('a')),
    observation('of-b', of('b')),
    observation('by-a', { ...of('b'), performer: [{ reference: 'Patient/a' }] }),
    observation('of-nobody', {}),
    { resourceType: 'Condition', id: 'c-a', ...of('a') },
    { resourceType: 'Condition', id: 'c-b', ...of('b') },
    {
      ...{ resourceType: 'Group', id: 'both', type: 'person', actual: true },
      member: ['a', 'b'].map((id) => ({ entity: { reference: `Patient/${id}` } })),
    },
  ]);
});
after(async () => {
  await w.close();
  rmSync(folder, { recursive: true });
});

let files = 0;
function siteWith(provision: unknown): RestContext {
  const path = join(folder, `${++files}.json`);
  writeFileSync(path, typeof provision === 'string' ? provision : JSON.stringify(provision));
  const { newId } = w.context.ambient;
  const policy = { ...loadPolicy(FOLDERS), consentDefault: consentDefault(path, w.context) };
  return { ...w.context, policy, ambient: { newId, now: () => now } };
}

const DR: Situation = { roles: ['physician'], purposes: [], actors: ['Practitioner/dr'] };
const RESEARCH: Situation = { ...DR, purposes: ['HRESCH'] };
const clazz = (...codes: string[]) =>
  codes.map((each) => ({ system: 'http://hl7.org/fhir/resource-types', code: each }));
const purpose = (...codes: string[]) =>
  codes.map((each) => ({ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: each }));
const link = [{ other: { reference: 'Patient/a' }, type: 'seealso' }];

let consents = 0;
async function consented(provision: object | undefined, more: object = {}): Promise<string> {
  const id = `consent-${++consents}`;
  const { status, body: text } = await w.send('PUT', `/Consent/${id}`, { body: consentOf(id, provision, more) });
  assert.equal(status, 201, text);
  return id;
}

const TYPES = ['Observation', 'Condition', 'Patient', 'Group', 'Practitioner'];
/** What is seen, by every way there is: alike, or it is a problem. */
async function seen(context: RestContext, situation: Situation): Promise<readonly string[]> {
  const ask = (url: string) => answer(w.wire('GET', url), callerWith(context, 'user/*.cruds', [], situation), context);
  const found: string[] = [];
  for (const type of TYPES) {
    const bundle = json(await ask(`/${type}?_total=accurate&_count=50`));
    const ids = idsOf(bundle);
    assert.equal(bundle.total, ids.length, 'an honest total');
    assert.equal(json(await ask(`/${type}?_summary=count`)).total, ids.length);
    for (const id of idsOf(json(await w.send('GET', `/${type}?_count=50`)))) {
      const isSeen = ids.includes(id);
      assert.equal((await ask(`/${type}/${id}`)).status, isSeen ? 200 : 404, `${type}/${id}`);
      assert.equal((await ask(`/${type}/${id}/_history`)).status, isSeen ? 200 : 404, `${type}/${id}`);
      assert.equal((await ask(`/${type}/${id}/_history/1`)).status, isSeen ? 200 : 404, `${type}/${id}`);
    }
    found.push(...ids);
  }
  const included = json(
    await ask('/Observation?_include=Observation:patient&_include=Observation:performer&_count=50'),
  );
  for (const id of idsOf(included)) assert.ok(found.includes(id), `${id} was included`);
  const back = json(await ask('/Patient?_revinclude=Observation:patient&_revinclude=Group:member&_count=50'));
  for (const id of idsOf(back)) assert.ok(found.includes(id), `${id} was included`);
  const joined = idsOf(json(await ask('/Observation?patient._id=a,b&_count=50')));
  for (const id of joined) assert.ok(found.includes(id), `${id} was joined`);
  return found.toSorted();
}

const ALL = ['a', 'b', 'both', 'by-a', 'c-a', 'c-b', 'dr', 'of-a', 'of-b', 'of-nobody'];
const OPT_IN = { type: 'deny' };
const OPT_IN_RESEARCH = { type: 'permit', provision: [{ type: 'deny', purpose: purpose('HRESCH') }] };
type Case = readonly [
  why: string,
  site: object,
  situation: Situation,
  given: readonly (object | undefined)[],
  seen: readonly string[],
  more?: object,
];
const cases: readonly Case[] = [
  ['permit: as without the setting', { type: 'permit' }, DR, [], ALL],
  ['deny: nobody has consented', OPT_IN, DR, [], ['dr']],
  ['deny: one has', OPT_IN, DR, [undefined], ['a', 'c-a', 'dr', 'of-a']],
  ['deny: one has, but not yet', OPT_IN, DR, [undefined], ['dr'], { dateTime: '2027-01-01' }],
  ['deny: one has, and withdrawn', OPT_IN, DR, [undefined], ['dr'], { status: 'inactive' }],
  ['deny: one has, to research, not about privacy', OPT_IN, DR, [undefined], ['dr'], { scope: code('research') }],
  ['deny: a Consent that opts out permits nothing', OPT_IN, DR, [undefined], ['dr'], { policyRule: code('OPTOUT') }],
  ['deny: one has, over', OPT_IN, DR, [{ type: 'permit', period: { end: '2026-05-31' } }], ['dr']],
  ['deny: one has, for a class', OPT_IN, DR, [{ type: 'permit', class: clazz('Condition') }], ['c-a', 'dr']],
  [
    'deny: one has, for a purpose that is not stated',
    OPT_IN,
    DR,
    [{ type: 'permit', purpose: purpose('HRESCH') }],
    ['dr'],
  ],
  [
    'deny: one has, for a purpose that is',
    OPT_IN,
    RESEARCH,
    [{ type: 'permit', purpose: purpose('HRESCH') }],
    ['a', 'c-a', 'dr', 'of-a'],
  ],
  [
    'deny: one has, but for one class; deny wins',
    OPT_IN,
    DR,
    [undefined, { type: 'permit', provision: [{ type: 'deny', class: clazz('Patient') }] }],
    ['c-a', 'dr', 'of-a'],
  ],
  [
    'deny: two Consents that permit add up',
    OPT_IN,
    DR,
    [
      { type: 'permit', class: clazz('Condition') },
      { type: 'permit', class: clazz('Patient') },
    ],
    ['a', 'c-a', 'dr'],
  ],
  ['deny: what cannot be judged permits nothing', OPT_IN, DR, [{ type: 'permit', action: [{ text: 'x' }] }], ['dr']],
  ['deny: roles that Consents do not bind', OPT_IN, { ...DR, roles: ['privacy-officer'] }, [], ALL],
  [
    'deny: in an emergency',
    OPT_IN,
    { ...DR, breakGlass: { patient: 'a' } },
    [],
    ['a', 'both', 'by-a', 'c-a', 'dr', 'of-a'],
  ],
  ['by purpose: of who treats', OPT_IN_RESEARCH, DR, [], ALL],
  ['by purpose: of who researches', OPT_IN_RESEARCH, RESEARCH, [], ['dr']],
  [
    'by purpose: of who researches, where one has permitted it',
    OPT_IN_RESEARCH,
    RESEARCH,
    [{ type: 'permit', purpose: purpose('HRESCH'), class: clazz('Observation') }],
    ['dr', 'of-a'],
  ],
  [
    'by class: others stay',
    { type: 'deny', class: clazz('Condition', 'Group') },
    DR,
    [],
    ['a', 'b', 'by-a', 'dr', 'of-a', 'of-b', 'of-nobody'],
  ],
  [
    'by class and purpose',
    { type: 'permit', provision: [{ type: 'deny', purpose: purpose('HRESCH'), class: clazz('Observation') }] },
    RESEARCH,
    [],
    ['a', 'b', 'both', 'c-a', 'c-b', 'dr'],
  ],
  [
    'by an action that is none of reading',
    {
      type: 'deny',
      action: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentaction', code: 'collect' }] }],
    },
    DR,
    [],
    ALL,
  ],
];
for (const [why, site, situation, given, expected, more] of cases) {
  test(`consent@default ${why}`, async () => {
    const context = siteWith(site);
    const kept: string[] = [];
    for (const each of given) kept.push(await consented(each, more));
    try {
      assert.deepEqual(await seen(context, situation), expected);
    } finally {
      for (const id of kept) await w.send('DELETE', `/Consent/${id}`);
    }
  });
}

test('consent@default a permission holds from its answer on, follows links, and ends at its instant', async () => {
  const context = siteWith(OPT_IN);
  const caller = callerWith(context, 'user/*.cruds', [], DR);
  const status = async (id: string) => (await answer(w.wire('GET', `/Observation/${id}`), caller, context)).status;
  assert.equal(await status('of-a'), 404);
  const id = await consented({ type: 'permit', period: { end: '2026-06-30' } });
  assert.equal(await status('of-a'), 200);
  assert.equal(await status('of-b'), 404);
  await w.send('PUT', '/Patient/b', { body: { resourceType: 'Patient', id: 'b', link } });
  assert.equal(await status('of-b'), 200, 'one person');
  await w.send('PUT', '/Patient/b', { body: { resourceType: 'Patient', id: 'b' } });
  assert.equal(await status('of-b'), 404);
  now = Date.UTC(2026, 6, 1) - 1;
  assert.equal(await status('of-a'), 200);
  now = Date.UTC(2026, 6, 1);
  assert.equal(await status('of-a'), 404);
  now = Date.UTC(2026, 5, 1);
  await w.send('DELETE', `/Consent/${id}`);
  assert.equal(await status('of-a'), 404);
});

test('consent@default a provision of the site with a period ends without a write', async () => {
  const context = siteWith({ type: 'deny', period: { end: '2026-06-30' } });
  const caller = callerWith(context, 'user/*.cruds', [], DR);
  const status = async () => (await answer(w.wire('GET', '/Observation/of-a'), caller, context)).status;
  assert.equal(await status(), 404);
  now = Date.UTC(2026, 6, 1);
  assert.equal(await status(), 200);
  now = Date.UTC(2026, 5, 1);
});

const wrong: readonly [why: string, file: unknown][] = [
  ['no JSON', '{'],
  ['a list', []],
  ['no type', {}],
  ['another type', { type: 'maybe' }],
  ['a misspelt condition', { type: 'permit', provision: [{ type: 'deny', purposes: purpose('HRESCH') }] }],
  ['a whole Consent', { resourceType: 'Consent', type: 'deny' }],
  ['a code where a Coding belongs', { type: 'deny', purpose: ['HRESCH'] }],
];
for (const [why, file] of wrong) {
  test(`consent@default-file ${why}: the start is refused`, () => {
    assert.throws(() => siteWith(file), TypeError);
  });
}
test('consent@default-file a file that is not there: the start is refused', () => {
  assert.throws(() => consentDefault(join(folder, 'none.json'), w.context), /CONSENT_DEFAULT/);
});
