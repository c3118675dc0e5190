/**
 * Patient/$merge: two records of one person become one in use and one that it replaces. Source: FHIR R6 ballot patient-operation-merge.html.
 * One commit writes both Patients, their Provenance and the AuditEvents; each is judged by its version, so two merges never interleave.
 */
import { FhirError, fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type JsonObject, label, type Resource } from '../../fhir/resource.ts';
import { PATIENT } from '../../fhir/search/person.ts';
import { localReference } from '../../fhir/search/value.ts';
import { instantText } from '../../fhir/time.ts';
import type { Command, StoredVersion } from '../../store/port.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { put, unchanged } from '../interactions/change.ts';
import { criteriaOf, matched } from '../interactions/conditional.ts';
import { LINKED_LIMIT, personOf } from '../interactions/patient-links.ts';
import { provenanceOf } from '../interactions/provenance.ts';
import { committed, normalised, type Plan } from '../interactions/write.ts';
import { rawRequest } from '../permission/access-entry.ts';
import { assertSeesAll } from '../permission/permission.ts';
import { respond, storedResource } from '../wire/represent.ts';
import { heldByKey } from './held.ts';
import { objectOf, truthOf } from './input.ts';
import { assertMergeable, isMerged, isReplacedBy, merged } from './merge-decision.ts';
import { type Operation, type OperationCall, type OperationInput, resourceOf } from './operation.ts';
import { parametersText } from './output.ts';

/** Most times a merge is decided anew after a lost race. */
const TRIES = 100;

export const MERGE: Operation = {
  levels: ['type'],
  takes: [
    'source-patient',
    'source-patient-identifier',
    'target-patient',
    'target-patient-identifier',
    'result-patient',
    'preview',
    'delete-source',
  ],
  perform: (call, caller, context) => performed(call, caller, context),
};

type Side = 'source' | 'target';

async function performed(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  assertSeesAll(PATIENT, ['read', 'search', 'update'], 'A merge is for callers who may update every Patient.', caller);
  if (truthOf(call.input, 'delete-source') === true) {
    throw fhirError(
      'business-rule',
      '`delete-source` is not supported: the source stays as an inactive record that the target replaces. Delete it afterwards.',
    );
  }
  if (truthOf(call.input, 'preview') === true) return preview(call, caller, context);
  let decision: Decision | undefined;
  const decide = async (): Promise<Plan> => {
    decision = await decided(call, caller, context);
    return decision.plan;
  };
  const provenance = provenanceOf(call.request.wire) ?? ownProvenance(caller, context);
  const { entries } = await committed(TRIES, undefined, caller, context, decide, provenance);
  if (decision === undefined) throw new TypeError('A merge was not decided.');
  const { target, isDone } = decision;
  const version = await context.store.read({ type: PATIENT, id: String(target.id) });
  const text = answerText(call, isDone ? 'done' : 'merged', storedResource(version?.text ?? 'null'));
  return { response: respond(200, text, call.request.representation.pretty), entries, audited: true };
}

async function preview(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  const { plan, target, isDone } = await decided(call, caller, context);
  const text = answerText(call, isDone ? 'done' : 'preview', target);
  const entries = plan.access === undefined ? [] : [plan.access];
  return { response: respond(200, text, call.request.representation.pretty), entries, audited: false };
}

interface Decision {
  readonly plan: Plan;
  /** The target as it is to be. */
  readonly target: Resource;
  /** Nothing is to be written: it was merged before. */
  readonly isDone: boolean;
}

/** Both sides found, allowed and joined, from what is held now. */
async function decided(call: OperationCall, caller: Caller, context: RestContext): Promise<Decision> {
  const { input, request, definition } = call;
  const { fhirBase } = context.settings;
  const targets = await found('target', input, caller, context);
  const targetHeld = only('target', targets.matches);
  const sources = await found('source', input, caller, context);
  const sourceHeld = only('source', withoutMerged(sources.matches, targetHeld, fhirBase));
  if (sourceHeld.key.id === targetHeld.key.id) {
    throw fhirError('business-rule', `Source and target are the same: \`${label(targetHeld.key)}\`.`);
  }
  const before = {
    source: storedResource(sourceHeld.text ?? 'null'),
    target: storedResource(targetHeld.text ?? 'null'),
  };
  const access = {
    interaction: 'operation',
    operation: definition.code,
    resource: targetHeld.key,
    query: rawRequest(request.wire, request.rawQuery, fhirBase),
    patients: [...new Set([sourceHeld.key.id, targetHeld.key.id])],
  };
  const expects = [...targets.expects, ...sources.expects];
  if (isMerged(before, fhirBase)) {
    return { plan: { changes: [unchanged(targetHeld)], expects, access }, target: before.target, isDone: true };
  }
  assertMergeable(before, fhirBase);
  await assertFollowable(sourceHeld, targetHeld, caller, context);
  const result = resourceOf(input.get('result-patient')?.[0]);
  const wish = {
    result: result === undefined ? undefined : normalised(result, context),
    identifiers: identifiersOf('target', input),
  };
  const after = merged(before, wish, fhirBase);
  const changes = [
    await put(after.target, targetHeld.key, targetHeld, 'PUT', caller, context),
    await put(after.source, sourceHeld.key, sourceHeld, 'PUT', caller, context),
  ];
  return { plan: { changes, expects, access }, target: after.target, isDone: false };
}

