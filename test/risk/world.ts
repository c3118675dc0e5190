/** Resources, models and manifests that the risk tests share. All people are invented. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newestOf } from '../../models/train/newest.ts';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import type { Knowledge } from '../../src/risk/features/pick.ts';
import { type FeatureSpec, loadSchemas, type ModelManifest, readChecked } from '../../src/risk/manifest.ts';

export const MODELS = join(import.meta.dirname, '..', '..', 'models');
export const AT = Date.UTC(2026, 2, 1, 12);
export const HOUR = 3_600_000;
export const NEVER = Number.POSITIVE_INFINITY;

const schemas = loadSchemas(MODELS);
export const knowledge: Knowledge = {
  vocabulary: readChecked(MODELS, 'vocabulary.json', schemas.vocabulary),
  units: readChecked(MODELS, 'units.json', schemas.units),
  complaints: readChecked(MODELS, 'complaints.json', schemas.complaints),
  concepts: readChecked(MODELS, 'concepts.json', schemas.concepts).concepts,
};
export const manifestOf = (id: string): ModelManifest => readChecked(newestOf(id), 'manifest.json', schemas.manifest);
export const bytesOf = (id: string): Uint8Array => new Uint8Array(readFileSync(join(newestOf(id), 'model.onnx')));

export function specOf(model: string, name: string): FeatureSpec {
  const spec = manifestOf(model).features.find((feature) => feature.name === name);
  if (spec === undefined) throw new TypeError(`${model} has no feature ${name}`);
  return spec;
}

export const iso = (ms: number): string => new Date(ms).toISOString();
const UCUM = 'http://unitsofmeasure.org';
const coded = (system: string, code: string): JsonObject => ({ coding: [{ system, code }] });
export const loinc = (code: string): JsonObject => coded('http://loinc.org', code);
export const snomed = (code: string): JsonObject => coded('http://snomed.info/sct', code);
export const quantity = (value: number, unit: string): JsonObject => ({ value, unit, system: UCUM, code: unit });

/** A final Observation one hour before AT; `over` replaces or adds elements. */
export function observation(code: string, over: JsonObject): Resource {
  return {
    resourceType: 'Observation',
    id: `o${code}`,
    status: 'final',
    code: loinc(code),
    effectiveDateTime: iso(AT - HOUR),
    ...over,
  };
}
export const measured = (code: string, value: number, unit: string, over: JsonObject = {}): Resource =>
  observation(code, { valueQuantity: quantity(value, unit), ...over });

export const bloodPressure = (systolic: number, over: JsonObject = {}): Resource =>
  observation('85354-9', {
    component: [
      { code: loinc('8480-6'), valueQuantity: quantity(systolic, 'mm[Hg]') },
      { code: loinc('8462-4'), valueQuantity: quantity(60, 'mm[Hg]') },
    ],
    ...over,
  });
const ANSWERS = { A: 'LA9340-6', C: 'LA6560-2', V: 'LA17108-4', P: 'LA17107-6', U: 'LA9343-0' } as const;
export const acvpu = (level: keyof typeof ANSWERS, over: JsonObject = {}): Resource =>
  observation('67775-7', { valueCodeableConcept: loinc(ANSWERS[level]), ...over });
export const roomAir = (over: JsonObject = {}): Resource => ({
  resourceType: 'Observation',
  id: 'air',
  status: 'final',
  code: snomed('722742002'),
  effectiveDateTime: iso(AT - HOUR),
  ...over,
});
export const saturationGoal = (low: number, high: number, over: JsonObject = {}): Resource => ({
  resourceType: 'Goal',
  id: 'target',
  lifecycleStatus: 'active',
  target: [{ measure: loinc('59408-5'), detailRange: { low: quantity(low, '%'), high: quantity(high, '%') } }],
  ...over,
});
export const born = (birthDate: string, over: JsonObject = {}): Resource => ({
  resourceType: 'Patient',
  id: 'p',
  birthDate,
  ...over,
});
export const visit = (text: string, over: JsonObject = {}): Resource => ({
  resourceType: 'Encounter',
  id: 'visit',
  status: 'in-progress',
  period: { start: iso(AT - HOUR) },
  reasonCode: [{ text }],
  ...over,
});
