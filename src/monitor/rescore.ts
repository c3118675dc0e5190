/** One patient scored again: read, judge, and everything that follows in one commit with the row that says it is done. */
import { isJsonObject, type Resource, serialize } from '../fhir/resource.ts';
import type { RestContext } from '../rest/context.ts';
import { answer } from '../rest/interact.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import type { Assessment, Evidence, Manifest, UsedInput } from '../risk/assessment.ts';
import { ineligible } from '../risk/eligibility.ts';
import { antibioticsGiven } from '../risk/features/infection.ts';
import type { Knowledge } from '../risk/features/pick.ts';
import type { LoadedModels } from '../risk/models/models.ts';
import { isOwnOutput } from '../risk/own-output.ts';
import type { Command } from '../store/port.ts';
import { announcing } from './announcement.ts';
import { type AlertState, CALM, type Seen, type Step, step } from './crossing.ts';
import {
  assessmentOf,
  endedFlag,
  flagOf,
  type Occasion,
  provenanceOf,
  requestToTell,
  revokedRequest,
} from './notice.ts';
import { type KeptRow, NEW_STATE, type PatientRow, type RuleState, setPatient } from './patient-row.ts';
import { type Ask, type Recorded, readOne, readRecord } from './record.ts';
import type { Alert, MonitorRule } from './rule.ts';
import { trendText, withNewest } from './trend.ts';

/** What a listener is told: ids only. */
export interface MonitorEvent {
  readonly event: 'raised' | 'told' | 'cleared';
  readonly rule: string;
  readonly alert: string;
  /** `Flag/[id]` or `CommunicationRequest/[id]`. */
  readonly reference: string;
}

export interface RescoreSettings {
  /** The door of this moment. */
  current(): RestContext;
  readonly models: LoadedModels;
  readonly now: () => number;
  readonly newId: () => string;
  /** What follows from alerts that propose something. */
  readonly follow?: Follow;
  /** Belongs to every commit: see src/rest/jobs/duty.ts. */
  readonly fence?: readonly Command[];
}

/** Everything one scoring of one rule found. */
export interface Scoring {
  readonly occasion: Occasion;
  readonly recorded: Recorded;
  readonly assessment: Assessment;
  readonly steps: readonly { readonly alert: Alert; readonly step: Step }[];
}
/** Resources that follow from a scoring, and the row with what is kept of them. */
export type Follow = (scoring: Scoring, row: PatientRow, ask: Ask) => Promise<Followed>;
export interface Followed {
  readonly resources: readonly Resource[];
  readonly row: PatientRow;
}

/** Why a patient is scored again. */
export interface Due {
  readonly patient: string;
  /** Sequence of the newest change that counts. */
  readonly last: number;
  readonly rules: ReadonlySet<MonitorRule>;
  readonly withdrawn: ReadonlySet<string>;
}

/** Longest time one model may take, ms; then its stand-in answers. */
const DEADLINE_MS = 2000;

interface Writes {
  readonly resources: Resource[];
  readonly events: MonitorEvent[];
  row: PatientRow;
}

/**
 * Scores, writes, and moves the patient's row and the cursor, all in one commit.
 * @throws Error when the door refuses or the store fails: then nothing was written
 */
export async function rescore(
  due: Due,
  kept: KeptRow,
  cursor: Command,
  settings: RescoreSettings,
): Promise<{ readonly kept: KeptRow; readonly events: readonly MonitorEvent[] }> {
  const context = settings.current();
  const ask = asker(context, settings);
  const at = settings.now();
  const lookback = Math.max(...[...due.rules].map(({ lookbackHours }) => lookbackHours));
  const recorded = await readRecord(due.patient, at, lookback, ask);
  const writes: Writes = { resources: [], events: [], row: { ...kept.row, through: due.last } };
  for (const rule of recorded === undefined ? [] : due.rules) {
    if (recorded === undefined) break;
    await judge({ rule, patient: due.patient, through: due.last, at }, recorded, due.withdrawn, writes, ask, settings);
  }
  const text = JSON.stringify(writes.row);
  const fence = settings.fence ?? [];
  const commands = [...fence, setPatient(due.patient, kept, text), cursor];
  // Where there are other processes they have listeners too.
  if (fence.length > 0) commands.push(...announcing(writes.events, `${due.patient}|${due.last}`, at));
  await commit(writes.resources, commands, context, settings);
  return { kept: { row: writes.row, text }, events: writes.events };
}

