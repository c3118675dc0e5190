// US Core 7.0.0, https://hl7.org/fhir/us/core/STU7/: real profiles, installed by scripts/package.ts (test/data/us-core/README.md).
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { installPackage } from '../../scripts/package.ts';
import { loadCapability } from '../../src/fhir/definitions/capability.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { conformanceValidator } from '../../src/fhir/profile/validator.ts';
import type { JsonObject } from '../../src/fhir/resource.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const US_CORE = 'http://hl7.org/fhir/us/core/StructureDefinition/';
const folder = mkdtempSync(join(tmpdir(), 'us-core-'));
after(() => rmSync(folder, { recursive: true }));
cpSync(join(ROOT, 'profiles', 'definitions'), join(folder, 'definitions'), { recursive: true });
cpSync(join(ROOT, 'test', 'data', 'us-core'), folder, { recursive: true });
const definitions = loadDefinitions(folder);
const validate = conformanceValidator(definitions);

const HL7 = 'http://terminology.hl7.org/CodeSystem/';
const coded = (system: string, code: string) => ({ coding: [{ system, code }] });
const loinc = (code: string) => coded('http://loinc.org', code);
const quantity = (value: number, code: string) => ({ value, unit: code, system: 'http://unitsofmeasure.org', code });
const subject = { reference: 'Patient/1' };

interface Base {
  readonly profile: string;
  readonly resource: JsonObject & { readonly resourceType: string };
  /** Warnings of the valid resource: value sets of other publishers (VSAC), or of LOINC and SNOMED CT, are not held. */
  readonly warnings: readonly string[];
  readonly broken: readonly (readonly [change: JsonObject, issue: string, why: string])[];
}

const race = (...extension: readonly JsonObject[]) => ({ extension: [{ url: `${US_CORE}us-core-race`, extension }] });
const OMB = { url: 'ombCategory', valueCoding: { system: 'urn:oid:2.16.840.1.113883.6.238', code: '2106-3' } };
const TEXT = { url: 'text', valueString: 'x' };
const component = (code: string, value: JsonObject) => ({ code: loinc(code), ...value });
const systolic = component('8480-6', { valueQuantity: quantity(120, 'mm[Hg]') });
const diastolic = component('8462-4', { valueQuantity: quantity(80, 'mm[Hg]') });
const LAB = 'laboratory';
const category = (code: string) => ({ category: [coded(`${HL7}observation-category`, code)] });
const UNHELD = 'warning not-judged';

const BASES: readonly Base[] = [
  {
    profile: 'us-core-patient',
    resource: {
      resourceType: 'Patient',
      identifier: [{ system: 'http://example.org/mrn', value: '1' }],
      name: [{ family: 'x' }],
      gender: 'female',
      ...race(OMB, TEXT),
    },
    warnings: [`${UNHELD} Patient.extension[0].extension[0].value`],
    broken: [
      [{ identifier: undefined }, 'error profile-required Patient.identifier', 'identifier 1..*'],
      [{ gender: undefined }, 'error profile-required Patient.gender', 'gender 1..1'],
      [{ name: [{ text: 'x' }] }, 'error invariant Patient.name[0]', 'us-core-6'],
      [race(OMB), 'error profile-required Patient.extension[0].extension', 'text of race 1..1'],
      [
        race({ url: 'ombCategory', valueString: 'x' }, TEXT),
        'error profile-structure Patient.extension[0].extension[0].value',
        'type of an extension',
      ],
      [
        { extension: [1, 2].map(() => race(OMB, TEXT).extension[0] ?? {}) },
        'error profile-structure Patient.extension',
        'race 0..1',
      ],
      [{ telecom: [{ system: 'phone' }] }, 'error profile-required Patient.telecom[0].value', 'value of a telecom'],
    ],
  },
  {
    profile: 'us-core-blood-pressure',
    resource: {
      resourceType: 'Observation',
      status: 'final',
      ...category('vital-signs'),
      code: loinc('85354-9'),
      subject,
      effectiveDateTime: '2026-01-02',
      component: [systolic, diastolic],
    },
    warnings: ['', '.component[0]', '.component[1]'].map((each) => `${UNHELD} Observation${each}.code`),
    broken: [
      [category(LAB), 'error profile-required Observation.category', 'the category of vital signs'],
      [{ code: loinc('8867-4') }, 'error profile-value Observation.code', 'pattern of the code'],
      [{ effectiveDateTime: '2026' }, 'error invariant Observation.effective', 'vs-1'],
      [{ effectiveDateTime: undefined }, 'error profile-required Observation.effective', 'effective 1..1'],
      [{ subject: { reference: 'Group/1' } }, 'error profile-structure Observation.subject', 'subject is a Patient'],
      [{ component: [systolic, systolic] }, 'error profile-required Observation.component', 'diastolic 1..1'],
      [
        { component: [systolic, component('8462-4', { valueQuantity: quantity(80, 'kPa') })] },
        'error profile-value Observation.component[1].value.code',
        'the unit',
      ],
      [{ component: [systolic, component('8462-4', {})] }, 'error invariant Observation.component[1]', 'vs-3'],
    ],
  },
  {
    profile: 'us-core-heart-rate',
    resource: {
      resourceType: 'Observation',
      status: 'final',
      ...category('vital-signs'),
      code: loinc('8867-4'),
      subject,
      effectiveDateTime: '2026-01-02T03:04:05Z',
      valueQuantity: quantity(60, '/min'),
    },
    warnings: [`${UNHELD} Observation.code`],
    broken: [
      [{ valueQuantity: quantity(60, 'Hz') }, 'error profile-value Observation.value.code', 'the unit'],
      [{ valueQuantity: undefined }, 'error invariant Observation', 'vs-2'],
    ],
  },
  {
    profile: 'us-core-observation-lab',
    resource: {
      resourceType: 'Observation',
      status: 'final',
      ...category(LAB),
      code: loinc('2345-7'),
      subject,
      effectiveDateTime: '2026-01-02',
      valueQuantity: quantity(5, 'mmol/L'),
    },
    warnings: [`${UNHELD} Observation.code`],
    broken: [
      [category('vital-signs'), 'error profile-required Observation.category', 'the category of a laboratory'],
      [
        { valueQuantity: { ...quantity(5, 'x'), system: 'http://x' } },
        'error invariant Observation.value',
        'us-core-3',
      ],
      [{ subject: undefined }, 'error profile-required Observation.subject', 'subject 1..1'],
    ],
  },
  {
    profile: 'us-core-condition-problems-health-concerns',
    resource: {
      resourceType: 'Condition',
      clinicalStatus: coded(`${HL7}condition-clinical`, 'active'),
      category: [coded(`${HL7}condition-category`, 'problem-list-item')],
      code: coded('http://snomed.info/sct', '38341003'),
      subject,
    },
    warnings: [],
    broken: [
      [
        { category: [coded(`${HL7}condition-category`, 'encounter-diagnosis')] },
        'error profile-required Condition.category',
        'us-core slice by its value set',
      ],
      [{ code: undefined }, 'error profile-required Condition.code', 'code 1..1'],
    ],
  },
  {
    profile: 'us-core-medicationrequest',
    resource: {
      resourceType: 'MedicationRequest',
      status: 'active',
      intent: 'order',
      medicationCodeableConcept: coded('http://www.nlm.nih.gov/research/umls/rxnorm', '197361'),
      subject,
      requester: { reference: 'Practitioner/1' },
    },
    warnings: [`${UNHELD} MedicationRequest.medication`],
    broken: [[{ requester: undefined }, 'error invariant MedicationRequest', 'us-core-21']],
  },
  {
    profile: 'us-core-allergyintolerance',
    resource: {
      resourceType: 'AllergyIntolerance',
      clinicalStatus: coded(`${HL7}allergyintolerance-clinical`, 'active'),
      code: coded('http://snomed.info/sct', '387207008'),
      patient: subject,
    },
    warnings: [`${UNHELD} AllergyIntolerance.code`],
    broken: [
      [{ code: undefined }, 'error profile-required AllergyIntolerance.code', 'code 1..1'],
      [
        { reaction: [{ manifestation: [] }] },
        'error structure AllergyIntolerance.reaction[0].manifestation',
        'base error',
      ],
    ],
  },
];

