/** NDJSON bodies of `$import`: never in memory, so larger than any other body. Source: docs/decisions/0015-bulk-export.md. */
import { createGunzip } from 'node:zlib';
import type { Request } from 'express';
import { fhirError } from '../fhir/outcome.ts';
import type { WireRequest } from '../rest/request.ts';
import { AbortedRequest } from './body.ts';

/** Where bodies go until their job takes them. */
export interface UploadPlace {
  /** Bytes, after decompression. */
  readonly limitBytes: number;
  newId(): string;
  keep(id: string, body: AsyncIterable<Uint8Array>): Promise<{ readonly id: string; readonly bytes: number }>;
  drop(id: string): Promise<void>;
}

const NDJSON = /^application\/(?:fhir\+|x-)?ndjson\s*(?:;|$)/i;

/** True for the one request whose body is NDJSON. */
export function isUpload({ method, path, headers }: Omit<WireRequest, 'body'>): boolean {
  return method === 'POST' && path === '/$import' && NDJSON.test(headers['content-type'] ?? '');
}

/**
 * The body, on disk.
 * @throws FhirError `payload-too-large` (413), `unsupported-media-type` (415), `structure` (400), `throttled` (429)
 * @throws AbortedRequest
 */
export async function received(request: Request, place: UploadPlace): Promise<{ id: string; bytes: number }> {
  if (Number(request.headers['content-length'] ?? '0') > place.limitBytes) throw tooLarge(place.limitBytes);
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity' && encoding !== 'gzip') {
    throw fhirError('unsupported-media-type', 'Content-Encoding must be `gzip`, or left out.');
  }
  const plain = encoding === 'gzip' ? request.pipe(createGunzip()) : request;
  try {
    return await place.keep(place.newId(), within(plain, place.limitBytes));
  } catch (cause) {
    if (request.destroyed && !request.complete) throw new AbortedRequest('The request was cut off.', { cause });
    if (cause instanceof Error && 'code' in cause && String(cause.code).startsWith('Z_')) {
      throw fhirError('structure', 'The body is not of its Content-Encoding.', { cause });
    }
    throw cause;
  }
}

const tooLarge = (limit: number) => fhirError('payload-too-large', `The body is larger than ${limit} bytes.`);

async function* within(stream: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > limit) throw tooLarge(limit);
    yield chunk;
  }
}
