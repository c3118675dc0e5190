/** THE table of what is kept beside the resources and may tell of a patient, for the thread of a purge. A room that keeps more adds a row. */
import { DECISION_SPACES, ownPatientOf, type Seal } from './cds/decision-record.ts';
import { PATIENT_SPACE } from './monitor/patient-row.ts';
import { holdsId, type TraceSpace } from './privacy/traces.ts';
import { OWNERS } from './subscriptions/owner.ts';
import { SPACES } from './subscriptions/record.ts';

/** Of the authorization server: launches, grants, codes, tokens, sessions and users. The ids of tokens and grants are hashes. */
const OAUTH = [
  'oauth.user',
  'oauth.launch',
  'oauth.grant-context',
  'oauth.Interaction',
  'oauth.AuthorizationCode',
  'oauth.AccessToken',
  'oauth.RefreshToken',
  'oauth.Grant',
  'oauth.Session',
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
    ...OAUTH.map((space) => ({ space, tells: holdsId })),
  ];
}
