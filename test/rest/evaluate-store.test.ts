// RiskAssessment/$evaluate with `store` (profiles/operation/RiskAssessment-evaluate.json): stored once, whole, with Provenance, by the normal door.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isJsonObject, type JsonObject, type Resource } from '../../src/fhir/resource.ts';
import type { Verb } from '../../src/fhir/search/algebra.ts';
import type { Caller, RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { riskDesk } from '../../src/risk/desk.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import { at, json, world } from '../world.ts';
import { type OperationsWorld, operationsWorld, parameters } from './operations-world.ts';

const AT = '2026-01-02T03:00:00Z';
const MODELS = join(import.meta.dirname, '..', '..', 'models');
const local = localCaller(localFacts('request-1', '127.0.0.1'));
const coded = (code: string): JsonObject => ({ coding: [{ system: 'http://loinc.org', code }] });
const observed = (patient: string, code: string, value: JsonObject): Resource => ({
  resourceType: 'Observation',
  id: `${patient}-${code}`,
  status: 'final',
  code: coded(code),
  subject: { reference: `Patient/${patient}` },
  effectiveDateTime: '2026-01-02T02:00:00Z',
  ...value,
});
const measured = (patient: string, code: string, value: number, unit: string): Resource =>
  observed(patient, code, { valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit } });
/** NEWS2: breathing 31 (3), SpO2 97 (0), air (0), systolic 120 (0), pulse 80 (0), alert (0), 37 Cel (0). */
const vitals = (patient: string): readonly Resource[] => [
  measured(patient, '9279-1', 31, '/min'),
  measured(patient, '59408-5', 97, '%'),
  measured(patient, '3150-6', 21, '%'),
  measured(patient, '8480-6', 120, 'mm[Hg]'),
  measured(patient, '8867-4', 80, '/min'),
  measured(patient, '8310-5', 37, 'Cel'),
  observed(patient, '67775-7', { valueCodeableConcept: coded('LA9340-6') }),
];

let w: OperationsWorld;
let models: LoadedModels;
let context: RestContext;
before(async () => {
  w = await operationsWorld();
  models = await loadModels(MODELS, { now: () => 0, mode: 'inline' });
  context = { ...w.context, risk: riskDesk(models, () => 0) };
  for (const id of ['ann', 'bea', 'cleo', 'dora', 'eve']) {
    await w.hold({ resourceType: 'Patient', id, birthDate: '1960-05-05', gender: 'female' }, ...vitals(id));
  }
  await w.hold(measured('bea', '2160-0', 88.42, 'umol/L'), {
    resourceType: 'Patient',
    id: 'dead',
    birthDate: '1950-01-01',
    deceasedBoolean: true,
  });
});
after(async () => {
  await w.close();
  await models.close();
  assert.deepEqual(w.reported, []);
});

const { wire } = world();
interface Asked {
  readonly subjects?: readonly string[];
  readonly model?: readonly string[];
  readonly store?: boolean;
  readonly at?: string;
}
const body = ({ subjects = ['ann'], model = ['news2'], store = true, at: instant = AT }: Asked) =>
  parameters(
    ...subjects.map((id) => ['subject', { valueString: `Patient/${id}` }] as const),
    ...model.map((id) => ['model', { valueString: id }] as const),
    ['at', { valueDateTime: instant }],
    ['store', { valueBoolean: store }],
  );
const ask = (asked: Asked, caller: Caller = local, there: RestContext = context) =>
  answer(wire('POST', '/RiskAssessment/$evaluate', { body: body(asked) }), caller, there);
const entriesOf = (response: Awaited<ReturnType<typeof ask>>): readonly Resource[] => {
  assert.equal(response.status, 200, response.body);
  const { entry } = json(response);
  return (Array.isArray(entry) ? entry : []).flatMap((each) => {
    const resource = at(each, 'resource');
    return isJsonObject(resource) ? [{ ...resource, resourceType: String(resource.resourceType) }] : [];
  });
};
const count = async (query: string) =>
  Number(json(await w.send('GET', `/${query}${query.includes('?') ? '&' : '?'}_summary=count`)).total);
const counts = async () => [
  await count('RiskAssessment'),
  await count('Observation?code=urn:firewatch:model|'),
  await count('Provenance'),
];

