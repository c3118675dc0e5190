// XML and JSON mean the same: FHIR R4 xml.html, json.html#primitive. Both directions, on published examples and on rows of their own.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { isJsonObject, type Json, parseJson, serialize } from '../../src/fhir/resource.ts';
import { readXml } from '../../src/fhir/xml/read.ts';
import { writeXml } from '../../src/fhir/xml/write.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLES = join(ROOT, 'test', 'data', 'fhir-examples');
const definitions = loadDefinitions(join(ROOT, 'profiles'));
const HEAD = '<?xml version="1.0" encoding="UTF-8"?>';
const XHTML = 'http://www.w3.org/1999/xhtml';

/** The same JSON with its properties in one order; numbers stay lexemes. */
function sorted(value: Json | undefined): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value ?? null;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, sorted(value[name])]));
}
const same = (one: Json, other: Json): boolean => serialize(sorted(one)) === serialize(sorted(other));

test('xml.html: every published example is the same after JSON -> XML -> JSON, plain and pretty', () => {
  const names = readdirSync(EXAMPLES).filter((name) => name.endsWith('.json'));
  const texts = names.map((name) => ({ name, text: readFileSync(join(EXAMPLES, name), 'utf8') }));
  const resources = texts.filter(({ text }) => text.includes('"resourceType"'));
  const wrong = resources.filter(({ text }) => {
    const plain = writeXml(text, definitions);
    const given = parseJson(text);
    return (
      !same(readXml(plain, definitions), given) || !same(readXml(writeXml(text, definitions, true), definitions), given)
    );
  });
  assert.ok(resources.length > 300, 'control: the examples are there');
  assert.deepEqual(
    wrong.map(({ name }) => name),
    [],
  );
});

