// XML as bytes: which thread answers it, what is refused before it is text. docs/threat-model.md (exhaustion), RFC 7303 (charset).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Asked, type Listening, listening } from './server.ts';

const XML = 'application/fhir+xml';
let open: Listening;
before(async () => {
  open = await listening();
  await open.there.send('PUT', '/Patient/p', { body: { resourceType: 'Patient', id: 'p' } });
});
after(() => open.close());

const patient = (content = '<active value="true"/>'): string =>
  `<Patient xmlns="http://hl7.org/fhir">${content}</Patient>`;
const bundle = (type: string): string => `<Bundle xmlns="http://hl7.org/fhir"><type value="${type}"/></Bundle>`;
const SENT = { 'content-type': XML };
const ASKED = { headers: { accept: XML } };
/** The status with which the other thread stands in. */
const HEAVY = 299;

const rows: readonly [why: string, method: string, path: string, sent: Asked, status: number][] = [
  ['a read', 'GET', '/Patient/p', ASKED, 200],
  ['a version', 'GET', '/Patient/p/_history/1', ASKED, 200],
  ['a create', 'POST', '/Patient', { headers: SENT, body: patient() }, 201],
  ['no such path', 'GET', '/a/b/c/d/e', ASKED, 404],
  ['a search', 'GET', '/Patient', ASKED, HEAVY],
  ['a search, _format', 'GET', '/Patient?_format=xml', {}, HEAVY],
  ['a search in JSON', 'GET', '/Patient?_format=json', ASKED, 200],
  [
    'a search by POST',
    'POST',
    '/Patient/_search',
    { headers: { ...ASKED.headers, 'content-type': 'application/x-www-form-urlencoded' }, body: '_id=p' },
    HEAVY,
  ],
  ['a history', 'GET', '/Patient/p/_history', ASKED, HEAVY],
  ['the capability statement', 'GET', '/metadata', ASKED, HEAVY],
  ['a batch', 'POST', '', { headers: SENT, body: bundle('batch') }, HEAVY],
  ['a batch by character references', 'POST', '', { headers: SENT, body: bundle('b&#97;tch') }, HEAVY],
  [
    'a body above 64 K characters',
    'POST',
    '/Patient',
    { headers: SENT, body: patient(`<name><text value="${'x'.repeat(70_000)}"/></name>`) },
    HEAVY,
  ],
  ['a body above the limit', 'POST', '/Patient', { headers: SENT, body: patient(' '.repeat(200_000)) }, 413],
  ['a byte order mark', 'POST', '/Patient', { headers: SENT, body: `\ufeff${patient()}` }, 201],
  [
    'invalid UTF-8',
    'POST',
    '/Patient',
    { headers: SENT, body: Buffer.concat([Buffer.from('<Patient '), Buffer.from([0xc3, 0x28])]) },
    400,
  ],
  [
    'Latin 1',
    'POST',
    '/Patient',
    { headers: SENT, body: Buffer.from(patient('<name><text value="\u00e9"/></name>'), 'latin1') },
    400,
  ],
  [
    'UTF-16 with its mark',
    'POST',
    '/Patient',
    { headers: SENT, body: Buffer.from(`\ufeff${patient()}`, 'utf16le') },
    400,
  ],
  [
    'charset UTF-16',
    'POST',
    '/Patient',
    { headers: { 'content-type': `${XML}; charset=utf-16` }, body: patient() },
    415,
  ],
  ['a DOCTYPE', 'POST', '/Patient', { headers: SENT, body: `<!DOCTYPE a>${patient()}` }, 400],
  ['another host', 'GET', '/Patient/p', { headers: { ...ASKED.headers, host: 'evil.example' } }, 421],
];
for (const [why, method, path, sent, status] of rows) {
  test(`XML over the wire: ${why} is ${status === HEAVY ? 'for the other thread' : status}`, async () => {
    const answer = await open.ask(method, `/fhir${path}`, sent);
    assert.equal(answer.status, status, answer.body.slice(0, 300));
    if (status === HEAVY || path.includes('json')) return;
    assert.match(String(answer.headers['content-type']), /^application\/fhir\+xml; charset=utf-8$/);
    assert.equal(answer.headers['content-length'], String(Buffer.byteLength(answer.body)));
    assert.match(answer.body, /^<\?xml version="1\.0" encoding="UTF-8"\?><(?:Patient|OperationOutcome) xmlns=/);
  });
}
