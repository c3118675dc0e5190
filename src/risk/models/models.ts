/** Loads models/<id>/<version>/, proves each folder before it may answer, and keeps the stand-ins for those that fail. Decision 0005. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fhirError } from '../../fhir/outcome.ts';
import { intervalOf } from '../../fhir/time.ts';
import { assess, featuresOf, type ReadyModel, rescored } from '../assess.ts';
import type { Assessment, Manifest, Models } from '../assessment.ts';
import { eligibilityProblems } from '../eligibility.ts';
import type { Knowledge } from '../features/pick.ts';
import { type InputSpans, inputSpans, withSpan } from '../features/simultaneity.ts';
import { loadKnowledge } from '../knowledge.ts';
import {
  cardProblems,
  type Golden,
  loadSchemas,
  type ModelCard,
  type ModelManifest,
  manifestProblems,
  readChecked,
  readModelFile,
  type Schemas,
} from '../manifest.ts';
import { withoutOwnOutput } from '../own-output.ts';
import { assessScore, rescoredFile } from '../scores/score.ts';
import { keptScore, loadScores, type Score } from '../scores/score-file.ts';
import { isFallback } from '../scores/stand-ins.ts';
import { refuseUnsafeOnnx } from './onnx-file.ts';
import { type ModelSession, openSession, type RunnerContract, type SessionOptions } from './session.ts';
import { treeEnsembleOf } from './tree-ensemble.ts';
import { type Explainer, explainerOf } from './tree-shap.ts';

/** Largest differences of a golden case. */
const VECTOR_TOLERANCE = 1e-6;
const OUTPUT_TOLERANCE = 1e-5;

/** What loading needs: the clock (ms since 1970), how sessions run, and how far apart the site lets inputs lie (`news2=90`). */
export interface ModelOptions extends SessionOptions {
  readonly within?: readonly string[];
}

export interface LoadedModels extends Models {
  /** Source attributes by `id|version`, every version on disk whose card is complete. */
  readonly cards: ReadonlyMap<string, ModelCard>;
  /** What features and rules of eligibility are read with. */
  readonly knowledge: Knowledge;
}

interface Entry {
  readonly id: string;
  readonly version: string;
  /** Undefined when the manifest itself is unreadable: then nothing can be said. */
  readonly model: ReadyModel | undefined;
  readonly reason: string | undefined;
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const foldersIn = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));

const VERSION = /^\d+\.\d+\.\d+$/;

/** Model id -> versions on disk, lowest first. */
export function versionsOnDisk(folder: string): ReadonlyMap<string, readonly string[]> {
  const found = foldersIn(folder).map((id) => {
    const versions = foldersIn(join(folder, id)).filter((version) => VERSION.test(version));
    return [id, versions] as const;
  });
  return new Map(found.filter(([, versions]) => versions.length > 0));
}

/** The manifest of a folder. @throws Error with every contradiction: id, version, features, outputs, stand-in, eligibility */
export function readManifest(
  folder: string,
  id: string,
  version: string,
  schemas: Schemas,
  { vocabulary, concepts }: Knowledge,
): ModelManifest {
  const manifest = readChecked(folder, 'manifest.json', schemas.manifest);
  const problems = [
    ...(manifest.id === id && manifest.version === version ? [] : [`it is for ${manifest.id} ${manifest.version}`]),
    ...(isFallback(manifest.fallback) ? [] : [`fallback ${manifest.fallback} is not known`]),
    ...manifestProblems(manifest, concepts),
    ...eligibilityProblems(manifest.eligibility ?? [], vocabulary, manifest.features),
  ];
  if (problems.length > 0) throw new Error(`manifest.json: ${problems.join('; ')}`);
  return manifest;
}

/** The card of a folder. @throws Error with the first attributes that are wrong */
export function readCard(folder: string, manifest: ModelManifest, schemas: Schemas): ModelCard {
  const card = readChecked(folder, 'card.json', schemas.card);
  const problems = cardProblems(card, manifest);
  if (problems.length > 0) throw new Error(`card.json: ${problems.slice(0, 3).join('; ')}`);
  return card;
}

/** Bytes of model.onnx. @throws Error on another hash, on external data, or when it is no ONNX file */
export function readOnnx(folder: string, manifest: ModelManifest): Uint8Array {
  const bytes = new Uint8Array(readModelFile(folder, 'model.onnx'));
  if (createHash('sha256').update(bytes).digest('hex') !== manifest.sha256) {
    throw new Error('model.onnx: the hash is not the one in the manifest');
  }
  refuseUnsafeOnnx(bytes);
  return bytes;
}

