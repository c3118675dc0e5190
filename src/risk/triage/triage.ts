/** Emergency triage of one patient: facts read from FHIR resources, the ESI decision, red flags and expected resources. Decision 0023. */
import { createHash } from 'node:crypto';
import { isJsonObject, isNumber, type JsonObject, type Resource } from '../../fhir/resource.ts';
import type { Evidence } from '../assessment.ts';
import { classOf, currentEncounters } from '../features/encounter.ts';
import { readFeature } from '../features/features.ts';
import { type Feature, LOINC, textOf } from '../features/observation.ts';
import type { Knowledge } from '../features/pick.ts';
import { type EsiTable, type FeatureSpec, jsonAs, loadSchemas, readChecked, readModelFile } from '../manifest.ts';
import { withoutOwnOutput } from '../own-output.ts';
import { type Complaints, complaintsOf } from './complaint.ts';
import { decideEsi, type EsiDecision, type EsiEdition, type EsiFacts, type ExpectedResources } from './esi.ts';
import { expectedResources, interventions, recentOrders } from './expected-resources.ts';

/** One input as used. */
export interface TriageInput {
  readonly display: string;
  readonly value: string;
  readonly unit: string;
  readonly at: number | undefined;
  readonly source: string | undefined;
  readonly note: string | undefined;
}
export interface TriageAssessment {
  /** What the decision was made from: its numbers in /min, %, Cel, months and days. */
  readonly facts: EsiFacts;
  readonly decision: EsiDecision;
  readonly edition: EsiEdition;
  readonly resources: ExpectedResources | undefined;
  /** Displays of life-saving and high-risk complaints that hold. */
  readonly redFlags: readonly string[];
  /** Displays of red flags that the record denies or calls over. */
  readonly denied: readonly string[];
  readonly used: readonly TriageInput[];
  /** Inputs not known, with the reason. */
  readonly missing: readonly { readonly display: string; readonly reason: string }[];
}
export interface Triage {
  readonly version: string;
  readonly edition: EsiEdition;
  /** Why the patient is no emergency visit; undefined when one is under way. */
  outside(evidence: Evidence): string | undefined;
  assess(evidence: Evidence): TriageAssessment;
  /** models/esi.json as it was read: decision records keep it under its hash. */
  readonly table: EsiFile | undefined;
  /**
   * The decision for facts that were kept, by this table or by an older one whose text was kept; undefined for an edition that is not known and
   * for a text that is no such table.
   */
  decide(facts: EsiFacts, edition: EsiEdition['id'], older?: string): EsiDecision | undefined;
}
export interface EsiFile {
  readonly sha256: string;
  readonly text: string;
}

const WINDOW_HOURS = 24;
const TRIAGE = 'urn:firewatch:triage';
const measured = (
  name: string,
  display: string,
  codes: readonly string[],
  unit: string,
  range: readonly [number, number],
  precision: number,
): FeatureSpec => ({
  name,
  display,
  kind: 'latest-observation',
  codes,
  unit,
  windowHours: WINDOW_HOURS,
  range,
  precision,
  required: true,
});
const TEMPERATURES = ['8310-5', '8331-1', '8332-9', '8328-7', '8333-7', '8329-5'] as const;

/** The inputs, as in models/triage-vitals. */
const SPECS = {
  pulse: measured('pulse', 'Pulse', ['8867-4'], '/min', [20, 300], 0),
  respiratoryRate: measured('respiratoryRate', 'Respiratory rate', ['9279-1'], '/min', [3, 80], 0),
  spo2: measured('spo2', 'Oxygen saturation', ['59408-5', '2708-6', '2710-2'], '%', [40, 100], 0),
  temperature: measured('temperature', 'Body temperature', TEMPERATURES, 'Cel', [24, 44], 1),
  pain: measured('pain', 'Pain (0 to 10)', ['72514-3', '38208-5', '38214-3'], '{score}', [0, 10], 0),
  consciousness: {
    name: 'consciousness',
    display: 'Level of consciousness (ACVPU)',
    kind: 'consciousness',
    codes: ['67775-7', '80288-4', '11454-5', '9269-2'],
    unit: '1',
    windowHours: WINDOW_HOURS,
    required: true,
  },
} as const satisfies Record<string, FeatureSpec>;
const RECORDED: FeatureSpec = {
  ...measured('expectedResources', 'Resources expected', ['expected-resources'], '{count}', [0, 20], 0),
  system: TRIAGE,
};
const PREGNANCY: FeatureSpec = {
  name: 'pregnancy',
  display: 'Pregnancy',
  kind: 'pregnancy',
  codes: ['82810-3'],
  unit: '1',
  windowHours: 42 * 7 * 24,
  required: false,
};
const ageSpec = (unit: 'mo' | 'd', cuts: readonly number[]): FeatureSpec => ({
  name: 'age',
  display: 'Age',
  kind: 'age',
  unit,
  cuts,
  required: true,
});

