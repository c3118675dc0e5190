// FHIR R6 ballot patient-operation-merge.html; docs/decisions/0019-patient-merge.md.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LINKED_LIMIT } from '../../src/rest/interactions/patient-links.ts';
import { at, idsOf, json } from '../world.ts';
import { issuesIn, type OperationsWorld, operationsWorld, parameters } from './operations-world.ts';

let w: OperationsWorld;
before(async () => {
  w = await operationsWorld();
});
after(async () => {
  assert.deepEqual(w.reported, []);
  await w.close();
});

type Part = readonly [name: string, content: object];
const MRN = 'urn:example:mrn';
const identifier = (value: string) => ({ system: MRN, value });
const patient = (id: string, more: object = {}) => ({
  resourceType: 'Patient',
  id,
  identifier: [identifier(`mrn-${id}`)],
  ...more,
});
const byId = (source: string, target: string): readonly Part[] => [
  ['source-patient', { valueReference: { reference: `Patient/${source}` } }],
  ['target-patient', { valueReference: { reference: `Patient/${target}` } }],
];
const replaces = (id: string) => ({ other: { reference: `Patient/${id}` }, type: 'replaces' });
const replacedBy = (id: string) => ({ other: { reference: `Patient/${id}` }, type: 'replaced-by' });
const merge = (...parts: readonly Part[]) => w.send('POST', '/Patient/$merge', { body: parameters(...parts) });
const held = async (id: string) => json(await w.send('GET', `/Patient/${id}`));
const partOf = (response: Awaited<ReturnType<typeof merge>>, name: string) => {
  const list = json(response).parameter;
  return at(
    (Array.isArray(list) ? list : []).find((each) => at(each, 'name') === name),
    'resource',
  );
};

test('merge: the target is in use and replaces the source, the source is inactive and says by what it is replaced', async () => {
  await w.hold(
    patient('s1', { active: true, identifier: [identifier('mrn-s1'), identifier('shared')] }),
    patient('t1', { identifier: [identifier('mrn-t1'), identifier('shared')], gender: 'female' }),
  );
  const response = await merge(...byId('s1', 't1'));
  assert.equal(response.status, 200, response.body);
  const target = await held('t1');
  const source = await held('s1');
  assert.deepEqual(
    { link: target.link, identifier: target.identifier, gender: target.gender, active: target.active },
    {
      link: [replaces('s1')],
      identifier: [identifier('mrn-t1'), identifier('shared'), { ...identifier('mrn-s1'), use: 'old' }],
      gender: 'female',
      active: undefined,
    },
  );
  assert.deepEqual({ link: source.link, active: source.active }, { link: [replacedBy('t1')], active: false });
  assert.deepEqual(partOf(response, 'result'), target);
  assert.equal(at(partOf(response, 'outcome'), 'issue.0.severity'), 'information');
  assert.equal(at(partOf(response, 'input'), 'parameter.0.name'), 'source-patient');
});

test('merge: traceable by Provenance and audit, which name both records; reversible by the versions before', async () => {
  const [entry] =
    w.accesses.findLast(({ entries }) => entries.some(({ operation }) => operation === 'merge'))?.entries ?? [];
  assert.deepEqual([entry?.interaction, entry?.patients], ['operation', ['s1', 't1']]);
  const found = json(await w.send('GET', '/Provenance?target=Patient/t1'));
  const provenance = at(found, 'entry.0.resource');
  assert.deepEqual(at(provenance, 'target'), [
    { reference: 'Patient/t1/_history/2' },
    { reference: 'Patient/s1/_history/2' },
  ]);
  assert.equal(at(provenance, 'activity.coding.0.code'), 'merge');
  for (const id of ['s1', 't1']) {
    const { meta: _meta, ...before } = json(await w.send('GET', `/Patient/${id}/_history/1`));
    assert.equal((await w.send('PUT', `/Patient/${id}`, { body: before })).status, 200);
  }
  await w.hold({ resourceType: 'Condition', id: 'undone', subject: { reference: 'Patient/s1' } });
  assert.deepEqual(idsOf(json(await w.send('GET', '/Condition?patient=t1'))), [], 'two persons again');
});

