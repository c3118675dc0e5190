/**
 * A transaction sent twice is done once: what became of a Bundle with an identifier is kept in its commit and answered again.
 * Source: FHIR R4 bundle.html ("persistent identifier for the bundle"); docs/decisions/0012.
 */
import { createHash } from 'node:crypto';
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, parseJson, type Resource, serialize } from '../../fhir/resource.ts';
import type { Caller } from '../context.ts';
import { responseEntry } from '../wire/bundle-entry.ts';
import { canonicalText } from '../wire/canonical.ts';
import { entityTag } from '../wire/represent.ts';
import { type Change, locationOf } from './change.ts';

/** Under which key the outcome is kept, and what the Bundle said. */
export interface Replay {
  readonly key: string;
  readonly hash: string;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Undefined for a Bundle without identifier: sent twice it is done twice. Identifiers of one principal say nothing of another's. */
export function replayOf(bundle: Resource, { principal }: Caller): Replay | undefined {
  const { identifier, id: _id, meta: _meta, timestamp: _timestamp, ...content } = bundle;
  if (identifier === undefined || !isJsonObject(identifier)) return undefined;
  const { system = '', value } = identifier;
  if (typeof value !== 'string' || value === '' || typeof system !== 'string') return undefined;
  return { key: sha256(JSON.stringify([principal, system, value])), hash: sha256(canonicalText(content)) };
}

/** What is kept of an entry; null for one that reads. */
type Kept = { readonly status: number; readonly path?: string; readonly version?: number } | null;

/** @param changes the change of each entry: undefined for a delete of nothing or of several, null for an entry that reads */
export function keptText({ hash }: Replay, changes: readonly (Change | null | undefined)[]): string {
  const entries = changes.map((change): Kept => {
    if (change === null) return null;
    if (change === undefined) return { status: 204 };
    const { status, interaction, version, posted } = change;
    const path = interaction === 'delete' || posted !== undefined ? {} : { path: locationOf(change, '') };
    return { status, ...path, ...(version > 0 && posted === undefined ? { version } : {}) };
  });
  return serialize({ hash, entries });
}

/**
 * The kept answers by entry, as JSON text; undefined for entries that read, which are asked anew.
 * @throws FhirError `conflict` (409) when the identifier belongs to another Bundle
 */
export function replayed(text: string, { hash }: Replay, fhirBase: string): readonly (string | undefined)[] {
  const kept = parseJson(text);
  if (!isJsonObject(kept) || !Array.isArray(kept.entries)) throw new TypeError('What is kept is not an outcome.');
  if (kept.hash !== hash) {
    throw fhirError('conflict', 'A transaction with this identifier and another content is done already.', {
      expression: 'Bundle.identifier',
    });
  }
  const entries: readonly Json[] = kept.entries;
  return entries.map((entry) => {
    if (!isJsonObject(entry)) return undefined;
    const { status, path, version } = entry;
    const headers = {
      ...(typeof path === 'string' ? { Location: `${fhirBase}${path}` } : {}),
      ...(typeof version === 'number' ? { ETag: entityTag(version) } : {}),
    };
    return responseEntry({ status: Number(status), headers, body: undefined });
  });
}

/** Thrown where a transaction turns out to be done already, before it is decided. */
export class DoneAlready extends Error {
  readonly kept: string;
  constructor(kept: string) {
    super('The transaction is done already.');
    this.kept = kept;
  }
}