const amount = ({ value }: Feature): number | undefined => (Number.isNaN(value) ? undefined : value);

const ANSWERED: ReadonlySet<unknown> = new Set(['completed', 'amended']);
const ANSWER_CODES = ['8661-1', '72514-3', '38208-5', '67775-7', '80288-4'] as const;

/**
 * Answers of a questionnaire as Observations: items whose linkId is a LOINC code of triage, or ends in `/` and one, as LOINC panels have it.
 * The time is `authored`.
 */
export function answersAsObservations(resources: readonly Resource[]): readonly Resource[] {
  return resources
    .filter(({ resourceType, status }) => resourceType === 'QuestionnaireResponse' && ANSWERED.has(status))
    .flatMap((response) => itemsOf(response).flatMap((item) => observationOf(item, response)));
}
function itemsOf(parent: JsonObject): readonly JsonObject[] {
  const items = Array.isArray(parent.item) ? parent.item.filter(isJsonObject) : [];
  return items.flatMap((item) => [item, ...itemsOf(item)]);
}
function observationOf(item: JsonObject, response: Resource): readonly Resource[] {
  const code = textOf(item.linkId)?.split('/').at(-1);
  const [answer] = Array.isArray(item.answer) ? item.answer.filter(isJsonObject) : [];
  if (code === undefined || answer === undefined || !ANSWER_CODES.some((one) => one === code)) return [];
  const number = answer.valueInteger ?? answer.valueDecimal;
  const value = isNumber(number)
    ? { valueQuantity: { value: number, unit: '{score}', system: 'http://unitsofmeasure.org', code: '{score}' } }
    : {
        ...(answer.valueString === undefined ? {} : { valueString: answer.valueString }),
        ...(answer.valueCoding === undefined ? {} : { valueCodeableConcept: { coding: [answer.valueCoding] } }),
        ...(answer.valueQuantity === undefined ? {} : { valueQuantity: answer.valueQuantity }),
      };
  return [
    {
      resourceType: 'Observation',
      ...(response.id === undefined ? {} : { id: response.id }),
      status: 'final',
      code: { coding: [{ system: LOINC, code }] },
      ...(response.authored === undefined ? {} : { effectiveDateTime: response.authored }),
      ...value,
    },
  ];
}

function factsOf(
  evidence: Evidence,
  edition: EsiEdition,
  knowledge: Knowledge,
  sets: Knowledge['vocabulary'],
): { facts: EsiFacts; features: readonly (readonly [FeatureSpec, Feature])[]; complaints: Complaints | undefined } {
  const months = edition.dangerZone.map(({ belowMonths }) => belowMonths).filter((limit) => limit !== undefined);
  const ageMonths = ageSpec('mo', [...months, 3, 36]);
  const specs = { ageMonths, ...SPECS };
  const read = (spec: FeatureSpec) => readFeature(spec, evidence, knowledge);
  const features = Object.values(specs).map((spec) => [spec, read(spec)] as const);
  const numeric = (spec: FeatureSpec) => amount(features.find(([one]) => one === spec)?.[1] ?? { value: Number.NaN });
  const isPregnant = read(PREGNANCY).value === 1;
  const complaints = complaintsOf(evidence, WINDOW_HOURS, knowledge.complaints, isPregnant ? ['pregnancy'] : []);
  const orders = recentOrders(evidence, WINDOW_HOURS);
  const recorded = amount(read(RECORDED));
  const facts: EsiFacts = {
    ageMonths: numeric(ageMonths),
    ageDays: amount(read(ageSpec('d', [29]))),
    pulse: numeric(SPECS.pulse),
    respiratoryRate: numeric(SPECS.respiratoryRate),
    spo2: numeric(SPECS.spo2),
    temperature: numeric(SPECS.temperature),
    consciousness: numeric(SPECS.consciousness),
    pain: numeric(SPECS.pain),
    complaints: complaints?.recognised === true ? complaints.present : undefined,
    interventions: interventions(orders, sets),
    resources: expectedResources(recorded, orders, complaints, knowledge.complaints, sets),
  };
  return { facts, features, complaints };
}

