/**
 * Base invariants compiled by hand: constraint key -> does it hold for the element that declares it. Which elements declare a key, and its
 * FHIRPath, come from the definitions. Not here: invariants of conformance resources, warnings, and what needs another resource.
 * dom-2 to dom-5 and ref-1 need the whole resource and are in validate.ts; txt-1 and txt-2 are narrative.ts.
 */
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf } from '../resource.ts';

export type Invariant = (element: JsonObject) => boolean;

const UCUM = 'http://unitsofmeasure.org';
const TERMINOLOGY = 'http://terminology.hl7.org/CodeSystem';

/** Has the element, as value or as extensions of a primitive. Choices are asked by `hasChoice`. */
const has = (element: JsonObject, name: string): boolean =>
  element[name] !== undefined || element[`_${name}`] !== undefined;

function hasChoice(element: JsonObject, name: string): boolean {
  return Object.keys(element).some((key) => {
    const bare = key.startsWith('_') ? key.slice(1) : key;
    return bare.length > name.length && bare.startsWith(name) && /[A-Z]/.test(bare.charAt(name.length));
  });
}

const list = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : [];
const object = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {});
const number = (value: Json | undefined): number | undefined =>
  value !== undefined && isNumber(value) ? numberOf(value) : undefined;
const oneOf = (value: Json | undefined, ...codes: readonly string[]): boolean =>
  typeof value === 'string' && codes.includes(value);
const implies = (condition: boolean, consequence: boolean): boolean => !condition || consequence;

function hasCoding(concept: Json | undefined, system: string, ...codes: readonly string[]): boolean {
  return list(object(concept).coding).some((coding) => coding.system === system && oneOf(coding.code, ...codes));
}

/** start <= end where both say so: instants by time, dates by their common prefix; different precision is compared as far as both go. */
function inOrder(start: Json | undefined, end: Json | undefined): boolean {
  if (typeof start !== 'string' || typeof end !== 'string') return true;
  if (start.includes('T') && end.includes('T')) {
    const [from, to] = [Date.parse(start), Date.parse(end)];
    return Number.isNaN(from) || Number.isNaN(to) || from <= to;
  }
  // A date has no time zone: an instant next to it is compared by the day it is written with.
  const common = Math.min(start.length, end.length, 10);
  return start.slice(0, common) <= end.slice(0, common);
}

const isUcum = ({ system }: JsonObject): boolean => system === undefined || system === UCUM;
const coded = (quantity: JsonObject): boolean => has(quantity, 'code') || !has(quantity, 'value');
const positive = (value: Json | undefined): boolean => (number(value) ?? 0) >= 0;

/** low <= high is judged only when both are in the same unit. */
function rangeInOrder({ low, high }: JsonObject): boolean {
  const [from, to] = [object(low), object(high)];
  const comparable = from.code === to.code && from.system === to.system && from.unit === to.unit;
  const [least, most] = [number(from.value), number(to.value)];
  return !comparable || least === undefined || most === undefined || least <= most;
}

function bundleKind({ type }: JsonObject, ...kinds: readonly string[]): boolean {
  return oneOf(type, ...kinds);
}

function distinctFullUrls(bundle: JsonObject): boolean {
  const seen = new Set<string>();
  for (const { fullUrl, resource } of list(bundle.entry)) {
    if (typeof fullUrl !== 'string') continue;
    const version = object(object(resource).meta).versionId;
    const key = `${fullUrl} ${typeof version === 'string' ? version : ''}`;
    if (seen.has(key)) return false;
    seen.add(key);
  }
  return true;
}

function linkIdsDistinct(questionnaire: JsonObject): boolean {
  const seen = new Set<Json | undefined>();
  const open = [...list(questionnaire.item)];
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    if (seen.has(item.linkId)) return false;
    seen.add(item.linkId);
    open.push(...list(item.item));
  }
  return true;
}

/** obs-7: no component has the code of the Observation while the Observation has a value. */
function componentsDiffer(observation: JsonObject): boolean {
  if (observation.component === undefined || !hasChoice(observation, 'value')) return true;
  const key = ({ system, code }: JsonObject): string => JSON.stringify([system, code]);
  const own = new Set(list(object(observation.code).coding).map(key));
  return !list(observation.component).some(({ code }) =>
    list(object(code).coding).some((coding) => own.has(key(coding))),
  );
}

const firstIs = (bundle: JsonObject, type: string): boolean =>
  object(list(bundle.entry)[0]?.resource).resourceType === type;
const enteredInError = (system: string, { verificationStatus }: JsonObject): boolean =>
  hasCoding(verificationStatus, `${TERMINOLOGY}/${system}`, 'entered-in-error');
