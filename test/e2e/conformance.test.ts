// What public suites ask of the RESTful API, as rows: fhir-r4@http, fhir-r4@json, fhir-r4@bundle. Search has conformance-search.test.ts.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Answer, type Entry, type Json, linkOf, type Send, sender } from './client.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

let server: Running;
let base: string;
let send: Send;
before(async () => {
  server = await start({ LOG_LEVEL: 'error' }, newFolder());
  base = `${server.url}/fhir`;
  send = sender(base);
});
after(async () => {
  assert.equal(await server.stop(), 0);
  removeFolder(server.folder);
});

const patient = (content: object = {}) => ({ resourceType: 'Patient', ...content });
let counter = 0;
/** A value nobody used before. */
const fresh = (): string => `u${++counter}`;
const idOf = ({ json }: Answer): string => json.id ?? '';

/** Checks several facts and shows all that are wrong. */
function facts(rows: readonly (readonly [what: string, actual: unknown, expected: unknown])[]): void {
  const wrong = rows.filter(([, actual, expected]) => {
    try {
      assert.deepEqual(actual, expected);
      return false;
    } catch {
      return true;
    }
  });
  assert.deepEqual(wrong, []);
}

test('fhir-r4@http-create, @http-update, @http-read: status and headers', async () => {
  const made = await send(
    'POST',
    '/Patient',
    patient({ id: 'ignored', meta: { versionId: '77', lastUpdated: '1999-01-01T00:00:00Z' } }),
  );
  const id = idOf(made);
  const again = await send('PUT', `/Patient/${id}`, patient({ id, active: true }));
  const read = await send('GET', `/Patient/${id}`);
  const old = await send('GET', `/Patient/${id}/_history/1`);
  const head = await send('HEAD', `/Patient/${id}`);
  const seconds = (text: string | undefined) => Math.floor(Date.parse(text ?? '') / 1000);
  facts([
    ['201', made.status, 201],
    ['Location', made.headers.get('location'), `${base}/Patient/${id}/_history/1`],
    ['ETag', made.headers.get('etag'), 'W/"1"'],
    [
      'Last-Modified is meta.lastUpdated',
      seconds(made.headers.get('last-modified') ?? ''),
      seconds(made.json.meta?.lastUpdated),
    ],
    ["the client's id is not taken", id !== 'ignored', true],
    ["the client's version is not taken", made.json.meta?.versionId, '1'],
    ["the client's instant is not taken", (made.json.meta?.lastUpdated ?? '') > '2020', true],
    ['content type', made.headers.get('content-type'), 'application/fhir+json; charset=utf-8'],
    ['update 200', again.status, 200],
    ['update ETag', again.headers.get('etag'), 'W/"2"'],
    ['update body', again.json.meta?.versionId, '2'],
    ['read', [read.status, read.headers.get('etag'), read.json.active], [200, 'W/"2"', true]],
    ['vread', [old.status, old.headers.get('etag'), old.json.active], [200, 'W/"1"', undefined]],
    ['HEAD', [head.status, head.text, head.headers.get('etag')], [200, '', 'W/"2"']],
    ['HEAD length', head.headers.get('content-length'), read.headers.get('content-length')],
  ]);
});

