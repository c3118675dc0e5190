/**
 * $stats: statistics of the measurements of one subject, by code. Source: FHIR R4 observation-operation-stats.html.
 * Observations of status final, amended or corrected count; a quantity with a comparator or without a value is in `total-count` only.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { convertUnit, UCUM } from '../../fhir/quantity.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf, type Resource } from '../../fhir/resource.ts';
import { DAWN, DUSK } from '../../fhir/search/algebra.ts';
import { namedPatients } from '../../fhir/search/compartment.ts';
import { planOf } from '../../fhir/search/plan.ts';
import { STATISTICS, statisticOf } from '../../fhir/statistics.ts';
import { instantText, periodInterval } from '../../fhir/time.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { personPlanner } from '../interactions/patient-links.ts';
import { queryOf } from '../wire/query-text.ts';
import { storedResource } from '../wire/represent.ts';
import { objectOf, textOf, truthOf, wholeOf } from './input.ts';
import type { Operation, OperationCall } from './operation.ts';
import { answered, parametersText } from './output.ts';

/** Observations looked at for one answer; more is too costly. */
const LOOKED_AT = 20_000;
const PAGE = 2000;
const HOUR_MS = 3_600_000;
const SYSTEM = 'http://terminology.hl7.org/CodeSystem/observation-statistics';
const ABSENT = 'http://terminology.hl7.org/CodeSystem/data-absent-reason';

export const STATS: Operation = {
  levels: ['type'],
  long: true,
  takes: ['subject', 'code', 'system', 'coding', 'duration', 'period', 'statistic', 'include', 'limit'],
  perform: (call, caller, context) => performed(call, caller, context),
};

async function performed(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  const statistics = statisticsOf(call);
  const codings = codingsOf(call);
  const span = spanOf(call, context.ambient.now());
  const subject = textOf(call.input, 'subject') ?? '';
  const { found, named } = await observations(call.type, subject, codings, span, caller, context);
  const groups = new Groups(codings);
  for (const version of found) groups.add(storedResource(version.text ?? 'null'), version);
  const made = groups.kept().map((group) => observationOf(group, statistics, subject, span));
  const isIncluded = truthOf(call.input, 'include') === true || call.input.has('limit');
  const sources = isIncluded ? groups.sources().slice(0, wholeOf(call.input, 'limit') ?? LOOKED_AT) : [];
  const text = parametersText(call.definition, [
    ...made.map((resource) => ({ name: 'statistics', resource })),
    ...sources.map((version) => ({ name: 'source', resource: storedResource(version.text ?? 'null') })),
  ]);
  return answered(call, text, [...named, ...found.flatMap(({ patients }) => patients)], context);
}

function statisticsOf({ input }: OperationCall): readonly string[] {
  const codes = (input.get('statistic') ?? []).flatMap(({ value }) =>
    typeof value === 'string' ? value.split(',') : [],
  );
  if (codes.every((code) => STATISTICS.has(code))) return [...new Set(codes)];
  const valid = [...STATISTICS.keys()].join(', ');
  throw fhirError('code-invalid', `\`statistic\` is not one of those that are supported: ${valid}.`);
}

interface Named {
  readonly system: string;
  readonly code: string;
}

/** @throws FhirError `required` (400) without a code, or a code without its system */
function codingsOf({ input }: OperationCall): readonly Named[] {
  const system = textOf(input, 'system');
  const codes = (input.get('code') ?? []).flatMap(({ value }) => (typeof value === 'string' ? value.split(',') : []));
  if (codes.length > 0 && system === undefined)
    throw fhirError('required', '`code` needs `system`; or give a `coding`.');
  const codings = (input.get('coding') ?? []).map(({ value, expression }) => {
    const coding = isJsonObject(value) ? value : {};
    if (typeof coding.system === 'string' && typeof coding.code === 'string') {
      return { system: coding.system, code: coding.code };
    }
    throw fhirError('required', 'A `coding` needs system and code.', { expression });
  });
  const all = [...codes.map((code) => ({ system: system ?? '', code })), ...codings];
  if (all.length === 0) throw fhirError('required', '`$stats` needs a `code` with its `system`, or a `coding`.');
  return all;
}

