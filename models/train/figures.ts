/** The figures of a model folder as SVG: receiver operating curve, precision and recall, calibration, decision curve, and the inputs that weigh most. */
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

type Domain = readonly [from: number, to: number];
/** Ends of a dashed line, and what the axes span. */
interface Frame {
  readonly line?: readonly Omit<Point, 'rows'>[];
  readonly x?: Domain;
  readonly y?: Domain;
}
const DIAGONAL: Frame = {
  line: [
    { x: 0, y: 0 },
    { x: 1, y: 1 },
  ],
};
const UNIT: Domain = [0, 1];

function plot(title: string, x: string, y: string, points: readonly Point[], frame: Frame = {}): Spec {
  return {
    width: 300,
    height: 300,
    padding: 8,
    background: 'white',
    title,
    data: [
      { name: 'points', values: points.map((point) => ({ ...point, x: round(point.x), y: round(point.y) })) },
      { name: 'diagonal', values: [...(frame.line ?? [])] },
    ],
    scales: [
      { name: 'x', type: 'linear', domain: [...(frame.x ?? UNIT)], range: 'width' },
      { name: 'y', type: 'linear', domain: [...(frame.y ?? UNIT)], range: 'height' },
      {
        name: 'colour',
        type: 'ordinal',
        domain: { data: 'points', field: 'rows' },
        range: ['#1b6ca8', '#c4512d', '#7a7a7a'],
      },
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

const EVERYONE = 'alert for everyone';
/** Highest threshold that evaluations look at. */
const LAST_THRESHOLD = 0.6;

/**
 * Net benefit per 100 rows by threshold probability, beside alerting for everyone; the dashed line alerts for nobody. From the evaluation's own figures.
 * Source: Vickers and Elkin, Med Decis Making 2006;26:565.
 * @param main name of the cohort
 */
export function decisionCurve({ cohorts }: Evaluation, main: string): Spec {
  const [heldOut, test] = [cohorts[`${main}HeldOut`], cohorts[`${main}Test`]];
  if (heldOut === undefined || test === undefined) throw new TypeError(`There is no cohort ${main}.`);
  const models = [
    ...heldOut.netBenefitPer100.map(({ threshold, model }) => ({ x: threshold, y: model, rows: HELD_OUT })),
    ...test.netBenefitPer100.map(({ threshold, model }) => ({ x: threshold, y: model, rows: TEST })),
  ];
  const share = heldOut.cases / heldOut.rows;
  const top = 1.1 * Math.max(100 * share, ...models.map(({ y }) => y));
  const floor = Math.min(-0.1 * top, ...models.map(({ y }) => y));
  const everyone = Array.from({ length: 121 }, (_, step) => step / 200)
    .map((x) => ({ x, y: 100 * (share - (x / (1 - x)) * (1 - share)), rows: EVERYONE }))
    .filter(({ y }) => y >= floor);
  return plot('Decision curve', 'threshold probability', 'net benefit per 100', [...models, ...everyone], {
    line: [
      { x: 0, y: 0 },
      { x: LAST_THRESHOLD, y: 0 },
    ],
    x: [0, LAST_THRESHOLD],
    y: [floor, top],
  });
}

/** The same text on every machine. */
export const drawn = async (spec: Spec): Promise<string> =>
  `${await new View(parse(spec), { renderer: 'none' }).toSVG()}\n`;

/** File name -> SVG. @param main name of the cohort that the rows are of */
export async function figures(
  evaluation: Evaluation,
  main: string,
  heldOut: readonly Row[],
  test: readonly Row[],
): Promise<ReadonlyMap<string, string>> {
  const both = (curve: Curve) => [...curve(heldOut, HELD_OUT), ...curve(test, TEST)];
  const specs: Readonly<Record<string, Spec>> = {
    'roc.svg': plot('Receiver operating curve', '1 - specificity', 'sensitivity', both(receiver), DIAGONAL),
    'precision-recall.svg': plot(
      'Precision and recall',
      'sensitivity',
      'positive predictive value',
      both(precisionRecall),
    ),
    'calibration.svg': plot('Calibration, tenths of the rows', 'predicted', 'observed', both(deciles), DIAGONAL),
    'decision-curve.svg': decisionCurve(evaluation, main),
    'contributions.svg': bars(evaluation),
  };
  const made = Object.entries(specs).map(async ([name, spec]) => [name, await drawn(spec)] as const);
  return new Map(await Promise.all(made));
}
