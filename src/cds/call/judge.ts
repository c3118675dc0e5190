/** What a service's engine makes of what was gathered: scores of models, triage, or findings of the drug check. Failures are part of the answer, never thrown. */
import type { HookAccess } from '../../audit.ts';
import type { Resource } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';
import type { Ambient, RestContext } from '../../rest/context.ts';
import type { Assessment, Evidence, Models } from '../../risk/assessment.ts';
import { DRUG_SAFETY, type DrugMention, type DrugSafety, type Finding } from '../../risk/drugs/finding.ts';
import { eachOf, type Pace, runPaced, type Steps } from '../../risk/drugs/pace.ts';
import { STALE_MS } from '../../risk/drugs/safety.ts';
import type { Triage } from '../../risk/triage/triage.ts';
import type { RecordedTriage } from '../basis/decision-record.ts';
import { annotations } from '../cards/annotation.ts';
import type { Action, BuiltCard } from '../cards/card.ts';
import { factKey, findingCards } from '../cards/finding-card.ts';
import type { Frame } from '../cards/frame.ts';
import { type Scored, scoreCards } from '../cards/score-card.ts';
import { triageCards } from '../cards/triage-card.ts';
import { failedCheckCard } from '../cards/unchecked-card.ts';
import { within } from '../hook/deadline.ts';
import { type DraftOrder, withMedication } from '../hook/draft-orders.ts';
import type { DrugSafetyEngine, ScoresEngine, TriageEngine } from '../services/service.ts';
import type { Prefetched } from './prefetch.ts';

export interface Engines {
  readonly models: Models;
  readonly drugSafety: DrugSafety;
  readonly triage: Triage;
  readonly context: RestContext;
  readonly ambient: Ambient;
}

/** What cards stand on: kept in the decision record. */
export interface Basis {
  readonly assessments: readonly Assessment[];
  readonly findings: readonly Finding[];
  readonly triage?: RecordedTriage;
}
export const NO_BASIS: Basis = { assessments: [], findings: [] };

/** What the judging of one call gives. */
export interface Judged {
  readonly cards: readonly BuiltCard[];
  readonly systemActions?: readonly Action[];
  readonly model: HookAccess['models'][number] | undefined;
  readonly basis: Basis;
  readonly failed: boolean;
  readonly remarks: readonly string[];
}

interface Answers {
  readonly scored: readonly Scored[];
  readonly failed: boolean;
  readonly remarks: readonly string[];
}

/** Every model that answers in time; the others are left out and recorded. */
async function answersOf(
  ids: readonly string[],
  evidence: Evidence,
  deadlineAt: number,
  requestId: string,
  { models, ambient, context }: Engines,
): Promise<Answers> {
  const answers = await Promise.all(
    ids.map(async (id): Promise<Scored | undefined> => {
      const manifest = models.manifests.get(id);
      const run = async () => {
        try {
          return await models.assess(id, evidence, deadlineAt);
        } catch (error) {
          context.report(error, requestId);
          return undefined;
        }
      };
      const assessment = await within(run(), deadlineAt - ambient.now(), undefined);
      return manifest === undefined || assessment === undefined ? undefined : { manifest, assessment };
    }),
  );
  const scored = answers.filter((answer) => answer !== undefined);
  const silent = ids.length - scored.length;
  const stoodIn = scored.filter(({ assessment }) => assessment.answeredBy === 'fallback').length;
  return {
    scored,
    failed: silent > 0,
    remarks: [
      ...scored.map(({ assessment: { model } }) => `${model.id}@${model.version}`),
      ...(silent > 0 ? [`${silent} models did not answer`] : []),
      ...(stoodIn > 0 ? [`${stoodIn} answered by fallback`] : []),
    ],
  };
}

/** The card of a scores service. */
export async function judgeScores(
  frame: Frame,
  engine: ScoresEngine,
  { patient, resources }: Prefetched,
  deadlineAt: number,
  requestId: string,
  engines: Engines,
): Promise<Judged> {
  const evidence = { patient, resources, at: frame.at };
  const { scored, failed, remarks } = await answersOf(engine.models, evidence, deadlineAt, requestId, engines);
  return {
    cards: scoreCards(frame, engine, scored),
    model: scored[0]?.assessment.model,
    basis: { assessments: scored.map(({ assessment }) => assessment), findings: [] },
    failed,
    remarks,
  };
}

