// XML through the door: http.html#mime-type, http.html#parameters (_format), RFC 9110 §12.5.1, for every interaction.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { isJsonObject, type Json, parseJson, serialize } from '../../src/fhir/resource.ts';
import { readXml } from '../../src/fhir/xml/read.ts';
import { writeXml } from '../../src/fhir/xml/write.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { at, type Sent, type World, world } from '../world.ts';

const XML = 'application/fhir+xml';
const JSON_TYPE = 'application/fhir+json';
const BODY = { 'content-type': XML };
let there: World;
before(async () => {
  there = world();
  await there.send('PUT', '/Patient/p', { body: { resourceType: 'Patient', id: 'p', active: true } });
});

const formatOf = ({ headers }: FhirResponse): string | undefined =>
  ({ [`${XML}; charset=utf-8`]: 'xml', [`${JSON_TYPE}; charset=utf-8`]: 'json' })[headers['Content-Type'] ?? ''];
/** The body as JSON, whichever format it is in. */
const decoded = ({ body = '' }: FhirResponse): Json =>
  body.startsWith('<') ? readXml(body, there.context.definitions) : parseJson(body);
const patient = (content: string): string => `<Patient xmlns="http://hl7.org/fhir">${content}</Patient>`;

const NEGOTIATED: readonly [query: string, accept: string | undefined, format: 'xml' | 'json' | 406, why: string][] = [
  ['', undefined, 'json', 'control: nothing said'],
  ['', XML, 'xml', 'the type'],
  ['', 'application/xml', 'xml', 'the general type'],
  ['', 'text/xml', 'xml', 'the text type'],
  ['', 'application/xml+fhir', 'xml', 'the DSTU2 spelling'],
  ['', 'Application/FHIR+XML; charset=UTF-8', 'xml', 'capitals and parameters'],
  ['', `${XML}; fhirVersion=4.0`, 'xml', 'this FHIR version'],
  ['', `${XML}; fhirVersion=5.0`, 406, 'another FHIR version'],
  ['', `${XML}; fhirVersion=5.0, ${JSON_TYPE};q=0.1`, 'json', 'another FHIR version; JSON is left'],
  ['', '*/*', 'json', 'anything'],
  ['', 'application/*', 'json', 'any application'],
  ['', `${XML}, ${JSON_TYPE};q=0.1`, 'xml', 'XML is first choice'],
  ['', `${XML};q=0.5, ${JSON_TYPE};q=0.9`, 'json', 'JSON is first choice'],
  ['', `${XML}, ${JSON_TYPE}`, 'json', 'both alike'],
  ['', `${JSON_TYPE};q=0.5, */*`, 'xml', 'anything rather than JSON'],
  ['', `${JSON_TYPE};q=0, */*`, 'xml', 'anything but JSON'],
  ['', `${XML};q=0, */*;q=0.1`, 'json', 'anything but XML'],
  ['', 'text/xml;q=0.2, application/fhir+xml;q=0.8, application/json;q=0.5', 'xml', 'the best of several spellings'],
  ['', `${XML};q=0`, 406, 'neither'],
  ['', 'text/turtle', 406, 'a format of FHIR that is not served'],
  ['', `${XML};q=x`, 406, 'a quality that is none'],
  ['?_format=xml', undefined, 'xml', 'the name'],
  ['?_format=json', XML, 'json', '_format overrides Accept'],
  ['?_format=xml', JSON_TYPE, 'xml', '_format overrides Accept'],
  ['?_format=application/fhir+xml', undefined, 'xml', 'plus as it comes'],
  ['?_format=application%2Ffhir%2Bxml', undefined, 'xml', 'plus escaped'],
  ['?_format=text/xml', undefined, 'xml', 'the text type'],
  ['?_format=application/xml', undefined, 'xml', 'the general type'],
  ['?_format=ttl', XML, 406, 'a name that is not served'],
  ['?_format=XML2', undefined, 406, 'no name'],
];
for (const [query, accept, format, why] of NEGOTIATED) {
  test(`http.html#mime-type read${query} with Accept ${accept}: ${why}`, async () => {
    const answer = await there.send('GET', `/Patient/p${query}`, accept === undefined ? {} : { headers: { accept } });
    if (format === 406) assert.equal(answer.status, 406);
    else assert.deepEqual([answer.status, formatOf(answer)], [200, format]);
  });
}

const TYPES: readonly [type: string, status: number, why: string][] = [
  [XML, 201, 'control'],
  ['application/xml', 201, 'the general type'],
  ['text/xml', 201, 'the text type'],
  ['text/xml; charset=utf-8', 201, 'with charset'],
  ['text/xml; charset="UTF-8"', 201, 'quoted'],
  ['application/xml; charset=iso-8859-1', 415, 'another charset'],
  ['application/xml; charset=utf-16', 415, 'another charset'],
  [`${XML}; fhirVersion=3.0`, 415, 'another FHIR version'],
  ['application/xhtml+xml', 415, 'another XML'],
  ['image/svg+xml', 415, 'another XML'],
  [JSON_TYPE, 400, 'XML that says it is JSON'],
];
for (const [type, status, why] of TYPES) {
  test(`http.html#mime-type create with Content-Type ${type}: ${why}`, async () => {
    const headers = { 'content-type': type };
    const answer = await there.send('POST', '/Patient', { headers, body: patient('<active value="true"/>') });
    assert.equal(answer.status, status, answer.body);
  });
}

