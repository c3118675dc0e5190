/** The tables of knowledge/, verified, decoded and indexed once. Shapes: knowledge/schema.json; sources: knowledge/SOURCE.md, decision 0008. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { type PairRule, type PairTables, pairIndex, pairKey } from './pair-rules.ts';
import { compiledRules, type DrugRules, RULE_FILES } from './rules.ts';

/** An RxCUI of a RxNorm ingredient, or `name:<slug>` where RxNorm 2021 has none. */
export type Ingredient = string;

export interface AllergyRule {
  readonly allergy: string;
  readonly target: string;
  readonly level: 'contraindicated' | 'high' | 'moderate' | 'low';
  readonly symmetric: boolean;
  readonly rationale: string;
}
interface WashOut {
  readonly drugs: readonly string[];
  readonly days: number;
  readonly against?: readonly string[];
  readonly source: string;
}
interface Tables extends PairTables {
  readonly manifest: {
    readonly version: string;
    readonly date: string;
    readonly sources: readonly string[];
    readonly files: readonly { readonly file: string; readonly sha256: string }[];
  };
  readonly allergies: {
    readonly groups: Readonly<Record<string, readonly Ingredient[]>>;
    readonly names: Readonly<Record<string, string>>;
    readonly rules: readonly AllergyRule[];
    readonly citation: string;
  };
  readonly washOut: readonly WashOut[];
  readonly allergens: {
    readonly none: readonly string[];
    readonly snomed: Readonly<Record<string, readonly string[]>>;
    readonly phrases: Readonly<Record<string, readonly string[]>>;
  };
}

/** Folded phrases of at most `longest` words -> what they name. */
export interface Phrases {
  readonly named: ReadonlyMap<string, readonly string[]>;
  /** First word -> number of words of the longest phrase that starts with it. */
  readonly longest: ReadonlyMap<string, number>;
}

export interface DrugKnowledge {
  readonly version: string;
  /** Of manifest.json, which holds the hash of every other table. */
  readonly sha256: string;
  readonly sources: readonly string[];
  /** Preferred name of an ingredient; the id itself when unknown. */
  nameOf(ingredient: Ingredient): string;
  /** Ingredients of an RxCUI of any kind: ingredient, salt, product, brand, pack. */
  ofProduct(rxcui: string): readonly Ingredient[] | undefined;
  /** Ingredients of a code of another system: ATC, and what the site map adds (local codes, NDC, SNOMED CT). */
  ofCode(system: string, code: string): readonly Ingredient[] | undefined;
  /** Ingredient and brand names. */
  readonly drugNames: Phrases;
  /** Rules that need the patient. */
  readonly rules: DrugRules;
  /** The rules that name two ingredients, most severe first; order of the two does not matter. */
  rulesOf(one: Ingredient, other: Ingredient): readonly PairRule[];
  /** Days after its end during which `stopped` still acts, with `other`; 0 = not at all. */
  washOutDays(stopped: Ingredient, other: Ingredient): number;
  /** The longest of them with any other. */
  longestWashOutDays(stopped: Ingredient): number;
  readonly allergyRules: readonly AllergyRule[];
  readonly allergyCitation: string;
  groupsOf(ingredient: Ingredient): ReadonlySet<string>;
  readonly isGroup: (name: string) => boolean;
  /** Words for the reader: `penicillins`; the name itself when there are none. */
  nameOfGroup(name: string): string;
  readonly allergens: {
    readonly none: ReadonlySet<string>;
    /** SNOMED CT code -> groups and ingredients. */
    readonly snomed: ReadonlyMap<string, readonly string[]>;
    readonly phrases: Phrases;
  };
}

