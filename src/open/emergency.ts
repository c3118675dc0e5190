/** Emergency access as configured: each token for one leaves an alert and a Task before it is answered for the first time. */
import { createHash } from 'node:crypto';
import type { AuthorizationServer } from '../authorization/server.ts';
import { EmergencyReviews } from '../privacy/break-glass.ts';
import type { RestContext } from '../rest/context.ts';
import { callerOf } from '../smart/access.ts';
import type { TellEmergency } from '../smart/emergency.ts';

/** @param own knows why, when it issued the token itself */
export function emergencyDesk(
  current: () => RestContext,
  own?: Pick<AuthorizationServer, 'emergencyReason'>,
): TellEmergency {
  const reviews = new EmergencyReviews(current);
  return (facts, { issuer, id = '', expiresAt, grant }, patient) =>
    reviews.tell({
      key: createHash('sha256')
        .update(JSON.stringify([issuer, id]))
        .digest('base64url'),
      caller: callerOf(facts, current()),
      ...{ token: id, patient, expiresAt },
      reason: async () => (grant === undefined ? undefined : own?.emergencyReason(grant)),
    });
}
