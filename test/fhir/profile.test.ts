// profiling.html, elementdefinition.html, validation.html: what a profile asks of a resource, rule by rule.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Definitions } from '../../src/fhir/definitions/definitions.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { profileOf } from '../../src/fhir/profile/profile.ts';
import { type Asked, conformanceValidator } from '../../src/fhir/profile/validator.ts';
import { type JsonObject, parseJson, type Resource } from '../../src/fhir/resource.ts';
import { validator } from '../../src/fhir/validation/validate.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLES = join(ROOT, 'test', 'data', 'fhir-examples');
const definitions = loadDefinitions(join(ROOT, 'profiles'));
const BASE = 'http://hl7.org/fhir/StructureDefinition/';
const OURS = 'http://example.org/';

type Element = JsonObject & { readonly id: string };

/** A profile of a type by the elements of its snapshot; `id` says the path. */
function profile(url: string, type: string, ...elements: readonly Element[]) {
  const element = [{ id: type }, ...elements].map((each) => ({
    ...each,
    path: each.id.replace(/:[^.]+/g, ''),
  }));
  const value = { resourceType: 'StructureDefinition', derivation: 'constraint', url, type, snapshot: { element } };
  return profileOf(value, 'test');
}

const VALUE_SETS: Readonly<Record<string, Resource>> = {
  [`ValueSet ${OURS}colours`]: {
    resourceType: 'ValueSet',
    compose: {
      include: [{ system: `${OURS}colour` }],
      exclude: [{ system: `${OURS}colour`, concept: [{ code: 'grey' }] }],
    },
  },
  [`ValueSet ${OURS}reds`]: {
    resourceType: 'ValueSet',
    compose: { include: [{ system: `${OURS}colour`, filter: [{ property: 'concept', op: 'is-a', value: 'red' }] }] },
  },
  [`ValueSet ${OURS}listed`]: {
    resourceType: 'ValueSet',
    compose: { include: [{ system: 'http://loinc.org', concept: [{ code: '1-8' }] }, { valueSet: [`${OURS}reds`] }] },
  },
  [`ValueSet ${OURS}foreign`]: {
    resourceType: 'ValueSet',
    compose: {
      include: [{ system: 'http://snomed.info/sct', filter: [{ property: 'concept', op: 'is-a', value: '1' }] }],
    },
  },
  [`CodeSystem ${OURS}colour`]: {
    resourceType: 'CodeSystem',
    url: `${OURS}colour`,
    content: 'complete',
    concept: [{ code: 'red', concept: [{ code: 'scarlet' }] }, { code: 'blue' }, { code: 'grey' }],
  },
};

function withProfiles(...profiles: readonly ReturnType<typeof profileOf>[]): Definitions {
  return {
    ...definitions,
    profiles: new Map(profiles.map((each) => [each.url, each])),
    published: (type, url) => VALUE_SETS[`${type} ${url}`] ?? definitions.published(type, url),
  };
}

/** `severity code expression`, sorted. */
const said = (
  validate: (resource: Resource, asked?: Asked) => ReturnType<ReturnType<typeof conformanceValidator>>,
  value: JsonObject,
) =>
  validate({ resourceType: 'Observation', status: 'final', code: { text: 'x' }, ...value }, { profiles: [`${OURS}p`] })
    .map(({ kind, severity = 'error', expression }) => `${severity} ${kind} ${expression}`)
    .sort();

const coded = (code: string, system = `${OURS}colour`) => ({ coding: [{ system, code }] });
const by = (type: string, path: string, rules = 'open', ordered = false) => ({
  slicing: { discriminator: [{ type, path }], rules, ordered },
});
const any = { min: 0, max: '*' };
const once = { min: 1, max: '1' };
const COMPONENT = 'Observation.component';

interface Rule {
  readonly rule: string;
  readonly elements: readonly Element[];
  readonly valid: readonly JsonObject[];
  readonly invalid: readonly (readonly [value: JsonObject, ...issues: readonly string[]])[];
}

