/**
 * Compiles a table of rules into matrix steps that ONNX runs: literals (x >= t, x < t, x is missing) -> conjunctions -> sums.
 * Missing is NaN; NaN fails both comparisons, so a missing input meets no rule that asks for its value.
 */
import type { GraphSpec, OperatorCall, TensorValue } from './onnx-writer.ts';

export type Literal = readonly [input: string, test: '>=' | '<', threshold: number] | readonly [string, 'missing'];
/** When every literal holds, adds the named amounts. */
export interface Rule {
  readonly when: readonly Literal[];
  readonly adds: Readonly<Record<string, number>>;
}
/** One step: its rules read the inputs and the columns of all earlier steps. */
export interface Stage {
  readonly columns: readonly string[];
  readonly rules: readonly Rule[];
}
export interface RuleNetwork {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly stages: readonly Stage[];
  /** Output tensors: name -> columns of the last stage. */
  readonly outputs: Readonly<Record<string, readonly string[]>>;
}

/**
 * Rules of one parameter of an additive score: inclusive bands on values rounded to `precision` decimals.
 * Thresholds lie half a unit of that precision between the bands, so float32 rounding cannot move a value across one.
 */
export function bands(
  input: string,
  precision: number,
  rows: readonly (readonly [low: number | undefined, high: number | undefined, points: number])[],
  adds: (points: number) => Readonly<Record<string, number>>,
  also: readonly Literal[] = [],
): readonly Rule[] {
  const half = 0.5 * 10 ** -precision;
  return rows.map(([low, high, points]) => ({
    when: [
      ...(low === undefined ? [] : [[input, '>=', low - half] as const]),
      ...(high === undefined ? [] : [[input, '<', high + half] as const]),
      ...also,
    ],
    adds: adds(points),
  }));
}

const OPERATORS = { '>=': 'GreaterOrEqual', '<': 'Less', missing: 'IsNaN' } as const;

interface Part {
  readonly constants: readonly TensorValue[];
  readonly calls: readonly OperatorCall[];
}

const literalKey = (literal: Literal): string => literal.join(' ');

function position(names: readonly string[], name: string): number {
  const index = names.indexOf(name);
  if (index < 0) throw new TypeError(`Rule names \`${name}\`, which is not a column.`);
  return index;
}

/** The literals of one kind as one vectorised comparison, output `${id}.bits` of shape [batch, literals]. */
function literalBits(id: string, source: string, columns: readonly string[], literals: readonly Literal[]): Part {
  const kind = literals[0]?.[1] ?? 'missing';
  const count = literals.length;
  const indices = literals.map(([input]) => position(columns, input));
  const thresholds = literals.map((literal) => literal[2] ?? 0);
  return {
    constants: [
      { name: `${id}.columns`, type: 'int64', dims: [count], values: indices },
      ...(kind === 'missing'
        ? []
        : [{ name: `${id}.thresholds`, type: 'float32', dims: [count], values: thresholds } as const]),
    ],
    calls: [
      { operator: 'Gather', inputs: [source, `${id}.columns`], output: `${id}.values`, attributes: { axis: 1 } },
      {
        operator: OPERATORS[kind],
        inputs: [`${id}.values`, ...(kind === 'missing' ? [] : [`${id}.thresholds`])],
        output: `${id}.holds`,
      },
      { operator: 'Cast', inputs: [`${id}.holds`], output: `${id}.bits`, attributes: { to: 1 } },
    ],
  };
}

/** Matrix [rows, columns] in row order. */
const matrix = (
  name: string,
  rows: number,
  columns: number,
  at: (row: number, column: number) => number,
): TensorValue => ({
  name,
  type: 'float32',
  dims: [rows, columns],
  values: Array.from({ length: rows * columns }, (_, index) => at(Math.floor(index / columns), index % columns)),
});

/** Conjunctions of one stage: `${id}.met` of shape [batch, rules], 1 where every literal of the rule holds. */
function conjunctions(id: string, source: string, columns: readonly string[], rules: readonly Rule[]): Part {
  const all = [...new Map(rules.flatMap(({ when }) => when).map((literal) => [literalKey(literal), literal])).values()];
  const kinds = (['>=', '<', 'missing'] as const).filter((kind) => all.some(([, test]) => test === kind));
  const ordered = kinds.flatMap((kind) => all.filter(([, test]) => test === kind));
  const parts = kinds.map((kind, index) =>
    literalBits(
      `${id}.${index}`,
      source,
      columns,
      all.filter(([, test]) => test === kind),
    ),
  );
  const keys = ordered.map(literalKey);
  const asked = rules.map(({ when }) => new Set(when.map(literalKey)));
  return {
    constants: [
      ...parts.flatMap(({ constants }) => constants),
      matrix(`${id}.asks`, keys.length, rules.length, (row, column) => (asked[column]?.has(keys[row] ?? '') ? 1 : 0)),
      { name: `${id}.needed`, type: 'float32', dims: [rules.length], values: asked.map(({ size }) => size - 0.5) },
    ],
    calls: [
      ...parts.flatMap(({ calls }) => calls),
      {
        operator: 'Concat',
        inputs: kinds.map((_, index) => `${id}.${index}.bits`),
        output: `${id}.literals`,
        attributes: { axis: 1 },
      },
      { operator: 'MatMul', inputs: [`${id}.literals`, `${id}.asks`], output: `${id}.count` },
      { operator: 'GreaterOrEqual', inputs: [`${id}.count`, `${id}.needed`], output: `${id}.all` },
      { operator: 'Cast', inputs: [`${id}.all`], output: `${id}.met`, attributes: { to: 1 } },
    ],
  };
}

/** Sums the amounts of the rules that hold into `columns`; the tensor is named `output`. */
function sums(id: string, output: string, columns: readonly string[], rules: readonly Rule[]): Part {
  return {
    constants: [
      matrix(`${output}.amounts`, rules.length, columns.length, (row, column) => {
        const name = columns[column];
        return name === undefined ? 0 : (rules[row]?.adds[name] ?? 0);
      }),
    ],
    calls: [{ operator: 'MatMul', inputs: [`${id}.met`, `${output}.amounts`], output }],
  };
}

/** The graph of a rule network: one input tensor `inputs` [batch, n], the named output tensors. */
export function graphOf(network: RuleNetwork): GraphSpec {
  const constants: TensorValue[] = [];
  const calls: OperatorCall[] = [];
  const add = (part: Part): void => {
    constants.push(...part.constants);
    calls.push(...part.calls);
  };
  let source = 'inputs';
  let columns = network.inputs;
  network.stages.forEach((stage, index) => {
    const id = `stage${index + 1}`;
    add(conjunctions(id, source, columns, stage.rules));
    if (index === network.stages.length - 1) {
      for (const [name, names] of Object.entries(network.outputs)) add(sums(id, name, names, stage.rules));
      return;
    }
    add(sums(id, `${id}.sums`, stage.columns, stage.rules));
    calls.push({
      operator: 'Concat',
      inputs: [source, `${id}.sums`],
      output: `${id}.known`,
      attributes: { axis: 1 },
    });
    source = `${id}.known`;
    columns = [...columns, ...stage.columns];
  });
  return {
    name: network.name,
    inputs: [{ name: 'inputs', width: network.inputs.length }],
    outputs: Object.entries(network.outputs).map(([name, names]) => ({ name, width: names.length })),
    constants,
    calls,
  };
}