/** One rule: what it writes is added to `writes`. */
async function judge(
  occasion: Occasion,
  recorded: Recorded,
  withdrawn: ReadonlySet<string>,
  writes: Writes,
  ask: Ask,
  settings: RescoreSettings,
): Promise<void> {
  const { rule, at } = occasion;
  const { models } = settings;
  const manifest = models.manifests.get(rule.model);
  if (manifest === undefined) throw new TypeError(`There is no model ${rule.model}.`);
  const resources = recorded.resources.filter((resource) => !isOwnOutput(resource));
  const evidence: Evidence = { patient: recorded.patient, resources, at };
  const isOutside = ineligible(rule.eligibility, evidence, models.knowledge) !== undefined;
  const assessment = isOutside ? undefined : await models.assess(rule.model, evidence, settings.now() + DEADLINE_MS);
  const outside = isOutside || assessment?.outsidePopulation !== undefined;
  const state = writes.row.rules[rule.id] ?? NEW_STATE;
  const steps = rule.alerts.map((alert) => ({
    alert,
    step: step(
      alert,
      state.alerts[alert.id] ?? CALM,
      seenBy(alert, assessment, { outside, withdrawn, at }, evidence, models.knowledge),
    ),
  }));
  const isScored = assessment !== undefined && !outside && Object.keys(assessment.outputs).length > 0;
  const about: Resource[] = [];
  if (isScored)
    about.push(assessmentOf(assessment, manifest, occasion, remarks(assessment, state, recorded, occasion)));
  const alerts: Record<string, AlertState> = { ...state.alerts };
  for (const { alert, step: taken } of steps) {
    const before = state.alerts[alert.id] ?? CALM;
    const follows = await consequences(alert, before, taken, { occasion, manifest, about: about[0] }, ask);
    alerts[alert.id] = follows.state;
    about.push(...follows.resources);
    writes.events.push(...follows.events);
  }
  const value = rule.trend === undefined || assessment?.atLeast ? undefined : assessment?.outputs[rule.trend.output];
  const recent =
    value === undefined || rule.trend === undefined
      ? state.recent
      : withNewest(state.recent, at, value, rule.trend.hours);
  const next: RuleState = { alerts, recent };
  writes.row = { ...writes.row, rules: { ...writes.row.rules, [rule.id]: next } };
  if (assessment !== undefined && settings.follow !== undefined && rule.shadow !== true) {
    const followed = await settings.follow(
      { occasion, recorded: { ...recorded, resources }, assessment, steps },
      writes.row,
      ask,
    );
    about.push(...followed.resources);
    writes.row = followed.row;
  }
  if (about.length > 0) {
    writes.resources.push(...about, provenanceOf(about, manifest, inputsOf(assessment, recorded), occasion));
  }
}

/** THE table: what keeps an alert from being raised. */
const HOLDS: Readonly<Record<NonNullable<Alert['unless']>, (evidence: Evidence, knowledge: Knowledge) => boolean>> = {
  'antibiotic-given': (evidence, { vocabulary }) => antibioticsGiven(evidence, vocabulary).length > 0,
};

/** What an alert's output and inputs were. */
function seenBy(
  alert: Alert,
  assessment: Assessment | undefined,
  { outside, withdrawn, at }: Pick<Seen, 'outside' | 'withdrawn' | 'at'>,
  evidence: Evidence,
  knowledge: Knowledge,
): Seen {
  const measured = (assessment?.used ?? []).filter(({ source }) => source?.startsWith('Observation/') === true);
  const sources = (used: readonly UsedInput[]) =>
    Object.fromEntries(used.map(({ name, source = '' }) => [name, source]));
  const inputs = sources(measured);
  const counted = sources(measured.filter(({ points }) => points !== 0));
  const suppressed = alert.unless !== undefined && HOLDS[alert.unless](evidence, knowledge);
  const value = outside ? undefined : assessment?.outputs[alert.output];
  return { value, inputs, counted, withdrawn, outside, suppressed, at };
}

/** A lower bound is neither compared nor kept to be compared with. */
const NO_TREND = 'Trend: none is given, since inputs are missing.';

