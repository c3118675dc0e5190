// Proven against what nobody here wrote: the official R4 examples and Synthea's bundles go in, none refused wrongly, and come out equal
// but for server meta (and, in transactions, references that the server had to rewrite).
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { limit } from '../test-store.ts';
import { comparable, type Element } from './comparable.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const JSON_TYPE = { 'content-type': 'application/fhir+json', prefer: 'return=minimal' };

let server: Running;
before(async () => {
  server = await start({}, newFolder());
});
after(async () => {
  await server.stop();
  removeFolder(server.folder);
});

/** Official examples that break R4 themselves, and how: refused rightly. */
const BROKEN: Readonly<Record<string, string>> = {
  'DeviceMetric-example': 'parent refers to a DeviceDefinition; only Device is allowed',
  'DeviceUseStatement-example': 'reasonReference refers to a Procedure, which is not among its targets',
  'MedicationRequest-medrx0301': 'dispenseRequest.performer refers to a Practitioner; only Organization is allowed',
  'Observation-clinical-gender': 'performer refers to an Encounter, which is not among its targets',
  'Questionnaire-qs1': 'items without linkId, which is required',
};

/** Refused for what it asks of this server, though it is valid R4. */
const REFUSED: ReadonlySet<string> = new Set(['Subscription-example']);

/** Values of headers are withheld: docs/subscriptions.md. */
const asStored = (text: string): string => text.replace(/"Authorization: [^"]*"/, '"Authorization: (withheld)"');

/** Why an official example is rightly not stored as sent. */
const NOT_STORED: Readonly<Record<string, string>> = {
  Parameters: 'not a stored type: capability-statement.json does not claim it',
  OperationOutcome: 'not a stored type: capability-statement.json does not claim it',
};

test('at least 200 official examples of all types: none refused wrongly, out equal', {
  timeout: limit(120_000),
}, async () => {
  const wrong: string[] = [];
  let stored = 0;
  for (const file of globSync('test/data/fhir-examples/*.json').toSorted()) {
    const text = readFileSync(file, 'utf8');
    const { resourceType, id } = JSON.parse(text) as { resourceType: string; id: string };
    if (resourceType in NOT_STORED) continue;
    const isAudit = resourceType === 'AuditEvent';
    const sent = await fetch(`${server.url}/fhir/${resourceType}${isAudit ? '' : `/${id}`}`, {
      method: isAudit ? 'POST' : 'PUT',
      headers: JSON_TYPE,
      body: text,
    });
    if (REFUSED.has(basename(file, '.json'))) {
      if (sent.status !== 422) wrong.push(`${basename(file)}: ${sent.status} instead of 422`);
      continue;
    }
    if (basename(file, '.json') in BROKEN) {
      if (sent.status < 400) wrong.push(`${basename(file)} is stored, though ${BROKEN[basename(file, '.json')]}`);
      continue;
    }
    if (sent.status !== 201) {
      wrong.push(`${basename(file)}: ${sent.status} ${await sent.text()}`.slice(0, 300));
      continue;
    }
    const location = sent.headers.get('location') ?? '';
    const got = await (await fetch(isAudit ? location : `${server.url}/fhir/${resourceType}/${id}`)).text();
    stored++;
    try {
      if (isAudit)
        assert.deepEqual(
          { ...(comparable(got) as Element), meta: undefined },
          { ...(comparable(text) as Element), meta: undefined },
        );
      else assert.deepEqual(comparable(got), comparable(asStored(text)));
    } catch (error) {
      wrong.push(`${basename(file)}: ${error instanceof Error ? error.message.slice(0, 400) : error}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(stored >= 200, `${stored} examples`);
});

interface Entry {
  readonly fullUrl: string;
  readonly resource: Element;
  readonly response?: { readonly status: string; readonly location: string };
}

test('Synthea bundles load as transactions and every resource comes back equal', {
  timeout: limit(300_000),
}, async () => {
  const wrong: string[] = [];
  for (const file of globSync('test/data/synthea/*.json.gz').toSorted()) {
    const text = gunzipSync(readFileSync(file)).toString('utf8');
    const entries = (JSON.parse(text) as { entry: Entry[] }).entry;
    const response = await fetch(`${server.url}/fhir`, { method: 'POST', headers: JSON_TYPE, body: text });
    const body = (await response.json()) as { entry: Entry[] };
    assert.equal(response.status, 200, `${basename(file)}: ${JSON.stringify(body).slice(0, 600)}`);
    const placed = body.entry.map(
      ({ response: answered }) => answered?.location.replace(/.*\/fhir\//, '').replace(/\/_history\/.*/, '') ?? '',
    );
    const rewritten = new Map(entries.map(({ fullUrl }, index) => [fullUrl, placed[index] ?? '']));
    for (const [index, { resource }] of entries.entries()) {
      const sent = JSON.stringify(resource).replaceAll(/urn:uuid:[0-9a-f-]{36}/g, (urn) => rewritten.get(urn) ?? urn);
      const got = await (await fetch(`${server.url}/fhir/${placed[index]}`)).text();
      try {
        assert.deepEqual(comparable(got), comparable(sent));
      } catch (error) {
        wrong.push(`${basename(file)} entry ${index}: ${error instanceof Error ? error.message.slice(0, 300) : error}`);
      }
    }
  }
  assert.deepEqual(wrong.slice(0, 10), []);
});
