/** Drug-safety findings -> cards: one an order and hazard, with the removal of the draft order as a suggestion. Source: CDS Hooks 2.0.1 "Suggestion", "Action". */
import { DRUG_SAFETY, type DrugSafety, type Fact, type Finding, type Severity } from '../../risk/drugs/finding.ts';
import { groupingByHazard } from '../../risk/drugs/hazards.ts';
import { eachOf, type Steps, sorted } from '../../risk/drugs/pace.ts';
import { severityRank } from '../../risk/drugs/severity.ts';
import { tellingOnce } from '../../risk/drugs/told-once.ts';
import type { DraftOrder } from '../hook/draft-orders.ts';
import { relativeOf } from '../hook/subject.ts';
import type { DrugSafetyEngine } from '../services/service.ts';
import { type BuiltCard, compareIndicators, type Indicator } from './card.ts';
import { type Frame, framed } from './frame.ts';
import { concernedBy, type Group, indicatorOf, inputsOfGroup, proposalsOf, type Told } from './hazard-group.ts';
import { HEADINGS } from './lint.ts';
import { mentionLine, mentionText } from './mention-text.ts';
import { dateText, escaped, instantText, plain } from './plain-text.ts';
import { type Concerned, shortName, suggestionsOf, type TestProposal, testsByFinding } from './suggestion.ts';
import {
  byReceived,
  type Checked,
  incompleteCard,
  lateCard,
  unbuiltCard,
  uncheckedCards,
  undosedCard,
  unresolvedNote,
} from './unchecked-card.ts';

const SEVERITY_TEXT = {
  contraindicated: 'Contraindicated',
  major: 'Major',
  moderate: 'Moderate',
  low: 'Low',
} as const satisfies Record<Severity, string>;

/**
 * Cards of a drug check. Findings that touch no selected order, and severities that the service does not name, are silent.
 * Orders whose drug no table knows, and lists that were not received, are said: on every card, and as a notice of their own when the service asks for it.
 */
export function* findingCards(
  frame: Frame,
  engine: DrugSafetyEngine,
  checked: Checked,
  orders: readonly DraftOrder[],
  knowledge: DrugSafety['knowledge'],
): Steps<readonly BuiltCard[]> {
  const selected = new Map(orders.filter((order) => order.selected).map((order) => [namedAs(order), order]));
  const all = yield* inGroups(yield* touching(checked.findings, selected), engine);
  const groups = all.slice(0, MOST_BUILT);
  // A test that nothing can be kept for is left to the next card that names it.
  const kept = groups.filter(({ lead }) => lead.finding.severity !== 'contraindicated');
  const tests = testsByFinding(
    kept.flatMap(({ lead, further }) => [lead, ...further].map(({ finding }) => finding)),
    frame.drafted,
  );
  const cards: BuiltCard[] = [];
  for (const group of groups) {
    cards.push(groupCard(frame, group, tests, checked, knowledge));
    yield;
  }
  const more = all.length - groups.length;
  return [
    ...cards,
    ...unbuiltCard(frame, more),
    ...lateCard(frame, checked, selected),
    ...undosedCard(frame, checked, selected),
    ...uncheckedCards(frame, checked, selected),
    ...incompleteCard(frame, checked, selected),
  ];
}

/** Each fact about a selected order once: where it is said first, as it is said last. */
function* touching(
  findings: readonly Finding[],
  selected: ReadonlyMap<string, DraftOrder>,
): Steps<readonly Pick<Told, 'finding' | 'concerned'>[]> {
  const once = new Map<string, Pick<Told, 'finding' | 'concerned'>>();
  yield* eachOf(findings, (finding) => {
    const concerned = selectedOf(finding, selected);
    if (concerned.length > 0) once.set(factKey(finding), { finding, concerned });
  });
  return [...once.values()];
}

