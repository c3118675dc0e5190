/** Monitoring rules as data: monitoring/<id>.json, checked against monitoring/schema.json and the models at start. Described in docs/monitoring.md. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import type { Manifest } from '../risk/assessment.ts';
import { eligibilityProblems } from '../risk/eligibility.ts';
import type { EligibilityRule, Vocabulary } from '../risk/manifest.ts';

export interface Trigger {
  readonly type: string;
  /** Codes of `code` or of a component's; undefined: any change of the type. */
  readonly codes?: readonly string[];
}
export interface Alert {
  readonly id: string;
  readonly title: string;
  readonly output: string;
  /** Raised when the output is this or more ... */
  readonly raiseAt: number;
  /** ... and cleared when it is below this: what lies between changes nothing. */
  readonly clearBelow: number;
  readonly quietMinutes: number;
  readonly priority: string;
  readonly recipients: readonly string[];
  readonly unless?: 'antibiotic-given';
  readonly proposes?: 'sepsis-bundle';
}
export interface MonitorRule {
  readonly id: string;
  readonly enabled: boolean;
  readonly model: string;
  readonly lookbackHours: number;
  readonly triggers: readonly Trigger[];
  readonly eligibility: readonly EligibilityRule[];
  readonly trend?: { readonly output: string; readonly hours: number };
  readonly alerts: readonly Alert[];
  readonly shadow?: boolean;
  readonly attestation?: boolean;
}

/** What a schema cannot say of a rule. */
function problemsOf(
  rule: MonitorRule,
  file: string,
  models: ReadonlyMap<string, Manifest>,
  vocabulary: Vocabulary,
): readonly string[] {
  const ids = rule.alerts.map(({ id }) => id);
  return [
    ...(file === `${rule.id}.json` ? [] : [`it is for ${rule.id}`]),
    ...(models.has(rule.model) || !rule.enabled
      ? []
      : [
          `there is no model ${rule.model} (add it to MODELS_DIR, set "enabled": false in the file, or MONITORING=off)`,
        ]),
    ...(new Set(ids).size < ids.length ? ['two alerts share an id'] : []),
    ...rule.alerts.flatMap(({ id, raiseAt, clearBelow }) =>
      clearBelow <= raiseAt ? [] : [`${id}: clearBelow is above raiseAt`],
    ),
    ...eligibilityProblems(rule.eligibility, vocabulary),
  ];
}

/**
 * The enabled rules of a folder, by file name.
 * @throws Error naming every file that is wrong, and why: a rule that is left out silently would be trusted
 */
export function loadRules(
  folder: string,
  models: ReadonlyMap<string, Manifest>,
  vocabulary: Vocabulary,
): readonly MonitorRule[] {
  const read = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8'));
  const ajv = new Ajv({ allErrors: true });
  const isRule = ajv.compile<MonitorRule>(Object(read('schema.json')));
  const problems: string[] = [];
  const rules = readdirSync(folder)
    .filter((file) => file.endsWith('.json') && file !== 'schema.json')
    .toSorted()
    .flatMap((file): readonly MonitorRule[] => {
      const found = read(file);
      if (!isRule(found)) {
        problems.push(`${file}: ${ajv.errorsText(isRule.errors)}`);
        return [];
      }
      problems.push(...problemsOf(found, file, models, vocabulary).map((problem) => `${file}: ${problem}`));
      return found.enabled ? [found] : [];
    });
  if (problems.length > 0) throw new Error(`Monitoring rules: ${problems.join('; ')}.`);
  return rules;
}
