/** What leaves this server, as configured: one allow-list for notifications, key sets of CDS clients, and reads of their FHIR servers. */

import type { ReadOutside } from '../cds/call/outside-reads.ts';
import type { CdsOptions } from '../cds/cds.ts';
import type { Config } from '../config.ts';
import { isJsonObject } from '../fhir/resource.ts';
import { isLoopback } from '../http/access.ts';
import { type AllowList, allowList } from '../outbound/allow-list.ts';
import { FhirServers } from '../outbound/fhir-servers.ts';
import { type CallFault, Outbound, OutboundError } from '../outbound/outbound.ts';

/** Unset, this machine only; and nothing at all where the server can be reached from elsewhere. @throws TypeError on a malformed setting */
export function outboundList({ OUTBOUND_ALLOW, HOST }: Config): AllowList {
  try {
    return allowList(OUTBOUND_ALLOW ?? (isLoopback(HOST) ? undefined : ''));
  } catch (cause) {
    throw new TypeError(`OUTBOUND_ALLOW: ${cause instanceof Error ? cause.message : String(cause)}.`, { cause });
  }
}

export interface Outside {
  readonly readOutside: ReadOutside;
  readonly fetchKeys: CdsOptions['fetchKeys'];
  close(): Promise<void>;
}

const KEYS_TIMEOUT_MS = 3000;
/** What no server ever saw. */
const NOTHING_SENT: ReadonlySet<CallFault> = new Set(['not-allowed', 'address', 'open', 'closed']);

export function openOutside(config: Config): Outside {
  const allow = outboundList(config);
  const servers = new FhirServers({ allow });
  const outbound = new Outbound({ allow });
  return {
    readOutside: async (read) => {
      try {
        const { status, body } = await servers.read(read);
        return { status, body: isJsonObject(body) ? body : undefined };
      } catch (error) {
        if (!(error instanceof OutboundError)) throw error;
        if (NOTHING_SENT.has(error.fault)) return undefined;
        if (error.status === undefined) throw error;
        return { status: error.status, body: undefined };
      }
    },
    fetchKeys: async (url) => {
      const headers = { Accept: 'application/json' };
      const { status, body } = await outbound.call({ method: 'GET', url, headers, timeoutMs: KEYS_TIMEOUT_MS });
      return new Response(body, { status, headers: { 'Content-Type': 'application/json' } });
    },
    close: async () => {
      outbound.close();
      await servers.close();
    },
  };
}
