/** An order with its dose lowered to a published ceiling: the whole resource as received, one quantity changed. Source: FHIR R4 dosage.html; CDS Hooks 2.0.1 "Action". */
import {
  isJsonObject,
  isNumber,
  type Json,
  type JsonObject,
  lexemeOf,
  numberOf,
  type Resource,
} from '../../fhir/resource.ts';
import { type DosedDrug, dosingOf, isForm, strengthOf } from '../../risk/drugs/dosage.ts';
import type { DrugMention, Proposal } from '../../risk/drugs/finding.ts';

type Ceiling = Extract<Proposal, { kind: 'dose' }>['max'];

export interface LoweredDose {
  readonly resource: Resource;
  /** `500 mg`, in the unit of the order. */
  readonly dose: string;
}

/** Elements beside the quantity that state or cap a dose: an order with one of them is the prescriber's to rewrite. */
const STATES_DOSE = [
  'maxDosePerPeriod',
  'maxDosePerAdministration',
  'maxDosePerLifetime',
  'patientInstruction',
] as const;
/** Fractions of the ordered dose that are tried when the ceiling itself is no dose one can give. */
const SHARES = [0.5, 0.25] as const;
/** Doubled rounding errors are not above a ceiling. */
const ROUNDING = 1 + 1e-9;

/**
 * The order within the ceiling, or undefined where that takes more than another number in one structured dose of one ingredient: several dosages, ranges, rates,
 * free text that states the dose otherwise, or a tablet that would have to be split.
 * @param mention the order as the drug check names it: strengths are read from the name
 */
export function loweredDose(received: Resource, mention: DrugMention, max: Ceiling): LoweredDose | undefined {
  const [name] = mention.ingredients;
  const found = onlyDose(received);
  if (name === undefined || mention.ingredients.length !== 1 || found === undefined) return undefined;
  const drug = { display: mention.display, name, isCombination: false, weight: undefined };
  const ordered = inPeriod(received, drug, max);
  if (ordered === undefined || ordered <= max.value * ROUNDING) return undefined;
  const most = found.value * (max.value / ordered) * ROUNDING;
  const dose = [
    Number((found.value * (max.value / ordered)).toPrecision(6)),
    ...SHARES.map((share) => found.value * share),
  ].find((candidate) => candidate <= most && isGiveable(candidate, found.unit, drug, max.unit));
  if (dose === undefined) return undefined;
  const resource = withDose(received, found, dose);
  const lowered = resource && inPeriod(resource, drug, max);
  if (resource === undefined || lowered === undefined || lowered > max.value * ROUNDING) return undefined;
  return { resource, dose: `${dose} ${found.unit}` };
}

function inPeriod(order: Resource, drug: DosedDrug, { per, unit }: Ceiling): number | undefined {
  const { single, daily } = dosingOf(order, drug, unit);
  if (per === 'dose') return single;
  return per === 'day' || daily === undefined ? daily : daily * 7;
}

interface OnlyDose {
  readonly dosage: JsonObject;
  readonly doseAndRate: JsonObject;
  readonly quantity: JsonObject;
  readonly value: number;
  readonly lexeme: string;
  readonly unit: string;
}

/** The one quantity of an order that has one dosage with one dose. */
function onlyDose(order: Resource): OnlyDose | undefined {
  const dosage = only(order.dosageInstruction);
  const doseAndRate = dosage && only(dosage.doseAndRate);
  const quantity = doseAndRate?.doseQuantity;
  if (dosage === undefined || doseAndRate === undefined || !isJsonObject(quantity)) return undefined;
  const isSimple =
    STATES_DOSE.every((element) => dosage[element] === undefined) &&
    Object.keys(doseAndRate).every((key) => key === 'type' || key === 'doseQuantity');
  const { value } = quantity;
  const unit = quantity.unit ?? quantity.code;
  if (!isSimple || value === undefined || !isNumber(value) || typeof unit !== 'string') return undefined;
  return { dosage, doseAndRate, quantity, value: numberOf(value), lexeme: lexemeOf(value), unit };
}

function only(list: Json | undefined): JsonObject | undefined {
  const [first, ...more]: readonly Json[] = Array.isArray(list) ? list : [];
  return more.length === 0 && isJsonObject(first) ? first : undefined;
}

/** Whole tablets, whole multiples of a strength that is named, otherwise at most three significant digits. */
function isGiveable(dose: number, unit: string, drug: DosedDrug, asked: string): boolean {
  if (isForm(unit)) return Number.isInteger(dose);
  const strength = strengthOf(drug);
  if (strength === undefined) return Number(dose.toPrecision(3)) === dose;
  const pieces = dose / strength.value;
  // Another unit than the strength's cannot be compared by its number.
  return strength.unit === unit && unit === asked && Math.abs(pieces - Math.round(pieces)) < 1e-9 && pieces >= 1;
}

/** The whole resource with the quantity changed wherever it is stated; undefined where text states it in a way that cannot be mended. */
function withDose(
  order: Resource,
  { dosage, doseAndRate, quantity, lexeme }: OnlyDose,
  dose: number,
): Resource | undefined {
  const stated = dosage.text;
  const text = typeof stated === 'string' ? restated(stated, lexeme, String(dose)) : undefined;
  const narrative = order.text;
  if ((stated !== undefined && text === undefined) || (isJsonObject(narrative) && narrative.status !== 'generated')) {
    return undefined;
  }
  // A generated narrative repeats the data, and would repeat the old dose.
  const { text: _narrative, ...rest } = order;
  const changed = {
    ...dosage,
    ...(text === undefined ? {} : { text }),
    doseAndRate: [{ ...doseAndRate, doseQuantity: { ...quantity, value: dose } }],
  };
  return { ...rest, resourceType: order.resourceType, dosageInstruction: [changed] };
}

/** `take 1000 mg twice` with another number, when the old one stands there exactly once as a number. */
function restated(text: string, from: string, to: string): string | undefined {
  const pattern = new RegExp(`(?<![\\d.,/])${from.replaceAll('.', '\\.')}(?![\\d/]|[.,]\\d)`, 'g');
  return [...text.matchAll(pattern)].length === 1 ? text.replace(pattern, to) : undefined;
}
