// The rules that know the patient: formulas against published examples, alternatives, proposals, structural guarantees. Decision 0024.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Severity } from '../../src/risk/drugs/finding.ts';
import { changes } from '../../src/risk/drugs/pair-context.ts';
import type { ContextRule } from '../../src/risk/drugs/rules.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { readSiteMap } from '../../src/risk/drugs/site-map.ts';
import {
  ckdEpi2021,
  cockcroftGault,
  dosingWeight,
  idealWeight,
  isRisingCreatinine,
} from '../../src/risk/features/renal-function.ts';
import { creatinine, height, on, order, person, potassium, weight } from './drug-chart.ts';
import { AT, active, draft, named, ROOT, safety } from './drug-world.ts';

const about = (value: number, expected: number, within = 0.5) =>
  assert.ok(Math.abs(value - expected) <= within, `${value}`);

const CKD: readonly [creatinine: number, age: number, sex: 'female' | 'male', expected: number][] = [
  [1.0, 50, 'male', 92],
  [1.0, 50, 'female', 69],
  [0.7, 30, 'female', 119],
  [0.9, 30, 'male', 118],
  [2.6, 50, 'male', 29],
  [0.5, 80, 'female', 94],
];
for (const [scr, age, sex, expected] of CKD)
  test(`kidney@ckd-epi-2021 creatinine ${scr}, ${age} years, ${sex}: ${expected}`, () =>
    about(ckdEpi2021(scr, age, sex), expected, 1));

test('kidney@cockcroft-gault: 60 years, 72 kg, 1 mg/dL is 80 mL/min; women 85 % of it', () => {
  assert.equal(cockcroftGault(1, 60, 72, 'male'), 80);
  assert.equal(cockcroftGault(1, 60, 72, 'female'), 68);
});

const WEIGHTS: readonly [kg: number, cm: number | undefined, basis: string, used: number][] = [
  [50, 170, 'actual', 50],
  [70, 170, 'ideal', 66],
  [79.1, 170, 'ideal', 66],
  [100, 170, 'adjusted', 79.6],
  [100, undefined, 'actual', 100],
  [100, 150, 'actual', 100],
];
for (const [kg, cm, basis, used] of WEIGHTS)
  test(`kidney@weight ${kg} kg, ${cm ?? 'no height'}: ${basis}`, () => {
    const weighed = dosingWeight(kg, cm, 'male');
    assert.equal(weighed.basis, basis);
    about(weighed.kg, used, 0.1);
  });
test('kidney@ideal weight: Devine from 152.4 cm on', () => {
  assert.equal(idealWeight(152.4, 'female'), 45.5);
  assert.equal(idealWeight(152.3, 'female'), undefined);
});

const hours = (value: number, before: number) => ({ value, at: AT - before * 3_600_000 });
const RISES: readonly [values: readonly ReturnType<typeof hours>[], rising: boolean, why: string][] = [
  [[hours(1.3, 1), hours(1.0, 40)], true, '0.3 within 48 hours'],
  [[hours(1.29, 1), hours(1.0, 40)], false, '0.29'],
  [[hours(1.3, 1), hours(1.0, 60)], false, '0.3 in 59 hours'],
  [[hours(1.5, 1), hours(1.0, 160)], true, '1.5 times within 7 days'],
  [[hours(1.5, 1), hours(1.0, 180)], false, '1.5 times in more than 7 days'],
  [[hours(1.0, 1), hours(1.5, 40)], false, 'falling'],
  [[], false, 'nothing known'],
];
for (const [values, rising, why] of RISES)
  test(`kidney@KDIGO 2012 ${why}`, () => assert.equal(isRisingCreatinine(values), rising));

test('kidney@basis: formula, weight and date of the creatinine are on the finding', () => {
  const chart = [person(80), creatinine(2.2), weight(60), height(165)];
  const [finding] = safety.check([order('gabapentin', { dose: [600, 'mg'], times: [3, 1, 'd'] })], chart, AT).findings;
  assert.match(
    finding?.facts?.[0]?.display ?? '',
    /Creatinine clearance: 2\d mL\/min \(Cockcroft-Gault with ideal weight 61.* kg and creatinine 2.2 mg\/dL\)|actual weight 60 kg/,
  );
  assert.equal(finding?.facts?.[0]?.at, AT - 86_400_000);
});

// --- alternatives and proposals -----------------------------------------------------------------------------------------
const alternativesOf = (text: string, chart: Parameters<typeof safety.check>[1]) =>
  safety.check([order(text)], chart, AT).findings[0]?.alternatives?.map(({ name }) => name) ?? [];

test('alternative@statin: rosuvastatin, not the ones with the same conflict; each with its reason', () => {
  assert.deepEqual(alternativesOf('simvastatin', [on('clarithromycin')])[0], 'rosuvastatin');
  assert.ok(!alternativesOf('simvastatin', [on('clarithromycin')]).includes('lovastatin'));
  const [finding] = safety.check([order('simvastatin')], [on('clarithromycin')], AT).findings;
  assert.match(finding?.alternatives?.[0]?.reason ?? '', /statin; no finding .*CYP/);
});
test('alternative@every check again: the other conflict of the chart takes the first choice away', () =>
  assert.ok(!alternativesOf('simvastatin', [on('clarithromycin'), on('cyclosporine')]).includes('rosuvastatin')));
