// docs/models.md, "Never an input": what this server has computed or proposed is no input of a score, model, rule of eligibility or drug check; the same from elsewhere is.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { assessmentOf, flagOf } from '../../src/monitor/notice.ts';
import type { Alert } from '../../src/monitor/rule.ts';
import { riskDesk } from '../../src/risk/desk.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { isOwnOutput } from '../../src/risk/own-output.ts';
import { loadTriage } from '../../src/risk/triage/triage.ts';
import { AT, acvpu, born, HOUR, iso, MODELS, measured, NEVER, observation, quantity, roomAir } from './world.ts';

const models = await loadModels(MODELS, { now: () => AT, mode: 'inline' });
after(() => models.close());
const safety = loadDrugSafety(join(import.meta.dirname, '..', '..', 'knowledge'));
const triage = loadTriage(MODELS);

const patient = born('1960-05-05', { gender: 'female' });
const RECORDED: readonly Resource[] = [
  measured('9279-1', 16, '/min'),
  measured('59408-5', 97, '%'),
  roomAir(),
  measured('8480-6', 120, 'mm[Hg]'),
  measured('8867-4', 80, '/min'),
  acvpu('A'),
  measured('8310-5', 37, 'Cel'),
  measured('2160-0', 1, 'mg/dL'),
];
const METFORMIN: Resource = {
  resourceType: 'MedicationRequest',
  id: 'draft',
  status: 'draft',
  intent: 'order',
  subject: { reference: 'Patient/p' },
  medicationCodeableConcept: { text: 'metformin 500 mg' },
};
/** Everything that is judged of a record: each model and score, the drug check, triage. */
async function judged(resources: readonly Resource[]): Promise<string> {
  const assessed = await Promise.all(
    [...models.manifests.keys()].map((id) => models.assess(id, { patient, resources, at: AT }, NEVER)),
  );
  const { findings, considered } = safety.check([METFORMIN], [patient, ...resources], AT);
  return JSON.stringify([assessed, findings, considered, triage.assess({ patient, resources, at: AT })]);
}

const desk = riskDesk(models, () => AT);
let made = 0;
const answers = await desk.evaluate(
  [...models.manifests.keys()],
  [{ patient, resources: RECORDED, at: AT }],
  () => `own-${made++}`,
  AT,
);
const stored: readonly Resource[] = answers.flatMap(({ assessment, observations, kept }) =>
  kept === undefined ? [] : [assessment, ...observations].map((each) => ({ ...each, identifier: [kept.identifier] })),
);
const resultNamed = (code: string): Resource => {
  const found = answers
    .flatMap(({ observations }) => observations)
    .find((each) => JSON.stringify(each.code).includes(`"${code}"`));
  assert.ok(found, code);
  return found;
};

const news2 = models.manifests.get('news2');
assert.ok(news2);
const occasion = {
  rule: {
    ...{
      id: 'news2',
      version: '1.0.0',
      title: 'NEWS2',
      model: 'news2',
      triggers: [],
      lookbackHours: 24,
      enabled: true,
    },
    ...{ eligibility: [], alerts: [] },
  },
  patient: 'p',
  through: 7,
  at: AT - HOUR,
};
const alert: Alert = {
  ...{ id: 'high', title: 'Palliative care', output: 'total', raiseAt: 7, clearBelow: 5, quietMinutes: 60 },
  ...{ recipients: [], priority: 'urgent' },
};
const scored = await models.assess('news2', { patient, resources: RECORDED, at: AT }, NEVER);
const flag = flagOf(alert, news2, occasion);
const kidney = { ...resultNamed('98979-8'), valueQuantity: quantity(20, 'mL/min/{1.73_m2}') };
const proposal = (over: JsonObject): Resource => ({
  ...METFORMIN,
  id: 'warfarin',
  status: 'active',
  medicationCodeableConcept: { text: 'warfarin 5 mg' },
  authoredOn: iso(AT - HOUR),
  meta: { tag: [{ system: 'urn:firewatch:origin', code: 'proposal' }] },
  ...over,
});
const pulse = measured('8867-4', 140, '/min', { id: 'fast', effectiveDateTime: iso(AT - 1) });
const lab = { coding: [{ system: 'http://loinc.org', code: '98979-8' }] };

