/**
 * Draft orders against each other, current and recently stopped drugs, allergies, and the patient. Deterministic: tables decide, no model.
 * Sources: Phansalkar 2012 and 2013 (ONC lists), US prescribing information; knowledge/SOURCE.md, decisions 0008 and 0024.
 */
import { isJsonObject, type Resource } from '../../fhir/resource.ts';
import { withoutOwnOutput } from '../own-output.ts';
import { type Allergy, allergiesIn, allergyFinding } from './allergy.ts';
import { alternativesFor, wantsAlternatives } from './alternatives.ts';
import { combinationFindings } from './combination.ts';
import { isAsNeeded, isOnce } from './dosage.ts';
import type { Alternative, DrugMention, DrugSafety, Finding, Unchecked } from './finding.ts';
import { type DrugKnowledge, loadDrugKnowledge, type SiteMap } from './knowledge.ts';
import { type Drug, drugOf, namesMedication, type Pool, textsOf } from './medication.ts';
import { orderFindings, unreadDose } from './order-checks.ts';
import { eachOf, runAtOnce, runPaced, type Steps, sorted } from './pace.ts';
import { pairFinding } from './pair-finding.ts';
import { factsIn, type PatientFacts } from './patient-facts.ts';
import { isLocal, routeOf } from './route.ts';
import { severityRank } from './severity.ts';
import { currentBeside, type Taken } from './taken-drug.ts';
import { courseOf, DAY_MS, dateOf } from './wash-out.ts';

/** The check over the tables in a folder. Takes about 0.2 s. @throws TypeError when the tables are not what their manifest says */
export function loadDrugSafety(folder: string, site?: SiteMap): DrugSafety {
  const knowledge = loadDrugKnowledge(folder, site);
  const { version, sha256, sources } = knowledge;
  return {
    knowledge: { version, sha256, sources },
    check: (drafts, context, at) => runAtOnce(checking(drafts, context, at, knowledge)),
    checkPaced: (drafts, context, at, pace) => runPaced(checking(drafts, context, at, knowledge), pace),
  };
}

/** Draft orders that are checked in one call, and drugs they are compared with: the rest is named as not checked. */
const MOST_ORDERS = 100;
const MOST_TAKEN = 500;
/** Drugs that are read in one step. */
const READ_AT_ONCE = 25;

/** All that one call knows. */
interface Chart {
  readonly taken: readonly Taken[];
  readonly recent: readonly Taken[];
  readonly allergies: readonly Allergy[];
  readonly facts: PatientFacts;
  readonly at: number;
  readonly knowledge: DrugKnowledge;
}

