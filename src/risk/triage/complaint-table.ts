/** The table of complaints, models/complaints.json: categories with codes, phrases, acuity and expected resources; cues of negation and context. */

/** ESI decision point a category belongs to: A life-saving, B high-risk, or neither. */
export type Acuity = 'life-saving' | 'high-risk' | 'routine';

export interface ComplaintCategory {
  readonly category: string;
  readonly display: string;
  readonly acuity: Acuity;
  /** A complaint that is over counts all the same: a transient ischaemic attack, an overdose. */
  readonly lasting?: true;
  /** Kinds of `resourceKinds` that such a patient usually needs: an estimate. */
  readonly resources: readonly string[];
  /** Lower case; `*` stands for up to two words. */
  readonly words: readonly string[];
  readonly snomed: readonly string[];
  /** Prefixes of ICD-10 and ICD-10-CM codes. */
  readonly icd10: readonly string[];
  /** NCHS reason for visit: four digits, or five for a subdivision. */
  readonly rfv: readonly string[];
}
/** What several categories mean together. */
export interface ComplaintCombination {
  readonly category: string;
  readonly display: string;
  readonly acuity: Acuity;
  readonly of: readonly string[];
}
export const CUE_KINDS = [
  'denied',
  'negated',
  'negatedAfter',
  'resolvedAfter',
  'resolvedBefore',
  'otherPerson',
  'past',
  'hypothetical',
  'presentAfter',
  'pastAfter',
  'ends',
] as const;
export type CueKind = (typeof CUE_KINDS)[number];

export interface ComplaintTable {
  readonly version: string;
  readonly sources: readonly string[];
  readonly resourceKinds: Readonly<Record<string, { readonly display: string; readonly counts: number }>>;
  readonly categories: readonly ComplaintCategory[];
  readonly combinations: readonly ComplaintCombination[];
  readonly cues: Readonly<Record<CueKind | 'adverbs' | 'stopWords' | 'duration', readonly string[]>>;
  readonly abbreviations: Readonly<Record<string, string>>;
  /** Words that are never taken for a misspelling of another. */
  readonly distinct: readonly string[];
}

/** `*` in a phrase. */
export const GAP = '*';

export interface Phrase {
  readonly category: string;
  readonly words: readonly string[];
  readonly hasGap: boolean;
}
export interface Cue {
  readonly kind: CueKind;
  readonly words: readonly string[];
}
/** The table made ready for reading: phrases and cues by their first word. */
export interface CompiledComplaints {
  readonly table: ComplaintTable;
  readonly byName: ReadonlyMap<string, ComplaintCategory>;
  readonly phrases: ReadonlyMap<string, readonly Phrase[]>;
  /** Longest first. */
  readonly cues: ReadonlyMap<string, readonly Cue[]>;
  readonly stopWords: ReadonlySet<string>;
  /** Every word that the table knows; spelling is mended towards these. */
  readonly known: ReadonlySet<string>;
  /** Known words of at least five letters by their first letter. */
  readonly mendable: ReadonlyMap<string, readonly string[]>;
  readonly snomed: ReadonlyMap<string, string>;
  /** Prefix -> category, without the dot. */
  readonly icd10: ReadonlyMap<string, string>;
  readonly rfv: ReadonlyMap<string, string>;
}

function grouped<T>(rows: readonly T[], keyOf: (row: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return groups;
}

const codeMap = (
  categories: readonly ComplaintCategory[],
  codesOf: (row: ComplaintCategory) => readonly string[],
): ReadonlyMap<string, string> =>
  new Map(categories.flatMap((row) => codesOf(row).map((code) => [code, row.category] as const)));

const MENDABLE_LENGTH = 5;

function compile(table: ComplaintTable): CompiledComplaints {
  const stopWords = new Set(table.cues.stopWords);
  const kept = (phrase: string) => phrase.split(' ').filter((word) => !stopWords.has(word));
  const phrases = table.categories.flatMap(({ category, words }) =>
    words.map((text): Phrase => ({ category, words: kept(text), hasGap: text.includes(GAP) })),
  );
  const cues = CUE_KINDS.flatMap((kind) => table.cues[kind].map((text): Cue => ({ kind, words: kept(text) })));
  const known = new Set([
    ...[...phrases, ...cues].flatMap(({ words }) => words),
    ...Object.values(table.abbreviations).flatMap((text) => text.split(' ')),
    ...table.cues.adverbs,
    ...table.cues.duration,
    ...table.distinct,
  ]);
  const targets = new Set(phrases.flatMap(({ words }) => words).filter((word) => word.length >= MENDABLE_LENGTH));
  return {
    table,
    byName: new Map(table.categories.map((row) => [row.category, row])),
    phrases: grouped(phrases, ({ words }) => words[0] ?? ''),
    cues: grouped(
      cues.toSorted((a, b) => b.words.length - a.words.length),
      ({ words }) => words[0] ?? '',
    ),
    stopWords,
    known,
    mendable: grouped([...targets], (word) => word.charAt(0)),
    snomed: codeMap(table.categories, ({ snomed }) => snomed),
    icd10: codeMap(table.categories, ({ icd10 }) => icd10.map((code) => code.replace('.', ''))),
    rfv: codeMap(table.categories, ({ rfv }) => rfv),
  };
}

const compiledTables = new WeakMap<ComplaintTable, CompiledComplaints>();

/** The table made ready, once. */
export function compiled(table: ComplaintTable): CompiledComplaints {
  const known = compiledTables.get(table);
  if (known !== undefined) return known;
  const made = compile(table);
  compiledTables.set(table, made);
  return made;
}

/** Contradictions that the schema cannot say; empty when there are none. */
export function complaintProblems(table: ComplaintTable): readonly string[] {
  const names = table.categories.map(({ category }) => category);
  const codes = table.categories.flatMap(({ snomed, icd10, rfv }) => [...snomed, ...icd10, ...rfv]);
  const kinds = table.categories.flatMap(({ resources }) => resources);
  return [
    ...(new Set(names).size < names.length ? ['two categories share a name'] : []),
    ...(new Set(codes).size < codes.length ? ['two categories share a code'] : []),
    ...[...new Set(kinds)]
      .filter((kind) => table.resourceKinds[kind] === undefined)
      .map((kind) => `there is no kind of resource ${kind}`),
    ...table.combinations
      .flatMap(({ of }) => of)
      .filter((name) => !names.includes(name))
      .map((name) => `a combination names the unknown category ${name}`),
  ];
}
