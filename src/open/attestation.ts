/** What cards are gated by here: who must be registered to call, and for sepsis the site's attestation, which only the demonstration does not ask for. */
import type { Config } from '../config.ts';
import { isDemonstration } from '../demonstration.ts';
import { attestedModels } from '../risk/attestation.ts';

/** @param asksTokens an issuer is known  @param now ms since 1970  @throws Error when SEPSIS_ATTESTATION cannot be read */
export const openAttestation = (config: Config, asksTokens: boolean, now: number) => ({
  needsClients: asksTokens,
  isDemonstration: isDemonstration(config, asksTokens),
  attested: attestedModels(config.SEPSIS_ATTESTATION, now),
});
