/**
 * The order in which findings are told, by a small ONNX graph, and which minor ones stay silent. Decision 0024, docs/alert-burden.md.
 * The graph is a documented weighting (models/train/finding-ranker.ts), not a learned model: no honest label of overrides is held.
 * Whatever it answers, `ranked` keeps every contraindicated and major finding at its severity, and contraindications first.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isJsonObject } from '../../fhir/resource.ts';
import { refuseUnsafeOnnx } from '../models/onnx-file.ts';
import { openRunner } from '../models/session.ts';
import type { Finding } from './finding.ts';
import { eachOf, type Pace, runAtOnce, runPaced, type Steps, sorted } from './pace.ts';
import { severityRank } from './severity.ts';

/** Findings in one run; the vector is padded with zeros. */
export const RANKED_AT_ONCE = 16;
/** Inputs of one finding, in this order, each 0 to 1. */
export const RANK_FEATURES = [
  'contraindicated',
  'major',
  'moderate',
  'evidence',
  'measured',
  'aged75',
  'quietened',
  'uncertain',
] as const;
const WIDTH = RANK_FEATURES.length;
/** A moderate finding below this priority (0 to 1) becomes low. */
export const QUIET_BELOW = 0.4;

/** @param ageYears of the patient; undefined = unknown */
export function rankFeatures(finding: Finding, ageYears: number | undefined): readonly number[] {
  const { severity, evidence = [], facts = [], context, other } = finding;
  const is = (holds: boolean) => (holds ? 1 : 0);
  return [
    is(severity === 'contraindicated'),
    is(severity === 'major'),
    is(severity === 'moderate'),
    Math.min(evidence.length, 3) / 3,
    is(facts.length > 0),
    is(ageYears !== undefined && ageYears >= 75),
    is(context?.id.startsWith('QUIET-') === true),
    is(other?.stale === true || other?.state === 'washout'),
  ];
}

/**
 * Most severe first, then by priority; the order given decides ties. A moderate finding of low priority becomes low.
 * @param priorities one for each finding, 0 to 1; what is missing or not a number counts as 1
 */
export function ranked(findings: readonly Finding[], priorities: readonly number[]): readonly Finding[] {
  return runAtOnce(ranking(findings, priorities));
}

function* ranking(findings: readonly Finding[], priorities: readonly number[]): Steps<readonly Finding[]> {
  const all: Finding[] = [];
  yield* eachOf(findings, (finding, index) => all.push(quietened(finding, usable(priorities[index]))));
  return yield* sorted(
    all,
    (a, b) => severityRank(a.severity) - severityRank(b.severity) || (b.priority ?? 1) - (a.priority ?? 1),
  );
}

const usable = (priority: number | undefined) =>
  priority !== undefined && priority >= 0 && priority <= 1 ? priority : 1;

function quietened(finding: Finding, priority: number): Finding {
  if (finding.severity !== 'moderate' || priority >= QUIET_BELOW) return { ...finding, priority };
  const context = finding.context ?? {
    id: 'RANK-quiet',
    reason: 'One source, no measured risk: told by nobody interrupting.',
  };
  return { ...finding, severity: 'low', context, priority };
}

/** Findings, a multiple of those in one run. */
const PAUSE_AFTER = 16 * RANKED_AT_ONCE;

/** Vectors whose answer is kept: inputs are few and coarse, so that most findings have been ranked before. */
const MOST_REMEMBERED = 2000;

/** The same vector gives the same answer; a failure is not kept. */
function remembered(
  run: (vector: Float32Array) => Promise<readonly number[]>,
): (vector: Float32Array) => Promise<readonly number[]> {
  const known = new Map<string, readonly number[]>();
  return async (vector) => {
    const name = vector.join();
    const before = known.get(name);
    if (before !== undefined) return before;
    const found = await run(vector);
    if (known.size >= MOST_REMEMBERED) known.clear();
    known.set(name, found);
    return found;
  };
}

/** With a pace many findings are ranked in several turns of the event loop. */
export type Rank = (
  findings: readonly Finding[],
  ageYears: number | undefined,
  pace?: Pace,
) => Promise<readonly Finding[]>;

/**
 * The ranker of a knowledge folder.
 * @throws Error when ranker.onnx is absent, is not the file that the manifest names, or has other tensors
 */
export async function openRanker(folder: string): Promise<Rank> {
  const bytes = readFileSync(join(folder, 'ranker.onnx'));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const manifest: unknown = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  const files = isJsonObject(manifest) && Array.isArray(manifest.files) ? manifest.files : [];
  if (!files.some((one) => isJsonObject(one) && one.file === 'ranker.onnx' && one.sha256 === sha256)) {
    throw new Error('knowledge/ranker.onnx is not the file that the manifest names');
  }
  refuseUnsafeOnnx(bytes);
  const runner = await openRunner(bytes, {
    input: { tensor: 'findings', width: RANKED_AT_ONCE * WIDTH },
    outputs: [{ tensor: 'priority', width: RANKED_AT_ONCE }],
  });
  const prioritiesOf = remembered(async (vector) => (await runner.run(vector)).priority ?? []);
  return async (findings, ageYears, pace) => {
    // Nothing to order and nothing to quieten.
    if (findings.length < 2 && findings[0]?.severity !== 'moderate') return findings;
    const priorities: number[] = [];
    for (let from = 0; from < findings.length; from += RANKED_AT_ONCE) {
      if (from % PAUSE_AFTER === 0 && from > 0) await pace?.pause();
      const vector = new Float32Array(RANKED_AT_ONCE * WIDTH);
      const some = findings.slice(from, from + RANKED_AT_ONCE);
      vector.set(some.flatMap((finding) => rankFeatures(finding, ageYears)));
      priorities.push(...(await prioritiesOf(vector)).slice(0, some.length));
    }
    const steps = ranking(findings, priorities);
    return pace === undefined ? runAtOnce(steps) : runPaced(steps, pace);
  };
}
