// ITI-20, docs/audit.md#posted-events: stored and marked as theirs, erasable, and never able to look like ours.
import assert from 'node:assert/strict';
import test from 'node:test';
import { postedAuditRow, renderAuditEvent, verifyCommitment } from '../../src/audit.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import { parseJson, type Resource } from '../../src/fhir/resource.ts';
import { AT, entriesOf, findings, keyMint, rendered, SALT, SOURCE, stored } from './world.ts';

const ORIGIN = 'https://firewatch.example/fhir/CodeSystem/audit-origin';
const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const sent: Resource = {
  resourceType: 'AuditEvent',
  id: 'theirs',
  meta: {
    versionId: '9',
    lastUpdated: '2001-01-01T00:00:00Z',
    profile: ['https://ehr.example/profile'],
    tag: [
      { system: 'https://ehr.example/tags', code: 'kept' },
      { system: ORIGIN, code: 'ours' },
    ],
  },
  text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">Mary Canary</div>' },
  type: { system: DCM, code: '110114', display: 'Canary' },
  subtype: [{ system: DCM, code: '110122' }, { code: 'Mary Canary' }],
  action: 'E',
  recorded: '2026-03-01T00:00:00Z',
  outcome: '0',
  agent: [
    {
      who: { reference: 'Practitioner/dr-canary' },
      altId: 'canary',
      name: 'Dr Canary',
      requestor: true,
      policy: ['urn:x'],
    },
    { who: { reference: 'Patient/pat-canary-2' }, requestor: false },
  ],
  source: { site: 'ward', observer: { reference: 'Device/ehr' } },
  entity: [
    { what: { reference: 'Patient/pat-canary' } },
    { what: { reference: 'Observation/o1' }, name: 'Canary' },
    { what: { reference: 'https://other.example/fhir/Patient/7' } },
  ],
};
const posted = (resource: Resource) => postedAuditRow(resource, keyMint().keys, SALT, SOURCE, entriesOf);

test('control: rendered as sent, with our id, version, instant and mark', () => {
  const row = posted(sent);
  const [event] = rendered(row);
  const { id: _id, meta: _meta, ...rest } = sent;
  assert.deepEqual(event, {
    ...rest,
    id: '1-42-1',
    meta: {
      versionId: '1',
      lastUpdated: new Date(AT).toISOString(),
      profile: ['https://ehr.example/profile'],
      tag: [
        { system: 'https://ehr.example/tags', code: 'kept' },
        { system: ORIGIN, code: 'posted' },
      ],
    },
  });
  assert.throws(() => renderAuditEvent(stored(row), 2), RangeError);
});

test('bytes and the erased event identify nobody and the event stays valid', () => {
  const row = posted(sent);
  assert.doesNotMatch(row.bytes, /canary|theirs|dr-|ward/i);
  const text = renderAuditEvent(stored(row, { erased: true }), 1);
  assert.doesNotMatch(text, /canary|theirs|ward/i);
  const event = parseJson(text);
  assert.deepEqual(findings({ ...JSON.parse(text) }), []);
  assert.match(text, /"code":"110114"/);
  assert.match(text, /"code":"posted"/);
  assert.ok(event);
});

test('the commitment covers the resource', () => {
  const { bytes, erasable } = posted(sent);
  assert.equal(verifyCommitment({ bytes, erasable }), 'intact');
  assert.equal(verifyCommitment({ bytes, erasable: erasable?.replace('Canary', 'Canari') }), 'altered');
  assert.equal(verifyCommitment({ bytes, erasable: undefined }), 'erased');
});

test('numbers keep their lexeme', () => {
  const text =
    '{"resourceType":"AuditEvent","extension":[{"url":"urn:x","valueDecimal":1.00}],"source":{"observer":{}}}';
  const resource = parseJson(text);
  assert.ok(typeof resource === 'object' && resource !== null && 'resourceType' in resource);
  const row = posted({ ...resource, resourceType: 'AuditEvent' });
  assert.match(renderAuditEvent(stored(row), 1), /"valueDecimal":1\.00/);
});

test('index: agents and kind apart, local patients as subjects, other entities by reference', () => {
  const row = posted(sent);
  const [event] = row.events;
  const codes = (entries: readonly { parameter: string }[] = []) =>
    [...new Set(entries.map(({ parameter }) => parameter.replace('AuditEvent.', '')))].toSorted();
  assert.deepEqual(codes(event?.agents.entries), ['agent', 'agent-name', 'altid', 'policy']);
  assert.deepEqual(codes(event?.kind.entries), [
    ...['_profile', '_tag', 'action', 'entity-name', 'outcome', 'site', 'source', 'subtype', 'type', 'type:text'],
  ]);
  assert.deepEqual(row.subjects.map(({ patient }) => patient).toSorted(), ['pat-canary', 'pat-canary-2']);
  assert.deepEqual(event?.subjects.length, 2);
  assert.deepEqual(event?.entities, ['Observation/o1', 'https://other.example/fhir/Patient/7']);
});

const impostors: readonly [why: string, observer: Resource[string], refused: boolean][] = [
  ['another server', { reference: 'https://ehr.example/fhir' }, false],
  ['a name that only begins like ours', { reference: `${SOURCE.observer}/Device/1` }, false],
  ['our reference', { reference: SOURCE.observer }, true],
  ['our identifier', { identifier: { system: 'urn:ietf:rfc:3986', value: SOURCE.observer } }, true],
  ['our identifier under another system', { identifier: { system: 'urn:x', value: SOURCE.observer } }, true],
  ['our name as display', { display: SOURCE.observer }, true],
  ['with a slash, spaces and capitals', { reference: ` ${SOURCE.observer.toUpperCase()}// ` }, true],
];
for (const [why, observer, refused] of impostors)
  test(`observer ${refused ? 'refused' : 'accepted'}: ${why}`, () => {
    const attempt = () => posted({ ...sent, source: { observer } });
    if (!refused) assert.doesNotThrow(attempt);
    else assert.throws(attempt, (error) => error instanceof FhirError && error.status === 422);
  });

test('another type is a mistake of the caller', () => {
  assert.throws(() => posted({ resourceType: 'Patient' }), TypeError);
});
