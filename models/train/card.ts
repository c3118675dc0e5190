/** Cards of trained models quote figures from evaluation.json: a template with `{{path}}` in place of each number. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Evaluation } from './evaluate.ts';
import { targetSentence } from './targets.ts';

const TEMPLATES = join(import.meta.dirname, 'cards');

function valueAt(value: unknown, path: readonly string[]): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) {
    throw new TypeError(`evaluation.json has no ${path.join('.')}.`);
  }
  return valueAt(Reflect.get(value, key), rest);
}

const isEstimate = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length === 3 && value.every((one) => typeof one === 'number');

/** `0.902 (0.874-0.927)` for an estimate, a number with at most three decimals otherwise. */
function shown(value: unknown): string {
  if (isEstimate(value)) {
    const [estimate = Number.NaN, low = Number.NaN, high = Number.NaN] = value;
    const digits = estimate >= 5 ? 0 : 3;
    return `${estimate.toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
  }
  if (typeof value === 'number') return String(Number(value.toFixed(3)));
  if (typeof value === 'object' && value !== null) return listed(value);
  return String(value);
}

/** Subgroups: `female 0.901 (0.874-0.927), n 560, 72 cases`. */
function listed(groups: object): string {
  return Object.entries(groups)
    .map(([name, { auroc, rows, cases }]) => `${name} ${shown(auroc)}, n ${rows}, ${cases} cases`)
    .join('; ');
}

/** Text of card.json for a model; `{{targets}}` names the targets that are missed. @throws TypeError when the template asks for a figure that was not measured */
export function filledCard(model: string, evaluation: Evaluation): string {
  const template = readFileSync(join(TEMPLATES, `${model}.json`), 'utf8');
  const figures = { ...evaluation, targets: targetSentence(evaluation) };
  return template.replace(/\{\{([^}]+)\}\}/g, (_all, path: string) => shown(valueAt(figures, path.split('.'))));
}
