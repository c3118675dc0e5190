// The largest Bundles that the defaults take: 10,000 entries, and 16 MB. They are answered whole, what lies beyond is refused before it costs
// anything, and the memory of the whole server process (VmHWM: the most it ever had) stays below a stated bound. reliability, http.html#transaction.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { SETTINGS } from '../../src/config.ts';
import { notOnStandIn } from '../test-store.ts';
import { type Send, sender } from './client.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const LARGE = notOnStandIn('10,000 resources in one transaction of 20 s');

/** MB of resident memory, models, definitions and all threads included: one such Bundle at a time, and four. Measured: 1,118 and 1,693. */
const ONE_MB = 1500;
const FOUR_MB = 2500;
/** In `npm run test:full` only. */
const skip = Number(process.env.GENERATED_CASES ?? 0) >= 10_000 ? false : 'npm run test:full';
const ENTRIES = Number(SETTINGS.BUNDLE_ENTRY_LIMIT.fallback);
const LIMIT_BYTES = Number(SETTINGS.BODY_LIMIT_MB.fallback) * 1_048_576;

let server: Running;
let send: Send;
before(async () => {
  server = await start({ LOG_LEVEL: 'error' }, newFolder());
  send = sender(`${server.url}/fhir`);
});
after(async () => {
  assert.equal(await server.stop(), 0);
  removeFolder(server.folder);
});

/** Most resident memory so far, MB. Linux only: undefined elsewhere. */
function highWaterMb(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'));
  return found === null ? undefined : Number(found[1]) / 1024;
}

const observation = (note?: string) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4', display: 'Heart rate' }], text: 'Heart rate' },
  subject: { reference: 'Patient/one' },
  effectiveDateTime: '2026-01-02T03:04:05Z',
  valueQuantity: { value: 72, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
  ...(note === undefined ? {} : { note: [{ text: note }] }),
});
const entry = (note?: string) => ({ resource: observation(note), request: { method: 'POST', url: 'Observation' } });
const bundle = (type: string, count: number, note?: string): string =>
  JSON.stringify({ resourceType: 'Bundle', type, entry: Array.from({ length: count }, () => entry(note)) });
const total = async (): Promise<number> => (await send('GET', '/Observation?_summary=count')).json.total ?? Number.NaN;

test('the defaults: 10,000 entries and at least 10 MB', () => {
  assert.equal(ENTRIES, 10_000);
  assert.ok(LIMIT_BYTES >= 10 * 1_048_576);
});

for (const type of ['transaction', 'batch']) {
  test(`a ${type} of ${ENTRIES} entries is answered whole; one more is refused`, {
    timeout: 240_000,
    skip: LARGE || (type === 'batch' && skip),
  }, async (context) => {
    const before = await total();
    const answer = await send('POST', '', bundle(type, ENTRIES));
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
    assert.equal(answer.json.entry?.length, ENTRIES);
    assert.ok(answer.json.entry?.every(({ response }) => response?.status === '201 Created'));
    assert.equal(await total(), before + ENTRIES);
    const refused = await send('POST', '', bundle(type, ENTRIES + 1));
    assert.ok(refused.status >= 400 && refused.status < 500, `${refused.status}`);
    assert.equal(await total(), before + ENTRIES, 'nothing of what is refused');
    context.diagnostic(`VmHWM ${highWaterMb()?.toFixed(0)} MB`);
  });
}

test('a transaction just below the largest body is answered whole; one above is 413', {
  timeout: 240_000,
  skip: LARGE,
}, async (context) => {
  const before = await total();
  const note = 'x'.repeat(4000);
  const count = Math.floor((LIMIT_BYTES - 1000) / (JSON.stringify(entry(note)).length + 1));
  const answer = await send('POST', '', bundle('transaction', count, note));
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  assert.equal(answer.json.entry?.length, count);
  assert.equal((await send('POST', '', bundle('transaction', count + 2, note))).status, 413);
  assert.equal(await total(), before + count);
  context.diagnostic(`VmHWM ${highWaterMb()?.toFixed(0)} MB`);
});

test(`one at a time, the server never had more than ${ONE_MB} MB`, (context) => {
  const most = highWaterMb();
  if (most === undefined) return context.skip('no /proc');
  assert.ok(most < ONE_MB, `${most.toFixed(0)} MB`);
});

test('four of them at once, as XML too', { timeout: 300_000, skip }, async (context) => {
  const xmlEntry =
    '<entry><resource><Observation><status value="final"/><code><text value="x"/></code></Observation></resource><request><method value="POST"/><url value="Observation"/></request></entry>';
  const xml = `<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/>${xmlEntry.repeat(ENTRIES)}</Bundle>`;
  const answers = await Promise.all([
    ...Array.from({ length: 3 }, () => send('POST', '', bundle('transaction', ENTRIES))),
    send('POST', '', xml, { 'content-type': 'application/fhir+xml' }),
  ]);
  for (const { status, text } of answers)
    assert.ok(status === 200 || status === 429 || status === 503, `${status} ${text.slice(0, 200)}`);
  assert.ok(answers.some(({ status }) => status === 200));
  assert.equal((await send('GET', '/Observation?_count=1')).status, 200, 'the server lives');
  context.diagnostic(`VmHWM ${highWaterMb()?.toFixed(0)} MB`);
});

test(`four at once, the server never had more than ${FOUR_MB} MB`, { skip }, (context) => {
  const most = highWaterMb();
  if (most === undefined) return context.skip('no /proc');
  assert.ok(most < FOUR_MB, `${most.toFixed(0)} MB`);
});
