/** What was accessed -> one audit row; a row -> its AuditEvents. Source: IHE BALP (ITI vol. 3), FHIR R4 auditevent.html, docs/audit.md. */
import type { Caller } from './rest/context.ts';

export { type CommitmentState, verifyCommitment } from './audit/commitment.ts';
export type { EntriesOf } from './audit/facet.ts';
export { postedAuditRow } from './audit/posted.ts';
export { renderAuditEvent } from './audit/render.ts';
export { auditRow } from './audit/row.ts';

/** One accessed thing inside a request; a batch or transaction has one per entry. */
export interface AccessEntry {
  /** restful-interaction code: read, vread, create, update, delete, search-type, search-system, history-instance, history-type, history-system, capabilities, operation, patch. */
  readonly interaction: string;
  /** The resource, versioned for writes: the entity `what`. */
  readonly resource?: { readonly type: string; readonly id: string; readonly version?: number };
  /** Type that a search is of; absent: several. */
  readonly type?: string;
  /** Code of an operation, without `$`: `everything`. */
  readonly operation?: string;
  /** Raw request of a search or history, e.g. `GET /fhir/Patient?name=x` (PHI: goes to `erasable`). */
  readonly query?: string;
  /** Patient ids; more than one gives one AuditEvent per patient. */
  readonly patients: readonly string[];
  /** Asked of another FHIR server by this one, which was the client; absent: asked of this one. */
  readonly asked?: {
    /** Its base, without trailing slash. */
    readonly server: string;
    /** HTTP status of its answer; undefined: none came, or none that counts. */
    readonly status: number | undefined;
  };
}

/** Everything the audit needs to know of one request, allowed or refused. */
export interface Access {
  readonly caller: Caller;
  /** transaction and batch give one envelope event besides the entries'. */
  readonly envelope?: 'transaction' | 'batch';
  readonly entries: readonly AccessEntry[];
  /** HTTP status of the answer; decides AuditEvent.outcome (0 below 400, 4 for 4xx, 8 for 5xx). What was asked elsewhere has its own. */
  readonly status: number;
  /** Without names and values; may hold ids, so it goes to `erasable`. */
  readonly outcomeDescription?: string;
  /** A CDS Hooks call gives one event after the entries' (which may be none). */
  readonly hook?: HookAccess;
}

/** A CDS Hooks call; standards: our own pattern over BALP. Never card text, feature values or scores. */
export interface HookAccess {
  readonly hook: string;
  readonly service: string;
  readonly hookInstance: string;
  readonly startedAt: number;
  readonly endedAt: number;
  /** context.userId, e.g. `Practitioner/12`; goes before `caller.user`. */
  readonly user: string | undefined;
  /** context.patientId: a Patient id, with or without `Patient/`. */
  readonly patient: string | undefined;
  /** `Type/id` of each draft; anything else, and Patients, are left out. */
  readonly draftOrders: readonly string[];
  /** Every model that answered, or the drug knowledge. */
  readonly models: readonly { readonly id: string; readonly version: string; readonly sha256: string }[];
  readonly cards: readonly { readonly uuid: string; readonly indicator: string; readonly topic: string }[];
  readonly prefetch: {
    readonly given: readonly string[];
    readonly fetched: readonly string[];
    readonly missing: readonly string[];
  };
}

export interface AuditSource {
  /** AuditEvent.source.observer and the server agent: this server's public base URL. */
  readonly observer: string;
  /** Server's own network address. */
  readonly address: string;
}

/** What the store hands over to render event `event` (from 1) of a row. */
export interface StoredAuditRow {
  readonly chain: number;
  readonly sequence: number;
  readonly at: number;
  readonly form: number;
  readonly bytes: string;
  /** undefined after an erasure. */
  readonly erasable: string | undefined;
  /** Patient id behind a subject key; undefined after an erasure. */
  patientOf(subjectKey: string): string | undefined;
}
/** JSON text of one complete AuditEvent. */
export type RenderAuditEvent = (row: StoredAuditRow, event: number) => string;