/** What the manifest says of the tensors. */
export const contractOf = ({ input, features, outputs }: ModelManifest): RunnerContract => ({
  input: { tensor: input.tensor, width: features.length },
  outputs: outputs.map(({ tensor, columns }) => ({ tensor, width: columns.length })),
});

const close = (a: number, b: number, tolerance: number): boolean =>
  (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(a - b) <= tolerance;

const sameValues = (found: readonly number[], wanted: readonly (number | null)[], tolerance: number): boolean =>
  found.length === wanted.length && found.every((value, index) => close(value, wanted[index] ?? Number.NaN, tolerance));

/** Runs a golden case twice: resources -> vector, vector -> outputs. @throws Error naming the case and the step */
export async function checkGolden(
  golden: Golden,
  manifest: ModelManifest,
  session: ModelSession,
  knowledge: Knowledge,
): Promise<void> {
  const at = intervalOf(golden.at)?.low;
  if (at === undefined) throw new Error(`golden.json: ${golden.name}: \`at\` is no instant`);
  const evidence = { patient: golden.patient, resources: golden.resources, at };
  const vector = featuresOf(manifest, evidence, knowledge).map(({ value }) => value);
  if (!sameValues(vector, golden.vector, VECTOR_TOLERANCE)) {
    throw new Error(`golden.json: ${golden.name}: the resources give another vector`);
  }
  const given = Float32Array.from(golden.vector, (value) => value ?? Number.NaN);
  const outputs = await session.run(given, Number.POSITIVE_INFINITY);
  for (const [tensor, wanted] of Object.entries(golden.outputs)) {
    if (!sameValues(outputs[tensor] ?? [], wanted, OUTPUT_TOLERANCE)) {
      throw new Error(`golden.json: ${golden.name}: the vector gives another ${tensor}`);
    }
  }
}

interface Proven {
  readonly session: ModelSession;
  readonly explainer: Explainer | undefined;
}

/** Contributions of a file of boosted trees; none for any other graph. */
export function explainerIn(bytes: Uint8Array): Explainer | undefined {
  const trees = treeEnsembleOf(bytes);
  return trees === undefined ? undefined : explainerOf(trees);
}

/** The session of a folder whose card, file, tensors and golden cases all hold. @throws Error with the first reason that they do not */
async function provenSession(
  folder: string,
  manifest: ModelManifest,
  schemas: Schemas,
  knowledge: Knowledge,
  options: ModelOptions,
): Promise<Proven> {
  readCard(folder, manifest, schemas);
  const goldens = readChecked(folder, 'golden.json', schemas.golden);
  const bytes = readOnnx(folder, manifest);
  const session = await openSession(bytes, contractOf(manifest), options);
  try {
    for (const golden of goldens) await checkGolden(golden, manifest, session, knowledge);
    return { session, explainer: explainerIn(bytes) };
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function loadEntry(
  root: string,
  id: string,
  version: string,
  schemas: Schemas,
  knowledge: Knowledge,
  options: ModelOptions,
): Promise<Entry> {
  const folder = join(root, id, version);
  let manifest: ModelManifest;
  try {
    manifest = readManifest(folder, id, version, schemas, knowledge);
  } catch (error) {
    return { id, version, model: undefined, reason: reasonOf(error) };
  }
  try {
    const { session, explainer } = await provenSession(folder, manifest, schemas, knowledge, options);
    const model = { manifest, session, explainer, reason: undefined };
    return { id, version, model, reason: undefined };
  } catch (error) {
    const reason = reasonOf(error);
    return { id, version, model: { manifest, session: undefined, explainer: undefined, reason }, reason };
  }
}

/** The golden cases have proven the folder as delivered; from here on it answers as the site has set it. */
const spannedEntry = (entry: Entry, model: ReadyModel, spans: InputSpans): Entry => {
  return { ...entry, model: { ...model, manifest: withSpan(model.manifest, spans) } };
};

/** Cards of every version on disk that are complete; the links on cards name the version they were made with. */
function loadCards(root: string, schemas: Schemas, knowledge: Knowledge): ReadonlyMap<string, ModelCard> {
  const cards = new Map<string, ModelCard>();
  for (const [id, versions] of versionsOnDisk(root)) {
    for (const version of versions) {
      try {
        const folder = join(root, id, version);
        cards.set(`${id}|${version}`, readCard(folder, readManifest(folder, id, version, schemas, knowledge), schemas));
      } catch {
        // Said by status(): the same refusal keeps the model from answering.
      }
    }
  }
  return cards;
}

/** An Assessment that says nothing, for a model whose manifest cannot be read. */
function silent({ id, version, reason }: Entry): Assessment {
  return {
    model: { id, version, sha256: '' },
    answeredBy: 'fallback',
    fallbackReason: reason ?? 'the model is not loaded',
    confidence: 'low',
    outputs: {},
    atLeast: false,
    band: undefined,
    used: [],
    missing: [],
  };
}

/**
 * Loads the highest version of each model of a folder. A folder that fails any check (schema, card, hash, external data, tensors, golden
 * cases) does not stop the others: its stand-in answers, and `status()` says why.
 * @throws Error when the folder, its schemas, vocabulary.json or units.json are missing or malformed; TypeError for a span of a model that is not there
 */
export async function loadModels(folder: string, options: ModelOptions): Promise<LoadedModels> {
  const schemas = loadSchemas(folder);
  const knowledge = loadKnowledge(folder, schemas);
  const entries = new Map<string, Entry>();
  for (const [id, versions] of versionsOnDisk(folder)) {
    const version = versions.at(-1);
    if (version !== undefined) {
      entries.set(id, await loadEntry(folder, id, version, schemas, knowledge, options));
    }
  }
  const scores = existsSync(join(folder, 'scores'))
    ? new Map(loadScores(join(folder, 'scores'), schemas.score, knowledge.vocabulary))
    : new Map<string, Score>();
  const twice = [...scores.keys()].find((id) => entries.has(id));
  if (twice !== undefined) throw new Error(`Model \`${twice}\` is both a graph and a score file.`);
  const spans = inputSpans(options.within ?? [], new Set([...entries.keys(), ...scores.keys()]));
  for (const [id, entry] of entries)
    if (entry.model !== undefined) entries.set(id, spannedEntry(entry, entry.model, spans));
  for (const [id, score] of scores) scores.set(id, { ...score, file: withSpan(score.file, spans) });
  const loaded = [...entries.values()].flatMap(({ model }) => (model === undefined ? [] : [model]));
  return {
    manifests: new Map([
      ...loaded.map(({ manifest }): [string, Manifest] => [manifest.id, manifest]),
      ...[...scores].map(([id, { file, sha256 }]): [string, Manifest] => [id, { ...file, sha256 }]),
    ]),
    cards: loadCards(folder, schemas, knowledge),
    knowledge,
    async assess(modelId, given, deadlineAt) {
      const evidence = { ...given, resources: withoutOwnOutput(given.resources) };
      const score = scores.get(modelId);
      if (score !== undefined) return assessScore(score, evidence, knowledge, scores);
      const entry = entries.get(modelId);
      if (entry === undefined) throw fhirError('not-found', `Model \`${modelId}\` is not known.`);
      return entry.model === undefined ? silent(entry) : assess(entry.model, evidence, knowledge, deadlineAt);
    },
    scoreFile({ id, sha256 }) {
      const score = scores.get(id);
      return score?.sha256 === sha256 ? score.text : undefined;
    },
    async rescore({ id, version, sha256 }, answeredBy, vector, file) {
      const score = file === undefined ? scores.get(id) : keptScore(file, sha256, schemas.score);
      if (score !== undefined) {
        const isThat = score.file.id === id && score.file.version === version && score.sha256 === sha256;
        return isThat ? rescoredFile(score, vector) : undefined;
      }
      if (file !== undefined) return undefined;
      const current = entries.get(id)?.model;
      if (current?.manifest.version === version && current.manifest.sha256 === sha256) {
        return rescored(current, answeredBy, vector);
      }
      if (!(versionsOnDisk(folder).get(id) ?? []).includes(version)) return undefined;
      const { model } = await loadEntry(folder, id, version, schemas, knowledge, options);
      if (model?.manifest.sha256 !== sha256) return undefined;
      try {
        return await rescored(model, answeredBy, vector);
      } finally {
        await model.session?.close();
      }
    },
    status: () =>
      [...entries.values()].map(({ id, version, model, reason }) => {
        const why = reason ?? model?.session?.failure;
        return { id, version, ready: why === undefined, ...(why === undefined ? {} : { reason: why }) };
      }),
    async close() {
      await Promise.all(loaded.map(({ session }) => session?.close()));
    },
  };
}
