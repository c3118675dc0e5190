/** The figures that were set as targets before training, on rows held out. `npm run models:evaluate` says of each whether it is met. */
import type { Estimate, Evaluation } from './evaluate.ts';

export interface Target {
  readonly model: string;
  readonly cohort: string;
  /** A measure of `overall`, or one at a band. */
  readonly measure: string;
  readonly band?: string;
  readonly atLeast: number;
  /** Where given, the figure may not lie above it either. */
  readonly atMost?: number;
}

const SLOPE = { measure: 'slope', atLeast: 0.9, atMost: 1.1 } as const;
const EXPECTED = { measure: 'observedByExpected', atLeast: 0.9, atMost: 1.1 } as const;
const ALL = 'allHeldOut';
const SEPSIS = 'recordedHeldOut';

export const TARGETS: readonly Target[] = [
  { model: 'triage-critical-care', cohort: ALL, measure: 'auroc', atLeast: 0.9 },
  { model: 'triage-critical-care', cohort: ALL, band: 'raised', measure: 'sensitivity', atLeast: 0.95 },
  { model: 'triage-critical-care', cohort: ALL, band: 'raised', measure: 'specificity', atLeast: 0.55 },
  { model: 'triage-high-acuity', cohort: ALL, measure: 'auroc', atLeast: 0.94 },
  { model: 'triage-high-acuity', cohort: ALL, measure: 'accuracy', atLeast: 0.93 },
  { model: 'sepsis-icu', cohort: SEPSIS, measure: 'auroc', atLeast: 0.87 },
  { model: 'sepsis-icu', cohort: SEPSIS, measure: 'auprc', atLeast: 0.5 },
  { model: 'sepsis-icu', cohort: SEPSIS, band: 'screen', measure: 'sensitivity', atLeast: 0.9 },
  { model: 'sepsis-icu', cohort: SEPSIS, band: 'screen', measure: 'specificity', atLeast: 0.65 },
  { model: 'sepsis-icu', cohort: SEPSIS, band: 'act', measure: 'sensitivity', atLeast: 0.45 },
  { model: 'sepsis-icu', cohort: SEPSIS, band: 'act', measure: 'specificity', atLeast: 0.95 },
  { model: 'sepsis-icu', cohort: SEPSIS, band: 'act', measure: 'ppv', atLeast: 0.6 },
  { model: 'sepsis-icu', cohort: SEPSIS, ...SLOPE },
  { model: 'sepsis-icu', cohort: SEPSIS, ...EXPECTED },
  { model: 'icu-mortality-24h', cohort: ALL, measure: 'auroc', atLeast: 0.86 },
  { model: 'icu-mortality-24h', cohort: ALL, ...SLOPE, atLeast: 0.95, atMost: 1.05 },
  { model: 'icu-mortality-48h', cohort: ALL, measure: 'auroc', atLeast: 0.885 },
  { model: 'icu-mortality-48h', cohort: ALL, measure: 'balanced', atLeast: 0.565 },
  { model: 'icu-mortality-48h', cohort: ALL, ...SLOPE, atLeast: 0.95, atMost: 1.05 },
];

/** The estimate that a target is about. @throws TypeError when the evaluation does not have it */
export function figureOf({ model, cohort, band, measure }: Target, { cohorts }: Evaluation): Estimate {
  const own = cohorts[cohort];
  const estimate = (band === undefined ? own?.overall : own?.bands[band]?.at)?.[measure];
  if (estimate === undefined) throw new TypeError(`${model} has no ${band ?? ''} ${measure} in ${cohort}.`);
  return estimate;
}

/** Whether the estimate lies where the target wants it; its interval may not. */
export const isMet = ({ atLeast, atMost = Number.POSITIVE_INFINITY }: Target, [estimate]: Estimate): boolean =>
  estimate >= atLeast && estimate <= atMost;

/** One line a target: `MISSED icu-mortality-24h auroc >= 0.86: 0.845 (0.834-0.857)`, for rows held out and those of the final split. */
export function targetLines(evaluation: Evaluation): readonly string[] {
  return TARGETS.filter(({ model }) => model === evaluation.model).flatMap((target) => {
    const { model, cohort, band, measure, atLeast, atMost } = target;
    const wanted = `${band === undefined ? '' : `${band} `}${measure} >= ${atLeast}${atMost === undefined ? '' : ` and <= ${atMost}`}`;
    return [cohort, cohort.replace('HeldOut', 'Test')].map((own) => {
      const estimate = figureOf({ ...target, cohort: own }, evaluation);
      const [value = '', low = '', high = ''] = estimate.map((one) => one.toFixed(3));
      return `${isMet(target, estimate) ? 'met   ' : 'MISSED'} ${model} ${own} ${wanted}: ${value} (${low}-${high})`;
    });
  });
}
