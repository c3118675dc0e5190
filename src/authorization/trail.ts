/** What happens at the authorization server -> audit rows. Source: docs/audit.md; IHE IUA (ITI-71), BALP (AuthZ consent), DICOM PS3.15 A.5.3. */
import type { AuditRow } from '../store/port.ts';

/** Interaction codes of src/audit/codes.ts. */
export type SecurityInteraction =
  | 'login'
  | 'logout'
  | 'lock-out'
  | 'consent'
  | 'launch'
  | 'token-issue'
  | 'token-refresh'
  | 'token-revoke'
  | 'client-change'
  | 'user-change'
  | 'key-change';

/** Who is at the other end of a connection. */
export interface Peer {
  readonly address: string;
  readonly requestId: string;
}

export interface SecurityEvent {
  readonly interaction: SecurityInteraction;
  readonly peer: Peer;
  /** Registered id; undefined: not known. */
  readonly client?: string | undefined;
  /** `Practitioner/12`; undefined: not known. */
  readonly user?: string | undefined;
  readonly patient?: string | undefined;
  /** Status that would say how it went: 200, or 4xx. */
  readonly status: number;
  /** Codes only: no names, no values, no tokens. */
  readonly description?: string | undefined;
}
export type AuditOf = (event: SecurityEvent) => AuditRow;
