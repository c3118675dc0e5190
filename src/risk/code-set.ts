/** Sets of codes and phrases that rules and inputs ask for; models/vocabulary.json `sets`. */
import type { Json } from '../fhir/resource.ts';
import { mentions } from './complaint.ts';
import type { CodedTerm, CodeSet, Vocabulary } from './manifest.ts';
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