type Step = readonly [
  status: number,
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>,
];
/** Requests in order, each with its status; `ID` stands for a resource that is at version 2. */
const STEPS: Readonly<Record<string, readonly Step[]>> = {
  'http-cread': [
    [304, 'GET', '/Patient/ID', undefined, { 'if-none-match': 'W/"2"' }],
    [304, 'GET', '/Patient/ID', undefined, { 'if-none-match': '"2"' }],
    [200, 'GET', '/Patient/ID', undefined, { 'if-none-match': 'W/"1"' }],
    [304, 'GET', '/Patient/ID', undefined, { 'if-none-match': 'W/"1", W/"2"' }],
    [304, 'GET', '/Patient/ID', undefined, { 'if-none-match': '*' }],
    [304, 'GET', '/Patient/ID', undefined, { 'if-modified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' }],
    [200, 'GET', '/Patient/ID', undefined, { 'if-modified-since': 'Fri, 01 Jan 2010 00:00:00 GMT' }],
    [200, 'GET', '/Patient/ID', undefined, { 'if-modified-since': 'nonsense' }],
    [404, 'GET', '/Patient/none', undefined, { 'if-none-match': 'W/"1"' }],
  ],
  'http-concurrency': [
    [412, 'PUT', '/Patient/ID', patient({ id: 'ID' }), { 'if-match': 'W/"1"' }],
    [400, 'PUT', '/Patient/ID', patient({ id: 'ID' }), { 'if-match': 'nonsense' }],
    [200, 'PUT', '/Patient/ID', patient({ id: 'ID' }), { 'if-match': 'W/"2"' }],
    [412, 'DELETE', '/Patient/ID', undefined, { 'if-match': 'W/"2"' }],
    [204, 'DELETE', '/Patient/ID', undefined, { 'if-match': 'W/"3"' }],
    [412, 'PUT', '/Patient/never-was', patient({ id: 'never-was' }), { 'if-match': 'W/"1"' }],
  ],
  'http-delete': [
    [204, 'DELETE', '/Patient/ID'],
    [410, 'GET', '/Patient/ID'],
    [410, 'HEAD', '/Patient/ID'],
    [204, 'DELETE', '/Patient/ID'],
    [200, 'GET', '/Patient/ID/_history/2'],
    [410, 'GET', '/Patient/ID/_history/3'],
    [404, 'GET', '/Patient/ID/_history/4'],
    [404, 'GET', '/Patient/ID/_history/x'],
    [200, 'GET', '/Patient/ID/_history'],
    [201, 'PUT', '/Patient/ID', patient({ id: 'ID' })],
    [200, 'GET', '/Patient/ID/_history/4'],
    [204, 'DELETE', '/Patient/never-was'],
    [404, 'GET', '/Patient/never-was'],
    [404, 'GET', '/Patient/never-was/_history'],
  ],
  'http-update': [
    [400, 'PUT', '/Patient/ID', patient()],
    [400, 'PUT', '/Patient/ID', patient({ id: 'other' })],
    [400, 'PUT', '/Patient/ID', { resourceType: 'Observation', id: 'ID' }],
    [400, 'PUT', `/Patient/${'x'.repeat(65)}`, patient({ id: 'x'.repeat(65) })],
    [201, 'PUT', `/Patient/${'x'.repeat(64)}`, patient({ id: 'x'.repeat(64) })],
    [201, 'PUT', '/Patient/A.b-9', patient({ id: 'A.b-9' })],
    [400, 'PUT', '/Patient/a_b', patient({ id: 'a_b' })],
    [415, 'POST', '/Patient', patient(), { 'content-type': 'application/fhir+turtle' }],
    [415, 'POST', '/Patient', patient(), { 'content-type': 'text/plain' }],
    [201, 'POST', '/Patient', patient(), { 'content-type': 'application/json; charset=UTF-8' }],
    [201, 'POST', '/Patient', patient(), { 'content-type': 'application/fhir+json; fhirVersion=4.0' }],
    [415, 'POST', '/Patient', patient(), { 'content-type': 'application/fhir+json; fhirVersion=5.0' }],
    [400, 'POST', '/Patient', ''],
    [400, 'POST', '/Patient', 'null'],
    [400, 'POST', '/Patient', { resourceType: 'Patient', nonsense: 1 }],
    [404, 'GET', '/Patient/'], // a read with an empty id must not become a search of everything
    [412, 'PUT', '/Patient/ID', patient({ id: 'ID' }), { 'if-none-match': 'W/"1", W/"2"' }],
    [405, 'POST', '/Patient/ID', patient()],
  ],
  'http-mime-type': [
    [200, 'GET', '/Patient/ID', undefined, { accept: 'application/json' }],
    [200, 'GET', '/Patient/ID', undefined, { accept: 'text/html, text/turtle;q=0.9, */*;q=0.1' }],
    [200, 'GET', '/Patient/ID', undefined, { accept: 'application/fhir+turtle, application/fhir+json;q=0.2' }],
    [406, 'GET', '/Patient/ID', undefined, { accept: 'application/fhir+turtle' }],
    [406, 'GET', '/Patient/ID', undefined, { accept: 'application/fhir+json;q=0' }],
    [200, 'GET', '/Patient/ID', undefined, { accept: 'Application/FHIR+JSON' }],
    [200, 'GET', '/Patient/ID?_format=json', undefined, { accept: 'application/fhir+turtle' }],
    [406, 'GET', '/Patient/ID?_format=ttl'],
    [406, 'GET', '/Patient/ID?_format=application/fhir%2Bturtle'],
    [200, 'GET', '/Patient/ID?_format=text/json'],
    [200, 'GET', '/Patient/ID?_pretty=true'],
    [400, 'GET', '/Patient/ID?_pretty=maybe'],
    [200, 'GET', '/metadata'],
    [200, 'GET', '/metadata?_format=json'],
    [200, 'HEAD', '/metadata'],
  ],
  'http-history': [
    [200, 'GET', '/Patient/ID/_history?_count=1'],
    [200, 'GET', '/Patient/ID/_history?_since=2000-01-01T00:00:00Z'],
    [400, 'GET', '/Patient/ID/_history?_since=yesterday'],
    [400, 'GET', '/Patient/ID/_history?_count=x'],
    [400, 'GET', '/Patient/ID/_history?name=x'],
    [200, 'GET', '/Patient/_history'],
    [200, 'GET', '/_history'],
    [200, 'GET', '/_history?_count=2'],
    [405, 'POST', '/Patient/ID/_history'],
    [405, 'DELETE', '/Patient/ID/_history'],
  ],
};
for (const [anchor, steps] of Object.entries(STEPS)) {
  test(`fhir-r4@${anchor}`, async () => {
    const id = idOf(await send('POST', '/Patient', patient()));
    await send('PUT', `/Patient/${id}`, patient({ id, active: true }));
    const wrong: string[] = [];
    for (const [status, method, path, body, headers] of steps) {
      const sent = body === undefined ? undefined : JSON.parse(JSON.stringify(body).replaceAll('"ID"', `"${id}"`));
      const answer = await send(method, path.replace('ID', id), typeof body === 'string' ? body : sent, headers);
      if (answer.status !== status)
        wrong.push(
          `${method} ${path} ${JSON.stringify(headers ?? {})}: ${answer.status} instead of ${status} ${answer.text.slice(0, 200)}`,
        );
      if (answer.status >= 400 && method !== 'HEAD' && answer.json.resourceType !== 'OperationOutcome')
        wrong.push(`${method} ${path}: no outcome`);
    }
    assert.deepEqual(wrong, []);
  });
}

