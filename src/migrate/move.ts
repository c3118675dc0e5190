/** A whole store moved to another, and both compared: nobody serves either meanwhile. What is moved and how it is read: src/store/transfer.ts. */
import { hash } from 'node:crypto';
import type { Progress } from '../commands/progress.ts';
import type { Movable } from '../store/transfer.ts';
import { batches, eachPart, MOST_ROWS } from './parts.ts';

export interface MoveOptions {
  /** Names the source, so that a move is taken up from the same one only. */
  readonly source: string;
  readonly onProgress?: Progress | undefined;
  /** Tests: rows of a batch at most. */
  readonly mostRows?: number;
}

/** One line of the comparison. */
export interface Compared {
  readonly what: string;
  readonly source: number;
  readonly target: number;
  /** Numbers, from 1, of the batches whose hashes differ. */
  readonly differing: readonly number[];
}

/**
 * Copies what the target does not hold yet: a move that was cut short goes on where it stopped.
 * @throws Error when the target holds data of its own, or of another source
 */
export async function move(from: Movable, to: Movable, options: MoveOptions): Promise<void> {
  const { source, onProgress, mostRows = MOST_ROWS } = options;
  const marked = await to.marked();
  if ((await from.marked()) !== undefined) throw new Error('The source itself is not whole: it is being filled.');
  if (marked !== undefined && marked !== source)
    throw new Error('The target is being filled from another source: take up that move, or name an empty target.');
  if ((await to.noted()) !== undefined) throw new Error('The target is being filled with --online: go on with that.');
  let [done, total] = [0, 0];
  await eachPart(from, to, async ({ from: source, to: target }) => {
    done += await target.count();
    total += await source.count();
  });
  if (marked === undefined && done > 0)
    throw new Error('The target holds data: name an empty folder or database. Nothing was changed.');
  if (marked === undefined) await to.mark(source);
  onProgress?.(done, total);
  await eachPart(from, to, async (work) => {
    for await (const { rows } of batches(work, await work.to.last(), mostRows)) {
      await work.to.restore(rows);
      done += rows.length;
      onProgress?.(done, total);
    }
  });
}

type Tally = Map<string, { source: number; target: number }>;

function tally(types: Tally, type: string | undefined, side: 'source' | 'target'): void {
  if (type === undefined) return;
  const counts = types.get(type) ?? { source: 0, target: 0 };
  counts[side]++;
  types.set(type, counts);
}

/** Reads both from their beginnings: numbers, SHA-256 of each batch, and what the walk of the audit chains says. */
export async function compare(
  from: Movable,
  to: Movable,
  { onProgress, mostRows = MOST_ROWS }: Omit<MoveOptions, 'source'> = {},
): Promise<readonly Compared[]> {
  const lines: Compared[] = [];
  let [done, total] = [0, 0];
  await eachPart(from, to, async ({ from: source }) => {
    total += await source.count();
  });
  const types: Tally = new Map();
  await eachPart(from, to, async (work) => {
    const differing: number[] = [];
    let number = 0;
    for await (const { rows, text, after, count } of batches(work, undefined, mostRows)) {
      number++;
      const held = await work.to.page(after, count);
      const same = hash('sha256', held.map((row) => work.textOf(row)).join('\n')) === hash('sha256', text);
      if (!same) differing.push(number);
      for (const row of rows) tally(types, work.typeOf?.(row), 'source');
      for (const row of held) tally(types, work.typeOf?.(row), 'target');
      done += rows.length;
      onProgress?.(done, total);
    }
    const [source, target] = [await work.from.count(), await work.to.count()];
    lines.push({ what: work.name, source, target, differing });
  });
  for (const [type, counts] of [...types].sort(([a], [b]) => (a < b ? -1 : 1))) {
    lines.push({ what: `version of ${type}`, ...counts, differing: [] });
  }
  const [source, target] = [await from.verifyAudit(), await to.verifyAudit()];
  lines.push({ what: 'audit rows whose chain holds', source: source.rows, target: target.rows, differing: [] });
  lines.push({
    what: 'audit row where it breaks, 0: none',
    ...{ source: source.broken ?? 0, target: target.broken ?? 0, differing: [] },
  });
  return lines;
}

export const isEqual = ({ source, target, differing }: Compared): boolean =>
  source === target && differing.length === 0;

/** A table for the terminal; numbers and types only. */
export function comparison(lines: readonly Compared[]): string {
  const rows = lines.map((line) => {
    const told = line.differing.length === 0 ? '' : ` in batches ${line.differing.slice(0, 10).join(', ')}`;
    const verdict = isEqual(line) ? 'equal' : `DIFFERS${told}`;
    return [line.what, String(line.source), String(line.target), verdict] as const;
  });
  const all = [['', 'source', 'target', ''] as const, ...rows];
  const width = Math.max(...all.map(([what]) => what.length));
  return all
    .map(
      ([what, source, target, told]) => `${what.padEnd(width)} ${source.padStart(12)} ${target.padStart(12)}  ${told}`,
    )
    .join('\n');
}