/** Lower case, no accents or apostrophes, single spaces: `St. John’s wort` -> `st johns wort`. */
export function foldedName(text: string): string {
  return text
    .normalize('NFD')
    .replace(/[\u0300-\u036f'’`´]/g, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .trim();
}

export const ATC = 'http://www.whocc.no/atc';

/** What a site adds: its own codes and names. Shape: knowledge/site-map.json. */
export interface SiteMap {
  readonly codes: readonly { readonly system: string; readonly code: string; readonly drugs: readonly string[] }[];
  readonly names: Readonly<Record<string, readonly string[]>>;
}
export const NO_SITE_MAP: SiteMap = { codes: [], names: {} };

/**
 * @throws TypeError when a file is missing from the manifest, does not hash to what it says, or has another shape, or when the site map
 * names a drug that no table knows
 */
export function loadDrugKnowledge(folder: string, site: SiteMap = NO_SITE_MAP): DrugKnowledge {
  const manifestBytes = readFileSync(join(folder, 'manifest.json'));
  const parse = (bytes: Buffer): unknown => JSON.parse(bytes.toString('utf8'));
  const bytesOf = verifiedFiles(folder, manifestBytes);
  const json = (file: string) => parse(bytesOf(file));
  const lines = (file: string) => gunzipSync(bytesOf(file)).toString('utf8').split('\n').filter(Boolean);
  const candidate: unknown = {
    manifest: parse(manifestBytes),
    interactions: json('interactions.json'),
    allergies: json('allergies.json'),
    duplicates: json('duplicates.json'),
    washOut: json('wash-out.json'),
    allergens: json('allergens.json'),
  };
  const tables = decoded(candidate, json('schema.json'));
  const names = ingredientNames(lines('ingredients.tsv.gz'));
  const products = productIndex(lines('products.tsv.gz'), names);
  const preferred = new Map([...names].map(([id, all]) => [id, all[0] ?? id]));
  const groups = groupIndex(tables.allergies.groups);
  const idByName = new Map([...names].flatMap(([id, all]) => all.map((name) => [foldedName(name), id] as const)));
  const idOf = (name: string): Ingredient => {
    const id = idByName.get(foldedName(name));
    if (id === undefined) throw new TypeError(`knowledge/ names an ingredient that it does not hold: ${name}`);
    return id;
  };
  const isGroup = (name: string) => tables.allergies.groups[name] !== undefined;
  const allergen = (named: readonly string[]) => named.map((name) => (isGroup(name) ? name : idOf(name)));
  const washOut = washOutIndex(tables.washOut, idOf);
  const ruleTables = Object.fromEntries(Object.entries(RULE_FILES).map(([name, file]) => [name, json(file)]));
  const rules = compiledRules(ruleTables, json('rules-schema.json'), idOf);
  const pairs = pairIndex(tables, rules.conflicts);
  const foreign = codeIndex(lines('atc.tsv.gz'), site, idOf);
  const siteNames = Object.entries(site.names).map(([name, drugs]) => [name, drugs.map(idOf)] as const);
  return {
    version: tables.manifest.version,
    sha256: sha256(manifestBytes),
    sources: tables.manifest.sources,
    nameOf: (ingredient) => preferred.get(ingredient) ?? ingredient,
    ofProduct: products,
    ofCode: (system, code) => foreign.get(`${system}|${code}`),
    drugNames: drugNames(names, lines('brands.tsv.gz'), siteNames),
    rules,
    rulesOf: (one, other) => pairs.get(pairKey(one, other)) ?? [],
    washOutDays: (stopped, other) =>
      Math.max(0, ...(washOut.get(stopped) ?? []).filter(({ against }) => !against || against.has(other)).map(daysOf)),
    longestWashOutDays: (stopped) => Math.max(0, ...(washOut.get(stopped) ?? []).map(daysOf)),
    allergyRules: tables.allergies.rules,
    allergyCitation: tables.allergies.citation,
    groupsOf: (ingredient) => groups.get(ingredient) ?? NO_GROUPS,
    isGroup,
    nameOfGroup: (name) => tables.allergies.names[name] ?? name,
    allergens: {
      none: new Set(tables.allergens.none),
      snomed: new Map(Object.entries(tables.allergens.snomed).map(([code, named]) => [code, allergen(named)])),
      phrases: phrases(Object.entries(tables.allergens.phrases).map(([phrase, named]) => [phrase, allergen(named)])),
    },
  };
}

const NO_GROUPS: ReadonlySet<string> = new Set();
const daysOf = ({ days }: { readonly days: number }) => days;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

function decoded(candidate: unknown, schema: unknown): Tables {
  if (typeof schema !== 'object' || schema === null) throw new TypeError('knowledge/schema.json is not a schema');
  const ajv = new Ajv2020();
  const isTables = ajv.compile<Tables>(schema);
  if (!isTables(candidate)) throw new TypeError(`knowledge/: ${ajv.errorsText(isTables.errors)}`);
  return candidate;
}

/** Reads files whose hash is the manifest's; what the manifest does not name cannot be read. */
function verifiedFiles(folder: string, manifest: Buffer): (file: string) => Buffer {
  const listed = new Map(
    [...manifest.toString('utf8').matchAll(/"file":\s*"([^"/\\]+)",\s*"sha256":\s*"([0-9a-f]{64})"/g)].map(
      ([, file = '', hash = '']) => [file, hash],
    ),
  );
  return (file) => {
    const bytes = readFileSync(join(folder, file));
    if (sha256(bytes) !== listed.get(file))
      throw new TypeError(`knowledge/${file} is not the file that the manifest names`);
    return bytes;
  };
}

function ingredientNames(lines: readonly string[]): ReadonlyMap<Ingredient, readonly string[]> {
  return new Map(
    lines.map((line) => {
      const [id = '', ...names] = line.split('\t');
      return [id, names];
    }),
  );
}

/** RxCUI -> ingredients. Lines: `ingredient,ingredient<TAB>first step step...`, ascending codes as base-36 differences. */
function productIndex(
  lines: readonly string[],
  names: ReadonlyMap<Ingredient, readonly string[]>,
): DrugKnowledge['ofProduct'] {
  const index = new Map([...names.keys()].map((id): [number, readonly Ingredient[]] => [Number(id), [id]]));
  for (const line of lines) {
    const [set = '', steps = ''] = line.split('\t');
    const ingredients = set.split(',');
    let code = 0;
    for (const step of steps.split(' ')) {
      code += Number.parseInt(step, 36);
      index.set(code, ingredients);
    }
  }
  return (rxcui) => (/^[1-9]\d{0,8}$/.test(rxcui) ? index.get(Number(rxcui)) : undefined);
}

/** `system|code` -> ingredients. Lines: `ATC code<TAB>ingredient`; an ATC code of a combination has several. The site's own entries win. */
function codeIndex(
  atc: readonly string[],
  { codes }: SiteMap,
  idOf: (name: string) => Ingredient,
): ReadonlyMap<string, readonly Ingredient[]> {
  const index = new Map<string, readonly Ingredient[]>();
  for (const line of atc) {
    const [code = '', id = ''] = line.split('\t');
    const key = `${ATC}|${code}`;
    index.set(key, [...(index.get(key) ?? []), id]);
  }
  for (const { system, code, drugs } of codes) index.set(`${system}|${code}`, drugs.map(idOf));
  return index;
}

function drugNames(
  names: ReadonlyMap<Ingredient, readonly string[]>,
  brands: readonly string[],
  site: readonly (readonly [string, readonly Ingredient[]])[],
): Phrases {
  const branded = brands.map((line): readonly [string, readonly Ingredient[]] => {
    const [brand = '', set = ''] = line.split('\t');
    return [brand, set.split(',')];
  });
  const generic = [...names].flatMap(([id, all]) =>
    all.map((name): readonly [string, readonly Ingredient[]] => [name, [id]]),
  );
  return phrases([...branded, ...generic, ...site]);
}

/** The later entry of the same phrase wins. */
function phrases(entries: Iterable<readonly [phrase: string, named: readonly string[]]>): Phrases {
  const named = new Map<string, readonly string[]>();
  const longest = new Map<string, number>();
  for (const [phrase, meaning] of entries) {
    const folded = foldedName(phrase);
    const words = folded.split(' ');
    const first = words[0] ?? '';
    named.set(folded, meaning);
    longest.set(first, Math.max(words.length, longest.get(first) ?? 0));
  }
  return { named, longest };
}

function groupIndex(groups: Tables['allergies']['groups']): ReadonlyMap<Ingredient, ReadonlySet<string>> {
  const index = new Map<Ingredient, Set<string>>();
  for (const [group, members] of Object.entries(groups)) {
    for (const member of members) index.set(member, (index.get(member) ?? new Set()).add(group));
  }
  return index;
}

function washOutIndex(rows: readonly WashOut[], idOf: (name: string) => Ingredient) {
  const index = new Map<
    Ingredient,
    { readonly days: number; readonly against: ReadonlySet<Ingredient> | undefined }[]
  >();
  for (const { drugs, days, against } of rows) {
    const row = { days, against: against && new Set(against.map(idOf)) };
    for (const drug of drugs) index.set(idOf(drug), [...(index.get(idOf(drug)) ?? []), row]);
  }
  return index;
}
