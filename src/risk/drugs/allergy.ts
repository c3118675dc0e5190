/**
 * Recorded allergies against an ordered drug. Sources: FHIR R4 allergyintolerance.html; knowledge/allergies.json
 * (Chaudhry 2019, Picard 2019, Strom 2003, Khan 2022 and the others named there).
 */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';
import type { DrugMention, Finding, Severity } from './finding.ts';
import { type AllergyRule, type DrugKnowledge, foldedName, type Ingredient, type Phrases } from './knowledge.ts';
import { codeInWords, phrasesIn, RXNORM, textsOf } from './medication.ts';
import type { Steps } from './pace.ts';
import { lower, severityRank } from './severity.ts';
import { objectsIn } from './wash-out.ts';

const SNOMED = 'http://snomed.info/sct';

export interface Allergy {
  readonly display: string;
  readonly source: string;
  readonly at: number | undefined;
  readonly ingredients: readonly Ingredient[];
  /** Groups recorded as such ("penicillins"), not those of the ingredients. */
  readonly classes: readonly string[];
  /**
   * Without any sign of a severe reaction, and of type `intolerance`, or of low criticality with mild reactions only: one step less severe.
   */
  readonly isMild: boolean;
  /** Anaphylaxis and the like, or a reaction recorded as severe: what shares a side chain or class is avoided, too. */
  readonly isSevere: boolean;
  /** Stevens-Johnson, toxic epidermal necrolysis, DRESS, AGEP: related drugs are avoided too. */
  readonly isDelayedSevere: boolean;
}

/** Allergies that are read in one step. */
const READ_AT_ONCE = 10;

/**
 * The allergies that count: clinical status active or not said, neither refuted nor a mistake; of all that was read in time.
 * `unknown`: medication allergies that no table knows.
 */
export function* allergiesIn(
  context: readonly Resource[],
  knowledge: DrugKnowledge,
): Steps<{ readonly allergies: readonly Allergy[]; readonly unknown: readonly string[] }> {
  const read: { readonly resource: Resource; readonly allergy: Allergy }[] = [];
  for (const resource of context.filter(counts)) {
    read.push({ resource, allergy: allergyOf(resource, knowledge) });
    if (read.length % READ_AT_ONCE === 0 && !(yield)) break;
  }
  const isKnown = ({ ingredients, classes }: Allergy) => ingredients.length + classes.length > 0;
  return {
    allergies: read.map(({ allergy }) => allergy).filter(isKnown),
    unknown: read
      .filter(({ resource, allergy }) => !isKnown(allergy) && mayBeDrug(resource) && !saysNone(resource, knowledge))
      .map(({ allergy }) => `allergy to ${allergy.display}`),
  };
}

function counts(resource: Resource): boolean {
  if (resource.resourceType !== 'AllergyIntolerance') return false;
  const clinical = codesOf(resource.clinicalStatus);
  const verification = codesOf(resource.verificationStatus);
  return (
    (clinical.length === 0 || clinical.includes('active')) &&
    !verification.includes('refuted') &&
    !verification.includes('entered-in-error')
  );
}

/** Category medication or biologic; without a category a code that nobody here can read may be a drug, too. */
function mayBeDrug({ category, code }: Resource): boolean {
  if (!Array.isArray(category) || category.length === 0) return isJsonObject(code) && textsOf(code).length === 0;
  return category.includes('medication') || category.includes('biologic');
}

function saysNone({ code }: Resource, knowledge: DrugKnowledge): boolean {
  if (!isJsonObject(code)) return false;
  return (
    codesOf(code).some((one) => knowledge.allergens.none.has(one)) ||
    textsOf(code).some((text) => /\b(?:no known|not known|nka|nkda|none)\b/.test(foldedName(text)))
  );
}

const codesOf = (concept: Json | undefined): readonly string[] =>
  isJsonObject(concept)
    ? objectsIn(concept.coding).flatMap(({ code }) => (typeof code === 'string' ? [code] : []))
    : [];