test('merge: X-Provenance of the client takes the place of ours', async () => {
  await w.hold(patient('s2'), patient('t2'));
  const said = { resourceType: 'Provenance', recorded: '2026-01-01T00:00:00Z', agent: [{ who: { display: 'clerk' } }] };
  const sent = {
    body: parameters(...byId('s2', 't2')),
    headers: { 'x-provenance': JSON.stringify(said) },
  };
  assert.equal((await w.send('POST', '/Patient/$merge', sent)).status, 200);
  const found = json(await w.send('GET', '/Provenance?target=Patient/t2'));
  assert.equal(at(found, 'entry.length'), 1);
  assert.equal(at(found, 'entry.0.resource.agent.0.who.display'), 'clerk');
});

test('merge: a repeated request is answered and writes nothing, by reference and by identifiers', async () => {
  await w.hold(patient('s3'), patient('t3'));
  const named: readonly Part[] = [
    ['source-patient-identifier', { valueIdentifier: identifier('mrn-s3') }],
    ['target-patient-identifier', { valueIdentifier: identifier('mrn-t3') }],
  ];
  assert.equal((await merge(...named)).status, 200);
  const versions = async () => [at(await held('s3'), 'meta.versionId'), at(await held('t3'), 'meta.versionId')];
  assert.deepEqual(await versions(), ['2', '2']);
  for (const parts of [byId('s3', 't3'), named]) {
    const again = await merge(...parts);
    assert.equal(again.status, 200, again.body);
    assert.match(String(at(partOf(again, 'outcome'), 'issue.0.diagnostics')), /before/);
  }
  assert.deepEqual(await versions(), ['2', '2']);
});

test('merge: preview answers with what would be, and changes nothing', async () => {
  await w.hold(patient('s4'), patient('t4'));
  const response = await merge(...byId('s4', 't4'), ['preview', { valueBoolean: true }]);
  assert.equal(response.status, 200, response.body);
  assert.deepEqual(at(partOf(response, 'result'), 'link'), [replaces('s4')]);
  assert.equal(at(await held('s4'), 'meta.versionId'), '1');
  assert.equal(at(await held('t4'), 'meta.versionId'), '1');
  const [entry] =
    w.accesses.findLast(({ entries }) => entries.some(({ operation }) => operation === 'merge'))?.entries ?? [];
  assert.deepEqual(entry?.patients, ['s4', 't4']);
});

test('merge: result-patient is what the target becomes', async () => {
  await w.hold(patient('s5'), patient('t5', { gender: 'male' }));
  const result = { resourceType: 'Patient', id: 't5', birthDate: '1950-01-01', link: [replaces('s5')] };
  const response = await merge(...byId('s5', 't5'), ['result-patient', { resource: result }]);
  assert.equal(response.status, 200, response.body);
  const { gender, birthDate, link } = await held('t5');
  assert.deepEqual({ gender, birthDate, link }, { gender: undefined, birthDate: '1950-01-01', link: [replaces('s5')] });
});

test('merge: a merged record merges on, and every record stays one link from the one in use', async () => {
  await w.hold(patient('m1'), patient('m2'), patient('m3'), {
    resourceType: 'Condition',
    id: 'of-m1',
    subject: { reference: 'Patient/m1' },
  });
  assert.equal((await merge(...byId('m1', 'm2'))).status, 200);
  assert.equal((await merge(...byId('m2', 'm3'))).status, 200);
  assert.deepEqual(at(await held('m3'), 'link'), [replaces('m2'), replaces('m1')]);
  for (const id of ['m1', 'm2', 'm3']) {
    assert.deepEqual(idsOf(json(await w.send('GET', `/Condition?patient=${id}`))), ['of-m1']);
  }
});

