/**
 * How much of one ingredient an order gives, per dose and per day, at most. Source: FHIR R4 dosage.html, datatypes.html#Timing,
 * value set timing-abbreviation. What is not said in structured form is not guessed: undefined means "not checked".
 */
import { convertUnit } from '../../fhir/quantity.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf, type Resource } from '../../fhir/resource.ts';
import { foldedName } from './knowledge.ts';
import { textsOf } from './medication.ts';
import { dosagesOf } from './route.ts';
import { objectsIn } from './wash-out.ts';

export interface Dosing {
  /** Largest single dose and largest daily amount in the unit asked for; undefined when the order does not say. */
  readonly single: number | undefined;
  readonly daily: number | undefined;
  /** Doses a day of the most frequent dosage. */
  readonly times: number | undefined;
  /** Why a dosage could not be read, by what is missing; of several the first. Absent: every dosage was read. */
  readonly unread?: Partial<Readonly<Record<'single' | 'daily' | 'times', string>>>;
}

export interface DosedDrug {
  /** As written: the strength of a tablet is read from it. */
  readonly display: string;
  /** Names of the ingredient asked about. */
  readonly name: string;
  /** The order holds other ingredients too. */
  readonly isCombination: boolean;
  /** kg, for doses by weight. */
  readonly weight: number | undefined;
}

/** Given once: a count of one, or one event, or the timing says so. */
export function isOnce(resource: Resource): boolean {
  const dosages = dosagesOf(resource);
  return (
    dosages.length > 0 &&
    dosages.every(({ timing }) => {
      if (!isJsonObject(timing)) return false;
      const repeat = isJsonObject(timing.repeat) ? timing.repeat : {};
      const said = isJsonObject(timing.code) ? textsOf(timing.code).map(foldedName) : [];
      const single = Array.isArray(timing.event) && timing.event.length === 1;
      return number(repeat.count) === 1 || single || said.some((text) => ONCE.test(text));
    })
  );
}
const ONCE = /^(?:once|one time|onetime|1x only|once x1|single dose|stat|on call|once only)$/;

/** Every dosage of the order is "as needed". */
export function isAsNeeded(resource: Resource): boolean {
  const dosages = dosagesOf(resource);
  return (
    dosages.length > 0 &&
    dosages.every(
      ({ asNeededBoolean, asNeededCodeableConcept }) =>
        asNeededBoolean === true || isJsonObject(asNeededCodeableConcept),
    )
  );
}

/**
 * Dosages of the same sequence add up, sequences follow each other. Ranges count with their upper end, intervals with their lower one.
 * @param unit UCUM, or `mg/kg` for the dose by body weight
 */
export function dosingOf(resource: Resource, drug: DosedDrug, unit: string): Dosing {
  const bySequence = new Map<number, Dosing>();
  for (const dosage of dosagesOf(resource)) {
    const single = amountOf(dosage, drug, unit);
    const times = timesPerDay(dosage.timing);
    const daily = dailyOf(dosage, single, times, drug, unit);
    const one = { single, daily, times, unread: unreadOf(dosage, { single, daily, times }) };
    // Without sequence all dosages run together.
    const sequence = number(dosage.sequence) ?? 0;
    const known = bySequence.get(sequence);
    bySequence.set(sequence, known === undefined ? one : together(known, one));
  }
  return [...bySequence.values()].reduce<Dosing>(larger, { single: undefined, daily: undefined, times: undefined });
}

const together = (a: Dosing, b: Dosing): Dosing => ({
  unread: { ...b.unread, ...a.unread },
  single: most(a.single, b.single),
  daily: a.daily === undefined || b.daily === undefined ? most(a.daily, b.daily) : a.daily + b.daily,
  times: most(a.times, b.times),
});
const larger = (a: Dosing, b: Dosing): Dosing => ({
  unread: { ...b.unread, ...a.unread },
  single: most(a.single, b.single),
  daily: most(a.daily, b.daily),
  times: most(a.times, b.times),
});
const most = (a: number | undefined, b: number | undefined) =>
  a === undefined ? b : b === undefined ? a : Math.max(a, b);

/** In words for the reader of a notice: no text of the order. */
function unreadOf(dosage: JsonObject, { single, daily, times }: Dosing): NonNullable<Dosing['unread']> {
  // An infusion has a rate and no single dose.
  const isInfusion = daily !== undefined && objectsIn(dosage.doseAndRate).some(({ rateQuantity }) => rateQuantity);
  const dose = single === undefined && !isInfusion ? noDose(dosage) : undefined;
  const timing = times === undefined ? 'how often is not said in structured form' : undefined;
  return {
    ...(dose === undefined ? {} : { single: dose }),
    ...(timing === undefined ? {} : { times: timing }),
    ...(daily === undefined ? { daily: dose ?? timing ?? 'the daily amount is not said in structured form' } : {}),
  };
}

