/** One triage assessment -> at most one card: the ESI level with its decision point, red flags, expected resources, NEWS2, learned risk that may only raise, and what is missing. Decision 0023. */
import type { Assessment, UsedInput } from '../../risk/assessment.ts';
import { type EsiDecision, type ExpectedResources, esiId } from '../../risk/triage/esi.ts';
import type { TriageAssessment } from '../../risk/triage/triage.ts';
import type { TriageEngine } from '../services/service.ts';
import type { BuiltCard, Indicator } from './card.ts';
import { type Frame, framed } from './frame.ts';
import { HEADINGS } from './lint.ts';
import { escaped, instantText, percentText, plain, valueText } from './plain-text.ts';
import { makesStatement, modelLinks, type Scored } from './score-card.ts';

/** With the version of the table that holds its edition. */
export type VersionedTriage = TriageAssessment & { readonly version: string };

/** Longest list of reasons, or text of a manifest, on a card. */
const LIST_LIMIT = 300;
const PROSE_LIMIT = 600;
const SUMMARY_REASONS = 2;
const SHOWN_CONTRIBUTIONS = 6;

/** The band of a learned model that the service names as raising, reached by the model itself within its population. */
export function raises(engine: TriageEngine, { manifest, assessment }: Scored): boolean {
  const band = engine.learned.find(({ model }) => model === manifest.id)?.band;
  if (band === undefined || assessment.answeredBy !== 'model') return false;
  return assessment.outsidePopulation === undefined && assessment.band === band;
}

/**
 * The card of a triage service; none where nothing at all is recorded. A learned risk below its threshold changes nothing and lowers nothing;
 * above it, it makes a level 3 to 5 a warning to look again, and the level stays as the rules gave it.
 */
export function triageCards(
  frame: Frame,
  engine: TriageEngine,
  triage: VersionedTriage,
  scored: readonly Scored[],
): readonly BuiltCard[] {
  if (triage.used.length === 0 && triage.decision.level === undefined) return [];
  const raised = scored.filter((one) => raises(engine, one));
  const { decision } = triage;
  if (decision.level === undefined && raised.length === 0) return undecided(frame, engine, triage, scored);
  return [
    framed(frame, {
      kind: 'score',
      key: `triage ${decision.level ?? 'open'} ${decision.point} ${decision.strength}`,
      indicator: indicatorOf(decision, raised.length > 0),
      summary: summaryOf(engine, triage, raised, scored),
      detail: detailOf(frame, engine, triage, scored),
      links: [...esiLinks(frame, triage), ...modelLinks(frame, scored)],
    }),
  ];
}

function esiLinks({ links }: Frame, { edition, version }: VersionedTriage) {
  return [
    { label: plain(`About the rules: ${edition.title}`, 100), url: links.model(esiId(edition.id), version) },
    { label: plain(`${edition.title}: source`, 100), url: edition.citation.url },
  ];
}

const indicatorOf = ({ level }: EsiDecision, isRaised: boolean): Indicator =>
  isRaised || (level !== undefined && level <= 2) ? 'warning' : 'info';

/** `ESI 2`, `Consider ESI 2 (else 3)`, `ESI 3 to 5`. */
function levelText({ level, strength }: EsiDecision): string {
  if (level === undefined) return 'ESI 3 to 5';
  return strength === 'consider' ? `Consider ESI ${level} (else ${level + 1})` : `ESI ${level}`;
}

function summaryOf(
  engine: TriageEngine,
  triage: TriageAssessment,
  raised: readonly Scored[],
  scored: readonly Scored[],
): string {
  const { decision } = triage;
  const { level, reasons, open, strength } = decision;
  const isLow = level === undefined || level > 2;
  const raise = isLow && raised.length > 0 ? 'Learned risk is high. ' : '';
  const estimate = strength === 'consider' || level === undefined ? '' : ' estimate';
  const why = reasons.slice(0, SUMMARY_REASONS).join('; ');
  const taken = isLow && open.length > 0 ? `; ${openInputs(triage)}` : '';
  const news = scored.filter(({ manifest }) => engine.scores.includes(manifest.id)).flatMap(scoreWords);
  return plain(
    `${raise}${levelText(decision)}${estimate}: ${why}${news.map((one) => `; ${one}`).join('')}${taken}`,
    400,
  );
}

/** `not recorded: pain; presenting complaint recorded, but not understood`: who typed a complaint is not told that there is none. */
function openInputs({ decision: { open }, missing }: TriageAssessment): string {
  const unread = missing.find(({ display, reason }) => display === COMPLAINT && reason.startsWith('recorded'));
  const isUnread = (input: string) => unread !== undefined && input === COMPLAINT.toLowerCase();
  const absent = open.map(({ input }) => input).filter((input) => !isUnread(input));
  const parts = absent.length === 0 ? [] : [`not recorded: ${absent.join(', ')}`];
  if (open.some(({ input }) => isUnread(input))) parts.push(`${COMPLAINT.toLowerCase()} ${unread?.reason ?? ''}`);
  return parts.join('; ');
}
const COMPLAINT = 'Presenting complaint';

