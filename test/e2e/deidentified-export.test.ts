// $deidentified-export by the server itself: the thread of a job, its rules and its key. 45 CFR 164.514; docs/privacy.md#de-identified-export
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { limit } from '../test-store.ts';
import { newFolder, removeFolder, start } from './server.ts';

const TYPE = { 'content-type': 'application/fhir+json' };
const ASYNC = { prefer: 'respond-async', accept: 'application/fhir+json' };

interface Manifest {
  readonly extension: object;
  readonly output: readonly { readonly type: string; readonly url: string }[];
}

async function finished(status: string): Promise<Manifest> {
  for (;;) {
    const response = await fetch(status);
    if (response.status === 200) return (await response.json()) as Manifest;
    assert.equal(response.status, 202, await response.text());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('privacy@deidentified-e2e: files hold new ids and no names; each job has its own, and leaves no key', {
  timeout: limit(120_000),
}, async () => {
  const folder = newFolder();
  const server = await start({}, folder);
  try {
    const put = async (resource: {
      readonly resourceType: string;
      readonly id: string;
      readonly [name: string]: unknown;
    }) => {
      const url = `${server.url}/fhir/${resource.resourceType}/${resource.id}`;
      const { status } = await fetch(url, { method: 'PUT', headers: TYPE, body: JSON.stringify(resource) });
      assert.equal(status, 201);
    };
    await put({ resourceType: 'Patient', id: 'zq7', name: [{ family: 'Zq7Garcia' }], birthDate: '1980-05-17' });
    await put({
      ...{ resourceType: 'Observation', id: 'zq7-o', status: 'final', subject: { reference: 'Patient/zq7' } },
      code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }], text: 'Zq7Garcia' },
    });
    const seen = new Set<string>();
    for (const mode of ['safe-harbor', 'safe-harbor']) {
      const kick = await fetch(`${server.url}/fhir/$deidentified-export?mode=${mode}`, { headers: ASYNC });
      assert.equal(kick.status, 202, await kick.text());
      const { output, extension } = await finished(kick.headers.get('content-location') ?? '');
      assert.deepEqual(extension, { deidentification: mode });
      assert.deepEqual(
        output.map(({ type }) => type),
        ['Observation', 'Patient'],
      );
      const [observation = '', patient = ''] = await Promise.all(
        output.map(async ({ url }) => (await fetch(url)).text()),
      );
      assert.doesNotMatch(observation + patient, /zq7|garcia|1980-05/i);
      const { id } = JSON.parse(patient) as { id: string };
      assert.ok(observation.includes(`"reference":"Patient/${id}"`), 'the new id');
      assert.ok(!seen.has(id));
      seen.add(id);
    }
    assert.equal(seen.size, 2);
    const files = readdirSync(join(folder, 'export'), { recursive: true }).map(String);
    assert.ok(
      files.some((name) => name.endsWith('Patient-1.ndjson')),
      'control',
    );
    assert.deepEqual(
      files.filter((name) => name.includes('key')),
      [],
    );
    const events = await fetch(`${server.url}/fhir/AuditEvent?_count=50`);
    assert.match(await events.text(), /"name":"\$deidentified-export"/);
  } finally {
    await server.stop();
    removeFolder(folder);
  }
});
