/** What a model folder says of itself: manifest.json, card.json, golden.json, and the vocabulary they share. Schemas: models/*schema.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { Resource } from '../fhir/resource.ts';
import type { Manifest } from './assessment.ts';
import type { DriftLimits, Reference } from './models/drift.ts';
import type { ScoreFile } from './scores/score-file.ts';
import type { ComplaintTable } from './triage/complaint-table.ts';
import type { EsiEdition } from './triage/esi.ts';

export type FeatureKind =
  | 'latest-observation'
  | 'consciousness'
  | 'oxygen'
  | 'spo2-scale'
  | 'age'
  | 'sex'
  | 'pregnancy'
  | 'complaint'
  | 'complains-of'
  | 'shock-index'
  | 'aggregate'
  | 'record-count'
  | 'coma-score'
  | 'mean-arterial-pressure'
  | 'oxygen-ratio'
  | 'infusion-rate'
  | 'drugs-running'
  | 'stated'
  | 'graded'
  | 'length-of-stay'
  | 'encounter-count'
  | 'procedure-count'
  | 'urgent-admission'
  | 'infection-suspected'
  | 'antibiotics-given';

/** How the readings of a window become one number; see aggregate.ts. */
export type Aggregate =
  | 'min'
  | 'max'
  | 'mean'
  | 'first'
  | 'last'
  | 'count'
  | 'sum'
  | 'trend'
  | 'farthest'
  | 'sd'
  | 'median'
  | 'change'
  | 'share-below';

/** One input of the vector, in the order of the manifest. Missing is NaN; the graph decides what that means. */
export interface FeatureSpec {
  readonly name: string;
  readonly display: string;
  readonly kind: FeatureKind;
  /** Codes read, the primary first; LOINC unless `system` says otherwise. */
  readonly codes?: readonly string[];
  readonly system?: string;
  /** UCUM; for coded inputs `1`. */
  readonly unit: string;
  /** A value counts when measured in (at - window, at]. */
  readonly windowHours?: number;
  /** Kind aggregate: the window ends so many hours before the instant; less than `windowHours`. */
  readonly untilHours?: number;
  /** Plausible values, both ends included, in `unit`. */
  readonly range?: readonly [low: number, high: number];
  /** Decimals of the chart; values are rounded half up to it before they are scored. */
  readonly precision?: number;
  /** Row of models/units.json for conversions between mass and substance. */
  readonly analyte?: string;
  /** Ages at which the result changes: a partial birth date that leaves one of them open makes the age missing. */
  readonly cuts?: readonly number[];
  /** Kind aggregate. */
  readonly aggregate?: Aggregate;
  /** Aggregate farthest: the normal value that distance is taken from; share-below: the limit. */
  readonly from?: number;
  /** Kind aggregate: codes whose values at one instant add up to a reading, e.g. the parts of the Glasgow coma score. */
  readonly parts?: readonly string[];
  /** Kind record-count: row of models/concepts.json, and the resource types that are read for it. */
  readonly concept?: string;
  readonly resources?: readonly string[];
  /** any: 1 or 0; kinds: number of distinct kinds of the concept. */
  readonly counts?: 'any' | 'kinds';
  readonly required: boolean;
  /** Which usable value of the window counts; absent: the latest. */
  readonly choose?: 'latest' | 'first' | 'min' | 'max';
  /** Value when nothing at all is recorded; never when something is recorded that cannot be used. Absent: the input is missing. */
  readonly absent?: number;
  /** UCUM units in which the number means the same, e.g. `mL` for the volume of 24 h. */
  readonly sameUnits?: readonly string[];
  /** Sets of vocabulary.json, for kinds that ask for them. */
  readonly sets?: readonly string[];
  /** Classes of Encounter that are counted. */
  readonly classes?: readonly string[];
  /** Answers of `graded`; an integer or Quantity answer must be one of the values. */
  readonly grades?: readonly {
    readonly value: number;
    readonly shown: string;
    readonly codes?: readonly CodedTerm[];
    readonly words?: readonly string[];
  }[];
  /** Codes of the second measurement of a ratio, and how many hours before the first it may lie; its unit and range where they are others. */
  readonly pair?: {
    readonly codes: readonly string[];
    readonly hours: number;
    readonly unit?: string;
    readonly range?: readonly [low: number, high: number];
  };
}

