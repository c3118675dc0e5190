/**
 * Guessing is slowed: failures are counted per user and per address, durable, and each beyond a few doubles a wait in which nothing is tried.
 * An attempt is counted before it is judged, so that many at once are no way around. Where a user has signed in before, only failures from there
 * count: strangers who guess at a name do not keep its owner out. Source: NIST SP 800-63B-4 §3.2.2 (rate limiting).
 */
import { createHash } from 'node:crypto';
import type { ResourceStore } from '../store/port.ts';
import { isObject, Records } from './records.ts';

interface Count {
  readonly failures: number;
  /** ms since 1970; nothing is tried before. */
  readonly until: number;
}
const isCount = (value: unknown): value is Count =>
  isObject(value) && typeof value.failures === 'number' && typeof value.until === 'number';

/** Failures without a wait: of one user, and of one address, which many may share. */
const FREE = { user: 5, address: 20 } as const;
const FIRST_WAIT_MS = 30_000;
const LONGEST_WAIT_MS = 3_600_000;
/** After so long without an attempt the count starts anew. */
const FORGET_MS = 86_400_000;
/** For so long after a sign-in its address is known to be the user's. */
const KNOWN_MS = 30 * FORGET_MS;

/** Wait after so many failures, of which `free` cost nothing. */
export function waitMs(failures: number, free: number): number {
  return failures < free ? 0 : Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - free, 20));
}

export type Admission = 'try' | 'locked-now' | 'locked';

export class Attempts {
  readonly #store: ResourceStore;
  readonly #records: Records<Count>;
  readonly #now: () => number;

  constructor(store: ResourceStore, now: () => number) {
    this.#store = store;
    this.#records = new Records(store, 'oauth.attempts', isCount, now);
    this.#now = now;
  }

  /**
   * Counts an attempt. `locked`: a wait is on, nothing may be tried. `locked-now`: this attempt may be tried, and one that fails begins a wait.
   * @param user name as typed, known or not
   */
  async begin(user: string, address: string): Promise<Admission> {
    const [ofUser, ofAddress] = [
      await this.#count(await this.#userKey(user, address), FREE.user),
      await this.#count(`address:${address}`, FREE.address),
    ];
    if (ofUser === 'locked' || ofAddress === 'locked') return 'locked';
    return ofUser === 'locked-now' || ofAddress === 'locked-now' ? 'locked-now' : 'try';
  }

  /** A sign-in that was right: the user's failures that count here are forgotten, and the address' last one. */
  async succeeded(user: string, address: string): Promise<void> {
    const key = `address:${address}`;
    const held = await this.#records.get(key);
    const failures = Math.max(0, (held?.value.failures ?? 1) - 1);
    const now = this.#now();
    const none = { failures: 0, until: 0 };
    await this.#store.commit({
      commands: [
        this.#records.remove(await this.#userKey(user, address)),
        this.#records.set(placeKey('known', user, address), none, { expiresAt: now + KNOWN_MS }),
        this.#records.set(key, { ...none, failures }, { expiresAt: now + FORGET_MS }),
      ],
      audit: [],
    });
  }

  /** An attempt was right, and what follows it counts for itself: it is no failure. A wait that others' failures began stays. */
  async returned(user: string, address: string): Promise<void> {
    await this.#less(await this.#userKey(user, address), FREE.user);
    await this.#less(`address:${address}`, FREE.address);
  }

  async #less(key: string, free: number): Promise<void> {
    for (;;) {
      const held = await this.#records.get(key);
      if (held === undefined) return;
      const failures = Math.max(0, held.value.failures - 1);
      const until = failures < free ? 0 : held.value.until;
      const expiresAt = this.#now() + FORGET_MS;
      const next = this.#records.set(key, { failures, until }, { expect: held.text, expiresAt });
      if ((await this.#store.commit({ commands: [next], audit: [] })).ok) return;
    }
  }

  async #userKey(user: string, address: string): Promise<string> {
    const isKnown = (await this.#records.get(placeKey('known', user, address))) !== undefined;
    return isKnown ? placeKey('place', user, address) : userKey(user);
  }

  async #count(key: string, free: number): Promise<Admission> {
    for (;;) {
      const now = this.#now();
      const held = await this.#records.get(key);
      if (held !== undefined && held.value.until > now) return 'locked';
      const failures = (held?.value.failures ?? 0) + 1;
      const wait = waitMs(failures, free);
      const next = this.#records.set(
        key,
        { failures, until: now + wait },
        { expect: held?.text, expiresAt: now + FORGET_MS },
      );
      const expected = held === undefined ? { ...next, expect: null } : next;
      if ((await this.#store.commit({ commands: [expected], audit: [] })).ok) return wait === 0 ? 'try' : 'locked-now';
    }
  }
}

/** Says neither whose nor where. */
const placeKey = (kind: 'known' | 'place', user: string, address: string): string =>
  `${kind}:${createHash('sha256')
    .update(`${userKey(user)}\n${address}`)
    .digest('base64url')}`;

/** Bounded, whatever was typed. */
const userKey = (user: string): string => `user:${user.trim().toLowerCase().slice(0, 64)}`;
