/** What a transaction writes for the requests of its group. */
import type { AnyBulkWriteOperation, ClientSession } from 'mongodb';
import { instantText } from '../../fhir/time.ts';
import type { Command } from '../port.ts';
import { type Collections, type KeptDoc, placeOf, type ResourceDoc, type VersionDoc } from './layout.ts';
import type { SearchMembers } from './members.ts';
import { type Layout, withAdded } from './prepare.ts';
import { type Forgotten, forget, purge } from './purge.ts';

type Write = Extract<Command, { op: 'put' | 'delete' }>;

/** Writes of one transaction, kept until something must see them. */
export class Batch {
  readonly #collections: Collections;
  readonly #session: ClientSession;
  readonly #at: number;
  readonly #layouts: readonly Layout[];
  #versions: VersionDoc[] = [];
  #resources = new Map<string, ResourceDoc>();
  #kept: KeptDoc[] = [];
  #sets = new Map<string, Extract<Command, { op: 'set' }>>();

  constructor(collections: Collections, session: ClientSession, at: number, layouts: readonly Layout[]) {
    this.#collections = collections;
    this.#session = session;
    this.#at = at;
    this.#layouts = layouts;
  }

  /** @param members of a `put` */
  write(command: Write, r: number, s: number, members: SearchMembers = {}): void {
    const { key, version: v, patients: p } = command;
    const o = `${key.type}/${key.id}`;
    const isPut = command.op === 'put';
    const m = isPut ? command.method : 'DELETE';
    const made = { _id: s, o, t: key.type, v, at: this.#at, m, p } as const;
    const text = isPut ? `${command.body.head}${instantText(this.#at)}${command.body.tail}` : undefined;
    const x = text === undefined ? null : this.#collections.fields.seal(placeOf.version(made), text);
    this.#versions.push(withAdded<VersionDoc>(this.#layouts, 'version', { ...made, x }));
    const searched: ResourceDoc = { _id: o, r: isPut ? r : -r, v, s, at: this.#at, ...members };
    this.#resources.set(o, withAdded(this.#layouts, 'resource', searched));
  }

  keep(key: string, value: string): void {
    const v = this.#collections.fields.seal(placeOf.kept(key), value);
    this.#kept.push({ _id: key, v, at: this.#at });
  }

  set(command: Extract<Command, { op: 'set' }>): void {
    this.#sets.set(`${command.space} ${command.key}`, command);
  }

  async purge(command: Extract<Command, { op: 'purge' }>): Promise<void> {
    await this.flush();
    await purge(this.#collections, command, this.#session);
  }

  async forget(command: Extract<Command, { op: 'forget' }>, forgotten: Forgotten): Promise<void> {
    await this.flush();
    await forget(this.#collections, command, this.#session);
    forgotten.add(command.patients);
  }

  async flush(): Promise<void> {
    const { version, resource, kept } = this.#collections;
    const options = { session: this.#session, ordered: false };
    if (this.#versions.length > 0) await version.insertMany(this.#versions, options);
    if (this.#resources.size > 0) {
      const replaced = [...this.#resources.values()].map(
        ({ _id, ...replacement }): AnyBulkWriteOperation<ResourceDoc> => ({
          replaceOne: { filter: { _id }, replacement, upsert: true },
        }),
      );
      await resource.bulkWrite(replaced, options);
    }
    if (this.#kept.length > 0) await kept.insertMany(this.#kept, options);
    await this.#flushSets();
    this.#versions = [];
    this.#resources = new Map();
    this.#kept = [];
    this.#sets = new Map();
  }

  async #flushSets(): Promise<void> {
    if (this.#sets.size === 0) return;
    const { keyed, fields } = this.#collections;
    const session = this.#session;
    await keyed.bulkWrite(
      [...this.#sets].map(([_id, { value, expiresAt: x = null }]) => {
        if (value === undefined) return { deleteOne: { filter: { _id } } };
        const v = fields.seal(placeOf.keyed(_id, x), value);
        return { replaceOne: { filter: { _id }, replacement: { v, x }, upsert: true } };
      }),
      { session, ordered: false },
    );
  }
}