test('fhir-r4@http-ops (Prefer)', async () => {
  const rows: (readonly [string, unknown, unknown])[] = [];
  for (const [prefer, length, type] of [
    ['return=minimal', false, undefined],
    ['return=representation', true, 'Patient'],
    ['return=OperationOutcome', true, 'OperationOutcome'],
    ['return=nonsense', true, 'Patient'],
    ['respond-async, return=minimal', false, undefined],
  ] as const) {
    const made = await send('POST', '/Patient', patient(), { prefer });
    const id = made.headers.get('location')?.split('/').at(-3) ?? '';
    const updated = await send('PUT', `/Patient/${id}`, patient({ id, active: true }), { prefer });
    rows.push(
      [`${prefer} create`, [made.status, made.text !== '', made.json.resourceType], [201, length, type]],
      [`${prefer} update`, [updated.status, updated.text !== '', updated.json.resourceType], [200, length, type]],
      [`${prefer} ETag`, updated.headers.get('etag'), 'W/"2"'],
    );
  }
  facts(rows);
});

test('fhir-r4@http-ccreate, @http-cond-update, @http-conditional-delete: none, one, many', async () => {
  const value = fresh();
  const mine = patient({ identifier: [{ system: 'urn:c', value }] });
  const criteria = `identifier=urn:c|${value}`;
  const header = { 'if-none-exist': criteria };
  const first = await send('POST', '/Patient', mine, header);
  const second = await send('POST', '/Patient', mine, header);
  const encoded = await send('POST', '/Patient', mine, { 'if-none-exist': `identifier=urn:c%7C${value}` });
  const updated = await send('PUT', `/Patient?${criteria}`, { ...mine, active: true });
  const other = await send('PUT', `/Patient?identifier=urn:c|${fresh()}`, patient({ id: `given-${value}` }));
  const mismatch = await send('PUT', `/Patient?${criteria}`, { ...mine, id: 'not-it' });
  await send('POST', '/Patient', mine);
  const id = idOf(first);
  facts([
    ['created', first.status, 201],
    ['there', [second.status, idOf(second), second.headers.get('etag')], [200, id, 'W/"1"']],
    ['Location of the match', second.headers.get('location'), `${base}/Patient/${id}/_history/1`],
    ['encoded criteria', [encoded.status, idOf(encoded)], [200, id]],
    ['updated', [updated.status, idOf(updated), updated.json.meta?.versionId], [200, id, '2']],
    ['no match with an id: update as create', [other.status, idOf(other)], [201, `given-${value}`]],
    ['create: many', (await send('POST', '/Patient', mine, header)).status, 412],
    ['update: many', (await send('PUT', `/Patient?${criteria}`, mine)).status, 412],
    ['delete: one', (await send('DELETE', `/Patient?_id=given-${value}`)).status, 204],
    ['delete: gone', (await send('GET', `/Patient/given-${value}`)).status, 410],
    ['delete: many, as claimed', (await send('DELETE', `/Patient?${criteria}`)).status, 204],
    ['delete: all of them gone', (await send('GET', `/Patient/${id}`)).status, 410],
    ['delete: none', (await send('DELETE', `/Patient?_id=${id}`)).status, 204],
    ['update: another id than the match', mismatch.status, 400],
    ['unknown criteria', (await send('POST', '/Patient', mine, { 'if-none-exist': 'nonsense=1' })).status, 400],
    [
      'unknown criteria are never lenient',
      (await send('DELETE', '/Patient?nonsense=1', undefined, { prefer: 'handling=lenient' })).status,
      400,
    ],
    [
      'If-Match of a conditional update',
      (await send('PUT', `/Patient?${criteria}`, mine, { 'if-match': 'W/"9"' })).status,
      412,
    ],
  ]);
});

