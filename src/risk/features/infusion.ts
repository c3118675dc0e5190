/** Infusions as inputs: how fast, and how many of a group. Source: FHIR R4 medicationadministration.html (dosage.rate[x]), Dosage.doseAndRate. */
import { convertUnit } from '../../fhir/quantity.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf, type Resource } from '../../fhir/resource.ts';
import type { Evidence } from '../assessment.ts';
import type { FeatureKind, FeatureSpec, UnitTable } from '../manifest.ts';
import { isInSet, saysWord, setNamed } from './code-set.ts';
import { instantOf } from './encounter.ts';
import { medicationConcept } from './infection.ts';
import { type Feature, LOINC, numericValue, readings, roundTo, sourceOf, unitOf, words } from './observation.ts';
import { type Knowledge, missing, type Read, windowStart } from './pick.ts';

/** Infusions of less are no vasopressor therapy: Vincent 1996, "adrenergic agents administered for at least 1 h". */
const LEAST_MS = 3_600_000;
const GIVEN: ReadonlySet<Json | undefined> = new Set(['in-progress', 'on-hold', 'completed', 'stopped']);
const ORDERED: ReadonlySet<Json | undefined> = new Set(['active', 'completed', 'stopped', 'on-hold']);

interface Running {
  readonly resource: Resource;
  readonly at: number;
}

/** True when the time given reaches into (from, at]; a period that is known to be shorter than an hour does not count. */
function runsIn(resource: Resource, from: number, at: number): number | undefined {
  const period = isJsonObject(resource.effectivePeriod) ? resource.effectivePeriod : {};
  const start = instantOf(resource.effectiveDateTime) ?? instantOf(period.start);
  const end = instantOf(period.end);
  if (start === undefined || start > at) return undefined;
  if (end !== undefined && (end <= from || Math.min(end, at) - start < LEAST_MS)) return undefined;
  const isOpen = end === undefined && resource.status === 'in-progress';
  return isOpen || end !== undefined || start > from ? start : undefined;
}

/** What was given; where no administration is recorded at all, what is ordered. */
function running(set: string, spec: FeatureSpec, evidence: Evidence, { vocabulary }: Knowledge): readonly Running[] {
  const from = windowStart(spec, evidence);
  const { resources, at } = evidence;
  const ofSet = resources.filter(
    (resource) =>
      resource.resourceType.startsWith('Medication') &&
      resource.resourceType !== 'Medication' &&
      isInSet(medicationConcept(resource, resources), set, vocabulary) &&
      !saysWord(words(medicationConcept(resource, resources)), setNamed('not-systemic', vocabulary), vocabulary),
  );
  const administered = ofSet.filter(({ resourceType }) => resourceType === 'MedicationAdministration');
  if (administered.length > 0) {
    return administered.flatMap((resource) => {
      const since = GIVEN.has(resource.status) ? runsIn(resource, from, at) : undefined;
      return since === undefined ? [] : [{ resource, at: since }];
    });
  }
  return ofSet.flatMap((resource) => {
    const since = instantOf(resource.authoredOn);
    const isOrder =
      resource.resourceType === 'MedicationRequest' && resource.intent === 'order' && ORDERED.has(resource.status);
    return isOrder && resource.doNotPerform !== true && since !== undefined && since > from && since <= at
      ? [{ resource, at: since }]
      : [];
  });
}

const WEIGHT: FeatureSpec = {
  name: 'weight',
  display: 'Body weight',
  kind: 'latest-observation',
  unit: 'kg',
  range: [0.3, 400],
  required: true,
};
const WEIGHT_HOURS = 90 * 24;

function weightOf({ resources, at }: Evidence, { units }: Knowledge): number | undefined {
  const wanted = ['29463-7', '3141-9'].map((code) => ({ system: LOINC, code }));
  for (const reading of readings(resources, wanted, { at, hours: WEIGHT_HOURS }).newestFirst) {
    const numeric = numericValue(reading, WEIGHT, units);
    if ('value' in numeric) return numeric.value;
  }
  return undefined;
}

const list = (value: Json | undefined): readonly JsonObject[] =>
  (Array.isArray(value) ? value : [value]).filter(isJsonObject);

/** Rates of an administration (dosage.rateQuantity) or an order (dosageInstruction.doseAndRate.rateQuantity). */
function ratesOf(resource: Resource): readonly JsonObject[] {
  const dosages = [...list(resource.dosage), ...list(resource.dosageInstruction)];
  return dosages.flatMap((dosage) => [
    ...list(dosage.rateQuantity),
    ...list(dosage.doseAndRate).flatMap((each) => list(each.rateQuantity)),
  ]);
}

/** A rate in the unit of the input; a rate for the whole body is divided by the weight. */
function rateIn(
  quantity: JsonObject,
  unit: string,
  weight: () => number | undefined,
  units: UnitTable,
): number | undefined {
  const code = unitOf(quantity, units);
  if (!isNumber(quantity.value) || code === undefined || quantity.comparator !== undefined) return undefined;
  const value = numberOf(quantity.value);
  const direct = convertUnit(value, code, unit);
  if (direct !== undefined) return direct;
  const body = convertUnit(value, code, unit.replace('/kg', ''));
  const kg = body === undefined ? undefined : weight();
  return body === undefined || kg === undefined ? undefined : body / kg;
}

/**
 * Highest rate in the window of one drug (`sets`), e.g. norepinephrine in ug/kg/min; rates per minute or hour for the whole body are divided by
 * the latest weight of 90 days. None recorded: `absent`. A rate that cannot be read makes the input missing, never 0.
 */
const infusionRate: Read = (spec, evidence, knowledge) => {
  const infusions = (spec.sets ?? []).flatMap((set) => running(set, spec, evidence, knowledge));
  if (infusions.length === 0) return none(spec);
  let highest: Feature | undefined;
  const weight = () => weightOf(evidence, knowledge);
  for (const { resource, at } of infusions) {
    const rates = ratesOf(resource).map((quantity) => rateIn(quantity, spec.unit, weight, knowledge.units));
    const known = rates.filter((rate) => rate !== undefined);
    if (rates.length === 0 || known.length < rates.length) return missing('infusion rate not understood');
    const value = roundTo(Math.max(...known), spec.precision ?? 3);
    const [low, high] = spec.range ?? [0, Number.POSITIVE_INFINITY];
    if (value < low || value > high) return missing('implausible infusion rate');
    if (highest === undefined || value > highest.value) highest = { value, at, source: sourceOf(resource) };
  }
  return highest ?? none(spec);
};

function none(spec: FeatureSpec): Feature {
  return spec.absent === undefined
    ? missing('no administration is recorded')
    : { value: spec.absent, note: 'none recorded' };
}

/** How many of the drugs (`sets`) were running in the window, whatever the rate. */
const drugsRunning: Read = (spec, evidence, knowledge) => {
  const found = (spec.sets ?? [])
    .map((set) => ({ set, infusions: running(set, spec, evidence, knowledge) }))
    .filter(({ infusions }) => infusions.length > 0);
  const [first] = found.flatMap(({ infusions }) => infusions);
  if (first === undefined) return none(spec);
  const shown = found.map(({ set }) => setNamed(set, knowledge.vocabulary).display).join(', ');
  return { value: found.length, shown, at: first.at, source: sourceOf(first.resource) };
};

export const DRUG_KINDS = {
  'infusion-rate': infusionRate,
  'drugs-running': drugsRunning,
} as const satisfies Partial<Record<FeatureKind, Read>>;
