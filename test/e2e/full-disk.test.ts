// docs/operations.md#full-disk, through the real server: DATABASE_LIMIT_MB is met as a full disk is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embeddedOnly } from '../test-store.ts';
import { sender } from './client.ts';
import { newFolder, removeFolder, start } from './server.ts';

const bundle = (patient: string) => ({
  resourceType: 'Bundle',
  type: 'transaction',
  entry: [
    { resource: { resourceType: 'Patient', id: patient }, request: { method: 'PUT', url: `Patient/${patient}` } },
    ...Array.from({ length: 200 }, (_, index) => ({
      resource: {
        resourceType: 'Observation',
        status: 'final',
        code: { text: `measured ${index}` },
        subject: { reference: `Patient/${patient}` },
        note: [{ text: 'x'.repeat(4000) }],
      },
      request: { method: 'POST', url: 'Observation' },
    })),
  ],
});

test('reliability@reserve-e2e: writes are 503 with a reason, reads go on and are recorded, a purge ends it', {
  skip: embeddedOnly,
  timeout: 240_000,
}, async () => {
  const folder = newFolder();
  try {
    const server = await start({ DATABASE_LIMIT_MB: '6', RESERVE_MB: '8' }, folder);
    const send = sender(`${server.url}/fhir`);
    const stored: string[] = [];
    for (;;) {
      const id = `p${stored.length}`;
      const { status, json, headers } = await send('POST', '', bundle(id));
      if (status === 200) {
        assert.ok(stored.push(id) < 20, 'control: the limit is met');
        continue;
      }
      assert.equal(status, 503);
      assert.deepEqual(
        json.issue?.map(({ code }) => code),
        ['no-store'],
      );
      assert.match(json.issue?.[0]?.diagnostics ?? '', /disk of the server is full.*Reads go on/);
      assert.equal(headers.get('retry-after'), '30');
      break;
    }
    assert.ok(stored.length > 0, 'control: something was stored before');
    const small = await send('PUT', '/Patient/small', { resourceType: 'Patient', id: 'small' });
    assert.equal(small.status, 503, 'also what is small');
    assert.equal((await send('GET', '/Patient/p0')).status, 200);
    assert.equal((await send('GET', '/Observation?subject=Patient/p0&_count=5')).json.entry?.length, 5);
    const events = await send('GET', '/AuditEvent?entity=Patient/small&_total=accurate');
    assert.equal(events.json.total, 1, 'the refusal is recorded');
    const read = await send('GET', '/AuditEvent?patient=p0&subtype=read&_total=accurate');
    assert.equal(read.json.total, 1, 'the read too');
    const health = await (await fetch(`${server.url}/health/ready`)).json();
    const { status, checks } = health as {
      status: string;
      checks: { name: string; status: string; reason?: string }[];
    };
    assert.equal(status, 'warn', 'ready, for reads');
    assert.deepEqual(
      checks.find(({ name }) => name === 'disk'),
      { name: 'disk', status: 'warn', reason: 'full' },
    );
    assert.equal(checks.find(({ name }) => name === 'durability')?.status, 'pass');
    const metrics = async () => (await fetch(`${server.url}/metrics`)).text();
    assert.match(await metrics(), /^firewatch_disk_full 1$/m);

    for (const id of stored) {
      const begun = await send('POST', `/Patient/${id}/$purge`, undefined, { prefer: 'respond-async' });
      assert.equal(begun.status, 202, begun.text);
      const at = begun.headers.get('content-location') ?? '';
      for (let code = 202; code === 202; await new Promise((resolve) => setTimeout(resolve, 50)))
        code = (await send('GET', at)).status;
    }
    for (let status = 503; status === 503; await new Promise((resolve) => setTimeout(resolve, 50)))
      ({ status } = await send('PUT', '/Patient/small', { resourceType: 'Patient', id: 'small' }));
    assert.equal((await send('GET', '/Patient/small')).status, 200, 'writes are taken again');
    assert.match(await metrics(), /^firewatch_disk_full 0$/m);
    assert.equal(await server.stop(), 0);
  } finally {
    removeFolder(folder);
  }
});
