/**
 * Exact contributions of the inputs to one answer of boosted trees: Shapley values of the path-dependent expectation.
 * Source: Lundberg SM et al. Nat Mach Intell 2020;2:56 (TreeSHAP). A leaf of a tree is a product game: it is reached when each input on its
 * path agrees. Which inputs agree is all that a row can change, so the shares of every such pattern are computed once (the idea of Yang J.
 * Fast TreeSHAP, 2021, version 2), and a row costs one look at each edge and one addition for each input of each leaf.
 */
import type { TreeEnsemble } from './tree-ensemble.ts';

/** Deepest path (distinct inputs) that is tabulated: 2^6 patterns a leaf. */
const DEEPEST = 6;
/** Largest table of all leaves, numbers of 4 bytes. */
const LARGEST = 8_000_000;

export interface Explainer {
  /** Log-odds of a patient of whom nothing is known: the training rows' weighted mean. */
  readonly expected: number;
  /** Log-odds by input, in the order of the vector; they and `expected` sum to the margin. NaN in the vector is missing. */
  contributions(vector: ArrayLike<number>): Float64Array;
}

interface Edge {
  readonly node: number;
  readonly isYes: boolean;
  readonly slot: number;
}
interface Leaf {
  readonly value: number;
  readonly edges: readonly Edge[];
  /** Distinct inputs of the path, and the share of the training weight that agrees with each. */
  readonly inputs: readonly number[];
  readonly shares: readonly number[];
}

/** Leaves below a node, with the path that leads there. */
function leavesBelow(trees: TreeEnsemble, node: number, path: Leaf): readonly Leaf[] {
  const [yes, no] = [trees.yes[node] ?? -1, trees.no[node] ?? -1];
  if (yes < 0 || no < 0) return [{ ...path, value: trees.leaf[node] ?? 0 }];
  const input = trees.feature[node] ?? 0;
  return [yes, no].flatMap((next, index) => {
    const share = (trees.cover[next] ?? 0) / ((trees.cover[yes] ?? 0) + (trees.cover[no] ?? 0));
    const known = path.inputs.indexOf(input);
    const slot = known < 0 ? path.inputs.length : known;
    return leavesBelow(trees, next, {
      value: 0,
      edges: [...path.edges, { node, isYes: index === 0, slot }],
      inputs: known < 0 ? [...path.inputs, input] : path.inputs,
      shares: known < 0 ? [...path.shares, share] : path.shares.map((one, at) => (at === slot ? one * share : one)),
    });
  });
}

/** Weight of a coalition of `size` others among `players`: size! (players - size - 1)! / players!. */
const WEIGHTS: readonly Float64Array[] = Array.from({ length: DEEPEST + 1 }, (_, players) => {
  const weights = new Float64Array(players);
  for (let size = 0; size < players; size++) {
    let ways = 1;
    for (let step = 1; step <= size; step++) ways = (ways * (players - step)) / step;
    weights[size] = 1 / (players * ways);
  }
  return weights;
});
const scratch = new Float64Array(DEEPEST + 1);

/** Share of `slot` in a product game, where the players of `pattern` agree. */
function shapleyOf(slot: number, pattern: number, shares: readonly number[]): number {
  const players = shares.length;
  // scratch[s]: sum over coalitions of s others that all agree, of the product of the shares of the others outside.
  scratch.fill(0);
  scratch[0] = 1;
  for (let other = 0, seen = 0; other < players; other++) {
    if (other === slot) continue;
    const [inside, outside] = [(pattern >> other) & 1, shares[other] ?? 0];
    for (let size = ++seen; size > 0; size--) {
      scratch[size] = (scratch[size] ?? 0) * outside + (scratch[size - 1] ?? 0) * inside;
    }
    scratch[0] = (scratch[0] ?? 0) * outside;
  }
  let total = 0;
  for (let size = 0; size < players; size++) total += (scratch[size] ?? 0) * (WEIGHTS[players]?.[size] ?? 0);
  return total * (((pattern >> slot) & 1) - (shares[slot] ?? 0));
}

