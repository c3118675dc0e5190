/**
 * Emergency Severity Index, decision points A to D, over facts already read. The limits are data (models/esi.json), one row an edition.
 * Source: Gilboy N et al. ESI v4 Implementation Handbook, AHRQ 12-0014; Wolf L et al. ESI Handbook, 5th edition, ENA 2023.
 */
import type { Acuity } from './complaint-table.ts';

export interface DangerLimits {
  readonly fromMonths: number;
  readonly belowMonths?: number;
  /** Danger when above. */
  readonly pulseAbove: number;
  readonly respiratoryRateAbove: number;
}
export interface FeverRule {
  readonly fromDays?: number;
  readonly belowDays?: number;
  readonly fromMonths?: number;
  readonly belowMonths?: number;
  /** Cel. */
  readonly above: number;
  readonly level: 2 | 3;
  readonly strength: 'assigned' | 'consider';
  readonly why: string;
}
export interface EsiEdition {
  readonly id: 'v4' | 'v5';
  readonly title: string;
  readonly citation: { readonly text: string; readonly url: string };
  readonly dangerZone: readonly DangerLimits[];
  /** Decision point A. Consciousness is ACVPU 0 to 4. */
  readonly lifeSaving: { readonly spo2Below: number; readonly consciousnessFrom: number };
  /** Decision point B. */
  readonly highRisk: { readonly painFrom: number; readonly consciousnessFrom: number };
  /** Decision point D, any age. */
  readonly spo2Below: number;
  readonly fever: readonly FeverRule[];
}

/** What stands for an edition where a model is named. */
export const esiId = (edition: EsiEdition['id']): string => `esi-${edition}`;

/** Resources that a patient is expected to need, and on what ground. */
export interface ExpectedResources {
  readonly count: number;
  /** recorded: somebody said so; orders: at least what is ordered; estimate: what such a complaint usually needs. */
  readonly basis: 'recorded' | 'orders' | 'estimate';
  /** For people: `laboratory`, `ECG`. Empty when only a number is recorded. */
  readonly kinds: readonly string[];
}

/** What is known of the patient; undefined is not known, never normal. */
export interface EsiFacts {
  readonly ageMonths: number | undefined;
  readonly ageDays: number | undefined;
  /** /min. */
  readonly pulse: number | undefined;
  readonly respiratoryRate: number | undefined;
  /** %. */
  readonly spo2: number | undefined;
  /** Cel. */
  readonly temperature: number | undefined;
  /** ACVPU: 0 alert, 1 new confusion, 2 voice, 3 pain, 4 unresponsive. */
  readonly consciousness: number | undefined;
  /** 0 to 10. */
  readonly pain: number | undefined;
  /** Complaints that hold; undefined when none is recorded or understood. */
  readonly complaints: readonly { readonly display: string; readonly acuity: Acuity }[] | undefined;
  /** Life-saving interventions recorded, for people. */
  readonly interventions: readonly string[];
  readonly resources: ExpectedResources | undefined;
}

export type EsiLevel = 1 | 2 | 3 | 4 | 5;
export interface EsiDecision {
  readonly edition: EsiEdition['id'];
  /** Undefined: between 3 and 5, for want of what is in `open`. */
  readonly level: EsiLevel | undefined;
  /** The decision point that gave it. */
  readonly point: 'A' | 'B' | 'C' | 'D';
  /** consider: the handbook leaves the level to the nurse; the next lower one is the alternative. */
  readonly strength: 'assigned' | 'consider';
  /** What held at that point, most important first. */
  readonly reasons: readonly string[];
  /** What else the nurse must know of how the level came about. */
  readonly notes: readonly string[];
  /** What is not known and could raise the level: the input, and what the level takes for granted of it. */
  readonly open: readonly { readonly input: string; readonly assumes: string }[];
}

const within = (value: number | undefined, from = 0, below = Number.POSITIVE_INFINITY): boolean =>
  value !== undefined && value >= from && value < below;
const known = <T>(value: T | undefined): value is T => value !== undefined;
const CONSCIOUSNESS = ['alert', 'new confusion', 'responds to voice', 'responds to pain only', 'unresponsive'] as const;

/** Fever rule that the patient's age and temperature meet. */
function feverOf({ ageDays, ageMonths, temperature }: EsiFacts, { fever }: EsiEdition): FeverRule | undefined {
  return fever.find(
    ({ fromDays, belowDays, fromMonths, belowMonths, above }) =>
      temperature !== undefined &&
      temperature > above &&
      (fromDays === undefined && belowDays === undefined ? true : within(ageDays, fromDays, belowDays)) &&
      (fromMonths === undefined && belowMonths === undefined ? true : within(ageMonths, fromMonths, belowMonths)),
  );
}

/** Decision point A: needs a life-saving intervention now. */
function lifeSaving(facts: EsiFacts, { lifeSaving: limits }: EsiEdition): readonly string[] {
  const { interventions, complaints = [], consciousness, spo2 } = facts;
  return [
    ...interventions.map((one) => `${one} recorded`),
    ...complaints.filter(({ acuity }) => acuity === 'life-saving').map(({ display }) => display),
    ...(known(consciousness) && consciousness >= limits.consciousnessFrom ? [CONSCIOUSNESS[consciousness] ?? ''] : []),
    ...(known(spo2) && spo2 < limits.spo2Below ? [`SpO2 ${spo2} % (below ${limits.spo2Below})`] : []),
  ];
}

