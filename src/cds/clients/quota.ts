/**
 * How much one CDS client may ask: calls a minute as a token bucket, and calls at once. Where several processes have one store the bucket is in it,
 * and each takes a few calls at a time, so that most calls cost no commit. Calls at once are counted in each process. Source: docs/threat-model.md.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, parseOwnJson } from '../../fhir/resource.ts';
import type { ResourceStore } from '../../store/port.ts';
import type { CdsClient } from './client.ts';

export type QuotaStore = Pick<ResourceStore, 'commit' | 'keyed'>;
type Limits = Pick<CdsClient, 'name' | 'callsPerMinute' | 'callsAtOnce'>;

interface Filling {
  /** Calls that may be made now; at most a minute's worth. */
  readonly tokens: number;
  /** ms since 1970. */
  readonly filledAt: number;
}
interface Bucket {
  filling: Filling;
  /** Calls taken from the shared bucket. */
  taken: number;
  /** More of them are being asked for, once for all calls that wait: true when there were some. */
  asked: Promise<boolean> | undefined;
  running: number;
}

const SPACE = 'cds.quota';
/** Part of a minute's calls that a process takes at a time. */
const PART = 1 / 20;
/** Other processes may be first this often: each asks once at a time, so somebody is served with each attempt. */
const ATTEMPTS = 64;

export class Quota {
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;
  readonly #shared: QuotaStore | undefined;

  /**
   * @param now ms since 1970
   * @param shared store of all processes; undefined: this process is the only one
   */
  constructor(now: () => number, shared?: QuotaStore) {
    this.#now = now;
    this.#shared = shared;
  }

  /**
   * Takes a place for one call; the caller gives it back with the returned function, once.
   * @throws FhirError `throttled` (429) when the minute's calls are used up or too many run at once
   */
  async take(client: Limits): Promise<() => void> {
    const { name, callsPerMinute, callsAtOnce } = client;
    const bucket = this.#buckets.get(name) ?? {
      filling: { tokens: callsPerMinute, filledAt: this.#now() },
      taken: 0,
      asked: undefined,
      running: 0,
    };
    this.#buckets.set(name, bucket);
    if (bucket.running >= callsAtOnce) throw fhirError('throttled', 'Too many calls of this client run at once.');
    bucket.running++;
    let given = false;
    const release = (): void => {
      if (!given) bucket.running--;
      given = true;
    };
    try {
      if (!(await this.#spend(bucket, client))) {
        throw fhirError('throttled', 'The calls of this client for this minute are used up.');
      }
    } catch (error) {
      release();
      throw error;
    }
    return release;
  }

  async #spend(bucket: Bucket, client: Limits): Promise<boolean> {
    if (this.#shared === undefined) {
      const filling = filled(bucket.filling, client, this.#now());
      const isEnough = filling.tokens >= 1;
      bucket.filling = { ...filling, tokens: filling.tokens - (isEnough ? 1 : 0) };
      return isEnough;
    }
    while (bucket.taken < 1) {
      bucket.asked ??= this.#refilled(bucket, this.#shared, client);
      if (!(await bucket.asked)) return false;
      // Others of this process may have spent them meanwhile.
    }
    bucket.taken--;
    return true;
  }

  async #refilled(bucket: Bucket, store: QuotaStore, client: Limits): Promise<boolean> {
    try {
      const taken = await this.#takenFrom(store, client);
      bucket.taken += taken;
      return taken > 0;
    } finally {
      bucket.asked = undefined;
    }
  }

  /** @returns whole calls, 0 when the minute's are used up */
  async #takenFrom(store: QuotaStore, client: Limits): Promise<number> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const at = this.#now();
      const kept = await store.keyed(SPACE, client.name);
      const { tokens } = filled(fillingIn(kept?.value) ?? { tokens: client.callsPerMinute, filledAt: at }, client, at);
      const taken = Math.min(Math.floor(tokens), Math.ceil(client.callsPerMinute * PART));
      if (taken < 1) return 0;
      const value = JSON.stringify({ tokens: tokens - taken, filledAt: at } satisfies Filling);
      const set = { op: 'set', space: SPACE, key: client.name, value, expect: kept?.value ?? null } as const;
      if ((await store.commit({ commands: [set], audit: [] })).ok) return taken;
    }
    return 0;
  }
}

/** What was earned since is added. */
function filled({ tokens, filledAt }: Filling, { callsPerMinute }: Limits, at: number): Filling {
  const earned = (Math.max(0, at - filledAt) / 60_000) * callsPerMinute;
  return { tokens: Math.min(callsPerMinute, tokens + earned), filledAt: at };
}

function fillingIn(text: string | undefined): Filling | undefined {
  const value = text === undefined ? undefined : parseOwnJson(text);
  if (!isJsonObject(value) || typeof value.tokens !== 'number' || typeof value.filledAt !== 'number') return undefined;
  return { tokens: value.tokens, filledAt: value.filledAt };
}
