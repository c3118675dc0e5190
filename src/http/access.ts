/**
 * Who may talk to a server without identity provider: programs of this machine that address it by its own name.
 * Host is checked against DNS rebinding, Origin against foreign pages, forwarding headers against a proxy that would make strangers local.
 * Source: docs/threat-model.md; RFC 9110 §7.2 (Host), §15.5.20 (421); Fetch standard (Origin); RFC 7239 (Forwarded).
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type FhirError, fhirError } from '../fhir/outcome.ts';

const LOOPBACK_NAMES = ['127.0.0.1', 'localhost', '[::1]'] as const;
const FORWARDING = ['forwarded', 'x-real-ip', 'via'] as const;

/** True for an address of the loopback interface, or the name `localhost`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** A refusal, or undefined when the request may pass. */
export type Guard = (request: IncomingMessage) => FhirError | undefined;

/**
 * @param publicUrl PUBLIC_URL, whose host is a name of this server too; undefined when not configured
 * @param origins of pages that may call besides our own
 */
export function loopbackGuard(publicUrl: string | undefined, origins: ReadonlySet<string> = new Set()): Guard {
  const publicHost = publicUrl === undefined ? undefined : new URL(publicUrl).host.toLowerCase();
  return (request) => {
    const hosts = hostsOf(request.socket, publicHost);
    return forwarded(request) ?? misdirected(request, hosts) ?? foreign(request, hosts, origins);
  };
}

/** The loopback names, the loopback address that was connected to (127.0.0.2 is one too), and the public host. */
function hostsOf({ localAddress = '', localPort = 0 }: Socket, publicHost: string | undefined): ReadonlySet<string> {
  const own =
    isLoopback(localAddress) && !localAddress.includes(':') ? [...LOOPBACK_NAMES, localAddress] : LOOPBACK_NAMES;
  const names = own.map((name) => (localPort === 80 ? name : `${name}:${localPort}`));
  return new Set(publicHost === undefined ? names : [...names, publicHost]);
}

function misdirected({ headersDistinct }: IncomingMessage, hosts: ReadonlySet<string>): FhirError | undefined {
  const given = headersDistinct.host ?? [];
  if (given.length === 1 && hosts.has(given[0]?.toLowerCase() ?? '')) return undefined;
  return fhirError(
    'refused-origin',
    `The Host header does not name this server. Without an identity provider it answers to ${[...hosts].join(', ')} only.`,
  );
}

function foreign(
  { headers }: IncomingMessage,
  hosts: ReadonlySet<string>,
  origins: ReadonlySet<string>,
): FhirError | undefined {
  const { origin } = headers;
  if (origin === undefined || origins.has(origin)) return undefined;
  if (URL.canParse(origin) && hosts.has(new URL(origin).host)) return undefined;
  return fhirError('forbidden', 'Requests from pages of another origin are refused, unless the origin is registered.');
}

/** The header that shows that a request came through a proxy. */
export function forwardingHeader({ headers }: { readonly headers: IncomingHttpHeaders }): string | undefined {
  return (
    FORWARDING.find((header) => headers[header] !== undefined) ??
    Object.keys(headers).find((header) => header.startsWith('x-forwarded-'))
  );
}

function forwarded(request: IncomingMessage): FhirError | undefined {
  const name = forwardingHeader(request);
  if (name === undefined) return undefined;
  return fhirError(
    'forbidden',
    `The header ${name} shows a proxy. Without an identity provider this server must not stand behind one: call it directly on the loopback interface.`,
  );
}