/** The card of a triage service: only while an emergency encounter is under way. A model that fails leaves the rules standing. */
export async function judgeTriage(
  frame: Frame,
  engine: TriageEngine,
  { patient, resources }: Prefetched,
  deadlineAt: number,
  requestId: string,
  engines: Engines,
): Promise<Judged> {
  const { triage } = engines;
  const evidence = { patient, resources, at: frame.at };
  const outside = triage.outside(evidence);
  if (outside !== undefined) {
    return { cards: [], model: undefined, basis: NO_BASIS, failed: false, remarks: ['no emergency encounter'] };
  }
  const ids = [...engine.scores, ...engine.learned.map(({ model }) => model)];
  const { scored, failed, remarks } = await answersOf(ids, evidence, deadlineAt, requestId, engines);
  const { edition, ...assessed } = triage.assess(evidence);
  return {
    cards: triageCards(frame, engine, { ...assessed, edition, version: triage.version }, scored),
    model: scored[0]?.assessment.model,
    basis: {
      assessments: scored.map(({ assessment }) => assessment),
      findings: [],
      triage: {
        ...assessed,
        edition: { id: edition.id, title: edition.title },
        version: triage.version,
        ...(triage.table === undefined ? {} : { sha256: triage.table.sha256 }),
      },
    },
    failed,
    remarks: [`esi-${triage.edition.id}@${triage.version}`, ...remarks],
  };
}

/** One check of the selected orders against everything known; when it fails a card says so. */
export async function judgeOrders(
  frame: Frame,
  engine: DrugSafetyEngine,
  { patient, resources, index }: Prefetched,
  received: readonly DraftOrder[],
  deadlineAt: number,
  requestId: string,
  engines: Engines,
): Promise<Judged> {
  const { drugSafety, context } = engines;
  const { knowledge } = drugSafety;
  const orders = received.map((order) => ({ ...order, resource: withMedication(order.resource, index) }));
  const own = new Set(orders.map(({ resource }) => `${resource.resourceType}/${resource.id}`));
  const others = [...(patient === undefined ? [] : [patient]), ...resources].filter(
    ({ resourceType, id }) => !own.has(`${resourceType}/${id}`),
  );
  const model = { id: DRUG_SAFETY, version: knowledge.version, sha256: knowledge.sha256 };
  try {
    const drafts = orders.map(({ resource }) => resource);
    const unordered = await checkedInTime(drafts, others, frame.at, deadlineAt, engines);
    const asChecked = unordered.findings;
    if (asChecked.length > MANY) await pause();
    const ranked = inTellingOrder(asChecked, patient, frame.at, requestId, engines);
    const findings = await within(ranked, deadlineAt - engines.ambient.now(), asChecked);
    const checked = { ...unordered, findings };
    if (findings.length > MANY) await pause();
    const pace = wholePace(engines);
    const cards = await runPaced(findingCards(frame, engine, checked, orders, knowledge), pace);
    const basis = { assessments: [], findings: await runPaced(recordedFindings(findings, cards), pace) };
    const noted =
      engine.annotateOrders === true ? await runPaced(annotations(frame, orders, checked, knowledge), pace) : [];
    return { cards, systemActions: noted, model, basis, failed: false, remarks: lateRemarks(checked.late) };
  } catch (error) {
    context.report(error, requestId);
    const cards = failedCheckCard(frame, orders.length);
    return { cards, model, basis: NO_BASIS, failed: true, remarks: ['drug check failed'] };
  }
}

/** In steps, with all of the time that they take: what was found is written whole. */
const wholePace = ({ ambient }: Pick<Engines, 'ambient'>): Pace => ({
  now: () => ambient.now(),
  until: Number.POSITIVE_INFINITY,
  pause,
});

/** The most severe findings, and all that is told on a card. */
function* recordedFindings(findings: readonly Finding[], cards: readonly BuiltCard[]): Steps<readonly Finding[]> {
  const told = new Set(cards.flatMap(({ key, further = [] }) => [key, ...further]));
  const kept: Finding[] = [];
  yield* eachOf(findings, (finding, index) => {
    if (index < MOST_RECORDED || told.has(factKey(finding))) kept.push(finding);
  });
  return kept;
}