const noneAtHome = (element: JsonObject): boolean => element.use !== 'home';

/** THE table. Keys as in the definitions. */
export const INVARIANTS: ReadonlyMap<string, Invariant> = new Map(
  Object.entries({
    'age-1': (age) => coded(age) && isUcum(age) && (number(age.value) ?? 1) > 0,
    'ait-1': (allergy) => has(allergy, 'clinicalStatus') || enteredInError('allergyintolerance-verification', allergy),
    'ait-2': (allergy) =>
      !has(allergy, 'clinicalStatus') || !enteredInError('allergyintolerance-verification', allergy),
    'app-1': (participant) => has(participant, 'type') || has(participant, 'actor'),
    'app-2': (appointment) => has(appointment, 'start') === has(appointment, 'end'),
    'app-3': (appointment) =>
      (has(appointment, 'start') && has(appointment, 'end')) ||
      oneOf(appointment.status, 'proposed', 'cancelled', 'waitlist'),
    'app-4': (appointment) =>
      implies(has(appointment, 'cancelationReason'), oneOf(appointment.status, 'noshow', 'no-show', 'cancelled')),
    'apr-1': (response) => has(response, 'participantType') || has(response, 'actor'),
    'att-1': (attachment) => implies(has(attachment, 'data'), has(attachment, 'contentType')),
    'bdl-1': (bundle) => implies(has(bundle, 'total'), bundleKind(bundle, 'searchset', 'history')),
    'bdl-2': (bundle) => bundleKind(bundle, 'searchset') || list(bundle.entry).every((entry) => !has(entry, 'search')),
    'bdl-3': (bundle) =>
      list(bundle.entry).every(
        (entry) => has(entry, 'request') === bundleKind(bundle, 'batch', 'transaction', 'history'),
      ),
    'bdl-4': (bundle) =>
      list(bundle.entry).every(
        (entry) => has(entry, 'response') === bundleKind(bundle, 'batch-response', 'transaction-response', 'history'),
      ),
    'bdl-5': (entry) => has(entry, 'resource') || has(entry, 'request') || has(entry, 'response'),
    'bdl-7': (bundle) => bundleKind(bundle, 'history') || distinctFullUrls(bundle),
    'bdl-8': ({ fullUrl }) => typeof fullUrl !== 'string' || !fullUrl.includes('/_history/'),
    'bdl-9': (bundle) =>
      implies(
        bundleKind(bundle, 'document'),
        has(object(bundle.identifier), 'system') && has(object(bundle.identifier), 'value'),
      ),
    'bdl-10': (bundle) => implies(bundleKind(bundle, 'document'), bundle.timestamp !== undefined),
    'bdl-11': (bundle) => implies(bundleKind(bundle, 'document'), firstIs(bundle, 'Composition')),
    'bdl-12': (bundle) => implies(bundleKind(bundle, 'message'), firstIs(bundle, 'MessageHeader')),
    'cmp-1': (section) => has(section, 'text') || has(section, 'entry') || has(section, 'section'),
    'cmp-2': (section) => !has(section, 'emptyReason') || !has(section, 'entry'),
    'cnt-3': (count) => coded(count) && isUcum(count) && implies(has(count, 'code'), count.code === '1'),
    'con-1': (stage) => has(stage, 'summary') || has(stage, 'assessment'),
    'con-2': (evidence) => has(evidence, 'code') || has(evidence, 'detail'),
    'con-4': (condition) =>
      !hasChoice(condition, 'abatement') ||
      hasCoding(condition.clinicalStatus, `${TERMINOLOGY}/condition-clinical`, 'resolved', 'remission', 'inactive'),
    'con-5': (condition) => !has(condition, 'clinicalStatus') || !enteredInError('condition-ver-status', condition),
    'cpl-3': (activity) => !has(activity, 'detail') || !has(activity, 'reference'),
    'cpt-2': (contact) => !has(contact, 'value') || has(contact, 'system'),
    'dis-1': (distance) => coded(distance) && isUcum(distance),
    'drt-1': (duration) => implies(has(duration, 'code'), duration.system === UCUM && has(duration, 'value')),
    'exp-1': (expression) => has(expression, 'expression') || has(expression, 'reference'),
    'ext-1': (extension) => has(extension, 'extension') !== hasChoice(extension, 'value'),
    'fhs-1': (history) => !hasChoice(history, 'age') || !hasChoice(history, 'born'),
    'fhs-2': (history) => hasChoice(history, 'age') || !has(history, 'estimatedAge'),
    'gol-1': (target) => !hasChoice(target, 'detail') || has(target, 'measure'),
    'grp-1': (group) => !has(group, 'member') || group.actual === true,
    'imm-1': (education) => has(education, 'documentType') || has(education, 'reference'),
    'imr-1': (recommendation) => has(recommendation, 'vaccineCode') || has(recommendation, 'targetDisease'),
    'Parameters:inv-1': (parameter) => {
      const contents = [has(parameter, 'part'), hasChoice(parameter, 'value'), has(parameter, 'resource')];
      return contents.filter(Boolean).length === 1;
    },
    'Task:inv-1': (task) => inOrder(task.authoredOn, task.lastModified),
    'ipn-1': (plan) => has(plan, 'identifier') || has(plan, 'name'),
    'lnk-1': (linkage) => list(linkage.item).length > 1,
    'lst-1': (resource) => !has(resource, 'emptyReason') || !has(resource, 'entry'),
    'lst-2': (resource) => resource.mode === 'changes' || list(resource.entry).every((entry) => !has(entry, 'deleted')),
    'lst-3': (resource) => resource.mode === 'working' || list(resource.entry).every((entry) => !has(entry, 'date')),
    'mad-1': (dosage) => has(dosage, 'dose') || hasChoice(dosage, 'rate'),
    'mdd-1': (dispense) => inOrder(dispense.whenPrepared, dispense.whenHandedOver),
    'obs-3': (range) => has(range, 'low') || has(range, 'high') || has(range, 'text'),
    'obs-6': (observation) => observation.dataAbsentReason === undefined || !hasChoice(observation, 'value'),
    'obs-7': componentsDiffer,
    'org-1': (organization) => has(organization, 'identifier') || has(organization, 'name'),
    'org-2': noneAtHome,
    'org-3': noneAtHome,
    'pat-1': (contact) => ['name', 'telecom', 'address', 'organization'].some((name) => has(contact, name)),
    'per-1': (period) => inOrder(period.start, period.end),
    'ppc-1': (consent) => has(consent, 'policy') || has(consent, 'policyRule'),
    'prr-1': (request) => !has(request, 'orderDetail') || has(request, 'code'),
    'qrs-1': (item) => !has(item, 'answer') || !has(item, 'item'),
    'qty-3': (quantity) => !has(quantity, 'code') || has(quantity, 'system'),
    'que-1': (item) => (item.type === 'group' ? has(item, 'item') : item.type !== 'display' || !has(item, 'item')),
    'que-2': linkIdsDistinct,
    'que-3': (item) => item.type !== 'display' || !has(item, 'code'),
    'que-4': (item) => !has(item, 'answerOption') || !has(item, 'answerValueSet'),
    'que-6': (item) => item.type !== 'display' || (!has(item, 'required') && !has(item, 'repeats')),
    'que-8': (item) => !oneOf(item.type, 'group', 'display') || !has(item, 'initial'),
    'que-9': (item) => item.type !== 'display' || !has(item, 'readOnly'),
    'que-11': (item) => !has(item, 'answerOption') || !has(item, 'initial'),
    'que-12': (item) => list(item.enableWhen).length <= 2 || has(item, 'enableBehavior'),
    'que-13': (item) => item.repeats === true || list(item.initial).length <= 1,
    'ras-2': (prediction) => (number(prediction.probabilityDecimal) ?? 0) <= 100,
    'rat-1': (ratio) =>
      has(ratio, 'numerator') === has(ratio, 'denominator') && (has(ratio, 'numerator') || has(ratio, 'extension')),
    'rng-2': rangeInOrder,
    'rqg-1': (action) => has(action, 'resource') !== has(action, 'action'),
    'sev-1': (entity) => !has(entity, 'name') || !has(entity, 'query'),
    'tim-1': (repeat) => !has(repeat, 'duration') || has(repeat, 'durationUnit'),
    'tim-2': (repeat) => !has(repeat, 'period') || has(repeat, 'periodUnit'),
    'tim-4': (repeat) => positive(repeat.duration),
    'tim-5': (repeat) => positive(repeat.period),
    'tim-6': (repeat) => !has(repeat, 'periodMax') || has(repeat, 'period'),
    'tim-7': (repeat) => !has(repeat, 'durationMax') || has(repeat, 'duration'),
    'tim-8': (repeat) => !has(repeat, 'countMax') || has(repeat, 'count'),
    'tim-9': (repeat) =>
      !has(repeat, 'offset') ||
      (Array.isArray(repeat.when) && repeat.when.some((when) => !oneOf(when, 'C', 'CM', 'CD', 'CV'))),
    'tim-10': (repeat) => !has(repeat, 'timeOfDay') || !has(repeat, 'when'),
  } satisfies Record<string, Invariant>),
);
