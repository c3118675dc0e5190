// Orders of seed patients signed through the real service, tables and store: what an EHR is told of an order that could not be mapped, and what it is not told.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { seedWorld } from './seed-world.ts';

const world = await seedWorld();
after(() => world.close());

const SCT = 'http://snomed.info/sct';
const NDC = 'http://hl7.org/fhir/sid/ndc';
type Coding = readonly [system: string, code: string, display?: string];
const coded = ([system, code, display]: Coding) => ({
  coding: [{ system, code, ...(display === undefined ? {} : { display }) }],
});

const ROWS: readonly [patient: string, concept: object, cards: readonly RegExp[], why: string][] = [
  [
    'demo-control',
    coded([SCT, '322236009']),
    [/^info Not checked: SNOMED CT 322236009$/],
    'a SNOMED CT order by code alone',
  ],
  ['demo-control', coded([NDC, '0000-0000-01']), [/^info Not checked: NDC 0000-0000-01$/], 'an NDC by code alone'],
  [
    'demo-control',
    coded([SCT, '999', 'Frobozzol 10 mg tablet']),
    [/^info Not checked: Frobozzol 10 mg tablet$/],
    'a SNOMED CT order whose words name no known drug',
  ],
  ['demo-control', coded([SCT, '322236009', 'Paracetamol 500 mg oral tablet']), [], 'words that the tables know'],
  [
    'demo-polypharmacy',
    coded([SCT, '324252006', 'Clarithromycin 500 mg oral tablet']),
    [/^critical Contraindicated interaction: clarithromycin with simvastatin/, /^warning /, /^info /],
    'a SNOMED CT order is read by its words, and conflicts as any other',
  ],
  [
    'demo-penicillin',
    coded([SCT, '27658006', 'Amoxicillin (product)']),
    [/^critical Contraindicated allergy conflict: amoxicillin, allergy to Penicillin G\. Both are penicillins/],
    'an allergy is found by the words, too',
  ],
];

for (const [patient, concept, expected, why] of ROWS) {
  test(`drug-door@${patient}: ${why}`, async () => {
    const order = {
      resourceType: 'MedicationRequest',
      id: 'draft',
      status: 'draft',
      intent: 'order',
      subject: { reference: `Patient/${patient}` },
      medicationCodeableConcept: concept,
    };
    const draftOrders = { resourceType: 'Bundle', entry: [{ resource: order }] };
    const cards = await world.cards('drug-interactions-sign', 'order-sign', patient, { draftOrders });
    const told = cards.map(({ indicator, summary }) => `${indicator} ${summary}`);
    assert.equal(told.length, expected.length, told.join('\n'));
    for (const [index, text] of expected.entries()) assert.match(told[index] ?? '', text);
  });
}
