/**
 * Background work runs in one process of an installation: a lease in the store, renewed by its holder. Who holds it is one value, a number that
 * rises with each holder and a name; until when is another, by the holders' clocks. Only the second is written to renew it, so that commits of the
 * work, which all write the first, do not keep it from being renewed. A commit of the work expects the first, so that what a holder
 * does after its lease ran out and somebody else began is not written, however wrong a clock is. Reasons: docs/decisions/0042-several-processes.md.
 */
import type { Duty } from './rest/jobs/duty.ts';
import type { Command, ResourceStore } from './store/port.ts';

/** How long a lease holds without being renewed, and how often it is renewed, ms. */
export const LEASE_MS = 8000;
export const RENEW_MS = 2500;
/** How often who does not hold it looks whether it was given back, ms. */
const LOOK_MS = 1000;
const SPACE = 'lease';

/** What begins when the work is this process's, and ends when it no longer is. Neither may reject. */
export interface Work {
  begin(): void;
  end(): Promise<void>;
}
export interface Duties extends Duty {
  /** Begins at once where it is this process's already. */
  during(work: Work): void;
  /** Ends the work, then lets others begin at once. */
  close(): Promise<void>;
}

export interface LeaseSettings {
  readonly store: Pick<ResourceStore, 'commit' | 'keyed'>;
  /** What is done by one: `background`. */
  readonly name: string;
  /** Names this process; no other has it. */
  readonly holder: string;
  /** ms since 1970. */
  now(): number;
  /** Runs once, not before `ms`; the result forgets it. */
  after(ms: number, run: () => void): () => void;
  report(error: unknown): void;
}

/** The store is this process's alone: its folder is locked, so nobody can take over and nothing is asked. */
export function soleDuties(): Duties {
  const works: Work[] = [];
  return {
    isShared: false,
    isOurs: () => true,
    term: () => 1,
    fence: () => [],
    during: (work) => {
      works.push(work);
      work.begin();
    },
    close: async () => void (await Promise.all(works.map((work) => work.end()))),
  };
}

interface Tenure {
  /** Who holds it, as it is kept. */
  readonly text: string;
  /** As it is kept. */
  readonly until: number;
}

/** Asks for the lease until it is closed. */
export class LeasedDuties implements Duties {
  readonly isShared = true;
  readonly #settings: LeaseSettings;
  readonly #works: Work[] = [];
  #tenure: Tenure | undefined;
  #isClosed = false;
  #turning: Promise<void> = Promise.resolve();
  #ending: Promise<void> = Promise.resolve();
  #forgetTurn: () => void = () => undefined;
  #forgetEnd: () => void = () => undefined;

  constructor(settings: LeaseSettings) {
    this.#settings = settings;
    this.#turn();
  }

  isOurs(): boolean {
    return this.#tenure !== undefined && this.#settings.now() < this.#tenure.until;
  }

  term(): number {
    return Number(this.#tenure?.text.split(' ')[0] ?? 0);
  }

  fence(): readonly Command[] {
    // Without a lease nothing may be written: no holder has this name.
    return [this.#who(this.#tenure?.text ?? '-', this.#tenure?.text ?? '-')];
  }

  during(work: Work): void {
    this.#works.push(work);
    if (this.isOurs()) work.begin();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#forgetTurn();
    await this.#turning;
    const tenure = this.#tenure;
    this.#end();
    await this.#ending;
    if (tenure === undefined) return;
    const commands = [this.#who(tenure.text, tenure.text), this.#until(0, tenure.until)];
    await this.#settings.store.commit({ commands, audit: [] }).catch((error: unknown) => this.#settings.report(error));
  }

  #turn(): void {
    this.#turning = this.#step().then((wait) => {
      if (!this.#isClosed) this.#forgetTurn = this.#settings.after(wait, () => this.#turn());
    });
  }

  /** @returns ms until the next */
  async #step(): Promise<number> {
    try {
      await this.#ending;
      return this.#tenure === undefined ? await this.#ask() : await this.#renew(this.#tenure);
    } catch (error) {
      this.#settings.report(error);
      return RENEW_MS;
    }
  }

  /** A holder that stopped renewing is followed as soon as its lease has run out. */
  async #ask(): Promise<number> {
    const { store, name, holder, now } = this.#settings;
    const [who, until] = await Promise.all([store.keyed(SPACE, name), store.keyed(SPACE, untilKey(name))]);
    const left = Number(until?.value ?? 0) - now();
    if (left > 0) return Math.min(left, LOOK_MS);
    const end = now() + LEASE_MS;
    const text = `${Number(who?.value.split(' ')[0] ?? 0) + 1} ${holder}`;
    const commands = [this.#who(text, who?.value ?? null), this.#until(end, until === undefined ? null : until.value)];
    const { ok } = await store.commit({ commands, audit: [] });
    if (ok) this.#hold({ text, until: end }, true);
    return RENEW_MS;
  }

  async #renew(tenure: Tenure): Promise<number> {
    const { store, name, now } = this.#settings;
    const end = now() + LEASE_MS;
    const { ok } = await store.commit({ commands: [this.#until(end, tenure.until)], audit: [] });
    // It may have run out while it was asked; then the work has ended, and is asked for anew.
    if (this.#tenure !== tenure) return RENEW_MS;
    if (ok) this.#hold({ ...tenure, until: end }, false);
    else {
      // Somebody else holds it; or it was renewed, and the answer was lost.
      const [who, until] = await Promise.all([store.keyed(SPACE, name), store.keyed(SPACE, untilKey(name))]);
      if (who?.value !== tenure.text || until === undefined) this.#end();
      else if (this.#tenure === tenure) this.#tenure = { ...tenure, until: Number(until.value) };
      return 0;
    }
    return RENEW_MS;
  }

  #hold(tenure: Tenure, isNew: boolean): void {
    const { after, now } = this.#settings;
    this.#tenure = tenure;
    this.#forgetEnd();
    this.#forgetEnd = after(Math.max(0, tenure.until - now()), () => this.#end());
    if (isNew) for (const work of this.#works) work.begin();
  }

  #end(): void {
    this.#forgetEnd();
    if (this.#tenure === undefined) return;
    this.#tenure = undefined;
    this.#ending = Promise.all(this.#works.map((work) => work.end())).then(
      () => undefined,
      (error: unknown) => this.#settings.report(error),
    );
  }

  #who(text: string, expect: string | null): Command {
    return { op: 'set', space: SPACE, key: this.#settings.name, value: text, expect };
  }
  #until(ms: number, expect: number | string | null | undefined): Command {
    const before = typeof expect === 'number' ? String(expect) : expect;
    return { op: 'set', space: SPACE, key: untilKey(this.#settings.name), value: String(ms), expect: before };
  }
}

const untilKey = (name: string): string => `${name}/until`;
