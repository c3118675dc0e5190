// docs/audit.md#rows: number and order of events, what is in bytes and what is erasable. security.md: no person in the hash chain.
import assert from 'node:assert/strict';
import test from 'node:test';
import { auditRow, renderAuditEvent, verifyCommitment } from '../../src/audit.ts';
import { accessOf, caller, entriesOf, keyMint, rendered, rowOf, SALT, SAMPLES, SOURCE, stored } from './world.ts';

for (const [name, access] of Object.entries(SAMPLES)) {
  test(`§8.13 bytes identify nobody: ${name}`, () => {
    const row = rowOf(access);
    assert.doesNotMatch(row.bytes, /canary/i);
    assert.doesNotMatch(row.bytes, new RegExp(SALT));
  });
  test(`an erased row renders and identifies nobody: ${name}`, () => {
    assert.doesNotMatch(JSON.stringify(rendered(rowOf(access), { erased: true })), /canary/i);
  });
  test(`bytes are canonical: ${name}`, () => {
    const { bytes } = rowOf(access);
    const sorted = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(sorted)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .toSorted()
                .map(([key, inner]) => [key, sorted(inner)]),
            )
          : value;
    assert.equal(bytes, JSON.stringify(sorted(JSON.parse(bytes))));
    assert.equal(rowOf(access).bytes, bytes);
  });
  test(`the last event is the last: ${name}`, () => {
    const row = rowOf(access);
    assert.ok(row.events.length > 0);
    assert.throws(() => renderAuditEvent(stored(row), row.events.length + 1), RangeError);
    assert.throws(() => renderAuditEvent(stored(row), 0), RangeError);
  });
}

test('§8.12 one event per entry and patient in order, the envelope last', () => {
  const events = rendered(rowOf(SAMPLES.transaction ?? accessOf([])));
  const seen = events.map(({ id, subtype, entity }) => [
    id,
    subtype?.[0]?.code,
    entity?.find(({ role }) => role?.code === '1')?.what?.reference,
  ]);
  assert.deepEqual(seen, [
    ['1-42-1', 'create', 'Patient/pat-canary'],
    ['1-42-2', 'search-type', 'Patient/pat-canary'],
    ['1-42-3', 'search-type', 'Patient/pat-canary-2'],
    ['1-42-4', 'create', undefined],
    ['1-42-5', 'search-type', undefined],
    ['1-42-6', 'transaction', undefined],
  ]);
});

test('each query entity has the raw request of its own entry', () => {
  const queries = rendered(rowOf(SAMPLES.transaction ?? accessOf([]))).flatMap(({ entity }) =>
    (entity ?? []).flatMap(({ query, description }) =>
      query === undefined ? [] : [[Buffer.from(query, 'base64').toString(), description]],
    ),
  );
  const first = ['GET /fhir/Observation?patient=pat-canary&code:in=x&_text=Canary', 'patient, code:in, _text'];
  assert.deepEqual(queries, [first, first, ['GET /fhir/Patient?name=second-canary', 'name']]);
});

test('a Patient entity is referred to by its id while the mapping stands, and by its key after', () => {
  const row = rowOf(SAMPLES['create of a Patient'] ?? accessOf([]));
  const whats = (erased: boolean) =>
    rendered(row, { erased })[0]?.entity?.flatMap(({ what }) => what?.reference ?? what?.identifier?.value ?? []);
  assert.deepEqual(
    whats(false)?.filter((what) => what.includes('pat')),
    ['Patient/pat-canary', 'Patient/pat-canary/_history/1'],
  );
  assert.deepEqual(
    whats(true)?.filter((what) => what.startsWith('subject')),
    ['subject-key-0', 'subject-key-0'],
  );
});

test('the store is asked once, for distinct patients, and not at all without', () => {
  const { keys, calls } = keyMint();
  for (const name of ['transaction', 'capabilities'])
    auditRow(SAMPLES[name] ?? accessOf([]), keys, SALT, SOURCE, entriesOf);
  assert.deepEqual(calls, [['pat-canary', 'pat-canary-2']]);
});

