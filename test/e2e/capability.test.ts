// Every claim of capability-statement.json is asked of the running server: fhir-r4@capabilitystatement, fhir-r4@http, fhir-r4@search.
// The rows come from the statement itself, so that a claim without a proof cannot ship; what is not claimed is refused.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type Capability, type ClaimedType, loadCapability } from '../../src/fhir/definitions/capability.ts';
import type { Definitions, SearchParameter } from '../../src/fhir/definitions/definitions.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { isJsonObject, parseJson, type Resource, serialize } from '../../src/fhir/resource.ts';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { extractor } from '../../src/fhir/search/extract.ts';
import { searchType } from '../../src/fhir/search/types.ts';
import { limit, notOnStandIn } from '../test-store.ts';
import { each, labels, type Send, sender } from './client.ts';
import { searchValues } from './search-values.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const SCANS = notOnStandIn('hundreds of searches by scan, each within its budget');

/** Requests at once: enough to share group commits. */
const WIDTH = 24;
const WITHOUT_HISTORY = 'AuditEvent';
/** The audit log is kept in the order of time and is sorted by nothing else. */
const AUDIT_SORTS = new Set(['_id', '_lastUpdated', 'date']);

let server: Running;
let send: Send;
let definitions: Definitions;
let capability: Capability;
/** What is stored, by type. */
const stored = new Map<string, { readonly id: string; readonly rows: readonly IndexEntry[] }[]>();

/** Types whose official examples are missing or break R4 themselves: the mandatory elements, and what is searched by. */
const OWN: Readonly<Record<string, object>> = {
  DeviceMetric: {
    identifier: [{ system: 'urn:test', value: 'metric-1' }],
    type: { coding: [{ system: 'urn:iso:std:iso:11073:10101', code: '150456' }] },
    category: 'measurement',
    source: { reference: 'Device/1' },
    parent: { reference: 'Device/2' },
  },
  DeviceUseStatement: {
    status: 'active',
    identifier: [{ system: 'urn:test', value: 'use-1' }],
    subject: { reference: 'Patient/1' },
    device: { reference: 'Device/1' },
  },
};

/** Official examples that break R4 themselves, or are refused for what they ask: test/e2e/published.test.ts says how. */
const BROKEN = new Set([
  'Subscription-example',
  'DeviceMetric-example',
  'DeviceUseStatement-example',
  'MedicationRequest-medrx0301',
  'Observation-clinical-gender',
  'Questionnaire-qs1',
]);

function examples(): Map<string, string[]> {
  const found = new Map<string, string[]>([...capability.types.keys()].map((type) => [type, []]));
  for (const file of globSync('test/data/{fhir-examples,search-examples}/*.json').toSorted()) {
    if (BROKEN.has(file.replace(/^.*\/|\.json$/g, ''))) continue;
    const text = readFileSync(file, 'utf8');
    const { resourceType } = JSON.parse(text) as { resourceType: string };
    found.get(resourceType)?.push(text);
  }
  for (const [type, texts] of found) {
    if (texts.length === 0) texts.push(JSON.stringify({ resourceType: type, id: 'own', ...OWN[type] }));
  }
  return found;
}

before(async () => {
  definitions = loadDefinitions('profiles');
  capability = loadCapability(readFileSync('capability-statement.json', 'utf8'), definitions);
  server = await start({ LOG_LEVEL: 'error' }, newFolder());
  send = sender(`${server.url}/fhir`);
});
after(async () => {
  assert.equal(await server.stop(), 0);
  removeFolder(server.folder);
});

/** Collects what is wrong, so that one run names everything. */
function faults() {
  const wrong: string[] = [];
  return {
    expect(actual: unknown, expected: unknown, what: string): void {
      if (!Object.is(actual, expected)) wrong.push(`${what}: ${String(actual)} instead of ${String(expected)}`);
    },
    none(): void {
      assert.deepEqual(wrong.slice(0, 60), [], `${wrong.length} faults`);
    },
  };
}

/** The example with a value for each search parameter of `meta`; numbers stay as written. */
function withMeta(text: string): string {
  const { meta, ...resource } = parseJson(text) as Resource;
  const given = isJsonObject(meta) ? meta : {};
  const own = {
    source: 'urn:test:source',
    profile: ['http://example.org/StructureDefinition/test'],
    security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code: 'N' }],
    tag: [{ system: 'urn:test', code: 'example' }],
  };
  return serialize({ ...resource, meta: { ...own, ...given } });
}

