// Every card of the seed patients is as it was reviewed: test/cds/golden holds them, `node scripts/golden-cards.ts` writes them anew.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GOLDEN, goldenCards } from './golden-cards.ts';

const cards = await goldenCards();

test('golden-card@files: one for each scenario that shows a card', () => {
  const files = readdirSync(GOLDEN).map((name) => name.replace(/\.json$/, ''));
  assert.deepEqual(files.toSorted(), [...cards.keys()].toSorted());
});

for (const [name, shown] of cards) {
  test(`golden-card@seed: ${name}`, () => {
    assert.deepEqual(JSON.parse(JSON.stringify(shown)), JSON.parse(readFileSync(join(GOLDEN, `${name}.json`), 'utf8')));
  });
}

/** What the demonstration is to show of intensive care; null: this patient is not one for the service. */
const INTENSIVE_CARE: readonly (readonly [name: string, summary: RegExp | null])[] = [
  ['sepsis-3-view.demo-septic-shock', /septic shock criteria met/],
  ['sepsis-icu.demo-septic-shock', /sepsis is likely/],
  ['icu-mortality.demo-septic-shock', null],
  ['icu-mortality.demo-icu-day2', /24 h.*high risk/],
  ['sepsis-3-view.demo-icu-day2', null],
  ['sepsis-icu.demo-icu-day2', null],
];

for (const [name, summary] of INTENSIVE_CARE) {
  test(`golden-card@seed: intensive care shows ${summary === null ? 'no card' : 'a card'}: ${name}`, () => {
    const shown = JSON.stringify(cards.get(name) ?? []);
    if (summary === null) assert.equal(shown, '[]');
    else assert.match(shown, summary);
  });
}

test('golden-card@seed: septic shock offers the drafts of the one-hour bundle that the record does not show', () => {
  const shown: readonly { suggestions?: readonly { label: string }[] }[] =
    cards.get('sepsis-3-view.demo-septic-shock') ?? [];
  const labels = shown.flatMap(({ suggestions = [] }) => suggestions.map(({ label }) => label));
  assert.deepEqual(labels, ['Draft: lactate', 'Draft: fluids by vein (caution)']);
});

test('golden-card@wording: no row without a value, no reading twice, and what is taken as absent is one line', () => {
  const shown: readonly { detail?: readonly string[] }[] = JSON.parse(
    JSON.stringify(cards.get('sepsis-3-view.demo-septic-shock') ?? []),
  );
  const lines = shown.flatMap(({ detail = [] }) => detail);
  const rows = lines.filter((line) => line.startsWith('| '));
  assert.equal(rows.filter((row) => /none recorded|\| not recorded \|/.test(row)).length, 0);
  assert.equal(rows.filter((row) => row.startsWith('| Lactate')).length, 1);
  assert.equal(rows.filter((row) => row.startsWith('| Mean arterial pressure')).length, 2, 'lowest and latest differ');
  assert.ok(lines.some((line) => /taken as absent:\*\* .*Epinephrine, Dopamine/.test(line)));
});
