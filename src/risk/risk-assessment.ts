/** Assessments as FHIR: RiskAssessment, and Observation for results with a LOINC code. Source: FHIR R4 riskassessment.html, observation.html. */
import { UCUM } from '../fhir/quantity.ts';
import type { JsonObject, Resource } from '../fhir/resource.ts';
import { instantText } from '../fhir/time.ts';
import type { Assessment, Evidence, Manifest, Models } from './assessment.ts';
import { LOINC } from './observation.ts';

const MODEL_SYSTEM = 'urn:firewatch:model';
const BAND_SYSTEM = 'urn:firewatch:band';
/** Time that one model may take for one patient, ms; then its stand-in answers. */
const DEADLINE_MS = 2000;

/** References of what was used: `Type/id`, each once. */
function basisOf({ used }: Assessment): readonly JsonObject[] {
  const sources = used.flatMap(({ source }) =>
    source !== undefined && /^[A-Z][A-Za-z]+\/[^/]+$/.test(source) ? [source] : [],
  );
  return [...new Set(sources)].map((reference) => ({ reference }));
}

/** Sentences for people: results with "at least", what was missing and why, why nothing was computed, who answered. */
function notesOf(assessment: Assessment, { limits, citation }: Manifest): readonly string[] {
  const { outputs, atLeast, missing, used, outsidePopulation, answeredBy, fallbackReason } = assessment;
  const results = Object.entries(outputs).filter(([name]) => name !== 'missing');
  return [
    ...(outsidePopulation === undefined ? [] : [`Not computed: ${outsidePopulation}.`]),
    ...results.map(([name, value]) => `${name}: ${atLeast ? 'at least ' : ''}${value}`),
    ...missing.map(({ display, reason, optional }) => `Missing${optional ? ' (optional)' : ''}: ${display}: ${reason}`),
    ...used.flatMap(({ display, note }) => (note === undefined ? [] : [`${display}: ${note}`])),
    ...(answeredBy === 'fallback'
      ? [`The rule-based stand-in answered: ${fallbackReason ?? 'the model is not loaded'}.`]
      : []),
    ...limits,
    `Source: ${citation.text}`,
  ];
}

function predictionOf({ outputs, band }: Assessment, { title, bands }: Manifest): JsonObject | undefined {
  const found = bands.find(({ name }) => name === band);
  const { probability } = outputs;
  const isProbability = probability !== undefined && probability >= 0 && probability <= 1;
  if (found === undefined && !isProbability) return undefined;
  return {
    outcome: { text: title },
    ...(isProbability ? { probabilityDecimal: probability } : {}),
    ...(found === undefined
      ? {}
      : {
          qualitativeRisk: {
            coding: [{ system: BAND_SYSTEM, code: found.name, display: found.display }],
            text: found.display,
          },
        }),
  };
}

interface Frame {
  readonly id: string;
  readonly subject: string;
  readonly at: number;
}

/** One assessment as RiskAssessment: `cancelled` when nothing was computed, `final` else. */
export function riskAssessment(assessment: Assessment, manifest: Manifest, { id, subject, at }: Frame): Resource {
  const prediction = predictionOf(assessment, manifest);
  const basis = basisOf(assessment);
  const { version, title } = manifest;
  return {
    resourceType: 'RiskAssessment',
    id,
    status: Object.keys(assessment.outputs).length === 0 ? 'cancelled' : 'final',
    method: { coding: [{ system: MODEL_SYSTEM, version, code: manifest.id, display: title }], text: title },
    subject: { reference: subject },
    occurrenceDateTime: instantText(at),
    ...(basis.length === 0 ? {} : { basis }),
    ...(prediction === undefined ? {} : { prediction: [prediction] }),
    note: notesOf(assessment, manifest).map((text) => ({ text })),
  };
}

/** A result with a LOINC code as Observation; a lower bound is no result. */
function observations(
  assessment: Assessment,
  manifest: Manifest,
  { subject, at }: Frame,
  newId: () => string,
  issuedAt: number,
) {
  const derivedFrom = basisOf(assessment).filter(({ reference }) => String(reference).startsWith('Observation/'));
  return (manifest.results ?? []).flatMap(({ name, display, unit, loinc }): readonly Resource[] => {
    const value = assessment.outputs[name];
    if (loinc === undefined || value === undefined || assessment.atLeast) return [];
    return [
      {
        resourceType: 'Observation',
        id: newId(),
        status: 'final',
        code: { coding: [{ system: LOINC, code: loinc }], text: display },
        subject: { reference: subject },
        effectiveDateTime: instantText(at),
        issued: instantText(issuedAt),
        valueQuantity: { value, unit, system: UCUM, code: unit },
        ...(derivedFrom.length === 0 ? {} : { derivedFrom }),
      },
    ];
  });
}

/** What inputs and rules of eligibility are read from. */
const READS = [
  'Observation',
  'Condition',
  'Encounter',
  'MedicationRequest',
  'MedicationAdministration',
  'MedicationStatement',
  'Procedure',
  'ServiceRequest',
  'DiagnosticReport',
  'Specimen',
  'CarePlan',
  'Flag',
  'Goal',
];

/** Lets other requests be answered between two models: with thousands of Observations each takes some ms. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The models as the operation `$evaluate` asks them; `now` in ms. */
export function riskDesk(models: Models, now: () => number) {
  return {
    models: new Set(models.manifests.keys()),
    reads: READS,
    follows: ['Medication', 'Location'],
    async evaluate(
      ids: readonly string[],
      { patient, resources, at }: Evidence & { readonly patient: Resource },
      newId: () => string,
      issuedAt: number,
    ): Promise<readonly Resource[]> {
      const subject = `Patient/${patient.id ?? ''}`;
      const found: Resource[] = [];
      for (const id of ids) {
        const manifest = models.manifests.get(id);
        if (manifest === undefined) continue;
        await breathe();
        const assessment = await models.assess(id, { patient, resources, at }, now() + DEADLINE_MS);
        const frame = { id: newId(), subject, at };
        found.push(riskAssessment(assessment, manifest, frame));
        found.push(...observations(assessment, manifest, frame, newId, issuedAt));
      }
      return found;
    },
  };
}
