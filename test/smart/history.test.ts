// docs/authorization.md, decision 0050: history of a type and of everything goes through the caller's filter. http.html#history; SMART App Launch 2.2: `s`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { JsonObject } from '../../src/fhir/resource.ts';
import { FOLDERS } from '../../src/folders.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { LOOKED_AT, sourcesOf } from '../../src/rest/interactions/history-walk.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import type { Situation } from '../../src/smart/scopes.ts';
import type { HistoryScope } from '../../src/store/port.ts';
import { type EngineWorld, engineWorld } from '../rest/engine-world.ts';
import { at, json, linkOf } from '../world.ts';
import { callerWith } from './tokens.ts';

const of = (patient: string) => ({ subject: { reference: `Patient/${patient}` } });
const labelled = (code: string) => ({ meta: { security: [{ system: 'urn:any', code }] } });
const coded = (code: string) => ({ code: { coding: [{ system: 'urn:s', code }] } });
const observation = (id: string, patient: string, more: object = {}) => ({
  ...{ resourceType: 'Observation', id, status: 'final', ...coded('lab'), ...of(patient) },
  ...more,
});

let w: EngineWorld;
let context: RestContext;
let consents = 0;
before(async () => {
  w = await engineWorld([
    { resourceType: 'Patient', id: 'a' },
    { resourceType: 'Patient', id: 'b' },
    { resourceType: 'Practitioner', id: 'dr' },
    { resourceType: 'Device', id: 'pump', patient: { reference: 'Patient/a' } },
    { resourceType: 'Device', id: 'pump-b', patient: { reference: 'Patient/b' } },
    observation('stays', 'a'),
    observation('moves', 'b'), // to a: its first version is somebody else's
    observation('leaves', 'a'), // to b: nothing of it is a's any more
    observation('labelled', 'a'), // and then restricted
    observation('was', 'a', labelled('R')), // restricted, and then not
    observation('gone', 'a'),
    observation('gone-b', 'b'),
    observation('gone-labelled', 'a', labelled('V')),
    observation('other', 'a', coded('note')),
  ]);
  const put = async (body: { readonly id: string }) =>
    assert.equal((await w.send('PUT', `/Observation/${body.id}`, { body })).status, 200);
  await put(observation('moves', 'a'));
  await put(observation('leaves', 'b'));
  await put(observation('labelled', 'a', labelled('R')));
  await put(observation('was', 'a'));
  for (const id of ['gone', 'gone-b', 'gone-labelled']) {
    assert.equal((await w.send('DELETE', `/Observation/${id}`)).status, 204);
  }
  context = { ...w.context, policy: loadPolicy(FOLDERS) };
});
after(() => w.close());

type Asker = readonly [scope: string, patients: readonly string[], situation?: Situation];
const STAFF: Situation = { roles: ['nurse'], purposes: [], actors: ['Practitioner/dr'] };
const PHARMACIST: Situation = { ...STAFF, roles: ['pharmacist'] };
const APP: Situation = { purposes: [], actors: ['Patient/a'] };
const caller = ([scope, patients, situation = APP]: Asker) => callerWith(context, scope, patients, situation);
const ask = (asker: Asker, url: string) => answer(w.wire('GET', url), caller(asker), context);

/** `gone/2-` for a deletion. */
const versions = (bundle: JsonObject): readonly string[] =>
  (Array.isArray(bundle.entry) ? bundle.entry : []).map((entry) => {
    const id = String(at(entry, 'fullUrl')).split('/').at(-1);
    const version = String(at(entry, 'response.etag')).replace(/\D/g, '');
    return `${id}/${version}${at(entry, 'request.method') === 'DELETE' ? '-' : ''}`;
  });
/** The versions of all pages, each page at most `count` long, with a total only where one page is everything. */
async function walk(asker: Asker, url: string, count: number): Promise<readonly string[]> {
  const found: string[] = [];
  let next: string | undefined = `${url}${url.includes('?') ? '&' : '?'}_count=${count}`;
  for (let page = 0; next !== undefined; page++) {
    const answered = await ask(asker, next);
    assert.equal(answered.status, 200, answered.body);
    const bundle = json(answered);
    const shown = versions(bundle);
    next = linkOf(bundle, 'next');
    assert.ok(shown.length <= count);
    assert.ok(page === 0 || shown.length > 0, 'a next link leads to something');
    assert.equal(bundle.total, page === 0 && next === undefined ? shown.length : undefined);
    found.push(...shown);
  }
  return found;
}

