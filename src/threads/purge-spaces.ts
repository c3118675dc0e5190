/** THE table of what is kept beside the resources and may tell of a patient, for the thread of a purge. A room that keeps more adds a row. */
import { DECISION_SPACES, ownPatientOf, type Seal } from '../cds/basis/decision-record.ts';
import { PATIENT_SPACE } from '../monitor/patient-row.ts';
import { holdsId, type TraceSpace } from '../privacy/traces.ts';
import { OWNERS } from '../subscriptions/owner.ts';
import { SPACES } from '../subscriptions/record.ts';

const ACCOUNT = /"accountId":"([^"]{1,64})"/g;
type Tells = TraceSpace['tells'];
/** A JSON text that is a key of rows of another space, which are removed already. */
const follows =
  (space: string): Tells =>
  ({ value }, _patients, removed) =>
    removed.has(`${space} ${JSON.parse(value)}`);
/** About a patient, or of a user who is one. The values hold bytes that JSON does not, where an id was cut out. */
const ofPersonOrUser: Tells = (row, patients, removed) =>
  holdsId(row, patients) || [...row.value.matchAll(ACCOUNT)].some(([, id]) => removed.has(`oauth.user-id ${id}`));

/**
 * Of the authorization server, users first: launches, grants, codes, tokens, sessions, and what leads from one to the other. The ids of tokens and
 * sessions are hashes.
 */
const OAUTH: readonly TraceSpace[] = [
  { space: 'oauth.user', tells: holdsId },
  // Failures of a name; by name and address there are hashes alone, for thirty days.
  {
    space: 'oauth.attempts',
    tells: ({ key }, _patients, removed) => removed.has(`oauth.user ${key.replace(/^user:/, '')}`),
  },
  { space: 'oauth.user-id', tells: follows('oauth.user') },
  { space: 'oauth.totp-step', tells: ({ key }, _patients, removed) => removed.has(`oauth.user-id ${key}`) },
  { space: 'oauth.pending-login', tells: follows('oauth.user-id') },
  { space: 'oauth.launch', tells: holdsId },
  { space: 'oauth.grant-context', tells: holdsId },
  ...['Interaction', 'AuthorizationCode', 'AccessToken', 'RefreshToken', 'Grant', 'Session'].map(
    (model): TraceSpace => ({ space: `oauth.${model}`, tells: ofPersonOrUser }),
  ),
  { space: 'oauth.session-uid', tells: follows('oauth.Session') },
  { space: 'oauth.session-grant', tells: follows('oauth.grant-context') },
  {
    // `grant:model:hash`
    space: 'oauth.grant-member',
    tells: ({ key }, _patients, removed) => {
      const [grant, model, hash] = key.split(':');
      return removed.has(`oauth.grant-context ${grant}`) || removed.has(`oauth.${model} ${hash}`);
    },
  },
];

const { calls, cards, bases } = DECISION_SPACES;

/** @param seal opens decision records */
export function purgeSpaces(seal: Seal): readonly TraceSpace[] {
  return [
    { space: PATIENT_SPACE, tells: ({ key }, patients) => patients.has(key) },
    { space: SPACES.event, tells: holdsId },
    { space: OWNERS, tells: holdsId },
    { space: calls, tells: (row, patients) => patients.has(ownPatientOf(row, seal) ?? '') },
    { space: cards, tells: ({ value }, _patients, removed) => removed.has(`${calls} ${value}`) },
    { space: bases, tells: ({ value }, _patients, removed) => removed.has(`${calls} ${value.split(' ')[0]}`) },
    ...OAUTH,
  ];
}
