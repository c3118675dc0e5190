// http.html#summary, #mime-type, #parameters, #concurrency: what each request means, and what is refused before anything is read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FhirError, statusOf } from '../../src/fhir/outcome.ts';
import type { FhirRequest } from '../../src/rest/request.ts';
import { parseRequest } from '../../src/rest/wire/parse-request.ts';
import { type Sent, world } from '../world.ts';

const { wire, context } = world();
const parse = (method: string, url: string, sent?: Sent): FhirRequest =>
  parseRequest(wire(method, url, sent), context.capability);

function refusalOf(method: string, url: string, sent?: Sent): FhirError | undefined {
  try {
    parse(method, url, sent);
    return undefined;
  } catch (error) {
    if (error instanceof FhirError) return error;
    throw error;
  }
}

const PATIENT = { resourceType: 'Patient', id: '1' };
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

const MEANT: readonly [method: string, url: string, sent: Sent, expected: Record<string, unknown>][] = [
  ['GET', '/Patient/1', {}, { interaction: 'read', key: { type: 'Patient', id: '1' } }],
  ['HEAD', '/Patient/1', {}, { interaction: 'read' }],
  ['GET', '/Patient/a-B.9', {}, { key: { type: 'Patient', id: 'a-B.9' } }],
  ['GET', '/Patient/%31', {}, { key: { type: 'Patient', id: '1' } }],
  ['GET', '/Patient/1/_history/3', {}, { interaction: 'vread', version: 3 }],
  ['GET', '/Patient/1/_history', {}, { interaction: 'history-instance' }],
  ['GET', '/Patient/_history?_count=2', {}, { interaction: 'history-type', type: 'Patient' }],
  ['GET', '/_history', {}, { interaction: 'history-system' }],
  ['GET', '/metadata', {}, { interaction: 'capabilities' }],
  ['GET', '/Patient?name=x&_format=json&_pretty=true', {}, { interaction: 'search-type', query: 'name=x' }],
  ['GET', '/Patient', {}, { interaction: 'search-type', query: '' }],
  ['POST', '/Patient/_search?a=1', { headers: FORM, body: 'b=2' }, { interaction: 'search-type', query: 'a=1&b=2' }],
  ['POST', '/Patient/_search?a=1', {}, { interaction: 'search-type', query: 'a=1' }],
  ['POST', '/_search', { headers: FORM, body: '_type=Patient' }, { interaction: 'search-system' }],
  ['GET', '/?_type=Patient', {}, { interaction: 'search-system' }],
  ['POST', '/Patient', { body: PATIENT }, { interaction: 'create', ifNoneExist: undefined }],
  [
    'POST',
    '/Patient',
    { body: PATIENT, headers: { 'if-none-exist': 'Patient?identifier=1' } },
    { ifNoneExist: 'identifier=1' },
  ],
  ['PUT', '/Patient/1', { body: PATIENT, headers: { 'if-match': 'W/"3"' } }, { interaction: 'update', ifMatch: 3 }],
  ['PUT', '/Patient/1', { body: PATIENT, headers: { 'if-match': '"3"' } }, { ifMatch: 3 }],
  ['PUT', '/Patient/1', { body: PATIENT, headers: { 'if-match': 'W/"abc"' } }, { ifMatch: 0 }],
  ['PUT', '/Patient/1', { body: PATIENT, headers: { 'if-none-match': '*' } }, { ifNoneMatch: '*' }],
  ['PUT', '/Patient?identifier=1', { body: PATIENT }, { interaction: 'conditional-update', criteria: 'identifier=1' }],
  ['DELETE', '/Patient/1', {}, { interaction: 'delete' }],
  ['DELETE', '/Patient?identifier=1', {}, { interaction: 'conditional-delete', criteria: 'identifier=1' }],
  [
    'PATCH',
    '/Patient/1',
    { body: [], headers: { 'content-type': 'application/json-patch+json', 'if-match': 'W/"3"' } },
    { interaction: 'patch', ifMatch: 3, patch: { form: 'json', operations: [] } },
  ],
  ['PATCH', '/Patient/1', { body: { resourceType: 'Parameters' } }, { patch: { form: 'fhirpath', operations: [] } }],
  [
    'PATCH',
    '/Patient?identifier=1',
    { body: {}, headers: { 'content-type': 'application/merge-patch+json' } },
    { interaction: 'conditional-patch', criteria: 'identifier=1', patch: { form: 'merge', changes: {} } },
  ],
  ['POST', '/', { body: { resourceType: 'Bundle', type: 'batch' } }, { interaction: 'batch' }],
  ['POST', '', { body: { resourceType: 'Bundle', type: 'transaction' } }, { interaction: 'transaction' }],
  ['GET', '/Patient/1/$everything', {}, { interaction: 'operation', code: 'everything', type: 'Patient', id: '1' }],
  ['POST', '/Patient/%24validate', { body: PATIENT }, { interaction: 'operation', code: 'validate', id: undefined }],
  ['GET', '/$export?_type=Patient', {}, { interaction: 'operation', type: undefined, query: '_type=Patient' }],
];