function* checking(
  drafts: readonly Resource[],
  given: readonly Resource[],
  at: number,
  knowledge: DrugKnowledge,
): Steps<Checked> {
  const context = withoutOwnOutput(given);
  const pool = medications([...context, ...drafts]);
  const orders = drafts.filter(isOrdered);
  const ordered: Taken[] = [];
  for (const [index, draft] of orders.slice(0, MOST_ORDERS).entries()) {
    ordered.push(orderedDrug(draft, index, pool, knowledge));
    if (index % READ_AT_ONCE === READ_AT_ONCE - 1) yield;
  }
  const own = new Set(ordered.map(({ mention }) => mention.source));
  const about = context.filter((resource) => namesMedication(resource) && !own.has(sourceOf(resource)));
  const taken: Taken[] = [];
  const recent: Taken[] = [];
  let beyond = 0;
  for (const [index, resource] of about.entries()) {
    const isFull = taken.length >= MOST_TAKEN;
    const found = isFull ? [] : takenDrug(resource, at, pool, knowledge);
    taken.push(...found);
    if (isFull) beyond += courseOf(resource, at).state === 'active' ? 1 : 0;
    else recent.push(...recentDrug(resource, at, pool, knowledge));
    if (index % READ_AT_ONCE === READ_AT_ONCE - 1) yield;
  }
  // What is not read in time leaves no time to judge any draft by it: all are late.
  const { allergies, unknown } = yield* allergiesIn(context, knowledge);
  const chart: Chart = {
    taken,
    recent,
    allergies,
    facts: yield* factsIn(context, at, knowledge.rules.terms),
    at,
    knowledge,
  };
  const all = [...ordered, ...taken];
  const found: Finding[] = [];
  const late = orders.slice(MOST_ORDERS).map((draft, index) => unread(draft, MOST_ORDERS + index));
  const undosed: Unchecked[] = [];
  for (const [index, draft] of ordered.entries()) {
    if (!(yield)) {
      late.push(draft.mention);
      continue;
    }
    found.push(...judgeOne(draft, ordered.slice(index + 1), all, chart));
    const reason = unreadDose(draft, { all, current: currentBeside(all, draft), facts: chart.facts, knowledge });
    if (reason !== undefined) undosed.push({ draft: draft.mention, reason });
  }
  yield;
  const judged = yield* inOrder(found);
  const known = all;
  return {
    findings: yield* withHazards(yield* withAlternatives(judged, ordered, chart), knowledge),
    ...(undosed.length === 0 ? {} : { undosed }),
    ...(late.length === 0 ? {} : { late }),
    ...(beyond === 0 ? {} : { beyond }),
    unresolved: [
      ...new Set([
        ...known.filter(({ mention }) => mention.state !== 'washout').flatMap(({ drug }) => drug.unknown),
        ...unknown,
      ]),
    ],
    unchecked: ordered
      .filter(({ drug }) => drug.unknown.length > 0)
      .map(({ mention, drug }) => ({ draft: mention, reason: unknownReason(drug, knowledge) })),
    considered: known.map(({ mention }) => mention),
  };
}

type Checked = ReturnType<DrugSafety['check']>;

/** Of a product of several ingredients some may be known. */
function unknownReason({ ingredients, unknown }: Drug, { nameOf }: DrugKnowledge): string {
  if (ingredients.length === 0) return 'No table knows this drug: it was compared with nothing.';
  const known = ingredients.map(nameOf).join(', ');
  return `No table knows ${unknown.join(', ')}: it was compared with nothing. Only ${known} of this order was checked.`;
}

/** Every finding of one draft, in no order; with other drafts only where they come after it: each pair is judged once. */
function judgeOne(
  draft: Taken,
  later: readonly Taken[],
  all: readonly Taken[],
  { taken, recent, allergies, facts, at, knowledge }: Chart,
): readonly Finding[] {
  const standing = [...all.filter(({ mention }) => mention.state === 'active'), ...recent];
  const call = { all, standing, facts, at, knowledge, current: currentBeside(all, draft) };
  return [
    ...[...later, ...taken].flatMap((other) => pairFinding(draft, other, call) ?? []),
    ...allergies.flatMap((allergy) => allergyFinding(draft.mention, draft.drug.ingredients, allergy, knowledge) ?? []),
    ...combinationFindings(draft, all, recent, facts, knowledge),
    ...orderFindings(draft, call),
  ];
}

/** A draft beyond the ceiling, as it names itself: nothing of it is looked up. */
function unread(draft: Resource, index: number): DrugMention {
  const concept = isJsonObject(draft.medicationCodeableConcept) ? draft.medicationCodeableConcept : {};
  const source = draft.id === undefined ? `${draft.resourceType}/draft-${index}` : sourceOf(draft);
  const [display = 'order without text'] = textsOf(concept);
  return { display, rxcui: undefined, ingredients: [], source, state: 'draft', at: undefined };
}

function* withHazards(findings: readonly Finding[], { rules }: DrugKnowledge): Steps<readonly Finding[]> {
  const all: Finding[] = [];
  yield* eachOf(findings, (finding) => {
    const { kind, rule, effect } = finding;
    const hazard = rules.hazardOf(rule.id, kind === 'interaction' ? effect : undefined);
    all.push(hazard === undefined ? finding : { ...finding, hazard: { id: hazard.id, name: hazard.name } });
  });
  return all;
}

