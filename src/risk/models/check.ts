/** Proves a model folder step by step, for whoever adds a model: `firewatch model check`. The same proofs keep a folder from answering at start. */
import { statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Knowledge } from '../features/pick.ts';
import { loadKnowledge } from '../knowledge.ts';
import { type Golden, loadSchemas, type ModelManifest, readChecked, type Schemas } from '../manifest.ts';
import { checkGolden, contractOf, explainerIn, readCard, readManifest, readOnnx } from './models.ts';
import { operatorsOf } from './onnx-file.ts';
import { type ModelSession, openRunner, openSession } from './session.ts';

/** One proof and what came of it. `noted`: it holds, but whoever adds the model should know. */
export interface Proof {
  readonly what:
    | 'folder'
    | 'manifest'
    | 'eligibility'
    | 'card'
    | 'graph'
    | 'tensors'
    | 'cases'
    | 'explanation'
    | 'speed';
  readonly state: 'holds' | 'noted' | 'fails';
  readonly told: string;
}

const RUNS = 2000;
/** A card is shown while a clinician waits: above this median, one call of several models is late. */
const SLOW_MS = 20;
const LARGEST_BYTES = 2_000_000;

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const holds = (what: Proof['what'], told: string): Proof => ({ what, state: 'holds', told });
const noted = (what: Proof['what'], told: string): Proof => ({ what, state: 'noted', told });
const fails = (what: Proof['what'], error: unknown): Proof => ({ what, state: 'fails', told: reasonOf(error) });

interface Ground {
  readonly folder: string;
  readonly schemas: Schemas;
  readonly knowledge: Knowledge;
}

/**
 * Every proof of `<models>/<id>/<version>`, in order; what needs a manifest or a graph is left out when that fails.
 * @param folder the folder of one version
 * @param models where schema.json, card-schema.json and the shared tables stand
 * @throws Error when those tables are missing or malformed
 */
export async function* checkModel(folder: string, models: string): AsyncGenerator<Proof> {
  const path = resolve(folder);
  const schemas = loadSchemas(models);
  const ground: Ground = { folder: path, schemas, knowledge: loadKnowledge(models, schemas) };
  const [id, version] = [basename(dirname(path)), basename(path)];
  if (!/^\d+\.\d+\.\d+$/.test(version)) {
    yield fails('folder', `\`${version}\` is no version: the folder must be <id>/<major.minor.patch>`);
    return;
  }
  let manifest: ModelManifest;
  try {
    manifest = readManifest(path, id, version, schemas, ground.knowledge);
  } catch (error) {
    yield fails('manifest', error);
    return;
  }
  yield holds('manifest', `${id} ${version}: ${manifest.features.length} inputs, ${manifest.bands.length} bands`);
  yield eligibility(manifest);
  yield card(manifest, ground);
  yield* graphProofs(manifest, ground);
}

/** Its contradictions are the manifest's; here it is said for whom the model would answer. */
function eligibility({ eligibility: rules = [], intendedPopulation }: ModelManifest): Proof {
  const { minAgeYears, maxAgeYears } = intendedPopulation;
  const ages =
    minAgeYears === undefined && maxAgeYears === undefined
      ? 'any age'
      : `${minAgeYears ?? 0} to ${maxAgeYears ?? 'any'} years`;
  if (rules.length === 0) return noted('eligibility', `${ages}, and no rule: the model answers for every such patient`);
  return holds('eligibility', `${ages}; ${rules.map(({ rule }) => rule).join(', ')}`);
}

function card(manifest: ModelManifest, { folder, schemas }: Ground): Proof {
  try {
    const { attributes } = readCard(folder, manifest, schemas);
    const silent = attributes.filter(({ value }) => /^not available\.?$/i.test(value.trim())).length;
    return holds('card', `31 source attributes, ${silent} of them "not available" as they may be`);
  } catch (error) {
    return fails('card', error);
  }
}

async function* graphProofs(manifest: ModelManifest, ground: Ground): AsyncGenerator<Proof> {
  let bytes: Uint8Array;
  try {
    bytes = readOnnx(ground.folder, manifest);
    const names = new Set(operatorsOf(bytes).map(({ name }) => name));
    const size = statSync(join(ground.folder, 'model.onnx')).size;
    const told = `${size} bytes, hash as in the manifest, no external data; operators ${[...names].toSorted().join(', ')}`;
    yield size > LARGEST_BYTES
      ? noted('graph', `${told}; above ${LARGEST_BYTES} bytes it loads slowly`)
      : holds('graph', told);
  } catch (error) {
    yield fails('graph', error);
    return;
  }
  let session: ModelSession;
  try {
    session = await openSession(bytes, contractOf(manifest), { now: () => 0, mode: 'inline' });
    yield holds(
      'tensors',
      `${manifest.input.tensor} [1, ${manifest.features.length}] -> ${outputsOf(manifest)}, float32`,
    );
  } catch (error) {
    yield fails('tensors', error);
    return;
  }
  try {
    yield* cases(manifest, session, ground);
  } finally {
    await session.close();
  }
  yield explainerIn(bytes) === undefined
    ? noted('explanation', 'no boosted trees with covers: cards show the inputs, not what each of them adds')
    : holds('explanation', 'exact contributions of the inputs (TreeSHAP)');
  yield await speed(bytes, manifest);
}

const outputsOf = ({ outputs }: ModelManifest): string =>
  outputs.map(({ tensor, columns }) => `${tensor} [1, ${columns.length}]`).join(', ');

/** Each worked case; then what the cases leave untried. */
async function* cases(
  manifest: ModelManifest,
  session: ModelSession,
  { folder, schemas, knowledge }: Ground,
): AsyncGenerator<Proof> {
  let goldens: readonly Golden[];
  try {
    goldens = readChecked(folder, 'golden.json', schemas.golden);
    for (const golden of goldens) await checkGolden(golden, manifest, session, knowledge);
  } catch (error) {
    yield fails('cases', error);
    return;
  }
  const untried = [
    ...(manifest.features.every(({ required }) => required) || goldens.some(({ vector }) => vector.includes(null))
      ? []
      : ['an input that is missing']),
    ...manifest.features.filter((_, at) => goldens.every(({ vector }) => vector[at] === null)).map(({ name }) => name),
  ];
  const told = `${goldens.length} worked cases: resources give the vector, the vector the outputs`;
  if (untried.length === 0) yield holds('cases', told);
  else
    yield noted(
      'cases',
      `${told}; none of them tries ${untried.slice(0, 5).join(', ')}${untried.length > 5 ? ` and ${untried.length - 5} more` : ''}`,
    );
}

/** p50 and p99 of single runs in this process, ms, after warming up. A measurement of this machine at this moment, not a limit. */
async function speed(bytes: Uint8Array, manifest: ModelManifest): Promise<Proof> {
  const runner = await openRunner(bytes, contractOf(manifest));
  const vector = new Float32Array(manifest.features.length).fill(Number.NaN);
  const times: number[] = [];
  const until = performance.now() + 5000;
  for (let run = 0; run < RUNS && performance.now() < until; run++) {
    const from = performance.now();
    await runner.run(vector);
    times.push(performance.now() - from);
  }
  await runner.close();
  const sorted = times.slice(Math.min(100, times.length >> 1)).toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  const told = `one run p50 ${at(0.5).toFixed(3)} ms, p99 ${at(0.99).toFixed(3)} ms (${sorted.length} runs, this machine, one thread)`;
  return at(0.5) > SLOW_MS ? noted('speed', `${told}: runs in a worker, and calls may be late`) : holds('speed', told);
}
