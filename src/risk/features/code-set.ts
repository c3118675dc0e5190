/** Sets of codes and phrases that rules and inputs ask for; models/vocabulary.json `sets`. */
import type { Json } from '../../fhir/resource.ts';
import type { CodedTerm, CodeSet, Vocabulary } from '../manifest.ts';
import { codings, isOneOf, words } from './observation.ts';

/**
 * True when a CodeableConcept, or one of a list of them, is in the set: by code, by the beginning of a code, or by a phrase that its text
 * or a display says without a negation before it.
 */
export function isInSet(concept: Json | undefined, name: string, vocabulary: Vocabulary): boolean {
  const set = vocabulary.sets[name];
  return set !== undefined && (holdsTerm(codings(concept), set) || saysWord(words(concept), set, vocabulary));
}

function holdsTerm(terms: readonly CodedTerm[], { codes = [], prefixes = [] }: CodeSet): boolean {
  const begins = terms.some((term) =>
    prefixes.some(({ system, code }) => term.system === system && term.code.startsWith(code)),
  );
  return begins || isOneOf(terms, codes);
}

/** All phrases of a set as one pattern: almost every text is settled by it alone, in about 1 us instead of one pass a phrase. */
const patterns = new WeakMap<CodeSet, RegExp>();
function patternOf(set: CodeSet): RegExp {
  let known = patterns.get(set);
  if (known === undefined) {
    const phrases = (set.words ?? []).map((phrase) => phrase.split(/[^\p{L}\p{N}]+/u).join('[^\\p{L}\\p{N}]+'));
    known = new RegExp(`(?<![\\p{L}\\p{N}])(?:${phrases.join('|') || '(?!)'})(?![\\p{L}\\p{N}])`, 'iu');
    patterns.set(set, known);
  }
  return known;
}

/** Words of a text, lower case, as ` word word `: phrases are found by plain inclusion. */
const flat = (text: string): string =>
  ` ${text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()} `;
/** A negation reaches to the end of its clause (a comma ends it), at most this many words: rather one flag too many than one too few. */
const NEGATION_REACH = 5;

/** True when the text says the phrase without a negation shortly before it in the same clause. */
export function mentions(text: string, phrase: string, negations: readonly string[]): boolean {
  return text.split(/[.,;:!?\n]|\b(?:but|however|although)\b/iu).some((clause) => {
    const said = flat(clause);
    const wanted = flat(phrase);
    for (let from = said.indexOf(wanted); from >= 0; from = said.indexOf(wanted, from + 1)) {
      const before = ` ${said.slice(0, from).trim().split(' ').slice(-NEGATION_REACH).join(' ')} `;
      if (!negations.some((negation) => before.includes(flat(negation)))) return true;
    }
    return false;
  });
}

/** True when one of the texts says a phrase of the set, without a negation before it. */
export function saysWord(texts: readonly string[], set: CodeSet, vocabulary: Vocabulary): boolean {
  return texts.some(
    (text) =>
      patternOf(set).test(text) && (set.words ?? []).some((phrase) => mentions(text, phrase, vocabulary.negations)),
  );
}

/** @throws TypeError for a set that the vocabulary does not hold: manifests are checked when they are loaded */
export function setNamed(name: string, vocabulary: Vocabulary): CodeSet {
  const set = vocabulary.sets[name];
  if (set === undefined) throw new TypeError(`vocabulary.json has no set ${name}.`);
  return set;
}
