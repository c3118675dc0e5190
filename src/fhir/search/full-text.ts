/**
 * Words of narratives and resources, and the queries `_text` and `_content` ask of them. Source: search.html#content; the specification
 * leaves the grammar to the server: words and "phrases", AND (also unwritten), OR, NOT and parentheses; operators in either case.
 */
import { fhirError } from '../outcome.ts';
import { isJsonObject, type Json, type Resource } from '../resource.ts';
import type { Criterion } from './query.ts';
import { caseless } from './value.ts';

export type FullTextCode = '_text' | '_content';
export const FULL_TEXT: ReadonlySet<string> = new Set<string>(['_text', '_content'] satisfies FullTextCode[]);

/** Characters of a resource that are looked at, and the longest word that is told from others. */
const MOST_TEXT = 200_000;
const LONGEST_WORD = 64;
/** Stands between texts that are not one: no phrase reaches over it. No folded text holds it. */
const GAP = '¦';

/** Lower case words without accents; what is neither letter nor digit separates them. */
export function wordsOf(text: string): readonly string[] {
  const found = foldedText(text);
  return found === '' ? [] : found.split(' ');
}

/** The words with one space between; text of ASCII alone, which most is, goes the short way. */
function foldedText(text: string): string {
  const plain = /^[ -~\s]*$/.test(text)
    ? text
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, ' ')
        .trim()
    : caseless(text)
        .replace(/[^\p{L}\p{N}]+/gu, ' ')
        .trim();
  return plain.length <= LONGEST_WORD ? plain : plain.split(' ').map(shortened).join(' ');
}

const shortened = (word: string): string => word.slice(0, LONGEST_WORD).toWellFormed();

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };

function characterOf(entity: string): string {
  const code = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/i.exec(entity);
  if (code === null) return ENTITIES[entity] ?? ' ';
  const point = code[1] === undefined ? Number(code[2]) : Number.parseInt(code[1], 16);
  return point <= 0x10ffff ? String.fromCodePoint(point) : ' ';
}

/** Text of XHTML: without tags, its character references read. */
function plainText(xhtml: string): string {
  return xhtml
    .slice(0, MOST_TEXT)
    .replace(/<[^>]*>/g, ' ')
    .replace(/&([A-Za-z]{1,8}|#x?[0-9A-Fa-f]{1,7});/g, (_all, entity: string) => characterOf(entity));
}

/** Words of the narrative, separated by spaces; '' = none. */
export function narrativeWords({ text }: Resource): string {
  const div = isJsonObject(text) ? text.div : undefined;
  return typeof div === 'string' ? foldedText(plainText(div)) : '';
}

/** Names whose texts are addresses, ids or encoded bytes. */
const NOT_CONTENT = new Set('resourceType id meta div data hash reference system url contentType'.split(' '));
/** Addresses, instants and numbers are no words, and would be half of the index. */
const NO_WORDS = /^(?:[a-z][a-z0-9+.-]*:\S*|[\d\s:.,+TZ-]*)$/i;

/** Words of the texts and codes outside the narrative, each text once; texts are separated by GAP. */
export function contentWords(resource: Resource): string {
  const texts = new Set<string>();
  let room = MOST_TEXT;
  // An explicit stack: contained resources may nest deeper than a call stack.
  const waiting: Json[] = [resource];
  for (let next = waiting.pop(); next !== undefined && room > 0; next = waiting.pop()) {
    if (typeof next === 'string') {
      if (NO_WORDS.test(next)) continue;
      const words = foldedText(next.slice(0, room));
      room -= next.length;
      if (words !== '') texts.add(words);
    } else if (Array.isArray(next)) {
      for (const each of next) waiting.push(each);
    } else if (isJsonObject(next)) {
      for (const name in next) {
        const value = next[name];
        if (value !== undefined && !NOT_CONTENT.has(name)) waiting.push(value);
      }
    }
  }
  return [...texts].join(` ${GAP} `);
}

const MOST_TERMS = 50;
const DEEPEST = 10;

interface Token {
  readonly text: string;
  readonly quoted: boolean;
  /** From 1. */
  readonly position: number;
}

/** @throws FhirError `value` (400) naming the position of what is not of the grammar; `too-costly` (400) over the limits */
export function parseFullText(code: FullTextCode, value: string): Criterion {
  const tokens = tokensOf(code, value);
  let index = 0;
  const wrong = (): never => {
    const position = tokens[index]?.position ?? value.length + 1;
    throw fhirError(
      'value',
      `\`${code}\` is not of the form words, "phrases", AND, OR, NOT, ( ): position ${position}.`,
    );
  };
  const isWord = (word: string): boolean => {
    const token = tokens[index];
    return token !== undefined && !token.quoted && token.text.toUpperCase() === word;
  };
  const take = (word: string): boolean => {
    const found = isWord(word);
    if (found) index++;
    return found;
  };
  const either = (depth: number): Criterion => {
    if (depth > DEEPEST) throw fhirError('too-costly', `\`${code}\` is nested deeper than ${DEEPEST}.`);
    const of = [both(depth)];
    while (take('OR')) of.push(both(depth));
    return { kind: 'any', of };
  };
  const both = (depth: number): Criterion => {
    const of = [one(depth)];
    while (take('AND') || (index < tokens.length && !isWord('OR') && !isWord(')'))) of.push(one(depth));
    return { kind: 'all', of };
  };
  const one = (depth: number): Criterion => {
    if (take('NOT')) return { kind: 'none', of: one(depth + 1) };
    if (take('(')) {
      const inner = either(depth + 1);
      return take(')') ? inner : wrong();
    }
    const token = tokens[index];
    if (token === undefined || [')', 'AND', 'OR'].some(isWord)) return wrong();
    index++;
    return { kind: 'text', code, words: wordsOf(token.text) };
  };
  const found = either(0);
  return index < tokens.length ? wrong() : found;
}

function tokensOf(code: FullTextCode, value: string): readonly Token[] {
  const tokens: Token[] = [];
  for (const { 0: text, 1: phrase, index } of value.matchAll(/"([^"]*)"|[()]|[^\s()"]+|"/g)) {
    if (text === '"') throw fhirError('value', `\`${code}\`: the quote at position ${index + 1} is not closed.`);
    tokens.push({ text: phrase ?? text, quoted: phrase !== undefined, position: index + 1 });
  }
  if (tokens.length > MOST_TERMS) throw fhirError('too-costly', `More than ${MOST_TERMS} words in \`${code}\`.`);
  return tokens;
}