/** The stored text again, byte for byte but for what the server owns. */
const ROUND_TRIPS: readonly (readonly [why: string, type: string, content: string])[] = [
  ['trailing zeros', 'Observation', '"valueQuantity":{"value":1.00}'],
  ['exponents', 'Observation', '"valueQuantity":{"value":1e3}'],
  ['negative exponents', 'Observation', '"valueQuantity":{"value":1.20E-5}'],
  ['20 digits', 'Observation', '"valueQuantity":{"value":3.14159265358979323846}'],
  ['big', 'Observation', '"valueQuantity":{"value":12345678901234567890.5}'],
  ['minus zero', 'Observation', '"valueQuantity":{"value":-0.0}'],
  ['primitive extensions', 'Observation', '"_valueString":{"extension":[{"url":"http://x.example","valueCode":"q"}]}'],
  ['primitive extensions beside a value', 'Observation', '"valueString":"a","_valueString":{"id":"b"}'],
  [
    'contained',
    'Observation',
    '"contained":[{"resourceType":"Patient","id":"c","active":true}],"subject":{"reference":"#c"}',
  ],
  ['unicode', 'Observation', '"valueString":"\u{1F9EC} 東京 e\u0301 \u202e"'],
  ['a backslash before u0000', 'Observation', '"valueString":"a\\\\u0000b"'],
  ['escapes', 'Observation', '"valueString":"a\\"b\\\\c\\n\\t"'],
  [
    'meta',
    'Observation',
    '"meta":{"profile":["http://p.example"],"security":[{"system":"urn:s","code":"R"}],"tag":[{"system":"urn:t","code":"t"}]}',
  ],
  [
    'nulls in arrays',
    'Patient',
    '"name":[{"given":["a",null],"_given":[null,{"extension":[{"url":"http://x.example","valueString":"q"}]}]}]',
  ],
  ['members in their order', 'Patient', '"gender":"male","active":true,"birthDate":"1970"'],
  ['an odd name', 'Patient', '"name":[{"family":"constructor"},{"family":"__proto__"}]'],
  [
    'foreign references',
    'Patient',
    '"managingOrganization":{"reference":"https://elsewhere.example/fhir/Organization/1"}',
  ],
  ['versioned references', 'Patient', '"managingOrganization":{"reference":"Organization/1/_history/2"}'],
];
test('fhir-r4@json: what goes in comes out', async () => {
  const wrong: string[] = [];
  for (const [why, type, content] of ROUND_TRIPS) {
    const must = type === 'Observation' ? ',"status":"final","code":{"text":"x"}' : '';
    const made = await send('POST', `/${type}`, `{"resourceType":"${type}"${must},${content}}`);
    if (made.status !== 201) {
      wrong.push(`${why}: ${made.status} ${made.text}`);
      continue;
    }
    const whole = content.replace(/^"meta":\{/, '');
    for (const url of [
      `/${type}/${idOf(made)}`,
      `/${type}?_id=${idOf(made)}`,
      `/${type}/${idOf(made)}/_history`,
      `/${type}/${idOf(made)}?_elements=code,value,name,subject,contained,gender,active,birthDate,managingOrganization,meta`,
    ]) {
      const { text } = await send('GET', url);
      if (!text.includes(whole) && !(why === 'meta' && url.includes('_elements')))
        wrong.push(`${why} by ${url}: ${text}`);
    }
    const pretty = await send('GET', `/${type}/${idOf(made)}?_pretty=true`);
    if (!pretty.text.includes('\n  ')) wrong.push(`${why}: not pretty`);
    const dense = pretty.text.replace(/\n\s*/g, '').replaceAll('": ', '":');
    if (!dense.includes(whole)) wrong.push(`${why} pretty: ${dense}`);
  }
  assert.deepEqual(wrong, []);
});

test('fhir-r4@references: own absolute references are stored relative', async () => {
  const made = await send(
    'POST',
    '/Patient',
    patient({ managingOrganization: { reference: `${base}/Organization/1` } }),
  );
  assert.deepEqual(made.json.managingOrganization, { reference: 'Organization/1' });
});

test('fhir-r4@http-history: versions, paging, _since, _at', async () => {
  const id = idOf(await send('POST', '/Patient', patient()));
  const instants: string[] = [];
  for (let version = 2; version <= 5; version++) {
    await new Promise((resolve) => setTimeout(resolve, 3)); // instants of versions differ: what _since and _at are about
    const { json } = await send('PUT', `/Patient/${id}`, patient({ id, multipleBirthInteger: version }));
    instants.push(json.meta?.lastUpdated ?? '');
  }
  await send('DELETE', `/Patient/${id}`);
  const all = (await send('GET', `/Patient/${id}/_history`)).json;
  const walked: (string | undefined)[] = [];
  for (let url: string | undefined = `/Patient/${id}/_history?_count=2`; url !== undefined; ) {
    const { json }: { json: Json } = await send('GET', url);
    walked.push(...(json.entry ?? []).map(({ response }) => response?.etag));
    url = linkOf(json, 'next');
  }
  const since = (await send('GET', `/Patient/${id}/_history?_since=${instants[2]}`)).json;
  const at = (await send('GET', `/Patient/${id}/_history?_at=${instants[1]}`)).json;
  const [newest, ...others] = all.entry ?? [];
  facts([
    [
      'newest first',
      all.entry?.map(({ response }) => response?.etag),
      [6, 5, 4, 3, 2, 1].map((version) => `W/"${version}"`),
    ],
    ['methods', all.entry?.map(({ request }) => request?.method), ['DELETE', 'PUT', 'PUT', 'PUT', 'PUT', 'POST']],
    ['a deletion has no resource', [newest?.resource, newest?.response?.status.slice(0, 3)], [undefined, '204']],
    ['statuses', others.map(({ response }) => response?.status.slice(0, 3)), ['200', '200', '200', '200', '201']],
    ['total', all.total, 6],
    ['type', all.type, 'history'],
    ['self', linkOf(all, 'self'), `${base}/Patient/${id}/_history`],
    ['pages', walked, [6, 5, 4, 3, 2, 1].map((version) => `W/"${version}"`)],
    ['_since is inclusive', since.entry?.map(({ response }) => response?.etag), ['W/"6"', 'W/"5"', 'W/"4"']],
    ['_at', at.entry?.map(({ response }) => response?.etag), ['W/"3"']],
    ['_count=0 has no entries', (await send('GET', `/Patient/${id}/_history?_count=0`)).json.entry, undefined],
  ]);
});

const entry = (method: string, url: string, resource?: object, more: object = {}, fullUrl?: string) => ({
  ...(fullUrl === undefined ? {} : { fullUrl }),
  ...(resource === undefined ? {} : { resource }),
  request: { method, url, ...more },
});
const bundle = (type: string, ...list: object[]) => ({
  resourceType: 'Bundle',
  type,
  ...(list.length === 0 ? {} : { entry: list }),
});
const urn = (): string => `urn:uuid:${crypto.randomUUID()}`;
const statuses = ({ entry: list }: Json) => list?.map(({ response }: Entry) => response?.status.slice(0, 3));
const seen = (text: string, subject: string) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { text },
  subject: { reference: subject },
});

