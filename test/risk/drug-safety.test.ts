// Drug safety: Phansalkar 2012 (high priority), Phansalkar 2013 (low priority), label rules, duplicates. Decision 0008.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { AT, active, coded, draft, named, ROOT, readCases, safety, told } from './drug-world.ts';

interface Onc {
  readonly high: readonly (readonly [rule: string, a: string, rxcuiA: string, b: string, rxcuiB: string])[];
  readonly low: readonly (readonly [rule: string, a: readonly Drug[], b: readonly Drug[]])[];
}
type Drug = readonly [name: string, rxcui: string];
const onc = readCases<Onc>('drug-onc.json');
const conceptOf = (name: string, rxcui: string) => (rxcui === '' ? named(name) : coded(rxcui));

test('onc-hp@all: each of the 394 pairs is contraindicated, by code and by name, whichever is ordered', () => {
  assert.equal(onc.high.length, 394);
  const missed: string[] = [];
  for (const [rule, a, rxcuiA, b, rxcuiB] of onc.high) {
    for (const [one, other, how] of [
      [conceptOf(a, rxcuiA), conceptOf(b, rxcuiB), 'by code'],
      [conceptOf(b, rxcuiB), conceptOf(a, rxcuiA), 'by code, swapped'],
      [named(a), named(b), 'by name'],
      [named(b), named(a), 'by name, swapped'],
    ] as const) {
      const { findings } = safety.check([draft(one)], [active(other)], AT);
      if (findings.length !== 1 || findings[0]?.severity !== 'contraindicated')
        missed.push(`${rule} ${a} + ${b} ${how}`);
    }
  }
  assert.deepEqual(missed, []);
});

test('onc-lp@none interrupts: no pair of the low-priority list is more than low, unless a contraindication names it', () => {
  const loud: string[] = [];
  let pairs = 0;
  for (const [rule, ones, others] of onc.low) {
    for (const [a, rxcuiA] of ones) {
      for (const [b, rxcuiB] of others) {
        pairs += 1;
        const { findings } = safety.check([draft(conceptOf(a, rxcuiA))], [active(conceptOf(b, rxcuiB))], AT);
        if (findings.length !== 1 || findings[0]?.severity !== 'low') {
          loud.push(`${rule} ${a} + ${b}: ${findings.map(({ severity, rule: { id } }) => `${severity} ${id}`).join()}`);
        }
      }
    }
  }
  assert.equal(pairs, 3007);
  assert.deepEqual(loud, []);
});

test('onc-lp@order: a low-priority pair that is also of a major label rule is low (citalopram + sotalol)', () =>
  assert.deepEqual(told([draft(named('citalopram'))], [active(named('sotalol'))]), ['low interaction ONC-LP-3']));

const PAIRS: readonly [draft: string, active: string, expected: readonly string[], why: string][] = [
  [
    'sildenafil 100 mg',
    'nitroglycerin 0.4 MG sublingual tablet',
    ['contraindicated interaction LABEL-S004'],
    'nitrate and PDE5',
  ],
  [
    'sildenafil',
    'isosorbide mononitrate 30 mg',
    ['contraindicated interaction LABEL-S004'],
    'a form RxNorm 2021 keeps under another ingredient',
  ],
  ['tramadol', 'sertraline', ['major interaction LABEL-S182'], 'label, major tier'],
  ['Eskalith (lithium carbonate)', 'lisinopril', ['major interaction LABEL-S100'], 'salt of lithium'],
  ['metformin', 'amlodipine', [], 'nothing to say'],
  ['simvastatin', 'simvastatin', ['moderate duplicate DUP-statin'], 'the same drug twice'],
  ['atorvastatin', 'simvastatin', ['moderate duplicate DUP-statin'], 'two of a class'],
  ['omeprazole', 'pantoprazole', ['low duplicate DUP-PPI'], 'a class that may overlap without interrupting'],
  ['metformin', 'metformin', [], 'no interruptive class'],
  ['apixaban', 'warfarin', ['major interaction LABEL-S107'], 'interaction and duplicate: the more severe wins'],
  ['sertraline', 'venlafaxine', ['major interaction LABEL-S183'], 'as above'],
  [
    'ezetimibe / simvastatin',
    'clarithromycin',
    ['contraindicated interaction ONC-HP-25'],
    'one ingredient of a combination',
  ],
  ['Kaletra', 'simvastatin', ['contraindicated interaction ONC-HP-25'], 'two ingredients, one finding'],
];
for (const [ordered, current, expected, why] of PAIRS) {
  test(`pair@${ordered} + ${current}: ${why}`, () => {
    assert.deepEqual(told([draft(named(ordered))], [active(named(current))]), expected);
    assert.deepEqual(told([draft(named(current))], [active(named(ordered))]), expected, 'swapped');
  });
}