test('http.html#summary: method and path name the interaction', () => {
  const wrong = MEANT.flatMap(([method, url, sent, expected]) => {
    const request: Record<string, unknown> = { ...parse(method, url, sent) };
    const found = Object.fromEntries(Object.keys(expected).map((key) => [key, request[key]]));
    return JSON.stringify(found) === JSON.stringify(expected) ? [] : [{ method, url, found }];
  });
  assert.deepEqual(wrong, []);
});

const REFUSED: readonly [method: string, url: string, status: number, why: string, sent?: Sent][] = [
  ['GET', '/Nothing/1', 404, 'the type is not one of ours'],
  ['POST', '/Nothing', 404, 'before the body is looked at', { body: '{' }],
  ['GET', '/patient/1', 404, 'types are case sensitive'],
  ['GET', '/Patient/', 404, 'an empty id'],
  ['GET', '//Patient', 404, 'an empty segment'],
  ['GET', '/Patient/1/2', 404, 'no grammar'],
  ['GET', '/Patient/1/_history/x', 404, 'a version this server never gives'],
  ['GET', '/Patient/1/_history/0', 404, 'versions start at 1'],
  ['GET', '/Patient/1/_history/1/2', 404, 'too long'],
  ['GET', '/Patient/%2e%2e%2f1', 404, 'decoded once, a slash is no id'],
  ['GET', '/Patient/%2531', 404, 'never decoded twice'],
  ['GET', '/Patient/%zz', 404, 'malformed percent sequence in the path'],
  ['GET', `/Patient/${'a'.repeat(65)}`, 404, 'read: such an id cannot exist'],
  ['GET', `/Patient/a_b`, 404, 'underscore is not in the id grammar'],
  ['PUT', `/Patient/${'a'.repeat(65)}`, 400, 'update: the client chose a wrong id', { body: PATIENT }],
  ['GET', '/__proto__', 404, 'no prototype keys'],
  ['GET', '/constructor/1', 404, 'no prototype keys'],
  ['DELETE', '/metadata', 405, 'method'],
  ['OPTIONS', '/Patient/1', 405, 'method'],
  ['PUT', '/Patient/_search', 405, 'method'],
  ['POST', '/Patient/1', 405, 'create on an instance'],
  ['GET', '/Patient/_search', 405, '_search is POST'],
  ['GET', '/Patient/1?foo=1', 400, 'unknown parameter on read'],
  ['PUT', '/Patient/1?_summary=true', 400, 'a parameter of reads on update', { body: PATIENT }],
  ['POST', '/Patient?identifier=1', 400, 'criteria on create', { body: PATIENT }],
  ['GET', '/Patient/1?_pretty=yes', 400, 'true or false'],
  ['GET', '/Patient/1?_pretty=true&_pretty=false', 400, 'repeated'],
  ['GET', '/Patient/1?_summary=most', 400, 'no such summary'],
  ['GET', '/Patient/1?_summary=count', 400, 'there is nothing to count'],
  ['GET', '/Patient/1?_summary=true&_elements=name', 400, 'contradiction'],
  ['GET', '/Patient/1?_elements=na%00me', 400, 'no element name'],
  ['GET', '/Patient/1?%zz=1', 400, 'malformed percent sequence'],
  ['GET', '/Patient/1', 400, 'a body on a read', { body: '{}' }],
  ['GET', '/metadata?mode=terminology', 400, 'not served'],
  ['GET', '/Patient/1', 400, 'If-None-Match without quotes', { headers: { 'if-none-match': '3' } }],
  ['PUT', '/Patient/1', 400, 'If-Match without quotes', { body: PATIENT, headers: { 'if-match': '3' } }],
  [
    'PUT',
    '/Patient/1',
    400,
    'If-Match with a list of what is none',
    { body: PATIENT, headers: { 'if-match': '"1", 2' } },
  ],
  ['POST', '/Patient', 400, 'If-None-Exist without criteria', { body: PATIENT, headers: { 'if-none-exist': '?' } }],
  ['POST', '/Patient', 400, 'no body'],
  ['POST', '/Patient', 400, 'malformed JSON', { body: '{' }],
  ['POST', '/Patient', 400, 'no resource', { body: '[]' }],
  ['POST', '/Patient', 400, 'resourceType is not a text', { body: { resourceType: 1 } }],
  ['POST', '/Patient', 400, 'another type than the path', { body: { resourceType: 'Observation' } }],
  ['POST', '/Patient', 415, 'no Content-Type', { body: '{}', headers: { 'content-type': '' } }],
  ['POST', '/Patient', 415, 'Turtle', { body: 'a', headers: { 'content-type': 'text/turtle' } }],
  ['POST', '/Patient', 415, 'charset', { body: '{}', headers: { 'content-type': 'application/json; charset=latin1' } }],
  [
    'POST',
    '/Patient',
    415,
    'FHIR version',
    { body: '{}', headers: { 'content-type': 'application/fhir+json; fhirVersion=3.0' } },
  ],
  ['POST', '/Patient/_search', 415, 'a search form is not JSON', { body: '{}' }],
  ['PUT', '/Patient/1', 400, 'no id in the body', { body: { resourceType: 'Patient' } }],
  ['PUT', '/Patient/1', 400, 'another id in the body', { body: { resourceType: 'Patient', id: '2' } }],
  ['PUT', '/Patient', 400, 'conditional update without criteria', { body: PATIENT }],
  ['DELETE', '/Patient', 400, 'conditional delete without criteria'],
  ['POST', '/', 400, 'a Bundle of another type', { body: { resourceType: 'Bundle', type: 'collection' } }],
  ['POST', '/', 400, 'not a Bundle', { body: PATIENT }],
  ['GET', '/Patient/1?_format=ttl', 406, 'Turtle by parameter'],
  ['GET', '/Patient/1?_format=constructor', 406, 'no prototype keys'],
  ['GET', '/Patient/1', 406, 'Turtle only', { headers: { accept: 'text/turtle' } }],
  ['GET', '/Patient/1', 406, 'JSON with quality 0', { headers: { accept: 'application/json;q=0, text/html' } }],
  ['GET', '/Patient/1', 406, 'another FHIR version', { headers: { accept: 'application/fhir+json; fhirVersion=5.0' } }],
];