test('every claimed type takes its official examples', { timeout: limit(120_000) }, async () => {
  const { expect, none } = faults();
  const all = [...examples()].flatMap(([type, texts]) => texts.map((text) => ({ type, text })));
  await each(all, WIDTH, async ({ type, text }) => {
    const { id } = JSON.parse(text) as { id: string };
    const isAudit = type === WITHOUT_HISTORY;
    const put = await send(
      isAudit ? 'POST' : 'PUT',
      isAudit ? `/${type}` : `/${type}/${id}`,
      isAudit ? text : withMeta(text),
    );
    expect(put.status, 201, `${type}/${id} ${put.status === 201 ? '' : put.text.slice(0, 200)}`);
    if (put.status !== 201) return;
    const location = put.headers.get('location') ?? '';
    const own = isAudit ? (location.split('/').at(-1) ?? '') : id;
    const claimed = (of: string) => capability.types.get(of)?.searchParameters.values();
    const extract = extractor(claimed(type) ?? [], type, {
      definitions,
      claimed,
      fhirBase: `${server.url}/fhir`,
    });
    const rows = extract(parseJson((await send('GET', `/${type}/${own}`)).text) as Resource);
    stored.set(type, [...(stored.get(type) ?? []), { id: own, rows }]);
  });
  none();
});

/** One type through every interaction it claims. */
async function interactions(claimed: ClaimedType, text: string, expect: ReturnType<typeof faults>['expect']) {
  const { type } = claimed;
  const { id: _, ...content } = JSON.parse(text) as Record<string, unknown>;
  const tag = { system: 'urn:test', code: `made-${type}` };
  const body = { ...content, meta: { tag: [tag] } };
  const says = async (what: string, status: number, ...request: Parameters<Send>) => {
    const answer = await send(...request);
    expect(answer.status, status, `${type} ${what}${answer.status === status ? '' : ` ${answer.text.slice(0, 160)}`}`);
    return answer;
  };
  const created = await says('create', 201, 'POST', `/${type}`, body);
  const location = created.headers.get('location') ?? '';
  const id = /\/([^/]+)(?:\/_history\/\d+)?$/.exec(location)?.[1] ?? '';
  await says('read', 200, 'GET', `/${type}/${id}`);
  await says('search-type', 200, 'GET', `/${type}?_id=${id}`);
  await says('conditional read', 304, 'GET', `/${type}/${id}`, undefined, { 'if-none-match': 'W/"1"' });
  if (!claimed.interactions.has('update')) return;
  const sent = (await says('vread', 200, 'GET', location)).json;
  await says('update', 200, 'PUT', `/${type}/${id}`, { ...sent, language: 'en' });
  const history = await says('history-instance', 200, 'GET', `/${type}/${id}/_history`);
  expect(history.json.entry?.length, 2, `${type} versions`);
  await says('history-type', 200, 'GET', `/${type}/_history?_count=1`);
  const criteria = `_tag=urn:test%7C${tag.code}`;
  const json = { 'content-type': 'application/json-patch+json' };
  const change = [{ op: 'replace', path: '/language', value: 'fr' }];
  await says('patch', 200, 'PATCH', `/${type}/${id}`, change, json);
  const merge = { 'content-type': 'application/merge-patch+json' };
  await says('conditional patch', 200, 'PATCH', `/${type}?${criteria}`, { language: 'de' }, merge);
  await says('conditional create of what is there', 200, 'POST', `/${type}`, body, { 'if-none-exist': criteria });
  await says('conditional update of what is there', 200, 'PUT', `/${type}?${criteria}`, body);
  await says('update as create', 201, 'PUT', `/${type}/by-the-client`, {
    ...body,
    meta: undefined,
    id: 'by-the-client',
  });
  await says('conditional delete', 204, 'DELETE', `/${type}?${criteria}`);
  await says('read of a deleted', 410, 'GET', `/${type}/${id}`);
  await says('vread before the deletion', 200, 'GET', `/${type}/${id}/_history/5`);
  await says('conditional update of nothing', 201, 'PUT', `/${type}?${criteria}`, body);
  await says('conditional create of nothing', 201, 'POST', `/${type}`, body, { 'if-none-exist': `${criteria}-none` });
  await says('conditional delete of several', 204, 'DELETE', `/${type}?${criteria}`);
  expect((await send('GET', `/${type}?${criteria}`)).json.total, 0, `${type} left by a conditional delete`);
  await says('delete', 204, 'DELETE', `/${type}/by-the-client`);
  for (const made of labels((await send('GET', `/${type}?${criteria}`)).json)) await send('DELETE', `/${made}`);
}

