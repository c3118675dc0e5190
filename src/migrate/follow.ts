/**
 * A whole store moved while its servers answer: a copy, rounds over what was written meanwhile, a comparison, and a pause at the end in which the
 * source commits nothing. Decision 0053. What is moved and how it is read: src/store/transfer.ts.
 */
import type { Progress } from '../commands/progress.ts';
import type { Changed, Movable, PartName, Served } from '../store/transfer.ts';
import { type Compared, isEqual } from './move.ts';
import { type Act, batches, eachPart, MOST_ROWS, type PartWork } from './parts.ts';

/** Changes that are read at once, and places that are written or compared at once. */
const CHANGES = 5000;
const PLACES = 200;
/** Changes of a round at most, so that a source that is written faster than the target is seen. */
const MOST_CHANGES = 100_000;
/** A round of so few changes is short enough. */
const FEW = 200;
/** Values by which servers know how far the rows of a client's search parameters are made: none are made here. */
const CLIENT_PARAMETERS = 'search-parameter ';

/** Kept in the target, so that the move is taken up where it was. */
interface Note {
  /** Up to where the changes of the source are in the target. */
  position: string;
  /** Last place copied of each part, and the parts that are whole. */
  copied: Partial<Record<PartName, string | number>>;
  whole: PartName[];
  /** Up to where what the target holds was compared; undefined: not yet. */
  verified?: string;
  /** The source has been left: only the target's end is due. */
  left?: boolean;
}

export interface FollowOptions {
  /** Names the source, so that a move is taken up from the same one only. */
  readonly source: string;
  /** Of the definitions that the target's index entries are made by. */
  readonly indexHash: string;
  readonly bar?: ((what: string) => Progress) | undefined;
  /** Tests: rows of a batch at most. */
  readonly mostRows?: number;
}

type Suspects = Map<PartName, Set<string | number>>;
const countOf = (suspects: Suspects): number => [...suspects.values()].reduce((sum, { size }) => sum + size, 0);

export class Follower {
  readonly #from: Served;
  readonly #to: Movable;
  readonly #options: FollowOptions;
  readonly #note: Note;
  /** Places that were not equal when they were compared last. */
  #suspects: Suspects = new Map();

