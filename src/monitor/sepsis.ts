/**
 * What is proposed when the criteria of probable sepsis or septic shock are met: the one-hour bundle as proposals, for a person to order or not.
 * Source: Levy MM et al. Intensive Care Med 2018;44:925; Evans L et al. Crit Care Med 2021;49:e1063 (lactate, cultures before antibiotics, broad-spectrum
 * antibiotics, 30 mL/kg crystalloid for hypotension or lactate >= 4 mmol/L). No antibiotic without a look at allergies and renal function.
 */
import type { JsonObject, Resource } from '../fhir/resource.ts';
import { instantText } from '../fhir/time.ts';
import type { Evidence } from '../risk/assessment.ts';
import { isPresent } from '../risk/features/condition.ts';
import { readFeature } from '../risk/features/features.ts';
import { LOINC } from '../risk/features/observation.ts';
import { statementOf } from '../risk/features/statement.ts';
import type { FeatureSpec } from '../risk/manifest.ts';
import type { LoadedModels } from '../risk/models/models.ts';
import { isOwnOutput, MONITOR_SYSTEM, PROPOSAL_TAG } from '../risk/own-output.ts';
import { idOf, type Occasion } from './notice.ts';
import type { Element, Episode } from './patient-row.ts';
import { type Ask, found } from './record.ts';
import type { Follow, Scoring } from './rescore.ts';
import { BUNDLE_SYSTEM, FOLLOWED_MS, progressReport, withDone } from './sepsis-progress.ts';

const DEADLINE_MS = 2000;
const spec = (
  name: string,
  codes: readonly string[],
  unit: string,
  windowHours: number,
  range: readonly [number, number],
): FeatureSpec => ({
  name,
  display: name,
  kind: 'latest-observation',
  codes: [...codes],
  unit,
  windowHours,
  range: [range[0], range[1]],
  required: true,
});
const SYSTOLIC = spec('systolic', ['8480-6', '76534-7', '76215-3'], 'mm[Hg]', 3, [20, 300]);
const MEAN: FeatureSpec = {
  ...spec('mean', ['8478-0', '76536-2', '76214-6'], 'mm[Hg]', 3, [20, 220]),
  kind: 'mean-arterial-pressure',
};
const LACTATE: FeatureSpec = {
  ...spec('lactate', ['2524-7', '32693-4', '2518-9', '2519-7', '14118-4'], 'mmol/L', 24, [0.1, 35]),
  analyte: 'lactate',
};
const CREATININE: FeatureSpec = {
  ...spec('creatinine', ['2160-0', '38483-4', '14682-9'], 'mg/dL', 48, [0.05, 30]),
  analyte: 'creatinine',
};
const WEIGHT = spec('weight', ['29463-7', '3141-9'], 'kg', 90 * 24, [0.3, 400]);
const OLDER = [...(WEIGHT.codes ?? []), ...(CREATININE.codes ?? [])];

/** What must be known before something is proposed. */
interface Facts {
  readonly hypotension: boolean;
  readonly lactate: number | undefined;
  readonly weight: number | undefined;
  readonly creatinine: number | undefined;
  readonly egfr: number | undefined;
  /** `AllergyIntolerance/[id]`; undefined when nothing is recorded, not even that there are none. */
  readonly allergies: readonly string[] | undefined;
  readonly heartFailure: boolean;
  readonly renalFailure: boolean;
}