function remarks(
  assessment: Assessment,
  state: RuleState,
  recorded: Recorded,
  { rule, at }: Occasion,
): readonly string[] {
  const value = rule.trend === undefined ? undefined : assessment.outputs[rule.trend.output];
  const trend =
    value === undefined ? undefined : assessment.atLeast ? NO_TREND : trendText(state.recent, at, value, rule);
  return [
    ...(trend === undefined ? [] : [trend]),
    ...(recorded.complete ? [] : ['The record is longer than is read: older resources were left out.']),
  ];
}

interface About {
  readonly occasion: Occasion;
  readonly manifest: Manifest;
  /** The RiskAssessment. */
  readonly about: Resource | undefined;
}

/** What a step writes, with the ids kept in the alert's state. In shadow the state moves and nothing is written. */
async function consequences(
  alert: Alert,
  before: AlertState,
  taken: Step,
  { occasion, manifest, about }: About,
  ask: Ask,
) {
  const { rule } = occasion;
  const resources: Resource[] = [];
  const events: MonitorEvent[] = [];
  let { state } = taken;
  if (rule.shadow === true) return { state, resources, events };
  const say = (event: MonitorEvent['event'], { resourceType, id }: Resource): void =>
    void events.push({ event, rule: rule.id, alert: alert.id, reference: `${resourceType}/${id}` });
  if (taken.event === 'raised') {
    const flag = flagOf(alert, manifest, occasion);
    resources.push(flag);
    state = { ...state, flag: flag.id ?? '' };
    say('raised', flag);
  }
  if (taken.tell) {
    const references = [about, ...resources].flatMap((each) =>
      each === undefined ? [] : [`${each.resourceType}/${each.id}`],
    );
    const request = requestToTell(alert, manifest, references, occasion);
    resources.push(request);
    state = { ...state, request: request.id ?? '' };
    say('told', request);
  }
  if (taken.event === 'cleared') {
    const flag = before.flag === undefined ? undefined : await readOne('Flag', before.flag, ask);
    const request =
      before.request === undefined ? undefined : await readOne('CommunicationRequest', before.request, ask);
    const ended = endedFlag(flag, occasion.at);
    for (const each of [ended, revokedRequest(request)]) if (each !== undefined) resources.push(each);
    if (ended !== undefined) say('cleared', ended);
  }
  return { state, resources, events };
}

/** The resources that the assessment names as used. */
function inputsOf(assessment: Assessment | undefined, { resources }: Recorded): readonly Resource[] {
  const sources = new Set((assessment?.used ?? []).map(({ source }) => source));
  return resources.filter(({ resourceType, id }) => sources.has(`${resourceType}/${id}`));
}

/** The server's own work. */
const callerOf = ({ newId }: RescoreSettings) =>
  localCaller({
    ...localFacts(newId(), 'localhost'),
    principal: 'monitor',
    client: { system: undefined, value: 'monitor' },
  });

function asker(context: RestContext, settings: RescoreSettings): Ask {
  const headers = { accept: 'application/fhir+json' };
  return (method, path, query, body) => answer({ method, path, query, headers, body }, callerOf(settings), context);
}

/** One transaction through the door; the commands are committed with it. Without resources, only they are. */
async function commit(
  resources: readonly Resource[],
  commands: readonly Command[],
  context: RestContext,
  settings: RescoreSettings,
): Promise<void> {
  const [first] = resources;
  if (first === undefined) {
    const result = await context.store.commit({ commands, audit: [] });
    if (!result.ok) throw new Error('The row of a patient is not the one that was read.');
    return;
  }
  // The commands stand on the first resource: whatever is committed, they are committed with it.
  const rules = new Map([
    [
      first.resourceType,
      (resource: Resource) => ({ resource, findings: [], also: resource.id === first.id ? commands : [] }),
    ],
  ]);
  const entry = resources.map((resource) => ({
    resource,
    request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}`, ...heldVersion(resource) },
  }));
  const body = serialize({ resourceType: 'Bundle', type: 'transaction', entry });
  const headers = { 'content-type': 'application/fhir+json', prefer: 'return=minimal' };
  const wire = { method: 'POST', path: '/', query: '', headers, body };
  const { status } = await answer(wire, callerOf(settings), { ...context, rules });
  if (status !== 200) throw new Error(`What monitoring writes was answered ${status}.`);
}

/** What was read is changed only as it was read. */
function heldVersion({ meta }: Resource): { readonly ifMatch?: string } {
  return isJsonObject(meta) && typeof meta.versionId === 'string' ? { ifMatch: `W/"${meta.versionId}"` } : {};
}
