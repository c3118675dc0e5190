/** Lines of an NDJSON stream in bounded memory, with where each ends, so that reading can go on there. Source: ndjson.org. */

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Bytes from the start of the file to the end of the line, its line break included. */
  readonly end: number;
  /** undefined when the line has a fault. */
  readonly text: string | undefined;
  readonly fault: 'too-long' | 'encoding' | undefined;
}

export interface LinesFrom {
  /** Bytes before the stream begins, and lines. */
  readonly offset: number;
  readonly line: number;
  /** Bytes of the longest line; of longer ones nothing is kept. */
  readonly limit: number;
}

const BREAK = 0x0a;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** Every line, empty ones too; the last needs no line break. A byte order mark at the start of a line is dropped. */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>, from: LinesFrom): AsyncGenerator<Line> {
  let { offset, line } = from;
  let parts: Uint8Array[] = [];
  let size = 0;
  const take = (part: Uint8Array): void => {
    size += part.length;
    if (size <= from.limit) parts.push(part);
    else parts = [];
  };
  const ended = (breakBytes: number): Line => {
    offset += size + breakBytes;
    const found = { number: ++line, end: offset, ...decoded(parts, size > from.limit) };
    parts = [];
    size = 0;
    return found;
  };
  for await (const chunk of bytes) {
    let start = 0;
    for (let at = chunk.indexOf(BREAK); at >= 0; at = chunk.indexOf(BREAK, start)) {
      take(chunk.subarray(start, at));
      yield ended(1);
      start = at + 1;
    }
    take(chunk.subarray(start));
  }
  if (size > 0) yield ended(0);
}

function decoded(parts: readonly Uint8Array[], isTooLong: boolean): Pick<Line, 'text' | 'fault'> {
  if (isTooLong) return { text: undefined, fault: 'too-long' };
  try {
    return { text: UTF8.decode(Buffer.concat(parts)), fault: undefined };
  } catch {
    return { text: undefined, fault: 'encoding' };
  }
}
