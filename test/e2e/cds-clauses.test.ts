// Clauses of docs/requirements/cds-clauses.csv that need the whole server: each named by its number.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import {
  type Ehr,
  ehr,
  goodCall,
  type Json,
  newKey,
  type Registered,
  registeredServer,
  registration,
} from './registered.ts';

const key = await newKey('ES384', 'es');
let there: Registered;
let one: Ehr;
before(async () => {
  there = await registeredServer([
    registration('ehr', [key], { ownPatients: true }),
    registration('epic', [key], { ownPatients: true, profile: 'epic' }),
  ]);
  one = ehr(there.server.url, 'https://ehr.example/fhir', key);
});
after(() => there.end());

const search = async (query: string): Promise<readonly Json[]> => {
  const response = await fetch(`${there.server.url}/fhir/${query}`);
  const { entry = [] } = (await response.json()) as { readonly entry?: readonly { readonly resource: Json }[] };
  return entry.map(({ resource }) => resource);
};

test('§5.6.4 each read of our own store for a call has an event of its own, joined by the id of the request', async () => {
  const { headers, status } = await one.ask('/deterioration-sepsis', goodCall('deterioration-sepsis'));
  assert.equal(status, 200);
  const requestId = headers.get('x-request-id') ?? '';
  assert.notEqual(requestId, '');
  const events = (await search('AuditEvent?_count=200&_sort=-date')).filter((event) =>
    JSON.stringify(event.entity ?? []).includes(requestId),
  );
  const codes = events.map(({ subtype }) => (subtype as readonly { readonly code: string }[])[0]?.code).toSorted();
  assert.deepEqual(
    codes,
    ['operation', 'read', ...Array(6).fill('search-type')],
    'the call, the Patient, and six searches',
  );
});

interface Card {
  readonly uuid: string;
  readonly suggestions?: readonly { readonly uuid: string; readonly actions: readonly Json[] }[];
}
const UNKNOWN = '00000000-0000-4000-8000-000000000000';
for (const client of ['ehr', 'epic']) {
  test(`§1.7.2 §2.2 cds-hooks-2.0@feedback each suggestion that ${client} was sent joins its card when it is accepted; another does not`, async () => {
    const sender = ehr(there.server.url, `https://${client}.example/fhir`, key);
    const service = 'drug-interactions-sign';
    const { json } = await sender.ask(`/${service}`, goodCall(service, { hookInstance: randomUUID() }));
    const all = json?.cards as readonly Card[];
    const cards = all.filter(({ suggestions = [] }) => suggestions.length > 0);
    const offered = cards.flatMap(({ suggestions = [] }) => suggestions);
    assert.equal(new Set(offered.map(({ uuid }) => uuid)).size, offered.length, 'each has a uuid of its own');
    const several = offered.some(({ actions }) => actions.length > 1);
    assert.equal(several, client === 'ehr', 'epic is sent one action each, so it has more suggestions');
    const feedback = cards.map(({ uuid: card, suggestions = [] }) => ({
      card,
      outcome: 'accepted',
      outcomeTimestamp: '2026-01-15T12:00:00Z',
      acceptedSuggestions: [...suggestions.map(({ uuid: id }) => ({ id })), { id: UNKNOWN }],
    }));
    assert.equal((await sender.ask(`/${service}/feedback`, { feedback })).status, 200);
    const accepted: string[] = [];
    for (const { uuid } of cards) {
      const [kept, ...more] = await search(`Communication?identifier=${uuid}`);
      assert.deepEqual(more, []);
      assert.ok(kept);
      const [{ extension: parts }] = kept.extension as readonly [{ readonly extension: readonly Json[] }];
      const ids = (url: string) => parts.filter((part) => part.url === url).map(({ valueUuid }) => String(valueUuid));
      accepted.push(...ids('accepted'));
      assert.deepEqual(ids('accepted-unknown'), [`urn:uuid:${UNKNOWN}`]);
    }
    assert.deepEqual(accepted.toSorted(), offered.map(({ uuid }) => `urn:uuid:${uuid}`).toSorted());
  });
}