for (const { profile, resource, warnings, broken } of BASES) {
  const claimed = { ...resource, meta: { profile: [US_CORE + profile] } };
  const said = (value: typeof resource) =>
    validate(value).map(({ kind, severity = 'error', expression }) => `${severity} ${kind} ${expression}`);
  test(`${profile}: control`, () => assert.deepEqual(said(claimed).toSorted(), warnings));
  for (const [change, issue, why] of broken) {
    test(`${profile}: ${why}`, () => {
      const found = said({ ...claimed, ...change }).filter((each) => each.startsWith('error'));
      assert.ok(found.includes(issue), `${issue} is not among: ${found.join('; ')}`);
    });
  }
}

test('capabilitystatement.html#supportedProfile: only what is held, for its type', () => {
  const statement = (supportedProfile: string) =>
    JSON.stringify({
      resourceType: 'CapabilityStatement',
      fhirVersion: '4.0.1',
      kind: 'instance',
      format: ['json'],
      rest: [
        {
          mode: 'server',
          resource: [{ type: 'Patient', interaction: [{ code: 'read' }], supportedProfile: [supportedProfile] }],
        },
      ],
    });
  const load = (canonical: string) => () => loadCapability(statement(canonical), definitions);
  assert.doesNotThrow(load(`${US_CORE}us-core-patient`));
  assert.doesNotThrow(load(`${US_CORE}us-core-patient|7.0.0`));
  assert.throws(load(`${US_CORE}us-core-patient|6.1.0`), /us-core-patient\|6\.1\.0 is not held/);
  assert.throws(load(`${US_CORE}us-core-goal`), /us-core-goal is not held/);
  assert.throws(load(`${US_CORE}us-core-heart-rate`), /is for Observation/);
});

test('scripts/package.ts: a package of its own output installs again, and says what it lacks', () => {
  const source = mkdtempSync(join(tmpdir(), 'package-'));
  const into = mkdtempSync(join(tmpdir(), 'installed-'));
  try {
    for (const kind of ['structure', 'terminology'])
      cpSync(join(ROOT, 'test/data/us-core', kind), source, { recursive: true });
    const manifest = (version: string) =>
      writeFileSync(join(source, 'package.json'), JSON.stringify({ name: 'x', fhirVersions: [version] }));
    manifest('4.0.1');
    assert.throws(() => installPackage(source, into, ['us-core-goal']), /holds no profile us-core-goal/);
    const { profiles, terminology } = installPackage(source, into, ['us-core-race']);
    assert.deepEqual(profiles, [`${US_CORE}us-core-race`]);
    assert.equal(terminology.length, 2);
    assert.deepEqual(readdirSync(join(into, 'structure')), ['us-core-race.json']);
    manifest('5.0.0');
    assert.throws(() => installPackage(source, into), /not a package for FHIR R4/);
  } finally {
    for (const each of [source, into]) rmSync(each, { recursive: true });
  }
});