const bound = (strength: string, set: string): readonly Element[] => [
  { id: 'Observation.code', ...once, type: [{ code: 'CodeableConcept' }], binding: { strength, valueSet: OURS + set } },
];
/** Two slices of component: `a` exactly once, `b` at most once. */
const sliced = (slicing: JsonObject, fix: (code: string) => JsonObject): readonly Element[] => [
  { id: COMPONENT, ...any, ...slicing },
  { id: `${COMPONENT}:a`, ...once },
  { id: `${COMPONENT}:a.code`, ...once, ...fix('red') },
  { id: `${COMPONENT}:b`, min: 0, max: '1' },
  { id: `${COMPONENT}:b.code`, ...once, ...fix('blue') },
];
const red = { code: coded('red'), valueString: 'x' };
const blue = { code: coded('blue'), valueString: 'x' };
const grey = { code: coded('grey'), valueString: 'x' };
const interpreted = { ...red, interpretation: [coded('x')] };
const pattern = (code: string) => ({ patternCodeableConcept: coded(code) });
const listed = (...component: readonly JsonObject[]) => ({ component });
const EXTENSION = `${OURS}ext`;

const RULES: readonly Rule[] = [
  {
    rule: 'cardinality: an optional element becomes required',
    elements: [{ id: 'Observation.subject', ...once }],
    valid: [{ subject: { reference: 'Patient/1' } }],
    invalid: [[{}, 'error profile-required Observation.subject']],
  },
  {
    rule: 'cardinality: 0..0 forbids, 2..3 counts',
    elements: [
      { id: 'Observation.note', min: 0, max: '0' },
      { id: 'Observation.category', min: 2, max: '3' },
    ],
    valid: [{ category: [coded('red'), coded('red')] }, { category: [coded('red'), coded('red'), coded('red')] }],
    invalid: [
      [{ category: [coded('red')] }, 'error profile-structure Observation.category'],
      [{ category: [1, 2, 3, 4].map(() => coded('red')) }, 'error profile-structure Observation.category'],
      [{ category: [coded('red'), coded('red')], note: [{ text: 'x' }] }, 'error profile-structure Observation.note'],
    ],
  },
  {
    rule: 'cardinality: children of what is absent are not asked for',
    elements: [
      { id: 'Observation.subject', min: 0, max: '1' },
      { id: 'Observation.subject.display', ...once },
    ],
    valid: [{}, { subject: { display: 'x' } }],
    invalid: [[{ subject: { reference: 'Patient/1' } }, 'error profile-required Observation.subject.display']],
  },
  {
    rule: 'fixed[x]: just this',
    elements: [{ id: 'Observation.code', ...once, fixedCodeableConcept: coded('red') }],
    valid: [{ code: coded('red') }, { code: { coding: [{ code: 'red', system: `${OURS}colour` }] } }],
    invalid: [
      [{ code: { ...coded('red'), text: 'x' } }, 'error profile-value Observation.code'],
      [{ code: coded('blue') }, 'error profile-value Observation.code'],
    ],
  },
  {
    rule: 'fixed[x]: numbers by what they are worth',
    elements: [
      { id: 'Observation.value[x]', ...once, type: [{ code: 'Quantity' }] },
      { id: 'Observation.value[x].value', ...once, fixedDecimal: 1 },
    ],
    valid: [{ valueQuantity: { value: 1 } }, { valueQuantity: parseJson('{"value":1.00}') }],
    invalid: [[{ valueQuantity: { value: 1.5 } }, 'error profile-value Observation.value.value']],
  },
  {
    rule: 'pattern[x]: at least this',
    elements: [{ id: 'Observation.code', ...once, patternCodeableConcept: coded('red') }],
    valid: [
      { code: { ...coded('red'), text: 'x' } },
      { code: { coding: [...coded('blue').coding, { ...coded('red').coding[0], display: 'x' }] } },
    ],
    invalid: [[{ code: coded('red', 'http://example.org/other') }, 'error profile-value Observation.code']],
  },
  {
    rule: 'types: fewer than the base allows',
    elements: [{ id: 'Observation.value[x]', min: 0, max: '1', type: [{ code: 'Quantity' }, { code: 'string' }] }],
    valid: [{}, { valueQuantity: { value: 1 } }, { valueString: 'x' }],
    invalid: [[{ valueBoolean: true }, 'error profile-structure Observation.value']],
  },
  {
    rule: 'reference targets by type',
    elements: [
      { id: 'Observation.subject', min: 0, max: '1', type: [{ code: 'Reference', targetProfile: [`${BASE}Patient`] }] },
    ],
    valid: [
      { subject: { reference: 'Patient/1' } },
      { subject: { display: 'x' } },
      { subject: { reference: 'urn:uuid:1' } },
    ],
    invalid: [
      [{ subject: { reference: 'Group/1' } }, 'error profile-structure Observation.subject'],
      [{ subject: { type: 'Device', display: 'x' } }, 'error profile-structure Observation.subject'],
    ],
  },
  {
    rule: 'reference targets: a profile that is not held says nothing',
    elements: [
      { id: 'Observation.subject', min: 0, max: '1', type: [{ code: 'Reference', targetProfile: [`${OURS}unheld`] }] },
    ],
    valid: [{ subject: { reference: 'Group/1' } }],
    invalid: [],
  },
  {
    rule: 'required binding: whole system, excluded codes',
    elements: bound('required', 'colours'),
    valid: [
      { code: coded('red') },
      { code: coded('scarlet') },
      { code: { coding: [...coded('x').coding, ...coded('blue').coding] } },
    ],
    invalid: [
      [{ code: coded('grey') }, 'error profile-code Observation.code'],
      [{ code: coded('green') }, 'error profile-code Observation.code'],
      [{ code: coded('red', 'http://example.org/other') }, 'error profile-code Observation.code'],
      [{ code: { text: 'red' } }, 'error profile-code Observation.code'],
    ],
  },
  {
    rule: 'required binding: by hierarchy, by list, by another value set',
    elements: bound('required', 'listed'),
    valid: [{ code: coded('scarlet') }, { code: coded('1-8', 'http://loinc.org') }],
    invalid: [
      [{ code: coded('blue') }, 'error profile-code Observation.code'],
      [{ code: coded('2-6', 'http://loinc.org') }, 'error profile-code Observation.code'],
    ],
  },
  {
    rule: 'required binding: a system that is not held is a warning',
    elements: bound('required', 'foreign'),
    valid: [],
    invalid: [
      [{ code: coded('1', 'http://snomed.info/sct') }, 'warning not-judged Observation.code'],
      [{ code: coded('red') }, 'error profile-code Observation.code'],
    ],
  },
  {
    rule: 'required binding: a value set that is not held is a warning',
    elements: bound('required', 'unheld'),
    valid: [],
    invalid: [[{ code: coded('red') }, 'warning not-judged Observation.code']],
  },
  {
    rule: 'extensible binding: another code is a warning, a text is not',
    elements: bound('extensible', 'colours'),
    valid: [{ code: coded('red') }, { code: { text: 'x' } }],
    invalid: [[{ code: coded('green') }, 'warning profile-code Observation.code']],
  },
  {
    rule: 'slicing by pattern, open',
    elements: sliced(by('pattern', 'code'), pattern),
    valid: [listed(red), listed(grey, blue, red)],
    invalid: [
      [{}, 'error profile-required Observation.component'],
      [listed(blue), 'error profile-required Observation.component'],
      [listed(red, red), 'error profile-structure Observation.component'],
      [listed(red, blue, blue), 'error profile-structure Observation.component'],
    ],
  },
  {
    rule: 'slicing by value of a child',
    elements: [
      { id: COMPONENT, ...any, ...by('value', 'code.coding.code') },
      { id: `${COMPONENT}:a`, ...once },
      { id: `${COMPONENT}:a.code`, ...once },
      { id: `${COMPONENT}:a.code.coding`, ...once },
      { id: `${COMPONENT}:a.code.coding.code`, ...once, fixedCode: 'red' },
      { id: `${COMPONENT}:a.value[x]`, ...once, type: [{ code: 'string' }] },
    ],
    valid: [listed(red), listed({ ...blue, valueString: undefined, valueBoolean: true }, red)],
    invalid: [
      [listed(blue), 'error profile-required Observation.component'],
      [listed({ code: coded('red') }), 'error profile-required Observation.component[0].value'],
      [listed({ code: coded('red'), valueBoolean: true }), 'error profile-structure Observation.component[0].value'],
    ],
  },
  {
    rule: 'slicing by required binding',
    elements: sliced(by('value', 'code'), (code) =>
      code === 'red' ? { binding: { strength: 'required', valueSet: `${OURS}reds` } } : pattern(code),
    ),
    valid: [listed({ code: coded('scarlet') })],
    invalid: [[listed(blue), 'error profile-required Observation.component']],
  },
  {
    rule: 'slicing, closed',
    elements: sliced(by('pattern', 'code', 'closed'), pattern),
    valid: [listed(red), listed(blue, red)],
    invalid: [[listed(red, grey), 'error profile-structure Observation.component[1]']],
  },
  {
    rule: 'slicing, open at the end',
    elements: sliced(by('pattern', 'code', 'openAtEnd'), pattern),
    valid: [listed(red, grey), listed(red, blue, grey)],
    invalid: [[listed(grey, red), 'error profile-structure Observation.component[0]']],
  },
  {
    rule: 'slicing, ordered',
    elements: sliced(by('pattern', 'code', 'open', true), pattern),
    valid: [listed(red, blue), listed(red, grey, blue)],
    invalid: [[listed(blue, red), 'error profile-structure Observation.component[1]']],
  },
  {
    rule: 'slices of a slice',
    elements: [
      { id: COMPONENT, ...any, ...by('pattern', 'code') },
      { id: `${COMPONENT}:a`, min: 0, max: '*', ...by('exists', 'interpretation') },
      { id: `${COMPONENT}:a.code`, ...once, ...pattern('red') },
      { id: `${COMPONENT}:a/x`, min: 0, max: '1' },
      { id: `${COMPONENT}:a/x.interpretation`, min: 1, max: '*' },
    ],
    valid: [listed(red, red), listed(red, interpreted), listed(interpreted, { ...interpreted, ...blue })],
    invalid: [[listed(interpreted, interpreted), 'error profile-structure Observation.component']],
  },
  {
    rule: 'several profiles on a data type: one of them has to hold',
    elements: [
      {
        id: 'Observation.code',
        ...once,
        type: [{ code: 'CodeableConcept', profile: [`${OURS}concept`, `${OURS}silent`] }],
      },
    ],
    valid: [{ code: coded('red') }, { code: { id: 'x', extension: [{ url: 'http://x', valueCode: 'y' }] } }],
    invalid: [[{}, 'error profile-structure Observation.code']],
  },
  {
    rule: 'reference targets: a held profile stands for its type, a fragment for what is contained',
    elements: [
      {
        id: 'Observation.subject',
        min: 0,
        max: '1',
        type: [{ code: 'Reference', targetProfile: [`${OURS}person|1`] }],
      },
    ],
    valid: [
      { subject: { reference: 'Patient/1' } },
      { subject: { reference: '#a' }, contained: [{ resourceType: 'Patient', id: 'a' }] },
    ],
    invalid: [
      [{ subject: { reference: 'https://x.example/fhir/Group/1' } }, 'error profile-structure Observation.subject'],
      [
        { subject: { reference: '#a' }, contained: [{ resourceType: 'Device', id: 'a' }] },
        'error profile-structure Observation.subject',
      ],
    ],
  },
  {
    rule: 'slicing by type of a choice',
    elements: [
      { id: 'Observation.value[x]', min: 0, max: '1', ...by('type', '$this', 'closed') },
      { id: 'Observation.value[x]:valueQuantity', min: 0, max: '1', type: [{ code: 'Quantity' }] },
      { id: 'Observation.value[x]:valueQuantity.code', ...once },
    ],
    valid: [{}, { valueQuantity: { value: 1, code: '1', system: 'http://unitsofmeasure.org' } }],
    invalid: [
      [{ valueQuantity: { value: 1 } }, 'error profile-required Observation.value.code'],
      [{ valueString: 'x' }, 'error profile-structure Observation.value'],
    ],
  },
  {
    rule: 'slicing by existence',
    elements: [
      { id: COMPONENT, ...any, ...by('exists', 'interpretation', 'closed') },
      { id: `${COMPONENT}:with`, min: 0, max: '1' },
      { id: `${COMPONENT}:with.interpretation`, min: 1, max: '*' },
      { id: `${COMPONENT}:without`, ...once },
      { id: `${COMPONENT}:without.interpretation`, min: 0, max: '0' },
    ],
    valid: [listed(red), listed({ ...red, interpretation: [coded('x')] }, blue)],
    invalid: [
      [listed({ ...red, interpretation: [coded('x')] }), 'error profile-required Observation.component'],
      [listed(red, blue), 'error profile-structure Observation.component'],
    ],
  },
  {
    rule: 'slicing by profile',
    elements: [
      { id: 'Observation.category', ...any, ...by('profile', '$this') },
      { id: 'Observation.category:ours', ...once, type: [{ code: 'CodeableConcept', profile: [`${OURS}concept`] }] },
    ],
    valid: [{ category: [{ text: 'x' }, coded('red')] }],
    invalid: [[{ category: [{ text: 'x' }] }, 'error profile-required Observation.category']],
  },
  {
    rule: 'slicing through a reference is not judged',
    elements: [
      { id: 'Observation.performer', ...any, ...by('type', 'resolve()', 'closed') },
      { id: 'Observation.performer:a', ...once, type: [{ code: 'Reference' }] },
    ],
    valid: [{}],
    invalid: [[{ performer: [{ reference: 'Patient/1' }] }, 'warning not-judged Observation.performer']],
  },
  {
    rule: 'profile on a data type',
    elements: [{ id: 'Observation.code', ...once, type: [{ code: 'CodeableConcept', profile: [`${OURS}concept`] }] }],
    valid: [{ code: coded('red') }],
    invalid: [[{}, 'error profile-required Observation.code.coding']],
  },
  {
    rule: 'extensions: by url, with their own profile',
    elements: [
      { id: 'Observation.extension', ...any, ...by('value', 'url') },
      { id: 'Observation.extension:e', ...once, type: [{ code: 'Extension', profile: [EXTENSION] }] },
    ],
    valid: [
      {
        extension: [
          { url: EXTENSION, valueCode: 'a' },
          { url: `${OURS}other`, valueString: 'x' },
        ],
      },
    ],
    invalid: [
      [{}, 'error profile-required Observation.extension'],
      [{ extension: [{ url: EXTENSION, valueString: 'a' }] }, 'error profile-structure Observation.extension[0].value'],
    ],
  },
  {
    rule: 'extensions: one whose definition is not held is a warning',
    elements: [
      { id: 'Observation.extension', ...any, ...by('value', 'url') },
      { id: 'Observation.extension:e', min: 0, max: '1', type: [{ code: 'Extension', profile: [`${OURS}unheld`] }] },
    ],
    valid: [{}],
    invalid: [
      [{ extension: [{ url: `${OURS}unheld`, valueCode: 'a' }] }, 'warning profile-unknown Observation.extension[0]'],
    ],
  },
  {
    rule: 'constraints by FHIRPath, with their severity',
    elements: [
      {
        id: 'Observation.value[x]',
        min: 0,
        max: '1',
        constraint: [
          {
            key: 'c-1',
            severity: 'error',
            expression: "ofType(Quantity).system.empty() or ofType(Quantity).system = 'http://unitsofmeasure.org'",
          },
          { key: 'c-2', severity: 'warning', expression: '%resource.subject.exists()' },
        ],
      },
    ],
    valid: [{}, { valueString: 'x', subject: { reference: 'Patient/1' } }],
    invalid: [
      [
        { valueQuantity: { value: 1, system: 'http://example.org' } },
        'error invariant Observation.value',
        'warning invariant Observation.value',
      ],
    ],
  },
  {
    rule: 'constraints that cannot be evaluated are a warning',
    elements: [
      {
        id: 'Observation.subject',
        min: 0,
        max: '1',
        constraint: [
          { key: 'c-1', severity: 'error', expression: 'resolve().exists()' },
          { key: 'c-2', severity: 'error', expression: 'no FHIRPath (' },
        ],
      },
    ],
    valid: [{}],
    invalid: [
      [
        { subject: { reference: 'Patient/1' } },
        'warning not-judged Observation.subject',
        'warning not-judged Observation.subject',
      ],
    ],
  },
];

