/**
 * Keys that MongoDB's indexes hold of a document, as bytes in the manner of its KeyString format (src/mongo/db/storage/key_string/README.md): a type
 * byte and the value, a byte at the end, then the place of the document. Computed, not read from a server.
 */
import type { Document } from 'mongodb';

/** Bytes of the place of a document among 10^10: ten bits in the first two bytes, eight in each other. */
const PLACE = 5;

function encoded(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.concat([Buffer.of(60), Buffer.from(value), Buffer.of(0)]);
  if (typeof value !== 'number') return Buffer.of(20);
  if (value === 0) return Buffer.of(40);
  const whole = Buffer.alloc(8);
  // A whole number is doubled: the last bit says whether a fraction follows.
  whole.writeBigUInt64BE(BigInt(Math.min(Math.trunc(Math.abs(value)), Number.MAX_SAFE_INTEGER)) * 2n);
  const first = whole.findIndex((byte) => byte !== 0);
  const digits = whole.subarray(first < 0 ? 7 : first);
  const fraction = Number.isInteger(value) ? Buffer.alloc(0) : Buffer.alloc(8);
  if (fraction.length > 0) fraction.writeDoubleBE(value % 1);
  return Buffer.concat([Buffer.of(value < 0 ? 30 : 41), digits, fraction]);
}

/** The keys of one index, each once, in no order. Paths of one index share at most one array: `d.p`, `d.l`. */
export function indexKeys(document: Document, paths: readonly string[]): readonly Buffer[] {
  const [array = ''] = paths.map((path) => path.split('.')[0] ?? '').filter((name) => Array.isArray(document[name]));
  const elements: readonly unknown[] = array === '' ? [undefined] : document[array];
  const keys = (elements.length === 0 ? [undefined] : elements).map((element) => {
    const values = paths.map((path) => {
      const [name = '', inner] = path.split('.');
      const held: unknown = name === array ? element : document[name];
      return inner === undefined || typeof held !== 'object' || held === null
        ? held
        : Object.entries(held).find(([key]) => key === inner)?.[1];
    });
    return Buffer.concat([...values.map(encoded), Buffer.of(4)]).toString('latin1');
  });
  return [...new Set(keys)].map((key) => Buffer.from(key, 'latin1'));
}

/** What an index of these keys holds: bytes of all, and without what each has in common with the one before it. */
export function indexBytes(keys: Buffer[]): { readonly whole: number; readonly suffixes: number } {
  keys.sort(Buffer.compare);
  let [whole, suffixes] = [0, 0];
  for (const [index, key] of keys.entries()) {
    const before = keys[index - 1];
    let same = 0;
    while (before !== undefined && same < key.length && key[same] === before[same]) same++;
    whole += key.length + PLACE;
    suffixes += key.length - same + PLACE;
  }
  return { whole, suffixes };
}
