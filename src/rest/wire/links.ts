/** URLs the server mints: always below the configured base, never from a Host header. Source: http.html#paging, bundle.html#references. */
import { label, type ResourceKey } from '../../fhir/resource.ts';
import { type Pair, queryOf } from './query-text.ts';

export interface Link {
  readonly relation: 'self' | 'next' | 'first' | 'previous';
  readonly url: string;
}

/** `<base>/Patient/1`. */
export function urlOf(base: string, key: ResourceKey): string {
  return `${base}/${label(key)}`;
}

/** `<base>/Patient/1/_history/3`. */
export function versionUrl(base: string, key: ResourceKey, version: number): string {
  return `${base}/${label(key)}/_history/${version}`;
}

const SHAPING: ReadonlySet<string> = new Set(['_format', '_pretty']);

/**
 * Links of one page; `first` on all pages but the first. There is no `last`: it would cost a search from the end.
 * @param url without query
 * @param used the parameters that decided the content
 * @param asked all parameters as asked: `_format` and `_pretty` are carried along
 * @param cursor where the next page starts; undefined = this is the last
 * @param previous where the page before starts, its cursor undefined for the first page; undefined = not known
 */
export function pageLinks(
  url: string,
  used: readonly Pair[],
  asked: readonly Pair[],
  cursor: string | undefined,
  previous?: { readonly cursor: string | undefined },
): readonly Link[] {
  const shaping = asked.filter(([name]) => SHAPING.has(name));
  const own = used.filter(([name]) => !SHAPING.has(name));
  const withQuery = (pairs: readonly Pair[]): string => (pairs.length === 0 ? url : `${url}?${queryOf(pairs)}`);
  const self: Link = { relation: 'self', url: withQuery([...own, ...shaping]) };
  const start = own.filter(([name]) => name !== '_cursor');
  const isFirst = start.length === own.length;
  const startingAt = (at: string | undefined): string =>
    withQuery([...start, ...shaping, ...(at === undefined ? [] : [['_cursor', at] as const])]);
  const links: Link[] = isFirst ? [self] : [self, { relation: 'first', url: startingAt(undefined) }];
  if (previous !== undefined) links.push({ relation: 'previous', url: startingAt(previous.cursor) });
  if (cursor !== undefined) links.push({ relation: 'next', url: startingAt(cursor) });
  return links;
}
