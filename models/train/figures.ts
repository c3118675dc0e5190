/** The figures of a model folder as SVG: receiver operating curve, precision and recall, calibration, and the inputs that weigh most. */
import { parse, type Spec, View } from 'vega';
import type { Evaluation } from './evaluate.ts';
import { ones, probabilityOf, type Row, ranking, steps } from './metrics.ts';

interface Point {
  readonly x: number;
  readonly y: number;
  readonly rows: string;
}
const MOST_POINTS = 120;

/** At most 120 points of a curve, ends kept. */
function thinned(points: readonly Point[]): readonly Point[] {
  const every = Math.max(1, Math.ceil(points.length / MOST_POINTS));
  return points.filter((_, index) => index % every === 0 || index === points.length - 1);
}

const curveOf = (rows: readonly Row[]) => steps(rows, ranking(rows), ones(rows));

function receiver(rows: readonly Row[], name: string): readonly Point[] {
  const curve = curveOf(rows);
  const { truePositives: cases = 1, falsePositives: others = 1 } = curve.at(-1) ?? {};
  const points = curve.map((step) => ({ x: step.falsePositives / others, y: step.truePositives / cases, rows: name }));
  return thinned([{ x: 0, y: 0, rows: name }, ...points]);
}

function precisionRecall(rows: readonly Row[], name: string): readonly Point[] {
  const curve = curveOf(rows);
  const { truePositives: cases = 1 } = curve.at(-1) ?? {};
  return thinned(
    curve
      .filter(({ truePositives }) => truePositives > 0)
      .map(({ truePositives, falsePositives }) => ({
        x: truePositives / cases,
        y: truePositives / (truePositives + falsePositives),
        rows: name,
      })),
  );
}

/** Mean prediction and share of cases in ten groups of equal size. */
function deciles(rows: readonly Row[], name: string): readonly Point[] {
  const sorted = rows.toSorted((a, b) => a.margin - b.margin);
  return Array.from({ length: 10 }, (_, tenth) => {
    const group = sorted.slice(
      Math.round((tenth * sorted.length) / 10),
      Math.round(((tenth + 1) * sorted.length) / 10),
    );
    const mean = (value: (row: Row) => number) => group.reduce((total, row) => total + value(row), 0) / group.length;
    return { x: mean(({ margin }) => probabilityOf(margin)), y: mean(({ label }) => label), rows: name };
  });
}

function plot(title: string, x: string, y: string, points: readonly Point[], diagonal: boolean): Spec {
  const line = [
    { x: 0, y: 0 },
    { x: 1, y: 1 },
  ];
  return {
    width: 300,
    height: 300,
    padding: 8,
    background: 'white',
    title,
    data: [
      { name: 'points', values: points.map((point) => ({ ...point, x: round(point.x), y: round(point.y) })) },
      { name: 'diagonal', values: diagonal ? line : [] },
    ],
    scales: [
      { name: 'x', type: 'linear', domain: [0, 1], range: 'width' },
      { name: 'y', type: 'linear', domain: [0, 1], range: 'height' },
      { name: 'colour', type: 'ordinal', domain: { data: 'points', field: 'rows' }, range: ['#1b6ca8', '#c4512d'] },
    ],
    axes: [
      { orient: 'bottom', scale: 'x', title: x },
      { orient: 'left', scale: 'y', title: y },
    ],
    legends: [{ stroke: 'colour', orient: 'bottom', direction: 'horizontal' }],
    marks: [
      {
        type: 'line',
        from: { data: 'diagonal' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'x' },
            y: { scale: 'y', field: 'y' },
            stroke: { value: '#999' },
            strokeDash: { value: [4, 4] },
          },
        },
      },
      {
        type: 'group',
        from: { facet: { name: 'series', data: 'points', groupby: 'rows' } },
        marks: [
          {
            type: 'line',
            from: { data: 'series' },
            encode: {
              enter: {
                x: { scale: 'x', field: 'x' },
                y: { scale: 'y', field: 'y' },
                stroke: { scale: 'colour', field: 'rows' },
                strokeWidth: { value: 1.5 },
              },
            },
          },
        ],
      },
    ],
  };
}

const round = (value: number): number => Number(value.toFixed(3));

function bars({ importance }: Evaluation): Spec {
  return {
    width: 260,
    height: 300,
    padding: 8,
    background: 'white',
    title: 'Mean absolute contribution, log-odds (final split)',
    data: [{ name: 'inputs', values: importance.map((one) => ({ ...one })) }],
    scales: [
      { name: 'y', type: 'band', domain: { data: 'inputs', field: 'display' }, range: 'height', padding: 0.2 },
      { name: 'x', type: 'linear', domain: { data: 'inputs', field: 'meanAbsolute' }, range: 'width', zero: true },
    ],
    axes: [
      { orient: 'left', scale: 'y', labelLimit: 320 },
      { orient: 'bottom', scale: 'x', title: 'log-odds' },
    ],
    marks: [
      {
        type: 'rect',
        from: { data: 'inputs' },
        encode: {
          enter: {
            y: { scale: 'y', field: 'display' },
            height: { scale: 'y', band: 1 },
            x: { scale: 'x', value: 0 },
            x2: { scale: 'x', field: 'meanAbsolute' },
            fill: { value: '#1b6ca8' },
          },
        },
      },
    ],
  };
}

const HELD_OUT = 'nested cross-validation';
const TEST = 'final split';
type Curve = (rows: readonly Row[], name: string) => readonly Point[];

/** File name -> SVG. */
export async function figures(
  evaluation: Evaluation,
  heldOut: readonly Row[],
  test: readonly Row[],
): Promise<ReadonlyMap<string, string>> {
  const both = (curve: Curve) => [...curve(heldOut, HELD_OUT), ...curve(test, TEST)];
  const specs: Readonly<Record<string, Spec>> = {
    'roc.svg': plot('Receiver operating curve', '1 - specificity', 'sensitivity', both(receiver), true),
    'precision-recall.svg': plot(
      'Precision and recall',
      'sensitivity',
      'positive predictive value',
      both(precisionRecall),
      false,
    ),
    'calibration.svg': plot('Calibration, tenths of the rows', 'predicted', 'observed', both(deciles), true),
    'contributions.svg': bars(evaluation),
  };
  const drawn = await Promise.all(
    Object.entries(specs).map(
      async ([name, spec]) => [name, await new View(parse(spec), { renderer: 'none' }).toSVG()] as const,
    ),
  );
  return new Map(drawn.map(([name, svg]) => [name, `${svg}\n`]));
}