// Each row is refused, and neither record changes.
const SIDES: readonly [why: string, status: number, code: string, parts: () => readonly Part[]][] = [
  ['no source', 400, 'required', () => byId('r1', 'r2').slice(1)],
  ['no target', 400, 'required', () => byId('r1', 'r2').slice(0, 1)],
  [
    'both a reference and an identifier',
    400,
    'required',
    () => [...byId('r1', 'r2'), ['source-patient-identifier', { valueIdentifier: identifier('mrn-r1') }]],
  ],
  [
    'two references',
    400,
    'invalid',
    () => [...byId('r1', 'r2'), ['source-patient', { valueReference: { reference: 'Patient/r3' } }]],
  ],
  [
    'a reference to another type',
    400,
    'value',
    () => [['source-patient', { valueReference: { reference: 'Group/r1' } }], ...byId('r1', 'r2').slice(1)],
  ],
  [
    'a reference elsewhere',
    400,
    'value',
    () => [
      ['source-patient', { valueReference: { reference: 'http://x.org/Patient/r1' } }],
      ...byId('r1', 'r2').slice(1),
    ],
  ],
  [
    'an identifier without value',
    400,
    'value',
    () => [['source-patient-identifier', { valueIdentifier: { system: MRN } }], ...byId('r1', 'r2').slice(1)],
  ],
  ['the same record', 422, 'business-rule', () => byId('r1', 'r1')],
  ['an unknown source', 422, 'business-rule', () => byId('nobody', 'r2')],
  ['an unknown target', 422, 'business-rule', () => byId('r1', 'nobody')],
  ['a deleted source', 422, 'business-rule', () => byId('deleted', 'r2')],
  ['a deleted target', 422, 'business-rule', () => byId('r1', 'deleted')],
  [
    'an identifier of nobody',
    422,
    'business-rule',
    () => [['source-patient-identifier', { valueIdentifier: identifier('none') }], ...byId('r1', 'r2').slice(1)],
  ],
  [
    'an identifier of two records',
    422,
    'business-rule',
    () => [['source-patient-identifier', { valueIdentifier: identifier('twins') }], ...byId('r1', 'r2').slice(1)],
  ],
  [
    'identifiers of two different records',
    422,
    'business-rule',
    () => [
      ['source-patient-identifier', { valueIdentifier: identifier('mrn-r1') }],
      ['source-patient-identifier', { valueIdentifier: identifier('mrn-r3') }],
      ...byId('r1', 'r2').slice(1),
    ],
  ],
  ['a source replaced by another', 422, 'business-rule', () => byId('replaced', 'r2')],
  ['a target replaced by another', 422, 'business-rule', () => byId('r1', 'replaced')],
  ['a source that replaces the target', 422, 'business-rule', () => byId('successor', 'r1')],
  ['an inactive target', 422, 'business-rule', () => byId('r1', 'inactive')],
  ['delete-source', 422, 'business-rule', () => [...byId('r1', 'r2'), ['delete-source', { valueBoolean: true }]]],
  ['an unknown parameter', 400, 'not-supported', () => [...byId('r1', 'r2'), ['force', { valueBoolean: true }]]],
  [
    'a result of another id',
    400,
    'invalid',
    () => [...byId('r1', 'r2'), ['result-patient', { resource: { ...patient('r3'), link: [replaces('r1')] } }]],
  ],
  [
    'a result without the link',
    400,
    'invalid',
    () => [...byId('r1', 'r2'), ['result-patient', { resource: patient('r2') }]],
  ],
  [
    'a result that is replaced itself',
    400,
    'invalid',
    () => [
      ...byId('r1', 'r2'),
      ['result-patient', { resource: { ...patient('r2'), link: [replaces('r1'), replacedBy('r3')] } }],
    ],
  ],
  [
    'a result without an identifier that named the target',
    400,
    'invalid',
    () => [
      ...byId('r1', 'r2').slice(0, 1),
      ['target-patient-identifier', { valueIdentifier: identifier('mrn-r2') }],
      ['result-patient', { resource: { resourceType: 'Patient', id: 'r2', link: [replaces('r1')] } }],
    ],
  ],
  [
    'a result that is not valid',
    400,
    'structure',
    () => [
      ...byId('r1', 'r2'),
      ['result-patient', { resource: { ...patient('r2'), link: [replaces('r1')], wrong: true } }],
    ],
  ],
];

