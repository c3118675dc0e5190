/** Free text -> sentences of words: abbreviations spelled out, likely misspellings mended, stop words dropped. */
import type { CompiledComplaints } from './complaint-table.ts';

/** Longer texts are read up to here: a complaint is short, and reading must stay so. */
const TEXT_LIMIT = 4000;
const WORD_LIMIT = 400;
/** Between two items of a list. */
export const COMMA = ',';

const PIECE = /[\p{L}\p{N}]+(?:\/[\p{L}\p{N}]+)*\/?|[.,;!?\n()+]|\s[-\u2013\u2014]\s/gu;
const ENDS_SENTENCE: ReadonlySet<string> = new Set(['.', ';', '!', '?', '\n']);
/** A shorter word than this is never mended: too many words lie near it. */
const MENDED_FROM = 5;
/** From this length two mistakes are mended. */
const TWO_MISTAKES_FROM = 9;

const folded = (text: string): string =>
  text
    .slice(0, TEXT_LIMIT)
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/['\u2019`\u00b4]/g, '');

/** Sentences as words; `,` stands between the items of a list. */
export function sentencesOf(text: string, complaints: CompiledComplaints): readonly (readonly string[])[] {
  const said = folded(text);
  const sentences: string[][] = [[]];
  let previous = '';
  let count = 0;
  for (const match of said.matchAll(PIECE)) {
    const piece = match[0].trim();
    if (count >= WORD_LIMIT) break;
    const sentence = sentences.at(-1);
    if (ENDS_SENTENCE.has(piece)) {
      if (!(piece === '.' && isAbbreviated(previous, said[match.index + 1], complaints))) sentences.push([]);
    } else if (/^[^\p{L}\p{N}]+$/u.test(piece)) {
      sentence?.push(COMMA);
    } else {
      const words = wordsOf(piece, complaints);
      count += words.length;
      sentence?.push(...words);
      previous = piece;
    }
  }
  return sentences.filter((words) => words.length > 0);
}

/** `abd. pain`, `38.5`: a point that ends no sentence. Of `denies cp. sob` it does: a whole complaint stands before it. */
function isAbbreviated(before: string, after: string | undefined, { table, phrases }: CompiledComplaints) {
  if (before.length === 1 || /[\p{L}\p{N}]/u.test(after ?? '')) return true;
  const spelled = Object.hasOwn(table.abbreviations, before) ? table.abbreviations[before] : undefined;
  const [first = ''] = spelled?.split(' ') ?? [];
  return spelled !== undefined && !phrases.get(first)?.some(({ words }) => words.join(' ') === spelled);
}

function wordsOf(piece: string, complaints: CompiledComplaints): readonly string[] {
  const { abbreviations } = complaints.table;
  const spelled = Object.hasOwn(abbreviations, piece) ? abbreviations[piece] : undefined;
  const parts =
    spelled?.split(' ') ??
    piece
      .split('/')
      .filter((part) => part !== '')
      .flatMap((part) => (Object.hasOwn(abbreviations, part) ? (abbreviations[part]?.split(' ') ?? []) : [part]));
  return parts.map((word) => mended(word, complaints)).filter((word) => !complaints.stopWords.has(word));
}

/** The known word that a misspelled one stands for, or the word itself when none or several are near. */
function mended(word: string, { known, mendable }: CompiledComplaints): string {
  if (word.length < MENDED_FROM || known.has(word) || /\d/.test(word)) return word;
  const allowed = word.length >= TWO_MISTAKES_FROM ? 2 : 1;
  const near = (mendable.get(word.charAt(0)) ?? [])
    .filter((target) => Math.abs(target.length - word.length) <= allowed && !isInflected(word, target))
    .map((target) => ({ target, distance: distanceOf(word, target, allowed) }))
    .filter(({ distance }) => distance <= allowed)
    .toSorted((a, b) => a.distance - b.distance);
  const [best, second] = near;
  if (best === undefined || (second !== undefined && second.distance === best.distance)) return word;
  return best.target;
}

const CUT_SHORT_FROM = 7;
/** `strokes` is another word than `stroke`, not a misspelling; neither is a short word that begins another. */
const isInflected = (word: string, target: string): boolean =>
  word.startsWith(target) ||
  (target.startsWith(word) && word.length < CUT_SHORT_FROM) ||
  (word.length === target.length && word.length <= 6 && !isTransposed(word, target));

function isTransposed(word: string, target: string): boolean {
  const differing = [...word].flatMap((letter, index) => (letter === target[index] ? [] : [index]));
  const [first, second] = differing;
  return (
    differing.length === 2 &&
    first !== undefined &&
    second === first + 1 &&
    word[first] === target[second] &&
    word[second] === target[first]
  );
}

/** Damerau-Levenshtein distance with adjacent transpositions; `limit + 1` when it is more. */
function distanceOf(one: string, other: string, limit: number): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1] ? 0 : 1;
      let least = Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) {
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      }
      row.push(least);
    }
    if (Math.min(...row) > limit) return limit + 1;
    before = last;
    last = row;
  }
  return last[other.length] ?? limit + 1;
}