/** With alternatives, worked out once a draft: each is judged as if it stood in the draft's place. */
function* withAlternatives(
  findings: readonly Finding[],
  ordered: readonly Taken[],
  chart: Chart,
): Steps<readonly Finding[]> {
  const wanting = new Set(findings.filter(wantsAlternatives).map(({ draft }) => draft));
  // So many orders at once are a list to be read, not one to be rewritten.
  if (wanting.size === 0 || ordered.length > MOST_WITH_ALTERNATIVES) return findings;
  const known = new Map<DrugMention, readonly Alternative[]>();
  for (const draft of ordered) {
    if (wanting.has(draft.mention)) known.set(draft.mention, yield* alternativesTo(draft, ordered, chart));
  }
  return findings.map((finding) => {
    const alternatives = known.get(finding.draft) ?? [];
    return alternatives.length === 0 || !wantsAlternatives(finding) ? finding : { ...finding, alternatives };
  });
}

/** Each alternative is judged beside all of them. */
const MOST_WITH_ALTERNATIVES = 20;

function* alternativesTo(draft: Taken, ordered: readonly Taken[], chart: Chart): Steps<readonly Alternative[]> {
  const others = ordered.filter((one) => one !== draft);
  const judged = (hypothetical: Resource) => {
    const instead = orderedDrug(hypothetical, 0, NO_MEDICATIONS, chart.knowledge);
    const all = [instead, ...others, ...chart.taken];
    const { recent, facts, knowledge } = chart;
    return [
      ...judgeOne(instead, others, all, chart),
      // Pairs have been judged from its side; a combination may be completed by another draft.
      ...others
        .flatMap((one) => combinationFindings(one, all, recent, facts, knowledge))
        .filter(({ other }) => other === instead.mention),
    ];
  };
  return yield* alternativesFor(draft.drug.ingredients, onlyRoute(draft.resource), judged, chart.knowledge);
}

const NO_MEDICATIONS: Pool = new Map();

/** The route of the first dosage; nothing else of a dosage is ever carried to another drug. */
function onlyRoute({ dosageInstruction }: Resource): Resource['dosageInstruction'] {
  const [first] = Array.isArray(dosageInstruction) ? dosageInstruction : [];
  return isJsonObject(first) && isJsonObject(first.route) ? [{ route: first.route }] : undefined;
}

/** Orders that take a drug away, or that were a mistake, endanger nobody. */
const NOT_ORDERED: ReadonlySet<unknown> = new Set(['entered-in-error', 'cancelled', 'stopped']);
const isOrdered = (draft: Resource) =>
  namesMedication(draft) && draft.doNotPerform !== true && !NOT_ORDERED.has(draft.status);

const sourceOf = ({ resourceType, id }: Resource) => `${resourceType}/${id ?? '?'}`;

function medications(resources: readonly Resource[]): Pool {
  return new Map(
    resources.flatMap((resource) =>
      resource.resourceType === 'Medication' ? [[sourceOf(resource), resource] as const] : [],
    ),
  );
}

function orderedDrug(draft: Resource, index: number, pool: Pool, knowledge: DrugKnowledge): Taken {
  const source = draft.id === undefined ? `${draft.resourceType}/draft-${index}` : sourceOf(draft);
  const drug = drugOf(draft, pool, knowledge);
  const mention = mentionOf(drug, source, 'draft', dateOf(draft), knowledge);
  return { ...handled(draft, drug, knowledge), mention, endedAt: undefined, replaces: replacedBy(draft) };
}

/** How the drug is given. */
function handled(resource: Resource, drug: Drug, { rules }: DrugKnowledge) {
  const route = routeOf(resource, drug.display, rules.routes);
  return {
    drug,
    resource,
    route,
    isLocal: isLocal(route, drug.ingredients, rules.routes),
    once: isOnce(resource),
    prn: isAsNeeded(resource),
  };
}