function allergyOf(resource: Resource, knowledge: DrugKnowledge): Allergy {
  const reactions = objectsIn(resource.reaction);
  const concepts = [resource.code, ...reactions.map(({ substance }) => substance)].filter(isJsonObject);
  const named = saysNone(resource, knowledge) ? [] : concepts.flatMap((concept) => allergensOf(concept, knowledge));
  const signs = reactions.map((reaction) => signOf(reaction));
  const isDelayedSevere = signs.includes('delayed');
  const isSevere = isDelayedSevere || signs.includes('severe') || resource.criticality === 'high';
  const recorded = [resource.lastOccurrence, resource.recordedDate].find((text) => typeof text === 'string');
  return {
    display:
      concepts.flatMap(textsOf)[0] ??
      concepts.flatMap(({ coding }) => objectsIn(coding).flatMap(codeInWords))[0] ??
      'substance without name',
    source: `${resource.resourceType}/${resource.id ?? '?'}`,
    at: typeof recorded === 'string' ? intervalOf(recorded)?.low : undefined,
    ingredients: [...new Set(named.filter((name) => !knowledge.isGroup(name)))],
    classes: [...new Set(named.filter(knowledge.isGroup))],
    isMild: !isSevere && (resource.type === 'intolerance' || isHarmless(resource, reactions)),
    isSevere,
    isDelayedSevere,
  };
}

/** Low criticality, and every recorded reaction was mild; without any reaction nothing is known. */
function isHarmless({ criticality, type }: Resource, reactions: readonly JsonObject[]): boolean {
  return (
    criticality === 'low' &&
    type !== 'allergy' &&
    reactions.length > 0 &&
    reactions.every(({ severity }) => severity === 'mild')
  );
}

/** By code; by name only when no code is known. A class name wins over a drug of the same name ("penicillin"). */
function allergensOf(concept: JsonObject, knowledge: DrugKnowledge): readonly string[] {
  const coded = objectsIn(concept.coding).flatMap(({ system, code }): readonly string[] => {
    if (typeof code !== 'string') return [];
    if (system === RXNORM) return knowledge.ofProduct(code.trim()) ?? [];
    return system === SNOMED ? (knowledge.allergens.snomed.get(code.trim()) ?? []) : [];
  });
  if (coded.length > 0) return coded;
  for (const text of textsOf(concept)) {
    const found = namesIn(text, knowledge.allergens.phrases, knowledge.drugNames);
    if (found.length > 0) return found;
  }
  return [];
}

/** At each word the longer phrase of the two tables; at equal length the class. */
function namesIn(text: string, classes: Phrases, drugs: Phrases): readonly string[] {
  const ofDrugs = phrasesIn(text, drugs);
  const ofClasses = phrasesIn(text, classes).filter(
    ({ phrase }) =>
      !ofDrugs.some((drug) => drug.phrase.length > phrase.length && ` ${drug.phrase} `.includes(` ${phrase} `)),
  );
  const shadowed = (phrase: string) => ofClasses.some((one) => ` ${one.phrase} `.includes(` ${phrase} `));
  return [...ofClasses, ...ofDrugs.filter(({ phrase }) => !shadowed(phrase))].flatMap(({ named }) => named);
}

const DELAYED = /stevens johnson|toxic epidermal|\bdress\b|\bsjs\b|eosinophilia and systemic|exanthematous pustulosis/;
const IMMEDIATE = /anaphyla|angioedema|angio oedema|bronchospasm|laryng/;

/** How bad a recorded reaction was, by its severity, its manifestations' names and two codes (SNOMED CT 73442001, 39579001). */
function signOf(reaction: JsonObject): 'delayed' | 'severe' | undefined {
  const manifestations = objectsIn(reaction.manifestation);
  const codes = manifestations.flatMap(codesOf);
  const text = foldedName(manifestations.flatMap(textsOf).join(' ').slice(0, 1000));
  if (codes.includes('73442001') || DELAYED.test(text)) return 'delayed';
  return reaction.severity === 'severe' || codes.includes('39579001') || IMMEDIATE.test(text) ? 'severe' : undefined;
}

const SEVERITY_OF = {
  contraindicated: 'contraindicated',
  high: 'major',
  moderate: 'moderate',
  low: 'low',
} as const satisfies Record<AllergyRule['level'], Severity>;

interface Match {
  readonly id: string;
  readonly severity: Severity;
  /** The rule is between two beta-lactam classes. */
  readonly isBetaLactam: boolean;
  readonly effect: string;
  readonly allergen: string;
  readonly ingredient: Ingredient;
}

