/** How much one CDS client may ask: calls a minute as a token bucket, and calls at once. Source: docs/threat-model.md (availability). */
import { fhirError } from '../fhir/outcome.ts';
import type { CdsClient } from './client.ts';

interface Bucket {
  /** Calls that may be made now; at most a minute's worth. */
  tokens: number;
  filledAt: number;
  running: number;
}

export class Quota {
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;

  /** @param now ms since 1970 */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Takes a place for one call; the caller gives it back with the returned function, once.
   * @throws FhirError `throttled` (429) when the minute's calls are used up or too many run at once
   */
  take({ name, callsPerMinute, callsAtOnce }: CdsClient): () => void {
    const at = this.#now();
    const bucket = this.#buckets.get(name) ?? { tokens: callsPerMinute, filledAt: at, running: 0 };
    this.#buckets.set(name, bucket);
    const earned = (Math.max(0, at - bucket.filledAt) / 60_000) * callsPerMinute;
    bucket.tokens = Math.min(callsPerMinute, bucket.tokens + earned);
    bucket.filledAt = at;
    if (bucket.running >= callsAtOnce) throw fhirError('throttled', 'Too many calls of this client run at once.');
    if (bucket.tokens < 1) throw fhirError('throttled', 'The calls of this client for this minute are used up.');
    bucket.tokens--;
    bucket.running++;
    let given = false;
    return () => {
      if (!given) bucket.running--;
      given = true;
    };
  }
}
