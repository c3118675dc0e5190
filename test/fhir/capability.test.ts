// capabilitystatement.html: the statement is an input; a claim that the code cannot keep stops the start.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadCapability, SUPPORTED } from '../../src/fhir/definitions/capability.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { parseJson, type Resource } from '../../src/fhir/resource.ts';
import { validator } from '../../src/fhir/validation/validate.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const definitions = loadDefinitions(join(ROOT, 'profiles'));
const text = readFileSync(join(ROOT, 'capability-statement.json'), 'utf8');

/** A statement that claims one type, with changes. */
function statement(resource: object = {}, rest: object = {}, top: object = {}): string {
  const searchParam = [
    { name: 'code', type: 'token' },
    { name: 'subject', type: 'reference' },
  ];
  const claimed = { type: 'Observation', interaction: [{ code: 'read' }], searchParam, ...resource };
  return JSON.stringify({
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: '2026-01-01',
    kind: 'instance',
    fhirVersion: '4.0.1',
    format: ['json'],
    rest: [{ mode: 'server', resource: [claimed], ...rest }],
    ...top,
  });
}

test('the statement of this repository is kept, and is a valid CapabilityStatement', () => {
  const { types } = loadCapability(text, definitions);
  assert.ok(types.size > 0);
  assert.deepEqual(validator(definitions)(parseJson(text) as Resource), []);
});

test('AuditEvents are appended and read, nothing else', () => {
  const { types } = loadCapability(text, definitions);
  const audit = types.get('AuditEvent');
  const allowed = new Set(['read', 'search-type', 'create']);
  assert.deepEqual(
    [...(audit?.interactions ?? [])].filter((each) => !allowed.has(each)),
    [],
  );
  assert.equal(audit?.updateCreate, false);
});

test('claims are read by type', () => {
  const capability = loadCapability(
    statement(
      {
        updateCreate: true,
        interaction: [{ code: 'read' }, { code: 'update' }],
        searchInclude: ['*', 'Observation:subject'],
      },
      { interaction: [{ code: 'batch' }] },
    ),
    definitions,
  );
  const claimed = capability.types.get('Observation');
  assert.deepEqual([...capability.system], ['batch']);
  assert.deepEqual([...(claimed?.interactions ?? [])], ['read', 'update']);
  assert.deepEqual(
    [claimed?.updateCreate, claimed?.conditionalCreate, claimed?.conditionalDelete],
    [true, false, 'not-supported'],
  );
  assert.equal(claimed?.searchParameters.get('code')?.expression, 'Observation.code');
  assert.deepEqual(claimed?.includes, ['*', 'Observation:subject']);
  assert.equal(capability.types.has('Patient'), false);
});

test('a parameter is named by its definition too', () => {
  const searchParam = [
    { name: 'code', definition: 'http://hl7.org/fhir/SearchParameter/clinical-code|4.0.1', type: 'token' },
  ];
  assert.equal(
    loadCapability(statement({ searchParam }), definitions).types.get('Observation')?.searchParameters.size,
    1,
  );
});

