/** Reads the committed training tables (models/train/data/*.csv.gz): plain CSV without quotes, empty for missing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export interface Table {
  readonly length: number;
  readonly names: readonly string[];
  has(name: string): boolean;
  /** Texts of a column. @throws TypeError when there is no such column */
  column(name: string): readonly string[];
  /** Numbers of a column, NaN for missing. */
  numbers(name: string): Float32Array;
}

const DATA = join(import.meta.dirname, 'data');

/** @throws Error when the file is absent or a line has another number of fields than the first */
export function readTable(file: string): Table {
  const [head = '', ...lines] = gunzipSync(readFileSync(join(DATA, file)))
    .toString('utf8')
    .trimEnd()
    .split('\n');
  const names = head.split(',');
  const rows = lines.map((line) => line.split(','));
  if (rows.some(({ length }) => length !== names.length)) throw new Error(`${file}: a line is malformed`);
  const column = (name: string): readonly string[] => {
    const at = names.indexOf(name);
    if (at < 0) throw new TypeError(`${file} has no column ${name}.`);
    return rows.map((row) => row[at] ?? '');
  };
  return {
    length: rows.length,
    names,
    has: (name) => names.includes(name),
    column,
    numbers: (name) => Float32Array.from(column(name), (text) => (text === '' ? Number.NaN : Number(text))),
  };
}

/** Row `index` of several columns as one vector. */
export const vectorAt = (columns: readonly Float32Array[], index: number): Float32Array =>
  Float32Array.from(columns, (column) => column[index] ?? Number.NaN);