/** `NEWS2 at least 5`; nothing when the score makes no statement. */
function scoreWords(one: Scored): readonly string[] {
  const { total } = one.assessment.outputs;
  if (!makesStatement(one) || total === undefined || !Number.isFinite(total)) return [];
  return [`${one.manifest.id.toUpperCase()} ${one.assessment.atLeast ? 'at least ' : ''}${total}`];
}

const POINTS = {
  A: 'needs a life-saving intervention now',
  B: 'high-risk situation, new confusion, or severe pain or distress',
  C: 'number of resources expected',
  D: 'vital signs in the danger zone, or fever in a young child',
} as const satisfies Record<EsiDecision['point'], string>;

const BASES = {
  recorded: 'as recorded',
  orders: 'as ordered so far',
  estimate: 'an estimate from complaint and orders',
} as const satisfies Record<ExpectedResources['basis'], string>;

function resourcesText(resources: ExpectedResources | undefined): string {
  if (resources === undefined)
    return 'not known: nothing is recorded or ordered, and the complaint is not in the table';
  const kinds = resources.kinds.length === 0 ? '' : `: ${resources.kinds.join(', ')}`;
  return `${resources.count}, ${BASES[resources.basis]}${kinds}`;
}

function detailOf(
  { at, prefetched, service: { brief = {} } }: Frame,
  engine: TriageEngine,
  triage: TriageAssessment,
  scored: readonly Scored[],
): readonly string[] {
  const { decision, edition } = triage;
  const learned = scored.filter(({ manifest }) => engine.learned.some(({ model }) => model === manifest.id));
  const facts = [
    `**${levelText(decision)}** by decision point ${decision.point} (${POINTS[decision.point]}): ${escaped(decision.reasons.join('; '), LIST_LIMIT)}`,
    ...decision.notes.map((note) => escaped(note, LIST_LIMIT)),
    ...(decision.open.length === 0
      ? []
      : [`Not known, and assumed: ${escaped(decision.open.map(({ assumes }) => assumes).join(', '), LIST_LIMIT)}`]),
    `Red flags in the complaint: ${escaped(triage.redFlags.join(', ') || 'none found', LIST_LIMIT)}${triage.denied.length === 0 ? '' : `; denied or over: ${escaped(triage.denied.join(', '), LIST_LIMIT)}`}`,
    `Resources expected: ${escaped(resourcesText(triage.resources), LIST_LIMIT)}`,
    ...scored.filter((one) => !learned.includes(one)).map(scoreLine),
    ...learnedLines(engine, learned),
  ];
  return [
    `**${HEADINGS.computed}:** ${escaped(edition.title, LIST_LIMIT)}, from recorded data, at ${instantText(at)}.`,
    facts.map((fact) => `- ${fact}`).join('\n'),
    `**${HEADINGS.inputs}**`,
    inputTable(triage),
    missingText(triage, prefetched.missing.length > 0),
    `**${HEADINGS.model}:** ESI ${edition.id} rules${scored.map(({ assessment: { model } }) => `; ${escaped(model.id)} version ${escaped(model.version)}`).join('')}.`,
    `**${HEADINGS.population}:** ${brief.population ?? populationText(scored)} ${outsideText(engine, scored)}`,
    `**${HEADINGS.limits}:** ${brief.limits ?? `Complaints are read from a table in English that is not validated clinically. Resources are an estimate. ${learned.map(({ manifest }) => escaped(manifest.limits[0] ?? '', PROSE_LIMIT)).join(' ')}`}`,
    `**${HEADINGS.evidence}:** ${brief.source ?? [edition.citation.text, ...scored.map(({ manifest }) => manifest.citation.text)].map((text) => escaped(text, PROSE_LIMIT)).join(' ')}`,
  ];
}

const populationText = (scored: readonly Scored[]): string =>
  `people of any age on arrival in an emergency department. ${scored.map(({ manifest }) => `${escaped(manifest.title, 100)}: ${escaped(manifest.population, LIST_LIMIT)}.`).join(' ')}`;

function outsideText(engine: TriageEngine, scored: readonly Scored[]): string {
  const outside = scored.filter(({ assessment }) => assessment.outsidePopulation !== undefined);
  if (outside.length === 0) return 'Nothing recorded places this patient outside it.';
  return `This patient is outside it for ${outside.map((one) => shortName(engine, one)).join(', ')}.`;
}

function scoreLine(one: Scored): string {
  const { manifest, assessment } = one;
  const label = escaped(manifest.id.toUpperCase());
  if (assessment.outsidePopulation !== undefined) {
    return `${label}: not computed, ${escaped(assessment.outsidePopulation, LIST_LIMIT)}`;
  }
  if (!makesStatement(one)) return `${label}: no statement, inputs are missing`;
  const band = manifest.bands.find(({ name }) => name === assessment.band)?.display ?? '';
  return `${escaped(scoreWords(one).join(''))} (${escaped(band, LIST_LIMIT)})`;
}

/** False for an input that only says that something is absent. */
const isTelling = ({ value }: UsedInput): boolean =>
  value !== 0 && !['no', 'none recorded', 'no red flag found'].includes(String(value));
