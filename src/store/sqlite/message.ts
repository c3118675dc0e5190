/** What crosses between a store and the writer thread: one JSON text a batch (cheaper than structured clone of small objects), numbers back. */
import type { IndexEntry, SearchPlan } from '../../fhir/search/algebra.ts';
import {
  type AuditFacet,
  type AuditRow,
  type Command,
  type CommitRequest,
  FORGOTTEN,
  type WriteMethod,
} from '../port.ts';

/** Numbers of the entry kinds in the `entry` table. Never renumbered. */
export const KIND = { token: 0, string: 1, reference: 2, date: 3, quantity: 4, uri: 5, text: 6 } as const;

/** kind, parameter, group, a, b, c: token code, '', system; string folded, exact; reference target, version; date and quantity low, high, unit; uri value; text words. */
export type WireEntry = readonly [
  kind: number,
  parameter: string,
  group: number,
  a: string | number,
  b: string | number,
  c: string,
];
export type WireCommand =
  | readonly [
      op: 'put',
      type: string,
      id: string,
      version: number,
      method: WriteMethod,
      head: string,
      tail: string,
      entries: readonly WireEntry[],
      patients: string,
    ]
  | readonly [op: 'delete', type: string, id: string, version: number, patients: string]
  | readonly [op: 'expect', plan: SearchPlan, ids: readonly string[]]
  | readonly [op: 'hold', type: string, id: string, version: number]
  | readonly [op: 'keep', key: string, value: string]
  /** `expect`: `[value]`, `[]` for nothing, null for anything. */
  | readonly [
      op: 'set',
      space: string,
      key: string,
      value: string | null,
      expect: readonly string[] | null,
      expiresAt: number | null,
    ]
  /** `versions`: null for all. */
  | readonly [op: 'purge', type: string, id: string, version: number, versions: readonly number[] | null]
  | readonly [op: 'forget', patients: readonly string[], through: number, value: string]
  | readonly [op: 'unforgotten', patients: string];
/** A facet's entries are left out once the writer is known to have it. */
export type WireFacet = readonly [key: string, entries?: readonly WireEntry[]];
export interface WireAudit {
  readonly form: number;
  readonly bytes: string;
  readonly erasable?: string | undefined;
  /** kind, agents, subject keys, entities */
  readonly events: readonly (readonly [WireFacet, WireFacet, readonly string[], readonly string[]])[];
  /** subject key, patient id */
  readonly subjects: readonly (readonly [string, string])[];
}
export interface WireRequest {
  readonly commands: readonly WireCommand[];
  readonly audit: readonly WireAudit[];
}

/** Rows of one resource to index again; skipped when its version has moved on. */
export type ReindexRow = readonly [rid: number, version: number, entries: readonly WireEntry[], patients: string];

/** To the writer. `limit` is the largest size of the file in pages (a quota; 0 lifts it). */
export type ToWriter =
  | { readonly op: 'commit'; readonly from: number; readonly requests: string }
  | { readonly op: 'ping'; readonly id: number }
  | { readonly op: 'limit'; readonly id: number; readonly pages: number }
  | {
      readonly op: 'reindex';
      readonly id: number;
      readonly rows: string;
      readonly progress?: string | undefined;
      readonly done: boolean;
    };

/** One outcome is OUTCOME_WIDTH numbers: request number, status, then (at, first sequence, key of the first audit row), (command, 0, 0) of a conflict or (place among REFUSALS, 0, 0). */
export const OUTCOME_WIDTH = 5;
export const STATUS = { done: 0, conflict: 1, unavailable: 2, tooCostly: 3, failed: 4, full: 5 } as const;
export type FromWriter =
  | { readonly op: 'outcomes'; readonly outcomes: readonly number[] }
  | { readonly op: 'done'; readonly id: number; readonly failed: string | undefined };

/** JSON has no infinities; the largest doubles stand in. */
function finite(value: number): number {
  return Math.min(Math.max(value, -Number.MAX_VALUE), Number.MAX_VALUE);
}

