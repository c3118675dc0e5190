/** Words and numbers for people: names of codes, units, windows, figures with their intervals. */
import { isJsonObject, isNumber, type Json, numberOf } from '../fhir/resource.ts';

/** `observedByExpected` -> `Observed by expected`. */
export function words(name: string): string {
  const spaced = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/[-_]/g, ' ')
    .toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

const FIGURE_NAMES: Readonly<Record<string, string>> = {
  auroc: 'AUROC',
  auprc: 'Average precision',
  slope: 'Calibration slope',
  observedByExpected: 'Observed / expected',
  ppv: 'Positive predictive value',
  npv: 'Negative predictive value',
  alertsPer100: 'Alerts per 100',
  brier: 'Brier score',
  meanAbsolute: 'Mean size (log-odds)',
  rows: 'Rows',
  cases: 'Cases',
  groups: 'Groups',
};
/** Name of a figure of an evaluation. */
export const figureName = (key: string): string => FIGURE_NAMES[key] ?? words(key);

/** At most four significant places beyond the point; whole numbers as they are. */
export const numberText = (value: number): string =>
  Number.isInteger(value) ? String(value) : String(Number(value.toFixed(Math.abs(value) < 10 ? 3 : 1)));

/** `0.898 (0.875 to 0.921)` of [0.898, 0.875, 0.921]; undefined for what is no figure. */
export function figureText(value: Json | undefined): string | undefined {
  if (isNumber(value)) return numberText(numberOf(value));
  if (typeof value === 'string') return value;
  if (value === null) return 'not available';
  if (!Array.isArray(value) || value.length !== 3 || !value.every(isNumber)) return undefined;
  const [middle = Number.NaN, low = Number.NaN, high = Number.NaN] = value.filter(isNumber).map(numberOf);
  return `${numberText(middle)} (${numberText(low)} to ${numberText(high)})`;
}

/** UCUM as it is read: `1` and annotations are no unit. */
export const unitText = (unit: string): string =>
  unit === '1' || unit === '' ? 'none' : unit.replace(/^\{(.+)\}$/, '$1');

/** `24 h`, `30 d`. */
export function hoursText(hours: number): string {
  return hours > 96 && hours % 24 === 0 ? `${hours / 24} d` : `${hours} h`;
}

/** Objects of an object, by name; what is no object is left out. */
export function objectsOf(value: Json | undefined) {
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([name, one]) => (isJsonObject(one) ? [[name, one] as const] : []));
}