/** What the service tells, by harm, the strongest first. */
function* inGroups(
  found: readonly Pick<Told, 'finding' | 'concerned'>[],
  { severities }: DrugSafetyEngine,
): Steps<readonly Group[]> {
  const touched = found.map(({ finding }) => finding);
  // Only where what is told once is still told.
  const told = severities.moderate === undefined ? touched : yield* tellingOnce(touched);
  const shown: Told[] = [];
  yield* eachOf(found, ({ concerned }, index) => {
    const finding = told[index];
    const indicator = finding && severities[finding.severity];
    if (finding !== undefined && indicator !== undefined) shown.push({ finding, indicator, concerned });
  });
  const weighed: { readonly group: Group; readonly indicator: Indicator }[] = [];
  yield* eachOf(yield* groupingByHazard(shown), (group) => weighed.push({ group, indicator: indicatorOf(group) }));
  const inOrder = yield* sorted(
    weighed,
    (a, b) =>
      compareIndicators(a.indicator, b.indicator) ||
      severityRank(a.group.lead.finding.severity) - severityRank(b.group.lead.finding.severity),
  );
  return inOrder.map(({ group }) => group);
}

/** Cards that are built, the most severe first: a service shows fewer, and some may have been overridden before. */
const MOST_BUILT = 30;

function groupCard(
  frame: Frame,
  group: Group,
  tests: ReadonlyMap<Finding, readonly TestProposal[]>,
  { unresolved }: Checked,
  knowledge: DrugSafety['knowledge'],
): BuiltCard {
  const { finding } = group.lead;
  const findings = [finding, ...group.further.map((one) => one.finding)];
  const key = factKey(finding);
  const indicator = indicatorOf(group);
  const concerned = concernedBy(group);
  const whole = group.further.length === 0 ? finding : { ...finding, proposals: proposalsOf(group) };
  const urls = findings.flatMap(({ rule }) => rule.url ?? []);
  return {
    ...framed(frame, {
      kind: 'finding',
      key,
      indicator: indicator === 'critical' && finding.severity !== 'contraindicated' ? 'warning' : indicator,
      summary: summaryOf(finding),
      detail: detailOf(whole, findings.slice(1), unresolved, knowledge),
      links: [
        ...urls.map((url) => ({ label: 'Source of this rule', url })),
        { label: 'About the drug-safety tables', url: frame.links.model(DRUG_SAFETY, knowledge.version) },
      ],
      ...suggestionsOf(
        frame,
        finding,
        key,
        concerned,
        findings.flatMap((one) => tests.get(one) ?? []),
      ),
    }),
    priority: finding.priority,
    about: concerned.map(({ order }) => order.reference).filter(isRelative),
    ...(findings.length === 1 ? {} : { further: findings.slice(1).map(factKey) }),
    ...inputsOfGroup(group, knowledge),
  };
}

/** The selected orders that a finding is about. */
function selectedOf({ draft, other }: Finding, selected: ReadonlyMap<string, DraftOrder>): readonly Concerned[] {
  return [draft, other].flatMap((mention) => {
    const order = mention && (selected.get(mention.source) ?? byReceived(selected, mention.source));
    return order === undefined || mention === undefined ? [] : [{ order, mention }];
  });
}

const isRelative = (reference: string): boolean => relativeOf(reference) === reference;

/** The name by which the drug check knows an order. */
const namedAs = ({ resource }: DraftOrder) => `${resource.resourceType}/${resource.id}`;

/** The same pair in either order is one fact. */
export const factKey = ({
  key,
  draft,
  other,
  allergy,
}: Pick<Finding, 'key' | 'draft'> & {
  readonly other: Finding['other'];
  readonly allergy?: Finding['allergy'] | undefined;
}): string => [key, ...[draft.source, other?.source ?? allergy?.source ?? ''].toSorted()].join(' ');

const summaryOf = (finding: Finding): string => `${titleOf(finding)}. ${hazardOf(finding)}`;

function titleOf(finding: Finding): string {
  const severity = SEVERITY_TEXT[finding.severity];
  const draft = shortName(finding.draft);
  const other = finding.other === undefined ? '' : shortName(finding.other);
  const what = {
    interaction: () => `${severity} interaction: ${draft} with ${other}`,
    allergy: () =>
      `${severity} allergy conflict: ${draft}, allergy to ${plain(finding.allergy?.display ?? 'unknown', 45)}`,
    duplicate: () => `${severity} duplicate therapy: ${draft} and ${other}`,
    combination: () => `${severity} combination: ${draft} with ${togetherWith(finding)}`,
    patient: () => `${severity} for this patient: ${draft}`,
    kidney: () => `${severity} for this kidney function: ${draft}`,
    dose: () => `${severity} dose: ${draft}`,
  } as const satisfies Record<Finding['kind'], () => string>;
  return what[finding.kind]();
}

