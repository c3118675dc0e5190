// Patient/[id]/$export: one person's data as NDJSON, also for the person. GDPR Art. 20; Bulk Data Access 2.0.0; docs/privacy.md#portability
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answer } from '../../src/rest/interact.ts';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { storedResource } from '../../src/rest/wire/represent.ts';
import { callerOf } from '../../src/smart/access.ts';
import { scopesOf } from '../../src/smart/scopes.ts';
import { type ExportWorld, exportWorld, linesOf } from '../rest/export-world.ts';
import { notOnStandIn } from '../test-store.ts';
import { at, json, world } from '../world.ts';

const to = (reference: string) => ({ reference });
const observation = (id: string, subject: string) => ({
  ...{ resourceType: 'Observation', id, status: 'final', code: { text: 'x' } },
  subject: to(subject),
});

let w: ExportWorld;
before(async () => {
  w = await exportWorld();
  await w.operations.hold(
    { resourceType: 'Patient', id: 'me' },
    { resourceType: 'Patient', id: 'also-me', link: [{ other: to('Patient/me'), type: 'seealso' }] },
    { resourceType: 'Patient', id: 'other' },
    observation('mine', 'Patient/me'),
    observation('mine-too', 'Patient/also-me'),
    observation('theirs', 'Patient/other'),
    { resourceType: 'Organization', id: 'o', name: 'O' },
  );
});
after(() => w.close());

const caller = (scope: string, patients: readonly string[], principal = scope) =>
  callerOf(
    {
      ...localFacts('portability-1', '127.0.0.1'),
      principal,
      rights: { kind: 'granted', scopes: scopesOf(scope), patients: [...patients] },
    },
    w.operations.context,
  );
const PERSON = ['me', 'also-me'];
const ids = (lines: Readonly<Record<string, readonly object[]>>) =>
  Object.fromEntries(
    Object.entries(lines).map(([type, list]) => [type, list.map((each) => at(each, 'id')).toSorted()]),
  );

for (const [scope, patients, expected] of [
  ['patient/*.rs', PERSON, { Patient: ['also-me', 'me'], Observation: ['mine', 'mine-too'] }],
  ['patient/*.read', PERSON, { Patient: ['also-me', 'me'], Observation: ['mine', 'mine-too'] }],
  ['patient/Patient.rs', PERSON, { Patient: ['also-me', 'me'] }],
  ['user/*.rs', [], { Patient: ['also-me', 'me'], Observation: ['mine', 'mine-too'] }],
  ['system/*.rs', [], { Patient: ['also-me', 'me'], Observation: ['mine', 'mine-too'] }],
] as const) {
  test(`privacy@portability: ${scope} gets the person's record, cut by the scope, and nothing of others`, async () => {
    assert.deepEqual(ids(await w.exported('/Patient/me/$export', caller(scope, patients))), expected);
  });
}

for (const [name, url, scope, patients, status] of [
  ['another patient is not there for a patient', '/Patient/other/$export', 'patient/*.rs', PERSON, 404],
  ['without a scope for Patient', '/Patient/me/$export', 'patient/Observation.rs', PERSON, 403],
  ['all patients', '/Patient/$export', 'patient/*.rs', PERSON, 403],
  ['all patients, for a user', '/Patient/$export', 'user/*.rs', [], 403],
] as const) {
  test(`privacy@portability: refused: ${name}`, async () => {
    assert.equal((await w.send('GET', url, undefined, caller(scope, patients))).status, status);
  });
}

test('privacy@portability: status and files are for whoever asked; each record is audited', async () => {
  const me = caller('patient/*.rs', PERSON, 'me');
  w.recorded.length = 0;
  const path = await w.kickOff('/Patient/me/$export?_type=Observation', me);
  await w.desk().idle();
  assert.equal((await w.ask('GET', path, caller('patient/*.rs', ['other'], 'somebody'))).status, 404);
  assert.deepEqual(ids(await linesOf(path, w, me)), { Observation: ['mine', 'mine-too'] });
  assert.deepEqual(w.recorded.flat().toSorted(), ['also-me', 'me']);
  await w.ask('DELETE', path, me);
});

const { wire } = world();
const record = (url: string, who: ReturnType<typeof caller>, limit?: number) => {
  const { context } = w.operations;
  const settings = { ...context.settings, ...(limit === undefined ? {} : { bundleEntryLimit: limit }) };
  return answer(wire('GET', url), who, { ...context, settings });
};
const inBundle = (bundle: object) => {
  const entry: unknown = at(bundle, 'entry');
  return (Array.isArray(entry) ? entry : []).map(
    (each) => `${at(each, 'resource.resourceType')}/${at(each, 'resource.id')}`,
  );
};

test('privacy@portability-bundle: one collection of every record of the person and what they point at, each once', async () => {
  const answered = await record('/Patient/me/$record', caller('patient/*.rs', PERSON));
  assert.equal(answered.status, 200, answered.body);
  const bundle = json(answered);
  assert.equal(bundle.type, 'collection');
  assert.equal(bundle.link, undefined);
  assert.deepEqual(inBundle(bundle).toSorted(), [
    'Observation/mine',
    'Observation/mine-too',
    'Patient/also-me',
    'Patient/me',
  ]);
  assert.deepEqual(w.operations.context.validate(storedResource(answered.body ?? 'null')), []);
});

for (const [name, url, scope, patients, status, found] of [
  ['cut by scopes', '/Patient/me/$record', 'patient/Patient.rs', PERSON, 200, ['Patient/me', 'Patient/also-me']],
  [
    'by type',
    '/Patient/me/$record?_type=Observation',
    'user/*.rs',
    [],
    200,
    ['Observation/mine', 'Observation/mine-too'],
  ],
  ['another patient', '/Patient/other/$record', 'patient/*.rs', PERSON, 404, []],
  ['without a scope for Patient', '/Patient/me/$record', 'patient/Observation.rs', PERSON, 403, []],
  ['everybody', '/Patient/$record', 'system/*.rs', [], 404, []],
  ['pages are not asked of it', '/Patient/me/$record?_count=1', 'patient/*.rs', PERSON, 400, []],
] as const) {
  test(`privacy@portability-bundle: ${name}`, async () => {
    const answered = await record(url, caller(scope, patients));
    assert.equal(answered.status, status, answered.body);
    if (status === 200) assert.deepEqual(inBundle(json(answered)).toSorted(), found.toSorted());
  });
}

test('privacy@portability-bundle: as many resources as a Bundle may have here; one more is for an export', async () => {
  const me = caller('patient/*.rs', PERSON);
  assert.equal((await record('/Patient/me/$record', me, 4)).status, 200);
  const refused = await record('/Patient/me/$record', me, 3);
  assert.equal(refused.status, 400);
  assert.match(refused.body ?? '', /\$export/);
});

test('privacy@portability-bundle: a record of more than one page of $everything is whole', {
  skip: notOnStandIn('1,005 resources by scan in a second'),
}, async () => {
  const many = Array.from({ length: 1005 }, (_, index) => observation(`many-${index}`, 'Patient/long'));
  await w.operations.hold({ resourceType: 'Patient', id: 'long' }, ...many);
  const answered = await record('/Patient/long/$record', caller('patient/*.rs', ['long']), 1006);
  assert.equal(answered.status, 200, answered.body);
  const found = inBundle(json(answered));
  assert.equal(found.length, 1006);
  assert.equal(new Set(found).size, 1006);
});