for (const { rule, elements, valid, invalid } of RULES) {
  test(`profiling.html ${rule}`, () => {
    const held = withProfiles(
      profile(`${OURS}p`, 'Observation', ...elements),
      profile(`${OURS}concept`, 'CodeableConcept', { id: 'CodeableConcept.coding', min: 1, max: '*' }),
      profile(`${OURS}silent`, 'CodeableConcept', { id: 'CodeableConcept.text', min: 0, max: '0' }),
      profile(`${OURS}person`, 'Patient'),
      profile(
        EXTENSION,
        'Extension',
        { id: 'Extension.url', ...once, fixedUri: EXTENSION },
        { id: 'Extension.value[x]', ...once, type: [{ code: 'code' }] },
      ),
    );
    const validate = conformanceValidator(held);
    for (const value of valid) assert.deepEqual(said(validate, value), [], JSON.stringify(value));
    for (const [value, ...issues] of invalid) assert.deepEqual(said(validate, value), issues, JSON.stringify(value));
  });
}

const plainly = conformanceValidator(withProfiles());

// ---- claims ----

test('resource.html#Meta: what a resource claims is judged, what nobody holds is a warning', () => {
  const validate = conformanceValidator(
    withProfiles(profile(`${OURS}p`, 'Observation', { id: 'Observation.subject', ...once })),
  );
  const claims = (...canonicals: readonly string[]) =>
    validate({ resourceType: 'Observation', status: 'final', code: { text: 'x' }, meta: { profile: canonicals } }).map(
      ({ kind, severity = 'error', expression }) => `${severity} ${kind} ${expression}`,
    );
  assert.deepEqual(claims(`${OURS}p`), ['error profile-required Observation.subject']);
  assert.deepEqual(claims(`${OURS}p`, `${OURS}p`), ['error profile-required Observation.subject'], 'twice is once');
  assert.deepEqual(claims(`${OURS}p|2`), ['warning profile-unknown Observation.meta.profile[0]'], 'another version');
  assert.deepEqual(claims(`${BASE}Observation`, `${OURS}q`), ['warning profile-unknown Observation.meta.profile[1]']);
});

