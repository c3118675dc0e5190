/** Which drugs a medication resource is about: by RxNorm code, by the Medication it points at, else by the names in its text. Source: FHIR R4 medication.html, references.html#contained. */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import { ATC, type DrugKnowledge, foldedName, type Ingredient, type Phrases } from './knowledge.ts';
import { objectsIn } from './wash-out.ts';

export const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';

export interface Drug {
  /** As written; the code when nothing else is. */
  readonly display: string;
  readonly rxcui: string | undefined;
  readonly ingredients: readonly Ingredient[];
  /** Displays of the parts that no table knows. */
  readonly unknown: readonly string[];
}

/** Medication resources by `Type/id`. */
export type Pool = ReadonlyMap<string, Resource>;

const ABOUT_A_DRUG: ReadonlySet<string> = new Set([
  'MedicationRequest',
  'MedicationStatement',
  'MedicationDispense',
  'MedicationAdministration',
]);

/** True when the resource is about a drug, even if it does not say which. */
export function namesMedication(resource: Resource): boolean {
  return (
    ABOUT_A_DRUG.has(resource.resourceType) ||
    resource.medicationCodeableConcept !== undefined ||
    resource.medicationReference !== undefined
  );
}

/** The drug of a request, statement, dispense or administration. Never throws; what is not recognised is in `unknown`. */
export function drugOf(resource: Resource, pool: Pool, knowledge: DrugKnowledge): Drug {
  if (isJsonObject(resource.medicationCodeableConcept)) return ofConcept(resource.medicationCodeableConcept, knowledge);
  const reference = isJsonObject(resource.medicationReference) ? resource.medicationReference : {};
  const medication = target(reference.reference, resource, pool);
  return medication === undefined
    ? ofConcept({ text: reference.display }, knowledge)
    : ofMedication(medication, resource, pool, knowledge, 0);
}

/** Ingredients are followed this deep: a product, its ingredients, theirs. */
const MAX_DEPTH = 3;

function ofMedication(
  medication: Resource,
  holder: Resource,
  pool: Pool,
  knowledge: DrugKnowledge,
  depth: number,
): Drug {
  const whole = isJsonObject(medication.code) ? ofConcept(medication.code, knowledge) : undefined;
  if (whole !== undefined && whole.unknown.length === 0) return whole;
  const parts = objectsIn(medication.ingredient).map((part) => {
    if (isJsonObject(part.itemCodeableConcept)) return ofConcept(part.itemCodeableConcept, knowledge);
    const reference = isJsonObject(part.itemReference) ? part.itemReference : {};
    const item = depth < MAX_DEPTH ? target(reference.reference, holder, pool) : undefined;
    return item === undefined
      ? ofConcept({ text: reference.display }, knowledge)
      : ofMedication(item, holder, pool, knowledge, depth + 1);
  });
  if (parts.length === 0) return whole ?? ofConcept({}, knowledge);
  return {
    display: whole?.display ?? parts.map(({ display }) => display).join(' / '),
    rxcui: whole?.rxcui ?? (parts.length === 1 ? parts[0]?.rxcui : undefined),
    ingredients: [...new Set(parts.flatMap(({ ingredients }) => ingredients))],
    unknown: parts.flatMap(({ unknown }) => unknown),
  };
}

