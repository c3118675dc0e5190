// Nothing acknowledged is ever lost: kill -9 while bundles load, restart, and every acknowledged transaction and its AuditEvents are there,
// no half transaction, the hash chain whole. CRASH_ROUNDS (default 3) rounds over the same data folder.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { limit } from '../test-store.ts';
import { newFolder, removeFolder, start } from './server.ts';

const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 3);
const FILES = globSync('test/data/synthea/*.json.gz').toSorted();
const JSON_TYPE = { 'content-type': 'application/fhir+json' };

/** A transaction of `size` Observations of one Patient of its own, told apart by a tag. */
function small(tag: string, size: number): { readonly body: string; readonly size: number } {
  const subject = `urn:uuid:00000000-0000-4000-8000-${tag.padStart(12, '0')}`;
  const observations = Array.from({ length: size - 1 }, (_, index) => ({
    resource: {
      resourceType: 'Observation',
      status: 'final',
      identifier: [{ system: 'urn:crash', value: `${tag}-${index}` }],
      code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
      subject: { reference: subject },
      valueQuantity: { value: 60 + index, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
    },
    request: { method: 'POST', url: 'Observation' },
  }));
  const patient = {
    fullUrl: subject,
    resource: { resourceType: 'Patient', identifier: [{ system: 'urn:crash', value: tag }] },
    request: { method: 'POST', url: 'Patient' },
  };
  return {
    body: JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry: [patient, ...observations] }),
    size,
  };
}

const total = async (url: string): Promise<number> => ((await (await fetch(url)).json()) as { total: number }).total;

test(`kill -9 during a load of bundles, ${ROUNDS} rounds`, { timeout: limit(120_000 + ROUNDS * 30_000) }, async () => {
  const folder = newFolder();
  const acknowledged = new Map<string, { readonly locations: readonly string[]; readonly size: number }>();
  const sent = new Map<string, number>();
  let counter = 0;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const server = await start({}, folder);
      let dead = false;
      const loader = async (): Promise<void> => {
        while (!dead) {
          const tag = String(++counter);
          const { body, size } = small(tag, 20);
          sent.set(tag, size);
          try {
            const response = await fetch(`${server.url}/fhir`, { method: 'POST', headers: JSON_TYPE, body });
            const bundle = (await response.json()) as { entry: { response: { location: string } }[] };
            if (response.status === 200)
              acknowledged.set(tag, { locations: bundle.entry.map(({ response: { location } }) => location), size });
          } catch {
            return; // the server was killed
          }
        }
      };
      const big = fetch(`${server.url}/fhir`, {
        method: 'POST',
        headers: JSON_TYPE,
        body: gunzipSync(readFileSync(FILES[round % FILES.length] ?? '')),
      }).catch(() => undefined);
      const before = acknowledged.size;
      const loaders = Array.from({ length: 6 }, loader);
      // However slow the machine is: some are acknowledged before the kill, and some are under way.
      while (acknowledged.size === before) await new Promise((resolve) => setTimeout(resolve, 10));
      await new Promise((resolve) => setTimeout(resolve, 200 + ((round * 389) % 900)));
      await server.stop('SIGKILL');
      dead = true;
      await Promise.all([...loaders, big]);
    }
    assert.ok(acknowledged.size > 0, 'control: something was acknowledged before a kill');

    const server = await start({}, folder);
    for (const [tag, { locations, size }] of acknowledged) {
      assert.equal(locations.length, size);
      const first = locations[0]?.replace(/.*\/fhir\//, '') ?? '';
      assert.equal((await fetch(`${server.url}/fhir/${first}`)).status, 200, `acknowledged ${first} is held`);
      const patient = first.split('/')[1];
      assert.equal(
        await total(`${server.url}/fhir/AuditEvent?patient=${patient}&subtype=create&_total=accurate&_count=1`),
        size,
        `transaction ${tag}: an AuditEvent for each entry`,
      );
    }
    for (const [tag, size] of sent) {
      const patients = await total(`${server.url}/fhir/Patient?identifier=urn:crash%7C${tag}&_total=accurate`);
      const observations = await total(
        `${server.url}/fhir/Observation?patient.identifier=urn:crash%7C${tag}&_total=accurate&_count=1`,
      );
      assert.ok(patients <= 1, `transaction ${tag} is not there twice`);
      assert.equal(observations, patients === 0 ? 0 : size - 1, `transaction ${tag} is whole or absent`);
      if (acknowledged.has(tag)) assert.equal(patients, 1, `acknowledged transaction ${tag} is held`);
    }
    assert.equal(await server.stop(), 0);
  } finally {
    removeFolder(folder);
  }
});
