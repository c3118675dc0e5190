/**
 * Where this server may call: origins with an optional path, and the networks that names may resolve to besides public ones.
 * URLs are compared by component, never as text. Source: docs/threat-model.md (SSRF); WHATWG URL.
 */
import { isIP } from 'node:net';
import { isPublic, Networks } from './address.ts';

export interface AllowList {
  /** Why a URL may not be called, as a clause that names no part of it; undefined when it may. */
  refusal(url: string): string | undefined;
  /** Whether a connection to this address may be made for a host. */
  permitsAddress(host: string, address: string): boolean;
}

interface Entry {
  readonly origin: string;
  /** Path prefix, ends at a segment boundary; '/' = everything. */
  readonly path: string;
  /** Without the brackets of IPv6. */
  readonly host: string;
}

const LOOPBACK = new Networks(['127.0.0.0/8', '::1/128']);
const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);
const URL_LIMIT = 2000;

/**
 * @param text comma-separated: `https://hooks.example.org`, `https://ehr.example.org/notify`, `10.20.0.0/16`; undefined = loopback only, any port
 * @throws TypeError on an entry that is neither
 */
export function allowList(text: string | undefined): AllowList {
  if (text === undefined) return LOOPBACK_ONLY;
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const networks = new Networks(parts.filter((part) => !part.includes('://')));
  const entries = parts.filter((part) => part.includes('://')).map(entryOf);
  return {
    refusal: (given) =>
      malformed(given) ?? (entries.some((entry) => covers(entry, new URL(given))) ? undefined : NOT_LISTED),
    permitsAddress: (host, address) => {
      const isListed = isIP(host) !== 0 && host === address && entries.some((entry) => entry.host === host);
      const isLocal = host === 'localhost' && LOOPBACK.has(address) && entries.some((entry) => entry.host === host);
      return isPublic(address) || isListed || isLocal || (isIP(address) !== 0 && networks.has(address));
    },
  };
}

const NOT_LISTED = 'its origin and path are not in OUTBOUND_ALLOW';

const LOOPBACK_ONLY: AllowList = {
  refusal: (given) => malformed(given) ?? (LOOPBACK_HOSTS.has(new URL(given).hostname) ? undefined : NOT_LISTED),
  permitsAddress: (_host, address) => isIP(address) !== 0 && LOOPBACK.has(address),
};

/** The host of a URL as an address or name: without the brackets of IPv6. */
export function hostOf({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

function entryOf(text: string): Entry {
  const fault = malformed(text);
  if (fault !== undefined) throw new TypeError(`an entry cannot be used: ${fault}`);
  const url = new URL(text);
  if (url.search !== '') throw new TypeError('an entry cannot be used: it has a query');
  return { origin: url.origin, path: url.pathname, host: hostOf(url) };
}

/** The segment boundary keeps `/notify-evil` out of `/notify`. Encoded dots and slashes have no business in an endpoint. */
function covers({ origin, path }: Entry, url: URL): boolean {
  if (url.origin !== origin) return false;
  const base = path.endsWith('/') ? path : `${path}/`;
  return url.pathname === path || url.pathname.startsWith(base);
}

function malformed(text: string): string | undefined {
  if (text.length > URL_LIMIT) return `it is longer than ${URL_LIMIT} characters`;
  if (!URL.canParse(text)) return 'it is not an absolute URL';
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'its scheme is neither https nor http';
  if (url.username !== '' || url.password !== '') return 'it holds credentials';
  if (text.includes('#')) return 'it has a fragment';
  if (/[\s\\]/.test(text)) return 'it holds white space or a backslash';
  return /%(?:2e|2f|5c|00)/i.test(url.pathname) ? 'its path holds an encoded dot, slash, backslash or NUL' : undefined;
}