test('a patient who is the user is a subject of every event', () => {
  const row = rowOf(accessOf([{ interaction: 'capabilities', patients: [] }], { caller: caller('Patient/me') }));
  assert.deepEqual(
    row.subjects.map(({ patient }) => patient),
    ['me'],
  );
  assert.deepEqual(row.events[0]?.subjects, ['subject-key-0']);
});

test('§5.6.1 §5.6.3 §8.15 a hook call tells instance, service, drafts, model and cards, and drops what is no reference', () => {
  const [event] = rendered(rowOf(SAMPLES['hook call'] ?? accessOf([])));
  assert.deepEqual(
    event?.subtype?.map(({ code }) => code),
    ['operation', 'order-sign', 'drug-interactions-sign'],
  );
  assert.deepEqual(event?.period, { start: '2026-03-04T05:06:06.983Z', end: '2026-03-04T05:06:07.008Z' });
  assert.equal(event?.purposeOfEvent?.[0]?.coding?.[0]?.code, 'TREAT');
  assert.deepEqual(
    event?.entity?.map(({ what, name }) => name ?? what?.reference ?? what?.identifier?.value),
    [
      'Patient/pat-canary',
      '018f2b5e-7c1a-7000-8000-000000000001',
      'hookInstance',
      'drug-interactions-sign',
      'MedicationRequest/draft-1',
      'sepsis',
      'news2',
      'urn:uuid:6f8b1c9e-1111-4222-8333-444455556666',
    ],
  );
});

test('balp@hook-models every model that answered is an entity with its version and hash', () => {
  const [event] = rendered(rowOf(SAMPLES['hook call'] ?? accessOf([])));
  const models = (event?.entity ?? []).filter(({ what }) => what?.identifier?.system?.endsWith('/NamingSystem/model'));
  assert.deepEqual(
    models.map(({ what, detail }) => [
      what?.identifier?.value,
      ...(detail ?? []).map(({ valueString }) => valueString),
    ]),
    [
      ['sepsis|1.0.0', '1.0.0', 'ab'.repeat(32)],
      ['news2|1.1.0', '1.1.0', 'cd'.repeat(32)],
    ],
  );
});

test('a raw request with NUL, quotes and lone surrogates renders', () => {
  const query = 'POST /fhir/Patient/_search\nname=\u0000"\ud800&\\u0000"__proto__":1';
  const row = rowOf(accessOf([{ interaction: 'search-type', query, patients: [] }]));
  const found = rendered(row)[0]?.entity?.find(({ role }) => role?.code === '24');
  assert.equal(Buffer.from(found?.query ?? '', 'base64').toString(), query.toWellFormed());
  assert.equal(verifyCommitment(row), 'intact');
});

test('unknown forms and broken bytes are refused', () => {
  const row = stored(rowOf(accessOf([])));
  assert.throws(() => renderAuditEvent({ ...row, form: 99 }, 1), TypeError);
  assert.throws(() => renderAuditEvent({ ...row, bytes: '{}' }, 1), TypeError);
  assert.throws(() => renderAuditEvent({ ...row, bytes: '[]' }, 1), TypeError);
});

const plain = rowOf(SAMPLES['read of one patient'] ?? accessOf([]));
const searched = rowOf(SAMPLES['search of several patients'] ?? accessOf([]));
const other = rowOf(SAMPLES['search of the system'] ?? accessOf([]));
const commitments: readonly [why: string, bytes: string, erasable: string | undefined, state: string][] = [
  ['control', searched.bytes, searched.erasable, 'intact'],
  ['erased', searched.bytes, undefined, 'erased'],
  ['nothing was erasable', plain.bytes, undefined, 'none'],
  ['one letter changed', searched.bytes, searched.erasable?.replace('Canary', 'Canari'), 'altered'],
  ['the part of another row', searched.bytes, other.erasable, 'altered'],
  ['a part where there was none', plain.bytes, searched.erasable, 'altered'],
  ['not JSON', searched.bytes, 'x', 'altered'],
  ['without salt', searched.bytes, '{}', 'altered'],
];
for (const [why, bytes, erasable, state] of commitments)
  test(`commitment ${state}: ${why}`, () => assert.equal(verifyCommitment({ bytes, erasable }), state));
