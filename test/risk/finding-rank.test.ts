// The ranker orders findings and may quieten minor ones; it never touches a contraindication or a major finding. Decision 0024.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { rankerBytes, WEIGHTS } from '../../models/train/finding-ranker.ts';
import type { Finding, Severity } from '../../src/risk/drugs/finding.ts';
import { openRanker, QUIET_BELOW, RANK_FEATURES, ranked, rankFeatures } from '../../src/risk/drugs/rank.ts';
import { AT, active, draft, named, ROOT, safety } from './drug-world.ts';

const rank = await openRanker(join(ROOT, 'knowledge'));
const [base] = safety.check([draft(named('simvastatin'))], [active(named('clarithromycin'))], AT).findings;
assert.ok(base);
const finding = (key: string, severity: Severity, extra: Partial<Finding> = {}): Finding => ({
  ...base,
  key,
  severity,
  evidence: ['LABEL'],
  ...extra,
});
const quiet = { context: { id: 'QUIET-accepted', reason: 'signed before' } };
const fact = { facts: [{ display: 'potassium: 5.4 mmol/L', at: AT, source: undefined }] };

test('rank@file: the committed graph is what the weights build', () =>
  assert.deepEqual(readFileSync(join(ROOT, 'knowledge', 'ranker.onnx')), Buffer.from(rankerBytes())));

test('rank@order: tier, then measured risk and sources; quietened moderate findings fall silent', async () => {
  const told = await rank(
    [
      finding('quiet', 'moderate', quiet),
      finding('plain', 'major'),
      finding('two sources', 'major', { evidence: ['LABEL', 'FDA'] }),
      finding('measured', 'major', fact),
      finding('low', 'low'),
      finding('contraindicated', 'contraindicated', quiet),
      finding('moderate', 'moderate'),
    ],
    50,
  );
  assert.deepEqual(
    told.map(({ key, severity }) => `${key}: ${severity}`),
    [
      'contraindicated: contraindicated',
      'measured: major',
      'two sources: major',
      'plain: major',
      'moderate: moderate',
      'low: low',
      'quiet: low',
    ],
  );
});

test('rank@graph: the priorities of more findings than one run holds are those of the weights', async () => {
  const many = Array.from({ length: 40 }, (_one, index) => finding(`f${index}`, 'major', index % 3 === 0 ? fact : {}));
  for (const one of await rank(many, 80)) {
    const odds = rankFeatures(one, 80).reduce(
      (sum, value, at) => sum + value * WEIGHTS[RANK_FEATURES[at] ?? 'major'],
      -1.5,
    );
    assert.ok(Math.abs((one.priority ?? 0) - 1 / (1 + Math.exp(-odds))) < 1e-6);
  }
});

test('rank@property: whatever the graph answers, no contraindicated or major finding is lost, lowered or overtaken', () =>
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          severity: fc.constantFrom<Severity>('contraindicated', 'major', 'moderate', 'low'),
          priority: fc.oneof(fc.double(), fc.constantFrom(0, 1, QUIET_BELOW)),
        }),
      ),
      (rows) => {
        const findings = rows.map(({ severity }, index) => finding(`f${index}`, severity));
        const told = ranked(
          findings,
          rows.map(({ priority }) => priority),
        );
        const loud = (list: readonly Finding[]) =>
          list
            .filter(({ severity }) => severity === 'contraindicated' || severity === 'major')
            .map(({ key, severity }) => `${key} ${severity}`)
            .toSorted();
        assert.deepEqual(loud(told), loud(findings));
        assert.equal(told.length, findings.length);
        const first = told.findIndex(({ severity }) => severity !== 'contraindicated');
        assert.ok(first < 0 || told.slice(first).every(({ severity }) => severity !== 'contraindicated'));
      },
    ),
  ));
