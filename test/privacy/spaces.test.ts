// What rooms keep beside the resources and a purge finds: each room's own rows, as they are written. docs/privacy.md#what-is-removed
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aesSeal, DECISION_SPACES } from '../../src/cds/decision-record.ts';
import { traceCommands } from '../../src/privacy/traces.ts';
import { purgeSpaces } from '../../src/purge-spaces.ts';
import type { Keyed } from '../../src/store/port.ts';

const SEAL = aesSeal(new Uint8Array(32).fill(3));
const { calls, cards, bases } = DECISION_SPACES;
const record = (patient: string, ownPatients = true) => JSON.stringify({ form: 1, cards: [], ownPatients, patient });
const event = (patients: readonly string[]) => JSON.stringify({ number: 1, type: 'Observation', id: 'o', patients });
const grant = (fhirUser: string) => JSON.stringify({ id: 'u', fhirUser });

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
