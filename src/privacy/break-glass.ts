/**
 * What emergency access leaves behind, before it is answered for the first time: an alert in the audit and a Task for the privacy officer, both or
 * neither, once for each token. Source: DICOM PS3.15 A.5.3 (110113, 110127); HL7 v3-ActReason; docs/privacy.md, decision 0044.
 */
import { type FhirError, fhirError } from '../fhir/outcome.ts';
import type { Resource } from '../fhir/resource.ts';
import { instantText } from '../fhir/time.ts';
import type { Caller, RestContext } from '../rest/context.ts';
import { put } from '../rest/interactions/change.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import { PRIVACY_SYSTEM } from '../rest/privacy/legal-hold.ts';
import { type Command, StoreError } from '../store/port.ts';

/** Why the glass was broken, as the user said it. */
export interface EmergencyReason {
  readonly code: string;
  readonly display: string;
  /** In the user's words: may tell of the patient. */
  readonly text: string | undefined;
}
/** One token that is used in an emergency. */
export interface Emergency {
  /** Hash of issuer and token: another for every token. */
  readonly key: string;
  /** Who shows it. */
  readonly caller: Caller;
  /** `jti`. */
  readonly token: string;
  readonly patient: string;
  /** ms since 1970. */
  readonly expiresAt: number;
  /** Read when the Task is made; undefined: the issuer knows, not we. */
  reason(): Promise<EmergencyReason | undefined>;
}

/** Space of the tokens that were told of; they are forgotten a day after their end. */
export const EMERGENCIES = 'emergency';
/** Space of the reviews that are watched (break-glass-watch.ts): id of the Task -> when the access ends, ms since 1970. */
export const REVIEWS = 'emergency.review';
const DAY_MS = 86_400_000;
/** The Patient may be changed meanwhile. */
const TRIES = 20;
/** Most tokens remembered on this thread. */
const KEPT = 10_000;

const OWN = 'https://firewatch.example/fhir';
const REASON_SYSTEM = `${OWN}/CodeSystem/break-glass-reason`;
const EMERGENCY_SYSTEM = `${OWN}/NamingSystem/break-glass`;
const ACT_REASON = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';
const CONFIDENTIALITY = 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality';
export const TOKEN = 'urn:ietf:params:oauth:jti:';
/** Who may be Task.requester of those who break glass. */
const REQUESTER =
  /^(?:https?:\/\/\S+\/)?(?:Practitioner|PractitionerRole|RelatedPerson|Patient)\/[A-Za-z0-9\-.]{1,64}$/;

export class EmergencyReviews {
  readonly #context: () => RestContext;
  readonly #told = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();

  constructor(context: () => RestContext) {
    this.#context = context;
  }

  /**
   * Resolves when the alert and the Task of this token are on disk, by whomever.
   * @throws FhirError `forbidden` (403) when no such patient is held, `transient` (503) when they cannot be written
   */
  async tell(emergency: Emergency): Promise<void> {
    const { key } = emergency;
    if (this.#told.has(key)) return;
    const work = this.#running.get(key) ?? this.#tell(emergency).finally(() => this.#running.delete(key));
    this.#running.set(key, work);
    await work;
    this.#told.add(key);
    const [oldest] = this.#told;
    if (this.#told.size > KEPT && oldest !== undefined) this.#told.delete(oldest);
  }

  async #tell(emergency: Emergency): Promise<void> {
    const { key, patient } = emergency;
    const reason = await emergency.reason();
    const { store } = this.#context();
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if ((await store.keyed(EMERGENCIES, key)) !== undefined) return; // it was told, or another was first
      const held = await store.read({ type: 'Patient', id: patient });
      if (held === undefined || held.deleted)
        throw fhirError('forbidden', 'The patient of this emergency access is not held here.');
      if (await this.#committed(emergency, reason, held.version)) return;
    }
    throw notRecorded();
  }

  /** @param version of the Patient, which must still be the current one: nothing is written about who was erased meanwhile */
  async #committed(emergency: Emergency, reason: EmergencyReason | undefined, version: number): Promise<boolean> {
    const { key, caller, patient, expiresAt } = emergency;
    const context = this.#context();
    const { ambient } = context;
    const server = serverOf(caller);
    const task = { type: 'Task', id: ambient.newId() };
    const resource = taskOf(emergency, reason, ambient.now());
    const { command, also } = await put(resource, task, undefined, 'POST', server, context);
    const entry = { resource: { ...task, version: 1 }, patients: [patient] };
    const alert = context.audit({ caller, entries: [{ interaction: 'emergency-start', ...entry }], status: 200 });
    const created = context.audit({ caller: server, entries: [{ interaction: 'create', ...entry }], status: 201 });
    const commands: Command[] = [
      { op: 'set', space: EMERGENCIES, key, value: '1', expect: null, expiresAt: expiresAt + DAY_MS },
      { op: 'set', space: REVIEWS, key: task.id, value: String(expiresAt) },
      { op: 'hold', key: { type: 'Patient', id: patient }, version },
      ...(command === undefined ? [] : [command]),
      ...also,
    ];
    const { ok } = await context.store.commit({ commands, audit: [alert, created] }).catch((error: unknown) => {
      throw error instanceof StoreError ? notRecorded(error) : error;
    });
    return ok;
  }
}

const notRecorded = (cause?: unknown): FhirError =>
  fhirError('transient', 'The emergency access could not be recorded. Try again.', { cause });

/** The server itself: who broke the glass could write neither the Task nor that it is over. */
export function serverOf({ requestId, address }: Pick<Caller, 'requestId' | 'address'>): Caller {
  const client = { system: undefined, value: 'break-glass' };
  return localCaller({ ...localFacts(requestId, address), principal: 'break-glass', client });
}

/** Labelled so that only who reviews sees what was said. */
function taskOf(
  { key, caller: { user }, token, patient, expiresAt }: Emergency,
  reason: EmergencyReason | undefined,
  now: number,
): Resource {
  const own = (code: string) => ({ coding: [{ system: PRIVACY_SYSTEM, code }] });
  const said = reason === undefined ? [] : [{ system: REASON_SYSTEM, code: reason.code, display: reason.display }];
  return {
    resourceType: 'Task',
    meta: { security: [{ system: CONFIDENTIALITY, code: 'V' }] },
    identifier: [{ system: EMERGENCY_SYSTEM, value: key }],
    status: 'requested',
    intent: 'order',
    priority: 'urgent',
    code: own('break-glass-review'),
    for: { reference: `Patient/${patient}` },
    executionPeriod: { start: instantText(now), end: instantText(expiresAt) },
    authoredOn: instantText(now),
    ...(user === undefined
      ? {}
      : { requester: REQUESTER.test(user) ? { reference: user } : { identifier: { value: user } } }),
    performerType: [own('privacy-officer')],
    reasonCode: {
      coding: [...said, { system: ACT_REASON, code: 'BTG', display: 'break the glass' }],
      ...(reason?.text === undefined ? {} : { text: reason.text }),
    },
    input: [{ type: own('access-token'), valueUri: TOKEN + token }],
  };
}
