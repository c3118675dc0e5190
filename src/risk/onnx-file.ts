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

function scan(cursor: Cursor, end: number, message: Message, depth: number): void {
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
    if (nested === undefined) cursor.at += length;
    else scan(cursor, cursor.at + length, nested, depth + 1);
  }
}

/**
 * Refuses a file that is not an ONNX protobuf, or in which any tensor points to another file: the hash covers this file only.
 * @throws Error with the reason
 */
export function refuseUnsafeOnnx(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new Error('not an ONNX file: it is empty');
  scan({ at: 0, bytes }, bytes.length, 'model', 0);
}
