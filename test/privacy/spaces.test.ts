// What rooms keep beside the resources and a purge finds: each room's own rows, as they are written. docs/privacy.md#what-is-removed
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aesSeal, DECISION_SPACES } from '../../src/cds/basis/decision-record.ts';
import { traceCommands } from '../../src/privacy/traces.ts';
import type { Keyed } from '../../src/store/port.ts';
import { purgeSpaces } from '../../src/threads/purge-spaces.ts';

const SEAL = aesSeal(new Uint8Array(32).fill(3));
const { calls, cards, bases } = DECISION_SPACES;
const record = (patient: string, ownPatients = true) => JSON.stringify({ form: 1, cards: [], ownPatients, patient });
const event = (patients: readonly string[]) => JSON.stringify({ number: 1, type: 'Observation', id: 'o', patients });
const grant = (fhirUser: string) => JSON.stringify({ id: 'u', fhirUser });
const account = (accountId: string) => `{"accountId":"${accountId}","jti":"\u0001"}`;

/** space, key, value, whether a purge of Patient/p removes it */
const ROWS: readonly (readonly [string, string, string, boolean])[] = [
  ['monitor.patient', 'p', '{}', true],
  ['monitor.patient', 'pp', '{}', false],
  ['subscription.event', 's/000000000001', event(['p']), true],
  ['subscription.event', 's/000000000002', event(['pp', 'q']), false],
  ['subscription.owner', 's/1', '{"user":"Patient/p"}', true],
  ['subscription.owner', 's/2', '{"user":"Patient/q"}', false],
  [calls, 'r1', SEAL.seal(record('p'), 'r1'), true],
  [calls, 'r2', SEAL.seal(record('q'), 'r2'), false],
  [calls, 'r3', SEAL.seal(record('p', false), 'r3'), false],
  [cards, 'ehr c1', 'r1', true],
  [cards, 'ehr c2', 'r2', false],
  [bases, 'digest1', 'r1 c1', true],
  [bases, 'digest2', 'r2 c2', false],
  ['oauth.user', 'anna', grant('Patient/p'), true],
  ['oauth.user', 'bert', grant('Patient/pp'), false],
  ['oauth.launch', 'h1', '{"patient":"p"}', true],
  ['oauth.launch', 'h2', '{"patient":"q"}', false],
  ['oauth.AccessToken', 't1', '{"extra":{"patient":"p"}}', true],
  ['oauth.user-id', 'u-anna', '"anna"', true],
  ['oauth.user-id', 'u-bert', '"bert"', false],
  ['oauth.totp-step', 'u-anna', '"59000000"', true],
  ['oauth.totp-step', 'u-bert', '"59000000"', false],
  ['oauth.pending-login', 'i1', '"u-anna"', true],
  ['oauth.pending-login', 'i2', '"u-bert"', false],
  ['oauth.grant-context', 'g1', '{"patient":"p"}', true],
  ['oauth.grant-context', 'g2', '{"patient":"q"}', false],
  ['oauth.RefreshToken', 'r1', account('u-anna'), true],
  ['oauth.RefreshToken', 'r2', account('u-bert'), false],
  ['oauth.Grant', 'hash-g1', account('u-anna'), true],
  ['oauth.Session', 's1', account('u-anna'), true],
  ['oauth.Session', 's2', account('u-bert'), false],
  ['oauth.session-uid', 'uid1', '"s1"', true],
  ['oauth.session-uid', 'uid2', '"s2"', false],
  ['oauth.session-grant', 'uid1:g1', '"g1"', true],
  ['oauth.session-grant', 'uid2:g2', '"g2"', false],
  ['oauth.grant-member', 'g1:RefreshToken:r1', '"r1"', true],
  ['oauth.grant-member', 'g3:AccessToken:t1', '"t1"', true],
  ['oauth.grant-member', 'g2:RefreshToken:r2', '"r2"', false],
  ['search-parameter', 'p', '"p"', false],
];

test('privacy@purge-spaces: of each space the rows about the patient, and what leads to them, are removed', async () => {
  const keyedPage = async (space: string, { after = '', count }: { after?: string | undefined; count: number }) =>
    ROWS.filter(([of, key]) => of === space && key > after)
      .map(([, key, value]): Keyed => ({ key, value, expiresAt: undefined }))
      .slice(0, count);
  const commands = await traceCommands(new Set(['p']), purgeSpaces(SEAL), { keyedPage }, async () => undefined);
  const removed = commands.map((command) => (command.op === 'set' ? `${command.space} ${command.key}` : command.op));
  const expected = ROWS.filter(([, , , isRemoved]) => isRemoved).map(([space, key]) => `${space} ${key}`);
  assert.deepEqual(removed.toSorted(), expected.toSorted());
});
