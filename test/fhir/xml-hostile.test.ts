// What a reader of XML refuses: xml.html (order, attributes, namespaces), docs/threat-model.md (XXE, exhaustion). All 4xx with an expression where
// there is an element to name; never anything but FhirError.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { type ErrorKind, FhirError, type Issue } from '../../src/fhir/outcome.ts';
import { isJsonObject, type Json, parseJson, type Resource, serialize } from '../../src/fhir/resource.ts';
import { validator } from '../../src/fhir/validation/validate.ts';
import { readXml } from '../../src/fhir/xml/read.ts';
import { writeXml } from '../../src/fhir/xml/write.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const definitions = loadDefinitions(join(ROOT, 'profiles'));
const validate = validator(definitions);
const XHTML = 'http://www.w3.org/1999/xhtml';
const patient = (content: string, attributes = ''): string =>
  `<Patient xmlns="http://hl7.org/fhir"${attributes}>${content}</Patient>`;
const narrative = (content: string): string =>
  patient(`<text><status value="generated"/><div xmlns="${XHTML}">${content}</div></text>`);

function isResource(json: Json): json is Resource {
  return isJsonObject(json) && typeof json.resourceType === 'string';
}

/** The first finding of reading and, when that is fine, validating; undefined = a valid resource. */
function findingOf(xml: string): Issue | undefined {
  let json: Json;
  try {
    json = readXml(xml, definitions);
  } catch (error) {
    if (error instanceof FhirError) return error.issues[0];
    throw error;
  }
  return isResource(json) ? validate(json)[0] : { kind: 'structure', message: '' };
}

const BOMB = `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">${Array.from({ length: 9 }, (_, i) => `<!ENTITY ${'b'.repeat(i + 1)} "&${i === 0 ? 'a' : 'b'.repeat(i)};&${i === 0 ? 'a' : 'b'.repeat(i)};">`).join('')}]>`;
/** Extensions in extensions; each is two levels of JSON. */
const nested = (depth: number): string =>
  patient(`${'<extension url="u">'.repeat(depth)}<valueCode value="x"/>${'</extension>'.repeat(depth)}`);