const MINE = ['gone/2-', 'was/2', 'moves/2', 'other/1', 'gone/1', 'stays/1'];
const ALL_OF_MINE = [...MINE, 'pump/1', 'dr/1', 'a/1'];
const STAFF_SEES = [
  ...['gone-b/2-', 'gone/2-', 'was/2', 'labelled/2', 'leaves/2', 'moves/2', 'other/1', 'gone-b/1', 'gone/1', 'was/1'],
  ...['labelled/1', 'leaves/1', 'moves/1', 'stays/1'],
];
const rows: readonly (readonly [asker: Asker, url: string, found: readonly string[], why: string])[] = [
  [['patient/*.rs', ['a']], '/Observation/_history', MINE, 'what is theirs, as it was and as it is now'],
  [['patient/*.rs', ['a']], '/_history', ALL_OF_MINE, 'and what is nobody’s, of all types'],
  [['patient/Observation.rs', ['a']], '/_history', MINE, 'of everything: the types in scope'],
  [['patient/Observation.s', ['a']], '/Observation/_history', MINE, '`s` is history of a type'],
  [
    ['patient/Observation.rs?code=note', ['a']],
    '/Observation/_history',
    ['other/1'],
    'criteria of a scope judge each version',
  ],
  [
    ['patient/Observation.rs?code=note user/Device.rs', ['a']],
    '/_history',
    ['other/1', 'pump-b/1', 'pump/1'],
    'each scope for itself',
  ],
  [['patient/Patient.rs', ['a']], '/Patient/_history', ['a/1'], 'the Patient is their own'],
  [['user/*.rs', [], STAFF], '/Observation/_history', STAFF_SEES, 'R is for clinical roles, V is not'],
  [
    ['user/*.rs', [], PHARMACIST],
    '/MedicationRequest/_history',
    [],
    'who sees every label: nothing of the type is there',
  ],
  [['user/Observation.rs?code=note', [], STAFF], '/Observation/_history', ['other/1'], 'of anybody, by criteria'],
];
for (const [asker, url, found, why] of rows) {
  test(`§4.3.5 smart@history-filtered ${asker[0]} ${asker[2]?.roles ?? ''} ${url}: ${why}`, async () => {
    for (const count of [1, 2, 5, 50]) assert.deepEqual(await walk(asker, url, count), found, `pages of ${count}`);
  });
}

test('§4.3.5 smart@history-scope: 403 for who may not search the type, or nothing at all', async () => {
  const status = async (asker: Asker, url: string) => (await ask(asker, url)).status;
  assert.equal(await status(['patient/Observation.r', ['a']], '/Observation/_history'), 403);
  assert.equal(await status(['patient/Observation.r', ['a']], '/_history'), 403);
  assert.equal(await status(['patient/Observation.rs', []], '/Observation/_history'), 403);
  assert.equal(await status(['patient/Condition.rs', ['a']], '/Observation/_history'), 403);
  assert.equal(await status(['patient/Condition.rs', ['a']], '/_history'), 200);
});

test('smart@history-instants: _since and _at are judged among what is visible', async () => {
  const asker: Asker = ['patient/Observation.rs', ['a']];
  const entries = json(await w.send('GET', '/Observation/_history?_count=50')).entry;
  const made = new Map(
    (Array.isArray(entries) ? entries : []).map((entry) => [
      versions({ entry: [entry] })[0],
      String(at(entry, 'response.lastModified')),
    ]),
  );
  // Two commits may share a millisecond: what `_since` and `_at` must give is told by the instants themselves.
  const instant = (name: string) => made.get(name) ?? '';
  const replacedBy = new Map([['gone/1', 'gone/2-']]); // what the others replaced is not visible
  for (const from of MINE) {
    const then = instant(from);
    const since = MINE.filter((each) => instant(each) >= then);
    assert.deepEqual(await walk(asker, `/Observation/_history?_since=${then}`, 2), since, `_since ${from}`);
    const current = MINE.filter((each) => {
      const next = instant(replacedBy.get(each) ?? '');
      return instant(each) <= then && (next === '' || next > then);
    });
    assert.deepEqual(await walk(asker, `/Observation/_history?_at=${then}`, 2), current, `_at ${from}`);
  }
});

test('consent@history: a Consent hides every version of what it denies from the answer on, and gives it back', async () => {
  const asker: Asker = ['user/Observation.rs', [], STAFF];
  const body = {
    ...{ resourceType: 'Consent', id: `consent-${++consents}`, status: 'active', category: [{ text: 'x' }] },
    scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
    ...{
      patient: { reference: 'Patient/a' },
      policyRule: { coding: [{ code: 'OPTIN' }] },
      provision: { type: 'deny' },
    },
  };
  assert.equal((await w.send('PUT', `/Consent/${body.id}`, { body })).status, 201);
  assert.deepEqual(await walk(asker, '/Observation/_history', 2), ['gone-b/2-', 'leaves/2', 'gone-b/1']);
  assert.equal((await w.send('DELETE', `/Consent/${body.id}`)).status, 204);
  assert.deepEqual(await walk(asker, '/Observation/_history', 2), STAFF_SEES);
});

