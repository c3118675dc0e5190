/** Content codings of answers. Source: RFC 9110 §12.5.3 (Accept-Encoding), §8.4. */
import { brotliCompress, constants, deflate, gzip } from 'node:zlib';

export type Coding = 'gzip' | 'br' | 'deflate';

/** Below this size a coding costs more than it saves. */
const SMALLEST_BYTES = 1024;
/** Levels at which the time stays near that of JSON itself: 5 of 9, 4 of 11. */
const LEVEL = { level: 5 };
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };

/** In the order the server prefers when a client wants several alike: gzip needs least memory. */
const CODINGS: readonly Coding[] = ['gzip', 'br', 'deflate'];
const ALIASES: Readonly<Record<string, string>> = { 'x-gzip': 'gzip' };

/** The coding to answer in; undefined = as it is, because the client does not ask or the body is small. */
export function codingOf(acceptEncoding: string | undefined, bytes: number): Coding | undefined {
  if (acceptEncoding === undefined || bytes <= SMALLEST_BYTES) return undefined;
  const wanted = new Map(acceptEncoding.split(',').map(weighed));
  const weight = (coding: string): number => wanted.get(coding) ?? wanted.get('*') ?? 0;
  let best: Coding | undefined;
  for (const coding of CODINGS) {
    if (weight(coding) > (best === undefined ? 0 : weight(best))) best = coding;
  }
  const plain = wanted.get('identity') ?? 0;
  return best !== undefined && weight(best) >= plain ? best : undefined;
}

/** `gzip;q=0.5` -> its name and weight; a weight that is none counts as 0. */
function weighed(part: string): [name: string, weight: number] {
  const [name = '', ...parameters] = part.split(';').map((each) => each.trim().toLowerCase());
  const quality = parameters.find((each) => each.startsWith('q='));
  const weight = quality === undefined ? 1 : Number(quality.slice(2));
  return [ALIASES[name] ?? name, weight > 0 && weight <= 1 ? weight : 0];
}

/** Compresses off the main thread. `done` gets undefined when it fails. */
export function encode(coding: Coding, body: Buffer, done: (coded: Buffer | undefined) => void): void {
  const finish = (error: Error | null, coded: Buffer): void => done(error === null ? coded : undefined);
  if (coding === 'br') brotliCompress(body, BROTLI, finish);
  else if (coding === 'gzip') gzip(body, LEVEL, finish);
  else deflate(body, LEVEL, finish);
}