test('every claimed type answers every claimed interaction', { timeout: limit(120_000) }, async () => {
  const { expect, none } = faults();
  const texts = examples();
  await each(capability.types.values(), WIDTH, (claimed) =>
    interactions(claimed, texts.get(claimed.type)?.[0] ?? '{}', expect),
  );
  none();
});

type Row = readonly [claimed: ClaimedType, parameter: SearchParameter];
const parameters = (): readonly Row[] =>
  [...capability.types.values()].flatMap((claimed) =>
    [...claimed.searchParameters.values()].map((parameter): Row => [claimed, parameter]),
  );

/** A value nobody has, of the parameter's grammar. */
const NOBODY: Readonly<Record<string, string>> = {
  token: 'urn:test:nowhere|no-such-code',
  string: 'Zzyzxq',
  date: '1801-02-03',
  number: '98765432.5',
  quantity: '98765432.5',
  uri: 'urn:test:nowhere',
  reference: 'Basic/no-such-one',
  special: '-75|0|1',
};

test('every claimed search parameter finds what has its value, and nothing by a value nobody has', {
  timeout: limit(240_000),
  skip: SCANS,
}, async (context) => {
  const { expect, none } = faults();
  const without: string[] = [];
  let proven = 0;
  await each(parameters(), WIDTH, async ([{ type }, parameter]) => {
    const { code, components } = parameter;
    if (code === '_id' || code === '_lastUpdated') return;
    const nobody =
      components.length === 0
        ? NOBODY[parameter.type]
        : components.map((each) => NOBODY[each.parameter.type]).join('$');
    const none = await send('GET', `/${type}?${code}=${encodeURIComponent(nobody ?? '')}`);
    expect(`${none.status} ${none.json.total}`, '200 0', `${type}?${code}=${nobody}`);
    const holder = stored.get(type)?.find(({ rows }) => searchValues(parameter, type, rows).length > 0);
    if (holder === undefined) {
      without.push(`${type}.${code}`);
      return;
    }
    if (type === WITHOUT_HISTORY && code === 'date') return; // by the instant of the commit: docs/audit.md
    proven++;
    for (const query of searchValues(parameter, type, holder.rows)) {
      const found = await send('GET', `/${type}?${query}&_count=1000`);
      const held = labels(found.json).includes(`${type}/${holder.id}`);
      expect(
        `${found.status} ${held}`,
        '200 true',
        `${type}?${query} for ${holder.id} ${found.status === 200 ? '' : found.text.slice(0, 160)}`,
      );
    }
  });
  context.diagnostic(`${without.length} parameters without a value in the examples`);
  none();
  assert.ok(proven >= 1650, `${proven} parameters have a value in the examples`);
});

test('`:missing` parts every type in two, by what the index holds', {
  timeout: limit(240_000),
  skip: SCANS,
}, async () => {
  const { expect, none } = faults();
  await each(parameters(), WIDTH, async ([{ type }, { code }]) => {
    if (code === '_id' || code === '_lastUpdated') return;
    const held = stored.get(type) ?? [];
    const isOf = ({ parameter }: IndexEntry) =>
      new RegExp(`^${type}[.]${code}(?:[$]|:identifier$|:contained$|:latitude$|$)`).test(parameter);
    const having = held.filter(({ rows }) => rows.some(isOf)).length;
    const count = async (missing: boolean) =>
      (await send('GET', `/${type}?${code}:missing=${missing}&_summary=count`)).json.total;
    const all = (await send('GET', `/${type}?_summary=count`)).json.total ?? Number.NaN;
    if (type === WITHOUT_HISTORY) {
      expect(((await count(false)) ?? 0) >= having, true, `${type}.${code}: some have it`);
      return;
    }
    expect(await count(false), having, `${type}?${code}:missing=false`);
    expect(await count(true), all - having, `${type}?${code}:missing=true`);
  });
  none();
});

