// docs/monitoring.md#sepsis: Sepsis-3 (Singer 2016) decides; the one-hour bundle (Levy 2018) is proposed, never ordered, and followed.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { unattested } from '../../src/monitor/attestation.ts';
import { sepsisFollow } from '../../src/monitor/sepsis.ts';
import { readAttestations } from '../../src/risk/attestation.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { isOwnOutput } from '../../src/risk/own-output.ts';
import { iso, loinc } from '../risk/world.ts';
import { limit } from '../test-store.ts';
import { at } from '../world.ts';
import {
  inpatient,
  MINUTE,
  type MonitorWorld,
  measured,
  models,
  monitorWorld,
  ruleNamed,
  rules,
  START,
} from './world.ts';

const LIMIT = { timeout: limit(30_000) };
after(() => models.close());

const P = 'p1';
const subject = { reference: `Patient/${P}` };
const HOUR = 60 * MINUTE;
const ordered = (over: JsonObject = {}): Resource => ({
  resourceType: 'MedicationRequest',
  id: 'order',
  status: 'active',
  intent: 'order',
  subject,
  medicationCodeableConcept: { text: 'Piperacillin / tazobactam 4.5 g' },
  authoredOn: iso(START - HOUR),
  ...over,
});
const given = (when: number): Resource => ({
  resourceType: 'MedicationAdministration',
  id: 'given',
  status: 'completed',
  subject,
  medicationCodeableConcept: { text: 'Piperacillin / tazobactam 4.5 g' },
  effectiveDateTime: iso(when),
});
const cultureOrder: Resource = {
  resourceType: 'ServiceRequest',
  id: 'culture-order',
  status: 'active',
  intent: 'order',
  subject,
  code: loinc('600-7'),
  authoredOn: iso(START - HOUR),
};
const lab = (id: string, code: string, value: number, unit: string, when = START - HOUR) =>
  measured(P, id, code, value, unit, when);
const creatinine = lab('creatinine', '2160-0', 2.4, 'mg/dL');
const allergy: Resource = {
  resourceType: 'AllergyIntolerance',
  id: 'none',
  patient: subject,
  clinicalStatus: {
    coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }],
  },
  code: { coding: [{ system: 'http://snomed.info/sct', code: '716186003' }] },
};
const SEPTIC = [ordered(), cultureOrder, creatinine];

async function septic(resources: readonly Resource[]): Promise<MonitorWorld> {
  const there = await monitorWorld({ rules: [ruleNamed('sepsis')], follow: sepsisFollow(models, () => START) });
  await inpatient(there, P);
  for (const each of resources) await there.put(each);
  await there.settled();
  return there;
}
const elements = (group: Resource | undefined): readonly unknown[] =>
  (Array.isArray(group?.action) ? group.action : []).map((action) => at(action, 'code.0.coding.0.code'));
const textOf = (resource: Resource | undefined): string => JSON.stringify(resource?.note ?? []);

const decisions: readonly (readonly [alerts: readonly string[], resources: readonly Resource[], why: string])[] = [
  [['probable'], SEPTIC, 'control: culture and antibiotic ordered, rise of SOFA 2'],
  [[], [ordered(), cultureOrder, lab('creatinine', '2160-0', 1.9, 'mg/dL')], 'rise of 1'],
  [[], [ordered(), creatinine], 'no culture'],
  [[], [cultureOrder, creatinine], 'no antibiotic'],
  [[], [...SEPTIC, given(START - 30 * MINUTE)], 'treated: an antibiotic was given'],
  [[], [ordered({ reasonCode: [{ text: 'surgical prophylaxis' }] }), cultureOrder, creatinine], 'surgical prophylaxis'],
  [
    [],
    [
      ordered({ intent: 'proposal', meta: { tag: [{ system: 'urn:firewatch:origin', code: 'proposal' }] } }),
      cultureOrder,
      creatinine,
    ],
    'own proposal of an antibiotic',
  ],
  [
    ['probable', 'shock'],
    [
      ...SEPTIC,
      lab('lactate', '2524-7', 2.1, 'mmol/L'),
      {
        ...given(START - 2 * HOUR),
        id: 'pressor',
        medicationCodeableConcept: { text: 'norepinephrine' },
        status: 'in-progress',
        effectiveDateTime: undefined,
        effectivePeriod: { start: iso(START - 2 * HOUR) },
      } as Resource,
    ],
    'vasopressor and lactate above 2',
  ],
];
test('monitoring@sepsis-rule: only the rule raises, and never once treated', LIMIT, async () => {
  const wrong: string[] = [];
  for (const [expected, resources, why] of decisions) {
    const there = await septic(resources);
    const raised = there.events.filter(({ event }) => event === 'raised').map(({ alert }) => alert);
    const groups = await there.all('RequestGroup');
    if (JSON.stringify(raised) !== JSON.stringify(expected)) wrong.push(`${why}: ${raised.join(', ')}`);
    if (groups.length !== (expected.length > 0 ? 1 : 0)) wrong.push(`${why}: ${groups.length} proposals`);
    await there.close();
  }
  assert.deepEqual(wrong, []);
});

