// Attacks on what carries a request, over HTTP and raw sockets on a real server (docs/threat-model.md; OWASP API 2023: 2, 4, 8): where a token may stand,
// headers of proxies and of other methods, cross-origin pages, bodies and queries that are meant to cost, and links that belong to somebody else.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { APP, type Ask, AttackWorld, CANARY, DOCTOR, ENGINE, FOREIGN, type Token } from './attack-world.ts';

let w: AttackWorld;
before(async () => {
  w = await AttackWorld.open();
});
after(async () => assert.equal(await w.close(), 0, 'the server lived through all of it'));

/** One request as it is written, on a connection of its own; what comes back until the server closes it. */
async function raw(lines: readonly string[], body = ''): Promise<string> {
  const { port } = new URL(w.server.url);
  const socket = connect(Number(port), '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.write(`${lines.join('\r\n')}\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n${body}`);
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}
const statusOf = (text: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);

test('attack@token a token counts in one Authorization header, and nowhere else', async () => {
  const bearer = await w.bearer(APP);
  const token = bearer.slice('Bearer '.length);
  const get = 'GET /fhir/Patient/mine HTTP/1.1';
  const rows: readonly [why: string, lines: readonly string[], status: number][] = [
    ['control', [get, `Authorization: ${bearer}`], 200],
    ['the scheme in lower case', [get, `Authorization: bearer ${token}`], 200],
    ['the name in another case', [get, `AUTHORIZATION: ${bearer}`], 200],
    ['twice, the same', [get, `Authorization: ${bearer}`, `Authorization: ${bearer}`], 400],
    ['twice, the second of somebody else', [get, `Authorization: ${bearer}`, 'Authorization: Bearer x'], 400],
    ['two in one', [get, `Authorization: ${bearer}, ${bearer}`], 401],
    ['in the query', [`GET /fhir/Patient/mine?access_token=${token.slice(0, 3000)} HTTP/1.1`], 401],
    ['in a cookie', [get, `Cookie: access_token=${token}; Authorization=${bearer}`], 401],
    ['in a header of a proxy', [get, `X-Forwarded-Authorization: ${bearer}`, `Proxy-Authorization: ${bearer}`], 401],
    ['with a character more', [get, `Authorization: ${bearer}A`], 401],
    ['without its signature', [get, `Authorization: Bearer ${token.replace(/[^.]+$/, '')}`], 401],
    ['folded over two lines', [get, `Authorization: Bearer\r\n ${token}`], 400],
    ['with another scheme', [get, `Authorization: Token ${token}`], 401],
  ];
  for (const [why, lines, status] of rows) assert.equal(statusOf(await raw(lines)), status, why);
});

test('attack@smuggle requests in requests are refused by the parser', async () => {
  const post = ['POST /fhir/Patient/_search HTTP/1.1', `Authorization: ${await w.bearer(APP)}`];
  const inner = `0\r\n\r\nGET /fhir/Patient/foreign HTTP/1.1\r\nHost: x\r\n\r\n`;
  const rows: readonly [why: string, lines: readonly string[], body: string][] = [
    ['both lengths', [...post, 'Content-Length: 6', 'Transfer-Encoding: chunked'], inner],
    ['two lengths', [...post, 'Content-Length: 0', 'Content-Length: 40'], inner],
    ['an unknown coding', [...post, 'Transfer-Encoding: xchunked'], inner],
    ['a space before the colon', [...post, 'Content-Length : 5'], inner],
    ['a bad length of a chunk', [...post, 'Transfer-Encoding: chunked'], `z\r\n${inner}`],
  ];
  for (const [why, lines, body] of rows) {
    const text = await raw(lines, body);
    assert.equal(statusOf(text), 400, `${why}: ${text}`);
    assert.equal(text.split('HTTP/1.1 ').length, 2, `${why}: one answer`);
  }
});

const ignored: readonly Readonly<Record<string, string>>[] = [
  { 'x-http-method-override': 'DELETE' },
  { 'x-method-override': 'PUT' },
  { 'x-http-method': 'DELETE' },
  { 'x-original-url': '/fhir/Patient/foreign' },
  { 'x-rewrite-url': '/fhir/Patient/foreign' },
  { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' },
  { forwarded: 'for=127.0.0.1;host=evil.example' },
  { 'x-user': 'root', 'x-roles': 'integration-engine', 'x-patient': FOREIGN },
  { origin: 'https://evil.example' },
  { origin: 'null' },
];
for (const headers of ignored) {
  test(`attack@header ${Object.keys(headers).join(', ')} ${headers.origin ?? ''}: changes nothing`, async () => {
    const plain = await w.ask(APP, '/Patient/mine');
    const found = await w.ask(APP, '/Patient/mine', { headers });
    assert.equal(found.text, plain.text);
    assert.equal(found.headers.get('access-control-allow-origin'), null);
    assert.equal(found.headers.get('access-control-allow-credentials'), null);
    const self = await w.ask(APP, '/Observation?_count=1', { headers });
    assert.ok(!self.text.includes('evil.example'), 'links are of the configured base');
    assert.equal((await w.ask(APP, '/Patient/foreign', { headers })).status, 404);
  });
}

test('attack@header a preflight of a page that nobody registered is told nothing', async () => {
  const headers = {
    origin: 'https://evil.example',
    'access-control-request-method': 'GET',
    'access-control-request-headers': 'authorization',
  };
  const found = await w.ask(undefined, '/Patient/mine', { method: 'OPTIONS', headers });
  assert.ok(found.status >= 400);
  assert.deepEqual(
    [...found.headers].filter(([name]) => name.startsWith('access-control')),
    [],
  );
});

const form = (body: string): Ask => ({
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body,
});
const observation = (more: string) =>
  `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/mine"}${more}}`;
const post = (body: string, type = 'application/fhir+json'): Ask => ({
  method: 'POST',
  headers: { 'content-type': type },
  body,
});
const fhirPath = (path: string): Ask => ({
  ...{ method: 'PATCH' },
  body: {
    resourceType: 'Parameters',
    parameter: [
      {
        name: 'operation',
        part: [
          { name: 'type', valueCode: 'replace' },
          { name: 'path', valueString: path },
          { name: 'value', valueString: 'x' },
        ],
      },
    ],
  },
});
const costly: readonly [name: string, path: string, ask: Ask, status: number][] = [
  [
    'ten thousand parameters',
    '/Observation/_search',
    form(Array.from({ length: 10_000 }, (_, index) => `code=${index}`).join('&')),
    400,
  ],
  [
    'ten thousand alternatives',
    '/Observation/_search',
    form(`code=${Array.from({ length: 10_000 }, (_, index) => index).join(',')}`),
    400,
  ],
  ['ten thousand elements', `/Observation?_elements=${Array.from({ length: 800 }, () => 'status').join(',')}`, {}, 400],
  ['a deep _filter', '/Observation/_search', form(`_filter=${'('.repeat(5000)}code eq hr${')'.repeat(5000)}`), 400],
  [
    'a _filter of denials',
    '/Observation/_search',
    form(`_filter=${'not ('.repeat(2000)}code eq hr${')'.repeat(2000)}`),
    400,
  ],
  ['a _filter of backslashes', '/Observation/_search', form(`_filter=code eq "${'\\'.repeat(50_000)}`), 400],
  ['a _filter of blanks', '/Observation/_search', form(`_filter=code eq${' '.repeat(50_000)}!`), 200],
  ['a date of digits', '/Observation/_search', form(`date=${'1'.repeat(50_000)}-`), 400],
  ['a quantity of digits', '/Observation/_search', form(`value-quantity=${'1'.repeat(50_000)}e`), 400],
  ['a string of wildcards', '/Patient/_search', form(`name:contains=${'%25_'.repeat(5000)}`), 200],
  [
    'a chain of chains',
    `/Observation?${'subject:Patient.link:Patient.'.replace('subject', 'patient')}${'link:Patient.'.repeat(30)}name=x`,
    {},
    400,
  ],
  [
    'reverse chains in reverse chains',
    `/Patient?${'_has:Observation:patient:_has:Provenance:target:'.repeat(8)}_id=x`,
    {},
    400,
  ],
  ['an id of 7,000 characters', `/Patient/${'a'.repeat(7000)}`, {}, 404],
  ['a URL of 9,000 characters', `/Patient/${'a'.repeat(9000)}`, {}, 414],
  ['a path of slashes', `/${'/'.repeat(4000)}`, {}, 404],
  ['a path of dots', `/Patient/${'..;/'.repeat(1000)}`, {}, 404],
  ['a FHIRPath of 3,000 steps', '/Observation/mine-1', fhirPath(`Observation${'.where(true)'.repeat(3000)}`), 400],
  [
    'a FHIRPath that matches for ever',
    '/Observation/mine-1',
    fhirPath("Observation.where(status.matches('(a+)+$'))"),
    400,
  ],
  ['a FHIRPath of brackets', '/Observation/mine-1', fhirPath('('.repeat(1500)), 400],
  ['a FHIRPath to the prototype', '/Observation/mine-1', fhirPath('Observation.__proto__.x'), 422],
  [
    'a patch to the prototype',
    '/Observation/mine-1',
    {
      method: 'PATCH',
      headers: { 'content-type': 'application/json-patch+json' },
      body: '[{"op":"add","path":"/constructor/prototype/x","value":1}]',
    },
    400,
  ],
  ['nesting', '/Observation', post(observation(`,"extension":${'['.repeat(100_000)}${']'.repeat(100_000)}`)), 400],
  ['a name twice', '/Observation', post(observation(`,"subject":{"reference":"Patient/${FOREIGN}"}`)), 400],
  [
    'the same name by another spelling',
    '/Observation',
    post(observation(`,"sub\\u006aect":{"reference":"Patient/${FOREIGN}"}`)),
    400,
  ],
  ['a prototype', '/Observation', post(observation(',"__proto__":{"x":1}')), 400],
  ['a constructor', '/Observation', post(observation(',"constructor":{"prototype":{"x":1}}')), 400],
  [
    'a number of 10,000 digits',
    '/Observation',
    post(observation(`,"valueQuantity":{"value":${'9'.repeat(10_000)}}`)),
    400,
  ],
  ['text as a resource', '/Observation', post(observation(''), 'text/plain'), 415],
  ['a form as a resource', '/Observation', post('resourceType=Observation', 'application/x-www-form-urlencoded'), 415],
  ['JSON as XML', '/Observation', post(observation(''), 'application/fhir+xml'), 400],
  ['another charset', '/Observation', post(observation(''), 'application/fhir+json; charset=utf-7'), 415],
  [
    'an entity in XML',
    '/Observation',
    post(
      '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Observation xmlns="http://hl7.org/fhir"><id value="&x;"/></Observation>',
      'application/fhir+xml',
    ),
    400,
  ],
  ['raw content of a file', '/Binary/mine-file', { headers: { accept: 'text/plain' } }, 406],
  ['a page', '/Patient/mine?_format=html', {}, 406],
  ['a method of WebDAV', '/Patient/mine', { method: 'PROPFIND' }, 405],
  ['a method that is none of HTTP', '/Patient/mine', { method: 'PURGE' }, 405],
];
for (const [name, path, ask, status] of costly) {
  test(`attack@cost ${name}: ${status}, and the next is answered`, async () => {
    const found = await w.ask(APP, path, ask);
    assert.equal(found.status, status, found.text.slice(0, 500));
    assert.ok(!/node_modules|\.ts:\d|at async/.test(found.text), 'no stack');
    assert.equal((await w.ask(APP, '/Patient/mine')).status, 200);
  });
}

test('attack@cost bodies that grow: refused by ratio and by size, for each coding, before they are read whole', async () => {
  for (const [coding, body] of [
    ['gzip', gzipSync(Buffer.alloc(60e6, 32))],
    ['gzip, gzip', gzipSync(gzipSync(Buffer.alloc(60e6, 32)))],
    ['br', Buffer.from([0])],
    ['x-own', Buffer.alloc(10)],
  ] as const) {
    const headers = {
      authorization: await w.bearer(APP),
      'content-type': 'application/fhir+json',
      'content-encoding': coding,
    };
    const { status } = await fetch(`${w.server.url}/fhir/Observation`, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
    });
    assert.ok([400, 413, 415].includes(status), `${coding} ${status}`);
  }
});

test('attack@links jobs, their files, events and handles of others are answered like those that never were', async () => {
  const later = { headers: { prefer: 'respond-async' } };
  const own = await w.ask(APP, '/Patient/mine/$everything', later);
  assert.equal(own.status, 202, own.text);
  const exported = await w.ask(ENGINE, '/Patient/$export', {
    headers: { prefer: 'respond-async', accept: 'application/fhir+json' },
  });
  assert.equal(exported.status, 202, exported.text);
  const places = [own, exported].map(({ headers }) => new URL(headers.get('content-location') ?? '').pathname);
  const others: readonly Token[] = [
    { ...APP, sub: 'another' },
    { ...APP, patient: FOREIGN },
    { ...APP, scope: 'patient/*.rs' },
    DOCTOR,
    { ...DOCTOR, sub: 'doctor-2' },
  ];
  for (const place of places) {
    for (const other of others) {
      for (const method of ['GET', 'HEAD', 'DELETE']) {
        const ask = async (path: string) => {
          const found = await fetch(w.server.url + path, { method, headers: { authorization: await w.bearer(other) } });
          return `${found.status} ${(await found.text()).replaceAll(/[0-9a-f-]{36}/g, 'id')}`;
        };
        const never = place.replace(/[^/]+$/, (id) => id.replaceAll(/[0-9a-f]/g, 'f'));
        const found = await ask(place);
        assert.equal(found, await ask(never), `${method} ${place}`);
        assert.match(found, /^404/);
      }
      const file = await fetch(`${w.server.url}${place}/Patient.1.ndjson`, {
        headers: { authorization: await w.bearer(other) },
      });
      assert.equal(file.status, 404);
    }
    assert.equal((await fetch(w.server.url + place)).status, 401, 'nobody');
  }
  for (const path of ['/cds-basis/guess', `/cds-basis/${'A'.repeat(43)}`]) {
    const status = async (token: Token) =>
      (await fetch(w.server.url + path, { headers: { authorization: await w.bearer(token) } })).status;
    assert.ok((await status(APP)) >= 400 && (await status(DOCTOR)) >= 400, path);
  }
  for (const path of [
    '/assets/../package.json',
    '/assets/%2e%2e/package.json',
    '/assets/..%2fpackage.json',
    '/models/..%2f..%2fpackage.json',
    '/models/%2e%2e%2fpackage.json',
  ]) {
    const text = await raw([`GET ${path} HTTP/1.1`, `Authorization: ${await w.bearer(DOCTOR)}`]);
    assert.ok(statusOf(text) >= 400 && !text.includes('better-sqlite3'), path);
  }
  assert.ok(!w.server.output().includes(CANARY), 'the log says nothing of patients');
});
