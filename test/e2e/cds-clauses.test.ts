// Clauses of docs/requirements/cds-clauses.csv that need the whole server: each named by its number.
import assert from 'node:assert/strict';
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
  there = await registeredServer([registration('ehr', [key], { ownPatients: true })]);
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
