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

const WORDS: Readonly<Record<string, string>> = {
  auroc: 'AUROC',
  auprc: 'average precision',
  slope: 'calibration slope',
  observedByExpected: 'observed / expected',
  balanced: 'min(sensitivity, PPV)',
  ppv: 'PPV',
};
/** `screen: sensitivity >= 0.9`; with an upper end `calibration slope 0.9 to 1.1`. */
export function wantedOf({ measure, band, atLeast, atMost }: Target): string {
  const what = `${band === undefined ? '' : `${band}: `}${WORDS[measure] ?? measure}`;
  return atMost === undefined ? `${what} >= ${atLeast}` : `${what} ${atLeast} to ${atMost}`;
}

export interface Judged {
  readonly cohort: string;
  readonly met: boolean;
  readonly estimate: Estimate;
}
/** A target on the rows held out, and on those of the final split. */
export function judged(target: Target, evaluation: Evaluation): readonly [heldOut: Judged, finalSplit: Judged] {
  const on = (cohort: string): Judged => {
    const estimate = figureOf({ ...target, cohort }, evaluation);
    return { cohort, met: isMet(target, estimate), estimate };
  };
  return [on(target.cohort), on(target.cohort.replace('HeldOut', 'Test'))];
}

const targetsOf = (evaluation: Evaluation) =>
  TARGETS.filter(({ model }) => model === evaluation.model).map((target) => ({
    wanted: wantedOf(target),
    found: judged(target, evaluation),
  }));

/** One line a target and cohort: `MISSED icu-mortality-24h allHeldOut AUROC >= 0.86: 0.845 (0.834-0.857)`. */
export function targetLines(evaluation: Evaluation): readonly string[] {
  return targetsOf(evaluation).flatMap(({ wanted, found }) =>
    found.map(({ cohort, met, estimate }) => {
      const [value = '', low = '', high = ''] = estimate.map((one) => one.toFixed(3));
      return `${met ? 'met   ' : 'MISSED'} ${evaluation.model} ${cohort} ${wanted}: ${value} (${low}-${high})`;
    }),
  );
}

/** What a card says: `Targets missed held out: AUROC >= 0.86 (0.850). Missed on the final split: ... .` */
export function targetSentence(evaluation: Evaluation): string {
  const missed = (at: 0 | 1): string => {
    const names = targetsOf(evaluation).flatMap(({ wanted, found }) =>
      found[at].met ? [] : [`${wanted} (${found[at].estimate[0].toFixed(3)})`],
    );
    return names.length === 0 ? 'none' : names.join('; ');
  };
  return `Targets that were set before and are missed held out: ${missed(0)}. Missed on the final split: ${missed(1)}.`;
}
