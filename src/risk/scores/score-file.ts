/** Published scores as data: models/scores/<id>.json, its schema's types, and what a schema cannot say. Described in docs/models.md. */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ValidateFunction } from 'ajv';
import { eligibilityProblems } from '../eligibility.ts';
import { type ModelManifest, readChecked, readModelFile, type Vocabulary } from '../manifest.ts';
import { type Formula, formulaOf } from './formula.ts';

/** First band that holds, in ascending order; the last has no end. `to` is included, `below` is not. NaN: the item is missing. */
export interface PointBand {
  readonly to?: number;
  readonly below?: number;
  readonly points: number;
}
/** Points of one item: by bands of one input, by the first condition that holds (highest points first), or by a formula. */
export type ScoreItem = { readonly name: string; readonly display: string } & (
  | { readonly input: string; readonly bands: readonly PointBand[] }
  | { readonly rows: readonly { readonly when: string; readonly points: number }[] }
  | { readonly formula: string }
);
export interface ScoreResult {
  readonly name: string;
  readonly display: string;
  /** UCUM. */
  readonly unit: string;
  /** Of inputs, derived values, item points by item name, and `points`, the sum of all items. */
  readonly formula: string;
  readonly decimals?: number;
  /** LOINC code of the result, for an Observation. */
  readonly loinc?: string;
}
/** Rise of another score's total in a window around the instant of an input: highest total minus the total at its beginning. */
export interface ScoreChange {
  readonly name: string;
  readonly display: string;
  readonly score: string;
  /** Input whose instant the window is around. */
  readonly around: string;
  readonly fromHours: number;
  readonly toHours: number;
  /** Items that are not counted when the record states the set: an organ that failed long before cannot rise. */
  readonly preexisting?: readonly { readonly item: string; readonly set: string }[];
}

export interface ScoreFile
  extends Pick<
    ModelManifest,
    | 'id'
    | 'version'
    | 'title'
    | 'population'
    | 'limits'
    | 'citation'
    | 'intendedPopulation'
    | 'eligibility'
    | 'simultaneity'
    | 'maxMissing'
    | 'features'
    | 'bands'
  > {
  /** Licence or copyright words that must be shown with the score. */
  readonly notice?: string;
  readonly changes?: readonly ScoreChange[];
  readonly derived?: readonly { readonly name: string; readonly formula: string }[];
  readonly items: readonly ScoreItem[];
  readonly results: readonly ScoreResult[];
  /** Lowest total there is, where it is not 0: a lower bound up to it says nothing. */
  readonly lowest?: number;
}

/** A score with its formulas read. */
export interface Score {
  readonly file: ScoreFile;
  /** The file as it is written. */
  readonly text: string;
  /** Of the file. */
  readonly sha256: string;
  readonly formulas: ReadonlyMap<string, Formula>;
}

/** Formulas of a file by their text. @throws Error naming what is not understood */
function formulasOf({ derived = [], items, results }: ScoreFile): ReadonlyMap<string, Formula> {
  const texts = [
    ...derived.map(({ formula }) => formula),
    ...items.flatMap((item) => ('rows' in item ? item.rows.map(({ when }) => when) : [])),
    ...items.flatMap((item) => ('formula' in item ? [item.formula] : [])),
    ...results.map(({ formula }) => formula),
  ];
  return new Map(texts.map((text) => [text, formulaOf(text)]));
}

const ascends = (bands: readonly PointBand[]): boolean => {
  const ends = bands.slice(0, -1).map(({ to, below }) => to ?? below ?? Number.NaN);
  const last = bands.at(-1);
  const isOpen = last !== undefined && last.to === undefined && last.below === undefined;
  return isOpen && ends.every((end, index) => index === 0 || end >= (ends[index - 1] ?? Number.NaN));
};

