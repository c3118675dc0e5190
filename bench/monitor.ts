/** How long from an answered write to the event of monitoring: 50 patients, a vital sign each, paced and all at once. `node bench/monitor.ts`. */
import { startServer } from './server.ts';

const PATIENTS = 50;
const EVERY_MS = 100;
/** After the first values: every patient's interval has passed, or none has. */
const RESTED_MS = 12_000;
const SOON_MS = 1000;
const UCUM = 'http://unitsofmeasure.org';

const server = await startServer([], { MONITORING: 'on' });
const put = async (resource: { readonly resourceType: string; readonly id: string }): Promise<void> => {
  const { status } = await fetch(`${server.url}/fhir/${resource.resourceType}/${resource.id}`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(resource),
  });
  if (status >= 300) throw new Error(`${resource.resourceType} was answered ${status}.`);
};
const vital = (patient: string, name: string, code: string, value: number) => ({
  resourceType: 'Observation',
  id: `${patient}-${name}`,
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code }] },
  subject: { reference: `Patient/${patient}` },
  effectiveDateTime: new Date().toISOString(),
  valueQuantity: { value, unit: '/min', system: UCUM, code: '/min' },
});
/** When an event with this name was heard, by reference. */
const heard = new Map<string, number>();
const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function listen(): Promise<void> {
  const { body } = await fetch(`${server.url}/monitor/events`);
  let text = '';
  for await (const part of (body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += part;
    const whole = text.split('\n\n');
    text = whole.pop() ?? '';
    for (const event of whole) {
      const [, reference] = /event: told\ndata: .*"reference":"([^"]+)"/.exec(event) ?? [];
      if (reference !== undefined) heard.set(reference, performance.now());
    }
  }
}

/** A pulse of 115 (2 points) first; then breathing of 30 (3 points) crosses the threshold of NEWS2. @returns a line of the table */
async function round(name: string, everyMs: number, restMs: number): Promise<string> {
  const ids = Array.from({ length: PATIENTS }, (_each, index) => `${name}-${index}`);
  for (const id of ids) {
    await put({ resourceType: 'Patient', id, birthDate: '1960-01-01' } as never);
    await put({
      resourceType: 'Encounter',
      id: `${id}-stay`,
      status: 'in-progress',
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
      subject: { reference: `Patient/${id}` },
      period: { start: '2026-01-01T00:00:00Z' },
    } as never);
    await put(vital(id, 'pulse', '8867-4', 115));
  }
  await rest(restMs);
  heard.clear();
  const sent = new Map<string, number>();
  const send = async (id: string): Promise<void> => {
    await put(vital(id, 'breathing', '9279-1', 30));
    sent.set(`Patient/${id}`, performance.now());
  };
  const sending: Promise<void>[] = [];
  for (const id of ids) {
    sending.push(send(id));
    if (everyMs > 0) await rest(everyMs);
  }
  await Promise.all(sending);
  for (let waited = 0; heard.size < PATIENTS && waited < 30_000; waited += 50) await rest(50);
  const latencies: number[] = [];
  for (const [reference, at] of heard) {
    const text = await (await fetch(`${server.url}/fhir/${reference}`)).text();
    const [, subject = ''] = /"subject":\{"reference":"([^"]+)"/.exec(text) ?? [];
    latencies.push(at - (sent.get(subject) ?? Number.NaN));
  }
  latencies.sort((a, b) => a - b);
  const part = (share: number): string =>
    (latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN).toFixed(0);
  return `| ${name} | ${heard.size} of ${PATIENTS} | ${part(0.5)} | ${part(0.95)} | ${part(1)} |`;
}

const listening = listen().catch(() => undefined);
await rest(3000);
console.log('| round | told | p50 ms | p95 ms | worst ms |\n|---|---|---|---|---|');
console.log(await round('paced', EVERY_MS, RESTED_MS));
console.log(await round('burst', 0, RESTED_MS));
console.log(await round('burst-soon', 0, SOON_MS));
await server.stop();
await listening;
