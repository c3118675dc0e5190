/** Resources + manifest + instant -> Assessment. No clinical failure throws: the stand-in answers, or nothing is said and why. */
import type { Assessment, Evidence, MissingInput, UsedInput } from './assessment.ts';
import { ineligible } from './eligibility.ts';
import { readFeature } from './features/features.ts';
import type { Feature } from './features/observation.ts';
import type { Knowledge } from './features/pick.ts';
import { ofOneMoment } from './features/simultaneity.ts';
import type { FeatureSpec, ModelManifest } from './manifest.ts';
import type { ModelSession, Tensors } from './models/session.ts';
import type { Explainer } from './models/tree-shap.ts';
import { fallbackOutputs } from './scores/stand-ins.ts';

/** A model as loaded: the session that answers, or why it does not. */
export interface ReadyModel {
  readonly manifest: ModelManifest;
  readonly session: ModelSession | undefined;
  /** For boosted trees: what each input adds to an answer. */
  readonly explainer: Explainer | undefined;
  /** Why the session is absent. */
  readonly reason: string | undefined;
}

/** The inputs of a model in the manifest's order, those that are too old beside the others left out. */
export function featuresOf(
  file: Pick<ModelManifest, 'features' | 'simultaneity'>,
  evidence: Evidence,
  knowledge: Knowledge,
): readonly Feature[] {
  const read = file.features.map((spec) => readFeature(spec, evidence, knowledge));
  return ofOneMoment(file, read, evidence.at);
}

/** Years of age at which the population begins or ends; the specification of the age that decides it. */
function ageSpec({ minAgeYears, maxAgeYears }: ModelManifest['intendedPopulation']): FeatureSpec {
  const cuts = [minAgeYears, maxAgeYears === undefined ? undefined : maxAgeYears + 1].filter(
    (cut) => cut !== undefined,
  );
  return { name: 'age', display: 'Age', kind: 'age', unit: 'a', cuts, required: true };
}
const PREGNANCY: FeatureSpec = {
  name: 'pregnancy',
  display: 'Pregnancy',
  kind: 'pregnancy',
  codes: ['82810-3'],
  unit: '1',
  windowHours: 42 * 7 * 24,
  required: false,
};

/** Why the model is not run for this patient; undefined within its population. Pregnancy counts when recorded; then `eligibility` is judged. */
export function outsidePopulation(
  {
    intendedPopulation,
    population,
    eligibility = [],
    features,
  }: Pick<ModelManifest, 'intendedPopulation' | 'population' | 'eligibility' | 'features'>,
  evidence: Evidence,
  knowledge: Knowledge,
): string | undefined {
  const { minAgeYears, maxAgeYears, excludes } = intendedPopulation;
  if (minAgeYears !== undefined || maxAgeYears !== undefined) {
    const age = readFeature(ageSpec(intendedPopulation), evidence, knowledge);
    if (age.reason !== undefined) return `age is not certain (${age.reason}); intended for ${population}`;
    if (age.value < (minAgeYears ?? 0)) return `younger than ${minAgeYears} years; intended for ${population}`;
    if (age.value > (maxAgeYears ?? Number.POSITIVE_INFINITY)) {
      return `older than ${maxAgeYears} years; intended for ${population}`;
    }
  }
  if (excludes.includes('pregnancy') && readFeature(PREGNANCY, evidence, knowledge).value === 1) {
    return `recorded as pregnant; intended for ${population}`;
  }
  return ineligible(eligibility, evidence, knowledge, features);
}

interface Answer {
  readonly by: 'model' | 'fallback';
  readonly reason: string | undefined;
  /** Undefined when the model failed and no stand-in exists. */
  readonly tensors: Tensors | undefined;
}

function wellFormed(manifest: ModelManifest, tensors: Tensors): boolean {
  return manifest.outputs.every(
    ({ tensor, columns }) =>
      tensors[tensor]?.length === columns.length && tensors[tensor].every((value) => Number.isFinite(value)),
  );
}

async function answer({ manifest, session, reason }: ReadyModel, vector: readonly number[], deadlineAt: number) {
  const standIn = (why: string): Answer => ({
    by: 'fallback',
    reason: why,
    tensors: fallbackOutputs(manifest.fallback, vector),
  });
  if (session === undefined) return standIn(reason ?? 'the model is not loaded');
  try {
    const tensors = await session.run(Float32Array.from(vector), deadlineAt);
    if (!wellFormed(manifest, tensors)) return standIn('the model gave no finite answer');
    return { by: 'model', reason: undefined, tensors } satisfies Answer;
  } catch (error) {
    return standIn(error instanceof Error ? error.message : 'the model failed');
  }
}

/** Values of the columns of one role, by column name. */
function columnsOf(
  manifest: ModelManifest,
  tensors: Tensors,
  role: 'points' | 'result',
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    manifest.outputs
      .filter((output) => output.role === role)
      .flatMap(({ tensor, columns }) =>
        columns.map((column, index) => [column, tensors[tensor]?.[index] ?? Number.NaN] as const),
      ),
  );
}

