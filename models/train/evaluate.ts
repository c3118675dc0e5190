/**
 * Evaluates the committed models on the committed tables: `npm run models:evaluate`. Needs npm only.
 * Held-out: margins of nested cross-validation, written by training, where neither trees nor settings nor calibration saw the row's group.
 * Final split: rows that training never reads, judged by the committed ONNX file. Writes evaluation.json, card.json and the figures.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadSchemas, type ModelManifest, readChecked } from '../../src/risk/manifest.ts';
import type { Reference } from '../../src/risk/models/drift.ts';
import { openRunner, type Runner } from '../../src/risk/models/session.ts';
import { treeEnsembleOf } from '../../src/risk/models/tree-ensemble.ts';
import { explainerOf } from '../../src/risk/models/tree-shap.ts';
import { filledCard } from './card.ts';
import { figures } from './figures.ts';
import {
  agreement,
  atThreshold,
  calibration,
  discrimination,
  interval,
  netBenefit,
  observedByExpected,
  ones,
  type Row,
  ranking,
  resamples,
  type Weights,
} from './metrics.ts';
import { newestOf } from './newest.ts';
import { referenceOf } from './reference.ts';
import { STUDIES, type Study } from './studies.ts';
import { readTable, type Table, vectorAt } from './table.ts';
import { targetLines } from './targets.ts';

const MODELS = join(import.meta.dirname, '..');
export const BOOTSTRAPS = 500;
const SEED = 22;
const SMALLEST_GROUP = 10;

/** Estimate and 95 % bootstrap interval. */
export type Estimate = readonly [estimate: number, low: number, high: number];
export type Estimates = Readonly<Record<string, Estimate>>;

export interface Cohort {
  readonly rows: number;
  readonly cases: number;
  readonly groups: number;
  readonly overall: Estimates;
  /** By band of the manifest. */
  readonly bands: Readonly<Record<string, { readonly threshold: number; readonly at: Estimates }>>;
  readonly netBenefitPer100: readonly { readonly threshold: number; readonly model: number; readonly all: number }[];
}
export interface Evaluation {
  readonly model: string;
  readonly sha256: string;
  readonly bootstraps: number;
  readonly cohorts: Readonly<Record<string, Cohort>>;
  readonly subgroups: Readonly<
    Record<
      string,
      Readonly<Record<string, { rows: number; cases: number; auroc: Estimate; observedByExpected: Estimate }>>
    >
  >;
  readonly rules: Readonly<Record<string, Estimates>>;
  /** Mean absolute contribution over the final split, log-odds, largest first. */
  readonly importance: readonly { readonly input: string; readonly display: string; readonly meanAbsolute: number }[];
}

/** Rounded so that the file is the same on every machine; float32 sums may differ in the last digits. */
const rounded = (value: number): number => Number(value.toFixed(4));

function overallOf(rows: readonly Row[], order: readonly number[], weights: Weights): Readonly<Record<string, number>> {
  const { auroc, auprc } = discrimination(rows, order, weights);
  const fit = calibration(rows, weights);
  return { auroc, auprc, ...fit, ...agreement(rows, order, weights) };
}

/** Estimates of all measures with intervals from the samples. */
function withIntervals(
  measure: (weights: Weights) => Readonly<Record<string, number>>,
  rows: readonly Row[],
  samples: readonly Weights[],
): Estimates {
  const drawn = samples.map(measure);
  return Object.fromEntries(
    Object.entries(measure(ones(rows))).map(([name, value]) => {
      const [low, high] = interval(drawn.map((one) => one[name] ?? Number.NaN));
      return [name, [rounded(value), rounded(low), rounded(high)] as const];
    }),
  );
}

const THRESHOLDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6];

function cohortOf(rows: readonly Row[], { bands }: ModelManifest, bootstraps: number): Cohort {
  const order = ranking(rows);
  const samples = [...resamples(rows, bootstraps, SEED)];
  const cases = rows.filter(({ label }) => label === 1).length;
  return {
    rows: rows.length,
    cases,
    groups: new Set(rows.map(({ group }) => group)).size,
    overall: withIntervals((weights) => overallOf(rows, order, weights), rows, samples),
    bands: Object.fromEntries(
      bands
        .filter(({ from }) => from > 0)
        .map(({ name, from }) => [
          name,
          { threshold: from, at: withIntervals((weights) => ({ ...atThreshold(rows, weights, from) }), rows, samples) },
        ]),
    ),
    netBenefitPer100: THRESHOLDS.map((threshold) => {
      const { model, all } = netBenefit(rows, threshold);
      return { threshold, model: rounded(model), all: rounded(all) };
    }),
  };
}

async function openModel(
  folder: string,
  manifest: ModelManifest,
): Promise<{ readonly bytes: Uint8Array; readonly runner: Runner }> {
  const bytes = new Uint8Array(readFileSync(join(folder, 'model.onnx')));
  const outputs = manifest.outputs.map(({ tensor, columns }) => ({ tensor, width: columns.length }));
  const input = { tensor: manifest.input.tensor, width: manifest.features.length };
  return { bytes, runner: await openRunner(bytes, { input, outputs }) };
}

