/** One engine for every score file: inputs -> points of items -> results. What is missing adds no points and makes the total a lower bound. */
import { featuresOf, outsidePopulation } from '../assess.ts';
import type { Assessment, Evidence, MissingInput, UsedInput } from '../assessment.ts';
import { effectiveAt, type Feature, roundTo } from '../features/observation.ts';
import { DEFAULT_HOURS, type Knowledge } from '../features/pick.ts';
import { statementOf } from '../features/statement.ts';
import type { FeatureSpec } from '../manifest.ts';
import type { Values } from './formula.ts';
import type { Score, ScoreChange, ScoreItem } from './score-file.ts';

type Scores = ReadonlyMap<string, Score>;
const HOUR_MS = 3_600_000;

interface Points {
  readonly points: number;
  /** False when something missing could still change it. */
  readonly settled: boolean;
}

function pointsOf(item: ScoreItem, values: Values, { formulas }: Score): Points {
  if ('bands' in item) {
    const value = values.get(item.input) ?? Number.NaN;
    if (Number.isNaN(value)) return { points: 0, settled: false };
    const band = item.bands.find(
      ({ to = Number.POSITIVE_INFINITY, below = Number.POSITIVE_INFINITY }) => value <= to && value < below,
    );
    return { points: band?.points ?? item.bands.at(-1)?.points ?? 0, settled: true };
  }
  if ('formula' in item) {
    const value = formulas.get(item.formula)?.evaluate(values) ?? Number.NaN;
    return Number.isNaN(value) ? { points: 0, settled: false } : { points: value, settled: true };
  }
  let settled = true;
  for (const { when, points } of item.rows) {
    const holds = formulas.get(when)?.evaluate(values) ?? Number.NaN;
    if (Number.isNaN(holds)) settled = false;
    else if (holds !== 0) return { points, settled };
  }
  return { points: 0, settled };
}

interface Scored {
  readonly features: readonly Feature[];
  /** Values of inputs, then of changes. */
  readonly vector: readonly number[];
  /** Points by item name. */
  readonly points: ReadonlyMap<string, number>;
  readonly outputs: Readonly<Record<string, number>>;
  readonly atLeast: boolean;
}

async function scored(score: Score, evidence: Evidence, knowledge: Knowledge, scores: Scores): Promise<Scored> {
  const { file } = score;
  const features = featuresOf(file, evidence, knowledge);
  const vector = features.map(({ value }) => value);
  for (const change of file.changes ?? []) {
    const around = features[file.features.findIndex(({ name }) => name === change.around)]?.at;
    vector.push(around === undefined ? Number.NaN : await rise(change, around, evidence, knowledge, scores));
  }
  return { features, vector, ...resultOf(score, vector) };
}

/** What a score makes of its inputs and changes, in the order of the file; NaN is missing. */
function resultOf(score: Score, vector: readonly number[]): Pick<Scored, 'points' | 'outputs' | 'atLeast'> {
  const { file, formulas } = score;
  const names = [...file.features, ...(file.changes ?? [])].map(({ name }) => name);
  const values = new Map<string, number>(names.map((name, index) => [name, vector[index] ?? Number.NaN]));
  for (const { name, formula } of file.derived ?? [])
    values.set(name, formulas.get(formula)?.evaluate(values) ?? Number.NaN);
  const items = file.items.map((item) => ({ name: item.name, ...pointsOf(item, values, score) }));
  const points = new Map(items.map((item) => [item.name, item.points]));
  const total = items.reduce((sum, item) => sum + item.points, 0);
  const all = new Map([...values, ...points, ['points', total] as const]);
  const outputs = file.results.flatMap(({ name, formula, decimals }) => {
    const value = formulas.get(formula)?.evaluate(all) ?? Number.NaN;
    return Number.isFinite(value) ? [[name, decimals === undefined ? value : roundTo(value, decimals)] as const] : [];
  });
  return { points, outputs: Object.fromEntries(outputs), atLeast: items.some(({ settled }) => !settled) };
}

/** The results of a vector that was kept; undefined when it is of another form. */
export function rescoredFile(
  score: Score,
  kept: readonly (number | null)[],
): Readonly<Record<string, number>> | undefined {
  const { features, changes = [] } = score.file;
  if (kept.length !== features.length + changes.length) return undefined;
  return resultOf(
    score,
    kept.map((value) => value ?? Number.NaN),
  ).outputs;
}

/** Hours between two evaluations of a total over time; each looks back over its own windows, 24 h for SOFA. */
const STEP_HOURS = 6;