test(
  'monitoring@sepsis-bundle: proposals, never orders; no antibiotic without allergies and renal function; fluids by need',
  LIMIT,
  async () => {
    const rows: readonly (readonly [
      expected: readonly string[],
      said: RegExp,
      resources: readonly Resource[],
      why: string,
    ])[] = [
      [['lactate', 'blood-cultures', 'blood-cultures'], /allergies are not recorded/, [], 'allergies unknown'],
      [
        ['lactate', 'blood-cultures', 'blood-cultures', 'antibiotic'],
        /No fluids are proposed/,
        [allergy],
        'no known allergies, creatinine known',
      ],
      [
        ['lactate', 'blood-cultures', 'blood-cultures', 'antibiotic', 'fluids'],
        /no orders/,
        [allergy, lab('l4', '2524-7', 4, 'mmol/L')],
        'lactate 4.0',
      ],
      [
        ['lactate', 'blood-cultures', 'blood-cultures', 'antibiotic'],
        /below 4/,
        [allergy, lab('l39', '2524-7', 3.9, 'mmol/L')],
        'lactate 3.9',
      ],
      [
        ['lactate', 'blood-cultures', 'blood-cultures', 'antibiotic', 'fluids'],
        /no orders/,
        [allergy, lab('sys', '8480-6', 89, 'mm[Hg]')],
        'systolic 89',
      ],
      [
        ['lactate', 'blood-cultures', 'blood-cultures', 'antibiotic'],
        /no hypotension/,
        [allergy, lab('sys', '8480-6', 90, 'mm[Hg]')],
        'systolic 90',
      ],
    ];
    const wrong: string[] = [];
    for (const [expected, said, resources, why] of rows) {
      const there = await septic([...resources, ...SEPTIC]);
      const [group] = await there.all('RequestGroup');
      if (JSON.stringify(elements(group)) !== JSON.stringify(expected))
        wrong.push(`${why}: ${JSON.stringify(elements(group))}`);
      if (!said.test(textOf(group))) wrong.push(`${why}: ${textOf(group)}`);
      const proposed = [
        group,
        ...(await there.all('ServiceRequest')),
        ...(await there.all('MedicationRequest')),
      ].filter((each) => each !== undefined && each.id !== 'order' && each.id !== 'culture-order');
      for (const each of proposed) {
        if (each === undefined || each.intent !== 'proposal' || each.status !== 'draft' || !isOwnOutput(each))
          wrong.push(`${why}: ${each?.resourceType}`);
      }
      await there.close();
    }
    assert.deepEqual(wrong, []);
  },
);

test('monitoring@sepsis-fluids: the volume by weight, flagged in heart failure', LIMIT, async () => {
  const failure: Resource = {
    resourceType: 'Condition',
    id: 'chf',
    subject,
    code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-10-cm', code: 'I50.9' }] },
    clinicalStatus: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }],
    },
  };
  const there = await septic([
    lab('kg', '29463-7', 80, 'kg', START - 48 * 30 * HOUR),
    lab('l4', '2524-7', 5, 'mmol/L'),
    failure,
    ...SEPTIC,
  ]);
  const fluids = (await there.all('MedicationRequest')).find(({ id }) => id !== 'order');
  assert.match(String(at(fluids, 'dosageInstruction.0.text')), /^2400 mL/);
  assert.match(textOf(fluids), /CAUTION: heart failure/);
  await there.close();
});