interface Found {
  readonly matches: readonly StoredVersion[];
  readonly expects: readonly Command[];
}

/** By a reference, or by identifiers which all must be of the one record; never both. */
async function found(side: Side, input: OperationInput, caller: Caller, context: RestContext): Promise<Found> {
  const reference = objectOf(input, `${side}-patient`);
  const identifiers = identifiersOf(side, input);
  if ((reference === undefined) === (identifiers.length === 0)) {
    throw fhirError(
      'required',
      `Name the ${side} by \`${side}-patient\` or by \`${side}-patient-identifier\`, not both.`,
    );
  }
  if (reference === undefined) return byIdentifiers(side, identifiers, caller, context);
  const text = typeof reference.reference === 'string' ? reference.reference : '';
  const target = localReference(text, context.settings.fhirBase);
  if (target?.startsWith(`${PATIENT}/`) !== true) {
    throw fhirError('value', `\`${side}-patient\` must be a reference to a Patient of this server: \`Patient/[id]\`.`);
  }
  const key = { type: PATIENT, id: target.slice(PATIENT.length + 1) };
  try {
    return { matches: [await heldByKey(key, caller, context)], expects: [] };
  } catch (cause) {
    if (!(cause instanceof FhirError)) throw cause;
    throw fhirError('business-rule', `The ${side} \`${label(key)}\` is not held.`, { cause });
  }
}

/** Two matches show that there is not one; the third shows that one more than a merged pair is there. */
async function byIdentifiers(
  side: Side,
  identifiers: readonly JsonObject[],
  caller: Caller,
  context: RestContext,
): Promise<Found> {
  const criteria = identifiers.map(({ system, value }) => {
    if (typeof value !== 'string' || value.trim() === '') {
      throw fhirError('value', `A \`${side}-patient-identifier\` needs a value.`);
    }
    const token = typeof system === 'string' ? `${escaped(system)}|${escaped(value)}` : escaped(value);
    return `identifier=${encodeURIComponent(token)}`;
  });
  const { matches, expect } = await matched(criteriaOf(PATIENT, criteria.join('&'), context), caller, context, 3);
  return { matches, expects: matches.length === 3 ? [] : [expect] };
}

const escaped = (text: string): string => text.replace(/[\\|,$]/g, '\\$&');

function identifiersOf(side: Side, input: OperationInput): readonly JsonObject[] {
  return (input.get(`${side}-patient-identifier`) ?? []).flatMap(({ value }) => (isJsonObject(value) ? [value] : []));
}

/** The target of a merge has the identifiers of the source too: a repeated request finds both by them and means the source. */
function withoutMerged(matches: readonly StoredVersion[], target: StoredVersion, fhirBase: string) {
  const others = matches.filter(({ key }) => key.id !== target.key.id);
  const [other] = others;
  const isRepeated =
    matches.length === 2 &&
    others.length === 1 &&
    isReplacedBy(storedResource(other?.text ?? '{}'), target.key.id, fhirBase);
  return isRepeated ? others : matches;
}

function only(side: Side, matches: readonly StoredVersion[]): StoredVersion {
  const [held, ...more] = matches;
  if (held !== undefined && more.length === 0) return held;
  const count = held === undefined ? 'no' : 'more than one';
  throw fhirError('business-rule', `The identifiers of the ${side} are those of ${count} Patient: one is needed.`);
}

/** @throws FhirError `business-rule` (422) when searches could not follow the links any more */
async function assertFollowable(
  source: StoredVersion,
  target: StoredVersion,
  { access }: Caller,
  context: RestContext,
): Promise<void> {
  const persons = new Set([
    ...(await personOf(source.key.id, access, context)),
    ...(await personOf(target.key.id, access, context)),
  ]);
  if (persons.size <= LINKED_LIMIT) return;
  throw fhirError('business-rule', `More than ${LINKED_LIMIT} Patients would be linked: searches follow no more.`);
}

/** Who merged and when; its targets are the versions written. */
function ownProvenance(caller: Caller, { ambient, capability }: RestContext): Resource | undefined {
  if (capability.types.get('Provenance')?.interactions.has('create') !== true) return undefined;
  const { user, client } = caller;
  const who =
    user === undefined
      ? { identifier: { ...(client.system === undefined ? {} : { system: client.system }), value: client.value } }
      : { reference: user };
  return {
    resourceType: 'Provenance',
    recorded: instantText(ambient.now()),
    activity: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle', code: 'merge' }] },
    agent: [{ who }],
  };
}

const SAID = {
  merged: 'The source is merged into the target.',
  preview: 'The merge would succeed. Nothing is changed.',
  done: 'The source was merged into the target before. Nothing is changed.',
} as const;

function answerText({ definition, request }: OperationCall, said: keyof typeof SAID, result: Resource): string {
  const issue = { severity: 'information', code: 'informational', diagnostics: SAID[said] };
  const outcome: JsonObject = { resourceType: 'OperationOutcome', issue: [issue] };
  const input = request.resource;
  return parametersText(definition, [
    ...(input === undefined ? [] : [{ name: 'input', resource: input }]),
    { name: 'outcome', resource: outcome },
    { name: 'result', resource: result },
  ]);
}