export interface OutputSpec {
  readonly tensor: string;
  readonly columns: readonly string[];
  /** points: columns are feature names, shown beside the input. result: columns become `Assessment.outputs`. */
  readonly role: 'points' | 'result';
}

/** One condition of `eligibility`; the kinds are judged in eligibility.ts and described in docs/models.md. */
export type EligibilityRule =
  | { readonly rule: 'alive' }
  | { readonly rule: 'no-comfort-care' }
  /** Encounter.class of a current encounter is one of `classes`; `unknown`: what holds when no current encounter is known. */
  | { readonly rule: 'setting'; readonly classes: readonly string[]; readonly unknown: 'eligible' | 'outside' }
  /** from <= age < below, in completed units. */
  | { readonly rule: 'age'; readonly unit: 'a' | 'mo' | 'd'; readonly from?: number; readonly below?: number }
  /**
   * At most `hours` after the current encounter began; with `vitals` (names of inputs), once each of them was measured in this encounter, and as
   * long as none is measured again later than `againMinutes` (0 unless given) after that.
   */
  | {
      readonly rule: 'first-vitals';
      readonly hours: number;
      readonly vitals?: readonly string[];
      readonly againMinutes?: number;
    }
  /** from <= hours since admission to intensive care < below. */
  | { readonly rule: 'icu-hours'; readonly from?: number; readonly below?: number }
  /** No antibiotic (prophylaxis apart) and no culture in the last `hours`. */
  | { readonly rule: 'untreated-infection'; readonly hours: number }
  | { readonly rule: 'steady-creatinine' }
  /** Nothing (`without`) or something (`with`) of a set of vocabulary.json is stated. */
  | { readonly rule: 'without'; readonly set: string }
  | { readonly rule: 'with'; readonly set: string };

export interface ModelManifest extends Manifest {
  /** Input tensor, float32 [1, features]. */
  readonly input: { readonly tensor: string };
  readonly outputs: readonly OutputSpec[];
  readonly features: readonly FeatureSpec[];
  /** More required inputs missing than this: no statement at all, not even a lower bound. */
  readonly maxMissing: number;
  readonly intendedPopulation: {
    readonly minAgeYears?: number;
    readonly maxAgeYears?: number;
    readonly excludes: readonly 'pregnancy'[];
  };
  /** Judged in order after `intendedPopulation`; the first that is not met is the reason. Absent: nothing more is asked. */
  readonly eligibility?: readonly EligibilityRule[];
  /** Dated inputs older than `hours` before the instant judged at (`now`) or before the newest of them (`each-other`) are missing. */
  readonly simultaneity?: { readonly hours: number; readonly of: 'now' | 'each-other' } | undefined;
  /** Row of scores/stand-ins.ts that stands in. */
  readonly fallback: string;
}

/** One of the 31 source attributes of 45 CFR 170.315(b)(11)(iv). */
export interface SourceAttribute {
  readonly number: number;
  readonly name: string;
  readonly value: string;
}
export interface ModelCard {
  readonly model: string;
  readonly version: string;
  readonly attributes: readonly SourceAttribute[];
}

/** A worked case: resources give the vector (1e-6), the vector gives the outputs (1e-5); null stands for NaN. */
export interface Golden {
  readonly name: string;
  readonly at: string;
  readonly patient?: Resource;
  readonly resources: readonly Resource[];
  readonly vector: readonly (number | null)[];
  readonly outputs: Readonly<Record<string, readonly number[]>>;
}