/** JSON and its XML, declaration and namespace left out. */
const PAIRS: readonly [why: string, json: object, xml: string][] = [
  ['control', { resourceType: 'Patient' }, '<Patient/>'],
  ['the id of a resource is an element', { resourceType: 'Patient', id: 'a' }, '<Patient><id value="a"/></Patient>'],
  [
    'a boolean',
    { resourceType: 'Patient', active: true, multipleBirthInteger: 2 },
    '<Patient><active value="true"/><multipleBirthInteger value="2"/></Patient>',
  ],
  [
    'the id of an element is an attribute',
    { resourceType: 'Patient', name: [{ id: 'n', family: 'x' }] },
    '<Patient><name id="n"><family value="x"/></name></Patient>',
  ],
  [
    'the url of an extension is an attribute',
    { resourceType: 'Patient', extension: [{ id: 'e', url: 'http://e', valueCode: 'x' }] },
    '<Patient><extension id="e" url="http://e"><valueCode value="x"/></extension></Patient>',
  ],
  [
    'a primitive with value, id and extension',
    {
      resourceType: 'Patient',
      birthDate: '1970',
      _birthDate: { id: 'b', extension: [{ url: 'u', valueString: 's' }] },
    },
    '<Patient><birthDate id="b" value="1970"><extension url="u"><valueString value="s"/></extension></birthDate></Patient>',
  ],
  [
    'a primitive with an extension only',
    { resourceType: 'Patient', _birthDate: { extension: [{ url: 'u', valueString: 's' }] } },
    '<Patient><birthDate><extension url="u"><valueString value="s"/></extension></birthDate></Patient>',
  ],
  [
    'null keeps the places of a list in step',
    {
      resourceType: 'Patient',
      name: [{ given: ['a', null, 'c'], _given: [null, { extension: [{ url: 'u', valueCode: 'x' }] }, { id: 'i' }] }],
    },
    '<Patient><name><given value="a"/><given><extension url="u"><valueCode value="x"/></extension></given><given id="i" value="c"/></name></Patient>',
  ],
  [
    'extensions stop before the list ends',
    { resourceType: 'Patient', name: [{ given: ['a', 'b'], _given: [{ id: 'i' }, null] }] },
    '<Patient><name><given id="i" value="a"/><given value="b"/></name></Patient>',
  ],
  [
    'a list of extensions only has no array of values',
    { resourceType: 'Patient', name: [{ _given: [{ extension: [{ url: 'u', valueCode: 'x' }] }] }] },
    '<Patient><name><given><extension url="u"><valueCode value="x"/></extension></given></name></Patient>',
  ],
  [
    'contained resources, one in each element',
    {
      resourceType: 'Patient',
      contained: [
        { resourceType: 'Organization', id: 'o', name: 'x' },
        { resourceType: 'Practitioner', id: 'p' },
      ],
    },
    '<Patient><contained><Organization><id value="o"/><name value="x"/></Organization></contained><contained><Practitioner><id value="p"/></Practitioner></contained></Patient>',
  ],
  [
    'modifierExtension',
    { resourceType: 'Patient', modifierExtension: [{ url: 'u', valueBoolean: false }] },
    '<Patient><modifierExtension url="u"><valueBoolean value="false"/></modifierExtension></Patient>',
  ],
  [
    'a Bundle with a resource, a request and an outcome',
    {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [
        { resource: { resourceType: 'Patient', active: false }, request: { method: 'POST', url: 'Patient' } },
        {
          response: {
            status: '200',
            outcome: { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'value' }] },
          },
        },
      ],
    },
    '<Bundle><type value="batch"/><entry><resource><Patient><active value="false"/></Patient></resource><request><method value="POST"/><url value="Patient"/></request></entry>' +
      '<entry><response><status value="200"/><outcome><OperationOutcome><issue><severity value="error"/><code value="value"/></issue></OperationOutcome></outcome></response></entry></Bundle>',
  ],
  [
    'Parameters with parts: an element with the content of another',
    {
      resourceType: 'Parameters',
      parameter: [{ name: 'a', part: [{ name: 'b', resource: { resourceType: 'Patient', id: 'p' } }] }],
    },
    '<Parameters><parameter><name value="a"/><part><name value="b"/><resource><Patient><id value="p"/></Patient></resource></part></parameter></Parameters>',
  ],
  [
    'narrative is XHTML, not an attribute',
    {
      resourceType: 'Patient',
      text: { status: 'generated', div: `<div xmlns="${XHTML}">a &amp; <b title="x">b</b><!-- c --></div>` },
    },
    `<Patient><text><status value="generated"/><div xmlns="${XHTML}">a &amp; <b title="x">b</b><!-- c --></div></text></Patient>`,
  ],
  [
    'characters that XML escapes, white space included',
    { resourceType: 'Patient', name: [{ text: '<a> & "b" \'c\'\t\r\n\u00e9\u{1f600}]]>' }] },
    '<Patient><name><text value="&lt;a&gt; &amp; &quot;b&quot; \'c\'&#9;&#13;&#10;\u00e9\u{1f600}]]&gt;"/></name></Patient>',
  ],
];
for (const [why, json, xml] of PAIRS) {
  test(`xml.html, both ways: ${why}`, () => {
    const text = HEAD + xml.replace(/^<([A-Za-z]+)/, '<$1 xmlns="http://hl7.org/fhir"');
    assert.equal(writeXml(JSON.stringify(json), definitions), text);
    assert.deepEqual(readXml(text, definitions), json);
  });
}

const quantity = (value: string): string => `{"resourceType":"Observation","valueQuantity":{"value":${value}}}`;
for (const lexeme of ['1', '1.0', '1.00', '-0.010', '100', '1e3', '1E-3', '123456789.0123456789', '0', '-0']) {
  test(`datatypes.html#decimal: ${lexeme} keeps its precision both ways`, () => {
    const xml = writeXml(quantity(lexeme), definitions);
    assert.match(xml, new RegExp(`<value value="${lexeme.replace('.', '\\.')}"/>`));
    assert.equal(serialize(readXml(xml, definitions)), quantity(lexeme));
  });
}