test('draft@own order: a changed or renewed order is not compared with itself, a new one is', () => {
  const own = active(named('simvastatin'), 'same');
  assert.deepEqual(told([draft(named('simvastatin'), 'same')], [own]), []);
  assert.deepEqual(
    told([draft(named('simvastatin'), 'new', { priorPrescription: { reference: 'MedicationRequest/same' } })], [own]),
    [],
  );
  assert.deepEqual(told([draft(named('simvastatin'), 'new')], [own]), ['moderate duplicate DUP-statin']);
});

test('draft@each other: two drafts are compared once, a third copy gets its own finding', () => {
  const [a, b, c] = [draft(named('simvastatin'), 'a'), draft(named('clarithromycin'), 'b'), draft(named('Zocor'), 'c')];
  assert.deepEqual(told([a, b], []), ['contraindicated interaction ONC-HP-25']);
  assert.deepEqual(told([b, a], [active(named('clarithromycin'))]), [
    'contraindicated interaction ONC-HP-25',
    'low duplicate DUP-macrolide_CYP3A',
  ]);
  const three = safety.check([a, c, b], [], AT).findings.filter(({ severity }) => severity === 'contraindicated');
  assert.deepEqual(
    three.map((finding) => [finding.draft.source, finding.other?.source]),
    [
      ['MedicationRequest/a', 'MedicationRequest/b'],
      ['MedicationRequest/c', 'MedicationRequest/b'],
    ],
  );
});

for (const status of ['entered-in-error', 'cancelled', 'stopped']) {
  test(`draft@status ${status}: takes nothing up`, () =>
    assert.deepEqual(told([draft(named('simvastatin'), 'd', { status })], [active(named('clarithromycin'))]), []));
}

test('order@severity then key: most severe first, the same list in any order of the context', () => {
  const context = ['clarithromycin', 'atorvastatin', 'ciprofloxacin', 'niacin', 'warfarin', 'amiodarone'].map(
    (name, index) => active(named(name), `m${index}`),
  );
  const drafts = [draft(named('simvastatin'), 'a'), draft(named('tizanidine'), 'b')];
  const facts = (list: readonly Resource[]) =>
    safety.check(drafts, list, AT).findings.map(({ severity, key }) => `${severity} ${key}`);
  const ranks = ['contraindicated', 'major', 'moderate', 'low'];
  const given = facts(context);
  assert.deepEqual(
    given,
    given.toSorted((a, b) => ranks.indexOf(a.split(' ')[0] ?? '') - ranks.indexOf(b.split(' ')[0] ?? '')),
  );
  assert.ok(given.length > 4);
  assert.deepEqual(facts(context.toReversed()), given);
});

test('§6.1.3 finding@text: a plain sentence, a citation, a link, names of the ingredients', () => {
  const [finding] = safety.check(
    [draft(coded('312961', 'Simvastatin 20 MG Oral Tablet'))],
    [active(named('Biaxin'))],
    AT,
  ).findings;
  assert.equal(finding?.key, 'interaction 21212+36567 ONC-HP-25');
  assert.deepEqual(finding?.draft.ingredients, ['simvastatin']);
  assert.deepEqual(finding?.other?.ingredients, ['clarithromycin']);
  assert.match(finding?.effect ?? '', /rhabdomyolysis/);
  assert.match(finding?.rule.citation ?? '', /^Phansalkar 2012, JAMIA 19:735, rule 25/);
  assert.equal(finding?.rule.url, 'https://doi.org/10.1136/amiajnl-2011-000612');
});

test('knowledge@named: version, hash and the caveat are known; the tables stay small', () => {
  const bytes = readdirSync(join(ROOT, 'knowledge')).map((file) => statSync(join(ROOT, 'knowledge', file)).size);
  assert.ok(bytes.reduce((sum, size) => sum + size, 0) < 3_000_000);
  assert.match(safety.knowledge.version, /^\d{4}\.\d+\.\d+$/);
  assert.match(safety.knowledge.sha256, /^[0-9a-f]{64}$/);
  assert.ok(safety.knowledge.sources.some((source) => source.includes('second reading')));
});

const TAMPERINGS: readonly [what: string, file: string, change: (text: string) => string, message: RegExp][] = [
  [
    'a rule is changed',
    'interactions.json',
    (text) => text.replace('contraindicated', 'low'),
    /interactions\.json is not the file/,
  ],
  [
    'a hash is changed',
    'manifest.json',
    (text) => text.replace(/(?<="sha256": ")./, (digit) => (digit === '0' ? '1' : '0')),
    /is not the file/,
  ],
  [
    'a file is not listed',
    'manifest.json',
    (text) => text.replace('"wash-out.json"', '"other.json"'),
    /wash-out\.json is not the file/,
  ],
];
for (const [what, file, change, message] of TAMPERINGS) {
  test(`knowledge@tampering: ${what}`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'knowledge-'));
    try {
      cpSync(join(ROOT, 'knowledge'), folder, { recursive: true });
      writeFileSync(join(folder, file), change(readFileSync(join(folder, file), 'utf8')));
      assert.throws(() => loadDrugSafety(folder), message);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
