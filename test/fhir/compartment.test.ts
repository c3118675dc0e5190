// compartmentdefinition-patient.html: whose compartments a resource lies in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { patientsOf } from '../../src/fhir/compartment.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import { definitions, fhirBase } from './search-world.ts';

const patients = patientsOf(definitions, { fhirBase });
const rows: readonly [resource: Resource, ids: readonly string[], why: string][] = [
  [{ resourceType: 'Patient', id: 'p' }, ['p'], 'a Patient names itself'],
  [
    { resourceType: 'Patient', id: 'p', link: [{ other: { reference: 'Patient/q' } }] },
    ['p', 'q'],
    'and whom it links',
  ],
  [{ resourceType: 'Observation', subject: { reference: 'Patient/1' } }, ['1'], 'subject'],
  [{ resourceType: 'Observation', performer: [{ reference: 'Patient/2' }] }, ['2'], 'performer'],
  [
    {
      resourceType: 'Observation',
      subject: { reference: 'Patient/1' },
      performer: [{ reference: `${fhirBase}/Patient/1/_history/3` }],
    },
    ['1'],
    'once',
  ],
  [{ resourceType: 'Observation', subject: { reference: 'Group/1' } }, [], 'a Group is no Patient'],
  [{ resourceType: 'Observation', subject: { reference: 'http://else.example/fhir/Patient/1' } }, [], 'another server'],
  [{ resourceType: 'Observation', subject: { reference: 'urn:uuid:1', type: 'Patient' } }, [], 'not local'],
  [
    { resourceType: 'Observation', subject: { reference: '#p' }, contained: [{ resourceType: 'Patient', id: 'p' }] },
    [],
    'contained',
  ],
  [{ resourceType: 'Observation', focus: [{ reference: 'Patient/1' }] }, [], 'focus is not in the definition'],
  [
    {
      resourceType: 'Appointment',
      participant: [{ actor: { reference: 'Patient/1' } }, { actor: { reference: 'Patient/2' } }],
    },
    ['1', '2'],
    'two',
  ],
  [{ resourceType: 'CareTeam', subject: { reference: 'Patient/1' } }, ['1'], 'CareTeam'],
  [{ resourceType: 'AuditEvent', agent: [{ who: { reference: 'Patient/1' } }] }, ['1'], 'AuditEvent'],
  [{ resourceType: 'Organization', id: 'o' }, [], 'not in the compartment'],
  [{ resourceType: 'Nope', id: 'o' }, [], 'no type'],
];
test('fhir-r4@compartmentdefinition-patient', () => {
  for (const [resource, ids, why] of rows)
    assert.deepEqual(patients(resource), ids, `${resource.resourceType}: ${why}`);
});
test('every parameter of the Patient compartment is defined and compiles; at least 60 types take part', () => {
  const types = [...definitions.resourceTypes].filter(
    (type) => definitions.compartmentParameters('Patient', type).length > 0,
  );
  assert.ok(types.length >= 60, `${types.length}`);
  for (const type of types) {
    for (const code of definitions.compartmentParameters('Patient', type)) {
      assert.ok(code === '{def}' || definitions.searchParameters(type).has(code), `${type}.${code}`);
    }
    assert.deepEqual(patients({ resourceType: type }), []);
  }
});