/** Margins of the final split by the ONNX file, of the other rows from nested cross-validation. */
async function marginsOf(
  study: Study,
  table: Table,
  inputs: readonly Float32Array[],
  runner: Runner,
): Promise<Float64Array> {
  const keyOf = (one: Table) => {
    const columns = study.keys.map((key) => one.column(key));
    return (index: number): string => columns.map((column) => column[index]).join('|');
  };
  const heldOut = readTable(`${study.model}.held-out.csv.gz`);
  const values = heldOut.numbers('margin');
  const key = keyOf(heldOut);
  const byKey = new Map(Array.from(values, (value, index) => [key(index), value]));
  const split = table.column('split');
  const own = keyOf(table);
  const margins = new Float64Array(table.length).fill(Number.NaN);
  for (let index = 0; index < table.length; index++) {
    margins[index] =
      split[index] === 'test'
        ? ((await runner.run(vectorAt(inputs, index))).margin?.[0] ?? Number.NaN)
        : (byKey.get(own(index)) ?? Number.NaN);
  }
  return margins;
}

/** Rows of one split that `wanted` admits. */
function rowsOf(
  study: Study,
  table: Table,
  margins: Float64Array,
  isTest: boolean,
  wanted: (index: number) => boolean,
): readonly Row[] {
  const [split, labels, groups] = [table.column('split'), table.numbers('label'), table.column(study.group)];
  return Array.from(margins, (margin, index) => ({
    margin,
    label: labels[index] ?? 0,
    group: groups[index] ?? '',
    index,
  }))
    .filter(({ index }) => (split[index] === 'test') === isTest && wanted(index))
    .map(({ margin, label, group }) => ({ margin, label, group }));
}

const NONE: Estimate = [Number.NaN, Number.NaN, Number.NaN];

function subgroupsOf(study: Study, table: Table, margins: Float64Array, bootstraps: number): Evaluation['subgroups'] {
  const main = study.cohorts[study.main]?.(table) ?? (() => true);
  return Object.fromEntries(
    Object.entries(study.subgroups).map(([name, read]) => {
      const groupOf = read(table);
      const values = new Set(Array.from(margins, (_, index) => groupOf(index)).filter((value) => value !== undefined));
      const found = [...values].toSorted().map((value) => {
        const rows = rowsOf(study, table, margins, false, (index) => main(index) && groupOf(index) === value);
        const cases = rows.filter(({ label }) => label === 1).length;
        const order = ranking(rows);
        const samples = cases < SMALLEST_GROUP ? [] : [...resamples(rows, bootstraps, SEED)];
        const measure = (weights: Weights) => ({
          auroc: discrimination(rows, order, weights).auroc,
          expected: observedByExpected(rows, weights),
        });
        const { auroc = NONE, expected = NONE } = withIntervals(measure, rows, samples);
        return [value, { rows: rows.length, cases, auroc, observedByExpected: expected }] as const;
      });
      return [name, Object.fromEntries(found.filter(([, { cases }]) => cases >= SMALLEST_GROUP))];
    }),
  );
}

/** A rule calls an alert at 2 points, or at 12 where suspicion adds 10. */
function rulesOf(study: Study, table: Table, margins: Float64Array, bootstraps: number): Evaluation['rules'] {
  const main = study.cohorts[study.main]?.(table) ?? (() => true);
  return Object.fromEntries(
    Object.entries(study.rules).map(([name, read]) => {
      const score = Float64Array.from(margins, (_, index) => index).map(read(table));
      const cut = name.startsWith('antibiotic') ? 12 : 2;
      const rows = rowsOf(study, table, score, true, main).map((row) => ({ ...row, margin: row.margin - cut }));
      const order = ranking(rows);
      const measure = (weights: Weights) => {
        const { sensitivity, specificity, ppv } = atThreshold(rows, weights, 0.5);
        return { auroc: discrimination(rows, order, weights).auroc, sensitivity, specificity, ppv };
      };
      return [name, withIntervals(measure, rows, [...resamples(rows, bootstraps, SEED)])];
    }),
  );
}

/** Mean absolute contribution of each input over the final split, log-odds. */
function meanContributions(
  bytes: Uint8Array,
  manifest: ModelManifest,
  table: Table,
  inputs: readonly Float32Array[],
): readonly number[] {
  const trees = treeEnsembleOf(bytes);
  const explainer = trees === undefined ? undefined : explainerOf(trees);
  if (explainer === undefined) throw new Error(`${manifest.id} cannot be explained`);
  const split = table.column('split');
  const sums = new Float64Array(manifest.features.length);
  let rows = 0;
  for (let index = 0; index < table.length; index++) {
    if (split[index] !== 'test') continue;
    rows++;
    explainer.contributions(vectorAt(inputs, index)).forEach((value, at) => {
      sums[at] = (sums[at] ?? 0) + Math.abs(value);
    });
  }
  return Array.from(sums, (sum) => sum / rows);
}