test('resource-operation-validate.html: a profile that is asked for and not held is an error', () => {
  assert.deepEqual(said(conformanceValidator(withProfiles()), {}), ['error profile-unknown Observation']);
});

test('a profile of another type is an error', () => {
  const validate = conformanceValidator(withProfiles(profile(`${OURS}p`, 'Patient')));
  assert.deepEqual(said(validate, {}), ['error profile-structure Observation']);
});

test('base errors come alone on a write, and next to the profile in $validate', () => {
  const validate = conformanceValidator(
    withProfiles(profile(`${OURS}p`, 'Observation', { id: 'Observation.subject', ...once })),
  );
  const broken = { resourceType: 'Observation', status: 'final', meta: { profile: [`${OURS}p`] } };
  assert.deepEqual(
    validate(broken).map(({ kind }) => kind),
    ['required'],
  );
  assert.deepEqual(
    validate(broken, { profiles: [] }).map(({ kind }) => kind),
    ['required', 'profile-required'],
  );
});

test('hostile: warnings never hide an error', () => {
  const validate = conformanceValidator(
    withProfiles(
      profile(
        `${OURS}p`,
        'Observation',
        { id: 'Observation.category', ...any, binding: { strength: 'extensible', valueSet: `${OURS}colours` } },
        { id: 'Observation.subject', ...once },
      ),
    ),
  );
  const category = Array.from({ length: 300 }, () => coded('green'));
  const found = said(validate, { category });
  assert.ok(found.includes('error profile-required Observation.subject'));
  assert.ok(found.length < 60);
});

