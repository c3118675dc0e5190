/** The identity providers as configured: their files checked, the one way out to them, and who asks by their tokens. */
import { join } from 'node:path';
import { ROUTES } from '../authorization/provider.ts';
import type { Config } from '../config.ts';
import { fhirError } from '../fhir/outcome.ts';
import { type Guard, loopbackGuard } from '../http/access.ts';
import { allowList } from '../outbound/allow-list.ts';
import { Outbound } from '../outbound/outbound.ts';
import type { Caller, RestContext, RestSettings, Term } from '../rest/context.ts';
import { tokenVerifier } from '../smart/bearer.ts';
import { embeddedMetadata, smartConfiguration, speaker } from '../smart/discovery.ts';
import type { TellEmergency } from '../smart/emergency.ts';
import { type Identify, identityOf } from '../smart/identity.ts';
import { type Issuer, loadIssuers } from '../smart/issuer.ts';
import type { AccessPolicy } from '../smart/policy.ts';

export interface OpenIdentity {
  /** Undefined without an issuer: then the server is a demonstration. */
  readonly identify: Identify | undefined;
  /** Where tokens decide, names of hosts do not: a token is no cookie, no page sends one by itself. @param origins of pages that may call */
  guard(origins?: ReadonlySet<string>): Guard;
  /** For pages that show what a patient's card stood on: a link carries no token, so they are the demonstration's. */
  readonly pageGuard: Guard;
  readonly issuers: readonly Issuer[];
  /** JSON of smart-configuration, when an issuer says where tokens are got. */
  readonly smart: string | undefined;
  /** Whether what a caller was granted still holds when they do not ask. Without an issuer there is nobody to be granted anything. */
  stands(client: Caller['client'], term: Term | undefined): Promise<boolean>;
  close(): void;
}
export interface IdentityParts {
  /** issuers/ */
  readonly folder: string;
  readonly fhirBase: string;
  now(): number;
  current(): RestContext;
  /** Issuers that no file names: the server's own. */
  readonly own?: readonly Issuer[];
  /** Undefined: no role is known. */
  readonly policy?: AccessPolicy | undefined;
  readonly tellEmergency: TellEmergency;
}

/** Longest wait for keys or an introspection, ms. */
const TIMEOUT_MS = 2000;
const ANSWER_BYTES = 262_144;

/** @throws TypeError naming every file that cannot be used */
export function openIdentity({ ISSUERS_DIR, PUBLIC_URL }: Config, parts: IdentityParts): OpenIdentity {
  const { folder, fhirBase, now, current, tellEmergency, own = [] } = parts;
  const found =
    ISSUERS_DIR === undefined ? { issuers: [], problems: [] } : loadIssuers(ISSUERS_DIR, join(folder, 'schema.json'));
  const problems = [...found.problems, ...found.issuers.flatMap((issuer) => unknownRoles(issuer, parts.policy))];
  if (problems.length > 0) throw new TypeError(`Issuers: ${problems.join(' ')}`);
  const issuers = [...own, ...found.issuers];
  if (issuers.length === 0) {
    const guard = (origins?: ReadonlySet<string>): Guard => loopbackGuard(PUBLIC_URL, origins);
    return {
      identify: undefined,
      guard,
      pageGuard: guard(),
      issuers,
      smart: undefined,
      stands: async () => true,
      close: () => undefined,
    };
  }
  const outbound = new Outbound({ allow: allowList(placesOf(issuers).join(',')) });
  const verifier = tokenVerifier({
    issuers,
    now,
    call: (call) => outbound.call({ ...call, timeoutMs: TIMEOUT_MS, answerBytes: ANSWER_BYTES }),
  });
  return {
    issuers,
    smart: smartConfiguration(issuers),
    guard: () => () => undefined,
    pageGuard: () => fhirError('login', 'This page is for requests with an access token.'),
    identify: identityOf({ verifier, fhirBase, context: current, tellEmergency }),
    stands: (client, term) => stillStands(issuers, client, term, now()),
    close: () => outbound.close(),
  };
}

/** By the issuer the client is of, which must still be configured. */
async function stillStands(
  issuers: readonly Issuer[],
  client: Caller['client'],
  term: Term | undefined,
  now: number,
): Promise<boolean> {
  const issuer = issuers.find((each) => each.issuer === client.system);
  if (issuer === undefined || term === undefined) return false;
  const { until, token, grant } = term;
  if (until !== undefined && until <= now) return false;
  if (issuer.own === undefined) return until !== undefined;
  return until === undefined
    ? issuer.own.lasts(client.value, grant)
    : (await issuer.own.standing(token ?? '')) !== undefined;
}

/** Roles that an issuer's file names and no file defines; a sentence each. */
function unknownRoles({ issuer, roles, withoutRole }: Issuer, policy: AccessPolicy | undefined): readonly string[] {
  const named = [...roles.values(), ...(['none', 'scopes'].includes(withoutRole) ? [] : [withoutRole])];
  return [...new Set(named)]
    .filter((name) => policy?.roles.has(name) !== true)
    .map((name) => `Issuer \`${issuer}\` names the role \`${name}\`, which no file defines.`);
}

/** What the CapabilityStatement says of tokens, on any thread; undefined: there are none. @param url PUBLIC_URL */
export function authorityOf(config: Config, folder: string, url: string): RestSettings['authority'] {
  const { AUTHORIZATION, ISSUERS_DIR } = config;
  if (AUTHORIZATION === 'off' && ISSUERS_DIR === undefined) return undefined;
  const files = ISSUERS_DIR === undefined ? [] : loadIssuers(ISSUERS_DIR, join(folder, 'schema.json')).issuers;
  const own = AUTHORIZATION === 'off' ? undefined : embeddedMetadata(`${url}/oauth`, ROUTES);
  const metadata = own ?? speaker(files)?.metadata;
  return { authorize: metadata?.authorization_endpoint, token: metadata?.token_endpoint };
}

/** Every address that is asked, without its query, and the networks it may resolve to. */
function placesOf(issuers: readonly Issuer[]): readonly string[] {
  return issuers.flatMap(({ jwksUrl, introspection, networks }) => [
    ...[jwksUrl, introspection?.endpoint].flatMap((url) => (url === undefined ? [] : [url.replace(/\?.*$/s, '')])),
    ...networks,
  ]);
}