test('every claimed search parameter but composites sorts, both ways', {
  timeout: limit(240_000),
  skip: SCANS,
}, async () => {
  const { expect, none } = faults();
  await each(parameters(), WIDTH, async ([{ type }, parameter]) => {
    const { code } = parameter;
    const sortable =
      type === WITHOUT_HISTORY ? AUDIT_SORTS.has(code) : searchType(parameter.type).indexed !== undefined;
    const status = sortable ? 200 : 400;
    const sizes: number[] = [];
    for (const direction of ['', '-']) {
      const sorted = await send('GET', `/${type}?_sort=${direction}${code}&_count=1000&_elements=id`);
      expect(sorted.status, status, `${type}?_sort=${direction}${code}`);
      sizes.push(new Set(labels(sorted.json)).size);
    }
    if (status === 200 && type !== WITHOUT_HISTORY) {
      expect(sizes.join(), `${stored.get(type)?.length},${stored.get(type)?.length}`, `${type}?_sort=${code}: all`);
    }
  });
  none();
});

test('every claimed include and revinclude answers', { timeout: limit(240_000), skip: SCANS }, async () => {
  const { expect, none } = faults();
  const asked = [...capability.types.values()].flatMap(({ type, includes, revIncludes }) => [
    ...tens(includes).map((claims) => `${type}?${claims.map((claim) => `_include=${claim}`).join('&')}`),
    ...tens(revIncludes).map((claims) => `${type}?${claims.map((claim) => `_revinclude=${claim}`).join('&')}`),
  ]);
  await each(asked, WIDTH, async (query) => {
    const answer = await send('GET', `/${query}&_count=2`);
    expect(answer.status, 200, `${query} ${answer.status === 200 ? '' : answer.text.slice(0, 160)}`);
  });
  none();
});

/** Runs of at most ten: the limit of one search. */
function tens(list: readonly string[]): readonly (readonly string[])[] {
  return Array.from({ length: Math.ceil(list.length / 10) }, (_, index) => list.slice(index * 10, index * 10 + 10));
}

test('what is not claimed is refused', async () => {
  const { expect, none } = faults();
  const patient = { resourceType: 'Patient', id: 'x' };
  const rows: readonly (readonly [status: number, method: string, path: string, body?: unknown])[] = [
    [405, 'PATCH', '/AuditEvent/example', { resourceType: 'Parameters' }],
    [405, 'PATCH', '/AuditEvent?_id=example', { resourceType: 'Parameters' }],
    [400, 'GET', '/?identifier=example'],
    [404, 'GET', '/Group/x/Observation'],
    [404, 'GET', '/Patient/example/$no-such'],
    [404, 'POST', '/Patient/$no-such', patient],
    [404, 'GET', '/$no-such'],
    [404, 'GET', '/Parameters/x'],
    [404, 'POST', '/OperationOutcome', { resourceType: 'OperationOutcome' }],
    [404, 'GET', '/patient/x'],
    [404, 'GET', '/DomainResource'],
    [405, 'PUT', '/AuditEvent/x', { resourceType: 'AuditEvent', id: 'x' }],
    [405, 'DELETE', '/AuditEvent/x'],
    [405, 'DELETE', '/AuditEvent?_id=x'],
    [405, 'GET', '/AuditEvent/_history'],
    [405, 'GET', '/AuditEvent/x/_history'],
    [400, 'DELETE', '/Patient'],
    [400, 'PUT', '/Patient', patient],
    [400, 'GET', '/Patient?_text=(x'],
    [400, 'GET', '/Patient?_filter=name like x'],
    [400, 'GET', '/Patient?_query=x'],
    [400, 'GET', '/AuditEvent?entity:identifier=x'],
    [400, 'GET', '/AuditEvent?_has:Provenance:target:agent=x'],
    [400, 'GET', '/Patient?_has:Observation=x'],
    [400, 'GET', '/Patient?_contained=true'],
    [400, 'GET', '/Location?near=1'],
    [400, 'GET', '/Patient?_revinclude=Patient:link:Group'],
    [400, 'GET', '/Patient?name:text=x'],
    [400, 'GET', '/Observation?code:in=x'],
  ];
  for (const [status, method, path, body] of rows) {
    const answer = await send(method, path, body);
    expect(answer.status, status, `${method} ${path} ${answer.text.slice(0, 160)}`);
    expect(answer.json.resourceType, 'OperationOutcome', `${method} ${path}`);
  }
  for (const [type, claimed] of capability.types) {
    const unclaimed = [...definitions.searchParameters(type).keys()].filter(
      (code) => !claimed.searchParameters.has(code),
    );
    for (const code of unclaimed) {
      expect((await send('GET', `/${type}?${code}=x`)).status, 400, `${type}?${code} is not claimed`);
    }
  }
  none();
});
