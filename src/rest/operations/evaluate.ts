/**
 * RiskAssessment/$evaluate: models and scores for patients, from what is recorded. Own operation: profiles/operation/RiskAssessment-evaluate.json.
 * Each patient is read once for all models: its own resources, then the Medications and Locations they point at.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { ID_PATTERN, type Resource, type ResourceKey, serialize } from '../../fhir/resource.ts';
import { compartmentPredicate } from '../../fhir/search/compartment.ts';
import { PATIENT } from '../../fhir/search/person.ts';
import { planOf } from '../../fhir/search/plan.ts';
import { instantText, intervalOf } from '../../fhir/time.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { storedResource } from '../wire/represent.ts';
import { assertMayStore, assertStorable, storeEvaluations } from './evaluation-store.ts';
import { textOf, truthOf } from './input.ts';
import type { Operation, OperationCall, OperationInput } from './operation.ts';
import { answered } from './output.ts';
import type { Evaluation, Recorded, RiskDesk } from './risk-desk.ts';

/** Most patients, and most models, of one request. */
const PATIENT_LIMIT = 100;
const MODEL_LIMIT = 50;
/** Resources read for one patient, a page at a time; more is too costly. */
const PAGE = 250;
const RECORD_LIMIT = 5000;
/** Patients whose inputs go into one run of a graph: more would hold the thread for too long. */
const TOGETHER = 4;

export const EVALUATE: Operation = {
  levels: ['type'],
  takes: ['subject', 'model', 'at', 'store'],
  perform: (call, caller, context) => performed(call, caller, context),
};

async function performed(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  const desk = deskOf(context);
  const isStored = truthOf(call.input, 'store') === true;
  if (isStored) assertMayStore(caller, context);
  const models = modelsOf(call.input, desk);
  const subjects = subjectsOf(call.input);
  if (isStored) assertStorable(subjects.length, models.length);
  const now = context.ambient.now();
  const at = instantAsked(call.input) ?? now;
  const patients = await heldPatients(subjects, caller, context);
  const found: Evaluation[] = [];
  for (let from = 0; from < patients.length; from += TOGETHER) {
    const records: Recorded[] = [];
    for (const patient of patients.slice(from, from + TOGETHER)) {
      const resources = await recordOf(patient.key, desk, caller, context);
      records.push({ patient: storedResource(patient.text ?? 'null'), resources, at });
    }
    found.push(...(await desk.evaluate(models, records, context.ambient.newId, now)));
  }
  const resources = isStored
    ? await storeEvaluations(found, call.request.wire, caller, context)
    : found.flatMap(({ assessment, observations }) => [assessment, ...observations]);
  const text = serialize({
    resourceType: 'Bundle',
    id: context.ambient.newId(),
    type: 'collection',
    timestamp: instantText(now),
    entry: resources.map((resource) => ({ fullUrl: fullUrl(resource, context), resource })),
  });
  const touched = patients.flatMap((patient) => patient.patients);
  return answered(call, text, touched, context);
}

/** What is held has a version and an address; what is only answered has neither. */
function fullUrl({ resourceType, id = '', meta }: Resource, { settings }: RestContext): string {
  return meta === undefined ? `urn:uuid:${id}` : `${settings.fhirBase}/${resourceType}/${id}`;
}

/** Only the main thread has the models; what comes to another is a large body, or part of a batch. */
function deskOf({ risk }: RestContext): RiskDesk {
  if (risk !== undefined) return risk;
  throw fhirError('payload-too-large', '`$evaluate` takes a small request of its own, not a part of a Bundle.');
}

function texts(input: OperationInput, name: string): readonly string[] {
  return [...new Set((input.get(name) ?? []).flatMap(({ value }) => (typeof value === 'string' ? [value] : [])))];
}

/** @throws FhirError `value` (400) for a model that is not known, `too-costly` for too many */
function modelsOf(input: OperationInput, desk: RiskDesk): readonly string[] {
  const asked = texts(input, 'model');
  if (asked.length > MODEL_LIMIT) throw fhirError('too-costly', `At most ${MODEL_LIMIT} models are evaluated at once.`);
  if (asked.every((id) => desk.models.has(id))) return asked;
  throw fhirError('value', `\`model\` must be one of ${[...desk.models].toSorted().join(', ')}.`);
}

