/**
 * The register of erasures: a file beside the database that only grows, so that a backup of before can be restored and who was erased stays so.
 * One JSON line each: `{"patient": id, "at": instant}`. Why a file and why ids: docs/decisions/0038-erasure.md.
 */
import { open, readFile } from 'node:fs/promises';

export interface Erasure {
  /** Id of the Patient. */
  readonly patient: string;
  /** Instant of the erasure. */
  readonly at: string;
}

const MODE = 0o600;

const isErasure = (value: unknown): value is Erasure =>
  typeof value === 'object' &&
  value !== null &&
  'patient' in value &&
  'at' in value &&
  typeof value.patient === 'string' &&
  typeof value.at === 'string';

/** The line of an erasure; undefined for a line that a crash cut off. */
function erasureOf(line: string): Erasure | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isErasure(value) ? value : undefined;
  } catch {
    return undefined; // the last line of a crash: its erasure is in the database, and is written again at the next start
  }
}

/** Every erasure, each patient once, in the order of the file; none when there is no file yet. */
export async function readRegister(file: string): Promise<readonly Erasure[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  const found = new Map<string, Erasure>();
  for (const line of text.split('\n')) {
    const erasure = erasureOf(line);
    if (erasure !== undefined && !found.has(erasure.patient)) found.set(erasure.patient, erasure);
  }
  return [...found.values()];
}

/** Adds those that are not in the register yet; synced when it resolves. */
export async function addToRegister(file: string, erasures: readonly Erasure[]): Promise<void> {
  const known = new Set((await readRegister(file)).map(({ patient }) => patient));
  const lines = erasures.filter(({ patient }) => !known.has(patient));
  if (lines.length === 0) return;
  const handle = await open(file, 'a', MODE);
  try {
    // A line that a crash cut off is ended first.
    await handle.appendFile(`\n${lines.map(({ patient, at }) => JSON.stringify({ patient, at })).join('\n')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
