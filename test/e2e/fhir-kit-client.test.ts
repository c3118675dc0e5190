// A client nobody here wrote drives create, read, search, paging, history, update, delete, batch and transaction.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client } from 'fhir-kit-client';
import { newFolder, type Running, removeFolder, start } from './server.ts';

let server: Running;
let client: Client;
before(async () => {
  server = await start({}, newFolder());
  client = new Client({ baseUrl: `${server.url}/fhir` });
});
after(async () => {
  await server.stop();
  removeFolder(server.folder);
});

type Element = Record<string, never>;
interface Found {
  readonly id: string;
  readonly meta: { readonly versionId: string };
  readonly total?: number;
  readonly entry?: readonly {
    readonly resource: { readonly id: string; readonly resourceType: string };
    readonly response?: { readonly status: string };
  }[];
}
const as = (value: unknown): Found => value as Found;
const patient = (family: string) => ({ resourceType: 'Patient', name: [{ family }] });

test('capabilities', async () => {
  const statement = (await client.capabilityStatement()) as unknown as { fhirVersion: string };
  assert.equal(statement.fhirVersion, '4.0.1');
});

test('create, read, vread, update, history, delete', async () => {
  const created = as(await client.create({ resourceType: 'Patient', body: patient('Kit') }));
  assert.equal(as(await client.read({ resourceType: 'Patient', id: created.id })).id, created.id);
  const updated = as(
    await client.update({
      resourceType: 'Patient',
      id: created.id,
      body: { ...patient('Kit'), id: created.id, active: true },
    }),
  );
  assert.equal(updated.meta.versionId, '2');
  assert.equal(as(await client.vread({ resourceType: 'Patient', id: created.id, version: '1' })).meta.versionId, '1');
  assert.equal(as(await client.history({ resourceType: 'Patient', id: created.id })).entry?.length, 2);
  await client.delete({ resourceType: 'Patient', id: created.id });
  await assert.rejects(
    client.read({ resourceType: 'Patient', id: created.id }),
    (error: { response: { status: number } }) => error.response.status === 410,
  );
});

test('search by GET and by POST, paging to the end', async () => {
  for (let index = 0; index < 23; index++)
    await client.create({ resourceType: 'Patient', body: patient(`Pager${index}`) });
  let page = as(
    await client.search({
      resourceType: 'Patient',
      searchParams: { family: 'Pager', _count: 5 } as unknown as Element,
    }),
  );
  const seen: string[] = [];
  for (let pages = 0; pages < 10; pages++) {
    seen.push(...(page.entry ?? []).map(({ resource }) => resource.id));
    const next = (await client.nextPage({ bundle: page as never })) as unknown;
    if (next === undefined) break;
    page = as(next);
  }
  assert.equal(seen.length, 23);
  assert.equal(new Set(seen).size, 23, 'each exactly once');
  const posted = as(
    await client.search({
      resourceType: 'Patient',
      searchParams: { family: 'Pager1', _total: 'accurate' } as unknown as Element,
      options: { postSearch: true },
    } as never),
  );
  assert.equal(posted.total, 11, 'Pager1 and Pager10..19');
});

test('transaction and batch', async () => {
  const urn = 'urn:uuid:7c9e6679-7425-40de-944b-e07fc1f90ae7';
  const entry = [
    { fullUrl: urn, resource: patient('Transaction'), request: { method: 'POST', url: 'Patient' } },
    {
      resource: { resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: { reference: urn } },
      request: { method: 'POST', url: 'Observation' },
    },
  ];
  const done = as(await client.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } as never }));
  assert.deepEqual(
    done.entry?.map(({ response }) => response?.status.slice(0, 3)),
    ['201', '201'],
  );
  const mixed = as(
    await client.batch({
      body: {
        resourceType: 'Bundle',
        type: 'batch',
        entry: [
          { request: { method: 'GET', url: 'Patient?family=Transaction' } },
          { request: { method: 'GET', url: 'Patient/none' } },
        ],
      } as never,
    }),
  );
  assert.deepEqual(
    mixed.entry?.map(({ response }) => response?.status.slice(0, 3)),
    ['200', '404'],
  );
});
