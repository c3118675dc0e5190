// Alert burden on real order streams: scripts/drug-burden.ts over a sample of the eICU demo (every eighth stay). Decision 0024, docs/alert-burden.md.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { burdenOf, readStays, splitOf, summary } from '../../scripts/drug-burden.ts';
import { loadDrugSafety } from '../../src/risk/drug-safety.ts';
import { ROOT, safety } from './drug-world.ts';

const stays = readStays();
const sample = stays.filter((_stay, index) => index % 8 === 0);
const found = sample.map((stay) => burdenOf(stay, safety));

/** The same tables without the rows that lower a pair for the sake of burden. */
function withoutBurdenRows() {
  const folder = mkdtempSync(join(tmpdir(), 'knowledge-'));
  cpSync(join(ROOT, 'knowledge'), folder, { recursive: true });
  const path = join(folder, 'contexts.json');
  const before = readFileSync(path, 'utf8');
  const rows: readonly { readonly purpose: string }[] = JSON.parse(before);
  const after = JSON.stringify(rows.filter(({ purpose }) => purpose !== 'burden'));
  const hash = (text: string) => createHash('sha256').update(text).digest('hex');
  writeFileSync(path, after);
  const manifest = join(folder, 'manifest.json');
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(hash(before), hash(after)));
  const loud = loadDrugSafety(folder);
  rmSync(folder, { recursive: true });
  return loud;
}

test('burden@table: whole stays, mapped orders, both halves of the hospitals', () => {
  assert.ok(stays.length > 1500 && stays.every(({ orders }) => orders.length > 0));
  assert.deepEqual([...new Set(stays.map(({ hospital }) => splitOf(hospital)))].toSorted(), ['report', 'tune']);
});

test('burden@goal: at most 1.5 % of co-active pairs interrupt, and at most 0.6 cards per stay', () => {
  const { pairShare, perStay } = summary(found);
  assert.ok(pairShare <= 0.015, `${pairShare}`);
  assert.ok(perStay[0] <= 0.6, `${perStay[0]}`);
});

test('burden@no loss: the rows for burden silence thousands, and not one contraindication', () => {
  const loud = withoutBurdenRows();
  const before = sample.map((stay) => burdenOf(stay, loud));
  const told = (list: typeof before) =>
    list.map(({ interruptive }) =>
      interruptive
        .filter(({ severity }) => severity === 'contraindicated')
        .map(({ key, draft }) => `${key} ${draft.source}`),
    );
  assert.deepEqual(told(found), told(before));
  assert.ok(summary(before).perStay[0] > 3 * summary(found).perStay[0]);
});