/** The highest band whose output reaches it. With inputs missing, a band that every value reaches (from 0) says nothing and is not given. */
export function bandOf(
  manifest: Pick<ModelManifest, 'bands'>,
  outputs: Readonly<Record<string, number>>,
  atLeast: boolean,
): string | undefined {
  return manifest.bands.find(({ output, from }) => (outputs[output] ?? Number.NaN) >= from && (!atLeast || from > 0))
    ?.name;
}

function usedInputs(
  manifest: ModelManifest,
  features: readonly Feature[],
  points: Readonly<Record<string, number>>,
): readonly UsedInput[] {
  return manifest.features.flatMap((spec, index) => {
    const feature = features[index];
    if (feature === undefined || Number.isNaN(feature.value)) return [];
    const given = points[spec.name];
    return [
      {
        name: spec.name,
        display: spec.display,
        value: feature.shown ?? feature.value,
        unit: feature.shown === undefined ? spec.unit : '',
        at: feature.at,
        source: feature.source,
        ...(given === undefined ? {} : { points: given }),
        ...(feature.note === undefined ? {} : { note: feature.note }),
      },
    ];
  });
}

function missingInputs(manifest: ModelManifest, features: readonly Feature[]): readonly MissingInput[] {
  return manifest.features.flatMap((spec, index) => {
    const reason = features[index]?.reason;
    if (reason === undefined) return [];
    return [{ name: spec.name, display: spec.display, reason, ...(spec.required ? {} : { optional: true as const }) }];
  });
}

/**
 * One patient scored by one model at one instant.
 * Outside the intended population, or with more required inputs missing than `maxMissing`, the model is not run and `outputs` is empty.
 * `deadlineAt` in ms since 1970. Never rejects.
 */
export async function assess(
  model: ReadyModel,
  evidence: Evidence,
  knowledge: Knowledge,
  deadlineAt: number,
): Promise<Assessment> {
  const { manifest } = model;
  const identity = { id: manifest.id, version: manifest.version, sha256: manifest.sha256 };
  const unrun = {
    model: identity,
    ...answeredBy(model.session === undefined ? 'fallback' : 'model', model.reason),
    outputs: {},
    band: undefined,
  };
  const outside = outsidePopulation(manifest, evidence, knowledge);
  if (outside !== undefined) return { ...unrun, atLeast: false, used: [], missing: [], outsidePopulation: outside };

  const features = featuresOf(manifest, evidence, knowledge);
  const missing = missingInputs(manifest, features);
  if (missing.filter(({ optional }) => optional === undefined).length > manifest.maxMissing) {
    return { ...unrun, atLeast: true, used: usedInputs(manifest, features, {}), missing };
  }
  const vector = features.map(({ value }) => value);
  const { by, reason, tensors } = await answer(model, vector, deadlineAt);
  const outputs = tensors === undefined ? {} : columnsOf(manifest, tensors, 'result');
  const atLeast = (outputs.missing ?? missing.filter(({ optional }) => optional === undefined).length) > 0;
  return {
    model: identity,
    ...answeredBy(by, reason),
    outputs,
    atLeast,
    band: bandOf(manifest, outputs, atLeast),
    vector: vector.map((value) => (Number.isNaN(value) ? null : value)),
    used: usedInputs(manifest, features, tensors === undefined ? {} : columnsOf(manifest, tensors, 'points')),
    missing,
    ...(by === 'model' && model.explainer !== undefined ? explained(manifest, model.explainer, vector) : {}),
  };
}

/** Contributions above a thousandth of log-odds, largest first. */
function explained(manifest: ModelManifest, explainer: Explainer, vector: readonly number[]): Partial<Assessment> {
  const logOdds = explainer.contributions(vector);
  const contributions = manifest.features
    .map(({ name, display }, index) => ({ name, display, logOdds: logOdds[index] ?? 0 }))
    .filter((one) => Math.abs(one.logOdds) >= 0.001)
    .toSorted((a, b) => Math.abs(b.logOdds) - Math.abs(a.logOdds));
  return { baseline: explainer.expected, contributions };
}

/** The results of a kept vector, by graph or stand-in as it was answered then; undefined when it gives none. */
export async function rescored(
  { manifest, session }: ReadyModel,
  by: Assessment['answeredBy'],
  kept: readonly (number | null)[],
): Promise<Readonly<Record<string, number>> | undefined> {
  const vector = kept.map((value) => value ?? Number.NaN);
  if (vector.length !== manifest.features.length) return undefined;
  if (by === 'fallback') {
    const tensors = fallbackOutputs(manifest.fallback, vector);
    return tensors && columnsOf(manifest, tensors, 'result');
  }
  const tensors = await session?.run(Float32Array.from(vector), Number.POSITIVE_INFINITY);
  return tensors && columnsOf(manifest, tensors, 'result');
}

function answeredBy(by: 'model' | 'fallback', reason: string | undefined) {
  if (by === 'model') return { answeredBy: by };
  return { answeredBy: by, fallbackReason: reason ?? 'the model is not loaded', confidence: 'low' as const };
}
