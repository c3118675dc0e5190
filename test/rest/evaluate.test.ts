// RiskAssessment/$evaluate (profiles/operation/RiskAssessment-evaluate.json): through the real door, store and models; input, access, audit, answer.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isJsonObject, type JsonObject, type Resource } from '../../src/fhir/resource.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { riskDesk } from '../../src/risk/desk.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import { json, world } from '../world.ts';
import { type OperationsWorld, operationsWorld, parameters } from './operations-world.ts';

const AT = '2026-01-02T03:00:00Z';
const coded = (code: string): JsonObject => ({ coding: [{ system: 'http://loinc.org', code }] });
const measured = (patient: string, code: string, value: number, unit: string): Resource => ({
  resourceType: 'Observation',
  id: `${patient}-${code}`,
  status: 'final',
  code: coded(code),
  subject: { reference: `Patient/${patient}` },
  effectiveDateTime: '2026-01-02T02:00:00Z',
  valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit },
});

let w: OperationsWorld;
let models: LoadedModels;
let send: (method: string, url: string, body?: object) => ReturnType<OperationsWorld['send']>;
before(async () => {
  w = await operationsWorld();
  models = await loadModels(join(import.meta.dirname, '..', '..', 'models'), { now: () => 0, mode: 'inline' });
  const context = { ...w.context, risk: riskDesk(models, () => 0) };
  const { wire } = world();
  const local = localCaller(localFacts('request-1', '127.0.0.1'));
  send = (method, url, body) => answer(wire(method, url, body === undefined ? {} : { body }), local, context);
  await w.hold(
    { resourceType: 'Patient', id: 'ann', birthDate: '1960-05-05', gender: 'female' },
    { resourceType: 'Patient', id: 'bob', birthDate: '1950-01-01', gender: 'male', deceasedBoolean: true },
    measured('ann', '9279-1', 31, '/min'),
    measured('ann', '8867-4', 131, '/min'),
    measured('ann', '8480-6', 69, 'mm[Hg]'),
    measured('ann', '2160-0', 88.42, 'umol/L'),
    measured('bob', '8867-4', 131, '/min'),
  );
});
after(async () => {
  await w.close();
  await models.close();
  assert.deepEqual(w.reported, []);
});

const entries = (response: Awaited<ReturnType<typeof send>>): readonly JsonObject[] => {
  const list = json(response).entry;
  return (Array.isArray(list) ? list : []).map((each) =>
    isJsonObject(each) && isJsonObject(each.resource) ? each.resource : {},
  );
};
const notes = ({ note }: JsonObject): readonly string[] =>
  (Array.isArray(note) ? note : []).map((each) => (isJsonObject(each) ? String(each.text) : ''));
const URL = '/RiskAssessment/$evaluate';

test('evaluate@risk: method, basis, prediction, and notes with "at least" and what is missing', async () => {
  const response = await send('POST', `${URL}?subject=Patient/ann&model=mews&at=${AT}`);
  assert.equal(response.status, 200, response.body);
  const [risk = {}] = entries(response);
  assert.deepEqual(
    [risk.resourceType, risk.status, risk.subject, risk.occurrenceDateTime],
    ['RiskAssessment', 'final', { reference: 'Patient/ann' }, '2026-01-02T03:00:00.000Z'],
  );
  assert.match(JSON.stringify(risk.method), /"version":"1.0.0","code":"mews"/);
  assert.match(JSON.stringify(risk.prediction), /"code":"high"/);
  assert.deepEqual(
    risk.basis,
    ['8480-6', '8867-4', '9279-1'].map((code) => ({ reference: `Observation/ann-${code}` })),
  );
  assert.ok(notes(risk).includes('total: at least 9'), notes(risk).join('\n'));
  assert.ok(notes(risk).some((note) => note.startsWith('Missing: Body temperature')));
});