/** Decision point B: high-risk situation, new confusion, severe pain or distress. */
function highRisk(facts: EsiFacts, edition: EsiEdition): readonly string[] {
  const { complaints = [], consciousness, pain } = facts;
  const { consciousnessFrom, painFrom } = edition.highRisk;
  const fever = feverOf(facts, edition);
  return [
    ...complaints.filter(({ acuity }) => acuity === 'high-risk').map(({ display }) => display),
    ...(known(consciousness) && consciousness >= consciousnessFrom ? [CONSCIOUSNESS[consciousness] ?? ''] : []),
    ...(fever?.strength === 'assigned' ? [fever.why] : []),
    ...(known(pain) && pain >= painFrom ? [`pain ${pain}/10 (${painFrom} or more)`] : []),
  ];
}

const limitsFor = ({ ageMonths }: EsiFacts, { dangerZone }: EsiEdition): DangerLimits | undefined =>
  dangerZone.find(({ fromMonths, belowMonths }) => within(ageMonths, fromMonths, belowMonths));

/** Decision point D: vital signs in the danger zone of the age. Without an age only the saturation can be judged. */
function danger(facts: EsiFacts, edition: EsiEdition): readonly string[] {
  const limits = limitsFor(facts, edition);
  const { pulse, respiratoryRate, spo2 } = facts;
  const above = (name: string, value: number | undefined, limit: number | undefined): readonly string[] =>
    known(value) && known(limit) && value > limit ? [`${name} ${value} (above ${limit})`] : [];
  return [
    ...above('pulse', pulse, limits?.pulseAbove),
    ...above('respiratory rate', respiratoryRate, limits?.respiratoryRateAbove),
    ...(known(spo2) && spo2 < edition.spo2Below ? [`SpO2 ${spo2} % (below ${edition.spo2Below})`] : []),
  ];
}

function openBefore(facts: EsiFacts, edition: EsiEdition): EsiDecision['open'] {
  return [
    ...(known(facts.consciousness) ? [] : [{ input: 'level of consciousness', assumes: 'alert' }]),
    ...(known(facts.spo2) ? [] : [{ input: 'SpO2', assumes: `SpO2 ${edition.spo2Below} % or more` }]),
    ...(known(facts.complaints) ? [] : [{ input: 'presenting complaint', assumes: 'no high-risk complaint' }]),
    ...(known(facts.pain) ? [] : [{ input: 'pain', assumes: `pain below ${edition.highRisk.painFrom}` }]),
  ];
}

/** What decision point D would need. */
function openAtD(facts: EsiFacts, edition: EsiEdition): EsiDecision['open'] {
  const infant = facts.ageMonths === undefined || facts.ageMonths < 36;
  return [
    ...(known(limitsFor(facts, edition))
      ? []
      : [{ input: 'age', assumes: 'no danger-zone limit of the age exceeded' }]),
    ...(known(facts.pulse) ? [] : [{ input: 'pulse', assumes: 'pulse outside the danger zone' }]),
    ...(known(facts.respiratoryRate)
      ? []
      : [{ input: 'respiratory rate', assumes: 'breathing outside the danger zone' }]),
    ...(infant && !known(facts.temperature) ? [{ input: 'temperature', assumes: 'no fever' }] : []),
  ];
}

/** Level by the four decision points. Pure; the same facts give the same decision. */
export function decideEsi(facts: EsiFacts, edition: EsiEdition): EsiDecision {
  const base = { edition: edition.id, strength: 'assigned', notes: [], open: [] } as const;
  const saving = lifeSaving(facts, edition);
  if (saving.length > 0) return { ...base, level: 1, point: 'A', reasons: saving };
  const open = openBefore(facts, edition);
  const risks = highRisk(facts, edition);
  if (risks.length > 0) {
    const unsettled = open.filter(({ input }) => input === 'level of consciousness' || input === 'SpO2');
    return { ...base, level: 2, point: 'B', reasons: risks, open: unsettled, notes: painNote(facts, risks) };
  }
  return decideByResources(facts, edition, open);
}

const painNote = ({ pain }: EsiFacts, reasons: readonly string[]): readonly string[] =>
  pain !== undefined && reasons.length === 1 && reasons[0]?.startsWith('pain ') === true
    ? ['The pain score alone gives this level; the handbook leaves it to the nurse.']
    : [];

/** Decision points C and D. */
function decideByResources(facts: EsiFacts, edition: EsiEdition, open: EsiDecision['open']): EsiDecision {
  const { resources, complaints } = facts;
  const dangers = danger(facts, edition);
  const fever = feverOf(facts, edition);
  const all = [...open, ...openAtD(facts, edition)];
  const base = { edition: edition.id, strength: 'assigned', notes: [], open: all } as const;
  const considered = [...(fever?.level === 2 ? [fever.why] : [])];
  const many = resources === undefined || resources.count >= 2;
  if (considered.length > 0 || (many && dangers.length > 0)) {
    return { ...base, level: 2, point: 'D', strength: 'consider', reasons: [...considered, ...dangers] };
  }
  if (resources === undefined || complaints === undefined) {
    const why = resources === undefined ? 'expected resources are not known' : 'the complaint is not known';
    return { ...base, level: undefined, point: 'C', reasons: [why] };
  }
  const why = `${resources.count} ${resources.count === 1 ? 'resource' : 'resources'} expected`;
  if (resources.count >= 2) return { ...base, level: 3, point: 'C', reasons: [why] };
  if (fever?.level === 3) return { ...base, level: 3, point: 'D', strength: 'consider', reasons: [fever.why] };
  if (dangers.length > 0 && resources.basis !== 'recorded') {
    const note = 'The number of resources is an estimate; with these vital signs it is not taken below level 3.';
    return { ...base, level: 3, point: 'D', strength: 'consider', reasons: dangers, notes: [note] };
  }
  const notes = dangers.length === 0 ? [] : [`Outside the ESI path: ${dangers.join(', ')}.`];
  return { ...base, level: resources.count === 1 ? 4 : 5, point: 'C', reasons: [why], notes };
}