/** The effect without the words that say where it is from: the source is in the detail. */
function hazardOf({ effect }: Finding): string {
  const hazard = effect.replace(/^The prescribing information (?:warns of|contraindicates) this combination: /, '');
  return plain(`${hazard.slice(0, 1).toUpperCase()}${hazard.slice(1)}`, 200);
}

function togetherWith({ other, further = [] }: Finding): string {
  const names = [...(other === undefined ? [] : [other]), ...further].map(shortName);
  return names.length === 0 ? 'recorded risk factors' : names.slice(0, 3).join(' and ');
}

function detailOf(
  finding: Finding,
  also: readonly Finding[],
  unresolved: readonly string[],
  knowledge: DrugSafety['knowledge'],
): readonly string[] {
  const { draft, other, allergy, rule, further = [], facts = [], context } = finding;
  const lines = [
    mentionLine(draft),
    ...(other === undefined ? [] : [mentionLine(other)]),
    ...further.map(mentionLine),
    ...facts.map((fact) => `- ${factText(fact)}`),
    ...(allergy === undefined
      ? []
      : [
          `- Allergy: ${escaped(allergy.display)}${allergy.at === undefined ? '' : `, recorded ${dateText(allergy.at)}`}`,
        ]),
  ];
  return [
    `**${HEADINGS.severity}:** ${SEVERITY_TEXT[finding.severity].toLowerCase()}. ${escaped(finding.effect, 600)}`,
    lines.join('\n'),
    ...(context === undefined ? [] : [`**In this context:** ${contextText(context)}.`]),
    ...alsoLines(finding, also),
    ...considered(finding),
    `**${HEADINGS.evidence}:** ${escaped(rule.citation, 400)} (rule ${escaped(rule.id)}, tables ${escaped(knowledge.version)}).`,
    ...unresolvedNote(unresolved),
  ];
}

const factText = ({ display, at }: Fact): string =>
  `${escaped(display, 120)}${at === undefined ? '' : `, ${instantText(at)}`}`;

/** The other findings of the same harm: each with its drugs, what it rests on, and its source. */
function alsoLines({ hazard }: Finding, also: readonly Finding[]): readonly string[] {
  if (also.length === 0) return [];
  const lines = also.map((one) => {
    const { other, further = [], facts = [], context, rule, effect } = one;
    const drugs = [...(other === undefined ? [] : [other]), ...further].map(mentionText);
    const rests = [...drugs, ...facts.map(factText), ...(context === undefined ? [] : [contextText(context)])];
    const because = rests.length === 0 ? '' : ` ${rests.join('; ')}.`;
    return `- ${escaped(titleOf(one), 160)}. ${escaped(effect, 600)}${because} ${escaped(rule.citation, 400)} (rule ${escaped(rule.id)}).`;
  });
  return [`**Also ${escaped(hazard?.name ?? '')}:**\n${lines.join('\n')}`];
}

const contextText = ({ id, reason }: NonNullable<Finding['context']>): string =>
  `${escaped(reason, 300).replace(/\.$/, '')} (${escaped(id)})`;

/** Ceiling, alternatives and what to watch, in words: not every client shows suggestions. */
function considered({ severity, alternatives = [], proposals = [] }: Finding): readonly string[] {
  const limits = proposals.flatMap((one) => (one.kind === 'dose' ? [escaped(one.display, 120)] : []));
  const tests = proposals.flatMap((one) =>
    one.kind === 'test' ? [`${escaped(one.display)} ${escaped(one.timing, 120)}`] : [],
  );
  const names = alternatives.map(({ name }) => escaped(name)).join(', ');
  return [
    ...(limits.length === 0 ? [] : [`**Ceiling:** ${limits.join('; ')}.`]),
    ...(names === '' ? [] : [`**Alternatives without a finding in this record:** ${names}.`]),
    ...(tests.length === 0 || severity === 'contraindicated' ? [] : [`**To watch if given:** ${tests.join('; ')}.`]),
  ];
}
