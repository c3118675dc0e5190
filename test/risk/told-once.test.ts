// The same drugs by several orders of one signing interrupt once; the others are told beside it, and contraindications each time. docs/decisions/0055-once-in-one-signing.md
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toldOnce } from '../../src/risk/drugs/told-once.ts';
import { AT, active, draft, named, safety } from './drug-world.ts';

const taken = (text: string, index: number) => active(named(text), `a${index}`);

/** `order rule severity` of all but duplicates, after telling once. */
function told(drafts: string, current: string): readonly string[] {
  const orders = drafts.split(' + ').map((text, index) => draft(named(text), `d${index}`));
  const beside = current === '' ? [] : current.split(' + ').map(taken);
  return toldOnce(safety.check(orders, beside, AT).findings)
    .filter(({ kind }) => kind !== 'duplicate')
    .map((finding) => `${finding.draft.source.slice(-2)} ${finding.rule.id} ${finding.severity}`)
    .toSorted();
}

const rows: readonly (readonly [drafts: string, current: string, wanted: readonly string[], why: string])[] = [
  ['warfarin', 'aspirin', ['d0 LABEL-S103 major'], 'control: one order'],
  [
    'warfarin + warfarin',
    'aspirin',
    ['d0 LABEL-S103 major', 'd1 LABEL-S103 moderate'],
    'the second order of the same pair is told beside the first',
  ],
  [
    'warfarin + warfarin + warfarin',
    'aspirin',
    ['d0 LABEL-S103 major', 'd1 LABEL-S103 moderate', 'd2 LABEL-S103 moderate'],
    'and the third',
  ],
  [
    'ibuprofen + naproxen',
    'warfarin',
    ['d0 LABEL-S102 major', 'd1 LABEL-S102 major'],
    'one rule, two pairs: both interrupt',
  ],
  [
    'clarithromycin + clarithromycin',
    'simvastatin',
    ['d0 ONC-HP-25 contraindicated', 'd1 ONC-HP-25 contraindicated'],
    'a contraindication interrupts with every order',
  ],
  [
    'quetiapine + olanzapine',
    'morphine + lorazepam',
    ['d0 TRIPLE-sedation major', 'd1 TRIPLE-sedation moderate'],
    'two of the three drugs are the same: one rule of three',
  ],
];
for (const [drafts, current, wanted, why] of rows) {
  test(`once@signing ${drafts} beside ${current}: ${why}`, () => {
    const found = told(drafts, current).filter((line) =>
      wanted.some((one) => line.split(' ')[1] === one.split(' ')[1]),
    );
    assert.deepEqual(found, wanted);
  });
}

test('once@other drugs: two complete sets of three with one drug in common interrupt both', () => {
  const triple = safety
    .check([draft(named('quetiapine'))], ['morphine', 'lorazepam'].map(taken), AT)
    .findings.find(({ rule }) => rule.id === 'TRIPLE-sedation');
  assert.ok(triple !== undefined);
  const [, parts = ''] = triple.key.split(' ');
  const [shared = ''] = parts.split('+');
  const other = { ...triple, key: `combination ${shared}+x+y TRIPLE-sedation` };
  assert.deepEqual(
    toldOnce([triple, other]).map(({ severity }) => severity),
    ['major', 'major'],
  );
});
test('once@lossless: nothing is dropped, and what was lowered says why', () => {
  const orders = ['warfarin', 'warfarin', 'clarithromycin'].map((text, index) => draft(named(text), `d${index}`));
  const { findings } = safety.check(orders, ['aspirin', 'simvastatin', 'ibuprofen'].map(taken), AT);
  const after = toldOnce(findings);
  assert.deepEqual(
    after.map(({ key, draft: { source } }) => `${key} ${source}`),
    findings.map(({ key, draft: { source } }) => `${key} ${source}`),
  );
  for (const [index, finding] of after.entries()) {
    if (finding.severity === findings[index]?.severity) continue;
    assert.equal(findings[index]?.severity, 'major');
    assert.equal(finding.context?.id, 'ONCE-in-one-signing');
  }
});

test('once@guarantee: every contraindication stays what it is, and every major pair and rule interrupts at least once', () => {
  const texts =
    'warfarin aspirin ibuprofen clarithromycin simvastatin amiodarone lisinopril spironolactone fluoxetine tramadol fentanyl lorazepam digoxin haloperidol'.split(
      ' ',
    );
  const orders = [...texts, ...texts].map((text, index) => draft(named(text), `d${index}`));
  const { findings } = safety.check(orders, ['morphine', 'potassium chloride', 'ondansetron'].map(taken), AT);
  const after = toldOnce(findings);
  const of = (list: typeof after, severity: string) => list.filter((finding) => finding.severity === severity);
  const pairs = (list: typeof after) =>
    new Set(of(list, 'major').flatMap(({ kind, key, rule }) => (kind === 'combination' ? rule.id : key)));
  assert.ok(of(findings, 'contraindicated').length > 2 && of(findings, 'major').length > 50);
  assert.deepEqual(of(after, 'contraindicated'), of(findings, 'contraindicated'));
  assert.deepEqual(pairs(after), pairs(findings));
  assert.ok(of(after, 'major').length < of(findings, 'major').length);
});
