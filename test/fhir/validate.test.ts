// json.html, datatypes.html, element.html, extensibility.html, references.html, narrative.html, bundle.html: what a resource must be.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import {
  isJsonObject,
  type Json,
  type JsonObject,
  parseJson,
  type Resource,
  serialize,
} from '../../src/fhir/resource.ts';
import { ISSUE_LIMIT } from '../../src/fhir/validation/finding.ts';
import { INVARIANTS } from '../../src/fhir/validation/invariant.ts';
import { narrativeFault } from '../../src/fhir/validation/narrative.ts';
import { PRIMITIVES } from '../../src/fhir/validation/primitive.ts';
import { validator } from '../../src/fhir/validation/validate.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLES = join(ROOT, 'test', 'data', 'fhir-examples');
const definitions = loadDefinitions(join(ROOT, 'profiles'));
const validate = validator(definitions);

/** The validator takes whatever JSON gives; a Resource is what it decides about. */
const found = (value: unknown): readonly string[] =>
  validate(value as Resource)
    .map(({ kind, expression }) => `${kind} ${expression ?? ''}`)
    .sort();

const BASES: Readonly<Record<string, JsonObject>> = {
  none: {},
  Patient: { resourceType: 'Patient' },
  Observation: { resourceType: 'Observation', status: 'final', code: { text: 'x' } },
  AllergyIntolerance: {
    resourceType: 'AllergyIntolerance',
    patient: { reference: 'Patient/1' },
    clinicalStatus: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }],
    },
  },
  Bundle: { resourceType: 'Bundle', type: 'collection' },
};

// ---- official examples ----

/** Examples that break the specification they illustrate. */
const BROKEN: Readonly<Record<string, readonly string[]>> = {
  // Reference targets that the element does not allow.
  'DeviceMetric-example': ['structure DeviceMetric.parent'],
  'DeviceUseStatement-example': ['structure DeviceUseStatement.reasonReference[0]'],
  'MedicationRequest-medrx0301': ['structure MedicationRequest.dispenseRequest.performer'],
  'Observation-clinical-gender': ['structure Observation.performer[0]'],
};
/** Its items have no linkId, which is required, so that they are not distinct either (que-2). */
const WITHOUT_LINK_IDS = 'Questionnaire-qs1';
/** The package holds no example of these. */
const WITHOUT_EXAMPLE = [
  'Parameters',
  'SubstanceNucleicAcid',
  'SubstancePolymer',
  'SubstanceProtein',
  'SubstanceReferenceInformation',
  'SubstanceSourceMaterial',
];

const examples = readdirSync(EXAMPLES)
  .filter((file) => file.endsWith('.json'))
  .map((file) => ({ name: file.slice(0, -5), text: readFileSync(join(EXAMPLES, file), 'utf8') }));

test('at least 200 examples cover every resource type that has one', () => {
  assert.ok(examples.length >= 200);
  const covered = new Set(examples.map(({ name }) => name.split('-')[0]));
  assert.deepEqual([...definitions.resourceTypes].filter((type) => !covered.has(type)).sort(), WITHOUT_EXAMPLE);
});

test('official examples validate, but for those that break the specification', () => {
  const faults = examples.flatMap(({ name, text }) => {
    const issues = found(parseJson(text));
    const expected = [...(BROKEN[name] ?? [])];
    if (name === WITHOUT_LINK_IDS && issues.every((each) => /linkId$|^invariant Questionnaire$/.test(each))) return [];
    return JSON.stringify(issues) === JSON.stringify(expected) ? [] : [`${name}: ${issues.join('; ')}`];
  });
  assert.deepEqual(faults, []);
});

test('validation leaves the resource as it is', () => {
  const text = examples.find(({ name }) => name === 'Patient-example')?.text ?? '';
  const resource = parseJson(text);
  const before = serialize(resource);
  found(deepFrozen(resource));
  assert.equal(serialize(resource), before);
});

function deepFrozen(value: Json): Json {
  if (typeof value === 'object' && value !== null) for (const each of Object.values(value)) deepFrozen(each ?? null);
  return Object.freeze(value);
}

// ---- invalid resources ----

test('bases are valid', () => {
  for (const [name, base] of Object.entries(BASES)) if (name !== 'none') assert.deepEqual(found(base), [], name);
});