test('smart@history-audit: the AuditEvent names the patients of what was shown, and no others', async () => {
  const count = async (patient: string) =>
    json(await w.send('GET', `/AuditEvent?patient=Patient/${patient}&subtype=history-type&_summary=count`)).total;
  const before = [await count('a'), await count('b')];
  await ask(['patient/Observation.rs', ['a']], '/Observation/_history');
  assert.deepEqual(
    [Number(await count('a')) - Number(before[0]), Number(await count('b')) - Number(before[1])],
    [1, 0],
  );
});

test('smart@history-cursor: a page of one caller is not one of another', async () => {
  const next = linkOf(json(await ask(['user/*.rs', [], STAFF], '/Observation/_history?_count=1')), 'next') ?? '';
  assert.equal((await ask(['user/*.rs', [], STAFF], next)).status, 200);
  assert.equal((await ask(['patient/*.rs', ['a']], next)).status, 400);
});

test('smart@history-index: what patient/ scopes reach is walked by the index of patients; what is nobody’s by its types', () => {
  const sources = (asker: Asker, type?: string) => sourcesOf(type, caller(asker), context);
  assert.deepEqual(sources(['patient/*.rs', ['a', 'a2']], 'Observation'), [
    { type: 'Observation', patients: ['a', 'a2'] },
  ]);
  assert.deepEqual(sources(['patient/Observation.rs?code=note patient/Condition.rs', ['a']]), [{ patients: ['a'] }]);
  const wide = sources(['patient/*.rs', ['a']]);
  assert.ok(wide.some(({ patients }) => patients?.join() === 'a'));
  assert.ok(wide.every(({ type }) => type !== 'Observation'));
  assert.deepEqual(sources(['user/*.rs', [], STAFF]), [{}], 'most types are one walk');
  assert.deepEqual(
    sources(['user/Observation.rs', [], STAFF]),
    [{ type: 'Observation', patients: undefined }].map(() => ({ type: 'Observation' })),
  );
});

test('smart@history-bounded: a page looks at a bounded number of versions, and its next link goes on', async () => {
  const many = Array.from({ length: LOOKED_AT + 1 }, (_, index) => ({
    resource: { resourceType: 'Basic', id: `h${index}`, code: { text: 'x' }, ...labelled('V') },
    request: { method: 'PUT', url: `Basic/h${index}` },
  }));
  const seen = { resourceType: 'Basic', id: 'seen', code: { text: 'x' } };
  assert.equal((await w.send('PUT', '/Basic/seen', { body: seen })).status, 201);
  for (let first = 0; first < many.length; first += 100) {
    const body = { resourceType: 'Bundle', type: 'transaction', entry: many.slice(first, first + 100) };
    assert.equal((await w.send('POST', '/', { body })).status, 200);
  }
  // Whoever may see all of them: a page as large as the bound is whole, and says so.
  const open = { ...w.context, settings: { ...w.context.settings, maxCount: LOOKED_AT + 2 } };
  const local = callerWith(open, 'system/Basic.rs', []);
  const whole = async (count: number) =>
    json(await answer(w.wire('GET', `/Basic/_history?_count=${count}`), local, open));
  const [exact, short] = [await whole(LOOKED_AT + 2), await whole(LOOKED_AT + 1)];
  assert.deepEqual([exact.total, linkOf(exact, 'next')], [LOOKED_AT + 2, undefined]);
  assert.deepEqual(
    [versions(short).length, short.total, linkOf(short, 'next') === undefined],
    [LOOKED_AT + 1, undefined, false],
  );
  let looks = 0;
  const store = new Proxy(context.store, {
    get: (target, name) => {
      if (name !== 'history') {
        const found = Reflect.get(target, name);
        return typeof found === 'function' ? found.bind(target) : found;
      }
      return async (scope: HistoryScope, page: { readonly count: number }) => {
        const found = await target.history(scope, page);
        looks += found.matches.length;
        return found;
      };
    },
  });
  const counted = { ...context, store };
  const asker = callerWith(counted, 'user/Basic.rs', [], STAFF);
  const first = json(await answer(w.wire('GET', '/Basic/_history'), asker, counted));
  assert.deepEqual([versions(first), first.total], [[], undefined]);
  assert.ok(looks >= LOOKED_AT && looks < LOOKED_AT + 60, String(looks));
  const second = json(await answer(w.wire('GET', linkOf(first, 'next') ?? ''), asker, counted));
  assert.deepEqual([versions(second), linkOf(second, 'next')], [['seen/1'], undefined]);
});