export interface CodedTerm {
  readonly system: string;
  readonly code: string;
}
/** A concept that rules ask for, by code, by the beginning of a code, or by phrases in lower case. */
export interface CodeSet {
  readonly display: string;
  readonly codes?: readonly CodedTerm[];
  readonly prefixes?: readonly CodedTerm[];
  readonly words?: readonly string[];
}
/** Codes and words that mean something to the features; models/vocabulary.json. */
export interface Vocabulary {
  readonly consciousness: readonly {
    readonly level: number;
    readonly shown: string;
    readonly codes: readonly CodedTerm[];
    readonly words: readonly string[];
  }[];
  /** GCS total of at least `from` is shown as this ACVPU level; highest first. */
  readonly gcs: readonly { readonly from: number; readonly level: number }[];
  readonly air: { readonly codes: readonly CodedTerm[]; readonly words: readonly string[] };
  readonly onOxygen: { readonly codes: readonly CodedTerm[] };
  readonly no: readonly CodedTerm[];
  readonly saturationTarget: { readonly measures: readonly CodedTerm[]; readonly low: number; readonly high: number };
  readonly pregnant: { readonly codes: readonly CodedTerm[]; readonly prefixes: readonly CodedTerm[] };
  /** Words that negate a phrase of `sets` after them. */
  readonly negations: readonly string[];
  readonly sets: Readonly<Record<string, CodeSet>>;
}
/** What a resource may be about, e.g. a systemic antibiotic; models/concepts.json. */
export interface Concept {
  readonly display: string;
  readonly kinds: readonly {
    readonly name: string;
    /** Found at the start of a word of the text. */
    readonly words: readonly string[];
    /** Codes, matched by their beginning in ICD-10-CM and whole elsewhere. */
    readonly codes: readonly CodedTerm[];
  }[];
  /** A text or code that names one of these is not read for this concept at all. */
  readonly except: readonly string[];
  readonly exceptCodes: readonly CodedTerm[];
}
export type Concepts = Readonly<Record<string, Concept>>;

/** models/esi.json. */
export interface EsiTable {
  readonly version: string;
  /** The edition that answers. */
  readonly use: EsiEdition['id'];
  readonly editions: readonly EsiEdition[];
  /** Codes and words of life-saving interventions, kinds of resource, and what is none. */
  readonly sets: Readonly<Record<string, CodeSet>>;
}
/** models/units.json. */
export interface UnitTable {
  /** Text of Quantity.unit that stands for a UCUM code when no code is given. */
  readonly aliases: Readonly<Record<string, string>>;
  /** value in `to` = value in `from` * factor. */
  readonly analytes: readonly {
    readonly analyte: string;
    readonly from: string;
    readonly to: string;
    readonly factor: number;
  }[];
}

export interface Schemas {
  readonly manifest: ValidateFunction<ModelManifest>;
  readonly card: ValidateFunction<ModelCard>;
  readonly golden: ValidateFunction<readonly Golden[]>;
  readonly vocabulary: ValidateFunction<Vocabulary>;
  readonly units: ValidateFunction<UnitTable>;
  readonly complaints: ValidateFunction<ComplaintTable>;
  readonly concepts: ValidateFunction<{ readonly concepts: Concepts }>;
  readonly esi: ValidateFunction<EsiTable>;
  readonly score: ValidateFunction<ScoreFile>;
  readonly reference: ValidateFunction<Reference>;
  readonly drift: ValidateFunction<DriftLimits>;
}

/** Contents of a file of the models folder. @throws Error that names the file but not the machine's path */
export function readModelFile(folder: string, file: string): Buffer {
  try {
    return readFileSync(join(folder, file));
  } catch (cause) {
    throw new Error(`${file} cannot be read`, { cause });
  }
}

function readJson(folder: string, file: string): unknown {
  try {
    return JSON.parse(readModelFile(folder, file).toString('utf8'));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new Error(`${file} is not JSON`, { cause });
    throw cause;
  }
}

function readSchema(folder: string, file: string): object {
  const schema = readJson(folder, file);
  if (typeof schema !== 'object' || schema === null) throw new TypeError(`\`models/${file}\` is not an object.`);
  return schema;
}

/** Compiled schemas of a models folder. @throws Error when a schema file is missing or malformed */
export function loadSchemas(folder: string): Schemas {
  const ajv = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true, strictTuples: false });
  const root = 'https://firewatch.invalid/models/schema.json';
  ajv.addSchema(readSchema(folder, 'schema.json'), root);
  const card = readSchema(folder, 'card-schema.json');
  return {
    manifest: ajv.compile<ModelManifest>({ $ref: `${root}#/definitions/manifest` }),
    golden: ajv.compile<readonly Golden[]>({ $ref: `${root}#/definitions/golden` }),
    vocabulary: ajv.compile<Vocabulary>({ $ref: `${root}#/definitions/vocabulary` }),
    units: ajv.compile<UnitTable>({ $ref: `${root}#/definitions/units` }),
    complaints: ajv.compile<ComplaintTable>({ $ref: `${root}#/definitions/complaints` }),
    concepts: ajv.compile<{ readonly concepts: Concepts }>({ $ref: `${root}#/definitions/concepts` }),
    esi: ajv.compile<EsiTable>({ $ref: `${root}#/definitions/esi` }),
    score: ajv.compile<ScoreFile>({ $ref: `${root}#/definitions/score` }),
    reference: ajv.compile<Reference>({ $ref: `${root}#/definitions/reference` }),
    drift: ajv.compile<DriftLimits>({ $ref: `${root}#/definitions/drift` }),
    card: ajv.compile<ModelCard>(card),
  };
}