/** `pulse 126 /min`, `age 65 years`; a display that ends in the value says it once. */
function inputText({ display, value, unit }: UsedInput): string {
  const shown = valueText(typeof value === 'number' ? Number(value.toFixed(2)) : value, unit);
  const name = `${display.slice(0, 1).toLowerCase()}${display.slice(1)}`;
  return name.endsWith(shown) ? name : `${name} ${shown}`;
}

/** The same words of a complaint, seen by several inputs, are told once. */
function onceByWords(inputs: readonly UsedInput[]): readonly UsedInput[] {
  const words = inputs.filter(({ value }) => typeof value === 'string');
  return inputs.filter(
    (input) =>
      !words.some((one) => one !== input && one.value === input.value && words.indexOf(one) < words.indexOf(input)),
  );
}

/** Inputs that raised the risk most, as used; all telling ones where the model gives no contributions. */
function raisedBy({ used, contributions }: Assessment): readonly UsedInput[] {
  if (contributions === undefined) return used.filter(isTelling);
  const raising = contributions.filter(({ logOdds }) => logOdds > 0).slice(0, SHOWN_CONTRIBUTIONS);
  return raising.flatMap(({ name }) => used.filter((input) => input.name === name && isTelling(input)));
}

/** What learned models say, those that were not run for the same reason in one line. */
function learnedLines(engine: TriageEngine, learned: readonly Scored[]): readonly string[] {
  const byReason = Map.groupBy(learned, ({ assessment }) => assessment.outsidePopulation?.split(';')[0]);
  return [...byReason].flatMap(([reason, those]) => {
    if (reason === undefined) return those.map((one) => learnedLine(engine, one));
    const labels = those.map((one) => learnedLabel(engine, one)).join(', ');
    return [`${labels}: not run, ${escaped(reason, LIST_LIMIT)}`];
  });
}

/** As its line begins. */
const shortName = (engine: TriageEngine, one: Scored): string =>
  engine.learned.some(({ model }) => model === one.manifest.id)
    ? learnedLabel(engine, one)
    : escaped(one.manifest.id.toUpperCase());

const learnedLabel = (engine: TriageEngine, { manifest }: Scored) =>
  escaped(engine.labels?.[manifest.id] ?? manifest.title, 100);

/** A concern above the threshold of the model, nothing below it. Never a level. */
function learnedLine(engine: TriageEngine, one: Scored): string {
  const { manifest, assessment } = one;
  const label = learnedLabel(engine, one);
  const { probability } = assessment.outputs;
  if (assessment.answeredBy !== 'model' || probability === undefined) return `${label}: no statement`;
  const band = manifest.bands.find(({ name }) =>
    engine.learned.some((row) => row.model === manifest.id && row.band === name),
  );
  const threshold = band === undefined ? '' : ` (threshold ${percentText(band.from)})`;
  if (!raises(engine, one)) return `${label}: below its threshold, which never lowers the level`;
  const basis = onceByWords(raisedBy(one.assessment)).map(inputText).join('; ');
  return `**${label}: high**, ${percentText(probability)}${threshold}${basis === '' ? '' : `; from ${escaped(basis, PROSE_LIMIT)}`}. It raises concern and is no ESI level`;
}

function inputTable({ used }: TriageAssessment): string {
  if (used.length === 0) return 'None.';
  const lines = used.map(({ display, value, unit, at, note }) => {
    const remark = escaped(note ?? '', 120);
    const measured = `${at === undefined ? '–' : instantText(at)}${remark === '' ? '' : ` (${remark})`}`;
    return `| ${escaped(display) || 'unnamed'} | ${escaped(valueText(value, unit), LIST_LIMIT) || 'not legible'} | ${measured} |`;
  });
  return ['| Input | Value | Recorded |', '|---|---|---|', ...lines].join('\n');
}

function missingText({ missing }: TriageAssessment, isPartial: boolean): string {
  if (missing.length === 0) return `**${HEADINGS.missing}:** none${isPartial ? ' that ESI names' : ''}.`;
  const rows = [...Map.groupBy(missing, ({ reason }) => reason)].map(
    ([reason, those]) => `- ${escaped(reason, 200)}: ${those.map(({ display }) => escaped(display)).join(', ')}`,
  );
  return `**${HEADINGS.missing}** (not replaced by assumed values):\n\n${rows.join('\n')}`;
}

/** Level 3 to 5 and no concern: what would settle it, where the service asks for that. */
function undecided(
  frame: Frame,
  engine: TriageEngine,
  triage: VersionedTriage,
  scored: readonly Scored[],
): readonly BuiltCard[] {
  if (frame.service.whenIncomplete === 'silent') return [];
  const open = triage.decision.open.length === 0 ? [] : [openInputs(triage)];
  const wanted = [...triage.decision.reasons, ...open];
  return [
    framed(frame, {
      kind: 'notice',
      key: 'triage open',
      indicator: 'info',
      summary: plain(`ESI 3 to 5, not determinable further: ${wanted.join(', ')}`, 400),
      detail: detailOf(frame, engine, triage, scored),
      links: esiLinks(frame, triage),
    }),
  ];
}