function noDose({ doseAndRate, maxDosePerAdministration }: JsonObject): string {
  const amounts = objectsIn(doseAndRate).flatMap((one) =>
    [one.doseQuantity, one.doseRange, one.rateQuantity, one.rateRange, one.rateRatio].filter(isJsonObject),
  );
  const quantities = amounts
    .map(({ high, low, numerator, ...own }) => high ?? low ?? numerator ?? own)
    .filter(isJsonObject);
  const all = isJsonObject(maxDosePerAdministration) ? [...quantities, maxDosePerAdministration] : quantities;
  if (all.length === 0) return 'the dose is free text, or not said';
  if (all.every(({ code, unit }) => typeof code !== 'string' && typeof unit !== 'string'))
    return 'the dose has no unit';
  return 'the unit of the dose cannot be converted';
}

const number = (value: Json | undefined): number | undefined =>
  value !== undefined && isNumber(value) && Number.isFinite(numberOf(value)) ? numberOf(value) : undefined;

/** The largest single dose, capped by `maxDosePerAdministration`. */
function amountOf(dosage: JsonObject, drug: DosedDrug, unit: string): number | undefined {
  const amounts = objectsIn(dosage.doseAndRate).flatMap(({ doseQuantity, doseRange }) => {
    const quantity = isJsonObject(doseRange) ? (doseRange.high ?? doseRange.low) : doseQuantity;
    return inUnit(quantity, drug, unit) ?? [];
  });
  const cap = inUnit(dosage.maxDosePerAdministration, drug, unit);
  const largest = amounts.length === 0 ? undefined : Math.max(...amounts);
  return largest !== undefined && cap !== undefined ? Math.min(largest, cap) : (largest ?? cap);
}

function dailyOf(
  dosage: JsonObject,
  single: number | undefined,
  times: number | undefined,
  drug: DosedDrug,
  unit: string,
): number | undefined {
  const rates = objectsIn(dosage.doseAndRate).flatMap(({ rateQuantity }) => hourly(rateQuantity, drug, unit) ?? []);
  const scheduled =
    rates.length > 0
      ? Math.max(...rates) * 24
      : single !== undefined && times !== undefined
        ? single * times
        : undefined;
  const cap = perDay(dosage.maxDosePerPeriod, drug, unit);
  return scheduled !== undefined && cap !== undefined ? Math.min(scheduled, cap) : (scheduled ?? cap);
}

/** Units that count forms: a tablet holds the strength that its name says. */
const FORMS =
  /^(?:1|\{?(?:tbl|tab|tabs|tablet|tablets|cap|caps|capsule|capsules|each|patch|puff|dose|unit dose|suppository|packet)s?\}?)$/i;

/** True for a unit that counts tablets, capsules or the like. */
export const isForm = (unit: string): boolean => FORMS.test(unit);

function inUnit(quantity: Json | undefined, drug: DosedDrug, unit: string): number | undefined {
  if (!isJsonObject(quantity)) return undefined;
  const value = number(quantity.value);
  const code = [quantity.code, quantity.unit].find((text) => typeof text === 'string');
  if (value === undefined || typeof code !== 'string' || value < 0) return undefined;
  if (FORMS.test(code)) {
    const strength = strengthOf(drug);
    return strength === undefined ? undefined : byUnit(value * strength.value, strength.unit, drug, unit);
  }
  return byUnit(value, code, drug, unit);
}

/** Order units that are not UCUM as they are written. */
const SPELT: Readonly<Record<string, string>> = {
  mcg: 'ug',
  mEq: 'meq',
  MEQ: 'meq',
  MG: 'mg',
  G: 'g',
  gm: 'g',
  gram: 'g',
  milligram: 'mg',
  microgram: 'ug',
  units: '[iU]',
  unit: '[iU]',
  U: '[iU]',
  'mcg/kg': 'ug/kg',
};

/** From one unit into another; between amounts and amounts by weight with the body weight. */
function byUnit(value: number, from: string, { weight }: DosedDrug, to: string): number | undefined {
  const source = Object.hasOwn(SPELT, from) ? (SPELT[from] ?? from) : from;
  const direct = source === to ? value : convertUnit(value, source, to);
  if (direct !== undefined || weight === undefined || weight <= 0) return direct;
  if (to.endsWith('/kg')) {
    const amount = convertUnit(value, source, to.slice(0, -3));
    return amount === undefined ? undefined : amount / weight;
  }
  return source.endsWith('/kg') ? convertUnit(value * weight, source.slice(0, -3), to) : undefined;
}