const rows: readonly (readonly [why: string, resource: Resource, isOwn: boolean])[] = [
  ...stored.map((each) => [`stored by $evaluate: ${JSON.stringify(each.code ?? each.method)}`, each, true] as const),
  ['an eGFR of ours that a client stored: its code says so', kidney, true],
  [
    'the same with the LOINC code only, under our identifier',
    { ...kidney, code: lab, identifier: [{ system: 'urn:firewatch:evaluation', value: 'x' }] },
    true,
  ],
  ['control: the eGFR of a laboratory', { ...kidney, code: lab, effectiveDateTime: iso(AT - 1) }, false],
  [
    'a vital sign under our identifier',
    { ...pulse, identifier: [{ system: 'urn:firewatch:evaluation', value: 'x' }] },
    true,
  ],
  [
    'control: the vital sign under an identifier of others',
    { ...pulse, identifier: [{ system: 'urn:example:device', value: 'x' }] },
    false,
  ],
  ['RiskAssessment of monitoring', assessmentOf(scored, news2, occasion, []), true],
  ['Flag of monitoring, whatever its title says', flag, true],
  [
    'control: the Flag of a person',
    { resourceType: 'Flag', id: 'f', status: 'active', code: { text: 'Palliative care' } },
    false,
  ],
  ['order that we propose', proposal({ intent: 'proposal' }), true],
  ['control: the proposal, once somebody has made it an order', proposal({ intent: 'order' }), false],
  ['control: the proposal of somebody else', proposal({ intent: 'proposal', meta: {} }), false],
  [
    'control: a system that looks like ours',
    observation('8867-4', {
      id: 'x',
      identifier: [{ system: 'urn:firewatch:evaluation2' }],
      valueQuantity: quantity(141, '/min'),
      effectiveDateTime: iso(AT - 1),
    }),
    false,
  ],
];

test('own-output@never: nothing that is judged changes by what is ours, and something does by what is not', async () => {
  const before = await judged(RECORDED);
  const wrong: string[] = [];
  for (const [why, resource, isOwn] of rows) {
    if (isOwnOutput(resource) !== isOwn) wrong.push(`${why}: taken for ${isOwn ? 'no ' : ''}output of ours`);
    const isSame = (await judged([...RECORDED, resource])) === before;
    if (isSame !== (isOwn || resource.intent === 'proposal'))
      wrong.push(`${why}: ${isSame ? 'nothing' : 'something'} changes`);
  }
  assert.deepEqual(wrong, []);
});

test('own-output@withheld: what the site has not attested is not computed for $evaluate either, and that is said', async () => {
  const guarded = riskDesk(
    models,
    () => AT,
    () => new Set(['sepsis-3']),
  );
  const given = { patient, resources: RECORDED, at: AT };
  const [sepsis, other] = await guarded.evaluate(['sepsis-3', 'news2'], [given], () => 'id', AT);
  assert.deepEqual([sepsis?.assessment.status, sepsis?.observations, sepsis?.kept], ['cancelled', [], undefined]);
  assert.match(JSON.stringify(sepsis?.assessment.note), /Not computed: the site has not attested this model/);
  assert.equal(other?.assessment.status, 'final', 'control: another model');
});

test('own-output@covered: totals, eGFR and probabilities are among what was stored', () => {
  const codes = JSON.stringify(stored.map(({ code, method }) => code ?? method));
  for (const name of ['news2.total', 'sofa.total', '98979-8', '"news2"', '"qsofa"'])
    assert.ok(codes.includes(name), name);
});