test('alternative@allergy: none that the allergy covers', () => {
  const allergy = { resourceType: 'AllergyIntolerance', id: 'a', code: named('rosuvastatin') };
  assert.ok(!alternativesOf('simvastatin', [on('clarithromycin'), allergy]).includes('rosuvastatin'));
});
test('alternative@no dosage: nothing but name, ingredient and reason', () => {
  const rx = { route: 'oral', dose: [40, 'mg'], times: [1, 1, 'd'] } as const;
  const [finding] = safety.check([order('simvastatin', rx)], [on('clarithromycin')], AT).findings;
  assert.ok((finding?.alternatives?.length ?? 0) > 0);
  for (const one of finding?.alternatives ?? []) {
    assert.deepEqual(Object.keys(one).toSorted(), ['ingredient', 'name', 'reason']);
    assert.doesNotMatch(JSON.stringify(one), /\d\s*mg/i);
  }
});
test('alternative@property: an alternative put in the place of the order has no finding above low', () =>
  fc.assert(
    fc.property(
      fc.constantFrom(
        'simvastatin',
        'omeprazole',
        'ibuprofen',
        'alprazolam',
        'sumatriptan',
        'ondansetron',
        'tramadol',
        'dabigatran',
      ),
      fc.subarray([
        'clarithromycin',
        'warfarin',
        'phenelzine',
        'clopidogrel',
        'lisinopril',
        'furosemide',
        'citalopram',
        'ketoconazole',
        'lithium',
      ]),
      (ordered, current) => {
        const chart = [...current.map((name, index) => active(named(name), `m${index}`)), person(70), potassium(4)];
        for (const { alternatives = [] } of safety.check([order(ordered)], chart, AT).findings) {
          for (const { name } of alternatives) {
            const found = safety.check([draft(named(name))], chart, AT).findings;
            assert.ok(
              found.every(({ severity }) => severity === 'low'),
              `${ordered} -> ${name}`,
            );
          }
        }
      },
    ),
    { numRuns: 100 },
  ));

test('proposal@test: warfarin with a CYP2C9 inhibitor proposes the INR', () => {
  const [finding] = safety.check([order('fluconazole')], [on('warfarin')], AT).findings;
  assert.deepEqual(
    finding?.proposals?.map((one) => (one.kind === 'test' ? one.loinc : one.kind)),
    ['6301-6'],
  );
});
test('proposal@dose: a ceiling with its unit and period', () => {
  const [finding] = safety.check(
    [order('acetaminophen', { route: 'oral', dose: [1, 'g'], times: [1, 4, 'h'] })],
    [],
    AT,
  ).findings;
  assert.deepEqual(finding?.proposals?.[0], {
    kind: 'dose',
    display: 'At most 4000 mg a day of acetaminophen',
    max: { value: 4000, unit: 'mg', per: 'day' },
  });
});

// --- structural guarantees -----------------------------------------------------------------------------------------------
const SEVERITIES: readonly Severity[] = ['contraindicated', 'major', 'moderate', 'low'];
test('guarantee@burden: no row of purpose burden changes a contraindication, none of purpose escalate lowers', () => {
  for (const severity of SEVERITIES) {
    const row = (purpose: ContextRule['purpose']): ContextRule => ({
      id: 'x',
      purpose,
      severity,
      reason: '',
      source: '',
    });
    assert.equal(changes(row('burden'), 'contraindicated'), false);
    for (const from of SEVERITIES) {
      if (changes(row('escalate'), from)) assert.ok(SEVERITIES.indexOf(severity) < SEVERITIES.indexOf(from));
      if (changes(row('burden'), from)) assert.ok(SEVERITIES.indexOf(severity) > SEVERITIES.indexOf(from));
    }
  }
});
test('guarantee@scope: the table narrows only the rules it names, and names no rule of the low-priority list', () => {
  const rows: readonly ContextRule[] = JSON.parse(readFileSync(join(ROOT, 'knowledge', 'contexts.json'), 'utf8'));
  for (const { id, purpose, rules = [], reason, source } of rows) {
    assert.ok(reason.length > 10 && source.length > 2, id);
    assert.ok(purpose !== 'scope' || rules.length > 0, `${id} narrows everything`);
    assert.ok(!rules.some((rule) => rule.startsWith('ONC-LP')), id);
  }
});

test('site-map: local codes, NDC and names of the site; what it misspells stops the start', () => {
  const system = 'urn:oid:2.16.840.1.113883.3.1';
  const site = {
    codes: [{ system, code: 'S-40', drugs: ['simvastatin'] }],
    names: { 'zippy pill': ['clarithromycin'] },
  };
  const own = loadDrugSafety(join(ROOT, 'knowledge'), site);
  const { findings } = own.check(
    [draft({ coding: [{ system, code: 'S-40' }] })],
    [active(named('Zippy pill 500'))],
    AT,
  );
  assert.equal(findings[0]?.severity, 'contraindicated');
  assert.throws(
    () => loadDrugSafety(join(ROOT, 'knowledge'), { codes: [], names: { x: ['simvastatine'] } }),
    /simvastatine/,
  );
});
test('site-map@file: another shape stops the start', () => {
  const folder = mkdtempSync(join(tmpdir(), 'site-'));
  const path = join(folder, 'map.json');
  writeFileSync(path, JSON.stringify({ codes: [], names: { tyl: ['acetaminophen'] } }));
  assert.deepEqual(readSiteMap(path).names, { tyl: ['acetaminophen'] });
  writeFileSync(path, JSON.stringify({ codes: [{ code: 'x' }], names: {} }));
  assert.throws(() => readSiteMap(path), /DRUG_SITE_MAP: \/codes\/0/);
  rmSync(folder, { recursive: true });
});
test('code@ATC: C10AA01 is simvastatin', () => {
  const { considered } = safety.check(
    [draft({ coding: [{ system: 'http://www.whocc.no/atc', code: 'C10AA01' }] })],
    [],
    AT,
  );
  assert.deepEqual(considered[0]?.ingredients, ['simvastatin']);
});