/** The most severe conflict of a draft with one allergy; undefined when there is none. */
export function allergyFinding(
  draft: DrugMention,
  ingredients: readonly Ingredient[],
  allergy: Allergy,
  knowledge: DrugKnowledge,
): Finding | undefined {
  const matches = ingredients.flatMap((ingredient) => matchesOf(ingredient, allergy, knowledge));
  const [worst] = matches.toSorted((a, b) => severityRank(a.severity) - severityRank(b.severity));
  if (worst === undefined) return undefined;
  const { id, effect, allergen, ingredient } = worst;
  const { display, source, at } = allergy;
  return {
    kind: 'allergy',
    severity: adjusted(worst, allergy),
    key: `allergy ${[allergen, ingredient].toSorted().join('+')} ${id}`,
    draft,
    other: undefined,
    allergy: { display, source, at },
    effect: allergy.isMild ? `${effect} Recorded as an intolerance or a mild reaction.` : effect,
    evidence: ['ALLERGY'],
    rule: { id, citation: knowledge.allergyCitation, url: undefined },
  };
}

/**
 * A mild intolerance is one step less. A severe delayed reaction forbids what is related; a distant beta-lactam is then given only on a
 * specialist's advice (Khan 2022). After anaphylaxis a shared side chain or class is contraindicated.
 */
function adjusted({ severity, isBetaLactam }: Match, { isMild, isSevere, isDelayedSevere }: Allergy): Severity {
  if (isMild) return lower(severity);
  if (!isDelayedSevere) return isSevere && severity === 'major' ? 'contraindicated' : severity;
  if (severity !== 'low') return 'contraindicated';
  return isBetaLactam ? 'major' : 'low';
}

const BETA_LACTAMS: ReadonlySet<string> = new Set(['penicillins', 'cephalosporins_all', 'carbapenems']);

function matchesOf(ingredient: Ingredient, allergy: Allergy, knowledge: DrugKnowledge): readonly Match[] {
  const same: readonly Match[] = allergy.ingredients.includes(ingredient)
    ? [
        {
          id: 'ALLERGY-same-ingredient',
          severity: 'contraindicated',
          isBetaLactam: false,
          effect: 'The recorded allergy is to an ingredient of this order.',
          allergen: ingredient,
          ingredient,
        },
      ]
    : [];
  const groups = knowledge.groupsOf(ingredient);
  const listed: readonly Match[] = allergy.classes
    .filter((name) => groups.has(name))
    .map((name) => ({
      id: `ALLERGY-class-${name}`,
      severity: 'major',
      isBetaLactam: false,
      effect: `The recorded allergy is to ${knowledge.nameOfGroup(name)}, the class of this drug.`,
      allergen: name,
      ingredient,
    }));
  const recorded = [
    ...allergy.classes.map((name) => ({ allergen: name, groups: new Set([name]) })),
    ...allergy.ingredients.map((one) => ({ allergen: one, groups: knowledge.groupsOf(one) })),
  ];
  const crossing = recorded.flatMap(({ allergen, groups: documented }) =>
    knowledge.allergyRules
      .filter((rule) => allergen !== ingredient && crosses(rule, documented, groups))
      .map((rule) => crossMatch(rule, documented, allergen, ingredient, knowledge)),
  );
  return [...same, ...listed, ...crossing];
}

function crosses(
  { allergy, target, symmetric }: AllergyRule,
  documented: ReadonlySet<string>,
  ordered: ReadonlySet<string>,
) {
  return (
    (documented.has(allergy) && ordered.has(target)) || (symmetric && documented.has(target) && ordered.has(allergy))
  );
}

function crossMatch(
  rule: AllergyRule,
  documented: ReadonlySet<string>,
  allergen: string,
  ingredient: Ingredient,
  { nameOfGroup }: DrugKnowledge,
): Match {
  const { allergy, target, rationale } = rule;
  const [recorded, ordered] = documented.has(allergy) ? [allergy, target] : [target, allergy];
  const which =
    recorded === ordered
      ? `Both are ${nameOfGroup(ordered)}`
      : `Cross-reactivity of ${nameOfGroup(recorded)} (recorded) with ${nameOfGroup(ordered)} (ordered)`;
  return {
    id: `ALLERGY-${rule.allergy}-${rule.target}`,
    severity: SEVERITY_OF[rule.level],
    isBetaLactam: BETA_LACTAMS.has(rule.allergy) && BETA_LACTAMS.has(rule.target),
    effect: `${which}: ${rationale}.`,
    allergen,
    ingredient,
  };
}
