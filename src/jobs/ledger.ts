/**
 * What is known of the jobs of one kind, as small values of the store, so that whichever process is asked knows it and a run that was taken over
 * can write none of it. Source: docs/decisions/0052-jobs-in-the-store.md.
 *   job.<kind>           id -> whose it is, its place, and since when it is a job       job.<kind>.order     id -> the order
 *   job.<kind>.progress  id -> how far it is                                          job.<kind>.end       id -> when and how it ended
 *   job.<kind>.open      <caller>/<place> -> id, while it has not ended
 */
import { createHash } from 'node:crypto';
import { fhirError } from '../fhir/outcome.ts';
import type { Job, JobOrder, JobResult } from '../rest/jobs/job.ts';
import type { Command, Keyed, ResourceStore } from '../store/port.ts';

export type LedgerStore = Pick<ResourceStore, 'commit' | 'keyed' | 'keyedPage'>;

export interface JobRecord {
  readonly principal: string;
  /** Key of its place among the open jobs of its caller. */
  readonly place: string;
  /** ms */
  readonly orderedAt: number;
  /** ms; undefined: ordered, and not yet a job. */
  readonly transactionTime?: number | undefined;
}
export interface JobEnd<R> {
  /** ms */
  readonly at: number;
  /** undefined: it failed, or its result is withheld. */
  readonly result: R | undefined;
  /** What it found may not be given any more. */
  readonly isWithheld?: true;
}

/** How long an order waits to become a job, ms; its process has died when it takes longer. */
const ORDER_MS = 600_000;
const PAGE = 200;
/** Characters of an order: a document of MongoDB holds 16 MB, and a character may take three bytes. */
const MOST_ORDER = 5_000_000;

export class JobLedger<O extends JobOrder, R extends JobResult> {
  readonly #store: LedgerStore;
  readonly #kind: string;

  constructor(store: LedgerStore, kind: string) {
    this.#store = store;
    this.#kind = kind;
  }

