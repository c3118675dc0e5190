/** Assessments as FHIR RiskAssessments. Source: FHIR R4 riskassessment.html. */
import type { JsonObject, Resource } from '../fhir/resource.ts';
import { instantText } from '../fhir/time.ts';
import type { Assessment, Manifest } from './assessment.ts';
import { MODEL_SYSTEM } from './own-output.ts';

export const HASH_SYSTEM = 'urn:firewatch:model-sha256';
export const BAND_SYSTEM = 'urn:firewatch:band';
/** References of what was used: `Type/id`, each once. */
export function basisOf({ used }: Assessment): readonly JsonObject[] {
  const sources = used.flatMap(({ source }) =>
    source !== undefined && /^[A-Z][A-Za-z]+\/[^/]+$/.test(source) ? [source] : [],
  );
  return [...new Set(sources)].map((reference) => ({ reference }));
}

/** A version of a model, as who made something. */
export const deviceOf = ({ id, version, title }: Manifest): JsonObject => ({
  type: 'Device',
  identifier: { system: MODEL_SYSTEM, value: `${id}|${version}` },
  display: title,
});

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

/** Which resource, about whom (`Patient/[id]`), judged at when (ms). */
export interface Frame {
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
