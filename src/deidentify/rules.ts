/** The rules of de-identification from their file, checked by schema. Source: 45 CFR 164.514(b)(2); docs/privacy.md#de-identified-export. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';

/** `safe-harbor`: the eighteen identifiers are gone, of dates the year stays. `shifted`: whole dates, moved; not Safe Harbor. */
export type Mode = 'safe-harbor' | 'shifted';

/** What becomes of an element; `walk`: what its parts become; `mask`: it says that it is withheld. */
export type Action =
  | 'remove'
  | 'mask'
  | 'keep'
  | 'time'
  | 'walk'
  | 'code'
  | 'coding'
  | 'quantity'
  | 'rekey'
  | 'year'
  | 'shift'
  | 'state'
  | 'zip3'
  | 'country';
/** One action, or one a mode. */
export type Rule = Action | Readonly<Record<Mode, Action>>;

/** Values that an extension of the allow-list may have. */
export type ExtensionRule = { readonly codes: readonly string[] } | { readonly parts: readonly string[] };

/** deidentification/rules.json; every field is described in its schema. What no rule names is removed. */
export interface DeidentificationRules {
  readonly modes: Readonly<Record<Mode, { readonly label: { readonly system: string; readonly code: string } }>>;
  /** Years. */
  readonly oldest: number;
  readonly resources: readonly string[];
  readonly types: Readonly<Record<string, Rule>>;
  readonly paths: Readonly<Record<string, Rule>>;
  /** Path of a date -> url of the extension that stands where it would tell an age over `oldest`. */
  readonly aggregated: Readonly<Record<string, string>>;
  readonly zipCountries: readonly string[];
  readonly restrictedZips: readonly string[];
  readonly states: readonly string[];
  readonly countries: readonly string[];
  readonly published: readonly string[];
  /** System -> regular expression of its codes. */
  readonly systems: Readonly<Record<string, string>>;
  readonly ageCodes: readonly string[];
  readonly extensions: Readonly<Record<string, ExtensionRule>>;
}

/** @param folder with rules.json and schema.json. @throws TypeError naming what is wrong with the rules */
export function loadRules(folder: string): DeidentificationRules {
  const read = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const rules: unknown = read('rules.json');
  const isRules = new Ajv({ allErrors: true }).compile<DeidentificationRules>(read('schema.json'));
  if (isRules(rules)) return rules;
  const faults = (isRules.errors ?? []).map(
    ({ instancePath, message }) => `${instancePath || 'file'} ${message ?? ''}`,
  );
  throw new TypeError(`deidentification/rules.json: ${faults.join('; ')}.`);
}

export const actionOf = (rule: Rule, mode: Mode): Action => (typeof rule === 'string' ? rule : rule[mode]);