test('fhir-r4@http-transaction: links, order, conditionals', async () => {
  const value = fresh();
  const [who, what] = [urn(), urn()];
  const mine = patient({
    identifier: [{ system: 'urn:t', value }],
    text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml"><a href="${what}">x</a></div>` },
  });
  const ifNoneExist = { ifNoneExist: `identifier=urn:t|${value}` };
  const sent = bundle(
    'transaction',
    entry('GET', `Patient?identifier=urn:t|${value}`),
    entry('POST', 'Observation', seen('x', who), {}, what),
    entry('POST', 'Patient', mine, ifNoneExist, who),
    entry('POST', 'Observation', seen('y', `Patient?identifier=urn:t|${value}`)),
  );
  const first = await send('POST', '', sent);
  const patientUrl = first.json.entry?.[2]?.response?.location?.split('/').slice(-4, -2).join('/') ?? '';
  const observationUrl = first.json.entry?.[1]?.response?.location?.split('/').slice(-4, -2).join('/') ?? '';
  const stored = await send('GET', `/${patientUrl}`);
  const second = await send('POST', '/', sent);
  const deletesFirst = await send(
    'POST',
    '',
    bundle('transaction', entry('POST', 'Patient', mine, ifNoneExist), entry('DELETE', patientUrl)),
  );
  facts([
    ['200', [first.status, first.json.type], [200, 'transaction-response']],
    ['answers in the order of the entries; reads after writes', statuses(first.json), ['200', '201', '201', '201']],
    ['the read sees what is written', first.json.entry?.[0]?.resource?.total, 1],
    ['a reference by urn', (await send('GET', `/${observationUrl}`)).json.subject, { reference: patientUrl }],
    ['a link in the narrative', stored.text.includes(`href=\\"${observationUrl}\\"`), true],
    ['a conditional reference', (await send('GET', `/Observation?subject=${patientUrl}`)).json.total, 4],
    ['again: the match is kept', statuses(second.json), ['200', '201', '200', '201']],
    ['deletes come first: trules', [deletesFirst.status, statuses(deletesFirst.json)], [200, ['201', '204']]],
    [
      'etag and lastModified',
      [first.json.entry?.[1]?.response?.etag, /^\d{4}-.*Z$/.test(first.json.entry?.[1]?.response?.lastModified ?? '')],
      ['W/"1"', true],
    ],
  ]);
});