/** JSON text -> XML that means the same, where the way back is another text. */
const WRITTEN: readonly [why: string, json: string, xml: RegExp][] = [
  [
    'elements in the order of the definitions',
    '{"birthDate":"1970","active":true,"resourceType":"Patient","id":"a"}',
    /<id .*<active .*<birthDate /,
  ],
  [
    'an extension before its value',
    '{"resourceType":"Patient","_birthDate":{"id":"b"},"birthDate":"1970"}',
    /<birthDate id="b" value="1970"\/><\/Patient>$/,
  ],
  [
    'null in an array',
    '{"resourceType":"Patient","name":[{"given":[null],"_given":[{"extension":[{"url":"u","valueCode":"x"}]}]}]}',
    /<given><extension/,
  ],
  ['a noncharacter becomes U+FFFD', '{"resourceType":"Patient","name":[{"text":"a\\uffff"}]}', /value="a\ufffd"/],
  [
    'named characters of XHTML become numbers',
    `{"resourceType":"Patient","text":{"div":"<div>&nbsp;&eacute;&euro;&lt;</div>"}}`,
    /<div>&#160;&#233;&#8364;&lt;<\/div>/,
  ],
  [
    'unknown named characters become text',
    `{"resourceType":"Patient","text":{"div":"<div>&nonesuch;&constructor;</div>"}}`,
    /<div>&amp;nonesuch;&amp;constructor;<\/div>/,
  ],
];
for (const [why, json, xml] of WRITTEN) test(`written: ${why}`, () => assert.match(writeXml(json, definitions), xml));

test('_pretty: two spaces a level, narrative untouched', () => {
  const div = `<div xmlns="${XHTML}"><p>a</p></div>`;
  const text = JSON.stringify({ resourceType: 'Patient', text: { status: 'generated', div }, active: true });
  assert.equal(
    writeXml(text, definitions, true),
    `${HEAD}\n<Patient xmlns="http://hl7.org/fhir">\n  <text>\n    <status value="generated"/>\n    ${div}\n  </text>\n  <active value="true"/>\n</Patient>`,
  );
});

test('written: what no valid resource holds is a fault of ours', () => {
  for (const text of [
    '[]',
    '{}',
    '{"resourceType":"Patient","nonesuch":1}',
    '{"resourceType":"Patient","name":["x"]}',
  ]) {
    assert.throws(() => writeXml(text, definitions), TypeError, text);
  }
});

const patient = (content: string): string => `<Patient xmlns="http://hl7.org/fhir">${content}</Patient>`;
const narrative = (div: string): string => patient(`<text><status value="generated"/>${div}</text>`);
/** XML -> JSON, where the way back is another text. */
const READ: readonly [why: string, xml: string, json: object][] = [
  [
    'comments, processing instructions and white space are dropped',
    `<?a b?><!-- c -->\n${patient(' <!-- d --><?e f?>\n<active value="true"/>\t')}\n`,
    { active: true },
  ],
  [
    'a prefix for the namespace',
    '<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/></f:Patient>',
    { active: true },
  ],
  ['single quotes, an end tag', patient("<active value='true'></active>"), { active: true }],
  ['a byte order mark', `\ufeff${patient('<active value="true"/>')}`, { active: true }],
  [
    'a declaration of UTF-8',
    `<?xml version="1.0" encoding="utf-8"?>${patient('<active value="true"/>')}`,
    { active: true },
  ],
  [
    "XML's own entities and numbers",
    patient('<name><text value="&lt;&amp;&gt;&quot;&apos;&#233;&#x1F600;"/></name>'),
    { name: [{ text: '<&>"\'\u00e9\u{1f600}' }] },
  ],
  [
    'white space of an attribute is blanks',
    patient('<name><text value="a\r\n\tb"/></name>'),
    { name: [{ text: 'a  b' }] },
  ],
  ['a declared namespace that is not used', patient('<active xmlns:x="urn:x" value="true"/>'), { active: true }],
  [
    'narrative that inherits its namespace',
    `<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="${XHTML}"><f:text><f:status value="empty"/><div class="x">a</div></f:text></f:Patient>`,
    { text: { status: 'empty', div: `<div xmlns="${XHTML}" class="x">a</div>` } },
  ],
  [
    'line ends of narrative',
    narrative(`<div xmlns="${XHTML}">a\r\nb\rc</div>`),
    { text: { status: 'generated', div: `<div xmlns="${XHTML}">a\nb\nc</div>` } },
  ],
  [
    'empty narrative',
    narrative(`<div xmlns="${XHTML}"/>`),
    { text: { status: 'generated', div: `<div xmlns="${XHTML}"/>` } },
  ],
  [
    'a div inside narrative',
    narrative(`<div xmlns="${XHTML}"><div>a</div> > b</div>`),
    { text: { status: 'generated', div: `<div xmlns="${XHTML}"><div>a</div> > b</div>` } },
  ],
];
for (const [why, xml, json] of READ) {
  test(`read: ${why}`, () => assert.deepEqual(readXml(xml, definitions), { resourceType: 'Patient', ...json }));
}