export function wireEntry(entry: IndexEntry): WireEntry {
  switch (entry.kind) {
    case 'token':
      return [KIND.token, entry.parameter, entry.group, entry.code, '', entry.system];
    case 'string':
      return [KIND.string, entry.parameter, entry.group, entry.folded, entry.exact, ''];
    case 'reference':
      return [KIND.reference, entry.parameter, entry.group, entry.target, entry.version, ''];
    case 'date':
      return [KIND.date, entry.parameter, entry.group, finite(entry.low), finite(entry.high), ''];
    case 'quantity':
      return [KIND.quantity, entry.parameter, entry.group, finite(entry.low), finite(entry.high), entry.unit];
    case 'uri':
      return [KIND.uri, entry.parameter, entry.group, entry.value, '', ''];
    case 'text':
      return [KIND.text, entry.parameter, entry.group, entry.text, '', ''];
    default:
      throw new TypeError(`Unknown entry ${String(entry satisfies never)}`);
  }
}

function wireCommand(command: Command): WireCommand {
  switch (command.op) {
    case 'put': {
      const { key, version, method, body, entries, patients } = command;
      if (key.type === 'AuditEvent') throw new TypeError('AuditEvents are appended as audit rows, never put.');
      const rows = entries.map(wireEntry);
      return ['put', key.type, key.id, version, method, body.head, body.tail, rows, patients.join(' ')];
    }
    case 'delete':
      if (command.key.type === 'AuditEvent') throw new TypeError('AuditEvents are never deleted.');
      return ['delete', command.key.type, command.key.id, command.version, command.patients.join(' ')];
    case 'expect':
      return ['expect', command.plan, command.ids];
    case 'hold':
      return ['hold', command.key.type, command.key.id, command.version];
    case 'keep':
      return ['keep', command.key, command.value];
    case 'purge':
      if (command.key.type === 'AuditEvent') throw new TypeError('AuditEvents are never purged.');
      return ['purge', command.key.type, command.key.id, command.version, command.versions ?? null];
    case 'forget':
      return ['forget', command.patients, command.through, command.value];
    case 'unforgotten':
      return ['unforgotten', command.patients.join(' ')];
    case 'set': {
      if (command.space === FORGOTTEN) throw new TypeError('Only `forget` says who is forgotten.');
      const { space, key, value, expect, expiresAt } = command;
      const before = expect === undefined ? null : [expect].filter((text) => text !== null);
      return ['set', space, key, value ?? null, before, expiresAt ?? null];
    }
    default:
      throw new TypeError(`Unknown command ${String(command satisfies never)}`);
  }
}

function wireAudit(row: AuditRow, known: ReadonlySet<string>): WireAudit {
  const facet = ({ key, entries }: AuditFacet): WireFacet => (known.has(key) ? [key] : [key, entries.map(wireEntry)]);
  return {
    form: row.form,
    bytes: row.bytes,
    erasable: row.erasable,
    events: row.events.map(({ kind, agents, subjects, entities }) => [facet(kind), facet(agents), subjects, entities]),
    subjects: row.subjects.map(({ key, patient }) => [key, patient]),
  };
}

/** @param known keys of facets that the writer has confirmed */
export function wireRequest(request: CommitRequest, known: ReadonlySet<string>): WireRequest {
  return { commands: request.commands.map(wireCommand), audit: request.audit.map((row) => wireAudit(row, known)) };
}

/** Infinite bounds inside plans are clamped like entries; everything else is JSON as it is. */
export function encodeRequests(requests: readonly WireRequest[]): string {
  const hasPlan = requests.some(({ commands }) => commands.some(([op]) => op === 'expect'));
  if (!hasPlan) return JSON.stringify(requests);
  return JSON.stringify(requests, (_name, value: unknown) => (typeof value === 'number' ? finite(value) : value));
}

/** Inverse of `encodeRequests`; only our own threads write this text. */
export function decodeRequests(text: string): readonly WireRequest[] {
  return JSON.parse(text) as readonly WireRequest[];
}