const told = (errors: readonly ErrorObject[] | null | undefined): string =>
  (errors ?? [])
    .slice(0, 3)
    .map(({ instancePath, message }) => `${instancePath || '/'} ${message ?? 'is wrong'}`)
    .join('; ');

/**
 * A JSON file as the type its schema proves.
 * @throws Error naming the file (without its folder) and the first three violations
 */
export function readChecked<T>(folder: string, file: string, check: ValidateFunction<T>): T {
  const value: unknown = readJson(folder, file);
  if (check(value)) return value;
  throw new Error(`${file}: ${told(check.errors)}`);
}

/** A kept text as the type its schema proves; undefined when it is no JSON, or of another shape. */
export function jsonAs<T>(text: string, check: ValidateFunction<T>): T | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return check(value) ? value : undefined;
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}

/** Attributes that may say "not available", 170.315(b)(11)(v)(A)(2). */
const MAY_BE_UNAVAILABLE = new Set([17, 18, 19, 20, 23, 24, 25, 27, 29, 30, 31]);

/** Why a card is refused; empty when it is complete. */
export function cardProblems(card: ModelCard, manifest: ModelManifest): readonly string[] {
  const problems: string[] = [];
  if (card.model !== manifest.id || card.version !== manifest.version) {
    problems.push(`the card is for ${card.model} ${card.version}`);
  }
  const byNumber = new Map(card.attributes.map((attribute) => [attribute.number, attribute.value.trim()]));
  for (let number = 1; number <= 31; number++) {
    const value = byNumber.get(number) ?? '';
    if (value === '') problems.push(`attribute ${number} is missing`);
    else if (/^not available\.?$/i.test(value) && !MAY_BE_UNAVAILABLE.has(number)) {
      problems.push(`attribute ${number} must not be "not available"`);
    }
  }
  return problems;
}

const NEED_CODES: ReadonlySet<FeatureKind> = new Set(['latest-observation', 'aggregate']);

/** Contradictions inside a manifest that a schema cannot say; empty when there are none. */
export function manifestProblems(manifest: ModelManifest, concepts: Concepts): readonly string[] {
  const names = manifest.features.map(({ name }) => name);
  const results = manifest.outputs.filter(({ role }) => role === 'result').flatMap(({ columns }) => columns);
  const points = manifest.outputs.filter(({ role }) => role === 'points').flatMap(({ columns }) => columns);
  return [
    ...(new Set(names).size < names.length ? ['two features share a name'] : []),
    ...(new Set(results).size < results.length ? ['two result columns share a name'] : []),
    ...points.filter((column) => !names.includes(column)).map((column) => `points column ${column} is no feature`),
    ...manifest.bands
      .filter(({ output }) => !results.includes(output))
      .map(({ name }) => `band ${name} reads no result column`),
    ...manifest.features
      .filter(({ kind, codes }) => NEED_CODES.has(kind) && (codes ?? []).length === 0)
      .map(({ name }) => `feature ${name} names no code`),
    ...manifest.features
      .filter(({ kind, aggregate }) => kind === 'aggregate' && aggregate === undefined)
      .map(({ name }) => `feature ${name} names no aggregate`),
    ...manifest.features
      .filter(({ windowHours = 24, untilHours = 0 }) => untilHours >= windowHours)
      .map(({ name }) => `feature ${name} has an empty window`),
    ...manifest.features
      .filter(({ kind, concept }) => kind === 'record-count' && !Object.hasOwn(concepts, concept ?? ''))
      .map(({ name }) => `feature ${name} names no concept`),
  ];
}