test('hostile: FHIRPath is not run on what is very large, which is said once', () => {
  const element = (count: number) => ({
    element: Array.from({ length: count }, (_, at) => ({ id: `X.a${at}`, path: `X.a${at}` })),
  });
  const large = (count: number) => ({
    resourceType: 'StructureDefinition',
    ...{ url: 'http://x', name: 'A', status: 'draft', kind: 'resource', abstract: true, type: 'X' },
    differential: element(count),
  });
  const notes = (value: Resource) =>
    plainly(value, { profiles: [] }).filter(({ message }) => /too large/.test(message)).length;
  assert.equal(notes(large(100)), 0);
  assert.equal(notes(large(10_000)), 1);
});

test('hostile: what is no resource', () => {
  const validate = conformanceValidator(withProfiles());
  for (const value of [null, 1, 'x', [], {}, { resourceType: 'Nothing' }]) {
    assert.ok(validate(value as unknown as Resource, { profiles: [`${OURS}p`] }).length > 0);
  }
});

test('hostile: a resource of any shape is judged without a throw', () => {
  const slicing = RULES.flatMap(({ elements }) => elements).filter(({ id }) => id.startsWith(COMPONENT));
  const unique = [...new Map(slicing.map((each) => [each.id, each])).values()];
  const order = unique.toSorted((a, b) => a.id.length - b.id.length);
  const validate = conformanceValidator(withProfiles(profile(`${OURS}p`, 'Observation', ...order)));
  const shapes: readonly unknown[] = [
    null,
    1,
    'x',
    true,
    [],
    {},
    [null],
    [[[]]],
    { code: { coding: 'x' } },
    [{ code: [1] }],
  ];
  for (const shape of shapes) {
    const value = { component: shape, meta: { profile: shape }, _component: shape, code: shape };
    assert.doesNotThrow(() => said(validate, value as JsonObject), JSON.stringify(shape));
  }
});