/** `500 MG` of the name; in a combination the number that follows the ingredient's own name. */
export function strengthOf({ display, name, isCombination }: DosedDrug): { value: number; unit: string } | undefined {
  const text = display.toLowerCase();
  const from = text.indexOf(name.toLowerCase());
  if (isCombination && from < 0) return undefined;
  const [, value = '', unit = ''] =
    /(\d[\d,]*(?:\.\d+)?)\s*(mg|mcg|ug|g|meq|unt|units?)\b(?!\s*\/\s*(?:(?:ml|l|h|hr|actuat)\b|\d))/.exec(
      from < 0 ? text : text.slice(from),
    ) ?? [];
  if (value === '') return undefined;
  const spelt = { mcg: 'ug', unt: '[iU]', unit: '[iU]', units: '[iU]' }[unit] ?? unit;
  return { value: Number(value.replaceAll(',', '')), unit: spelt };
}

const DAYS: Readonly<Record<string, number>> = { s: 1 / 86_400, min: 1 / 1440, h: 1 / 24, d: 1, wk: 7, mo: 30, a: 365 };

/** Times per day of the codes of timing-abbreviation and of what orders write instead. */
const ABBREVIATIONS: Readonly<Record<string, number>> = {
  bid: 2,
  'twice daily': 2,
  tid: 3,
  'three times daily': 3,
  qid: 4,
  'four times daily': 4,
  qd: 1,
  daily: 1,
  'once daily': 1,
  am: 1,
  pm: 1,
  bed: 1,
  qhs: 1,
  nightly: 1,
  qod: 0.5,
  wk: 1 / 7,
  weekly: 1 / 7,
  mo: 1 / 30,
};

/** Doses a day at most; undefined when the timing does not say. */
function timesPerDay(timing: Json | undefined): number | undefined {
  if (!isJsonObject(timing)) return undefined;
  const repeat = isJsonObject(timing.repeat) ? timing.repeat : {};
  if (number(repeat.count) === 1) return 1;
  const perPeriod = number(repeat.frequencyMax) ?? number(repeat.frequency);
  const unit = typeof repeat.periodUnit === 'string' ? DAYS[repeat.periodUnit] : undefined;
  const period = number(repeat.period) ?? (unit === undefined ? undefined : 1);
  const slots = Math.max(size(repeat.when), size(repeat.timeOfDay));
  const days = size(repeat.dayOfWeek);
  const share = days > 0 ? days / 7 : 1;
  if (unit !== undefined && period !== undefined && period > 0) {
    return (Math.max(perPeriod ?? 1, slots) / (period * unit)) * (days > 0 && period * unit <= 1 ? share : 1);
  }
  if (slots > 0) return slots * share;
  if (days > 0) return share;
  return abbreviated(timing.code) ?? (size(timing.event) > 0 ? eventsPerDay(timing.event) : undefined);
}

const size = (value: Json | undefined) => (Array.isArray(value) ? value.length : 0);

function abbreviated(code: Json | undefined): number | undefined {
  if (!isJsonObject(code)) return undefined;
  const said = [...objectsIn(code.coding).map((coding) => coding.code), ...textsOf(code)];
  for (const text of said) {
    if (typeof text !== 'string') continue;
    const folded = foldedName(text);
    if (Object.hasOwn(ABBREVIATIONS, folded)) return ABBREVIATIONS[folded];
    const hours = /^(?:q|every) ?(\d{1,2}) ?(?:h|hr|hrs|hours?)\b/.exec(folded)?.[1];
    if (hours !== undefined && Number(hours) > 0) return 24 / Number(hours);
  }
  return undefined;
}

/** The most events that fall on one UTC day. */
function eventsPerDay(events: Json | undefined): number {
  const days = (Array.isArray(events) ? events : []).map((event) => String(event).slice(0, 10));
  return Math.max(...days.map((day) => days.filter((one) => one === day).length));
}

/** A rate, per hour. */
function hourly(rate: Json | undefined, drug: DosedDrug, unit: string): number | undefined {
  if (!isJsonObject(rate)) return undefined;
  const code = [rate.code, rate.unit].find((text) => typeof text === 'string');
  const value = number(rate.value);
  const parts = typeof code === 'string' ? /^(.+)\/(h|hr|min|d)$/.exec(code) : null;
  const amount = parts?.[1];
  const per = parts?.[2];
  if (value === undefined || amount === undefined || per === undefined) return undefined;
  const converted = byUnit(value, amount, drug, unit);
  return converted === undefined ? undefined : converted * (per === 'min' ? 60 : per === 'd' ? 1 / 24 : 1);
}

/** `maxDosePerPeriod`, per day. */
function perDay(ratio: Json | undefined, drug: DosedDrug, unit: string): number | undefined {
  if (!isJsonObject(ratio) || !isJsonObject(ratio.denominator)) return undefined;
  const amount = inUnit(ratio.numerator, drug, unit);
  const code = [ratio.denominator.code, ratio.denominator.unit].find((text) => typeof text === 'string');
  const days = typeof code === 'string' ? DAYS[code] : undefined;
  const value = number(ratio.denominator.value) ?? 1;
  return amount === undefined || days === undefined || value <= 0 ? undefined : amount / (days * value);
}