function target(reference: Json | undefined, holder: Resource, pool: Pool): Resource | undefined {
  if (typeof reference !== 'string') return undefined;
  if (reference.startsWith('#')) {
    const contained = objectsIn(holder.contained).find(({ id }) => id === reference.slice(1));
    return contained && { ...contained, resourceType: 'Medication' };
  }
  const relative = /(?:^|\/)(Medication\/[A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/.exec(
    reference,
  )?.[1];
  return pool.get(relative ?? reference);
}

/** What a CodeableConcept says by RxNorm code and by name. Shared with allergies. */
export function ofConcept(concept: JsonObject, knowledge: DrugKnowledge): Drug {
  const codings = objectsIn(concept.coding);
  const codes = codings.flatMap(({ system, code }) =>
    system === RXNORM && typeof code === 'string' ? [code.trim()] : [],
  );
  const texts = textsOf(concept);
  const ofRxNorm = codes.flatMap((code) => knowledge.ofProduct(code) ?? []);
  const coded = new Set(ofRxNorm.length > 0 ? ofRxNorm : codings.flatMap((coding) => ofOtherSystem(coding, knowledge)));
  const named = namedIn(texts, knowledge);
  // A code and a name that have nothing in common: one of them is wrong, and nobody here can tell which. Both are checked.
  const agree = coded.size === 0 || named.length === 0 || named.some((ingredient) => coded.has(ingredient));
  const ingredients = coded.size > 0 && agree ? [...coded] : [...new Set([...coded, ...named])];
  const display = texts[0] ?? codings.flatMap(codeInWords)[0] ?? 'drug without name';
  return { display, rxcui: codes[0], ingredients, unknown: ingredients.length === 0 ? [display] : [] };
}

/** A code that stands alone is named with its system, so that somebody can look it up. */
export function codeInWords({ system, code }: JsonObject): readonly string[] {
  if (typeof code !== 'string' || code.trim() === '') return [];
  const name = typeof system === 'string' && Object.hasOwn(SYSTEMS, system) ? SYSTEMS[system] : 'code';
  return [`${name} ${code.trim()}`];
}
const SYSTEMS: Readonly<Record<string, string>> = {
  [RXNORM]: 'RxNorm',
  [ATC]: 'ATC',
  'http://snomed.info/sct': 'SNOMED CT',
  'http://hl7.org/fhir/sid/ndc': 'NDC',
};

/** ATC, and what the site map holds: local codes, NDC, SNOMED CT. RxNorm goes first. */
function ofOtherSystem({ system, code }: JsonObject, knowledge: DrugKnowledge): readonly Ingredient[] {
  return typeof system === 'string' && typeof code === 'string' ? (knowledge.ofCode(system, code.trim()) ?? []) : [];
}

/** The text of a concept, then the displays of its codings. */
export function textsOf(concept: JsonObject): readonly string[] {
  return [concept.text, ...objectsIn(concept.coding).map(({ display }) => display)].filter(
    (text): text is string => typeof text === 'string' && text.trim() !== '',
  );
}

/** Of the first text that names any drug. */
function namedIn(texts: readonly string[], knowledge: DrugKnowledge): readonly Ingredient[] {
  for (const text of texts) {
    const found = phrasesIn(text, knowledge.drugNames).filter(notASalt);
    if (found.length > 0) return found.flatMap(({ named }) => named);
  }
  return [];
}

/** Longest text that is searched for names; the rest is not a name. */
const MAX_TEXT = 400;

export interface FoundPhrase {
  readonly phrase: string;
  /** Its first word's position in the text. */
  readonly start: number;
  readonly named: readonly string[];
}

/** Known phrases in a text from left to right, the longest at each word, at word boundaries. */
export function phrasesIn(text: string, { named, longest }: Phrases): readonly FoundPhrase[] {
  const words = foldedName(text.slice(0, MAX_TEXT)).split(' ');
  const found: FoundPhrase[] = [];
  for (let start = 0; start < words.length; start++) {
    let length = Math.min(longest.get(words[start] ?? '') ?? 0, words.length - start);
    for (; length > 0; length--) {
      const phrase = words.slice(start, start + length).join(' ');
      const meaning = named.get(phrase);
      if (meaning === undefined) continue;
      found.push({ phrase, start, named: meaning });
      start += length - 1;
      break;
    }
  }
  return found;
}

/** Second halves of salts and vehicles: `naproxen sodium`, `in water`. They are drugs of their own only as the first word. */
const SALTS: ReadonlySet<string> = new Set(
  (
    'sodium potassium calcium magnesium zinc iron aluminum chloride acetate citrate phosphate sulfate nitrate carbonate ' +
    'bicarbonate water alcohol ethanol air syrup lactose talc sucrose glycerin hydrochloric acid'
  ).split(' '),
);
const notASalt = ({ phrase, start }: FoundPhrase) => start === 0 || !SALTS.has(phrase);
