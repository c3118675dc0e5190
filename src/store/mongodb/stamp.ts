/**
 * A number that is another one after each commit of versions, by whichever process: it is in the head, which each such commit writes. The read is of the
 * majority at the primary, like every other, so what is read after it is no older, as long as the primary stays; when that changes, so does the number.
 * Source: mongodb.com/docs/manual/core/read-isolation-consistency-recency; decision 0040.
 */
import type { ServerDescription } from 'mongodb';
import type { Collections, HeadDoc } from './layout.ts';

/** Above every count of commits. */
const PRIMARY_SPAN = 2 ** 42;
const READ_MS = 2000;
/** The first read of a process finds its primary. */
const TRIES = 3;

/** What the driver tells of the servers. */
interface Topology {
  on(event: 'topologyDescriptionChanged', listener: (change: { readonly newDescription: Described }) => void): unknown;
}
type Server = Pick<ServerDescription, 'address' | 'isWritable' | 'electionId' | 'topologyVersion'>;
interface Described {
  readonly servers: ReadonlyMap<string, Server>;
}

export class Stamps {
  readonly #head: Collections['head'];
  /** Primaries that were seen so far, and the last. */
  #primaries = 0;
  #primary = '';

  constructor({ head }: Pick<Collections, 'head'>, topology: Topology) {
    this.#head = head;
    topology.on('topologyDescriptionChanged', ({ newDescription }) => this.#seen(newDescription));
  }

  /** @param types undefined: of any type */
  async stamp(types: readonly string[] | undefined): Promise<number | undefined> {
    for (let tries = 0; tries < TRIES; tries++) {
      const primaries = this.#primaries;
      const options = { projection: { turn: 1 as const, types: 1 as const }, maxTimeMS: READ_MS };
      const head = await this.#head.findOne({ _id: 'data' }, options);
      if (head === null) return undefined;
      const count = types === undefined ? head.turn : countOf(types, head);
      if (primaries === this.#primaries) return primaries * PRIMARY_SPAN + count;
      // It was read from nobody knows which of them.
    }
    return undefined;
  }

  #seen({ servers }: Described): void {
    const names = [...servers.values()]
      .filter(({ isWritable }) => isWritable)
      .map(({ address, electionId, topologyVersion }) => `${address} ${electionId} ${topologyVersion?.processId}`);
    const primary = names.toSorted().join();
    // While there is none nothing is read.
    if (primary === '' || primary === this.#primary) return;
    this.#primary = primary;
    this.#primaries++;
  }
}

const countOf = (types: readonly string[], { types: counts = {} }: Pick<HeadDoc, 'types'>): number =>
  types.reduce((sum, type) => sum + (counts[type] ?? 0), 0);