const REFUSED: readonly [JsonObject, string][] = [
  [{}, 'nothing'],
  [{ resourceType: 'StructureDefinition', derivation: 'specialization', url: 'x', type: 'Patient' }, 'no constraint'],
  [{ resourceType: 'StructureDefinition', derivation: 'constraint', url: 'x', type: 'Patient' }, 'no snapshot'],
  [
    {
      resourceType: 'StructureDefinition',
      derivation: 'constraint',
      url: 'x',
      type: 'Patient',
      snapshot: {
        element: [
          { id: 'Patient', path: 'Patient' },
          { id: 'Patient.a.b', path: 'Patient.a.b' },
        ],
      },
    },
    'an element without its parent',
  ],
];
for (const [value, why] of REFUSED) {
  test(`profiles/structure: ${why} is refused`, () => assert.throws(() => profileOf(value, 'x.json'), /x\.json/));
}

// ---- base constraints by FHIRPath ----

const invariants = (value: Resource) =>
  plainly(value, { profiles: [] }).map(({ kind, severity = 'error', expression, message }) =>
    [severity, kind, expression, message.split(':')[0]].join(' '),
  );

test('conformance-rules.html#constraints: what is not compiled by hand is asked by FHIRPath in $validate only', () => {
  const search = {
    resourceType: 'SearchParameter',
    url: 'http://x',
    name: 'A',
    status: 'draft',
    description: 'x',
    code: 'a',
    base: ['Patient'],
    type: 'token',
  };
  assert.deepEqual(invariants(search), []);
  const broken = { ...search, name: 'a b', xpath: 'x' };
  assert.deepEqual(invariants(broken).toSorted(), [
    'error invariant SearchParameter spd-1',
    'warning invariant SearchParameter spd-0',
  ]);
  assert.deepEqual(plainly(broken), [], 'an ordinary write has the table compiled by hand');
});

/** Constraints that the engine cannot evaluate, or that need another resource. */
const UNJUDGED: Readonly<Record<string, string>> = {
  'ctm-1': 'it resolves a reference',
  'eld-16': 'its regular expression is not one of ECMAScript',
  'eld-19': 'its regular expression is not one of ECMAScript',
  'eld-20': 'its regular expression is not one of ECMAScript',
};

test('official examples hold the base constraints by FHIRPath', () => {
  const base = validator(definitions);
  const faults: string[] = [];
  for (const file of readdirSync(EXAMPLES).filter((each) => each.endsWith('.json'))) {
    const resource = parseJson(readFileSync(join(EXAMPLES, file), 'utf8')) as Resource;
    const known = new Set(base(resource).map(({ message, expression }) => `${expression} ${message}`));
    for (const { kind, severity = 'error', message, expression } of plainly(resource, { profiles: [] })) {
      const key = message.split(' ')[0] ?? '';
      if (known.has(`${expression} ${message}`) || (kind === 'not-judged' && UNJUDGED[key] !== undefined)) continue;
      if (severity === 'error' || kind === 'not-judged') faults.push(`${file} ${expression} ${message}`);
    }
  }
  assert.deepEqual(faults, []);
});