test('merge: what is refused, with its status and code; nothing changes', async () => {
  await w.hold(
    patient('r1'),
    patient('r2'),
    patient('r3'),
    patient('twin-a', { identifier: [identifier('twins')] }),
    patient('twin-b', { identifier: [identifier('twins')] }),
    patient('inactive', { active: false }),
    patient('replaced', { link: [replacedBy('r3')] }),
    patient('successor', { link: [replaces('r1')] }),
    patient('deleted'),
  );
  await w.send('DELETE', '/Patient/deleted');
  const expected = SIDES.map(([why, status, code]) => [why, status, `error ${code}`]);
  const found: unknown[] = [];
  for (const [why, , , parts] of SIDES) {
    const response = await merge(...parts());
    found.push([why, response.status, issuesIn(response)[0]?.split(' ').slice(0, 2).join(' ')]);
  }
  assert.deepEqual(found, expected);
  for (const id of ['r1', 'r2', 'r3']) assert.equal(at(await held(id), 'meta.versionId'), '1', id);
  assert.equal((await w.send('GET', '/Patient/$merge')).status, 405);
  assert.equal((await w.send('POST', '/Patient/r1/$merge', { body: parameters(...byId('r1', 'r2')) })).status, 404);
});

test('merge beside creates for the source: every one is found by the target', async () => {
  await w.hold(patient('busy-s'), patient('busy-t'));
  const create = () =>
    w.send('POST', '/Condition', { body: { resourceType: 'Condition', subject: { reference: 'Patient/busy-s' } } });
  const answers = await Promise.all([
    ...Array.from({ length: 5 }, create),
    merge(...byId('busy-s', 'busy-t')),
    ...Array.from({ length: 5 }, create),
  ]);
  assert.deepEqual([...new Set(answers.map(({ status }) => status))].sort(), [200, 201]);
  assert.equal(idsOf(json(await w.send('GET', '/Condition?patient=busy-t'))).length, 10);
});

test('two merges at once: into one target both, crosswise one, of one source one', async () => {
  await w.hold(...['a', 'b', 'c', 'x', 'y', 'p', 'q', 'r'].map((id) => patient(`race-${id}`)));
  const statuses = async (...pairs: readonly (readonly [string, string])[]) =>
    (await Promise.all(pairs.map(([s, t]) => merge(...byId(`race-${s}`, `race-${t}`)))))
      .map(({ status }) => status)
      .sort();
  assert.deepEqual(await statuses(['a', 'c'], ['b', 'c']), [200, 200]);
  assert.deepEqual(at(await held('race-c'), 'link.length'), 2);
  assert.deepEqual(await statuses(['x', 'y'], ['y', 'x']), [200, 422]);
  assert.deepEqual(await statuses(['p', 'q'], ['p', 'r']), [200, 422]);
});

test('merge beside an update of the target: neither is lost', async () => {
  await w.hold(patient('upd-s'), patient('upd-t'));
  const body = JSON.stringify([{ op: 'add', path: '/gender', value: 'other' }]);
  const [merged, patched] = await Promise.all([
    merge(...byId('upd-s', 'upd-t')),
    w.send('PATCH', '/Patient/upd-t', { body, headers: { 'content-type': 'application/json-patch+json' } }),
  ]);
  assert.deepEqual([merged.status, patched.status], [200, 200]);
  const { gender, link } = await held('upd-t');
  assert.deepEqual({ gender, link }, { gender: 'other', link: [replaces('upd-s')] });
});

test(`merge: ${LINKED_LIMIT} records of one person are allowed, one more is refused`, async () => {
  const point = (centre: string, index: number) => patient(`${centre}-${index}`, { link: [replacedBy(centre)] });
  const points = Array.from({ length: LINKED_LIMIT - 2 }, (_, index) => point('wide', index));
  await w.hold(patient('wide'), ...points, patient('last-but-one'), patient('last'));
  assert.equal((await merge(...byId('last-but-one', 'wide'))).status, 200);
  const refused = await merge(...byId('last', 'wide'));
  assert.deepEqual([refused.status, ...issuesIn(refused)], [422, 'error business-rule']);
});

test('merge: a caller who may not write every Patient merges none', async () => {
  const response = await w.sendAs(
    (type) => (type === 'Patient' ? { kind: 'ids', ids: ['r1', 'r2'] } : { kind: 'all' }),
    'POST',
    '/Patient/$merge',
    { body: parameters(...byId('r1', 'r2')) },
  );
  assert.equal(response.status, 403);
});