test('http.html: what is not of the grammar is refused, with the status of its clause', () => {
  const wrong = REFUSED.flatMap(([method, url, status, why, sent]) => {
    const refusal = refusalOf(method, url, sent);
    const found = refusal === undefined ? 'accepted' : statusOf(refusal.kind);
    return found === status ? [] : [{ method, url, why, expected: status, found }];
  });
  assert.deepEqual(wrong, []);
});

const ACCEPTED: readonly [url: string, accept: string | undefined, why: string][] = [
  ['/Patient/1', undefined, 'no Accept'],
  ['/Patient/1', '*/*', 'anything'],
  ['/Patient/1', 'application/json+fhir', 'the DSTU2 spelling'],
  ['/Patient/1', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'a browser'],
  ['/Patient/1', 'application/fhir+xml, application/fhir+json;q=0.1', 'JSON is second choice'],
  ['/Patient/1', 'application/fhir+json; fhirVersion=4.0; charset=utf-8', 'parameters'],
  ['/Patient/1?_format=json', 'application/fhir+xml', '_format overrides Accept'],
  ['/Patient/1?_format=application/fhir+json', undefined, 'plus as it comes'],
  ['/Patient/1?_format=application%2Ffhir%2Bjson', undefined, 'plus escaped'],
  ['/Patient/1?_format=text/json', undefined, 'named in http.html'],
];
for (const [url, accept, why] of ACCEPTED) {
  test(`http.html#mime-type ${url} with ${accept}: ${why}`, () => {
    assert.equal(refusalOf('GET', url, accept === undefined ? {} : { headers: { accept } }), undefined);
  });
}

test('a refusal of an unknown parameter names the valid ones, not what was sent', () => {
  const message = refusalOf('GET', '/Patient/1?secret-name=1')?.message ?? '';
  assert.match(message, /`_elements`/);
  assert.doesNotMatch(message, /secret/);
});

test('any text at all is parsed or refused with FhirError', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('/Patient', '/Patient/1', '/_search', '/$x', '/Patient/%'));
  const header = fc.option(fc.string(), { nil: undefined });
  const headers = fc.record({
    accept: header,
    prefer: header,
    'if-match': header,
    'content-type': header,
    'if-none-exist': header,
  });
  const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'X');
  const wires = fc.record({ method, path: text, query: fc.string(), headers, body: header });
  fc.assert(
    fc.property(wires, (given) => {
      try {
        parseRequest(given, context.capability);
      } catch (error) {
        assert.ok(error instanceof FhirError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
