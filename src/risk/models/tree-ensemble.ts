/**
 * Reads boosted trees back out of an ONNX file, so that what is explained is what answers.
 * Source: onnx.proto (field numbers); ai.onnx.ml operator TreeEnsembleRegressor, version 3.
 */
import { type Cursor, payload, varint } from './onnx-file.ts';

/** All nodes of all trees; a tree's nodes stand together, its root first. */
export interface TreeEnsemble {
  /** Log-odds before any tree. */
  readonly base: number;
  /** Index of each tree's root, then the number of nodes. */
  readonly roots: readonly number[];
  readonly feature: readonly number[];
  /** float32: a value below it goes to `yes`. */
  readonly threshold: readonly number[];
  /** Index of the next node; -1 in a leaf. */
  readonly yes: readonly number[];
  readonly no: readonly number[];
  readonly missingIsYes: readonly boolean[];
  /** Log-odds that a leaf adds; 0 elsewhere. */
  readonly leaf: readonly number[];
  /** Weight of the training rows that came here (sum of hessians). */
  readonly cover: readonly number[];
}

interface Field {
  readonly number: number;
  readonly wire: number;
  readonly value: number;
  readonly from: number;
  readonly to: number;
}
/** Fields of the message in [from, to). @throws Error on a malformed file */
function* fields(bytes: Uint8Array, from: number, to: number): Generator<Field> {
  const cursor: Cursor = { at: from, bytes };
  while (cursor.at < to) {
    const key = varint(cursor, to);
    const number = Math.floor(key / 8);
    const wire = key % 8;
    if (wire === 0) {
      const value = varint(cursor, to);
      yield { number, wire, value, from: cursor.at, to: cursor.at };
      continue;
    }
    const length = payload(cursor, wire, to);
    yield { number, wire, value: 0, from: cursor.at, to: cursor.at + length };
    cursor.at += length;
  }
}

interface Attribute {
  readonly floats: readonly number[];
  readonly ints: readonly number[];
  readonly strings: readonly string[];
}
const [NAME, FLOATS, INTS, STRINGS] = [1, 7, 8, 9];
const text = new TextDecoder();

/** Repeated numbers may be packed into one field or stand alone. */
function attributeOf(bytes: Uint8Array, from: number, to: number): readonly [string, Attribute] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const floats: number[] = [];
  const ints: number[] = [];
  const strings: string[] = [];
  let name = '';
  for (const field of fields(bytes, from, to)) {
    if (field.number === NAME) name = text.decode(bytes.subarray(field.from, field.to));
    else if (field.number === STRINGS) strings.push(text.decode(bytes.subarray(field.from, field.to)));
    else if (field.number === FLOATS) {
      for (let at = field.from; at < field.to; at += 4) floats.push(view.getFloat32(at, true));
    } else if (field.number === INTS && field.wire === 0) ints.push(field.value);
    else if (field.number === INTS) {
      const cursor: Cursor = { at: field.from, bytes };
      while (cursor.at < field.to) ints.push(varint(cursor, field.to));
    }
  }
  return [name, { floats, ints, strings }];
}

const [GRAPH, NODE, OPERATOR, ATTRIBUTE] = [7, 1, 4, 5];

/** Attributes of the graph's one TreeEnsembleRegressor by name; undefined when it has none or several. */
function regressorOf(bytes: Uint8Array): ReadonlyMap<string, Attribute> | undefined {
  const found: ReadonlyMap<string, Attribute>[] = [];
  for (const graph of fields(bytes, 0, bytes.length)) {
    if (graph.number !== GRAPH) continue;
    for (const node of fields(bytes, graph.from, graph.to)) {
      if (node.number !== NODE) continue;
      const parts = [...fields(bytes, node.from, node.to)];
      const operator = parts.find(({ number }) => number === OPERATOR);
      if (operator === undefined) continue;
      if (text.decode(bytes.subarray(operator.from, operator.to)) !== 'TreeEnsembleRegressor') continue;
      const attributes = parts.filter(({ number }) => number === ATTRIBUTE);
      found.push(new Map(attributes.map(({ from, to }) => attributeOf(bytes, from, to))));
    }
  }
  return found.length === 1 ? found[0] : undefined;
}

/**
 * The trees of a model file; undefined when it is no single ensemble as models/train/trees.py writes it (BRANCH_LT, one target, sums, with
 * the cover of each node).
 */
export function treeEnsembleOf(bytes: Uint8Array): TreeEnsemble | undefined {
  const attributes = regressorOf(bytes);
  if (attributes === undefined) return undefined;
  const ints = (name: string) => attributes.get(name)?.ints ?? [];
  const floats = (name: string) => attributes.get(name)?.floats ?? [];
  const modes = attributes.get('nodes_modes')?.strings ?? [];
  const treeOf = ints('nodes_treeids');
  const roots = treeOf.flatMap((tree, index) => (index === 0 || treeOf[index - 1] !== tree ? [index] : []));
  const inOrder = ints('nodes_nodeids').every((id, index) => index === (roots[treeOf[index] ?? 0] ?? 0) + id);
  const known = modes.every((mode) => mode === 'LEAF' || mode === 'BRANCH_LT');
  const cover = floats('nodes_hitrates');
  if (!inOrder || !known || cover.length !== modes.length || modes.length === 0) return undefined;
  const leaf = new Array<number>(modes.length).fill(0);
  const leafTrees = ints('target_treeids');
  const leafNodes = ints('target_nodeids');
  floats('target_weights').forEach((weight, index) => {
    leaf[(roots[leafTrees[index] ?? 0] ?? 0) + (leafNodes[index] ?? 0)] = weight;
  });
  const next = (name: string) =>
    ints(name).map((id, index) => (modes[index] === 'LEAF' ? -1 : (roots[treeOf[index] ?? 0] ?? 0) + id));
  return {
    base: floats('base_values')[0] ?? 0,
    roots: [...roots, modes.length],
    feature: ints('nodes_featureids'),
    threshold: floats('nodes_values'),
    yes: next('nodes_truenodeids'),
    no: next('nodes_falsenodeids'),
    missingIsYes: ints('nodes_missing_value_tracks_true').map((flag) => flag === 1),
    leaf,
    cover,
  };
}