test('evaluate-store@kept: RiskAssessment, Observation with components and Provenance: model, version, hash, inputs by version', async () => {
  const [risk, total, ...others] = entriesOf(await ask({}));
  assert.deepEqual(others, []);
  const stored = json(await w.send('GET', `/RiskAssessment/${risk?.id}`));
  assert.deepEqual(stored, risk, 'answered as it is stored');
  const sha256 = models.manifests.get('news2')?.sha256 ?? '';
  assert.deepEqual(
    [at(stored, 'meta.versionId'), at(stored, 'method.coding.0.code'), at(stored, 'method.coding.1')],
    ['1', 'news2', { system: 'urn:firewatch:model-sha256', code: sha256 }],
  );
  assert.equal(at(stored, 'performer.identifier.value'), 'news2|1.0.0');
  const component = Array.isArray(total?.component) ? total.component : [];
  const points = component.map((each) => Number(at(each, 'valueQuantity.value')));
  assert.deepEqual([at(total, 'valueQuantity.value'), points], [3, [3, 0, 0, 0, 0, 0, 0]]);
  assert.deepEqual(at(total, 'code.coding.0'), {
    system: 'urn:firewatch:model',
    code: 'news2.total',
    display: models.manifests.get('news2')?.title,
  });
  assert.equal(at(component[0], 'code.coding.0.code'), 'news2.respiratoryRate');
  const found = json(await w.send('GET', `/Provenance?target=RiskAssessment/${risk?.id}`));
  const provenance = at(found, 'entry.0.resource');
  assert.deepEqual(at(provenance, 'target'), [
    { reference: `RiskAssessment/${risk?.id}/_history/1` },
    { reference: `Observation/${total?.id}/_history/1` },
  ]);
  assert.equal(at(provenance, 'agent.0.who.identifier.value'), 'news2|1.0.0');
  const entities = JSON.stringify(at(provenance, 'entity'));
  assert.ok(entities.includes(sha256) && entities.includes('"Observation/ann-9279-1/_history/1"'), entities);
  for (const resource of [risk, total]) assert.deepEqual(w.context.validate(resource ?? { resourceType: '' }), []);
});

test('evaluate-store@once: the same inputs are not stored twice, also at another instant and at once; a new value is', async () => {
  const asked = { subjects: ['cleo'] };
  const [first] = entriesOf(await ask(asked));
  const before = await counts();
  const [again, result] = entriesOf(await ask({ ...asked, at: '2026-01-02T03:05:00Z' }));
  assert.deepEqual([again?.id, result?.resourceType], [first?.id, 'Observation'], 'what is held is answered, whole');
  await Promise.all([ask(asked), ask(asked), ask(asked)]);
  assert.deepEqual(await counts(), before);
  await w.hold(measured('cleo', '9279-1', 18, '/min'));
  const [newer] = entriesOf(await ask(asked));
  assert.notEqual(newer?.id, first?.id);
  assert.deepEqual(
    await counts(),
    before.map((each) => each + 1),
  );
});

test('evaluate-store@race: the same asked for the first time by several at once is stored once', async () => {
  const before = await counts();
  const asked = { subjects: ['eve'] };
  const ids = await Promise.all([1, 2, 3, 4].map(async () => entriesOf(await ask(asked))[0]?.id));
  assert.equal(new Set(ids).size, 1);
  assert.deepEqual(
    await counts(),
    before.map((each) => each + 1),
  );
});

test('evaluate-store@which: settled totals of additive scores and results with LOINC are Observations; a lower bound and a level are not', async () => {
  const which = async (id: string, model: string) =>
    entriesOf(await ask({ subjects: [id], model: [model] })).map((each) =>
      each.resourceType === 'Observation' ? String(at(each, 'code.coding.0.code')) : each.resourceType,
    );
  const rows: readonly (readonly [patient: string, model: string, codes: readonly string[]])[] = [
    ['bea', 'mews', ['mews.total']],
    ['bea', 'news2', ['news2.total']],
    ['bea', 'qsofa', ['qsofa.total']],
    ['bea', 'ckd-epi-2021', ['98979-8']],
    ['bea', 'shock-index', []],
    ['bea', 'sirs', []],
    ['bea', 'triage-vitals', []],
  ];
  for (const [patient, model, codes] of rows) {
    assert.deepEqual([model, await which(patient, model)], [model, ['RiskAssessment', ...codes]]);
  }
});

