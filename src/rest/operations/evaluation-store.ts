/**
 * Evaluations that are to be stored: RiskAssessment, Observations and Provenance of each in one commit, all or nothing, by the steps of every write.
 * What is held already for the same model and inputs stays and is answered. Source: FHIR R4 http.html#ccreate, provenance.html.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type JsonObject, label, type Resource } from '../../fhir/resource.ts';
import type { Command, StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { type Change, put, unchanged } from '../interactions/change.ts';
import { criteriaOf, matched, single } from '../interactions/conditional.ts';
import { provenanceOf } from '../interactions/provenance.ts';
import { CONDITIONAL_CREATE, committed } from '../interactions/write.ts';
import { assertInScope, assertSeesAll } from '../permission/permission.ts';
import type { WireRequest } from '../request.ts';
import { storedResource } from '../wire/represent.ts';
import type { Evaluation } from './risk-desk.ts';

const ASSESSMENT = 'RiskAssessment';
const RESULT = 'Observation';
const PROVENANCE = 'Provenance';
/** Most evaluations stored by one request: each is up to four resources of one commit. */
const STORE_LIMIT = 200;
const TRIES = 20;

type Kept = NonNullable<Evaluation['kept']>;

/** @throws FhirError `insufficient-scope` (403) or `method-not-allowed` (405), before anything is read */
export function assertMayStore(caller: Caller, { capability }: RestContext): void {
  for (const type of [ASSESSMENT, RESULT, PROVENANCE]) {
    if (capability.types.get(type)?.interactions.has('create') !== true) {
      throw fhirError('method-not-allowed', `\`store\` needs to create ${type}, which is not supported.`);
    }
    assertInScope(type, ['create'], caller);
  }
  assertSeesAll(ASSESSMENT, ['read', 'search'], CONDITIONAL_CREATE, caller);
}

/** @throws FhirError `too-costly` for more than one commit takes */
export function assertStorable(patients: number, models: number): void {
  if (patients * models <= STORE_LIMIT) return;
  throw fhirError('too-costly', `At most ${STORE_LIMIT} evaluations (patients by models) are stored at once.`);
}

/**
 * @returns the resources in the order of the evaluations, as they are held now; what was not computed as it is, for it is not stored
 * @throws FhirError 4xx when any is refused: then nothing is stored
 */
export async function storeEvaluations(
  evaluations: readonly Evaluation[],
  wire: WireRequest,
  caller: Caller,
  context: RestContext,
): Promise<readonly Resource[]> {
  let groups: readonly Group[] = [];
  const decide = async () => {
    groups = [];
    for (const evaluation of evaluations) groups = [...groups, await decided(evaluation, groups, caller, context)];
    return {
      changes: groups.flatMap(({ changes }) => changes),
      expects: groups.flatMap(({ expect }) => expect ?? []),
    };
  };
  if (evaluations.some(({ kept }) => kept !== undefined)) {
    await committed(TRIES, undefined, caller, context, decide, provenanceOf(wire));
  } else await decide();
  const answers: Resource[] = [];
  for (const { told, unstored } of groups) {
    for (const { key } of told) {
      const version = await context.store.read(key);
      if (version?.text !== undefined) answers.push(storedResource(version.text));
    }
    answers.push(...unstored);
  }
  return answers;
}

/** What becomes of one evaluation. */
interface Group {
  readonly identifier: string | undefined;
  readonly changes: readonly Change[];
  readonly expect: Command | undefined;
  /** What is answered of what is held after the commit. */
  readonly told: readonly Pick<StoredVersion, 'key'>[];
  /** What is answered as it is. */
  readonly unstored: readonly Resource[];
}

/** Lets other requests be answered between two evaluations: each is validated and indexed. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function decided(
  { assessment, observations, kept }: Evaluation,
  before: readonly Group[],
  caller: Caller,
  context: RestContext,
): Promise<Group> {
  const nothing = { identifier: undefined, changes: [], expect: undefined, told: [], unstored: [] };
  if (kept === undefined) return { ...nothing, unstored: [assessment, ...observations] };
  await breathe();
  const { system, value } = kept.identifier;
  const identifier = `${system}|${value}`;
  if (before.some((group) => group.identifier === identifier)) return nothing;
  const { matches, expect } = await held(ASSESSMENT, identifier, caller, context);
  const found = single(ASSESSMENT, matches);
  if (found !== undefined) {
    const results = await held(RESULT, identifier, caller, context);
    return { ...nothing, identifier, expect, changes: [unchanged(found)], told: [found, ...results.matches] };
  }
  const resources = asKept(assessment, observations, kept);
  const changes: Change[] = [];
  for (const resource of [...resources, provenanceOfKept(resources, kept)]) {
    const key = { type: resource.resourceType, id: resource.id ?? context.ambient.newId() };
    changes.push(await put(resource, key, undefined, 'POST', caller, context));
  }
  const told = changes.filter((change) => change.told && change.key.type !== PROVENANCE);
  return { ...nothing, identifier, expect, changes, told };
}

/** Most Observations of one evaluation. */
const RESULTS = 10;

function held(type: string, identifier: string, caller: Caller, context: RestContext) {
  const criteria = criteriaOf(type, `identifier=${encodeURIComponent(identifier)}`, context);
  return matched(criteria, caller, context, type === RESULT ? RESULTS : 2);
}

/** With the identifier, the hash of the model's file and the model as performer or device; the RiskAssessment first. */
function asKept(assessment: Resource, observations: readonly Resource[], kept: Kept): readonly Resource[] {
  const { identifier, sha256, performer } = kept;
  const method = isJsonObject(assessment.method) ? assessment.method : {};
  const coding = Array.isArray(method.coding) ? method.coding : [];
  const device: JsonObject = performer;
  return [
    { ...assessment, identifier: [identifier], method: { ...method, coding: [...coding, sha256] }, performer: device },
    ...observations.map((each) => ({ ...each, identifier: [identifier], device })),
  ];
}

function provenanceOfKept(resources: readonly Resource[], { provenance }: Kept): Resource {
  const target = resources.map(({ resourceType, id }) => ({
    reference: `${label({ type: resourceType, id: id ?? '' })}/_history/1`,
  }));
  return { ...provenance, target };
}