/** For `Monitor`: proposals when an alert that proposes the bundle is raised, and the report as long as the episode is followed. */
export function sepsisFollow(models: LoadedModels, now: () => number): Follow {
  const { vocabulary } = models.knowledge;
  return async (scoring, row, ask) => {
    const { occasion, recorded } = scoring;
    const isRaised = scoring.steps.some(
      ({ alert, step }) => alert.proposes === 'sepsis-bundle' && step.event === 'raised',
    );
    const evidence: Evidence = { patient: recorded.patient, resources: recorded.resources, at: occasion.at };
    const isOpen = row.episode !== undefined && occasion.at < row.episode.zero + FOLLOWED_MS;
    if (row.episode !== undefined && scoring.occasion.rule.id === row.episode.rule) {
      const { episode, ...rest } = row;
      const next = withDone(episode, evidence, vocabulary);
      const isSame = JSON.stringify(next.done) === JSON.stringify(episode.done);
      if (isOpen) {
        const resources = isSame ? [] : [progressReport(next, occasion.patient, occasion.at)];
        return { resources, row: { ...row, episode: next } };
      }
      const last = progressReport(next, occasion.patient, occasion.at);
      if (!isRaised) return { resources: [last], row: rest };
    }
    if (!isRaised) return { resources: [], row };
    const facts = await factsOf(scoring, evidence, models, ask, now() + DEADLINE_MS);
    const proposed = proposals(facts, occasion);
    const episode: Episode = {
      rule: occasion.rule.id,
      zero: occasion.at,
      report: idOf(occasion, 'bundle.report'),
      elements: proposed.elements,
      done: {},
    };
    const begun = withDone(episode, evidence, vocabulary);
    return {
      resources: [...proposed.resources, progressReport(begun, occasion.patient, occasion.at)],
      row: { ...row, episode: begun },
    };
  };
}

async function factsOf(
  { occasion }: Scoring,
  evidence: Evidence,
  models: LoadedModels,
  ask: Ask,
  deadlineAt: number,
): Promise<Facts> {
  const { knowledge } = models;
  const { patient } = occasion;
  const codes = OLDER.map((code) => `${LOINC}|${code}`).join(',');
  const [older, allergies] = await Promise.all([
    found('/Observation', `patient=${patient}&code=${encodeURIComponent(codes)}&_sort=-date&_count=100`, ask),
    found('/AllergyIntolerance', `patient=${patient}&_count=500`, ask),
  ]);
  const wide: Evidence = {
    ...evidence,
    resources: [
      ...evidence.resources.filter(({ id }) => !older.resources.some((each) => each.id === id)),
      ...older.resources.filter((resource) => !isOwnOutput(resource)),
    ],
  };
  const value = (feature: FeatureSpec): number | undefined => {
    const { value: read } = readFeature(feature, wide, knowledge);
    return Number.isNaN(read) ? undefined : read;
  };
  const states = (...sets: readonly string[]): boolean =>
    sets.some((set) => statementOf(set, evidence, knowledge.vocabulary) !== undefined);
  const { outputs } = await models.assess('ckd-epi-2021', wide, deadlineAt);
  const held = allergies.resources.filter((each) => isPresent({ ...each, resourceType: 'Condition' }));
  const [systolic, mean] = [value(SYSTOLIC), value(MEAN)];
  return {
    hypotension: (systolic !== undefined && systolic < 90) || (mean !== undefined && mean < 65),
    lactate: value(LACTATE),
    weight: value(WEIGHT),
    creatinine: value(CREATININE),
    egfr: outputs.egfr,
    allergies: held.length === 0 ? undefined : held.map(({ id }) => `AllergyIntolerance/${id}`),
    heartFailure: states('charlson-heart-failure'),
    renalFailure: states('dialysis', 'acute-kidney-injury') || (outputs.egfr !== undefined && outputs.egfr < 30),
  };
}

interface Item {
  readonly element: Element;
  readonly title: string;
  readonly resource: Resource;
}

/** Proposals that the facts allow, in one RequestGroup; what is left out, and why, is its note. */
function proposals(
  facts: Facts,
  occasion: Occasion,
): { readonly resources: readonly Resource[]; readonly elements: readonly Element[] } {
  const items = [
    service('lactate', 'Lactate', 'lactate', { system: LOINC, code: '2524-7' }, occasion),
    service(
      'blood-cultures',
      'Blood culture 1 of 2, before antibiotics',
      'culture-1',
      { system: LOINC, code: '600-7' },
      occasion,
    ),
    service(
      'blood-cultures',
      'Blood culture 2 of 2, other site, before antibiotics',
      'culture-2',
      { system: LOINC, code: '600-7' },
      occasion,
    ),
    ...antibiotic(facts, occasion),
    ...fluid(facts, occasion),
  ];
  const group: Resource = {
    ...frame('RequestGroup', 'bundle', occasion),
    code: { coding: [{ system: BUNDLE_SYSTEM, code: 'hour-1' }], text: 'Sepsis: one-hour bundle, proposed' },
    authoredOn: instantText(occasion.at),
    action: items.map(({ element, title, resource }) => ({
      title,
      code: [{ coding: [{ system: BUNDLE_SYSTEM, code: element }] }],
      timingDuration: { value: 1, unit: 'h', system: 'http://unitsofmeasure.org', code: 'h' },
      resource: { reference: `${resource.resourceType}/${resource.id}` },
    })),
    note: leftOut(facts).map((text) => ({ text })),
  };
  const elements: readonly Element[] = [...new Set<Element>([...items.map(({ element }) => element), 'antibiotic'])];
  return { resources: [group, ...items.map(({ resource }) => resource)], elements };
}

