/**
 * What a free text says of complaints: present, denied, over, in the past, of somebody else or only imagined.
 * Method: phrases and cue words with scopes, after NegEx (Chapman 2001) and ConText (Harkema 2009). English only.
 */
import type { CompiledComplaints, CueKind, Phrase } from './complaint-table.ts';
import { GAP } from './complaint-table.ts';
import { COMMA, sentencesOf } from './complaint-words.ts';

export type MentionStatus = 'present' | 'absent' | 'over' | 'past' | 'other-person' | 'hypothetical';
export interface Mention {
  readonly category: string;
  readonly status: MentionStatus;
}
interface Span {
  readonly start: number;
  readonly end: number;
}
interface FoundPhrase extends Span {
  readonly phrase: Phrase;
}
interface FoundCue extends Span {
  readonly kind: CueKind;
}

/** Words that a `*` may stand for. */
const GAP_WORDS = 2;
/** Words a cue reaches forward within one item, and along a list of denials. */
const REACH = 6;
const LIST_REACH = 25;
/** Words between a complaint and `resolved`. */
const REACH_BACK = 2;
/** Words between a complaint and what says that it is there after all. */
const REACH_AGAIN = 4;

const STATUS_OF = {
  denied: 'absent',
  negated: 'absent',
  otherPerson: 'other-person',
  past: 'past',
  hypothetical: 'hypothetical',
  resolvedBefore: 'over',
} as const satisfies Partial<Record<CueKind, MentionStatus>>;
type Leading = keyof typeof STATUS_OF;
const isLeading = (kind: CueKind): kind is Leading => Object.hasOwn(STATUS_OF, kind);
const isNegation = (kind: CueKind): boolean => kind === 'denied' || kind === 'negated';

/** Every mention of a category in a text, in order. */
export function mentionsIn(text: string, complaints: CompiledComplaints): readonly Mention[] {
  const inverted = /^\s*([\p{L} ]+),\s*([\p{L} ]+?)\s*\.?\s*$/u.exec(text);
  const turned = inverted === null ? [] : sentencesOf(`${inverted[2]} ${inverted[1]}`, complaints);
  const short = turned.length === 1 && (turned[0]?.length ?? 0) <= 3 ? turned : [];
  return [...sentencesOf(text, complaints), ...short].flatMap((words) => inSentence(words, complaints));
}

function inSentence(words: readonly string[], complaints: CompiledComplaints): readonly Mention[] {
  const cues = cuesIn(words, complaints);
  const found = phrasesIn(words, cues, complaints);
  return found.map((one) => ({ category: one.phrase.category, status: statusOf(one, words, found, cues, complaints) }));
}

/** Cues from left to right, the longest at each place; they do not overlap. */
function cuesIn(words: readonly string[], { cues }: CompiledComplaints): readonly FoundCue[] {
  const found: FoundCue[] = [];
  for (let start = 0; start < words.length; ) {
    const cue = cues
      .get(words[start] ?? '')
      ?.find((one) => one.words.every((word, index) => words[start + index] === word));
    if (cue === undefined) start++;
    else {
      for (const kind of kindsOf(cue.words, cues.get(words[start] ?? '') ?? [])) {
        found.push({ kind, start, end: start + cue.words.length });
      }
      start += cue.words.length;
    }
  }
  return found;
}
const kindsOf = (
  words: readonly string[],
  candidates: readonly { readonly kind: CueKind; readonly words: readonly string[] }[],
) =>
  candidates
    .filter((one) => one.words.length === words.length && one.words.every((word, index) => word === words[index]))
    .map(({ kind }) => kind);

function phrasesIn(
  words: readonly string[],
  cues: readonly FoundCue[],
  { phrases }: CompiledComplaints,
): readonly FoundPhrase[] {
  const negations = new Set(cues.filter(({ kind }) => isNegation(kind)).map(({ start }) => start));
  const found = words.flatMap((word, start) =>
    (phrases.get(word) ?? []).flatMap((phrase): readonly FoundPhrase[] => {
      const end = endOf(phrase.words, 0, words, start, negations);
      return end === undefined ? [] : [{ phrase, start, end }];
    }),
  );
  return found.filter(
    (one) =>
      !found.some(
        (other) =>
          !other.phrase.hasGap &&
          other.start <= one.start &&
          other.end >= one.end &&
          other.end - other.start > one.end - one.start,
      ),
  );
}

