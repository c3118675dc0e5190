/** The figures of a model folder as SVG: receiver operating curve, precision and recall, calibration, decision curve, and the inputs that weigh most. */
import { type Mark, parse, type Spec, View } from 'vega';
import type { Cohort, Evaluation } from './evaluate.ts';
import { ones, probabilityOf, type Row, ranking, steps } from './metrics.ts';

interface Point {
  readonly x: number;
  readonly y: number;
  readonly rows: string;
}
const SHORTEST_STEP = 0.01;

/** Points of a curve that lie at least a hundredth of an axis from the one before, ends kept: as even where many rows are alike as where they are few. */
function thinned(points: readonly Point[]): readonly Point[] {
  const kept: Point[] = [];
  points.forEach((point, index) => {
    const last = kept.at(-1);
    const far = last === undefined || Math.abs(point.x - last.x) + Math.abs(point.y - last.y) >= SHORTEST_STEP;
    if (far || index === points.length - 1) kept.push(point);
  });
  return kept;
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
/** Ends of a dashed line and what it says, and what the axes span. */
interface Frame {
  readonly line: readonly Omit<Point, 'rows'>[];
  readonly dashed: string;
  /** Whether each point is a figure of its own and is marked. */
  readonly dots?: boolean;
  readonly x?: Domain;
  readonly y?: Domain;
}
/** From corner to corner of a square that ends at `end`. */
const diagonal = (dashed: string, end = 1): Frame => ({
  line: [
    { x: 0, y: 0 },
    { x: end, y: end },
  ],
  dashed: `dashed: ${dashed}`,
  x: [0, end],
  y: [0, end],
});
/** From left to right at one height. */
const level = (dashed: string, height: number, end = 1): Frame => ({
  line: [
    { x: 0, y: height },
    { x: end, y: height },
  ],
  dashed: `dashed: ${dashed}`,
});
const UNIT: Domain = [0, 1];
const TICKS = 6;

const AT_POINT = {
  x: { scale: 'x', field: 'x' },
  y: { scale: 'y', field: 'y' },
} as const;
const DOTS: Mark = {
  type: 'symbol',
  from: { data: 'series' },
  encode: { enter: { ...AT_POINT, size: { value: 24 }, fill: { scale: 'colour', field: 'rows' } } },
};

function plot(title: string, x: string, y: string, points: readonly Point[], frame: Frame): Spec {
  return {
    width: 300,
    height: 300,
    padding: 8,
    background: 'white',
    title: { text: title, subtitle: frame.dashed },
    data: [
      { name: 'points', values: points.map((point) => ({ ...point, x: round(point.x), y: round(point.y) })) },
      { name: 'diagonal', values: [...frame.line] },
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
      { orient: 'bottom', scale: 'x', title: x, tickCount: TICKS },
      { orient: 'left', scale: 'y', title: y, tickCount: TICKS },
    ],
    // Below one another and unshortened: side by side they are wider than the plot.
    legends: [
      { stroke: 'colour', orient: 'bottom', columns: 1, labelLimit: 0, symbolType: 'stroke', symbolStrokeWidth: 2 },
    ],
    marks: [
      {
        type: 'line',
        from: { data: 'diagonal' },
        encode: {
          enter: {
            ...AT_POINT,
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
                ...AT_POINT,
                stroke: { scale: 'colour', field: 'rows' },
                strokeWidth: { value: 1.5 },
              },
            },
          },
          ...(frame.dots === true ? [DOTS] : []),
        ],
      },
    ],
  };
}

const round = (value: number): number => Number(value.toFixed(4));

/** The inputs that weigh most, from the evaluation's own figures. */
export function contributionBars({ importance }: Evaluation): Spec {
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
      { orient: 'left', scale: 'y', labelLimit: 0 },
      { orient: 'bottom', scale: 'x', title: 'log-odds', tickCount: TICKS },
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

const EVERYONE = 'alert for everyone, rows of cross-validation';
/** Highest threshold that evaluations look at; where cases are rare, ten times their share is enough. */
const lastThreshold = (share: number): number => Math.min(0.6, 10 * share);

/**
 * Net benefit per 100 rows by threshold probability, beside alerting for everyone; the dashed line alerts for nobody. From the evaluation's own figures.
 * Source: Vickers and Elkin, Med Decis Making 2006;26:565.
 * @param main name of the cohort
 */
export function decisionCurve({ cohorts }: Evaluation, main: string): Spec {
  const [heldOut, test] = [cohorts[`${main}HeldOut`], cohorts[`${main}Test`]];
  if (heldOut === undefined || test === undefined) throw new TypeError(`There is no cohort ${main}.`);
  const share = heldOut.cases / heldOut.rows;
  const last = lastThreshold(share);
  const curve = ({ netBenefitPer100 }: Cohort, rows: string) =>
    netBenefitPer100
      .filter(({ threshold }) => threshold <= last)
      .map(({ threshold, model }) => ({ x: threshold, y: model, rows }));
  const models = [...curve(heldOut, HELD_OUT), ...curve(test, TEST)];
  const top = 1.1 * Math.max(100 * share, ...models.map(({ y }) => y));
  const floor = Math.min(-0.1 * top, ...models.map(({ y }) => y));
  const everyone = Array.from({ length: 121 }, (_, step) => (step * last) / 120)
    .map((x) => ({ x, y: 100 * (share - (x / (1 - x)) * (1 - share)), rows: EVERYONE }))
    .filter(({ y }) => y >= floor);
  return plot('Decision curve', 'threshold probability', 'net benefit per 100', [...models, ...everyone], {
    ...level('alert for nobody', 0, last),
    x: [0, last],
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
  const share = heldOut.filter(({ label }) => label === 1).length / heldOut.length;
  const tenths = both(deciles);
  const specs: Readonly<Record<string, Spec>> = {
    'roc.svg': plot('Receiver operating curve', '1 - specificity', 'sensitivity', both(receiver), diagonal('chance')),
    'precision-recall.svg': plot(
      'Precision and recall',
      'sensitivity',
      'positive predictive value',
      both(precisionRecall),
      level('alert for everyone', share),
    ),
    'calibration.svg': plot('Calibration, tenths of the rows', 'predicted', 'observed', tenths, {
      ...diagonal('as predicted', Math.min(1, 1.1 * Math.max(...tenths.flatMap(({ x, y }) => [x, y])))),
      dots: true,
    }),
    'decision-curve.svg': decisionCurve(evaluation, main),
    'contributions.svg': contributionBars(evaluation),
  };
  const made = Object.entries(specs).map(async ([name, spec]) => [name, await drawn(spec)] as const);
  return new Map(await Promise.all(made));
}