test(
  'monitoring@sepsis-progress: each element when it is done, from time zero; the first time stays',
  LIMIT,
  async () => {
    const there = await septic([allergy, ...SEPTIC]);
    const zero = there.now();
    const scores = async () => {
      const [report, ...others] = await there.all('MeasureReport');
      assert.deepEqual(others, []);
      const groups = Array.isArray(report?.group) ? report.group : [];
      return [report?.status, ...groups.map((each) => at(each, 'measureScore.value'))];
    };
    assert.deepEqual(await scores(), ['pending', undefined, undefined, undefined]);
    there.advance(20 * MINUTE);
    await there.put(lab('lactate', '2524-7', 3, 'mmol/L', zero + 10 * MINUTE));
    await there.put(lab('c1', '600-7', 0, '1', zero + 12 * MINUTE));
    await there.settled();
    assert.deepEqual(await scores(), ['pending', 10, undefined, undefined], 'one culture is not two');
    there.advance(20 * MINUTE);
    await there.put(lab('c2', '600-7', 0, '1', zero + 15 * MINUTE));
    await there.put(given(zero + 30 * MINUTE));
    await there.settled();
    assert.deepEqual(await scores(), ['complete', 10, 15, 30]);
    assert.equal((await there.all('RequestGroup')).length, 1);
    await there.close();
  },
);

test('monitoring@attestation: refused when malformed; without it, or of another version, no sepsis outside the demonstration', () => {
  const good = { attestedBy: 'Quality board', at: '2026-01-02', model: 'sepsis-3', version: '1.1.0' };
  assert.deepEqual(readAttestations(JSON.stringify(good), START), [good]);
  assert.deepEqual(readAttestations(JSON.stringify([good, good]), START), [good, good], 'one for each model');
  const bad: readonly (readonly [given: string, said: RegExp])[] = [
    ['/nowhere/attestation.json', /names no file/],
    ['{', /is not JSON/],
    [JSON.stringify({ ...good, attestedBy: ' ' }), /attestedBy/],
    [JSON.stringify({ ...good, version: undefined }), /version/],
    [JSON.stringify({ ...good, version: 'latest' }), /1\.2\.3/],
    [JSON.stringify({ ...good, at: '2027-01-02' }), /future/],
    [JSON.stringify({ ...good, at: 'yesterday' }), /a day/],
    [JSON.stringify({ ...good, note: 'x' }), /not known/],
  ];
  for (const [given, said] of bad) assert.throws(() => readAttestations(given, START), said);
  const blocked = (attestation: typeof good | undefined, demonstration = false) =>
    unattested(rules, models.manifests, attestation === undefined ? [] : [attestation], demonstration).map(
      ({ id }) => id,
    );
  assert.deepEqual(blocked(undefined), ['sepsis']);
  assert.deepEqual(blocked({ ...good, version: '0.9.0' }), ['sepsis']);
  assert.deepEqual(blocked({ ...good, model: 'news2' }), ['sepsis']);
  assert.deepEqual(blocked(good), []);
  assert.deepEqual(blocked(undefined, true), [], 'the demonstration');
});

test('monitoring@own-proposals: no drug that is taken, until somebody makes it an order', () => {
  const safety = loadDrugSafety(join(import.meta.dirname, '..', '..', 'knowledge'));
  const proposal = ordered({
    intent: 'proposal',
    medicationCodeableConcept: { text: 'simvastatin 20 mg' },
    meta: { tag: [{ system: 'urn:firewatch:origin', code: 'proposal' }] },
  });
  const draft = ordered({ id: 'draft', status: 'draft', medicationCodeableConcept: { text: 'clarithromycin 500 mg' } });
  const considered = (held: Resource) => safety.check([draft], [held], START).considered.length;
  assert.equal(considered(proposal), 1);
  assert.equal(considered({ ...proposal, intent: 'order' }), 2);
});
