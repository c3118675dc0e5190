// Silence means checked, of doses too: an order whose dosage could not be held against a ceiling is named, with what is missing.
// FHIR R4 dosage.html; docs/decisions/0035-hazards-and-quiet.md
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, Resource } from '../../src/fhir/resource.ts';
import { AT, ago, draft, named, safety } from './drug-world.ts';

type Dosage = Readonly<Record<string, Json>>;
const DAILY: Json = { repeat: { frequency: 1, period: 1, periodUnit: 'd' } };
const quantity = (value: number, unit?: string): Json => ({ value, ...(unit === undefined ? {} : { unit }) });
const dose = (amount: Json, more: Dosage = {}): Dosage => ({
  timing: DAILY,
  doseAndRate: [{ doseQuantity: amount }],
  ...more,
});
const MG500 = dose(quantity(500, 'mg'));
const ORAL: Dosage = { route: { text: 'oral' } };

const FREE = 'the dose is free text, or not said';
const UNITLESS = 'the dose has no unit';
const UNKNOWN = 'the unit of the dose cannot be converted';
const TIMING = 'how often is not said in structured form';
const CHECKED = 'checked';

const rows: readonly (readonly [drug: string, dosages: readonly Dosage[], expected: string, why: string])[] = [
  ['acetaminophen', [MG500], CHECKED, 'control: a structured dose and timing'],
  ['acetaminophen', [{ text: '2 tablets every 4 hours' }], FREE, 'text only'],
  ['acetaminophen', [{ ...ORAL, text: '1 g q4h' }], FREE, 'text beside a coded route'],
  ['acetaminophen', [ORAL], CHECKED, 'a route alone says no dose'],
  ['acetaminophen', [], CHECKED, 'an order without dosage says no dose'],
  ['folic acid', [{ text: 'one daily' }], CHECKED, 'no ceiling is held for it'],
  ['acetaminophen', [dose(quantity(500))], UNITLESS, 'no unit'],
  ['acetaminophen', [dose(quantity(5, 'mL'))], UNKNOWN, 'a volume of unknown strength'],
  ['acetaminophen', [dose(quantity(5, 'glug'))], UNKNOWN, 'no unit of UCUM'],
  ['acetaminophen', [dose(quantity(2, 'tablet'))], UNKNOWN, 'tablets of unknown strength'],
  ['acetaminophen 500 MG Oral Tablet', [dose(quantity(2, 'tablet'))], CHECKED, 'tablets of known strength'],
  [
    'acetaminophen',
    [dose(quantity(500, 'mg'), { timing: { code: { text: 'when it hurts' } } })],
    TIMING,
    'timing in words',
  ],
  [
    'acetaminophen',
    [{ doseAndRate: [{ doseQuantity: quantity(500, 'mg') }], asNeededBoolean: true }],
    TIMING,
    'as needed without limit',
  ],
  [
    'acetaminophen',
    [
      {
        doseAndRate: [{ doseQuantity: quantity(500, 'mg') }],
        asNeededBoolean: true,
        maxDosePerPeriod: { numerator: quantity(3, 'g'), denominator: quantity(1, 'd') },
      },
    ],
    CHECKED,
    'as needed with a daily maximum',
  ],
  [
    'acetaminophen',
    [{ timing: DAILY, doseAndRate: [{ doseRange: { low: quantity(500, 'mg'), high: quantity(1000, 'mg') } }] }],
    CHECKED,
    'a range counts with its upper end',
  ],
  [
    'acetaminophen',
    [{ timing: DAILY, doseAndRate: [{ doseRange: { low: quantity(500), high: quantity(1000) } }] }],
    UNITLESS,
    'a range without unit',
  ],
  [
    'acetaminophen',
    [{ doseAndRate: [{ rateRatio: { numerator: quantity(1, 'g'), denominator: quantity(6, 'h') } }] }],
    UNKNOWN,
    'a ratio is not read',
  ],
  [
    'morphine',
    [{ route: { text: 'IV' }, doseAndRate: [{ rateQuantity: quantity(2, 'mg/h') }] }],
    CHECKED,
    'a rate gives the day; an infusion has no single dose',
  ],
  [
    'acetaminophen',
    [
      { ...MG500, sequence: 1 },
      { ...MG500, sequence: 2 },
    ],
    CHECKED,
    'a taper, each step structured',
  ],
  [
    'acetaminophen',
    [
      { ...MG500, sequence: 1 },
      { sequence: 2, text: 'then double' },
    ],
    FREE,
    'a taper, one step in words',
  ],
  ['acetaminophen', [MG500, { text: 'and 1 g when it hurts' }], FREE, 'a second dosage in words'],
];
for (const [drug, dosages, expected, why] of rows) {
  test(`undosed@${drug}: ${why}`, () => {
    const order = draft(named(drug), 'd', dosages.length === 0 ? {} : { dosageInstruction: [...dosages] });
    const { undosed = [] } = safety.check([order], [], AT);
    assert.deepEqual(
      undosed.map(({ reason }) => reason),
      expected === CHECKED ? [] : [expected],
    );
  });
}

test('undosed@weight: a ceiling by body weight needs one', () => {
  const weight: Resource = {
    resourceType: 'Observation',
    id: 'w',
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '29463-7' }] },
    effectiveDateTime: ago(1),
    valueQuantity: { value: 70, unit: 'kg', system: 'http://unitsofmeasure.org', code: 'kg' },
  };
  const order = draft(named('enoxaparin'), 'd', {
    dosageInstruction: [{ route: { text: 'SC' }, ...dose(quantity(60, 'mg')) }],
  });
  const reasons = (context: readonly Resource[]) =>
    (safety.check([order], context, AT).undosed ?? []).map(({ reason }) => reason);
  assert.deepEqual(reasons([]), ['the ceiling is by body weight, and no weight is known']);
  assert.deepEqual(reasons([weight]), []);
});