const observation =
  '<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="x"/></code><valueQuantity><value value="1.00"/></valueQuantity></Observation>';
const bundle = (type: string): string =>
  `<Bundle xmlns="http://hl7.org/fhir"><type value="${type}"/><entry><resource><Patient><active value="true"/></Patient></resource><request><method value="POST"/><url value="Patient"/></request></entry>` +
  '<entry><request><method value="GET"/><url value="Patient/p"/></request></entry></Bundle>';
const FORM = { 'content-type': 'application/x-www-form-urlencoded', accept: XML };

/** Every interaction, asked for XML: status, root element, something inside. */
const INTERACTIONS: readonly [what: string, method: string, url: string, sent: Sent, status: number, root: RegExp][] = [
  ['read', 'GET', '/Patient/p', {}, 200, /<Patient .*<active value="true"\/>/],
  ['vread', 'GET', '/Patient/p/_history/1', {}, 200, /<Patient .*<versionId value="1"\/>/],
  [
    'history-instance',
    'GET',
    '/Patient/p/_history',
    {},
    200,
    /<Bundle .*<type value="history"\/>.*<resource><Patient>/,
  ],
  ['history-type', 'GET', '/Patient/_history', {}, 200, /<Bundle .*<request><method value="PUT"\/>/],
  ['history-system', 'GET', '/_history', {}, 200, /<Bundle .*<type value="history"\/>/],
  ['search', 'GET', '/Patient?_id=p', {}, 200, /<Bundle .*<total value="1"\/>.*<search><mode value="match"\/>/],
  [
    'search by POST',
    'POST',
    '/Patient/_search',
    { headers: FORM, body: '_id=p' },
    200,
    /<Bundle .*<total value="1"\/>/,
  ],
  ['capabilities', 'GET', '/metadata', {}, 200, /<CapabilityStatement .*<format value="application\/fhir\+xml"\/>/],
  [
    'create',
    'POST',
    '/Observation',
    { headers: BODY, body: observation },
    201,
    /<Observation .*<value value="1.00"\/>/,
  ],
  [
    'update',
    'PUT',
    '/Patient/u',
    { headers: BODY, body: patient('<id value="u"/>') },
    201,
    /<Patient .*<id value="u"\/>/,
  ],
  [
    'update, minimal',
    'PUT',
    '/Patient/u',
    { headers: { ...BODY, prefer: 'return=minimal' }, body: patient('<id value="u"/><active value="true"/>') },
    200,
    /^$/,
  ],
  [
    'update, OperationOutcome',
    'PUT',
    '/Patient/u',
    { headers: { ...BODY, prefer: 'return=OperationOutcome' }, body: patient('<id value="u"/>') },
    200,
    /<OperationOutcome .*<severity value="information"\/>/,
  ],
  [
    'conditional update',
    'PUT',
    '/Patient?identifier=none',
    { headers: BODY, body: patient('<active value="true"/>') },
    201,
    /<Patient /,
  ],
  ['delete', 'DELETE', '/Patient/u', {}, 204, /^$/],
  ['read, deleted', 'GET', '/Patient/u', {}, 410, /<OperationOutcome .*<code value="deleted"\/>/],
  [
    'batch',
    'POST',
    '/',
    { headers: BODY, body: bundle('batch') },
    200,
    /<Bundle .*<type value="batch-response"\/>.*<status value="201 Created"\/>.*<resource><Patient>/,
  ],
  [
    'transaction',
    'POST',
    '/',
    { headers: BODY, body: bundle('transaction') },
    200,
    /<Bundle .*<type value="transaction-response"\/>.*<resource><Patient>/,
  ],
  ['read, absent', 'GET', '/Patient/none', {}, 404, /<OperationOutcome .*<code value="not-found"\/>/],
  ['no type', 'GET', '/Nonesuch/1', {}, 404, /<OperationOutcome /],
  ['search, refused', 'GET', '/Patient?nonesuch=1', {}, 400, /<OperationOutcome /],
  [
    'create, malformed',
    'POST',
    '/Patient',
    { headers: BODY, body: '<a' },
    400,
    /<OperationOutcome .*<code value="structure"\/>/,
  ],
  [
    'create, invalid',
    'POST',
    '/Patient',
    { headers: BODY, body: patient('<birthDate value="x"/>') },
    400,
    /<expression value="Patient.birthDate"\/>/,
  ],
  ['create, another type', 'POST', '/Observation', { headers: BODY, body: patient('') }, 400, /<OperationOutcome /],
  ['method that is not allowed', 'DELETE', '/metadata', {}, 405, /<OperationOutcome /],
  ['_summary', 'GET', '/Patient/p?_summary=true', {}, 200, /<tag>.*<code value="SUBSETTED"\/>/],
  ['_elements', 'GET', '/Patient/p?_elements=gender', {}, 200, /<Patient (?!.*<active)/],
  ['_pretty', 'GET', '/Patient/p?_pretty=true', {}, 200, /\n {2}<active value="true"\/>\n<\/Patient>/],
];
for (const [what, method, url, sent, status, content] of INTERACTIONS) {
  test(`XML ${what}`, async () => {
    const answer = await there.send(method, url, { ...sent, headers: { accept: XML, ...sent.headers } });
    assert.equal(answer.status, status, answer.body);
    assert.match(answer.body ?? '', content);
    if (answer.body !== undefined) assert.equal(formatOf(answer), 'xml');
  });
}

