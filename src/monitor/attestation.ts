/** Rules of monitoring that need the site's attestation. */
import type { Manifest } from '../risk/assessment.ts';
import { type Attestation, attests } from '../risk/attestation.ts';
import type { MonitorRule } from './rule.ts';

/** Rules that may not run here: those that need an attestation of just this model version, and have none. */
export function unattested(
  rules: readonly MonitorRule[],
  models: ReadonlyMap<string, Manifest>,
  attestations: readonly Attestation[],
  isDemonstration: boolean,
): readonly MonitorRule[] {
  return rules.filter(({ attestation: isNeeded, model }) => {
    if (isNeeded !== true || isDemonstration) return false;
    return !attests(attestations, model, models.get(model)?.version);
  });
}