/** Half-open, ms; open ends are undefined. */
interface Span {
  readonly low: number | undefined;
  readonly high: number | undefined;
  /** As the answer says it. */
  readonly period: JsonObject | undefined;
}

function spanOf({ input }: OperationCall, now: number): Span {
  const hours = input.get('duration')?.[0]?.value;
  const period = objectOf(input, 'period');
  if (hours !== undefined && period !== undefined) throw fhirError('invalid', 'Give `duration` or `period`, not both.');
  if (isNumber(hours)) {
    if (!(numberOf(hours) > 0)) throw fhirError('value', '`duration` must be a number of hours above 0.');
    const low = now - numberOf(hours) * HOUR_MS;
    return { low, high: now, period: { start: instantText(low), end: instantText(now) } };
  }
  if (period === undefined) return { low: undefined, high: undefined, period };
  const interval = periodInterval(period);
  if (interval === undefined) throw fhirError('value', '`period` needs a start or an end.');
  const { low, high } = interval;
  return { low: low === DAWN ? undefined : low, high: high === DUSK ? undefined : high, period };
}

/** The subject's measurements by these codes, newest first, and the Patients that are asked for. */
async function observations(
  type: string,
  subject: string,
  codings: readonly Named[],
  { low, high }: Span,
  caller: Caller,
  context: RestContext,
): Promise<{ readonly found: readonly StoredVersion[]; readonly named: readonly string[] }> {
  const code = codings.map(({ system, code: each }) => `${escaped(system)}|${escaped(each)}`).join(',');
  const text = queryOf([
    ['subject', escaped(subject)],
    ['combo-code', code],
    ['status', 'final,amended,corrected'],
    ...(low === undefined ? [] : [['date', `ge${instantText(low)}`] as const]),
    ...(high === undefined ? [] : [['date', `lt${instantText(high)}`] as const]),
  ]);
  const { where } = await personPlanner(caller.access, context)(context.parseSearch(type, text, 'strict'));
  const plan = planOf(type, where, caller.access, [{ parameter: `${type}.date`, indexed: 'date', descending: true }]);
  const found: StoredVersion[] = [];
  let after: string | undefined;
  do {
    const page = await context.store.search(plan, { count: PAGE, after });
    found.push(...page.matches);
    if (found.length > LOOKED_AT) {
      throw fhirError('too-costly', `More than ${LOOKED_AT} observations would be looked at. Give a shorter period.`);
    }
    after = page.next;
  } while (after !== undefined);
  return { found, named: namedPatients(plan) };
}

const escaped = (text: string): string => text.replace(/[\\|,$]/g, '\\$&');

interface Measured {
  readonly coding: JsonObject;
  /** value[x] of each measurement, newest first; undefined when there is none that is a plain quantity. */
  readonly values: (JsonObject | undefined)[];
}

/** Measurements by code: an observation's own value, else its components; a component by its own code. */
class Groups {
  readonly #asked: ReadonlySet<string>;
  readonly #groups = new Map<string, Measured>();
  readonly #sources = new Set<StoredVersion>();

  constructor(asked: readonly Named[]) {
    this.#asked = new Set(asked.map(({ system, code }) => `${system}|${code}`));
    for (const { system, code } of asked)
      this.#groups.set(`${system}|${code}`, { coding: { system, code }, values: [] });
  }

