/**
 * Exact contributions of the inputs to one answer of boosted trees: Shapley values of the path-dependent expectation.
 * Source: Lundberg SM et al. Nat Mach Intell 2020;2:56 (TreeSHAP). A leaf of a tree is a product game: it is reached when each input on its
 * path agrees. Which inputs agree is all that a row can change, so the shares of every such pattern are computed once (the idea of Yang J.
 * Fast TreeSHAP, 2021, version 2). Leaves below a common node are added up beforehand for every way its few nodes can decide: a row costs one
 * look at each node of such a block and one addition for each of its inputs. A tree of one input (a step function) is walked.
 */
import type { TreeEnsemble } from './tree-ensemble.ts';

/** Deepest path (distinct inputs) that is tabulated: 2^6 patterns a leaf. */
const DEEPEST = 6;
/** Most nodes that a block of leaves depends on, and on a path too long for that: 2^n rows of its table. */
const BLOCK = 5;
const LONGEST = 10;
/** Largest table of all blocks, numbers of 4 bytes. */
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

/** The shares of each input of a leaf for each pattern of agreement: row `pattern`, bit `slot` set when that input agrees. */
function sharesByPattern({ value, shares }: Leaf): Float64Array {
  const width = shares.length;
  const found = new Float64Array(2 ** width * width);
  for (let pattern = 0, at = 0; pattern < 2 ** width; pattern++) {
    for (let slot = 0; slot < width; slot++) found[at++] = value * shapleyOf(slot, pattern, shares);
  }
  return found;
}

/** Leaves that depend on the same few nodes. */
interface Block {
  readonly nodes: readonly number[];
  readonly inputs: readonly number[];
  readonly leaves: readonly Leaf[];
}
const blockOf = (leaves: readonly Leaf[]): Block => ({
  nodes: [...new Set(leaves.flatMap(({ edges }) => edges.map(({ node }) => node)))],
  inputs: [...new Set(leaves.flatMap(({ inputs }) => inputs))],
  leaves,
});

/** Blocks of the leaves, a tree's from left to right: halved until each depends on few nodes, or is one leaf. */
function blocksOf(leaves: readonly Leaf[], depth = 0): readonly Block[] {
  const block = blockOf(leaves);
  if (block.nodes.length <= BLOCK || leaves.length === 1) return [block];
  return [true, false].flatMap((isYes) =>
    blocksOf(
      leaves.filter(({ edges }) => edges[depth]?.isYes === isYes),
      depth + 1,
    ),
  );
}

/** Writes the shares of each input of a block for each way its nodes decide: row `decided`, bit `i` set when node `i` says yes. */
function tabulate({ nodes, inputs, leaves }: Block, table: Float32Array, start: number): void {
  const width = inputs.length;
  const sums = new Float64Array(2 ** nodes.length * width);
  for (const leaf of leaves) {
    const shares = sharesByPattern(leaf);
    const own = leaf.inputs.length;
    const columns = leaf.inputs.map((input) => inputs.indexOf(input));
    const edges = leaf.edges.map(({ node, isYes, slot }) => ({ bit: nodes.indexOf(node), says: isYes ? 1 : 0, slot }));
    for (let decided = 0; decided < 2 ** nodes.length; decided++) {
      let pattern = 2 ** own - 1;
      for (const { bit, says, slot } of edges) if (((decided >> bit) & 1) !== says) pattern &= ~(1 << slot);
      for (let slot = 0; slot < own; slot++) {
        const at = decided * width + (columns[slot] ?? 0);
        sums[at] = (sums[at] ?? 0) + (shares[pattern * own + slot] ?? 0);
      }
    }
  }
  table.set(sums, start);
}

/** Offsets of list `i` in a flat array: `starts[i]` to `starts[i + 1]`. */
function startsOf(lengths: readonly number[]): Int32Array {
  const starts = new Int32Array(lengths.length + 1);
  lengths.forEach((length, index) => {
    starts[index + 1] = (starts[index] ?? 0) + length;
  });
  return starts;
}

const meanOf = (leaves: readonly Leaf[]): number =>
  leaves.reduce((total, { value, shares }) => total + value * shares.reduce((product, share) => product * share, 1), 0);

