/** What the pages show of models, scores and drug knowledge, read once from the same files that answer. Shapes: models/schema.json, docs/models.md, knowledge/SOURCE.md. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isJsonObject, type JsonObject } from '../fhir/resource.ts';
import { DRUG_SAFETY } from '../risk/drugs/finding.ts';
import { spanOf, withSpan } from '../risk/features/simultaneity.ts';
import { loadKnowledge } from '../risk/knowledge.ts';
import {
  cardProblems,
  type EsiTable,
  loadSchemas,
  type ModelCard,
  type ModelManifest,
  readChecked,
  readModelFile,
  type Schemas,
} from '../risk/manifest.ts';
import { versionsOnDisk } from '../risk/models/models.ts';
import { loadScores, type ScoreFile } from '../risk/scores/score-file.ts';
import { type EsiEdition, esiId } from '../risk/triage/esi.ts';

interface Entry {
  readonly id: string;
  readonly version: string;
  readonly title: string;
  readonly sha256: string;
}
/** A folder of models: graph, manifest, card, and what an evaluation has written beside them. */
export interface GraphEntry extends Entry {
  readonly kind: 'graph';
  readonly manifest: ModelManifest;
  /** undefined when the card is refused: then the model does not answer either. */
  readonly card: ModelCard | undefined;
  /** evaluation.json, whose shape is the evaluation's own. */
  readonly evaluation: JsonObject | undefined;
  /** SVG texts by file name. */
  readonly plots: ReadonlyMap<string, string>;
}
/** A published score as a file of tables. */
export interface ScoreEntry extends Entry {
  readonly kind: 'score';
  readonly file: ScoreFile;
}
/** The tables of the drug check. */
export interface KnowledgeEntry extends Entry {
  readonly kind: 'knowledge';
  readonly date: string;
  readonly sources: readonly string[];
  readonly files: readonly JsonObject[];
  readonly statements: readonly Statement[];
}
/** The rules of triage. */
export interface EsiEntry extends Entry {
  readonly kind: 'esi';
  readonly edition: EsiEdition;
}
/** What is said of an evidence-based intervention: 45 CFR 170.315(b)(11)(iv)(A). */
export interface Statement {
  readonly name: string;
  readonly value: string;
}
export type CatalogueEntry = GraphEntry | ScoreEntry | KnowledgeEntry | EsiEntry;

export interface CatalogueFolders {
  readonly models: string;
  readonly knowledge: string;
  /** Styles, modules and texts of the pages. */
  readonly pages: string;
}

/**
 * Every version on disk, by `id/version`, in order of kind and id.
 * @param within how far apart the site lets inputs lie, `news2=90`
 * @throws Error naming a file that is missing or malformed
 */
export function readCatalogue(
  folders: CatalogueFolders,
  within: readonly string[] = [],
): ReadonlyMap<string, CatalogueEntry> {
  const schemas = loadSchemas(folders.models);
  const spans = new Map(within.map(spanOf));
  const entries = [
    ...graphEntries(folders.models, schemas).map((one) => ({ ...one, manifest: withSpan(one.manifest, spans) })),
    ...esiEntries(folders.models, schemas),
    ...scoreEntries(folders.models, schemas).map((one) => ({ ...one, file: withSpan(one.file, spans) })),
    knowledgeEntry(folders),
  ];
  return new Map(entries.map((entry) => [`${entry.id}/${entry.version}`, entry]));
}

function graphEntries(root: string, schemas: Schemas): readonly GraphEntry[] {
  return [...versionsOnDisk(root)].flatMap(([id, versions]) =>
    versions.flatMap((version): readonly GraphEntry[] => {
      const folder = join(root, id, version);
      const manifest = attempted(() => readChecked(folder, 'manifest.json', schemas.manifest));
      if (manifest === undefined) return [];
      const { title, sha256 } = manifest;
      const card = attempted(() => readChecked(folder, 'card.json', schemas.card));
      const isComplete = card !== undefined && cardProblems(card, manifest).length === 0;
      return [
        {
          kind: 'graph',
          id,
          version,
          title,
          sha256,
          manifest,
          card: isComplete ? card : undefined,
          evaluation: jsonObject(folder, 'evaluation.json'),
          plots: plotsIn(folder),
        },
      ];
    }),
  );
}

/** undefined for what is refused: the loader of models says why, and the page says that it is so. */
function attempted<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function jsonObject(folder: string, file: string): JsonObject | undefined {
  if (!existsSync(join(folder, file))) return undefined;
  const value: unknown = attempted(() => JSON.parse(readFileSync(join(folder, file), 'utf8')));
  return isJsonObject(value) ? value : undefined;
}

const PLOT = /^[a-z0-9-]{1,60}\.svg$/;

function plotsIn(folder: string): ReadonlyMap<string, string> {
  const names = readdirSync(folder).filter((name) => PLOT.test(name));
  return new Map(names.toSorted().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

function scoreEntries(root: string, schemas: Schemas): readonly ScoreEntry[] {
  const folder = join(root, 'scores');
  if (!existsSync(folder)) return [];
  const { vocabulary } = loadKnowledge(root, schemas);
  return [...loadScores(folder, schemas.score, vocabulary).values()].map(({ file, sha256 }) => {
    const { id, version, title } = file;
    return { kind: 'score', id, version, title, sha256, file };
  });
}

/** Each edition under its own id: `esi-v4`. */
function esiEntries(root: string, schemas: Schemas): readonly EsiEntry[] {
  const { version, editions }: EsiTable = readChecked(root, 'esi.json', schemas.esi);
  const sha256 = createHash('sha256').update(readModelFile(root, 'esi.json')).digest('hex');
  return editions.map((edition) => {
    return { kind: 'esi', id: esiId(edition.id), version, title: edition.title, sha256, edition };
  });
}

function knowledgeEntry({ knowledge, pages }: CatalogueFolders): KnowledgeEntry {
  const bytes = readFileSync(join(knowledge, 'manifest.json'));
  const manifest: unknown = JSON.parse(bytes.toString('utf8'));
  const card: unknown = JSON.parse(readFileSync(join(pages, 'drug-safety.json'), 'utf8'));
  if (!isJsonObject(manifest) || !isJsonObject(card)) throw new Error('knowledge/manifest.json is not an object');
  const { version, date, sources, files } = manifest;
  return {
    kind: 'knowledge',
    id: DRUG_SAFETY,
    version: String(version),
    title: 'Drug-safety tables',
    sha256: createHash('sha256').update(bytes).digest('hex'),
    date: String(date),
    sources: Array.isArray(sources) ? sources.map(String) : [],
    files: Array.isArray(files) ? files.filter(isJsonObject) : [],
    statements: Array.isArray(card.statements)
      ? card.statements.filter(isJsonObject).map(({ name, value }) => ({ name: String(name), value: String(value) }))
      : [],
  };
}
