/** Who asks, and what the door is given to answer. Built in system.ts, never read from anywhere else. */

import type { Capability } from '../fhir/capability.ts';
import type { Definitions } from '../fhir/definitions.ts';
import type { AccessFilter } from '../fhir/search/algebra.ts';
import type { ResourceStore } from '../store/port.ts';

/** Who makes a request and what they may see. Until an identity provider is configured there is one permit-all caller, on loopback only. */
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
}

/** What every interaction is given. */
export interface RestContext {
  readonly store: ResourceStore;
  readonly definitions: Definitions;
  readonly capability: Capability;
  readonly settings: RestSettings;
  readonly ambient: Ambient;
}