/** Prepares an ensemble; about 0.1 s for 1,000 trees of depth 4. Undefined when its trees are too deep or too many for tables. */
export function explainerOf(trees: TreeEnsemble): Explainer | undefined {
  // Inputs beyond the last that a tree asks for have no part in it.
  const inputCount = trees.feature.reduce((most, input) => Math.max(most, input + 1), 0);
  const empty: Leaf = { value: 0, edges: [], inputs: [], shares: [] };
  const grown = trees.roots.slice(0, -1).map((root) => ({ root, leaves: leavesBelow(trees, root, empty) }));
  const leaves = grown.flatMap((tree) => tree.leaves);
  if (leaves.some(({ inputs, edges }) => inputs.length > DEEPEST || edges.length > LONGEST)) return undefined;
  const isStep = (tree: readonly Leaf[]): boolean => tree.every(({ inputs }) => inputs.length === 1);
  const steps = grown
    .filter((tree) => isStep(tree.leaves))
    .map(({ root, leaves: own }) => ({ root, input: trees.feature[root] ?? 0, mean: meanOf(own) }));
  const blocks = grown.flatMap((tree) => (isStep(tree.leaves) ? [] : blocksOf(tree.leaves)));
  const sizes = blocks.map(({ nodes, inputs }) => 2 ** nodes.length * inputs.length);
  if (sizes.reduce((total, size) => total + size, 0) > LARGEST) return undefined;
  const tableStarts = startsOf(sizes);
  const nodeStarts = startsOf(blocks.map(({ nodes }) => nodes.length));
  const inputStarts = startsOf(blocks.map(({ inputs }) => inputs.length));
  const nodes = blocks.flatMap((block) => block.nodes);
  const places = Int32Array.from(nodes, placeIn(trees, inputCount));
  const thresholds = Float32Array.from(nodes, (node) => trees.threshold[node] ?? 0);
  const inputOf = Int32Array.from(blocks.flatMap(({ inputs }) => inputs));
  const table = new Float32Array(tableStarts.at(-1) ?? 0);
  blocks.forEach((block, index) => {
    tabulate(block, table, tableStarts[index] ?? 0);
  });
  const blockCount = blocks.length;
  const rowOf = new Int32Array(blockCount);
  const compared = comparedTo(inputCount);
  const leafBelow = walkOf(trees, inputCount);
  return {
    expected: trees.base + meanOf(leaves),
    contributions(vector) {
      const known = compared(vector);
      const sums = new Float64Array(vector.length);
      for (const { root, input, mean } of steps) sums[input] = (sums[input] ?? 0) + leafBelow(root, known) - mean;
      // First where to look, then the looks: the processor can then wait for many places of the large table at once.
      for (let block = 0; block < blockCount; block++) {
        let decided = 0;
        const first = nodeStarts[block] ?? 0;
        for (let at = (nodeStarts[block + 1] ?? 0) - 1; at >= first; at--) {
          decided = (decided << 1) | Number((known[places[at] ?? 0] ?? 0) < (thresholds[at] ?? 0));
        }
        rowOf[block] =
          (tableStarts[block] ?? 0) + decided * ((inputStarts[block + 1] ?? 0) - (inputStarts[block] ?? 0));
      }
      for (let block = 0, at = 0; block < blockCount; block++) {
        let row = rowOf[block] ?? 0;
        const to = inputStarts[block + 1] ?? 0;
        while (at < to) {
          const input = inputOf[at++] ?? 0;
          sums[input] = (sums[input] ?? 0) + (table[row++] ?? 0);
        }
      }
      return sums;
    },
  };
}

/**
 * The vector twice, in float32 as the runtime compares: missing as more than every threshold, then as less. A node looks at the half in which
 * what is missing goes its way, and asks no further.
 */
function comparedTo(inputs: number): (vector: ArrayLike<number>) => Float32Array {
  const values = new Float32Array(2 * inputs);
  return (vector) => {
    for (let input = 0; input < inputs; input++) {
      const value = vector[input] ?? Number.NaN;
      const isMissing = Number.isNaN(value);
      values[input] = isMissing ? Number.POSITIVE_INFINITY : value;
      values[input + inputs] = isMissing ? Number.NEGATIVE_INFINITY : value;
    }
    return values;
  };
}
const placeIn =
  ({ feature, missingIsYes }: TreeEnsemble, inputs: number) =>
  (node: number): number =>
    (feature[node] ?? 0) + (missingIsYes[node] ? inputs : 0);

/** Value of the leaf that a row leads to from a root. */
function walkOf(trees: TreeEnsemble, inputs: number): (root: number, known: Float32Array) => number {
  const [yes, no, leaf] = [Int32Array.from(trees.yes), Int32Array.from(trees.no), Float64Array.from(trees.leaf)];
  const places = Int32Array.from(trees.feature, (_, node) => placeIn(trees, inputs)(node));
  const thresholds = Float32Array.from(trees.threshold);
  return (root, known) => {
    let node = root;
    while ((yes[node] ?? -1) >= 0) {
      node = ((known[places[node] ?? 0] ?? 0) < (thresholds[node] ?? 0) ? yes[node] : no[node]) ?? -1;
    }
    return leaf[node] ?? 0;
  };
}
