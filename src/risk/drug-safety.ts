/**
 * Draft orders against each other, current and recently stopped drugs, and allergies. Deterministic: tables decide, no model.
 * Sources: Phansalkar 2012 and 2013 (ONC lists), US prescribing information; knowledge/SOURCE.md, decision 0008.
 */
import { isJsonObject, type Resource } from '../fhir/resource.ts';
import { allergiesIn, allergyFinding } from './allergy.ts';
import { type DrugKnowledge, loadDrugKnowledge, type PairRule, severityRank } from './drug-knowledge.ts';
import type { DrugMention, DrugSafety, Finding } from './finding.ts';
import { type Drug, drugOf, namesMedication, type Pool } from './medication.ts';
import { courseOf, DAY_MS, dateOf } from './wash-out.ts';

/** The check over the tables in a folder. Takes about 0.2 s. @throws TypeError when the tables are not what their manifest says */
export function loadDrugSafety(folder: string): DrugSafety {
  const knowledge = loadDrugKnowledge(folder);
  const { version, sha256, sources } = knowledge;
  return {
    knowledge: { version, sha256, sources },
    check: (drafts, context, at) => checked(drafts, context, at, knowledge),
  };
}

/** A drug with what the search needs to know of it. */
interface Taken {
  readonly mention: DrugMention;
  readonly drug: Drug;
  /** ms since 1970; undefined = still taken, or ended nobody knows when. */
  readonly endedAt: number | undefined;
  /** The order that this one replaces, as `Type/id`. */
  readonly replaces?: string | undefined;
}

function checked(
  drafts: readonly Resource[],
  context: readonly Resource[],
  at: number,
  knowledge: DrugKnowledge,
): ReturnType<DrugSafety['check']> {
  const pool = medications([...context, ...drafts]);
  const ordered = drafts.filter(isOrdered).map((draft, index) => orderedDrug(draft, index, pool, knowledge));
  const own = new Set(ordered.map(({ mention }) => mention.source));
  const taken = context.flatMap((resource) =>
    own.has(sourceOf(resource)) ? [] : takenDrug(resource, at, pool, knowledge),
  );
  const { allergies, unknown } = allergiesIn(context, knowledge);
  const findings = ordered.flatMap((draft, index) => [
    ...[...ordered.slice(index + 1), ...taken].flatMap((other) => pairFinding(draft, other, at, knowledge) ?? []),
    ...allergies.flatMap((allergy) => allergyFinding(draft.mention, draft.drug.ingredients, allergy, knowledge) ?? []),
  ]);
  const known = [...ordered, ...taken];
  return {
    findings: inOrder(findings),
    unresolved: [
      ...new Set([
        ...known.filter(({ mention }) => mention.state !== 'washout').flatMap(({ drug }) => drug.unknown),
        ...unknown,
      ]),
    ],
    considered: known.map(({ mention }) => mention),
  };
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
  return {
    mention: mentionOf(drug, source, 'draft', dateOf(draft), knowledge),
    drug,
    endedAt: undefined,
    replaces: replacedBy(draft),
  };
}

function replacedBy({ priorPrescription }: Resource): string | undefined {
  const reference = isJsonObject(priorPrescription) ? priorPrescription.reference : undefined;
  return typeof reference === 'string' ? reference : undefined;
}

function takenDrug(resource: Resource, at: number, pool: Pool, knowledge: DrugKnowledge): readonly Taken[] {
  const { state, endedAt } = courseOf(resource, at);
  if (state === 'none' || !namesMedication(resource)) return [];
  const drug = drugOf(resource, pool, knowledge);
  if (state === 'active') {
    return [
      { mention: mentionOf(drug, sourceOf(resource), 'active', dateOf(resource), knowledge), drug, endedAt: undefined },
    ];
  }
  const days = Math.max(0, ...drug.ingredients.map(knowledge.longestWashOutDays));
  if (days === 0 || (endedAt !== undefined && at - endedAt >= days * DAY_MS)) return [];
  return [
    { mention: mentionOf(drug, sourceOf(resource), 'washout', endedAt ?? dateOf(resource), knowledge), drug, endedAt },
  ];
}

function mentionOf(
  { display, rxcui, ingredients }: Drug,
  source: string,
  state: DrugMention['state'],
  at: number | undefined,
  knowledge: DrugKnowledge,
): DrugMention {
  return { display, rxcui, ingredients: ingredients.map(knowledge.nameOf), source, state, at };
}

/** The most severe rule between two drugs, over all pairs of their ingredients. */
function pairFinding(draft: Taken, other: Taken, at: number, knowledge: DrugKnowledge): Finding | undefined {
  // Two of a kind matter only while both are taken; a renewal is the same therapy.
  const isDoubled = other.mention.state !== 'washout' && draft.replaces !== other.mention.source;
  let worst: { readonly rule: PairRule; readonly pair: readonly string[] } | undefined;
  for (const one of draft.drug.ingredients) {
    for (const two of other.drug.ingredients) {
      const rule = knowledge.rulesOf(one, two).find(({ kind }) => kind === 'interaction' || isDoubled);
      if (rule === undefined || (worst && severityRank(worst.rule.severity) <= severityRank(rule.severity))) continue;
      if (other.mention.state === 'washout' && !stillActs(two, one, other.endedAt, at, knowledge)) continue;
      worst = { rule, pair: [one, two].toSorted() };
    }
  }
  if (worst === undefined) return undefined;
  const { id, kind, severity, effect, citation, url } = worst.rule;
  const key = `${kind} ${worst.pair.join('+')} ${id}`;
  return { kind, severity, key, draft: draft.mention, other: other.mention, effect, rule: { id, citation, url } };
}

/** At exactly the number of days the wash-out is over. An end that nobody recorded cannot be ruled out. */
function stillActs(
  stopped: string,
  other: string,
  endedAt: number | undefined,
  at: number,
  knowledge: DrugKnowledge,
): boolean {
  const days = knowledge.washOutDays(stopped, other);
  return days > 0 && (endedAt === undefined || at - endedAt < days * DAY_MS);
}

/**
 * Each fact once for each draft it concerns: between drafts before current drugs before stopped ones.
 * Highest severity first, then by key and draft.
 */
function inOrder(findings: readonly Finding[]): readonly Finding[] {
  const told = new Set<string>();
  const once = findings
    .toSorted((a, b) => nearness(a) - nearness(b))
    .filter(({ key, draft, other, allergy }) => {
      const concerned = other?.state === 'draft' ? [draft.source, other.source] : [draft.source];
      const facts = concerned.map((source) => `${source} ${key} ${allergy?.source ?? ''}`);
      const isNew = facts.some((fact) => !told.has(fact));
      for (const fact of facts) told.add(fact);
      return isNew;
    });
  const text = ({ key, draft }: Finding) => `${key} ${draft.source}`;
  return once.toSorted(
    (a, b) =>
      severityRank(a.severity) - severityRank(b.severity) || (text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0),
  );
}

const nearness = ({ other }: Finding) => (other === undefined ? 0 : NEARNESS[other.state]);
const NEARNESS = { draft: 0, active: 1, washout: 2 } as const satisfies Record<DrugMention['state'], number>;