/** The check in steps, until there is only time to write the cards: what is left is in `late`. */
export function checkedInTime(
  drafts: readonly Resource[],
  context: readonly Resource[],
  at: number,
  deadlineAt: number,
  { drugSafety, ambient }: Pick<Engines, 'drugSafety' | 'ambient'>,
): Promise<ReturnType<DrugSafety['check']>> {
  const pace = { now: () => ambient.now(), until: deadlineAt - RENDER_MS, pause };
  const inSteps = drugSafety.checkPaced?.(drafts, context, at, pace);
  return inSteps ?? Promise.resolve(drugSafety.check(drafts, context, at));
}

/** Kept of the time for judging, for ranking and writing cards. ms */
const RENDER_MS = 50;
/** Findings that are ranked in a turn of the event loop of their own, and written in another. */
const MANY = 100;
/** Findings on record, the most severe first; what is told on a card is always among them. */
const MOST_RECORDED = 200;

const lateRemarks = (late: readonly DrugMention[] = []): readonly string[] =>
  late.length === 0 ? [] : [`${late.length} orders not checked in time`];

const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Statuses of what a patient takes now. */
const TAKEN: ReadonlySet<unknown> = new Set(['active', 'on-hold', 'intended']);

/**
 * An allergy that is being recorded, against what the patient takes now: the current medication is judged as if it were ordered, and against nothing else.
 * Alternatives are not given: they would have to pass checks that are not made here.
 */
export async function judgeRecorded(
  frame: Frame,
  engine: DrugSafetyEngine,
  { resources, index }: Prefetched,
  recorded: readonly Resource[],
  deadlineAt: number,
  requestId: string,
  engines: Engines,
): Promise<Judged> {
  const { drugSafety, context } = engines;
  const { knowledge } = drugSafety;
  const model = { id: DRUG_SAFETY, version: knowledge.version, sha256: knowledge.sha256 };
  const current = resources.filter(
    ({ resourceType, id, status }) =>
      (resourceType === 'MedicationRequest' || resourceType === 'MedicationStatement') &&
      id !== undefined &&
      TAKEN.has(status),
  );
  const taken = current.map((resource) => ({
    reference: `${resource.resourceType}/${resource.id}`,
    received: resource,
    resource: withMedication(resource, index),
    selected: true,
  }));
  try {
    const drugs = taken.map(({ resource }) => resource);
    const checked = await checkedInTime(drugs, recorded, frame.at, deadlineAt, engines);
    const asTaken = (mention: DrugMention): DrugMention => ({
      ...mention,
      state: 'active',
      ...(mention.at !== undefined && frame.at - mention.at > STALE_MS ? { stale: true } : {}),
    });
    const findings = checked.findings.flatMap(({ alternatives: _none, proposals: _unmade, draft, ...finding }) =>
      finding.kind === 'allergy' ? [{ ...finding, draft: asTaken(draft) }] : [],
    );
    const unchecked = (checked.unchecked ?? []).map(({ draft, reason }) => ({ draft: asTaken(draft), reason }));
    // Nobody orders these drugs: their doses are no concern of this call.
    const { undosed: _undosed, late = [], ...rest } = checked;
    const all = { ...rest, findings, unchecked, late: late.map(asTaken) };
    const cards = await runPaced(findingCards(frame, engine, all, taken, knowledge), wholePace(engines));
    return { cards, model, basis: { assessments: [], findings }, failed: false, remarks: lateRemarks(late) };
  } catch (error) {
    context.report(error, requestId);
    const cards = failedCheckCard(frame, taken.length);
    return { cards, model, basis: NO_BASIS, failed: true, remarks: ['drug check failed'] };
  }
}

/** As ranked; as checked when the ranker is absent, fails or is late: it decides nothing that must be told. */
async function inTellingOrder(
  findings: readonly Finding[],
  patient: Resource | undefined,
  at: number,
  requestId: string,
  engines: Engines,
): Promise<readonly Finding[]> {
  const { drugSafety, context } = engines;
  if (drugSafety.rank === undefined) return findings;
  const birth = typeof patient?.birthDate === 'string' ? intervalOf(patient.birthDate)?.low : undefined;
  try {
    const years = birth === undefined ? undefined : Math.floor((at - birth) / YEAR_MS);
    return await drugSafety.rank(findings, years, wholePace(engines));
  } catch (error) {
    context.report(error, requestId);
    return findings;
  }
}

/** A mean year: close enough for an order. */
const YEAR_MS = 365.25 * 86_400_000;
