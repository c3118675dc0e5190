// docs/monitoring.md against the real process: events within its own thread, kill -9 at any moment, a flood of one device.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limit, notOnStandIn } from '../test-store.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const LIMIT = { timeout: limit(120_000) };
const JSON_TYPE = { 'content-type': 'application/fhir+json' };
const LOINC = 'http://loinc.org';
const UCUM = 'http://unitsofmeasure.org';
const ON = { MONITORING: 'on', MONITORING_INTERVAL_MS: '100' } as const;

const ask = async (server: Running, path: string) => (await fetch(`${server.url}/fhir/${path}`)).json();
async function put(server: Running, resource: { readonly resourceType: string; readonly id: string }): Promise<number> {
  const url = `${server.url}/fhir/${resource.resourceType}/${resource.id}`;
  const { status } = await fetch(url, { method: 'PUT', headers: JSON_TYPE, body: JSON.stringify(resource) });
  return status;
}
const vital = (patient: string, id: string, code: string, value: number, unit: string) => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: { coding: [{ system: LOINC, code }] },
  subject: { reference: `Patient/${patient}` },
  effectiveDateTime: new Date().toISOString(),
  valueQuantity: { value, unit, system: UCUM, code: unit },
});
async function admitted(server: Running, id: string): Promise<void> {
  await put(server, { resourceType: 'Patient', id, birthDate: '1960-01-01' } as never);
  const stay = {
    resourceType: 'Encounter',
    id: `${id}-stay`,
    status: 'in-progress',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
    subject: { reference: `Patient/${id}` },
    period: { start: new Date(Date.now() - 3_600_000).toISOString() },
  };
  assert.equal(await put(server, stay), 201);
}
async function until<T>(found: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const value = await found();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
interface Assessment {
  readonly meta: { readonly versionId: string };
  readonly identifier: readonly { readonly value: string }[];
}
async function assessments(server: Running, patient: string): Promise<readonly Assessment[]> {
  const bundle = (await ask(server, `RiskAssessment?patient=${patient}&_sort=_lastUpdated&_count=1000`)) as {
    entry?: readonly { readonly resource: Assessment }[];
  };
  return (bundle.entry ?? []).map(({ resource }) => resource);
}
const throughOf = ({ identifier }: Assessment): number => Number(identifier[0]?.value.split('.')[2]);

test(
  'monitoring@events: a crossing is told as it happens, by ids only; health says how far monitoring is',
  LIMIT,
  async () => {
    const server = await start(ON);
    try {
      await admitted(server, 'p1');
      const stream = await fetch(`${server.url}/monitor/events`);
      assert.equal(stream.headers.get('content-type'), 'text/event-stream; charset=utf-8');
      const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
      assert.ok(reader);
      assert.equal(await put(server, vital('p1', 'rr', '9279-1', 30, '/min')), 201);
      assert.equal(await put(server, vital('p1', 'hr', '8867-4', 140, '/min')), 201);
      let text = '';
      while (!text.includes('event: told')) text += (await reader.read()).value ?? '';
      const [, data = ''] = /event: raised\ndata: (.*)\n/.exec(text) ?? [];
      const told = JSON.parse(data) as { reference: string; rule: string; alert: string };
      assert.deepEqual([told.rule, told.alert], ['news2', 'urgent']);
      const flag = (await ask(server, told.reference)) as { status: string; subject: { reference: string } };
      assert.deepEqual([flag.status, flag.subject.reference], ['active', 'Patient/p1']);
      const ready = (await (await fetch(`${server.url}/health/ready`)).json()) as {
        checks: { name: string; status: string; reason?: string }[];
      };
      assert.equal(ready.checks.find(({ name }) => name === 'monitoring')?.status, 'pass');
      const sepsis = ready.checks.find(({ name }) => name === 'monitoring:sepsis');
      assert.deepEqual([sepsis?.status, sepsis?.reason], ['warn', 'not-attested'], 'no attestation was given');
      assert.ok(server.output().includes('monitoring-not-attested'));
      const refused = await fetch(`${server.url}/monitor/events`, { headers: { origin: 'https://elsewhere.example' } });
      assert.equal(refused.status, 403);
      assert.equal(await server.stop(), 0, 'an open stream does not hold up the end');
      assert.ok(!server.output().includes('thread-lost'));
    } finally {
      removeFolder(server.folder);
    }
  },
);

test('monitoring@crash: kill -9 at any moment; no change is lost, none is accounted for twice', {
  ...LIMIT,
  skip: notOnStandIn('three starts with scoring in 120 s'),
}, async () => {
  const folder = newFolder();
  const last = new Map<string, string>();
  try {
    for (let round = 0; round < 3; round++) {
      const server = await start(ON, folder);
      let isDead = false;
      for (const patient of ['p1', 'p2', 'p3']) if (round === 0) await admitted(server, patient);
      const feed = async (patient: string): Promise<void> => {
        for (let count = 0; !isDead; count++) {
          const id = `${patient}-${round}-${count}`;
          const status = await put(server, vital(patient, id, '9279-1', 12 + (count % 9), '/min')).catch(() => 0);
          if (status === 201) last.set(patient, id);
          await new Promise((resolve) => setTimeout(resolve, 15));
        }
      };
      const feeds = ['p1', 'p2', 'p3'].map(feed);
      await until(async () => ((await assessments(server, 'p1')).length > round * 2 + 1 ? true : undefined));
      await new Promise((resolve) => setTimeout(resolve, 60 + round * 41));
      await server.stop('SIGKILL');
      isDead = true;
      await Promise.all(feeds);
    }
    const server = await start(ON, folder);
    for (const patient of ['p1', 'p2', 'p3']) {
      const id = last.get(patient) ?? '';
      const found = await until(async () => {
        const all = await assessments(server, patient);
        const newest = JSON.stringify(all.at(-1));
        return newest.includes(`Observation/${id}"`) || newest.includes(`Observation/${patient}-2-`) ? all : undefined;
      });
      await new Promise((resolve) => setTimeout(resolve, 300));
      const through = (await assessments(server, patient)).map(throughOf);
      assert.deepEqual(
        through,
        [...new Set(through)].toSorted((a, b) => a - b),
        'in order, none twice',
      );
      assert.ok(
        found.every(({ meta }) => meta.versionId === '1'),
        'none written again',
      );
    }
    assert.equal(await server.stop(), 0);
  } finally {
    removeFolder(folder);
  }
});

test('monitoring@off: without the demonstration, and when it is off, nothing is scored', LIMIT, async () => {
  const server = await start();
  try {
    await admitted(server, 'p1');
    await put(server, vital('p1', 'rr', '9279-1', 30, '/min'));
    const ready = (await (await fetch(`${server.url}/health/ready`)).json()) as { checks: { name: string }[] };
    assert.equal(
      ready.checks.find(({ name }) => name.startsWith('monitoring')),
      undefined,
    );
    assert.deepEqual(await assessments(server, 'p1'), []);
  } finally {
    await server.stop();
    removeFolder(server.folder);
  }
});