test('fhir-r4@http-transaction: all or nothing', async () => {
  const good = entry('POST', 'Basic', { resourceType: 'Basic', code: { text: 'rollback' } });
  await send('PUT', '/Patient/twice', patient({ id: 'twice' }));
  const same = fresh();
  for (const _ of [1, 2]) await send('POST', '/Patient', patient({ identifier: [{ value: same }] }));
  const rows: readonly (readonly [why: string, status: number, ...bad: object[]])[] = [
    ['an invalid resource', 400, entry('POST', 'Patient', patient({ nonsense: 1 }))],
    ['a read of nothing', 404, entry('GET', 'Patient/none')],
    [
      'the same resource twice',
      400,
      entry('PUT', 'Patient/twice', patient({ id: 'twice' })),
      entry('DELETE', 'Patient/twice'),
    ],
    ['a stale If-Match', 412, entry('PUT', 'Patient/twice', patient({ id: 'twice' }), { ifMatch: 'W/"9"' })],
    [
      'a conditional reference without match',
      412,
      entry('POST', 'Observation', seen('x', 'Patient?identifier=none-at-all')),
    ],
    ['a conditional reference with many', 412, entry('POST', 'Observation', seen('x', `Patient?identifier=${same}`))],
    ['a conditional create with many', 412, entry('POST', 'Patient', patient(), { ifNoneExist: `identifier=${same}` })],
    [
      'two conditional updates that create one resource: trules, identities overlap',
      400,
      entry('PUT', 'Patient?identifier=urn:new|1', patient()),
      entry('PUT', 'Patient?identifier=urn:new|1', patient()),
    ],
    [
      'a conditional create and a conditional update of one resource',
      400,
      entry('PUT', 'Patient?identifier=urn:new|1', patient()),
      entry('POST', 'Patient', patient(), { ifNoneExist: 'identifier=urn:new|1' }),
    ],
    ['an unknown type', 404, entry('POST', 'Nonsense', { resourceType: 'Nonsense' })],
    ['an operation', 404, entry('POST', 'Patient/$no-such', patient())],
    ['no request', 400, { resource: patient() }],
    ['a bad search', 400, entry('GET', 'Patient?nonsense=1')],
    [
      'one fullUrl twice',
      400,
      entry('POST', 'Patient', patient(), {}, 'urn:uuid:0b6a5d2e-26c9-4b2a-9a4c-000000000001'),
      entry('POST', 'Patient', patient(), {}, 'urn:uuid:0b6a5d2e-26c9-4b2a-9a4c-000000000001'),
    ],
    ['a transaction inside', 400, entry('POST', '', bundle('transaction'))],
  ];
  const wrong: string[] = [];
  for (const [why, status, ...bad] of rows) {
    const answer = await send('POST', '', bundle('transaction', good, ...bad));
    if (answer.status !== status || answer.json.resourceType !== 'OperationOutcome')
      wrong.push(`${why}: ${answer.status} ${answer.text.slice(0, 300)}`);
    else if (!answer.text.includes('Bundle.entry[')) wrong.push(`${why}: names no entry: ${answer.text.slice(0, 300)}`);
  }
  facts([
    ['refusals', wrong, []],
    ['nothing is stored', (await send('GET', '/Basic?_summary=count')).json.total, 0],
    [
      'an empty one is fine',
      [(await send('POST', '', bundle('transaction'))).status, (await send('POST', '', bundle('batch'))).status],
      [200, 200],
    ],
    ['another type of Bundle', (await send('POST', '', bundle('collection'))).status, 400],
  ]);
});