/** Why an item is refused; lower bounds hold only when conditions are in descending order of points. */
function itemProblems(item: ScoreItem, inputs: ReadonlySet<string>): readonly string[] {
  if ('bands' in item) {
    return [
      ...(inputs.has(item.input) ? [] : [`item ${item.name} reads no input`]),
      ...(ascends(item.bands) ? [] : [`item ${item.name}: bands do not ascend to an open end`]),
    ];
  }
  if (!('rows' in item)) return [];
  const descends = item.rows.every(({ points }, index) => index === 0 || points < (item.rows[index - 1]?.points ?? 0));
  return descends ? [] : [`item ${item.name}: conditions do not descend in points`];
}

function problemsOf(
  file: ScoreFile,
  formulas: ReadonlyMap<string, Formula>,
  vocabulary: Vocabulary,
): readonly string[] {
  const features = file.features.map(({ name }) => name);
  const changes = (file.changes ?? []).map(({ name }) => name);
  const derived = (file.derived ?? []).map(({ name }) => name);
  const items = file.items.map(({ name }) => name);
  const values = new Set([...features, ...changes, ...derived]);
  const known = new Set([...values, ...items, 'points']);
  const results = file.results.map(({ name }) => name);
  return [
    ...(new Set([...features, ...changes, ...derived]).size < features.length + changes.length + derived.length
      ? ['two values share a name']
      : []),
    ...(new Set(items).size < items.length ? ['two items share a name'] : []),
    ...file.items.flatMap((item) => itemProblems(item, values)),
    ...[...formulas].flatMap(([text, { names }]) =>
      [...names].filter((name) => !known.has(name)).map((name) => `formula ${text}: there is no ${name}`),
    ),
    ...file.bands.filter(({ output }) => !results.includes(output)).map(({ name }) => `band ${name} reads no result`),
    ...file.features.flatMap(({ name, sets = [] }) =>
      sets.filter((set) => vocabulary.sets[set] === undefined).map((set) => `${name}: there is no set ${set}`),
    ),
    ...eligibilityProblems(file.eligibility ?? [], vocabulary, file.features),
  ];
}

/**
 * The score of one file.
 * @throws Error naming the file and what is wrong
 */
export function readScore(
  folder: string,
  name: string,
  check: ValidateFunction<ScoreFile>,
  vocabulary: Vocabulary,
): Score {
  const file = readChecked(folder, name, check);
  if (name !== `${file.id}.json`) throw new Error(`${name} is for ${file.id}`);
  const formulas = formulasOf(file);
  const problems = problemsOf(file, formulas, vocabulary);
  if (problems.length > 0) throw new Error(`${name}: ${problems.slice(0, 3).join('; ')}`);
  const text = readModelFile(folder, name).toString('utf8');
  return { file, text, sha256: sha256Of(text), formulas };
}

const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex');

/** A score from a text that was kept, of this release or an earlier one; undefined when it is not what its hash says, or of another form now. */
export function keptScore(text: string, sha256: string, check: ValidateFunction<ScoreFile>): Score | undefined {
  if (sha256Of(text) !== sha256) return undefined;
  const file: unknown = JSON.parse(text);
  return check(file) ? { file, text, sha256, formulas: formulasOf(file) } : undefined;
}

/**
 * Every score of a folder, by id. A folder without scores is empty.
 * @throws Error for the first file that is wrong: scores are part of the release, and a wrong one must not be left out silently
 */
export function loadScores(
  folder: string,
  check: ValidateFunction<ScoreFile>,
  vocabulary: Vocabulary,
): ReadonlyMap<string, Score> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  const scores = names.toSorted().map((name) => readScore(folder, name, check, vocabulary));
  const byId = new Map(scores.map((score) => [score.file.id, score]));
  for (const { file } of scores) {
    const absent = (file.changes ?? []).find(({ score }) => !byId.has(score));
    if (absent !== undefined) throw new Error(`${join(file.id)}.json: there is no score ${absent.score}`);
  }
  return byId;
}