/** Lets other requests be answered between two evaluations, each of which takes a few ms for thousands of Observations. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The record as far as a score can look back from an instant: Observations outside its longest window left out, dated once for all instants. */
function lookback({ file }: Score, { resources, ...rest }: Evidence): (at: number) => Evidence {
  const longest = Math.max(24, ...file.features.map(({ windowHours = 0, pair }) => windowHours + (pair?.hours ?? 0)));
  const dated = resources.map((resource) => ({
    resource,
    when: resource.resourceType === 'Observation' ? effectiveAt(resource) : undefined,
  }));
  return (at) => ({
    ...rest,
    at,
    resources: dated.flatMap(({ resource, when }) =>
      when === undefined || (when <= at && when > at - longest * HOUR_MS) ? [resource] : [],
    ),
  });
}

/** Highest total in the window, evaluated every 6 h and at its end, minus the total at its beginning; what is missing, or failed long before, counts 0 in both. */
async function rise(
  change: ScoreChange,
  around: number,
  evidence: Evidence,
  knowledge: Knowledge,
  scores: Scores,
): Promise<number> {
  const score = scores.get(change.score);
  if (score === undefined) return Number.NaN;
  const from = around + change.fromHours * HOUR_MS;
  const end = Math.min(around + change.toHours * HOUR_MS, evidence.at);
  const recordAt = lookback(score, evidence);
  const failedBefore = new Set(
    (change.preexisting ?? [])
      .filter(({ set }) => statementOf(set, evidence, knowledge.vocabulary) !== undefined)
      .map(({ item }) => item),
  );
  const totalAt = async (at: number): Promise<number> => {
    await breathe();
    const { points } = await scored(score, recordAt(at), knowledge, scores);
    return [...points].reduce((sum, [item, each]) => (failedBefore.has(item) ? sum : sum + each), 0);
  };
  const before = await totalAt(from);
  let highest = Math.max(before, await totalAt(end));
  for (let at = from + STEP_HOURS * HOUR_MS; at < end; at += STEP_HOURS * HOUR_MS) {
    highest = Math.max(highest, await totalAt(at));
  }
  return highest - before;
}

/** `Mean arterial pressure, lowest of 24 h`: which reading of a window counts, where it is not the latest. */
function chosenOf({ display, choose, windowHours = DEFAULT_HOURS }: FeatureSpec): string {
  return choose === undefined || choose === 'latest' ? display : `${display}, ${CHOSEN[choose]} of ${windowHours} h`;
}
const CHOSEN = { first: 'first', min: 'lowest', max: 'highest' } as const;

function used({ file }: Score, { features, points }: Scored): readonly UsedInput[] {
  return file.features.flatMap((spec, index) => {
    const feature = features[index];
    if (feature === undefined || Number.isNaN(feature.value)) return [];
    const given = points.get(spec.name);
    return [
      {
        name: spec.name,
        display: chosenOf(spec),
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

function missing({ file }: Score, { features }: Scored): readonly MissingInput[] {
  return file.features.flatMap((spec, index) => {
    const reason = features[index]?.reason;
    if (reason === undefined) return [];
    return [{ name: spec.name, display: spec.display, reason, ...(spec.required ? {} : { optional: true as const }) }];
  });
}

/** The highest band that is reached; with something missing, only one that not every total reaches. */
function band({ file }: Score, { outputs, atLeast }: Scored): string | undefined {
  const lowest = file.lowest ?? 0;
  return file.bands.find(({ output, from }) => (outputs[output] ?? Number.NaN) >= from && (!atLeast || from > lowest))
    ?.name;
}

/**
 * One patient scored by one score file at one instant. Outside the population, or with more required inputs missing than `maxMissing`,
 * there is no output. `parts` are the points of the items, also of those that are no input of their own.
 */
export async function assessScore(
  score: Score,
  evidence: Evidence,
  knowledge: Knowledge,
  scores: Scores,
): Promise<Assessment> {
  const { file, sha256 } = score;
  const base = { model: { id: file.id, version: file.version, sha256 }, answeredBy: 'model' as const };
  const outside = outsidePopulation(file, evidence, knowledge);
  if (outside !== undefined) {
    return { ...base, outputs: {}, atLeast: false, band: undefined, used: [], missing: [], outsidePopulation: outside };
  }
  const found = await scored(score, evidence, knowledge, scores);
  const lacking = missing(score, found);
  if (lacking.filter(({ optional }) => optional === undefined).length > file.maxMissing) {
    return {
      ...base,
      outputs: {},
      atLeast: true,
      band: undefined,
      used: used(score, { ...found, points: new Map() }),
      missing: lacking,
    };
  }
  return {
    ...base,
    outputs: found.outputs,
    atLeast: found.atLeast,
    band: band(score, found),
    parts: Object.fromEntries(found.points),
    vector: found.vector.map((value) => (Number.isNaN(value) ? null : value)),
    vectorUnits: [...file.features.map(({ unit }) => unit), ...(file.changes ?? []).map(() => '{score}')],
    used: used(score, found),
    missing: lacking,
  };
}
