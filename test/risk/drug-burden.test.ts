// Alert burden on real order streams: scripts/drug-burden.ts over the eICU demo. Decisions 0024 and 0054, docs/alert-burden.md.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { burdenOf, readStays, splitOf, summary } from '../../scripts/drug-burden.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { ROOT, safety } from './drug-world.ts';

const stays = readStays();
const found = stays.map((stay) => burdenOf(stay, safety));
const isSampled = (_one: unknown, index: number) => index % 8 === 0;
const PAGE = readFileSync(join(ROOT, 'docs/alert-burden.md'), 'utf8');
const CONTEXTS: readonly { readonly id: string; readonly purpose: string; readonly source: string }[] = JSON.parse(
  readFileSync(join(ROOT, 'knowledge/contexts.json'), 'utf8'),
);

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

test('burden@goal: at most 1.5 % of co-active pairs interrupt', () => {
  const { pairShare } = summary(found);
  assert.ok(pairShare <= 0.015, `${pairShare}`);
});

test('burden@stated: the figures of docs/alert-burden.md are those of the tables, whether the goal is met or not', () => {
  const shown = (value: number) => value.toFixed(2);
  for (const half of ['tune', 'report'] as const) {
    const {
      stays: count,
      signed,
      perStay,
      contraindicatedPerStay,
      staysInterrupted,
      pairShare,
    } = summary(found.filter(({ hospital }) => splitOf(hospital) === half));
    const [value, low, high] = perStay.map(shown);
    const cells = [
      String(count),
      signed.toLocaleString('en-GB'),
      `${value} (${low} to ${high})`,
      shown(contraindicatedPerStay),
      `${Math.round(staysInterrupted * 100)} %`,
      `${shown(pairShare * 100)} %`,
    ];
    const line = PAGE.split('\n').find((text) => text.replaceAll('*', '').startsWith(`| ${half}, `)) ?? '';
    assert.ok(line.replaceAll('*', '').includes(`| ${cells.join(' | ')} |`), `${half}: ${cells.join(' | ')}`);
  }
});

test('burden@sources: each row has its line of what was read for it, and each line its row', () => {
  const rows = CONTEXTS.filter(({ purpose }) => purpose === 'burden');
  const listed = [...PAGE.matchAll(/^\| (`QUIET-[^|]*) \|/gm)].flatMap(([, ids = '']) => [
    ...ids.matchAll(/QUIET-[a-z-]+/g),
  ]);
  assert.deepEqual(listed.map(String).toSorted(), rows.map(({ id }) => id).toSorted());
});

test('burden@no loss: the rows for burden silence hundreds, and not one contraindication', () => {
  const loud = withoutBurdenRows();
  const before = stays.filter(isSampled).map((stay) => burdenOf(stay, loud));
  const after = found.filter(isSampled);
  const told = (list: typeof before) =>
    list.map(({ interruptive }) =>
      interruptive
        .filter(({ severity }) => severity === 'contraindicated')
        .map(({ key, draft }) => `${key} ${draft.source}`),
    );
  assert.deepEqual(told(after), told(before));
  assert.ok(summary(before).perStay[0] > 2 * summary(after).perStay[0]);
});