test('evaluate@observation: a result with a LOINC code is an Observation derived from its inputs; what is answered is valid', async () => {
  const found = entries(await send('POST', `${URL}?subject=Patient/ann&model=ckd-epi-2021&at=${AT}`));
  assert.deepEqual(
    found.map(({ resourceType }) => resourceType),
    ['RiskAssessment', 'Observation'],
  );
  const [, egfr = {}] = found;
  assert.match(JSON.stringify(egfr.code), /98979-8/);
  assert.deepEqual(egfr.derivedFrom, [{ reference: 'Observation/ann-2160-0' }]);
  // 142 * (1 / 0.7)^-1.2 * 0.9938^65 * 1.012 = 62.5: Inker 2021, female, 65 years, 1.0 mg/dL.
  assert.match(JSON.stringify(egfr.valueQuantity), /"value":63,/);
  for (const resource of found)
    assert.deepEqual(w.context.validate({ ...resource, resourceType: String(resource.resourceType) }), []);
});

test('evaluate@patients: several patients and models at once; outside the population there is no prediction, but the reason', async () => {
  const body = parameters(
    ['subject', { valueString: 'Patient/ann' }],
    ['subject', { valueString: 'Patient/bob' }],
    ['model', { valueString: 'news2' }],
    ['model', { valueString: 'qsofa' }],
    ['at', { valueDateTime: AT }],
  );
  const found = entries(await send('POST', URL, body));
  assert.deepEqual(
    found.map(({ status, prediction }) => [status, prediction !== undefined]),
    [
      ['final', true],
      ['final', true],
      ['cancelled', false],
      ['cancelled', false],
    ],
  );
  assert.ok(notes(found[2] ?? {}).includes('Not computed: recorded as deceased.'));
});

test('evaluate@stored: nothing is stored, and the audit names the patients', async () => {
  const before = w.accesses.length;
  await send('POST', `${URL}?subject=Patient/ann&model=mews&at=${AT}`);
  assert.equal(json(await w.send('GET', '/RiskAssessment?_summary=count')).total, 0);
  const access = w.accesses[before];
  assert.match(JSON.stringify(access), /"operation":"evaluate","patients":\["ann"\]/);
});

const many = Array.from({ length: 101 }, (_each, index) => `subject=Patient/p${index}`).join('&');
const refused: readonly (readonly [status: number, query: string, why: string])[] = [
  [200, 'subject=Patient/ann&model=mews', 'control: now'],
  [400, 'model=mews', 'no subject'],
  [400, 'subject=Patient/ann', 'no model'],
  [400, 'subject=Patient/ann&model=unheard-of', 'unknown model'],
  [400, 'subject=Group/ann&model=mews', 'not a patient'],
  [400, 'subject=Patient/a_b&model=mews', 'no id'],
  [404, 'subject=Patient/nobody&model=mews', 'unknown patient'],
  [400, 'subject=Patient/ann&model=mews&at=2026-01-02', 'a day is no instant'],
  [400, 'subject=Patient/ann&model=mews&at=yesterday', 'no date'],
  [400, 'subject=Patient/ann&model=mews&keep=true', 'an unknown parameter'],
  [400, `${many}&model=mews`, '101 patients'],
];
test('evaluate@refused: what is asked wrongly, too much or of nobody', async () => {
  const wrong: string[] = [];
  for (const [status, query, why] of refused) {
    const response = await send('POST', `${URL}?${query}`);
    if (response.status !== status) wrong.push(`${why}: ${response.status} ${response.body?.slice(0, 200)}`);
  }
  assert.deepEqual(wrong, []);
});

test('evaluate@access: what the caller may not see is neither found nor used', async () => {
  const context = { ...w.context, risk: riskDesk(models, () => 0) };
  const { wire } = world();
  const local = localCaller(localFacts('request-1', '127.0.0.1'));
  const narrow = (hidden: string) => ({
    ...local,
    access: {
      principal: 'narrow',
      visible: (type: string) => ({ kind: type === hidden ? ('none' as const) : ('all' as const) }),
    },
  });
  const asked = `${URL}?subject=Patient/ann&model=mews&at=${AT}`;
  assert.equal((await answer(wire('POST', asked), narrow('Patient'), context)).status, 403);
  const [risk = {}] = entries(await answer(wire('POST', asked), narrow('Observation'), context));
  assert.deepEqual([risk.status, risk.basis], ['cancelled', undefined]);
});

test('evaluate@elsewhere: a thread without models refuses', async () => {
  const response = await w.send('POST', `${URL}?subject=Patient/ann&model=mews`);
  assert.equal(response.status, 413);
});
