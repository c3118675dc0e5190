// Orders that a pharmacist would stop, and orders that must not be stopped, signed through order-sign with the real tables. Rows and sources: pharmacist-rows.ts; decision 0059.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { condition, on, order } from '../risk/drug-chart.ts';
import { DRUGS, type Told } from './pharmacist-rows.ts';
import { bundle, DRUG_PREFETCH, orderSign, PATIENT, ROOT, world } from './world.ts';

const drugSafety = loadDrugSafety(join(ROOT, 'knowledge'));
const one = world({ drugSafety, deadlineMs: 60_000 });
const SUBJECT = { reference: `Patient/${PATIENT.id}` };

/** A resource of the table, about the patient of the call. */
function aboutPatient(resource: Resource): Resource {
  if (resource.resourceType === 'Patient') return { ...resource, id: PATIENT.id };
  const field = resource.resourceType === 'AllergyIntolerance' ? 'patient' : 'subject';
  return { ...resource, [field]: SUBJECT };
}

/** Where each type comes from in the prefetch of order-sign. */
const KEYS: Readonly<Record<string, string>> = {
  Patient: 'patient',
  MedicationRequest: 'medications',
  AllergyIntolerance: 'allergies',
  Observation: 'labs',
  Condition: 'conditions',
};

async function cardsOf(ordered: Resource, chart: readonly Resource[]) {
  const prefetch: Record<string, unknown> = {
    ...DRUG_PREFETCH,
    patient: { resourceType: 'Patient', id: PATIENT.id },
    ...Object.fromEntries(
      ['labs', 'pulse', 'glucose', 'conditions', 'encounters', 'procedures'].map((key) => [key, null]),
    ),
  };
  for (const [type, some] of Map.groupBy(chart.map(aboutPatient), ({ resourceType }) => resourceType)) {
    const ended = (resource: Resource) => resource.status === 'stopped';
    if (type === 'Patient') [prefetch.patient] = some;
    else prefetch[KEYS[type] ?? type] = bundle(...some.filter((resource) => !ended(resource)));
    if (some.some(ended)) prefetch.stopped = bundle(...some.filter(ended));
  }
  const { status, cards, text } = await one.call(
    'drug-interactions-sign',
    orderSign({ prefetch }, [{ resource: aboutPatient(ordered) }]),
  );
  assert.equal(status, 200, text);
  return cards;
}

const STRENGTH = ['critical', 'warning', 'info'] as const;
async function told(ordered: Resource, chart: readonly Resource[]): Promise<{ strongest: Told; summaries: string }> {
  const cards = await cardsOf(ordered, chart);
  const strongest = STRENGTH.find((indicator) => cards.some((card) => card.indicator === indicator)) ?? 'quiet';
  return { strongest, summaries: cards.map(({ indicator, summary }) => `${indicator} ${summary}`).join('\n') };
}

const textOf = ({ medicationCodeableConcept, code, birthDate }: Resource) =>
  [medicationCodeableConcept, code].flatMap((concept) =>
    concept === undefined ? [] : String(Reflect.get(Object(concept), 'text') ?? ''),
  )[0] ?? String(birthDate ?? '');

for (const [source, ordered, chart, expected, why = ''] of DRUGS) {
  const beside = chart
    .map(textOf)
    .filter((text) => text !== '' && !/^\d/.test(text))
    .join(', ');
  test(`pharmacist@${expected} ${textOf(ordered)}${beside === '' ? '' : ` beside ${beside}`}${why === '' ? '' : `: ${why}`} (${source})`, async () => {
    const { strongest, summaries } = await told(ordered, chart);
    const isQuiet = expected === 'quiet' && strongest === 'info' && !summaries.includes('Not checked');
    assert.ok(strongest === expected || isQuiet, `${strongest}\n${summaries}`);
  });
}

test('pharmacist@count: 200 rows and more, of which 60 and more must not interrupt', () => {
  assert.ok(DRUGS.length >= 200);
  assert.ok(DRUGS.filter(([, , , expected]) => expected === 'quiet').length >= 60);
});

test('pharmacist@alternatives: what inhibits CYP3A moderately is not offered beside simvastatin, and is beside pravastatin', async () => {
  const offered = async (statin: string) =>
    (await cardsOf(order('itraconazole'), [on(statin), condition('heart failure')]))
      .flatMap(({ detail }) => detail.split('\n').filter((line) => /alternativ|instead/i.test(line)))
      .join();
  assert.doesNotMatch(await offered('simvastatin'), /isavuconazo|fluconazole/);
  assert.match(await offered('pravastatin'), /isavuconazo/);
});

test('pharmacist@prefetch: every measurement that a rule asks for is in the prefetch of the services; what monitors chart has a key of its own', () => {
  const json = (file: string) => JSON.parse(readFileSync(join(ROOT, file), 'utf8'));
  const labs: readonly { name: string; loinc: readonly string[] }[] = json('knowledge/patient-terms.json').labs;
  for (const service of ['drug-interactions-sign', 'drug-interactions-select']) {
    const prefetch: Readonly<Record<string, string>> = json(`cds-services/${service}.json`).prefetch;
    const keysOf = (code: string) => Object.keys(prefetch).filter((key) => codesIn(prefetch[key] ?? '').includes(code));
    const unread = labs.flatMap(({ loinc }) => loinc.filter((code) => keysOf(code).length === 0));
    assert.deepEqual([service, unread], [service, []]);
    assert.deepEqual([keysOf('8867-4'), keysOf('2345-7')], [['pulse'], ['glucose']]);
  }
});
const codesIn = (template: string) => [...template.matchAll(/loinc\.org[|]([0-9-]+)/g)].map(([, code]) => code);
