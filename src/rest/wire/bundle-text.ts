/** Bundles as text: stored resources go in as they are stored, never parsed again (0.5 us an entry instead of 170). Source: bundle.html. */
import { instantText } from '../../fhir/time.ts';
import type { Link } from './links.ts';

export interface BundleParts {
  readonly id: string;
  /** ms. */
  readonly at: number;
  readonly type: 'searchset' | 'history' | 'collection';
  readonly total: number | undefined;
  readonly links: readonly Link[];
  /** JSON texts of the entries. */
  readonly entries: readonly string[];
}

/** JSON text of a Bundle; arrays without content are left out (json.html). */
export function bundleText({ id, at, type, total, links, entries }: BundleParts): string {
  const head = {
    resourceType: 'Bundle',
    id,
    meta: { lastUpdated: instantText(at) },
    type,
    ...(total === undefined ? {} : { total }),
    ...(links.length === 0 ? {} : { link: links }),
  };
  const text = JSON.stringify(head);
  return entries.length === 0 ? text : `${text.slice(0, -1)},"entry":[${entries.join(',')}]}`;
}

/** One searchset entry. `url` undefined: an OperationOutcome that lives nowhere. */
export function searchEntry(url: string | undefined, text: string, mode: 'match' | 'include' | 'outcome'): string {
  const fullUrl = url === undefined ? '' : `"fullUrl":${JSON.stringify(url)},`;
  return `{${fullUrl}"resource":${text},"search":{"mode":"${mode}"}}`;
}

/** One entry of a collection. */
export function collectionEntry(url: string, text: string): string {
  return `{"fullUrl":${JSON.stringify(url)},"resource":${text}}`;
}

/** One history entry; `text` undefined: a deletion. */
export function historyEntry(
  url: string,
  text: string | undefined,
  request: { readonly method: string; readonly url: string },
  response: { readonly status: string; readonly etag: string; readonly lastModified: string },
): string {
  const resource = text === undefined ? '' : `"resource":${text},`;
  return `{"fullUrl":${JSON.stringify(url)},${resource}"request":${JSON.stringify(request)},"response":${JSON.stringify(response)}}`;
}
