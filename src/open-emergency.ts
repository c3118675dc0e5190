/** Emergency access as configured: each token for one leaves an alert and a Task before it is answered for the first time. */
import { createHash } from 'node:crypto';
import { EmergencyReviews } from './privacy/break-glass.ts';
import type { RestContext } from './rest/context.ts';
import { callerOf } from './smart/access.ts';
import type { TellEmergency } from './smart/emergency.ts';

export function emergencyDesk(current: () => RestContext): TellEmergency {
  const reviews = new EmergencyReviews(current);
  return (facts, { issuer, id = '', expiresAt }, patient) =>
    reviews.tell({
      key: createHash('sha256')
        .update(JSON.stringify([issuer, id]))
        .digest('base64url'),
      caller: callerOf(facts, current()),
      ...{ token: id, patient, expiresAt },
      reason: async () => undefined,
    });
}