  /**
   * Keeps an order in a free place of its caller; it is forgotten unless it is accepted.
   * @param most places of a caller @param now ms
   * @returns false when there is no free place
   * @throws FhirError `payload-too-large` (413)
   */
  async take(order: O, most: number, now: number): Promise<boolean> {
    const { id, caller } = order;
    const text = JSON.stringify(order);
    if (text.length > MOST_ORDER) throw fhirError('payload-too-large', 'The order is too large: ask for less at once.');
    const owner = createHash('sha256').update(caller.principal).digest('hex').slice(0, 32);
    const places = Array.from({ length: most }, (_, index) => `${owner}/${String(index).padStart(4, '0')}`);
    // Each time that another is first, one place fewer is free.
    for (let tries = 0; tries <= most; tries++) {
      const taken = new Set(
        (await this.#store.keyedPage(this.#space('open'), { after: `${owner}/`, count: most })).map(({ key }) => key),
      );
      const place = places.find((each) => !taken.has(each));
      if (place === undefined) return false;
      const record: JobRecord = { principal: caller.principal, place, orderedAt: now };
      const { ok } = await this.#store.commit({
        commands: [
          { ...this.#set('open', place, id), expect: null },
          { ...this.#set('', id, JSON.stringify(record)), expect: null },
          this.#set('order', id, text),
        ],
        audit: [],
      });
      if (ok) return true;
    }
    return false;
  }

  /** Makes an order a job. @throws Error when the order is gone */
  async accept(id: string, transactionTime: number): Promise<void> {
    const kept = await this.#store.keyed(this.#space(), id);
    const record = decoded<JobRecord>(kept);
    if (kept === undefined || record === undefined) throw new Error('The order of a job is gone.');
    const accepted: JobRecord = { ...record, transactionTime };
    await this.#written([{ ...this.#set('', id, JSON.stringify(accepted)), expect: kept.value }]);
  }

  async record(id: string): Promise<JobRecord | undefined> {
    return decoded<JobRecord>(await this.#store.keyed(this.#space(), id));
  }

  /** undefined: there is none, or it is an order only. */
  async job(id: string): Promise<Job<O> | undefined> {
    const transactionTime = (await this.record(id))?.transactionTime;
    const order = decoded<O>(await this.#store.keyed(this.#space('order'), id));
    return order === undefined || transactionTime === undefined ? undefined : { ...order, transactionTime };
  }

  async progress<P>(id: string): Promise<P | undefined> {
    return decoded<P>(await this.#store.keyed(this.#space('progress'), id));
  }

  async end(id: string): Promise<JobEnd<R> | undefined> {
    return decoded<JobEnd<R>>(await this.#store.keyed(this.#space('end'), id));
  }

  /** Every order and job, also those that have ended. */
  async ids(): Promise<readonly string[]> {
    return (await this.#all()).map(({ key }) => key);
  }

  /** Orders that were never accepted. @param now ms; undefined: whoever took them is gone */
  async abandoned(now: number | undefined): Promise<readonly string[]> {
    const isLeft = ({ orderedAt, transactionTime }: JobRecord) =>
      transactionTime === undefined && (now === undefined || orderedAt <= now - ORDER_MS);
    return (await this.#all()).filter((each) => isLeft(decoded<JobRecord>(each))).map(({ key }) => key);
  }

  /** Jobs that have not ended, in the order in which they were accepted. */
  async open(): Promise<readonly string[]> {
    const found: { id: string; at: number }[] = [];
    for (const { value: id } of await this.#pages('open')) {
      const at = (await this.record(id))?.transactionTime;
      if (at !== undefined) found.push({ id, at });
    }
    return found.toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1)).map(({ id }) => id);
  }

  /** Conflicts when the job is gone: cancelled, by whichever process. */
  async fence(id: string): Promise<readonly Command[]> {
    const value = (await this.#store.keyed(this.#space(), id))?.value;
    return [{ op: 'set', space: this.#space(), key: id, value: value ?? '-', expect: value ?? '-' }];
  }

  /** To be committed with what it tells of. */
  saving(id: string, progress: unknown): Command {
    return this.#set('progress', id, JSON.stringify(progress));
  }

  /** @throws StoreError as the store's commit */
  async save(id: string, progress: unknown): Promise<void> {
    await this.#written([this.saving(id, progress)]);
  }

  /** The first end stays; the place of the caller is free again. */
  async finish(id: string, end: JobEnd<R>): Promise<void> {
    const place = (await this.record(id))?.place;
    if (place === undefined) return;
    const ended: Command = { ...this.#set('end', id, JSON.stringify(end)), expect: null };
    await this.#store.commit({ commands: [ended, this.#unset('open', place), this.#unset('progress', id)], audit: [] });
  }

  /** Removes all that is known of it. */
  async remove(id: string): Promise<void> {
    const record = await this.record(id);
    const parts = ['', 'order', 'progress', 'end'].map((part) => this.#unset(part, id));
    const held = record && (await this.#store.keyed(this.#space('open'), record.place))?.value === id;
    await this.#written(held ? [...parts, this.#unset('open', record.place)] : parts);
  }

  #all(): Promise<readonly Keyed[]> {
    return this.#pages('');
  }

  async #pages(part: string): Promise<readonly Keyed[]> {
    const found: Keyed[] = [];
    for (let after: string | undefined; ; after = found.at(-1)?.key) {
      const page = await this.#store.keyedPage(this.#space(part), { after, count: PAGE });
      found.push(...page);
      if (page.length < PAGE) return found;
    }
  }

  async #written(commands: readonly Command[]): Promise<void> {
    const { ok } = await this.#store.commit({ commands, audit: [] });
    if (!ok) throw new Error('What is known of a job could not be written.');
  }

  #set(part: string, key: string, value: string): SetCommand {
    return { op: 'set', space: this.#space(part), key, value };
  }
  #unset(part: string, key: string): SetCommand {
    return { op: 'set', space: this.#space(part), key, value: undefined };
  }
  #space(part = ''): string {
    return part === '' ? `job.${this.#kind}` : `job.${this.#kind}.${part}`;
  }
}

type SetCommand = Extract<Command, { op: 'set' }>;

/** Only the ledger writes these values, so their shape is the caller's to name. */
function decoded<T>(kept: Keyed): T;
function decoded<T>(kept: Keyed | undefined): T | undefined;
function decoded<T>(kept: Keyed | undefined): T | undefined {
  return kept === undefined ? undefined : (JSON.parse(kept.value) as T);
}