/** @throws FhirError `value` (400) for what is no `Patient/[id]`, `too-costly` for too many */
function subjectsOf(input: OperationInput): readonly ResourceKey[] {
  const asked = texts(input, 'subject');
  if (asked.length > PATIENT_LIMIT)
    throw fhirError('too-costly', `At most ${PATIENT_LIMIT} patients are evaluated at once.`);
  return asked.map((reference) => {
    const [type, id = '', ...rest] = reference.split('/');
    if (type === PATIENT && rest.length === 0 && ID_PATTERN.test(id)) return { type: PATIENT, id };
    throw fhirError('value', '`subject` must be of the form Patient/[id].');
  });
}

/** @throws FhirError `value` (400) for what is no instant: a bare date does not say when */
function instantAsked(input: OperationInput): number | undefined {
  const text = textOf(input, 'at');
  if (text === undefined) return undefined;
  if (text.includes('T')) return intervalOf(text)?.low;
  throw fhirError('value', '`at` must say the time of day.');
}

/** @throws FhirError `not-found` (404) also for a patient that the caller may not see or that was deleted */
async function heldPatients(
  keys: readonly ResourceKey[],
  caller: Caller,
  { store }: RestContext,
): Promise<readonly StoredVersion[]> {
  const ids = keys.map(({ id }) => id);
  const { matches } = await store.search(planOf(PATIENT, { kind: 'ids', ids }, caller.access), { count: ids.length });
  const byId = new Map(matches.map((version) => [version.key.id, version]));
  return keys.map(({ id }) => {
    const version = byId.get(id);
    if (version === undefined) throw fhirError('not-found', `\`Patient/${id}\` is not known.`);
    return version;
  });
}

/** Everything of one patient that inputs are read from. @throws FhirError `too-costly` above the limit: a part would give a wrong answer */
async function recordOf(
  owner: ResourceKey,
  desk: RiskDesk,
  caller: Caller,
  context: RestContext,
): Promise<readonly Resource[]> {
  const { store, definitions, capability } = context;
  const plans = desk.reads
    .filter((type) => capability.types.has(type))
    .flatMap((type) => {
      const inside = compartmentPredicate(owner, type, definitions);
      return inside === undefined ? [] : [planOf(type, inside, caller.access)];
    });
  const wanted = plans.filter(({ where }) => where.kind !== 'none');
  if (wanted.length === 0) return [];
  const found: StoredVersion[] = [];
  let after: string | undefined;
  do {
    const page = await store.searchTypes(wanted, { count: PAGE, after });
    found.push(...page.matches);
    if (found.length > RECORD_LIMIT) {
      throw fhirError('too-costly', `More than ${RECORD_LIMIT} resources of one patient would be read.`);
    }
    after = page.next;
  } while (after !== undefined);
  const own = found.map(({ text }) => storedResource(text ?? 'null'));
  return [...own, ...(await pointedAt(found, desk, caller, context))];
}

async function pointedAt(
  found: readonly StoredVersion[],
  { follows }: RiskDesk,
  caller: Caller,
  { store, capability }: RestContext,
): Promise<readonly Resource[]> {
  const resources: Resource[] = [];
  for (const type of follows) {
    const reference = new RegExp(`"reference":"${type}/([A-Za-z0-9\\-.]{1,64})"`, 'g');
    const ids = [...new Set(found.flatMap(({ text = '' }) => [...text.matchAll(reference)].map(([, id = '']) => id)))];
    if (ids.length === 0 || !capability.types.has(type)) continue;
    const plan = planOf(type, { kind: 'ids', ids: ids.slice(0, PAGE) }, caller.access);
    const { matches } = await store.search(plan, { count: PAGE });
    resources.push(...matches.map(({ text }) => storedResource(text ?? 'null')));
  }
  return resources;
}
