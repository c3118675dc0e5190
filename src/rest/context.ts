/** Who asks, and what the door is given to answer. Built in system.ts, never read from anywhere else. */

import type { Access, AccessEntry } from '../audit.ts';
import type { Capability } from '../fhir/definitions/capability.ts';
import type { Definitions } from '../fhir/definitions/definitions.ts';
import type { Issue } from '../fhir/outcome.ts';
import type { Asked } from '../fhir/profile/validator.ts';
import type { Resource } from '../fhir/resource.ts';
import type { AccessFilter, IndexEntry, SearchPlan } from '../fhir/search/algebra.ts';
import type { PatientLinks } from '../fhir/search/person.ts';
import type { SearchQuery } from '../fhir/search/query.ts';
import type { AccessPolicy } from '../smart/policy.ts';
import type { Rights } from '../smart/scopes.ts';
import type { AuditRow, Command, ResourceStore, StoredVersion } from '../store/port.ts';
import type { ExportDesk } from './jobs/export.ts';
import type { ImportRoom } from './jobs/import.ts';
import type { PurgeDesk } from './jobs/purge.ts';
import type { RiskDesk } from './operations/risk-desk.ts';
import type { SubscriptionDesk } from './operations/subscription-desk.ts';
import type { SurveillanceDesk } from './operations/surveillance-desk.ts';
import type { FhirResponse } from './request.ts';

/** How long what a caller may do can be done in their name when they do not ask: by subscriptions. Plain data. */
export interface Term {
  /** ms since 1970; absent: as long as the grant or the client lasts at the server's own issuer. */
  readonly until?: number;
  /** `jti` of the token; with `until` it must not be revoked either. */
  readonly token?: string;
  /** Grant at the server's own issuer. */
  readonly grant?: string;
}

/** Who makes a request and what they may see. Without an identity provider there is one permit-all caller, on loopback only. */
export interface Caller {
  /** Stable opaque name of the principal; 'local' without identity provider. */
  readonly principal: string;
  /** Client software as audited: AuditEvent.agent (client). */
  readonly client: { readonly system: string | undefined; readonly value: string };
  /** Human user, when one is known: a reference such as `Practitioner/12`. */
  readonly user: string | undefined;
  /** Peer address, for AuditEvent.agent.network. */
  readonly address: string;
  /** X-Request-Id, given or minted. */
  readonly requestId: string;
  /** What the token says, as data. */
  readonly rights: Rights;
  /** `jti` of the access token, for the audit. */
  readonly token?: string;
  /** Absent: of a demonstration, and of the server itself. */
  readonly term?: Term;
  /** What follows from the rights, on this thread. */
  readonly access: AccessFilter;
}

/** Time and randomness come in here; `now` is ms since 1970. */
export interface Ambient {
  now(): number;
  /** A new logical id (UUIDv7: sorted by time, so index pages stay warm). */
  newId(): string;
}

export interface RestSettings {
  /** Base in every link we mint, no trailing slash: `http://127.0.0.1:8080/fhir`. */
  readonly fhirBase: string;
  /** Refuse references to resources of this server that are not held. */
  readonly referentialIntegrity: boolean;
  readonly bundleEntryLimit: number;
  readonly defaultCount: number;
  readonly maxCount: number;
  readonly includeLimit: number;
  /** Most resources a conditional delete may delete, where the type claims `multiple`. */
  readonly conditionalDeleteLimit: number;
  /** Secret of this installation, at least 16 bytes: the cursors of next links are sealed with it. */
  readonly cursorKey: Uint8Array;
  /** Where websockets of subscriptions connect; said in the CapabilityStatement. */
  readonly websocketUrl?: string;
  /** Where tokens are got, as the CapabilityStatement says it; undefined: no issuer is configured. */
  readonly authority?: { readonly token?: string | undefined; readonly authorize?: string | undefined } | undefined;
  /** CapabilityStatement.software.version. */
  readonly softwareVersion: string;
}

/** What a room's own rules make of a resource that is to be stored. */
export interface Ruled {
  /** As it is stored. */
  readonly resource: Resource;
  /** Errors refuse the write. */
  readonly findings: readonly Issue[];
  /** What is committed with it. */
  readonly also: readonly Command[];
}

/** What every interaction is given. */
export interface RestContext {
  readonly store: ResourceStore;
  readonly definitions: Definitions;
  readonly capability: Capability;
  readonly settings: RestSettings;
  readonly ambient: Ambient;
  /** What limits callers beside scopes; undefined: nothing does. */
  readonly policy?: AccessPolicy;
  /** Where exports are kept; the main thread only. */
  readonly exports?: ExportDesk;
  /** Types that a de-identified export can give; the main thread only. */
  readonly deidentifiable?: ReadonlySet<string>;
  /** Models and scores for `$evaluate`; the main thread only. */
  readonly risk?: RiskDesk;
  /** Where imports are kept; the main thread only. */
  readonly imports?: ImportRoom;
  /** Where purges are kept; the main thread only. */
  readonly purges?: PurgeDesk;
  /** Subscriptions as they are served; the main thread only. */
  readonly subscriptions?: SubscriptionDesk;
  /** Definitions of surveillance; on every thread but the main one. */
  readonly surveillance?: SurveillanceDesk;
  /** Every finding against base R4 and the profiles the resource claims; empty = valid. `asked` is for `$validate`. */
  validate(resource: Resource, asked?: Asked): readonly Issue[];
  /** Rules of rooms that act on resources, by type; judged after validation, for writes of clients only. `resource` has its id. */
  readonly rules?: ReadonlyMap<
    string,
    (resource: Resource, current: StoredVersion | undefined, caller: Caller) => Ruled
  >;
  /** Index rows of a resource by the claimed search parameters of its type. */
  indexEntries(resource: Resource): readonly IndexEntry[];
  /** Ids of the Patients in whose compartment the resource lies; a Patient names itself. */
  patientsOf(resource: Resource): readonly string[];
  /** Throws FhirError on anything that is not claimed or not well formed. `query` is the raw query string. */
  parseSearch(type: string, query: string, handling: 'strict' | 'lenient'): SearchQuery;
  /** `parseSearch` of a search that is kept for long work: only by parameters that cannot go while the server runs. */
  parseFrozen?(type: string, query: string, handling: 'strict' | 'lenient'): SearchQuery;
  /** Joins the caller's access to every type the query touches. With `links`, a search by a patient means the person: see patient-links.ts. */
  planSearch(query: SearchQuery, access: AccessFilter, links?: PatientLinks): SearchPlan;
  /** The audit row of a request, with subject keys and salt bound. */
  audit(access: Access): AuditRow;
  /** The row of an AuditEvent that a client sent: kept as theirs, marked as such. */
  postedAudit(resource: Resource, caller: Caller): AuditRow;
  /** Counts a request as one of this snapshot of the definitions, until the function it returns is called. */
  entered?(): () => void;
  /** Tells that search parameters were written, before that is answered; resolves when every thread knows them. */
  parametersWritten?(): Promise<void>;
  /** A fault that the client is told nothing about, with the request it belongs to; for the log. */
  report(error: unknown, requestId: string): void;
}

/** What an interaction function returns to the door. */
export interface Performed {
  readonly response: FhirResponse;
  /** What was accessed, for the audit. */
  readonly entries: readonly AccessEntry[];
  /** True when the function's own commit already held the AuditEvents (every write); false = the door appends them before answering. */
  readonly audited: boolean;
}
export type Perform<R> = (request: R, caller: Caller, context: RestContext) => Promise<Performed>;