const frame = (resourceType: string, kind: string, occasion: Occasion): Resource => ({
  resourceType,
  id: idOf(occasion, kind),
  meta: { tag: [PROPOSAL_TAG, { system: MONITOR_SYSTEM, code: occasion.rule.id }] },
  status: 'draft',
  intent: 'proposal',
  priority: 'stat',
  subject: { reference: `Patient/${occasion.patient}` },
});

function service(element: Element, title: string, kind: string, coding: JsonObject, occasion: Occasion): Item {
  const resource = {
    ...frame('ServiceRequest', kind, occasion),
    code: { coding: [coding], text: title },
    authoredOn: instantText(occasion.at),
  };
  return { element, title, resource };
}

function medication(
  element: Element,
  title: string,
  text: string,
  notes: readonly string[],
  over: JsonObject,
  occasion: Occasion,
): Item {
  const resource = {
    ...frame('MedicationRequest', element, occasion),
    medicationCodeableConcept: { text },
    authoredOn: instantText(occasion.at),
    note: notes.map((each) => ({ text: each })),
    ...over,
  };
  return { element, title, resource };
}

/** A place for the drug that the local guideline names; never a drug. */
function antibiotic(facts: Facts, occasion: Occasion): readonly Item[] {
  const { allergies, creatinine, egfr } = facts;
  if (allergies === undefined || creatinine === undefined) return [];
  const renal = egfr === undefined ? `creatinine ${creatinine} mg/dL, no stable eGFR` : `eGFR ${egfr} mL/min/1.73 m2`;
  const notes = [
    'To be chosen by the local guideline; the drug is not proposed here.',
    `Allergies and intolerances recorded: ${allergies.length}, see supportingInformation.`,
    `Renal function: ${renal}. Adjust the dose.`,
  ];
  const over = { supportingInformation: allergies.map((reference) => ({ reference })) };
  return [
    medication(
      'antibiotic',
      'Antibiotic after cultures',
      'Broad-spectrum antibiotic by the local guideline',
      notes,
      over,
      occasion,
    ),
  ];
}

const needsFluids = ({ hypotension, lactate }: Facts): boolean =>
  hypotension || (lactate !== undefined && lactate >= 4);

function fluid(facts: Facts, occasion: Occasion): readonly Item[] {
  if (!needsFluids(facts)) return [];
  const { weight, heartFailure, renalFailure } = facts;
  const volume = weight === undefined ? '30 mL/kg' : `${Math.round(weight * 30)} mL (30 mL/kg, ${weight} kg)`;
  const notes = [
    ...(heartFailure ? ['CAUTION: heart failure is recorded.'] : []),
    ...(renalFailure ? ['CAUTION: renal failure is recorded.'] : []),
    ...(weight === undefined ? ['No weight is recorded in the last 90 days.'] : []),
  ];
  const over = { dosageInstruction: [{ text: `${volume} within 3 h, judged again during infusion` }] };
  return [medication('fluids', 'Crystalloid 30 mL/kg', 'Balanced crystalloid', notes, over, occasion)];
}

function leftOut(facts: Facts): readonly string[] {
  const { allergies, creatinine, lactate } = facts;
  return [
    'Proposals, no orders: each needs the decision of an authorised person.',
    ...(allergies === undefined
      ? ['No antibiotic is proposed: allergies are not recorded, nor that there are none.']
      : []),
    ...(creatinine === undefined
      ? ['No antibiotic is proposed: no creatinine in the last 48 h, so renal function is not known.']
      : []),
    ...(needsFluids(facts)
      ? []
      : [
          `No fluids are proposed: no hypotension recorded in the last 3 h, and ${lactate === undefined ? 'no lactate is known' : 'lactate is below 4 mmol/L'}.`,
        ]),
  ];
}
