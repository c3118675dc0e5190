// docs/authorization.md, decision 0037: what is restricted is checked and not named; models do not see it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { FOLDERS } from '../../src/folders.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import { AT, bundle, DRUG_PREFETCH, ORDER, orderSign, PATIENT, ROOT, world } from './world.ts';

const drugSafety = loadDrugSafety(join(ROOT, 'knowledge'));
const policy = loadPolicy(FOLDERS);
const order = (text: string, id: string, code?: string) => ({
  ...{ ...ORDER, id, medicationCodeableConcept: { text } },
  ...(code === undefined ? {} : { meta: { security: [{ system: 'urn:any', code }] } }),
});

async function told(draft: string, taken: readonly object[], restricts = true, now = () => AT) {
  const medications = bundle(...taken.map((one) => ({ ...one, status: 'active' })));
  const prefetch = { ...DRUG_PREFETCH, patient: { ...PATIENT, gender: 'female' }, medications };
  const there = world({ drugSafety, now, ...(restricts ? { policy } : {}) });
  const call = orderSign(
    { prefetch: { ...prefetch, labs: null, conditions: null, encounters: null, procedures: null } },
    [{ resource: order(draft, 'd') }],
  );
  return (await there.call('drug-interactions-sign', call)).cards;
}
const RESTRICTED = /^Restricted medication, contact the pharmacy/;

for (const [code, isRestricted] of [
  ['V', true],
  ['R', true],
  ['PSY', true],
  ['N', false],
] as const) {
  test(`labels@cds a drug that is ${code}: ${isRestricted ? 'the hazard is told, the drug is not' : 'named'}`, async () => {
    const cards = await told('clarithromycin', [order('simvastatin', 't', code)]);
    assert.equal(
      cards.some(({ summary }) => RESTRICTED.test(summary)),
      isRestricted,
    );
    assert.equal(JSON.stringify(cards).includes('simvastatin'), !isRestricted);
    const [first] = cards;
    if (isRestricted) assert.match(first?.summary ?? '', /a contraindicated hazard/);
    if (isRestricted) assert.equal(first?.indicator, 'warning', 'it cites nothing, so it is not critical');
  });
}

test('labels@cds what is open is told as ever, beside the card of what is restricted', async () => {
  const open = [order('simvastatin', 't')];
  const alone = await told('clarithromycin', open);
  const both = await told('clarithromycin', [...open, order('colchicine', 'u', 'V')]);
  const named = (cards: typeof alone) => cards.map(({ summary }) => summary).filter((each) => !RESTRICTED.test(each));
  assert.deepEqual(named(both), named(alone));
  assert.equal(both.length, alone.length + 1);
  assert.ok(!JSON.stringify(both).includes('colchicine'));
});

test('labels@cds no hazard, no card: that something is restricted is not told', async () => {
  const cards = await told('amoxicillin', [order('simvastatin', 't', 'V')]);
  assert.ok(cards.every(({ summary }) => !RESTRICTED.test(summary)));
});

test('labels@cds cds-hooks-2.0@call-deadline whenever time runs out, the hazard is told or the order is said not to be checked', async () => {
  const seen = new Set<string>();
  for (let looks = 1; looks <= 40; looks++) {
    let look = 0;
    const now = () => AT + (++look > looks ? 1_900 : 0);
    const cards = await told('clarithromycin', [order('simvastatin', 't', 'V')], true, now);
    const isTold = cards.some(({ summary }) => RESTRICTED.test(summary));
    const isLate = cards.some(({ summary }) => summary.startsWith('Not checked: 1 order'));
    assert.ok(
      isTold || isLate,
      `time is up after ${looks} looks: ${JSON.stringify(cards.map(({ summary }) => summary))}`,
    );
    seen.add(isTold ? 'told' : 'late');
  }
  assert.deepEqual([...seen].toSorted(), ['late', 'told'], 'both happen');
});

/** Of each kind of record that a check looks at: what restricts, what is ordered, what must be named nowhere, and where it is in the call. */
const elsewhere: readonly (readonly [kind: string, draft: string, key: string, record: object, named: RegExp])[] = [
  [
    'an allergy',
    'amoxicillin 500 mg',
    'allergies',
    {
      ...{ resourceType: 'AllergyIntolerance', id: 'al', patient: { reference: 'Patient/1288992' } },
      ...{ code: { text: 'penicillin' }, clinicalStatus: { coding: [{ code: 'active' }] } },
    },
    /penicillin/i,
  ],
  [
    'a statement of what is taken',
    'clarithromycin',
    'statements',
    {
      ...{ resourceType: 'MedicationStatement', id: 'st', status: 'active' },
      ...{ subject: { reference: 'Patient/1288992' }, medicationCodeableConcept: { text: 'simvastatin 40 mg' } },
    },
    /simvastatin/i,
  ],
];
for (const [kind, draft, key, record, named] of elsewhere) {
  test(`labels@cds ${kind} that is restricted is told of and named nowhere in the answer`, async () => {
    const cardsWith = async (resource: object) => {
      const there = world({ drugSafety, now: () => AT, policy });
      const prefetch = { ...DRUG_PREFETCH, patient: { ...PATIENT, gender: 'female' }, medications: bundle() };
      const call = orderSign(
        {
          prefetch: {
            ...{ ...prefetch, labs: null, conditions: null, encounters: null, procedures: null },
            ...{ stopped: bundle(), statements: bundle(), allergies: bundle(), [key]: bundle(resource) },
          },
        },
        [{ resource: order(draft, 'd') }],
      );
      return (await there.call('drug-interactions-sign', call)).cards;
    };
    const text = (cards: readonly object[]) => JSON.stringify(cards);
    const open = await cardsWith(record);
    assert.match(text(open), named, 'control');
    const restricted = await cardsWith({ ...record, meta: { security: [{ system: 'urn:any', code: 'R' }] } });
    assert.ok(restricted.some(({ summary }) => RESTRICTED.test(summary)));
    assert.doesNotMatch(text(restricted), named);
  });
}
