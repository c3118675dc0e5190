/** Request bodies as text, within limits. Source: RFC 9110 §8.4 (Content-Encoding), docs/threat-model.md (exhaustion). */
import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { fhirError } from '../fhir/outcome.ts';

/** Most bytes that one compressed byte may become; JSON of real records stays below 20. */
const RATIO_LIMIT = 50;
/** Below this size a ratio says nothing. */
const RATIO_FLOOR_BYTES = 65_536;

/** THE table: Content-Encoding -> what undoes it; one layer only. */
const DECODERS: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
]);

/** The client went away before its body was complete: there is nobody to answer. */
export class AbortedRequest extends Error {}

/**
 * The body as text; undefined when there is none.
 * @param limitBytes largest body, after decompression
 * @throws FhirError `payload-too-large` (413), `unsupported-media-type` (415), `structure` (400) when it is not UTF-8
 * @throws AbortedRequest
 */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<string | undefined> {
  const length = Number(request.headers['content-length'] ?? '0');
  if (length > limitBytes) throw tooLarge(limitBytes);
  if (length === 0 && request.headers['transfer-encoding'] === undefined) return undefined;
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding === 'identity') return decoded(await collected(request, request, limitBytes, () => Infinity));
  const decoder = DECODERS.get(encoding)?.();
  if (decoder === undefined) {
    throw fhirError('unsupported-media-type', 'Content-Encoding must be `gzip`, `br` or `deflate`, or left out.');
  }
  return decoded(await decompressed(request, decoder, limitBytes));
}

const tooLarge = (limitBytes: number) =>
  fhirError('payload-too-large', `The body is larger than ${limitBytes} bytes (after decompression).`);

function decompressed(request: IncomingMessage, decoder: Transform, limitBytes: number): Promise<Buffer> {
  let compressed = 0;
  request.on('data', (chunk: Buffer) => {
    compressed += chunk.length;
  });
  request.pipe(decoder);
  const allowed = (): number => Math.max(RATIO_FLOOR_BYTES, compressed * RATIO_LIMIT);
  return collected(request, decoder, limitBytes, allowed).finally(() => {
    request.unpipe(decoder);
    decoder.destroy();
  });
}

function collected(
  request: IncomingMessage,
  source: NodeJS.ReadableStream,
  limitBytes: number,
  allowed: () => number,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const stop = (error: Error): void => {
      source.removeAllListeners('data');
      reject(error);
    };
    source.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) stop(tooLarge(limitBytes));
      else if (size > allowed()) {
        stop(fhirError('payload-too-large', `The body grows more than ${RATIO_LIMIT} times when decompressed.`));
      } else chunks.push(chunk);
    });
    source.on('end', () => resolve(Buffer.concat(chunks, size)));
    source.on('error', (cause) => {
      if (source === request) reject(new AbortedRequest('The request was cut off.', { cause }));
      else stop(fhirError('structure', 'The body is not of its Content-Encoding.', { cause }));
    });
    request.on('aborted', () => reject(new AbortedRequest('The request was cut off.')));
  });
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function decoded(bytes: Buffer): string {
  try {
    return UTF8.decode(bytes);
  } catch (cause) {
    throw fhirError('structure', 'The body is not valid UTF-8.', { cause });
  }
}
