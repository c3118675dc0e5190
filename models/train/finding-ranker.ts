/**
 * Builds knowledge/ranker.onnx: `node models/train/finding-ranker.ts`, then `node scripts/knowledge.ts <folder>` for the manifest. The weights are set by hand:
 * tier above all, then measured risk and agreement of sources; quietened and uncertain findings go last. Same weights, same bytes.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RANK_FEATURES, RANKED_AT_ONCE } from '../../src/risk/drugs/rank.ts';
import { onnxBytes } from './onnx-writer.ts';

const BIAS = -1.5;
/** In log-odds of the priority. */
export const WEIGHTS = {
  contraindicated: 6,
  major: 3,
  moderate: 1,
  evidence: 1.2,
  measured: 1,
  aged75: 0.5,
  quietened: -1.5,
  uncertain: -0.5,
} as const satisfies Record<(typeof RANK_FEATURES)[number], number>;

/** sigmoid(findings x weights + bias), one column a finding: the weights on the diagonal blocks. */
export function rankerBytes(): Uint8Array {
  const width = RANKED_AT_ONCE * RANK_FEATURES.length;
  const values = Array.from({ length: width * RANKED_AT_ONCE }, (_value, at) => {
    const row = Math.floor(at / RANKED_AT_ONCE);
    const feature = RANK_FEATURES[row % RANK_FEATURES.length];
    const isOwn = Math.floor(row / RANK_FEATURES.length) === at % RANKED_AT_ONCE;
    return isOwn && feature !== undefined ? WEIGHTS[feature] : 0;
  });
  return onnxBytes({
    name: 'finding-ranker',
    inputs: [{ name: 'findings', width }],
    outputs: [{ name: 'priority', width: RANKED_AT_ONCE }],
    constants: [
      { name: 'weights', dims: [width, RANKED_AT_ONCE], type: 'float32', values },
      { name: 'bias', dims: [RANKED_AT_ONCE], type: 'float32', values: Array<number>(RANKED_AT_ONCE).fill(BIAS) },
    ],
    calls: [
      { operator: 'MatMul', inputs: ['findings', 'weights'], output: 'weighted' },
      { operator: 'Add', inputs: ['weighted', 'bias'], output: 'odds' },
      { operator: 'Sigmoid', inputs: ['odds'], output: 'priority' },
    ],
  });
}

if (import.meta.main) {
  writeFileSync(join(import.meta.dirname, '..', '..', 'knowledge', 'ranker.onnx'), rankerBytes());
}