const rows = parseJson(readFileSync(join(import.meta.dirname, 'cases', 'validate.json'), 'utf8'));
for (const row of Array.isArray(rows) ? rows : []) {
  if (!isJsonObject(row) || !isJsonObject(row.with)) throw new Error('A row has rule, base, with and expect.');
  const expected = [row.expect, row.also].flatMap((each) => (Array.isArray(each) ? each.map(String) : [])).sort();
  const resource = { ...BASES[String(row.base)], ...row.with };
  test(`${String(row.rule)}`, () => assert.deepEqual(found(resource), expected));
}

test('every invariant compiled by hand is declared by an element', () => {
  const declared = new Set(
    [...definitions.types].flatMap(
      (type) => definitions.structure(type)?.elements.flatMap((each) => each.constraints) ?? [],
    ),
  );
  assert.deepEqual(
    [...INVARIANTS.keys()].filter((key) => !declared.has(key) || !definitions.constraints.has(key)),
    [],
  );
});

// ---- what is allowed ----

const allowed: readonly (readonly [why: string, base: string, elements: JsonObject])[] = [
  ['resource with nothing in it', 'Patient', {}],
  [
    'primitive with extension only',
    'Patient',
    { _birthDate: { extension: [{ url: 'http://x', valueCode: 'unknown' }] } },
  ],
  [
    'required primitive with extension only',
    'none',
    {
      resourceType: 'Observation',
      _status: { extension: [{ url: 'http://x', valueCode: 'unknown' }] },
      code: { text: 'x' },
    },
  ],
  [
    'null beside an extension',
    'Patient',
    {
      name: [{ given: ['x', null], _given: [null, { extension: [{ url: 'http://x', valueCode: 'unknown' }] }] }],
    },
  ],
  [
    'choice with value and extension',
    'Observation',
    {
      valueString: 'x',
      _valueString: { extension: [{ url: 'http://x', valueBoolean: true }] },
    },
  ],
  ['id beside a value', 'Patient', { birthDate: '2020', _birthDate: { id: 'a' } }],
  ['ids beside values', 'Patient', { name: [{ given: ['x', 'y'], _given: [{ id: 'a' }, null] }] }],
  [
    'null beside an extension list only',
    'Patient',
    {
      name: [{ _given: [{ extension: [{ url: 'http://x', valueCode: 'unknown' }] }] }],
    },
  ],
  [
    'reference that tells no type',
    'Observation',
    { subject: { reference: 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520' } },
  ],
  ['absolute reference to something unknown', 'Observation', { subject: { reference: 'https://h/people/7' } }],
  ['conditional reference', 'Observation', { subject: { reference: 'Patient?identifier=a|b' } }],
  ['logical reference', 'Observation', { subject: { identifier: { value: 'x' } } }],
  [
    'contained resource referred to',
    'Observation',
    {
      contained: [{ resourceType: 'Patient', id: 'p' }],
      subject: { reference: '#p' },
    },
  ],
  [
    'contained resource that refers to its container',
    'Observation',
    {
      contained: [
        {
          resourceType: 'Provenance',
          id: 'p',
          target: [{ reference: '#' }],
          recorded: '2020-01-01T00:00:00Z',
          agent: [{ who: { reference: 'Patient/1' } }],
        },
      ],
    },
  ],
  ['period of one day', 'Patient', { identifier: [{ period: { start: '2020-01-01', end: '2020-01-01' } }] }],
  ['period in different precision', 'Patient', { identifier: [{ period: { start: '2020-05-01', end: '2020' } }] }],
  [
    'period across time zones',
    'Patient',
    {
      identifier: [{ period: { start: '2020-01-01T10:00:00+05:00', end: '2020-01-01T08:00:00Z' } }],
    },
  ],
  ['MIME type: the value set cannot be enumerated', 'Patient', { photo: [{ contentType: 'x/y', url: 'http://x' }] }],
  ['decimal as written', 'Observation', { valueQuantity: { value: JSON.parse('1.10') } }],
];
for (const [why, base, elements] of allowed) {
  test(`allowed: ${why}`, () => assert.deepEqual(found({ ...BASES[base], ...elements }), []));
}

// ---- primitives: both sides of each boundary ----

const primitives: readonly (readonly [type: string, good: readonly unknown[], bad: readonly unknown[]])[] = [
  [
    'date',
    ['0001', '2020', '2020-12', '2020-02-29', '2000-02-29', '9999-12-31'],
    [
      '',
      '0000',
      '20',
      '2020-1',
      '2020-13',
      '2020-00',
      '2020-01-00',
      '2020-01-32',
      '2020-04-31',
      '2019-02-29',
      '1900-02-29',
      '2023-02-30',
      '2020-01-01T00:00:00Z',
      '2020-01-01 ',
      ' 2020',
      '2020/01',
      '+2020',
      '2020-01-1',
      '２０２０',
      2020,
    ],
  ],
  [
    'dateTime',
    [
      '2020',
      '2020-01',
      '2020-01-31',
      '2020-01-31T00:00:00Z',
      '2020-01-31T23:59:60Z',
      '2020-01-31T23:59:59.123456789+14:00',
      '2020-01-31T00:00:00-12:00',
    ],
    [
      '2020-01-31T24:00:00Z',
      '2020-01-31T00:00:00',
      '2020-01-31T00:00Z',
      '2020-01-31T00Z',
      '2020-01-31T00:60:00Z',
      '2020-01-31T00:00:61Z',
      '2020-02-30T00:00:00Z',
      '2020-01T00:00:00Z',
      '2020-01-31T00:00:00+14:01',
      '2020-01-31T00:00:00+15:00',
      '2020-01-31T00:00:00+1:00',
      '2020-01-31T00:00:00.Z',
      '2020-01-31t00:00:00z',
      '2020-01-31 00:00:00Z',
      '0000-01-01T00:00:00Z',
    ],
  ],
  [
    'instant',
    ['2020-01-31T00:00:00Z', '2020-01-31T00:00:00.5+02:00'],
    ['2020', '2020-01-31', '2020-01-31T00:00:00', '2020-01-31T00:00:00ZZ'],
  ],
  [
    'time',
    ['00:00:00', '23:59:59', '23:59:60', '12:00:00.25'],
    ['24:00:00', '12:00', '1:00:00', '12:00:00Z', '12:60:00', '12:00:61'],
  ],
  ['integer', [0, -1, 2147483647, -2147483648], [2147483648, -2147483649, 0.5, 1e21, '1', true]],
  ['positiveInt', [1, 2147483647], [0, -1, 2147483648]],
  ['unsignedInt', [0, 2147483647], [-1, 2147483648]],
  ['decimal', [0, -1.5, 1e-7, 1e21], ['1', true, Number.NaN, Number.POSITIVE_INFINITY]],
  ['boolean', [true, false], ['true', 0, 1]],
  ['id', ['a', '-', '.', 'a'.repeat(64)], ['', 'a'.repeat(65), 'a/b', 'a_b', 'ä', 'a\n']],
  ['oid', ['urn:oid:1.2.3', 'urn:oid:2.0'], ['urn:oid:3.1', 'urn:oid:1', '1.2.3', 'urn:oid:1.02']],
  [
    'uuid',
    ['urn:uuid:c757873d-ec9a-4326-a141-556f43239520'],
    ['c757873d-ec9a-4326-a141-556f43239520', 'urn:uuid:c757873d'],
  ],
  ['uri', ['http://x', 'urn:a:b', '#a', 'a'], ['', 'a b', 'a\n', '\u00a0', 1]],
  ['code', ['a', 'a b'], ['', ' a', 'a ', 'a  b', 'a\tb', 'a\nb']],
  ['string', ['a', ' a ', 'a\n\t\r', 'ä', '😀'], ['', ' ', '\n', '\u00a0', 'a\u0000', 'a\u001f', '\udc00', 1]],
  ['markdown', ['# a\n\n- b'], ['', ' ']],
  ['base64Binary', ['YQ==', 'YWI=', 'YWJj', 'YW\nJj'], ['', 'YQ', 'YQ=', '====', 'Y Q', 'YQ==YQ==', 'YQ.=']],
];
for (const [type, good, bad] of primitives) {
  test(`datatypes.html#${type}`, () => {
    const fault = PRIMITIVES.get(type);
    const faulty = (value: unknown): boolean => fault?.(value as Json) !== undefined;
    assert.deepEqual(good.filter(faulty), [], 'refused, but valid');
    assert.deepEqual(
      bad.filter((each) => !faulty(each)),
      [],
      'accepted, but invalid',
    );
  });
}

test('every primitive type of the definitions has a check', () => {
  const kinds = [...definitions.types].filter((type) => definitions.structure(type)?.kind === 'primitive-type');
  assert.deepEqual(
    kinds.filter((type) => !PRIMITIVES.has(type)),
    [],
  );
});

test('strings of 1048576 characters and no more', () => {
  const fault = PRIMITIVES.get('string');
  assert.equal(fault?.('a'.repeat(1024 * 1024)), undefined);
  assert.notEqual(fault?.('a'.repeat(1024 * 1024 + 1)), undefined);
});

// ---- narrative ----

const div = (content: string): string => `<div xmlns="http://www.w3.org/1999/xhtml">${content}</div>`;
const narratives: readonly (readonly [why: string, text: string, valid: boolean])[] = [
  ['control', div('x'), true],
  ['white space around', ` \n${div('x')}\n `, true],
  [
    'nested, attributes, entities',
    div('<p class="a" style="color: red">a &amp; b&#160;&nbsp;&#xE4;</p><br/><hr />'),
    true,
  ],
  ['table', div('<table border="1"><tbody><tr><td colspan=\'2\'>x</td></tr></tbody></table>'), true],
  ['image alone is content', div('<img src="x.png" alt="x"/>'), true],
  ['image as data', div('<img src="data:image/png;base64,YQ=="/>'), true],
  [
    'links',
    div('<a href="https://x/y?a=b&amp;c=d">x</a><a name="a"/><a href="#a">y</a><a href="mailto:a@b">z</a>'),
    true,
  ],
  ['language', `<div xmlns="http://www.w3.org/1999/xhtml" xml:lang="de" lang="de">x</div>`, true],
  ['comment', div('x<!-- y -->'), true],
  ['empty text', '', false],
  ['plain text', 'x', false],
  ['no namespace', '<div>x</div>', false],
  ['other namespace', '<div xmlns="http://x">x</div>', false],
  ['namespace changes inside', div('<p xmlns="http://www.w3.org/2000/svg">x</p>'), false],
  ['other root', '<p xmlns="http://www.w3.org/1999/xhtml">x</p>', false],
  ['no content (txt-2 is let through)', div(' \n<p/>'), true],
  ['no content but a comment', div('<!-- x -->'), true],
  ['two roots', div('x') + div('x'), false],
  ['text after', `${div('x')}x`, false],
  ['not closed', '<div xmlns="http://www.w3.org/1999/xhtml">x', false],
  ['crossed tags', div('<b><i>x</b></i>'), false],
  ['void element left open', div('x<br>'), false],
  ['end tag too many', div('x</p>'), false],
  ['upper case', div('<B>x</B>'), false],
  ['bare ampersand', div('a & b'), false],
  ['bare less-than', div('a < b'), false],
  ['illegal character reference', div('&#0;x'), false],
  ['surrogate reference', div('&#xD800;x'), false],
  ['attribute without quotes', div('<p class=a>x</p>'), false],
  ['attribute without value', div('<td nowrap>x</td>'), false],
  ['attribute twice', div('<p class="a" class="b">x</p>'), false],
  ['less-than in an attribute', div('<p title="<">x</p>'), false],
  ['DOCTYPE', `<!DOCTYPE html>${div('x')}`, false],
  ['processing instruction', div('<?php x ?>x'), false],
  ['CDATA', div('<![CDATA[x]]>'), false],
  ['comment that HTML ends early', div('x<!--><img src="x"/>-->'), false],
  ['comment without end', div('x<!-- '), false],
  ...[
    'script',
    'style',
    'iframe',
    'object',
    'embed',
    'form',
    'input',
    'button',
    'svg',
    'math',
    'link',
    'base',
    'meta',
    'frame',
    'body',
    'video',
    'template',
    'h:p',
  ].map((element) => [`element ${element}`, div(`x<${element}>x</${element}>`), false] as const),
  ...[
    'onclick',
    'onerror',
    'onmouseover',
    'ONCLICK',
    'formaction',
    'srcset',
    'action',
    'data',
    'background',
    'xlink:href',
  ].map((attribute) => [`attribute ${attribute}`, div(`<p ${attribute}="x">x</p>`), false] as const),
  ...[
    'javascript:x',
    'JavaScript:x',
    ' javascript:x',
    'java\tscript:x',
    'java&#10;script:x',
    'javascript&#58;x',
    'javascript&colon;x',
    '&#x6A;avascript:x',
    'vbscript:x',
    'data:text/html,x',
    'data:image/svg+xml;base64,YQ==',
    'file:///x',
    'blob:x',
  ].map((address) => [`address ${address}`, div(`<a href="${address}">x</a>`), false] as const),
  ['image as SVG data', div('<img src="data:image/svg+xml;base64,YQ=="/>'), false],
  ...[
    'background: url(javascript:x)',
    'width: expression(x)',
    '@import "x"',
    'behavior: x',
    'a: \\75rl(x)',
    'a: url( x',
  ].map((style) => [`style ${style}`, div(`<p style='${style}'>x</p>`), false] as const),
  ['nested deeper than 100', div(`${'<b>'.repeat(100)}x${'</b>'.repeat(100)}`), false],
];
for (const [why, text, valid] of narratives) {
  test(`narrative.html: ${why}`, () => assert.equal(narrativeFault(text) === undefined, valid, narrativeFault(text)));
}

// ---- hostile input ----

test('names of prototype pollution are unknown elements', () => {
  for (const name of ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']) {
    const resource: unknown = JSON.parse(
      `{"resourceType":"Patient","${name}":{"active":true},"name":[{"family":"x","${name}":"y"}]}`,
    );
    assert.deepEqual(found(resource), [`structure Patient.${name}`, `structure Patient.name[0].${name}`].sort(), name);
  }
  assert.equal(Object.hasOwn(Object.prototype, 'active'), false);
});

test('types that are names of object members are refused', () => {
  for (const type of ['__proto__', 'constructor', 'toString']) {
    assert.deepEqual(found(JSON.parse(`{"resourceType":"${type}"}`)), ['structure Resource.resourceType']);
  }
});

test('any JSON value instead of any element is a finding, never an exception', () => {
  const unprintable = { toString: 1, valueOf: 1, toJSON: 1, length: 1 };
  const values: readonly Json[] = [
    unprintable,
    [unprintable],
    null,
    true,
    0,
    '',
    'x',
    [],
    [null],
    [[]],
    {},
    { id: 'x' },
    { extension: null },
  ];
  const replaced = (value: Json, by: Json, at: { left: number }): Json => {
    if (at.left-- === 0) return by;
    if (Array.isArray(value)) return value.map((each: Json) => replaced(each, by, at));
    if (!isJsonObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, replaced(each ?? null, by, at)]));
  };
  for (const name of ['Patient-example', 'Observation-f001', 'AllergyIntolerance-example']) {
    const resource = parseJson(examples.find((each) => each.name === name)?.text ?? '{}');
    for (const by of values)
      for (let at = 0; at < 120; at++) assert.ok(Array.isArray(found(replaced(resource, by, { left: at }))));
  }
  for (const value of values) assert.notDeepEqual(found(value), [], serialize(value));
});

test('at most 100 findings and a closing note', () => {
  const wrong = (count: number): unknown => ({
    resourceType: 'Patient',
    name: Array.from({ length: count }, () => ({ use: 'x' })),
  });
  assert.equal(found(wrong(ISSUE_LIMIT)).length, ISSUE_LIMIT);
  const issues = validate(wrong(5000) as Resource);
  assert.equal(issues.length, ISSUE_LIMIT + 1);
  assert.equal(issues.at(-1)?.severity, 'information');
});

test('messages hold no values', () => {
  const issues = validate({
    resourceType: 'Patient',
    gender: 'SECRET',
    birthDate: 'SECRET',
    id: 'SECRET SECRET',
    active: 'SECRET',
    'SECRET x': 1,
  });
  assert.equal(issues.length, 5);
  assert.equal(JSON.stringify(issues).includes('SECRET'), false);
});
