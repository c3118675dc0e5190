/**
 * Draft orders against each other, current and recently stopped drugs, and allergies. Deterministic: tables decide, no model.
 * Sources: Phansalkar 2012 and 2013 (ONC lists), US prescribing information; knowledge/SOURCE.md, decision 0008.
 */
import type { Resource } from '../fhir/resource.ts';
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
}

function checked(
  drafts: readonly Resource[],
  context: readonly Resource[],
  at: number,
  knowledge: DrugKnowledge,
): ReturnType<DrugSafety['check']> {
  const pool = medications([...context, ...drafts]);
  const ordered = drafts
    .filter((draft) => namesMedication(draft) && draft.doNotPerform !== true)
    .map((draft, index) => orderedDrug(draft, index, pool, knowledge));
  const own = new Set(ordered.map(({ mention }) => mention.source));
  const taken = context.flatMap((resource) =>
    own.has(sourceOf(resource)) ? [] : takenDrug(resource, at, pool, knowledge),
  );
  const findings = ordered.flatMap((draft, index) => [
    ...[...ordered.slice(index + 1), ...taken].flatMap((other) => pairFinding(draft, other, at, knowledge)),
  ]);
  const known = [...ordered, ...taken];
  return {
    findings: inOrder(findings),
    unresolved: [
      ...new Set(known.filter(({ mention }) => mention.state !== 'washout').flatMap(({ drug }) => drug.unknown)),
    ],
    considered: known.map(({ mention }) => mention),
  };
}

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
  return { mention: mentionOf(drug, source, 'draft', dateOf(draft), knowledge), drug, endedAt: undefined };
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
function pairFinding(draft: Taken, other: Taken, at: number, knowledge: DrugKnowledge): readonly Finding[] {
  let worst: { readonly rule: PairRule; readonly pair: readonly string[] } | undefined;
  for (const one of draft.drug.ingredients) {
    for (const two of other.drug.ingredients) {
      const rule = knowledge
        .rulesOf(one, two)
        .find(({ kind }) => kind === 'interaction' || other.mention.state !== 'washout');
      if (rule === undefined || (worst && severityRank(worst.rule.severity) <= severityRank(rule.severity))) continue;
      if (other.mention.state === 'washout' && !stillActs(two, one, other.endedAt, at, knowledge)) continue;
      worst = { rule, pair: [one, two].toSorted() };
    }
  }
  if (worst === undefined) return [];
  const { id, kind, severity, effect, citation, url } = worst.rule;
  const key = `${kind} ${worst.pair.join('+')} ${id}`;
  return [{ kind, severity, key, draft: draft.mention, other: other.mention, effect, rule: { id, citation, url } }];
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

/** Each fact once for each draft; current drugs speak before stopped ones. Highest severity first, then by key. */
function inOrder(findings: readonly Finding[]): readonly Finding[] {
  const once = new Map<string, Finding>();
  for (const finding of findings) {
    const fact = `${finding.draft.source} ${finding.key}`;
    const earlier = once.get(fact);
    if (earlier === undefined || (earlier.other?.state === 'washout' && finding.other?.state === 'active'))
      once.set(fact, finding);
  }
  return [...once.values()].toSorted(
    (a, b) => severityRank(a.severity) - severityRank(b.severity) || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0),
  );
}