  private constructor(from: Served, to: Movable, options: FollowOptions, note: Note) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
    this.#note = note;
  }

  /** @throws Error when the target holds data of its own, or of another source, or of a move that was begun without this */
  static async begin(from: Served, to: Movable, options: FollowOptions): Promise<Follower> {
    const [marked, noted] = [await to.marked(), await to.noted()];
    if ((await from.marked()) !== undefined) throw new Error('The source itself is not whole: it is being filled.');
    if (marked !== undefined && marked !== options.source)
      throw new Error('The target is being filled from another source: take up that move, or name an empty target.');
    // The mark comes after the note: a note alone is of a move that was cut short between.
    if (noted !== undefined) {
      if (marked === undefined) await to.mark(options.source);
      return new Follower(from, to, options, JSON.parse(noted));
    }
    if (marked !== undefined) throw new Error('The target is being filled without --online: go on with that.');
    await eachPart(from, to, async (work) => {
      if ((await work.to.count()) > 0)
        throw new Error('The target holds data: name an empty folder or database. Nothing was changed.');
    });
    const note: Note = { position: await from.journal.begin(), copied: {}, whole: [] };
    await to.note(JSON.stringify(note));
    await to.mark(options.source);
    return new Follower(from, to, options, note);
  }

  /** The comparison of everything has been made; what changes since is compared again in the pause. */
  get isVerified(): boolean {
    return this.#note.verified !== undefined;
  }

  async #noted(): Promise<void> {
    await this.#to.note(JSON.stringify(this.#note));
  }

  #each(act: Act): Promise<void> {
    return eachPart(this.#from, this.#to, act);
  }

  /** What was there when each part was begun; the rest comes with the rounds. */
  async copy(): Promise<void> {
    const { bar, mostRows = MOST_ROWS } = this.#options;
    const onProgress = bar?.('copy');
    const { copied, whole } = this.#note;
    let [done, total] = [0, 0];
    await this.#each(async ({ from, to }) => {
      done += await to.count();
      total += await from.count();
    });
    await this.#each(async (work) => {
      if (whole.includes(work.name)) return;
      const held = copied[work.name];
      const end = await work.from.last();
      for await (const { rows } of batches(work, held === undefined ? undefined : work.placeIn(held), mostRows)) {
        const places = rows.map((row) => work.placeOf(row));
        await work.to.replace(places, rows);
        const last = places.at(-1);
        if (last !== undefined) copied[work.name] = last;
        await this.#noted();
        done += rows.length;
        onProgress?.(Math.min(done, total), total);
        // Places that are numbers rise with time: later ones come with the rounds.
        if (typeof last === 'number' && typeof end === 'number' && last >= end) break;
      }
      whole.push(work.name);
      await this.#noted();
    });
    onProgress?.(total, total);
  }

  /** What was committed until now, or about MOST_CHANGES of it. @returns how many places were written again */
  async round(): Promise<number> {
    for (let written = 0, left = MOST_CHANGES; ; ) {
      const { changed, position, more } = await this.#from.journal.changes(this.#note.position, CHANGES);
      written += await this.#apply(changed);
      this.#note.position = position;
      await this.#noted();
      left -= changed.length;
      if (!more || left <= 0) return written;
    }
  }

  /** Rounds for as long as each is less than half of the one before: then only a pause of the writers is shorter. @returns changes of each */
  async rounds(): Promise<readonly number[]> {
    const counts: number[] = [];
    for (let before = Number.POSITIVE_INFINITY; ; ) {
      const count = await this.round();
      counts.push(count);
      if (count <= FEW || count > before / 2) return counts;
      before = count;
    }
  }

  async #apply(changed: readonly Changed[]): Promise<number> {
    let written = 0;
    await this.#eachPlaces(changed, async (work, places) => {
      await work.to.replace(places, await work.from.at(places));
      written += places.length;
    });
    return written;
  }

  async #eachPlaces(
    changed: readonly Changed[],
    act: <Row, Place extends string | number>(work: PartWork<Row, Place>, places: readonly Place[]) => Promise<void>,
  ): Promise<void> {
    const byPart = Map.groupBy(changed, ({ part }) => part);
    await this.#each(async (work) => {
      const places = [...new Set(byPart.get(work.name)?.map(({ place }) => work.placeIn(place)))];
      for (let start = 0; start < places.length; start += PLACES) await act(work, places.slice(start, start + PLACES));
    });
  }

  /**
   * Compares everything, row by row, while the source is written: what differs is compared again, see `recheck`.
   * @returns what the walk of the target's audit chains says
   */
  async verify(): Promise<Compared> {
    const { bar, mostRows = MOST_ROWS } = this.#options;
    const onProgress = bar?.('compare');
    const verified = this.#note.position;
    let [done, total] = [0, 0];
    await this.#each(async ({ from }) => {
      total += await from.count();
    });
    this.#suspects = new Map();
    await this.#each(async (work) => {
      for await (const { rows, after, count } of batches(work, undefined, mostRows)) {
        const held = await work.to.page(after, count);
        // What the target has beyond the batch is compared with the next one.
        const last = rows.at(-1);
        const end = last === undefined ? undefined : work.placeOf(last);
        const upTo = held.filter((row) => end !== undefined && !(rows.length === count && work.placeOf(row) > end));
        this.#suspect(work, rows, upTo);
        done += rows.length;
        onProgress?.(Math.min(done, total), total);
      }
    });
    onProgress?.(total, total);
    const [source, target] = [await this.#from.verifyAudit(), await this.#to.verifyAudit()];
    this.#note.verified = verified;
    const what = 'audit row where the chain breaks, 0: none';
    return { what, source: source.broken ?? 0, target: target.broken ?? 0, differing: [] };
  }

  #suspect<Row, Place extends string | number>(
    work: PartWork<Row, Place>,
    rows: readonly Row[],
    held: readonly Row[],
  ): void {
    const textsOf = (of: readonly Row[]) => new Map(of.map((row) => [work.placeOf(row), work.textOf(row)]));
    const [source, target] = [textsOf(rows), textsOf(held)];
    const differing = [...new Set([...source.keys(), ...target.keys()])].filter(
      (place) => source.get(place) !== target.get(place),
    );
    const own = this.#suspects.get(work.name) ?? new Set();
    for (const place of differing) own.add(place);
    this.#suspects.set(work.name, own);
  }

  /** Compares what differed and what changed since, as it is now. @returns how many places it compared */
  async recheck(): Promise<number> {
    const before = [...this.#suspects].flatMap(([part, places]) => [...places].map((place) => ({ part, place })));
    this.#suspects = new Map();
    let compared = 0;
    const check = (changed: readonly Changed[]) =>
      this.#eachPlaces(changed, async (work, places) => {
        this.#suspect(work, await work.from.at(places), await work.to.at(places));
        compared += places.length;
      });
    await check(before);
    let after = this.#note.verified ?? this.#note.position;
    for (let more = true; more; ) {
      const next = await this.#from.journal.changes(after, CHANGES);
      await check(next.changed);
      after = next.position;
      more = next.more;
    }
    // Suspects are known to this process only: without it everything since is compared again.
    this.#note.verified = after;
    if (countOf(this.#suspects) === 0) await this.#noted();
    return compared;
  }

  /** How many places differ that have not changed since the last round. */
  async differing(): Promise<number> {
    const left = new Map([...this.#suspects].map(([part, places]) => [part, new Set(places)]));
    let after = this.#note.position;
    for (let more = true; more; ) {
      const next = await this.#from.journal.changes(after, CHANGES);
      for (const { part, place } of next.changed) left.get(part)?.delete(place);
      after = next.position;
      more = next.more;
    }
    return countOf(left);
  }

  /**
   * The pause: nothing is committed to the source while the last changes are taken over and compared. When everything is equal the source is left for
   * good and the target may be opened; else the source goes on.
   */
  async finish(): Promise<{ readonly isWhole: boolean; readonly lines: readonly Compared[] }> {
    const { journal } = this.#from;
    let lines: readonly Compared[] = [];
    while (this.#note.left !== true) {
      await journal.shut();
      while ((await this.round()) > 0) await journal.shut();
      const compared = await this.recheck();
      await journal.shut();
      lines = [
        ...(await this.#counts()),
        {
          what: 'places that changed, compared',
          source: compared,
          target: compared - countOf(this.#suspects),
          differing: [],
        },
      ];
      if (!lines.every(isEqual)) {
        await journal.reopen();
        return { isWhole: false, lines };
      }
      // False when the pause was over before: it begins again.
      if (await journal.leave(this.#note.position)) this.#note.left = true;
    }
    await this.#noted();
    await this.#forgetClientParameters();
    await this.#to.finish(await this.#from.latest(), this.#options.indexHash);
    return { isWhole: true, lines };
  }

  /** Their rows are made by the server, in the background: searches by them are refused until then. */
  async #forgetClientParameters(): Promise<void> {
    const { keyed } = this.#to;
    for (;;) {
      const page = await keyed.page(CLIENT_PARAMETERS, PLACES);
      const own = page.map(({ place }) => place).filter((place) => place.startsWith(CLIENT_PARAMETERS));
      if (own.length === 0) return;
      await keyed.replace(own, []);
    }
  }

  async #counts(): Promise<readonly Compared[]> {
    const lines: Compared[] = [];
    await this.#each(async ({ name, from, to }) => {
      lines.push({ what: name, source: await from.count(), target: await to.count(), differing: [] });
    });
    return lines;
  }
}