const REFUSED: readonly [why: string, xml: string, kind: ErrorKind | undefined, expression?: string][] = [
  ['control', patient('<active value="true"/>'), undefined],
  // documents
  ['empty', '', 'structure'],
  ['no XML', '{"resourceType":"Patient"}', 'structure'],
  ['not closed', '<Patient xmlns="http://hl7.org/fhir">', 'structure'],
  ['closed in the wrong order', patient('<name><text value="x"></name></text>'), 'structure'],
  ['two roots', patient('') + patient(''), 'structure'],
  ['text after the root', `${patient('')}x`, 'structure'],
  ['an attribute twice', patient('<active value="true" value="false"/>'), 'structure'],
  ['an attribute without quotes', patient('<active value=true/>'), 'structure'],
  ['a raw < in an attribute', patient('<name><text value="<"/></name>'), 'structure'],
  ['a NUL', patient('<name><text value="\u0000"/></name>'), 'structure'],
  ['a reference to NUL', patient('<name><text value="&#0;"/></name>'), 'structure'],
  ['a reference to a control character', patient('<name><text value="&#1;"/></name>'), 'structure'],
  ['a declaration of XML 1.1', `<?xml version="1.1"?>${patient('')}`, 'structure'],
  ['a declaration of Latin 1', `<?xml version="1.0" encoding="ISO-8859-1"?>${patient('')}`, 'unsupported-media-type'],
  ['a declaration of UTF-16', `<?xml version="1.0" encoding="UTF-16"?>${patient('')}`, 'unsupported-media-type'],
  ['a declaration that is not first', ` <?xml version="1.0"?>${patient('')}`, 'structure'],
  // DTD and entities
  ['a DOCTYPE', `<!DOCTYPE Patient>${patient('')}`, 'structure'],
  [
    'XXE',
    `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>${patient('<name><text value="&x;"/></name>')}`,
    'structure',
  ],
  [
    'XXE by parameter entity',
    `<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/x"> %x;]>${patient('')}`,
    'structure',
  ],
  ['an external DTD', `<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd">${patient('')}`, 'structure'],
  ['billion laughs', `${BOMB}${patient('<name><text value="&bbbbbbbbb;"/></name>')}`, 'structure'],
  ['an entity that XML lacks', patient('<name><text value="&nbsp;"/></name>'), 'structure'],
  ['an entity of a prototype', patient('<name><text value="&constructor;"/></name>'), 'structure'],
  [
    'XInclude',
    patient('<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/hostname"/>'),
    'structure',
    'Patient.include',
  ],
  // namespaces
  ['no namespace', '<Patient><active value="true"/></Patient>', 'structure'],
  ['another namespace', '<Patient xmlns="http://hl7.org/fhir/"/>', 'structure'],
  ['a child of another namespace', patient('<x:active xmlns:x="urn:x" value="true"/>'), 'structure', 'Patient.active'],
  ['a prefix that is not declared', patient('<x:active value="true"/>'), 'structure'],
  [
    'narrative in the namespace of FHIR',
    patient('<text><status value="empty"/><div>a</div></text>'),
    'structure',
    'Patient.text.div',
  ],
  [
    'narrative with a prefix',
    patient(`<text><status value="empty"/><h:div xmlns:h="${XHTML}">a</h:div></text>`),
    'structure',
    'Patient.text.div',
  ],
  [
    'the schema instance namespace',
    patient('', ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b"'),
    'structure',
    'Patient.(unnamed)',
  ],
  // elements
  ['no resource type', '<Nonesuch xmlns="http://hl7.org/fhir"/>', 'structure'],
  ['an abstract type', '<DomainResource xmlns="http://hl7.org/fhir"/>', 'structure'],
  ['a data type', '<HumanName xmlns="http://hl7.org/fhir"/>', 'structure'],
  ['an unknown element', patient('<nonesuch value="1"/>'), 'structure', 'Patient.nonesuch'],
  ['an element of a prototype', patient('<__proto__ value="1"/>'), 'structure', 'Patient.__proto__'],
  ['resourceType is no element', patient('<resourceType value="Observation"/>'), 'structure', 'Patient.resourceType'],
  ['a JSON sibling is no element', patient('<_birthDate id="x"/>'), 'structure', 'Patient._birthDate'],
  [
    'url is no element of an extension',
    patient('<extension><url value="u"/></extension>'),
    'structure',
    'Patient.extension[0].url',
  ],
  ['out of order', patient('<birthDate value="1970"/><active value="true"/>'), 'structure', 'Patient.active'],
  ['the resource is first: id after meta', patient('<meta/><id value="a"/>'), 'structure', 'Patient.id'],
  [
    'a list with something between',
    patient('<name><text value="a"/></name><gender value="male"/><name><text value="b"/></name>'),
    'structure',
    'Patient.name',
  ],
  ['what does not repeat', patient('<active value="true"/><active value="true"/>'), 'structure', 'Patient.active'],
  [
    'two of a choice',
    patient('<deceasedBoolean value="true"/><deceasedDateTime value="1970"/>'),
    'structure',
    'Patient.deceased',
  ],
  ['children of a primitive', patient('<active value="true"><coding/></active>'), 'structure', 'Patient.active.coding'],
  ['text in an element', patient('<active>true</active>'), 'structure', 'Patient.active'],
  ['text beside elements', patient('x<active value="true"/>'), 'structure', 'Patient'],
  ['CDATA', patient('<active><![CDATA[true]]></active>'), 'structure', 'Patient.active'],
  [
    'a resource that is not wrapped',
    patient('<contained><id value="a"/></contained>'),
    'structure',
    'Patient.contained[0]',
  ],
  [
    'two resources in one contained',
    patient('<contained><Organization/><Organization/></contained>'),
    'structure',
    'Patient.contained[0]',
  ],
  ['an empty contained', patient('<contained/>'), 'structure', 'Patient.contained'],
  ['an empty element', patient('<name/>'), 'structure', 'Patient.name[0]'],
  ['an empty primitive', patient('<active/>'), 'structure', 'Patient.active'],
  // attributes
  ['an unknown attribute', patient('<active value="true" other="x"/>'), 'structure', 'Patient.active.other'],
  [
    'an attribute with a prefix',
    patient('<active value="true" xml:lang="en"/>'),
    'structure',
    'Patient.active.(unnamed)',
  ],
  ['an attribute of a resource', patient('', ' id="a"'), 'structure', 'Patient.id'],
  [
    'an attribute of a contained',
    patient('<contained id="a"><Organization/></contained>'),
    'structure',
    'Patient.contained[0].id',
  ],
  ['value on an element with children', patient('<name value="x"/>'), 'structure', 'Patient.name[0].value'],
  ['url outside an extension', patient('<name url="x"/>'), 'structure', 'Patient.name[0].url'],
  ['an empty value', patient('<name><text value=""/></name>'), 'value', 'Patient.name[0].text'],
  [
    'an extension without url',
    patient('<extension><valueCode value="x"/></extension>'),
    'required',
    'Patient.extension[0].url',
  ],
  // primitives
  ['a boolean as a number', patient('<active value="1"/>'), 'value', 'Patient.active'],
  ['a boolean in capitals', patient('<active value="True"/>'), 'value', 'Patient.active'],
  ['an integer with a sign', patient('<multipleBirthInteger value="+1"/>'), 'value', 'Patient.multipleBirth'],
  ['an integer with zeros', patient('<multipleBirthInteger value="01"/>'), 'value', 'Patient.multipleBirth'],
  ['an integer with blanks', patient('<multipleBirthInteger value=" 1"/>'), 'value', 'Patient.multipleBirth'],
  ['an integer with a fraction', patient('<multipleBirthInteger value="1.0"/>'), 'value', 'Patient.multipleBirth'],
  ['a number that is none', patient('<multipleBirthInteger value="NaN"/>'), 'value', 'Patient.multipleBirth'],
  ['a number of 41 digits', patient(`<multipleBirthInteger value="${'1'.repeat(41)}"/>`), 'value'],
  ['a number out of range', patient('<multipleBirthInteger value="1e999"/>'), 'value'],
  ['a date that does not exist', patient('<birthDate value="2023-02-30"/>'), 'value', 'Patient.birthDate'],
  // narrative
  ['a script', narrative('<script>alert(1)</script>'), 'invariant', 'Patient.text.div'],
  ['an event handler', narrative('<p onclick="x()">a</p>'), 'invariant', 'Patient.text.div'],
  ['a script address', narrative('<a href="java&#115;cript:x()">a</a>'), 'invariant', 'Patient.text.div'],
  ['CDATA in narrative', narrative('<![CDATA[<script>]]>'), 'invariant', 'Patient.text.div'],
  ['a processing instruction in narrative', narrative('<?php x ?>'), 'invariant', 'Patient.text.div'],
  ['SVG in narrative', narrative('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'invariant', 'Patient.text.div'],
  ['a prefix in narrative', narrative(`<h:p xmlns:h="${XHTML}">a</h:p>`), 'structure', 'Patient.text'],
  ['an entity of XHTML', narrative('&nbsp;'), 'structure'],
  [
    'another element than div',
    patient(`<text><status value="empty"/><p xmlns="${XHTML}">a</p></text>`),
    'structure',
    'Patient.text.p',
  ],
  // size
  ['extensions within the depth limit', nested(31), undefined],
  ['nested too deeply', nested(32), 'too-long'],
  ['nested very deeply', nested(100_000), 'too-long'],
  ['narrative nested very deeply', narrative('<b>'.repeat(100_000)), 'too-long'],
  [
    'a string above 1 MB',
    patient(`<name><text value="${'x'.repeat(1_048_577)}"/></name>`),
    'value',
    'Patient.name[0].text',
  ],
  ['10 MB of text', patient('x'.repeat(10_000_000)), 'structure', 'Patient'],
];
for (const [why, xml, kind, expression] of REFUSED) {
  test(`xml: ${why} is ${kind ?? 'accepted'}`, () => {
    const found = findingOf(xml);
    assert.deepEqual([found?.kind, expression && found?.expression], [kind, expression], found?.message);
  });
}

test('a refusal names lines and elements, never content', () => {
  const secret = 'Smith';
  for (const xml of [
    patient(`<name><family value="${secret}"`),
    patient(secret),
    patient(`<active value="${secret}"/>`),
  ]) {
    const found = findingOf(xml);
    assert.ok(found !== undefined && !`${found.message}${found.expression}`.includes(secret), found?.message);
  }
});

const SAMPLE = writeXml(
  readFileSync(join(ROOT, 'test', 'data', 'fhir-examples', 'Patient-example.json'), 'utf8'),
  definitions,
);
const PIECES = [
  '<',
  '>',
  '/',
  '&',
  '"',
  '<!DOCTYPE x>',
  ']]>',
  '<!--',
  '<![CDATA[',
  '<?',
  '&#0;',
  '&x;',
  '\u0000',
  '\ud800',
  ' xmlns="x"',
  '</div>',
  '<div>',
  ':',
  '=',
];

test('any mutant is read or refused with FhirError; what is read is the same after another round', () => {
  const at = fc.integer({ min: 0, max: SAMPLE.length });
  const mutation = fc.record({
    at,
    cut: fc.integer({ min: 0, max: 40 }),
    put: fc.oneof(fc.constantFrom(...PIECES), fc.string()),
  });
  const property = fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
    const mutant = mutations.reduce(
      (xml, { at: from, cut, put }) => xml.slice(0, from) + put + xml.slice(from + cut),
      SAMPLE,
    );
    if (findingOf(mutant) !== undefined) return;
    const json = readXml(mutant, definitions);
    assert.equal(serialize(readXml(writeXml(serialize(json), definitions), definitions)), serialize(json));
  });
  fc.assert(property, { numRuns: 1500 });
});

test('any text at all is read or refused with FhirError', () => {
  const piece = fc.oneof(
    fc.constantFrom(...PIECES, '<Patient xmlns="http://hl7.org/fhir">', '</Patient>', '<name>'),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => void findingOf(pieces.join(''))),
    { numRuns: 500 },
  );
});

test('what a valid resource holds is written, whatever its strings', () => {
  const text = fc.string({ unit: 'binary' });
  const property = fc.property(text, (value) => {
    const resource = { resourceType: 'Patient', name: [{ text: value }] };
    if (validate(resource).length > 0) return;
    const json = readXml(writeXml(serialize(resource), definitions), definitions);
    assert.deepEqual(json, { resourceType: 'Patient', name: [{ text: value.replace(/[\ufffe\uffff]/g, '\ufffd') }] });
  });
  fc.assert(property, { numRuns: 500 });
  assert.equal(serialize(parseJson('1.0')), '1.0', 'control: lexemes');
});
