/**
 * Signs of life of whoever is in a transaction, and the end of transactions whose process is gone. A process that is killed in one leaves its locks
 * to the database, for 60 s by default; whoever waits for such a lock ends that session after DEAD_MS. To end the session of a process that lives
 * after all does no harm: its transaction begins again. Source: mongodb.com/docs/manual/reference/command/killSessions; decision 0040.
 */
import { randomBytes } from 'node:crypto';
import type { ClientSession, MongoClient } from 'mongodb';
import type { Collections, LifeDoc } from './layout.ts';

/** Between two signs while a transaction is open, and without one for how long a process counts as gone, ms by the server's clock. */
const BEAT_MS = 2000;
const DEAD_MS = 6000;
/** How long a lock is waited for before one looks whose it is, and between two looks, ms. */
const STUCK_MS = 1000;
/** Longest time of one sign, ms. */
const SIGN_MS = 2000;

export class Life {
  readonly #life: Collections['life'];
  readonly #client: MongoClient;
  readonly #layout: number;
  readonly #id = randomBytes(12).toString('hex');
  readonly #sessions: LifeDoc['s'][number][] = [];
  #open = 0;
  #timer: NodeJS.Timeout | undefined;
  /** By `performance.now`. */
  #signed = Number.NEGATIVE_INFINITY;
  #looked = Number.NEGATIVE_INFINITY;

  constructor(life: Collections['life'], client: MongoClient, layout: number) {
    this.#life = life;
    this.#client = client;
    this.#layout = layout;
  }

  /** Another session whose transactions are signed for. */
  covers({ id }: ClientSession): void {
    if (id !== undefined) this.#sessions.push(id.id);
  }

  /** Signs while the work is under way. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    if (performance.now() - this.#signed > BEAT_MS) await this.sign();
    if (this.#open++ === 0) this.#timer = setInterval(() => void this.sign().catch(() => undefined), BEAT_MS).unref();
    try {
      return await work();
    } finally {
      if (--this.#open === 0) clearInterval(this.#timer);
    }
  }

  /** A small write, so also proof that writes work. */
  async sign(): Promise<void> {
    await this.#life.updateOne(
      { _id: this.#id },
      { $set: { s: this.#sessions, l: this.#layout }, $currentDate: { seen: true } },
      { upsert: true, writeConcern: { w: 1 }, maxTimeMS: SIGN_MS },
    );
    this.#signed = performance.now();
  }

  /** Somebody has held what is waited for, for so long, ms. Ends the transactions of those who give no sign. */
  async waited(ms: number): Promise<void> {
    if (ms < STUCK_MS || performance.now() - this.#looked < STUCK_MS) return;
    this.#looked = performance.now();
    await this.sign();
    const own = await this.#life.findOne({ _id: this.#id }, { maxTimeMS: SIGN_MS });
    if (own === null) return;
    const dead = { seen: { $lt: new Date(own.seen.getTime() - DEAD_MS) } };
    for (const { _id, s, seen } of await this.#life.find(dead, { maxTimeMS: SIGN_MS }).toArray()) {
      if (s.length > 0) await this.#client.db('admin').command({ killSessions: s.map((id) => ({ id })) });
      await this.#life.deleteOne({ _id, seen });
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#life.deleteOne({ _id: this.#id }, { maxTimeMS: SIGN_MS });
  }
}
