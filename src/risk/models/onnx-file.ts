/** Looks into an ONNX file before the runtime does. Source: onnx.proto (field numbers), protobuf wire format. */

type Message = 'model' | 'graph' | 'node' | 'attribute' | 'tensor' | 'sparse' | 'function' | 'training';

/** Fields that hold a message which can, at some depth, hold a tensor. */
const NESTED: Readonly<Record<Message, Readonly<Record<number, Message>>>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  tensor: {},
  sparse: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 11: 'attribute' },
  training: { 1: 'graph', 2: 'graph' },
};
const [OPERATOR, DOMAIN] = [4, 7];
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;
const DEEPEST = 32;

/** A place in a file; reading moves it. */
export interface Cursor {
  at: number;
  readonly bytes: Uint8Array;
}

/** An unsigned number of up to 70 bits; exact below 2^53. @throws Error when it is cut off */
export function varint(cursor: Cursor, end: number): number {
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = cursor.at < end ? cursor.bytes[cursor.at++] : undefined;
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw new Error('not an ONNX file: a number is cut off');
}

/** Length of a field's payload of wire type 0, 1, 2 or 5; varints are consumed. */
export function payload(cursor: Cursor, wire: number, end: number): number {
  const length = wire === 2 ? varint(cursor, end) : wire === 1 ? 8 : wire === 5 ? 4 : -1;
  if (length < 0 || cursor.at + length > end) throw new Error('not an ONNX file: a field is cut off');
  return length;
}

/** One node of a graph, as the file names it. An empty domain is ai.onnx. */
export interface Operator {
  readonly domain: string;
  readonly name: string;
}
interface Walk {
  readonly found: { domain: string; name: string }[];
}
const text = new TextDecoder();

function scan(cursor: Cursor, end: number, message: Message, depth: number, walk: Walk): void {
  const operator = { domain: '', name: '' };
  if (message === 'node') walk.found.push(operator);
  if (depth > DEEPEST) throw new Error('the ONNX file is nested too deeply');
  while (cursor.at < end) {
    const key = varint(cursor, end);
    const field = Math.floor(key / 8);
    const wire = key % 8;
    if (wire === 0) {
      const value = varint(cursor, end);
      if (message === 'tensor' && field === DATA_LOCATION && value !== 0) throw new Error('external data is refused');
      continue;
    }
    const length = payload(cursor, wire, end);
    if (message === 'tensor' && field === EXTERNAL_DATA) throw new Error('external data is refused');
    const nested = wire === 2 ? NESTED[message][field] : undefined;
    if (message === 'node' && field === OPERATOR) operator.name = text.decode(slice(cursor, length));
    else if (message === 'node' && field === DOMAIN) operator.domain = text.decode(slice(cursor, length));
    if (nested === undefined) cursor.at += length;
    else scan(cursor, cursor.at + length, nested, depth + 1, walk);
  }
}

const slice = ({ bytes, at }: Cursor, length: number): Uint8Array => bytes.subarray(at, at + length);

/** Operators of the file, those of subgraphs and functions too. @throws Error as `refuseUnsafeOnnx`, but for the operators themselves */
export function operatorsOf(bytes: Uint8Array): readonly Operator[] {
  if (bytes.length === 0) throw new Error('not an ONNX file: it is empty');
  const walk: Walk = { found: [] };
  scan({ at: 0, bytes }, bytes.length, 'model', 0, walk);
  return walk.found;
}

/** Operators of the runtime itself; anything else would need a library that the hash does not cover. */
const DOMAINS = new Set(['', 'ai.onnx', 'ai.onnx.ml']);
/** Name -> why it may not answer for a patient. */
const REFUSED: Readonly<Record<string, string>> = {
  Loop: 'its time has no bound',
  Scan: 'its time has no bound',
  RandomNormal: 'it answers by chance',
  RandomNormalLike: 'it answers by chance',
  RandomUniform: 'it answers by chance',
  RandomUniformLike: 'it answers by chance',
  Multinomial: 'it answers by chance',
  Bernoulli: 'it answers by chance',
};

/**
 * Refuses a file that is not an ONNX protobuf, in which any tensor points to another file (the hash covers this file only), or with an operator
 * that is of a foreign domain, answers by chance or has no bound in time.
 * @throws Error with the reason
 */
export function refuseUnsafeOnnx(bytes: Uint8Array): void {
  for (const { domain, name } of operatorsOf(bytes)) {
    if (!DOMAINS.has(domain))
      throw new Error(`operator ${name} of domain ${domain} is refused: only the runtime's own are run`);
    const why = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    if (why !== undefined) throw new Error(`operator ${name} is refused: ${why}`);
  }
}
