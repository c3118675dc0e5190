// XML against the running server, both of its threads: http.html#mime-type, content codings.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newFolder, type Running, removeFolder, start } from './server.ts';

let server: Running;
before(async () => {
  server = await start({}, newFolder());
});
after(async () => {
  await server.stop();
  removeFolder(server.folder);
});

const XML = 'application/fhir+xml';
const ask = async (method: string, path: string, body?: string) => {
  const headers = { accept: XML, 'accept-encoding': 'gzip', ...(body === undefined ? {} : { 'content-type': XML }) };
  const response = await fetch(`${server.url}/fhir${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
};
const patient = (id: string, text: string): string =>
  `<Patient xmlns="http://hl7.org/fhir"><id value="${id}"/><name><text value="${text}"/></name></Patient>`;
const entry = (id: string, text: string): string =>
  `<entry><resource>${patient(id, text)}</resource><request><method value="PUT"/><url value="Patient/${id}"/></request></entry>`;

test('a resource goes in and comes out as XML', async () => {
  const created = await ask('PUT', '/Patient/a', patient('a', 'x &lt; \u00e9'));
  const read = await ask('GET', '/Patient/a');
  assert.deepEqual([created.status, read.status], [201, 200]);
  assert.equal(read.headers.get('content-type'), `${XML}; charset=utf-8`);
  assert.match(read.text, /<name><text value="x &lt; \u00e9"\/><\/name><\/Patient>$/);
});

test('batch, transaction, a large body, search, history and capabilities in XML, from the other thread', async () => {
  for (const type of ['batch', 'transaction']) {
    const bundle = `<Bundle xmlns="http://hl7.org/fhir"><type value="${type}"/>${entry(`${type}-1`, 'x')}${entry(`${type}-2`, 'y')}</Bundle>`;
    const answer = await ask('POST', '', bundle);
    assert.deepEqual(
      [answer.status, answer.text.match(/<status value="201 Created"\/>/g)?.length],
      [200, 2],
      answer.text,
    );
  }
  assert.equal((await ask('PUT', '/Patient/large', patient('large', 'x'.repeat(100_000)))).status, 201);
  const search = await ask('GET', '/Patient?_sort=_id');
  assert.match(search.text, /<Bundle .*<resource><Patient>/);
  assert.equal(search.headers.get('content-encoding'), 'gzip');
  assert.match((await ask('GET', '/_history')).text, /<type value="history"\/>/);
  assert.match((await ask('GET', '/metadata')).text, /<format value="application\/fhir\+xml"\/>/);
});

test('an XML bomb is refused at once, and the server lives', async () => {
  const bomb = `<!DOCTYPE a [<!ENTITY a "${'a'.repeat(1000)}"><!ENTITY b "${'&a;'.repeat(1000)}">]>${patient('b', '&b;')}`;
  const refused = await ask('PUT', '/Patient/b', bomb);
  assert.deepEqual([refused.status, /<OperationOutcome /.test(refused.text)], [400, true]);
  assert.equal((await ask('GET', '/Patient/a')).status, 200);
});