/** Where a phrase that begins at `at` ends; a gap never spans a negation. */
function endOf(
  phrase: readonly string[],
  from: number,
  words: readonly string[],
  at: number,
  negations: ReadonlySet<number>,
): number | undefined {
  const wanted = phrase[from];
  if (wanted === undefined) return at;
  if (wanted !== GAP) return words[at] === wanted ? endOf(phrase, from + 1, words, at + 1, negations) : undefined;
  let skipped = 0;
  for (let next = at; next < words.length && skipped <= GAP_WORDS; next++) {
    const end = endOf(phrase, from + 1, words, next, negations);
    if (end !== undefined) return end;
    if (negations.has(next)) return undefined;
    if (words[next] !== COMMA) skipped++;
  }
  return undefined;
}

function statusOf(
  one: FoundPhrase,
  words: readonly string[],
  found: readonly FoundPhrase[],
  cues: readonly FoundCue[],
  complaints: CompiledComplaints,
): MentionStatus {
  const outside = cues.filter(({ start, end }) => end <= one.start || start >= one.end);
  if (isThereAgain(one, outside)) return 'present';
  const leading = outside
    .filter((cue) => isLeading(cue.kind) && cue.end <= one.start && reaches(cue, one, words, outside, complaints))
    .map(({ kind }) => kind)
    .filter(isLeading);
  for (const kind of Object.keys(STATUS_OF)) {
    const match = leading.find((cue) => cue === kind);
    if (match !== undefined) return STATUS_OF[match];
  }
  return trailing(one, words, found, outside) ?? 'present';
}

/** `never had chest pain like this`, `chest pain resolved but now back`: present, whatever else is said of it. */
const isThereAgain = (one: FoundPhrase, cues: readonly FoundCue[]): boolean =>
  cues.some(({ kind, start }) => kind === 'presentAfter' && start >= one.end && start - one.end <= REACH_AGAIN);

function reaches(
  cue: FoundCue,
  one: FoundPhrase,
  words: readonly string[],
  cues: readonly FoundCue[],
  complaints: CompiledComplaints,
): boolean {
  const { cues: lists } = complaints.table;
  if (cues.some(({ kind, start }) => kind === 'ends' && start >= cue.end && start < one.start)) return false;
  if (cue.kind === 'past' && lists.duration.includes(words[cue.start - 1] ?? '')) return false;
  const between = words.slice(cue.end, one.start);
  const distance = between.filter((word) => word !== COMMA).length;
  if (!between.includes(COMMA)) return distance <= REACH;
  if (!isNegation(cue.kind) || distance > LIST_REACH) return false;
  return (cue.kind === 'denied' || isList(cue, one, words)) && !isStated(one, words, lists.adverbs);
}

/** `no fever, chest pain or cough`: commas that join what one negation denies. */
function isList(cue: FoundCue, one: FoundPhrase, words: readonly string[]): boolean {
  const joins = words.findIndex((word, index) => index >= cue.end && (word === 'or' || word === 'nor'));
  return joins >= 0 && joins >= words.indexOf(COMMA, cue.end) && joins <= one.end + REACH;
}

/** An item of a list that says since when or how badly is a complaint, not a denial. */
function isStated(one: FoundPhrase, words: readonly string[], adverbs: readonly string[]): boolean {
  const end = words.indexOf(COMMA, one.end);
  const begin = words.lastIndexOf(COMMA, one.start - 1);
  return words
    .slice(begin + 1, end < 0 ? words.length : end)
    .some((word) => /^\d/.test(word) || adverbs.includes(word));
}

/** `chest pain resolved`, `chest pain denied`: said after the complaint, with nothing else complained of in between. */
function trailing(
  one: FoundPhrase,
  words: readonly string[],
  found: readonly FoundPhrase[],
  cues: readonly FoundCue[],
): MentionStatus | undefined {
  for (const cue of cues) {
    if (cue.start < one.end) continue;
    const between = words.slice(one.end, cue.start);
    const isInterrupted = found.some(({ start }) => start >= one.end && start < cue.end);
    if (isInterrupted || between.filter((word) => word !== COMMA).length > REACH_BACK) continue;
    const isLast = cue.end >= words.length || words[cue.end] === COMMA;
    if (cue.kind === 'negatedAfter' && between.every((word) => word === COMMA) && isLast) return 'absent';
    const isUndone = cues.some(({ kind, start, end }) => isNegation(kind) && start >= one.end && end <= cue.start);
    if (cue.kind === 'resolvedAfter' && !isUndone) return 'over';
    // `stroke 5 years ago`, but `numb since a stroke, pain started 2 years ago` is of now.
    if (
      cue.kind === 'pastAfter' &&
      !cues.some(({ kind, start }) => kind === 'ends' && start >= one.end && start < cue.start)
    )
      return 'past';
  }
  return undefined;
}