/** Writes the shares of each input of a leaf for each pattern of agreement: row `pattern`, bit `slot` set when that input agrees. */
function tabulate({ value, shares }: Leaf, table: Float32Array, start: number): void {
  const width = shares.length;
  for (let pattern = 0, at = start; pattern < 2 ** width; pattern++) {
    for (let slot = 0; slot < width; slot++) table[at++] = value * shapleyOf(slot, pattern, shares);
  }
}

/** Offsets of list `i` in a flat array: `starts[i]` to `starts[i + 1]`. */
function startsOf(lists: readonly { readonly length: number }[]): Int32Array {
  const starts = new Int32Array(lists.length + 1);
  lists.forEach(({ length }, index) => {
    starts[index + 1] = (starts[index] ?? 0) + length;
  });
  return starts;
}

/** Prepares an ensemble; about 0.1 s for 1,000 trees of depth 4. Undefined when its trees are too deep or too many for tables. */
export function explainerOf(trees: TreeEnsemble): Explainer | undefined {
  const empty: Leaf = { value: 0, edges: [], inputs: [], shares: [] };
  const leaves = trees.roots.slice(0, -1).flatMap((root) => leavesBelow(trees, root, empty));
  const size = leaves.reduce((total, { inputs }) => total + 2 ** inputs.length * inputs.length, 0);
  if (leaves.some(({ inputs }) => inputs.length > DEEPEST) || size > LARGEST) return undefined;
  const [edgeStarts, inputStarts, tableStarts] = [
    startsOf(leaves.map(({ edges }) => edges)),
    startsOf(leaves.map(({ inputs }) => inputs)),
    startsOf(leaves.map(({ inputs }) => ({ length: 2 ** inputs.length * inputs.length }))),
  ];
  const edges = leaves.flatMap((leaf) => leaf.edges);
  const edgeNode = Int32Array.from(edges, ({ node }) => node);
  const edgeYes = Uint8Array.from(edges, ({ isYes }) => (isYes ? 1 : 0));
  const edgeBit = Int32Array.from(edges, ({ slot }) => 1 << slot);
  const inputOf = Int32Array.from(leaves.flatMap(({ inputs }) => inputs));
  const table = new Float32Array(size);
  leaves.forEach((leaf, index) => {
    tabulate(leaf, table, tableStarts[index] ?? 0);
  });
  const expected = leaves.reduce(
    (total, { value, shares }) => total + value * shares.reduce((product, share) => product * share, 1),
    trees.base,
  );
  const decide = decisionsOf(trees);
  return {
    expected,
    contributions(vector) {
      const decisions = decide(vector);
      const sums = new Float64Array(vector.length);
      for (let leaf = 0; leaf < leaves.length; leaf++) {
        const from = inputStarts[leaf] ?? 0;
        const width = (inputStarts[leaf + 1] ?? 0) - from;
        let pattern = (1 << width) - 1;
        for (let edge = edgeStarts[leaf] ?? 0; edge < (edgeStarts[leaf + 1] ?? 0); edge++) {
          if (decisions[edgeNode[edge] ?? 0] !== edgeYes[edge]) pattern &= ~(edgeBit[edge] ?? 0);
        }
        const row = (tableStarts[leaf] ?? 0) + pattern * width;
        for (let slot = 0; slot < width; slot++) {
          const input = inputOf[from + slot] ?? 0;
          sums[input] = (sums[input] ?? 0) + (table[row + slot] ?? 0);
        }
      }
      return sums;
    },
  };
}

/** Which way each node sends a row, 1 for yes. Compared in float32, as the runtime does. */
function decisionsOf(trees: TreeEnsemble): (vector: ArrayLike<number>) => Uint8Array {
  const feature = Int32Array.from(trees.feature);
  const threshold = Float32Array.from(trees.threshold);
  const missingIsYes = Uint8Array.from(trees.missingIsYes, (flag) => (flag ? 1 : 0));
  return (vector) => {
    const values = Float32Array.from(vector);
    const decisions = new Uint8Array(feature.length);
    for (let node = 0; node < feature.length; node++) {
      const value = values[feature[node] ?? 0] ?? Number.NaN;
      if (Number.isNaN(value)) decisions[node] = missingIsYes[node] ?? 0;
      else decisions[node] = value < (threshold[node] ?? 0) ? 1 : 0;
    }
    return decisions;
  };
}