function replacedBy({ priorPrescription }: Resource): string | undefined {
  const reference = isJsonObject(priorPrescription) ? priorPrescription.reference : undefined;
  return typeof reference === 'string' ? reference : undefined;
}

/** An order written longer ago than this, and still called active: a US prescription is valid for a year. */
export const STALE_MS = 366 * DAY_MS;

function takenDrug(resource: Resource, at: number, pool: Pool, knowledge: DrugKnowledge): readonly Taken[] {
  const { state, endedAt } = courseOf(resource, at);
  if (state === 'none' || !namesMedication(resource) || isProposal(resource)) return [];
  const drug = drugOf(resource, pool, knowledge);
  const source = sourceOf(resource);
  const about = { ...handled(resource, drug, knowledge), replaces: undefined };
  if (state === 'active') {
    const written = dateOf(resource);
    const mention = mentionOf(drug, source, 'active', written, knowledge);
    const stale = resource.resourceType === 'MedicationRequest' && written !== undefined && at - written > STALE_MS;
    return [{ ...about, mention: stale ? { ...mention, stale } : mention, endedAt: undefined }];
  }
  const days = Math.max(0, ...drug.ingredients.map(knowledge.longestWashOutDays));
  if (days === 0 || (endedAt !== undefined && at - endedAt >= days * DAY_MS)) return [];
  return [{ ...about, mention: mentionOf(drug, source, 'washout', endedAt ?? dateOf(resource), knowledge), endedAt }];
}

/** An order that ended within a day; it is taken no more. */
function recentDrug(resource: Resource, at: number, pool: Pool, knowledge: DrugKnowledge): readonly Taken[] {
  if (!namesMedication(resource) || isProposal(resource)) return [];
  const { state, endedAt } = courseOf(resource, at);
  if (state !== 'ended' || endedAt === undefined || at - endedAt > DAY_MS) return [];
  const drug = drugOf(resource, pool, knowledge);
  const mention = mentionOf(drug, sourceOf(resource), 'washout', endedAt, knowledge);
  return [{ ...handled(resource, drug, knowledge), mention, endedAt, replaces: undefined }];
}

/** A proposal is no order: nobody has decided to give the drug. Ours are of this kind. */
const isProposal = ({ intent, resourceType }: Resource) =>
  resourceType === 'MedicationRequest' && (intent === 'proposal' || intent === 'option');

function mentionOf(
  { display, rxcui, ingredients }: Drug,
  source: string,
  state: DrugMention['state'],
  at: number | undefined,
  knowledge: DrugKnowledge,
): DrugMention {
  return { display, rxcui, ingredients: ingredients.map(knowledge.nameOf), source, state, at };
}

/**
 * Each fact once for each draft it concerns: between drafts before current drugs before stopped ones.
 * Highest severity first, then by key and draft.
 */
function* inOrder(findings: readonly Finding[]): Steps<readonly Finding[]> {
  const near: Finding[][] = [[], [], []];
  yield* eachOf(findings, (finding) => near[nearness(finding)]?.push(finding));
  const told = new Set<string>();
  const once: { readonly finding: Finding; readonly text: string }[] = [];
  for (const some of near) {
    yield* eachOf(some, (finding) => {
      const { key, draft, other, allergy } = finding;
      const fact = `${key} ${allergy?.source ?? ''} `;
      const own = fact + draft.source;
      const others = other?.state === 'draft' ? fact + other.source : own;
      if (!told.has(own) || !told.has(others)) once.push({ finding, text: `${key} ${draft.source}` });
      told.add(own).add(others);
    });
  }
  const all = yield* sorted(
    once,
    (a, b) =>
      severityRank(a.finding.severity) - severityRank(b.finding.severity) ||
      (a.text < b.text ? -1 : a.text > b.text ? 1 : 0),
  );
  return all.map(({ finding }) => finding);
}

const nearness = ({ other }: Finding) => (other === undefined ? 0 : NEARNESS[other.state]);
const NEARNESS = { draft: 0, active: 1, washout: 2 } as const satisfies Record<DrugMention['state'], number>;
