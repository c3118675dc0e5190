// Gates of the named lists: label pairs expanded from US prescribing information (cases/drug-label.tsv.gz: rule, tier, drug, RxCUI, drug, RxCUI), and pairs
// that must not interrupt (cases/drug-negatives.tsv). The ONC lists are in drug-safety.test.ts. Decision 0024.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { JsonObject } from '../../src/fhir/resource.ts';
import { AT, active, coded, draft, named, ROOT, safety } from './drug-world.ts';

const CASES = join(ROOT, 'test', 'risk', 'cases');
const label = gunzipSync(readFileSync(join(CASES, 'drug-label.tsv.gz')))
  .toString('utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => {
    const [rule = '', tier = '', a = '', rxcuiA = '', b = '', rxcuiB = ''] = line.split('\t');
    return { rule, tier, a: { name: a, rxcui: rxcuiA }, b: { name: b, rxcui: rxcuiB } };
  });
const conceptOf = ({ name, rxcui }: { name: string; rxcui: string }) => (rxcui === '' ? named(name) : coded(rxcui));
const worst = (ordered: JsonObject, current: JsonObject): string =>
  safety.check([draft(ordered)], [active(current)], AT).findings[0]?.severity ?? 'none';

test('gate@label contraindicated: every pair, by code and by name, whichever is ordered', () => {
  const pairs = label.filter(({ tier }) => tier === 'contraindicated');
  assert.equal(pairs.length, 1504);
  const missed = pairs.flatMap(({ rule, a, b }) => {
    const found = [
      worst(conceptOf(a), conceptOf(b)),
      worst(conceptOf(b), conceptOf(a)),
      worst(named(a.name), named(b.name)),
    ];
    return found.every((severity) => severity === 'contraindicated')
      ? []
      : [`${rule} ${a.name} + ${b.name}: ${found.join()}`];
  });
  assert.deepEqual(missed, []);
});

test('gate@label major: at least 99 % of the pairs interrupt; what does not is decided in conflicts.json', () => {
  const pairs = label.filter(({ tier }) => tier === 'major');
  assert.equal(pairs.length, 2579);
  const missed = pairs.flatMap(({ rule, a, b }) => {
    const found = [worst(conceptOf(a), conceptOf(b)), worst(conceptOf(b), conceptOf(a))];
    return found.every((severity) => severity === 'major' || severity === 'contraindicated')
      ? []
      : [`${rule} ${[a.name, b.name].toSorted().join(' + ')}`];
  });
  assert.ok(missed.length / pairs.length <= 0.01, missed.join('\n'));
  assert.deepEqual(missed.toSorted(), ['S028 citalopram + sotalol', 'S028 escitalopram + sotalol']);
});

test('gate@negatives: no pair of the list interrupts, whichever is ordered', () => {
  const pairs = readFileSync(join(CASES, 'drug-negatives.tsv'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('\t'));
  assert.ok(pairs.length >= 100);
  const loud = pairs.flatMap(([a = '', b = '']) => {
    const found = [worst(named(a), named(b)), worst(named(b), named(a))];
    const { unresolved } = safety.check([draft(named(a))], [active(named(b))], AT);
    return found.every((severity) => severity !== 'major' && severity !== 'contraindicated') && unresolved.length === 0
      ? []
      : [`${a} + ${b}: ${found.join()} ${unresolved.join()}`];
  });
  assert.deepEqual(loud, []);
});

test('gate@conflicts: the only pairs on which the low-priority list and a major rule disagree have a row of their own', () => {
  const rows: readonly { id: string; between: readonly string[] }[] = JSON.parse(
    readFileSync(join(ROOT, 'knowledge', 'conflicts.json'), 'utf8'),
  );
  assert.deepEqual(
    rows.map(({ id, between }) => `${id}: ${between.join(' against ')}`),
    ['CONFLICT-sotalol-citalopram: LABEL-S028 against ONC-LP-3', 'CONFLICT-low-priority: * against ONC-LP-*'],
  );
});