const importanceOf = ({ features }: ModelManifest, means: readonly number[]): Evaluation['importance'] =>
  features
    .map(({ name, display }, at) => ({ input: name, display, meanAbsolute: Number((means[at] ?? 0).toFixed(3)) }))
    .toSorted((a, b) => b.meanAbsolute - a.meanAbsolute)
    .slice(0, 15);

export interface Evaluated {
  readonly evaluation: Evaluation;
  /** Rows of the main cohort, held out and final split, for the figures. */
  readonly heldOut: readonly Row[];
  readonly test: readonly Row[];
  readonly reference: Reference;
}

/** Everything that is known of one model, from the committed files alone. @param beside bootstraps of subgroups and rules, where they are others */
export async function evaluated(study: Study, bootstraps: number, beside = bootstraps): Promise<Evaluated> {
  const folder = newestOf(study.model);
  const manifest = readChecked(folder, 'manifest.json', loadSchemas(MODELS).manifest);
  const table = readTable(`${study.model}.csv.gz`);
  const inputs = manifest.features.map(({ name }) => table.numbers(name));
  const { bytes, runner } = await openModel(folder, manifest);
  const margins = await marginsOf(study, table, inputs, runner);
  await runner.close();
  const both = Object.entries(study.cohorts).map(([name, admits]) => {
    const wanted = admits(table);
    return [name, rowsOf(study, table, margins, false, wanted), rowsOf(study, table, margins, true, wanted)] as const;
  });
  const split = table.column('split');
  const admits = study.cohorts[study.main]?.(table) ?? (() => true);
  const training = Array.from(margins, (_, index) => index).filter((index) => split[index] !== 'test' && admits(index));
  const means = meanContributions(bytes, manifest, table, inputs);
  const main = both.find(([name]) => name === study.main);
  return {
    heldOut: main?.[1] ?? [],
    test: main?.[2] ?? [],
    reference: referenceOf(manifest, inputs, margins, training, means, study.outcome),
    evaluation: {
      model: study.model,
      sha256: manifest.sha256,
      bootstraps,
      cohorts: Object.fromEntries(
        both.flatMap(([name, heldOut, test]) => [
          [`${name}HeldOut`, cohortOf(heldOut, manifest, bootstraps)],
          [`${name}Test`, cohortOf(test, manifest, bootstraps)],
        ]),
      ),
      subgroups: subgroupsOf(study, table, margins, beside),
      rules: rulesOf(study, table, margins, beside),
      importance: importanceOf(manifest, means),
    },
  };
}

const shown = ([value, low, high]: Estimate): string => `${value.toFixed(3)} (${low.toFixed(3)}-${high.toFixed(3)})`;

function told(evaluation: Evaluation): string {
  const { model, cohorts, subgroups, rules } = evaluation;
  const all = (estimates: Estimates): string =>
    Object.entries(estimates)
      .map(([measure, estimate]) => `${measure} ${shown(estimate)}`)
      .join(', ');
  const lines = Object.entries(cohorts).flatMap(([name, { rows, cases, groups, overall, bands }]) => [
    `${model} ${name}: ${rows} rows, ${cases} cases, ${groups} groups`,
    ...Object.entries(overall).map(([measure, estimate]) => `  ${measure} ${shown(estimate)}`),
    ...Object.entries(bands).map(([band, { threshold, at }]) => `  ${band} at ${threshold}: ${all(at)}`),
  ]);
  const groups = Object.entries(subgroups).flatMap(([by, found]) =>
    Object.entries(found).map(
      ([name, { rows, cases, ...estimates }]) =>
        `  held out, ${by} ${name} (${rows} rows, ${cases} cases): ${all(estimates)}`,
    ),
  );
  const beside = Object.entries(rules).map(([rule, figures]) => `  final split, rule ${rule}: ${all(figures)}`);
  return [...lines, ...groups, ...beside, ...targetLines(evaluation)].join('\n');
}

if (import.meta.main) {
  const wanted = process.argv.slice(2);
  for (const study of STUDIES.filter(({ model }) => wanted.length === 0 || wanted.includes(model))) {
    const folder = newestOf(study.model);
    const { evaluation, heldOut, test, reference } = await evaluated(study, BOOTSTRAPS);
    writeFileSync(join(folder, 'evaluation.json'), `${JSON.stringify(evaluation, null, 2)}\n`);
    writeFileSync(join(folder, 'reference.json'), `${JSON.stringify(reference)}\n`);
    writeFileSync(join(folder, 'card.json'), filledCard(study.model, evaluation));
    for (const [name, svg] of await figures(evaluation, study.main, heldOut, test))
      writeFileSync(join(folder, name), svg);
    process.stdout.write(`${told(evaluation)}\n`);
  }
}
