/** Preconditions inside one transaction: what is there, counting what the group has staged before. */
import type { ClientSession } from 'mongodb';
import type { Command } from '../port.ts';
import { inSession } from './join.ts';
import { type Collections, placeOf } from './layout.ts';
import type { Forgotten } from './purge.ts';
import type { Searcher } from './search.ts';

type Write = Extract<Command, { op: 'put' | 'delete' }>;
type SetCommand = Extract<Command, { op: 'set' }>;

/** The current state of a resource: its place (negative when deleted) and version. */
interface Current {
  readonly r: number;
  readonly version: number;
}

const labelOf = ({ key }: Pick<Write, 'key'>): string => `${key.type}/${key.id}`;
const spaceKey = ({ space, key }: SetCommand): string => `${space} ${key}`;

export class Judge {
  readonly #collections: Collections;
  readonly #searcher: Searcher;
  readonly #forgotten: Forgotten;
  readonly #session: ClientSession;
  readonly #now: number;
  #current = new Map<string, Current>();
  #kept = new Set<string>();
  #values = new Map<string, string>();

  constructor(collections: Collections, searcher: Searcher, forgotten: Forgotten, session: ClientSession, now: number) {
    this.#forgotten = forgotten;
    this.#collections = collections;
    this.#searcher = searcher;
    this.#session = session;
    this.#now = now;
  }

  /** Reads what these commands are judged by, a query a kind. */
  async prepare(commands: readonly Command[]): Promise<void> {
    const { resource, kept, keyed, fields } = this.#collections;
    const session = this.#session;
    const labels = new Set(
      commands.flatMap((command) =>
        'key' in command && typeof command.key !== 'string' ? [labelOf({ key: command.key })] : [],
      ),
    );
    const keeps = new Set(commands.flatMap((command) => (command.op === 'keep' ? [command.key] : [])));
    const sets = new Set(
      commands.flatMap((command) => (command.op === 'set' && command.expect !== undefined ? [spaceKey(command)] : [])),
    );
    if (labels.size > 0) {
      const found = resource.find({ _id: { $in: [...labels] } }, { session, projection: { _id: 1, r: 1, v: 1 } });
      for await (const { _id, r, v } of found) this.#current.set(_id, { r, version: v });
    }
    if (keeps.size > 0) {
      for await (const { _id } of kept.find({ _id: { $in: [...keeps] } }, { session, projection: { _id: 1 } })) {
        this.#kept.add(_id);
      }
    }
    if (sets.size > 0) {
      for await (const { _id, v, x } of keyed.find({ _id: { $in: [...sets] } }, { session })) {
        if ((x ?? Number.POSITIVE_INFINITY) <= this.#now) continue;
        this.#values.set(_id, fields.open(placeOf.keyed(_id, x), v));
      }
    }
  }

  /**
   * Index of the first command whose precondition fails; undefined when all hold.
   * @param flush writes what is staged, so that a search sees it
   */
  async conflict(commands: readonly Command[], flush: () => Promise<void>): Promise<number | undefined> {
    const within = new Map<string, Current>();
    const keeps = new Set<string>();
    const values = new Map<string, string | undefined>();
    for (const [index, command] of commands.entries()) {
      switch (command.op) {
        case 'expect':
          await flush();
          if (!(await this.#expects(command))) return index;
          break;
        case 'keep':
          if (keeps.has(command.key) || this.#kept.has(command.key)) return index;
          keeps.add(command.key);
          break;
        case 'set': {
          const key = spaceKey(command);
          const held = values.has(key) ? values.get(key) : this.#values.get(key);
          if (command.expect !== undefined && (held ?? null) !== command.expect) return index;
          values.set(key, command.value);
          break;
        }
        case 'forget':
          await flush();
          if (await this.#isAbout(command)) return index;
          break;
        case 'unforgotten':
          if (this.#forgotten.some(command.patients)) return index;
          break;
        case 'hold':
        case 'purge':
          if (command.version !== (within.get(labelOf(command)) ?? this.#current.get(labelOf(command)))?.version) {
            return index;
          }
          break;
        default: {
          const label = labelOf(command);
          const current = within.get(label) ?? this.#current.get(label);
          const deletes = command.op === 'delete';
          if (!deletes && this.#forgotten.some(command.patients)) return index;
          if (command.version !== (current?.version ?? 0) + 1) return index;
          if (deletes && (current === undefined || current.r < 0)) return index;
          within.set(label, { r: deletes ? -1 : 1, version: command.version });
        }
      }
    }
    return undefined;
  }

  /** Whether a version about one of them is held above a sequence. */
  async #isAbout({ patients, through }: Extract<Command, { op: 'forget' }>): Promise<boolean> {
    const filter = { p: { $in: [...patients] }, _id: { $gt: through } };
    const options = { session: this.#session, projection: { _id: 1 as const } };
    return (await this.#collections.version.findOne(filter, options)) !== null;
  }

  async #expects({ plan, ids }: Extract<Command, { op: 'expect' }>): Promise<boolean> {
    const run = this.#searcher.run(this.#session);
    const found = await this.#searcher.ids(plan, ids.length + 1, { ...run, ...inSession(run) });
    return found.length === ids.length && new Set([...found, ...ids]).size === ids.length;
  }

  /** Place of a resource that is written: its own, or `fresh` when it is new. Positive. */
  write(command: Write, fresh: number): number {
    const label = labelOf(command);
    const place = Math.abs(this.#current.get(label)?.r ?? fresh);
    this.#current.set(label, { r: command.op === 'delete' ? -place : place, version: command.version });
    return place;
  }

  /** Counts what was committed for the requests after it. */
  done(command: Command): void {
    if (command.op === 'keep') this.#kept.add(command.key);
    if (command.op === 'purge' && command.versions === undefined) this.#current.delete(labelOf(command));
    if (command.op !== 'set') return;
    const isThere = command.value !== undefined && (command.expiresAt ?? Number.POSITIVE_INFINITY) > this.#now;
    if (isThere && command.value !== undefined) this.#values.set(spaceKey(command), command.value);
    else this.#values.delete(spaceKey(command));
  }
}