test('fhir-r4@http-batch: entries stand alone', async () => {
  const answer = await send(
    'POST',
    '',
    bundle(
      'batch',
      entry('POST', 'Patient', patient()),
      entry('POST', 'Patient', patient({ nonsense: 1 })),
      entry('GET', 'Patient/none'),
      entry('GET', 'metadata'),
      entry('PUT', 'Patient/in-batch', patient({ id: 'in-batch' })),
      entry('DELETE', 'Patient/none'),
      entry('GET', 'Patient?nonsense=1'),
      entry('GET', '/Patient?_summary=count'),
      entry('GET', `${base}/Patient?_summary=count`),
      entry('GET', 'https://elsewhere.example/fhir/Patient'),
      { resource: patient() },
      entry('POST', 'Observation', seen('x', 'urn:uuid:0b6a5d2e-26c9-4b2a-9a4c-000000000001')),
    ),
  );
  facts([
    ['200', [answer.status, answer.json.type], [200, 'batch-response']],
    [
      'each its own',
      statuses(answer.json),
      ['201', '400', '404', '200', '201', '204', '400', '200', '200', '400', '400', '201'],
    ],
    ['refusals have an outcome', answer.json.entry?.[1]?.response?.outcome?.resourceType, 'OperationOutcome'],
  ]);
});