  add(observation: Resource, version: StoredVersion): void {
    const own = codingsIn(observation.code).find((coding) => this.#asked.has(nameOf(coding)));
    const components = Array.isArray(observation.component) ? observation.component.filter(isJsonObject) : [];
    if (own !== undefined && (components.length === 0 || hasValue(observation))) this.#put(own, observation, version);
    for (const component of components) {
      const codings = codingsIn(component.code);
      const asked = codings.find((coding) => this.#asked.has(nameOf(coding)));
      const coding = asked ?? (own !== undefined && !hasValue(observation) ? codings[0] : undefined);
      if (coding !== undefined) this.#put(coding, component, version);
    }
  }

  #put(coding: JsonObject, element: JsonObject, version: StoredVersion): void {
    const name = nameOf(coding);
    const group = this.#groups.get(name) ?? { coding, values: [] };
    const { valueQuantity: value } = element;
    const isPlain = isJsonObject(value) && isNumber(value.value) && value.comparator === undefined;
    group.values.push(isPlain ? value : undefined);
    this.#groups.set(name, group);
    this.#sources.add(version);
  }

  /** Of panels, their parts; of a code that nothing was measured by, an empty one. */
  kept(): readonly Measured[] {
    const all = [...this.#groups.values()];
    const hasParts = all.some(({ coding }) => !this.#asked.has(nameOf(coding)));
    return all.filter(({ values }) => values.length > 0 || !hasParts);
  }

  sources(): readonly StoredVersion[] {
    return [...this.#sources];
  }
}

const nameOf = ({ system, code }: JsonObject): string => `${String(system ?? '')}|${String(code ?? '')}`;
const hasValue = (element: JsonObject): boolean => Object.keys(element).some((name) => /^value[A-Z]/.test(name));

function codingsIn(concept: Json | undefined): readonly JsonObject[] {
  return isJsonObject(concept) && Array.isArray(concept.coding) ? concept.coding.filter(isJsonObject) : [];
}

function observationOf(
  { coding, values }: Measured,
  statistics: readonly string[],
  subject: string,
  { period }: Span,
): JsonObject {
  const quantities = values.filter((value) => value !== undefined);
  const unit = quantities[0];
  const numbers = quantities.map((quantity) => inUnit(quantity, unit)).toSorted((a, b) => a - b);
  return {
    resourceType: 'Observation',
    status: 'final',
    code: { coding: [coding] },
    subject: { reference: subject },
    ...(period === undefined ? {} : { effectivePeriod: period }),
    component: statistics.map((code) => ({
      code: { coding: [{ system: SYSTEM, code }] },
      ...componentValue(code, statisticOf(code, { values: numbers, total: values.length }), unit),
    })),
  };
}

/** The number in the unit of the newest measurement. @throws FhirError `business-rule` (422) when the units cannot be compared */
function inUnit({ value, system, code, unit }: JsonObject, wanted: JsonObject | undefined): number {
  const number = isNumber(value) ? numberOf(value) : Number.NaN;
  const isSame = system === wanted?.system && (code ?? unit) === (wanted?.code ?? wanted?.unit);
  if (isSame) return number;
  if (system === UCUM && wanted?.system === UCUM && typeof code === 'string' && typeof wanted.code === 'string') {
    const converted = convertUnit(number, code, wanted.code);
    if (converted !== undefined) return converted;
  }
  throw fhirError('business-rule', 'The measurements are in units that cannot be converted into each other.');
}

function componentValue(code: string, value: number | undefined, unit: JsonObject | undefined): JsonObject {
  if (value === undefined) return { dataAbsentReason: { coding: [{ system: ABSENT, code: 'not-applicable' }] } };
  const kind = STATISTICS.get(code)?.unit;
  if (kind === 'none' || unit === undefined) return { valueQuantity: { value, system: UCUM, code: '1' } };
  const { value: _value, ...same } = unit;
  if (kind !== 'square') return { valueQuantity: { ...same, value } };
  const power = typeof unit.code === 'string' && unit.system === UCUM ? { system: UCUM, code: `(${unit.code})2` } : {};
  return { valueQuantity: { value, ...power } };
}
