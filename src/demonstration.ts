/**
 * What kind of place this server is, said once: who may come in without saying who they are, and whether the patients are invented. Cards, alerts
 * and `$evaluate` ask it for the site's attestation, monitoring and the sandbox for whether they are on. Described in docs/configuration.md.
 */
import type { Config } from './config.ts';
import { isLoopback } from './http/access.ts';

type Place = Pick<Config, 'HOST' | 'PUBLIC_URL'>;

/** Whether only this machine can reach the server, by its own account. */
export function isOnlyHere({ HOST, PUBLIC_URL }: Place): boolean {
  const host = PUBLIC_URL === undefined ? undefined : new URL(PUBLIC_URL).hostname;
  return isLoopback(HOST) && (host === undefined || isLoopback(host));
}

/** Whether nobody is asked who they are: neither an access token nor the JWT of a CDS client. @param asksTokens an issuer is known */
export function isOpen({ CDS_CLIENTS_DIR }: Pick<Config, 'CDS_CLIENTS_DIR'>, asksTokens: boolean): boolean {
  return CDS_CLIENTS_DIR === undefined && !asksTokens;
}

/** The demonstration: open, only here, over the synthetic patients. Everywhere else real patients are to be expected. */
export function isDemonstration(
  config: Place & Pick<Config, 'CDS_CLIENTS_DIR' | 'SEED'>,
  asksTokens: boolean,
): boolean {
  return config.SEED === 'demo' && isOpen(config, asksTokens) && isOnlyHere(config);
}