test('a body in XML without Accept is answered in XML, whether taken or refused', async () => {
  const taken = await there.send('POST', '/Patient', { headers: BODY, body: patient('<active value="true"/>') });
  const refused = await there.send('POST', '/Patient', { headers: BODY, body: patient('<nonesuch/>') });
  const json = await there.send('POST', '/Patient', {
    headers: { ...BODY, accept: JSON_TYPE },
    body: patient('<nonesuch/>'),
  });
  assert.deepEqual([taken, refused, json].map(formatOf), ['xml', 'xml', 'json']);
  assert.equal(at(decoded(json), 'issue.0.expression.0'), 'Patient.nonesuch');
});

test('the format of entries is that of their Bundle, whatever an entry asks', async () => {
  const entry = (url: string) => ({ request: { method: 'GET', url } });
  const body = { resourceType: 'Bundle', type: 'batch', entry: [entry('Patient/p?_format=xml'), entry('Patient/p')] };
  const answer = await there.send('POST', '/', { body });
  assert.deepEqual([at(decoded(answer), 'entry.0.resource.id'), formatOf(answer)], ['p', 'json']);
});

test('a refused _format is told in JSON; links carry _format', async () => {
  const refused = await there.send('GET', '/Patient/p?_format=ttl', { headers: { accept: XML } });
  assert.deepEqual([refused.status, formatOf(refused)], [406, 'json']);
  const page = decoded(await there.send('GET', '/Patient?_count=1&_format=xml'));
  assert.match(String(at(page, 'link.1.url')), /_format=xml/);
});

test('what is stored is JSON: the same resource by either way is the same text', async () => {
  const json = { resourceType: 'Patient', id: 'same', active: true, name: [{ given: ['a', 'b'] }] };
  await there.send('PUT', '/Patient/same', { body: json });
  const first = await there.send('GET', '/Patient/same');
  const xml = writeXml(serialize(json), there.context.definitions);
  await there.send('PUT', '/Patient/same', { headers: BODY, body: xml });
  const second = await there.send('GET', '/Patient/same');
  const content = (answer: FhirResponse): Json => {
    const body = decoded(answer);
    return isJsonObject(body) ? { ...body, meta: undefined } : null;
  };
  assert.equal(serialize(content(second)), serialize(content(first)));
});

/** The JSON without what the server writes itself, properties in one order. */
function content(value: Json | undefined, isRoot = true): Json {
  if (Array.isArray(value)) return value.map((each) => content(each, false));
  if (!isJsonObject(value)) return value ?? null;
  const names = Object.keys(value).filter((name) => !(isRoot && name === 'meta'));
  return Object.fromEntries(names.sort().map((name) => [name, content(value[name], false)]));
}

test('published examples: sent as XML, read as XML and as JSON, are what they were', async () => {
  const folder = join(import.meta.dirname, '..', 'data', 'fhir-examples');
  const names = readdirSync(folder).filter((name, index) => name.endsWith('.json') && index % 5 === 0);
  const { definitions, capability } = there.context;
  let sent = 0;
  const wrong: string[] = [];
  for (const name of names) {
    const json = parseJson(readFileSync(join(folder, name), 'utf8'));
    const type = String(at(json, 'resourceType'));
    if (!isJsonObject(json) || typeof json.id !== 'string' || capability.types.get(type)?.updateCreate !== true)
      continue;
    const url = `/${type}/${json.id}`;
    const put = await there.send('PUT', url, { headers: BODY, body: writeXml(serialize(json), definitions) });
    if (put.status >= 400) {
      const asJson = await there.send('PUT', url, { body: serialize(json) });
      if (asJson.status !== put.status) wrong.push(`${name} ${put.status} instead of ${asJson.status}`);
      continue;
    }
    sent++;
    for (const format of ['xml', 'json']) {
      const got = await there.send('GET', `${url}?_format=${format}`);
      if (serialize(content(decoded(got))) !== serialize(content(json))) wrong.push(`${name} as ${format}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(sent > 40, `control: ${sent} were stored`);
});
