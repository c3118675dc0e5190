/** Small JSON records of one space beside the resources: users, registrations, keys, counters. Source: store/port.ts (`set`, `keyed`, `keyedPage`). */
import type { Command, ResourceStore } from '../store/port.ts';

/** A record as it was read; `text` is what a later write of it may expect. */
export interface Held<T> {
  readonly key: string;
  readonly value: T;
  readonly text: string;
}
export type SetCommand = Extract<Command, { op: 'set' }>;
export interface SetOptions {
  /** The text that must be there, null for nothing, undefined for anything. */
  readonly expect?: string | null | undefined;
  /** ms since 1970. */
  readonly expiresAt?: number | undefined;
}

const PAGE = 200;

export class Records<T> {
  readonly #store: ResourceStore;
  readonly #space: string;
  readonly #isRecord: (value: unknown) => value is T;
  readonly #now: () => number;

  /** @param isRecord proves what is read; a record of another shape is a fault of ours */
  constructor(store: ResourceStore, space: string, isRecord: (value: unknown) => value is T, now: () => number) {
    this.#store = store;
    this.#space = space;
    this.#isRecord = isRecord;
    this.#now = now;
  }

  /** @throws TypeError when what is kept is not a record */
  async get(key: string): Promise<Held<T> | undefined> {
    const found = await this.#store.keyed(this.#space, key);
    if (found === undefined || (found.expiresAt ?? Number.POSITIVE_INFINITY) <= this.#now()) return undefined;
    return { key, value: this.#decoded(found.value), text: found.value };
  }

  /** Every record whose key starts with the prefix, in order of keys. */
  async list(prefix = ''): Promise<readonly Held<T>[]> {
    const held: Held<T>[] = [];
    let after: string | undefined = prefix === '' ? undefined : prefix;
    for (;;) {
      const page = await this.#store.keyedPage(this.#space, { after, count: PAGE });
      for (const { key, value, expiresAt } of page) {
        if (!key.startsWith(prefix)) return held;
        if ((expiresAt ?? Number.POSITIVE_INFINITY) > this.#now())
          held.push({ key, value: this.#decoded(value), text: value });
      }
      after = page.at(-1)?.key;
      if (page.length < PAGE || after === undefined) return held;
    }
  }

  /** The command that writes a record; it is committed by whoever has more to write with it. */
  set(key: string, value: T, { expect, expiresAt }: SetOptions = {}): SetCommand {
    return { op: 'set', space: this.#space, key, value: JSON.stringify(value), expect, expiresAt };
  }

  remove(key: string): SetCommand {
    return { op: 'set', space: this.#space, key, value: undefined };
  }

  #decoded(text: string): T {
    const value: unknown = JSON.parse(text);
    if (this.#isRecord(value)) return value;
    throw new TypeError(`A record of ${this.#space} is not of its shape.`);
  }
}

/** True for a JSON object; its members are still unknown. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
export function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}
