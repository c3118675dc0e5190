/**
 * The server's own life in the audit log, and the heads of its chains in the operator's log: lines that are kept elsewhere show a tail that was
 * cut off, or a log made anew (`firewatch verify-audit --anchors`). Source: DICOM PS3.15 A.5.3.1 (Application Activity); docs/audit.md#anchors.
 */
import type { RestContext } from '../rest/context.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import type { AuditHead } from '../store/engine.ts';
import type { ResourceStore } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';

const HOUR_MS = 3_600_000;

export interface ActivityParts {
  readonly context: Pick<RestContext, 'audit'>;
  readonly store: Pick<ResourceStore, 'commit'> & {
    auditHeads(): Promise<readonly AuditHead[]> | readonly AuditHead[];
  };
  readonly log: Log;
  newId(): string;
}

export interface Activity {
  /** Before the first request is taken. */
  started(): Promise<void>;
  /** After the last one was answered. */
  stopped(): Promise<void>;
}

/** An event that cannot be written is logged and stops nothing: while the log cannot be written no request is answered either, and health says so. */
export function openActivity({ context, store, log, newId }: ActivityParts): Activity {
  const record = async (interaction: 'application-start' | 'application-stop'): Promise<void> => {
    const facts = { ...localFacts(newId(), 'localhost'), client: { system: undefined, value: 'firewatch' } };
    const row = context.audit({
      caller: localCaller(facts),
      entries: [{ interaction, patients: [] }],
      status: 200,
    });
    try {
      await store.commit({ commands: [], audit: [row] });
      await tell();
    } catch (error) {
      log.failure('audit-unwritable', error);
    }
  };
  const tell = async (): Promise<void> => {
    for (const head of await store.auditHeads()) log.event('audit-head', head);
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    async started() {
      await record('application-start');
      timer = setInterval(() => tell().catch((error) => log.failure('audit-unwritable', error)), HOUR_MS);
      timer.unref();
    },
    async stopped() {
      clearInterval(timer);
      await record('application-stop');
    },
  };
}