test('evaluate-store@sum: the components of a stored total add up to it', async () => {
  for (const model of ['mews', 'news2', 'qsofa']) {
    const total = entriesOf(await ask({ subjects: ['bea'], model: [model] }))[1];
    const parts = Array.isArray(total?.component) ? total.component : [];
    const sum = parts.reduce<number>((all, each) => all + Number(at(each, 'valueQuantity.value')), 0);
    assert.ok(parts.length > 0, model);
    assert.equal(sum, Number(at(total, 'valueQuantity.value')), model);
  }
});

test('evaluate-store@not-computed: nothing to store of a patient outside the population; the answer says why', async () => {
  const before = await counts();
  const [risk] = entriesOf(await ask({ subjects: ['dead'] }));
  assert.deepEqual([risk?.status, risk?.meta], ['cancelled', undefined]);
  assert.deepEqual(await counts(), before);
});

test('evaluate-store@default: without store, or with false, nothing is stored', async () => {
  const before = await counts();
  const [risk] = entriesOf(await ask({ subjects: ['dora'], store: false }));
  assert.equal(risk?.meta, undefined);
  assert.deepEqual(await counts(), before);
});

test('evaluate-store@all-or-nothing: one refusal, and nothing of any patient is stored', async () => {
  const before = await counts();
  const rules: NonNullable<RestContext['rules']> = new Map([
    [
      'RiskAssessment',
      (resource: Resource) => {
        const isDora = at(resource, 'subject.reference') === 'Patient/dora';
        const finding = { kind: 'business-rule', message: 'refused here' } as const;
        return { resource, findings: isDora ? [finding] : [], also: [] };
      },
    ],
  ]);
  await w.hold(measured('ann', '8867-4', 81, '/min'));
  const { status } = await ask({ subjects: ['ann', 'dora'] }, local, { ...context, rules });
  assert.equal(status, 422);
  assert.deepEqual(await counts(), before);
});

const without = (type: string, verb: Verb): Caller => ({
  ...local,
  access: {
    principal: 'narrow',
    visible: (of: string, does: Verb) => ({
      kind: of === type && does === verb ? ('none' as const) : ('all' as const),
    }),
  },
});
test('evaluate-store@scope: create for all three types and a whole view of RiskAssessment are needed; not for asking only', async () => {
  const before = await counts();
  const rows: readonly (readonly [string, Verb])[] = [
    ['RiskAssessment', 'create'],
    ['Observation', 'create'],
    ['Provenance', 'create'],
    ['RiskAssessment', 'search'],
    ['RiskAssessment', 'read'],
  ];
  for (const [type, verb] of rows) {
    const asked = { subjects: ['dora'] };
    assert.equal((await ask(asked, without(type, verb))).status, 403, `${type} ${verb}`);
    assert.equal((await ask({ ...asked, store: false }, without(type, verb))).status, 200, `${type} ${verb}`);
  }
  assert.deepEqual(await counts(), before);
});

test('evaluate-store@audit: the creates are audited as such, and the operation as reading the patient', async () => {
  const before = w.accesses.length;
  await ask({ subjects: ['dora'] });
  const said = JSON.stringify(w.accesses.slice(before));
  for (const type of ['RiskAssessment', 'Observation', 'Provenance']) {
    assert.ok(said.includes(`{"interaction":"create","resource":{"type":"${type}"`), `${type} ${said}`);
  }
  assert.match(said, /"operation":"evaluate","patients":\["dora"\]/);
});

test('evaluate-store@post: what may store is asked by POST; too many at once are refused', async () => {
  const { status } = await answer(
    wire('GET', '/RiskAssessment/$evaluate?subject=Patient/ann&model=news2'),
    local,
    context,
  );
  assert.equal(status, 405);
  const many = {
    subjects: Array.from({ length: 100 }, (_each, index) => `p${index}`),
    model: ['news2', 'mews', 'rems'],
  };
  assert.equal((await ask(many)).status, 400);
});

test('evaluate-store@references: with referential integrity every reference of what is stored is held', async () => {
  const strict = { ...context, settings: { ...context.settings, referentialIntegrity: true } };
  await w.hold(measured('dora', '8867-4', 82, '/min'));
  const [risk] = entriesOf(await ask({ subjects: ['dora'] }, local, strict));
  assert.equal(at(risk, 'meta.versionId'), '1');
});
