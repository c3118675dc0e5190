/**
 * Answers of the last moments, in memory: a client that sends a call again gets the same cards, unless data was committed meanwhile: advice
 * that an allergy entered since would change is never given again. Only answers that read our own store are kept; the others follow from the call alone, or from data whose changes are not seen here. Source: docs/cds-hooks.md#a-call.
 */
import { createHash } from 'node:crypto';
import type { HookRequest } from '../hook/request.ts';
import { NO_BASIS } from './judge.ts';
import type { Outcome } from './record.ts';

/** What makes two calls the same. */
export interface SameCall {
  readonly client: string;
  readonly service: string;
  readonly hookInstance: string;
  /** The body as received. */
  readonly text: string;
  /** State of our own store when the call came; undefined when it cannot be told, or another server was read. */
  readonly stamp: number | undefined;
}
interface Kept {
  readonly digest: string;
  readonly stamp: number;
  readonly until: number;
  /** Without the request: it holds the client's token and data. */
  readonly outcome: Omit<Outcome, 'request'>;
}

/** Long enough for a retry, too short for a chart to change under a clinician's eyes. ms */
export const SAME_ANSWER_MS = 10_000;
const MOST_KEPT = 200;
const LONGEST_BODY = 100_000;

export class Answered {
  readonly #kept = new Map<string, Kept>();

  /** @param at ms since 1970 */
  find(call: SameCall, at: number): Kept['outcome'] | undefined {
    this.#forget(at, MOST_KEPT);
    const found = this.#kept.get(nameOf(call));
    if (found === undefined || found.stamp !== call.stamp) return undefined;
    return found.digest === digestOf(call.text) ? found.outcome : undefined;
  }

  keep(call: SameCall, { request: _request, ...outcome }: Outcome, at: number): void {
    const { auditStatus, body, prefetched } = outcome;
    if (
      call.stamp === undefined ||
      auditStatus !== 200 ||
      body.length > LONGEST_BODY ||
      (prefetched?.fetched.length ?? 0) === 0
    )
      return;
    const { given, fetched, missing } = prefetched ?? { given: [], fetched: [], missing: [] };
    this.#kept.delete(nameOf(call));
    this.#kept.set(nameOf(call), {
      digest: digestOf(call.text),
      stamp: call.stamp,
      until: at + SAME_ANSWER_MS,
      outcome: { ...outcome, basis: NO_BASIS, prefetched: { given, fetched, missing } },
    });
    this.#forget(at, MOST_KEPT);
  }

  /** In the order of keeping, which is the order of expiry. */
  #forget(at: number, most: number): void {
    for (const [name, { until }] of this.#kept) {
      if (until > at && this.#kept.size <= most) break;
      this.#kept.delete(name);
    }
  }
}

/** The kept answer to the call that was sent again: audited anew, its cards on record already. */
export function asBefore(outcome: Kept['outcome'], request: HookRequest): Outcome {
  return { ...outcome, request, recorded: [], remarks: [...outcome.remarks, 'answered as before'] };
}

const nameOf = ({ client, service, hookInstance }: SameCall) => JSON.stringify([client, service, hookInstance]);
const digestOf = (text: string) => createHash('sha256').update(text).digest('base64url');