function complaintInput(complaints: Complaints | undefined): readonly TriageInput[] {
  if (complaints === undefined || !complaints.recognised) return [];
  const value = complaints.present.map(({ display }) => display).join(', ');
  const { at, source } = complaints;
  return [
    {
      display: 'Presenting complaint',
      value: value === '' ? 'none that the table knows' : value,
      unit: '',
      at,
      source,
      note: undefined,
    },
  ];
}

function missingOf(
  features: readonly (readonly [FeatureSpec, Feature])[],
  complaints: Complaints | undefined,
): TriageAssessment['missing'] {
  const vitals = features
    .filter(([, { value }]) => Number.isNaN(value))
    .map(([{ display }, { reason }]) => ({ display, reason: reason ?? 'not recorded' }));
  if (complaints?.recognised === true) return vitals;
  const reason = complaints === undefined ? `none recorded within ${WINDOW_HOURS} h` : 'recorded, but not understood';
  return [...vitals, { display: 'Presenting complaint', reason }];
}

const EMERGENCY = 'EMER';

/** Why no emergency visit is under way; encounters of an unknown class count as none. */
function outsideEmergency(evidence: Evidence): string | undefined {
  const classes = currentEncounters(evidence).map(classOf);
  return classes.includes(EMERGENCY) ? undefined : 'no emergency encounter is under way';
}

interface OfFile extends EsiFile {
  /** A table of the same shape; undefined for any other text. */
  readonly read: (text: string) => EsiTable | undefined;
}

/** The engine over a table already read. */
export function triageOf(table: EsiTable, knowledge: Knowledge, file?: OfFile): Triage {
  const edition = table.editions.find(({ id }) => id === table.use);
  if (edition === undefined) throw new TypeError(`esi.json has no edition ${table.use}.`);
  const sets = { ...knowledge.vocabulary, sets: table.sets };
  return {
    version: table.version,
    edition,
    table: file,
    outside: outsideEmergency,
    decide(facts, id, older) {
      const by = older === undefined ? table : file?.read(older);
      const asked = by?.editions.find((each) => each.id === id);
      return asked && decideEsi(facts, asked);
    },
    assess(evidence) {
      const recorded = withoutOwnOutput(evidence.resources);
      const answers = answersAsObservations(recorded);
      const whole = { ...evidence, resources: answers.length === 0 ? recorded : [...recorded, ...answers] };
      const { facts, features, complaints } = factsOf(whole, edition, knowledge, sets);
      const used = features
        .filter(([, { value }]) => !Number.isNaN(value))
        .map(
          ([{ display, unit }, { value, shown, at, source, note }]): TriageInput => ({
            display,
            value: shown ?? String(value),
            unit: shown === undefined && !unit.startsWith('{') ? unit : '',
            at,
            source,
            note,
          }),
        );
      return {
        facts,
        decision: decideEsi(facts, edition),
        edition,
        resources: facts.resources,
        redFlags: (complaints?.present ?? [])
          .filter(({ acuity }) => acuity !== 'routine')
          .map(({ display }) => display),
        denied: complaints?.denied ?? [],
        used: [...complaintInput(complaints), ...used],
        missing: missingOf(features, complaints),
      };
    },
  };
}

/**
 * Loads models/esi.json, complaints.json, vocabulary.json and units.json.
 * @throws Error naming the file that is missing or malformed
 */
export function loadTriage(folder: string): Triage {
  const schemas = loadSchemas(folder);
  const knowledge: Knowledge = {
    vocabulary: readChecked(folder, 'vocabulary.json', schemas.vocabulary),
    units: readChecked(folder, 'units.json', schemas.units),
    complaints: readChecked(folder, 'complaints.json', schemas.complaints),
    concepts: readChecked(folder, 'concepts.json', schemas.concepts).concepts,
  };
  const text = readModelFile(folder, 'esi.json').toString('utf8');
  const sha256 = createHash('sha256').update(text).digest('hex');
  const read = (kept: string) => jsonAs(kept, schemas.esi);
  return triageOf(readChecked(folder, 'esi.json', schemas.esi), knowledge, { sha256, text, read });
}