const parameter = (name: string, type: string, definition?: string): object => ({
  searchParam: [{ name, type, definition }],
});
const refused: readonly (readonly [why: string, text: string, message: RegExp])[] = [
  ['another resource', statement({}, {}, { resourceType: 'Patient' }), /not a CapabilityStatement/],
  ['a JSON array', '[]', /not a CapabilityStatement/],
  ['other version', statement({}, {}, { fhirVersion: '5.0.0' }), /fhirVersion/],
  ['other kind', statement({}, {}, { kind: 'capability' }), /kind/],
  ['patch format', statement({}, {}, { patchFormat: ['application/xml-patch+xml'] }), /patchFormat application/],
  [
    'patch of AuditEvent',
    statement({ type: 'AuditEvent', searchParam: [], interaction: [{ code: 'patch' }] }),
    /AuditEvent interaction patch/,
  ],
  ['format', statement({}, {}, { format: ['json', 'ttl'] }), /format ttl/],
  ['no server', statement({}, { mode: 'client' }), /mode server/],
  ['two servers', statement({}, {}, { rest: [{ mode: 'server' }, { mode: 'server' }] }), /mode server/],
  ['unknown type', statement({ type: 'Observatoin' }), /Observatoin: not a resource type/],
  ['abstract type', statement({ type: 'DomainResource' }), /DomainResource: not a resource type/],
  ['type that is never stored', statement({ type: 'Parameters', searchParam: [] }), /Parameters: is never stored/],
  ['interaction of no code', statement({ interaction: [{ code: 'merge' }] }), /Observation interaction merge/],
  ['system interaction', statement({}, { interaction: [{ code: 'purge' }] }), /system interaction purge/],
  [
    'parameter of all types without the search',
    statement({}, { searchParam: [{ name: '_id', type: 'token' }] }),
    /searchParam without the interaction search-system/,
  ],
  [
    'parameter of all types that a type lacks',
    statement({}, { interaction: [{ code: 'search-system' }], searchParam: [{ name: 'identifier', type: 'token' }] }),
    /rest.searchParam identifier: Observation does not claim it/,
  ],
  [
    'compartment of a type that is not claimed',
    statement({}, { compartment: ['http://hl7.org/fhir/CompartmentDefinition/device'] }),
    /compartment Device: the type is not claimed/,
  ],
  [
    'compartment that is none',
    statement({}, { compartment: ['http://hl7.org/fhir/CompartmentDefinition/group'] }),
    /compartment .*group is not supported/,
  ],
  [
    'update of AuditEvent',
    statement({ type: 'AuditEvent', searchParam: [], interaction: [{ code: 'update' }] }),
    /AuditEvent interaction update/,
  ],
  [
    'conditional create of AuditEvent',
    statement({ type: 'AuditEvent', searchParam: [], interaction: [{ code: 'create' }], conditionalCreate: true }),
    /AuditEvent: conditionalCreate/,
  ],
  [
    'conditional update without update',
    statement({ conditionalUpdate: true }),
    /conditionalUpdate without the interaction update/,
  ],
  [
    'conditional delete of no code',
    statement({ interaction: [{ code: 'delete' }], conditionalDelete: 'many' }),
    /conditionalDelete many/,
  ],
  ['versioned-update', statement({ versioning: 'versioned-update' }), /versioning versioned-update/],
  ['reference policy', statement({ referencePolicy: ['resolves'] }), /referencePolicy resolves/],
  ['profile', statement({ supportedProfile: ['http://x'] }), /supportedProfile/],
  ['operation', statement({ operation: [{ name: 'nothing', definition: 'http://x' }] }), /operation nothing/],
  ['unknown parameter', statement(parameter('colour', 'token')), /unknown search parameter colour/],
  ['parameter of another type', statement(parameter('birthdate', 'date')), /unknown search parameter birthdate/],
  ['parameter without expression', statement(parameter('_text', 'string')), /unknown search parameter _text/],
  ['parameter type', statement(parameter('code', 'string')), /code is of type token/],
  [
    'code and definition differ',
    statement(parameter('date', 'token', 'http://hl7.org/fhir/SearchParameter/clinical-code')),
    /has the code code/,
  ],
  [
    'parameter twice',
    statement({
      searchParam: [
        { name: 'code', type: 'token' },
        { name: 'code', type: 'token' },
      ],
    }),
    /claimed twice/,
  ],
  [
    'include of an unclaimed parameter',
    statement({ searchInclude: ['Observation:encounter'] }),
    /searchInclude Observation:encounter/,
  ],
  ['include of a token', statement({ searchInclude: ['Observation:code'] }), /searchInclude Observation:code/],
  [
    'revinclude of an unclaimed type',
    statement({ searchRevInclude: ['Provenance:target'] }),
    /searchRevInclude Provenance:target/,
  ],
  [
    'revinclude that cannot point here',
    statement({ searchRevInclude: ['Observation:subject'] }),
    /cannot point at this type/,
  ],
  ['type twice', statement({}, { resource: [{ type: 'Patient' }, { type: 'Patient' }] }), /Patient is claimed twice/],
];
for (const [why, claims, message] of refused) {
  test(`refused: ${why}`, () => assert.throws(() => loadCapability(claims, definitions), message));
}

test('every wrong claim is in one message', () => {
  const claims = statement(
    { interaction: [{ code: 'merge' }], ...parameter('colour', 'token') },
    {},
    { kind: 'capability' },
  );
  assert.throws(
    () => loadCapability(claims, definitions),
    (error: Error) => ['merge', 'colour', 'kind'].every((each) => error.message.includes(each)),
  );
});

test('what is never stored and what is limited are types of R4', () => {
  for (const type of [...SUPPORTED.neverStored, ...SUPPORTED.limited.keys()])
    assert.ok(definitions.resourceTypes.has(type), type);
});
