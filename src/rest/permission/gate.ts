/** Admission: so many under way, the rest waits in the order of their classes, and what is too much is told so at once. docs/operations.md#overload. */
import { type FhirError, fhirError } from '../../fhir/outcome.ts';
import { type Allowances, LOAD_CLASSES, type LoadClass } from './load-class.ts';

interface Waiting {
  admit(): void;
  refuse(error: FhirError): void;
  timer: NodeJS.Timeout;
}

export interface GateSettings {
  readonly allowances: Allowances;
  /** Longest wait, ms; then it is turned away like what finds the queue full. */
  readonly waitMs: number;
  /** Part of the slots that classes after `hook` have now, 0 to 1; default 1. */
  share?(): number;
  /** Told of each that is turned away. */
  onRefused?(of: LoadClass): void;
}

/** Whose slots are not cut: they are few, and what the others are cut for. */
const UNCUT: ReadonlySet<LoadClass> = new Set(['emergency', 'hook']);

const busy = (): FhirError => fhirError('busy', 'The server has more to do than it can do now. Try again.');

export class Gate {
  readonly #settings: GateSettings;
  readonly #underWay = new Map<LoadClass, number>();
  readonly #queues = new Map<LoadClass, Waiting[]>(LOAD_CLASSES.map((each) => [each, []]));

  constructor(settings: GateSettings) {
    this.#settings = settings;
  }

  /** How many wait. */
  waiting(of: LoadClass): number {
    return this.#queues.get(of)?.length ?? 0;
  }

  /**
   * Resolves with how to leave when it may begin.
   * @throws FhirError `busy` when too many wait, or it waited too long
   */
  async enter(of: LoadClass): Promise<() => void> {
    if (this.waiting(of) > 0 || !this.#hasSlot(of)) await this.#turn(of);
    else this.#count(of, 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#count(of, -1);
      this.#next();
    };
  }

  /** Runs the work between entering and leaving. */
  async within<T>(of: LoadClass, work: () => Promise<T>): Promise<T> {
    const leave = await this.enter(of);
    try {
      return await work();
    } finally {
      leave();
    }
  }

  #count(of: LoadClass, by: number): void {
    this.#underWay.set(of, (this.#underWay.get(of) ?? 0) + by);
  }

  #hasSlot(of: LoadClass): boolean {
    const { allowances, share } = this.#settings;
    const { own, total } = allowances[of];
    const part = UNCUT.has(of) ? 1 : (share?.() ?? 1);
    let all = 0;
    for (const each of this.#underWay.values()) all += each;
    // One at least, or what waits would wait for nobody.
    return (
      (this.#underWay.get(of) ?? 0) < Math.max(1, Math.floor(own * part)) && all < Math.max(1, Math.floor(total * part))
    );
  }

  #turn(of: LoadClass): Promise<void> {
    const queue = this.#queues.get(of) ?? [];
    const { allowances, waitMs, onRefused } = this.#settings;
    if (queue.length >= allowances[of].queue) {
      onRefused?.(of);
      return Promise.reject(busy());
    }
    return new Promise((admit, refuse) => {
      const waiting: Waiting = {
        admit,
        refuse,
        timer: setTimeout(() => {
          queue.splice(queue.indexOf(waiting), 1);
          onRefused?.(of);
          refuse(busy());
        }, waitMs),
      };
      queue.push(waiting);
    });
  }

  /** Whoever may begin now, the foremost class first. */
  #next(): void {
    for (const of of LOAD_CLASSES) {
      const queue = this.#queues.get(of) ?? [];
      while (queue.length > 0 && this.#hasSlot(of)) {
        const first = queue.shift();
        clearTimeout(first?.timer);
        this.#count(of, 1);
        first?.admit();
      }
    }
  }
}
