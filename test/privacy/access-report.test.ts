// Patient/$access-report and $accounting-of-disclosures: who may ask, what is shown of an access, what counts. GDPR Art. 15; EHDS Art. 9; 45 CFR 164.528
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { callerOf } from '../../src/smart/access.ts';
import { scopesOf } from '../../src/smart/scopes.ts';
import { engineWorld } from '../rest/engine-world.ts';
import { at, idsOf, json, linkOf, type Sent, world } from '../world.ts';

const observation = (id: string, patient: string) => ({
  ...{
    resourceType: 'Observation',
    id,
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  },
  subject: { reference: `Patient/${patient}` },
});
const outline = await engineWorld([
  { resourceType: 'Patient', id: 'p', name: [{ family: 'Canary7351' }] },
  { resourceType: 'Patient', id: 'q', name: [{ family: 'Other' }] },
  observation('mine', 'p'),
  observation('theirs', 'q'),
]);
/** Commits have the instants of the real clock, and so has the door: a report ends where it was asked for. */
const context = { ...outline.context, ambient: { ...outline.context.ambient, now: () => Date.now() } };
const { wire } = world();
const engine = {
  context,
  sendAs: (who: Caller, method: string, url: string, sent?: Sent) => answer(wire(method, url, sent), who, context),
  send: outline.send,
};
test.after(() => outline.close());

function caller(user: string | undefined, scope: string, patients: readonly string[], purpose = 'TREAT'): Caller {
  const situation = { purposes: [purpose], actors: [] };
  const rights = { kind: 'granted', scopes: scopesOf(scope), patients, situation } as const;
  const facts = { ...localFacts('r', '192.0.2.9'), principal: `${user} ${scope} ${purpose}`, user, rights };
  return callerOf({ ...facts, client: { system: 'https://issuer.example', value: `app-${purpose}` } }, engine.context);
}
const PATIENT = caller('Patient/p', 'patient/*.rs', ['p'], 'PATRQT');
const DOCTOR = caller('Practitioner/d', 'user/*.rs', []);
const OFFICER = caller('Practitioner/o', 'user/*.rs user/AuditEvent.rs', []);
const RESEARCHER = caller(undefined, 'system/*.rs', [], 'HRESCH');
const REGISTRY = caller(undefined, 'system/*.rs', [], 'PUBHLTH');

for (const who of [DOCTOR, RESEARCHER, REGISTRY]) {
  assert.equal((await engine.sendAs(who, 'GET', '/Observation?patient=Patient/p&code=8867-4')).status, 200);
  assert.equal((await engine.sendAs(who, 'GET', '/Patient/q')).status, 200);
}
await engine.sendAs(REGISTRY, 'PUT', '/Observation/mine', { body: observation('mine', 'p') });
const posted = (purpose: string | undefined, of: string) => ({
  ...{ resourceType: 'AuditEvent', type: { system: 'http://dicom.nema.org/resources/ontology/DCM', code: '110106' } },
  subtype: [{ system: 'http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle', code: 'disclose' }],
  ...{ recorded: '2026-01-02T00:00:00Z', outcome: '0', source: { observer: { display: 'desk' } } },
  ...(purpose === undefined ? {} : { purposeOfEvent: [{ coding: [{ code: purpose }] }] }),
  agent: [{ requestor: false, name: 'Court of Example', network: { address: 'court.example', type: '1' } }],
  entity: [{ what: { reference: `Patient/${of}` } }],
});
for (const [purpose, of] of [
  [undefined, 'p'],
  ['HLEGAL', 'p'],
  ['LEGAL', 'p'],
  [undefined, 'q'],
] as const) {
  assert.equal((await engine.send('POST', '/AuditEvent', { body: posted(purpose, of) })).status, 201);
}

/** Every entry of every page. */
async function pages(who: Caller, path: string): Promise<readonly unknown[]> {
  const found: unknown[] = [];
  let url: string | undefined = path;
  for (let count = 0; url !== undefined; count++) {
    assert.ok(count < 500, 'the pages end');
    const answer = await engine.sendAs(who, 'GET', url);
    assert.equal(answer.status, 200, answer.body);
    const bundle = json(answer);
    found.push(...(Array.isArray(bundle.entry) ? bundle.entry : []).map((entry) => at(entry, 'resource')));
    url = linkOf(bundle, 'next');
  }
  return found;
}
const typesOf = (found: readonly unknown[]) => new Set(found.map((each) => at(each, 'resourceType')));

test('privacy@access-report: everything of the person, then who accessed it, in pages of any size', async () => {
  const found = await pages(PATIENT, '/Patient/p/$access-report');
  const names = found.map((each) => `${at(each, 'resourceType')}/${at(each, 'id')}`);
  assert.deepEqual(names.slice(0, 2), ['Patient/p', 'Observation/mine']);
  assert.deepEqual([...typesOf(found.slice(2))], ['AuditEvent']);
  const small = await pages(PATIENT, '/Patient/p/$access-report?_count=1');
  const before = new Set(names);
  assert.deepEqual(
    small.map((each) => `${at(each, 'resourceType')}/${at(each, 'id')}`).filter((name) => before.has(name)),
    names,
  );
});

test('privacy@access-report: the person is told when, what, why and by which application; not who of the staff, queries, addresses', async () => {
  const found = await pages(PATIENT, '/Patient/p/$access-report');
  const text = JSON.stringify(found.filter((each) => at(each, 'resourceType') === 'AuditEvent'));
  assert.match(text, /app-TREAT/);
  assert.match(text, /"code":"HRESCH"/);
  assert.match(text, /purpose TREAT/);
  for (const hidden of ['Practitioner/d', '192.0.2.9', '"query"', 'Patient/q', 'Canary7351', 'Court of Example']) {
    assert.ok(!text.includes(hidden), hidden);
  }
  const whole = JSON.stringify(await pages(OFFICER, '/Patient/p/$access-report'));
  for (const shown of ['Practitioner/d', '192.0.2.9', '"query"']) assert.ok(whole.includes(shown), shown);
  assert.ok(!whole.includes('Patient/q"'), 'nobody is told of other patients');
});

test('privacy@access-report: accessedFrom and accessedTo bound the accesses, not the record', async () => {
  const none = await pages(OFFICER, '/Patient/p/$access-report?accessedTo=2020');
  assert.deepEqual([...typesOf(none)], ['Patient', 'Observation']);
  const all = await pages(OFFICER, '/Patient/p/$access-report?accessedFrom=2020');
  assert.ok(typesOf(all).has('AuditEvent'));
});

for (const operation of ['$access-report', '$accounting-of-disclosures']) {
  for (const [name, who, path, status] of [
    ['the patient', PATIENT, 'Patient/p', 200],
    ['who may search AuditEvent', OFFICER, 'Patient/p', 200],
    ['who may read the record', DOCTOR, 'Patient/p', 403],
    ['a patient of another', PATIENT, 'Patient/q', 404],
    ['nobody held', OFFICER, 'Patient/none', 404],
  ] as const) {
    test(`privacy@access-who: ${operation} asked by ${name}: ${status}`, async () => {
      assert.equal((await engine.sendAs(who, 'GET', `/${path}/${operation}`)).status, status);
    });
  }
  test(`privacy@access-who: a cursor of ${operation} is of nobody else`, async () => {
    const first = json(await engine.sendAs(OFFICER, 'GET', '/Patient/p/$access-report'));
    const next = linkOf(first, 'next') ?? '';
    assert.equal((await engine.sendAs(OFFICER, 'GET', next)).status, 200, 'control');
    assert.equal((await engine.sendAs(PATIENT, 'GET', next)).status, 400);
    assert.equal((await engine.sendAs(OFFICER, 'GET', next.replace('Patient/p', 'Patient/q'))).status, 400);
  });
}

test('privacy@disclosures: what went out for other than care, payment, operations and own requests', async () => {
  const found = await pages(OFFICER, '/Patient/p/$accounting-of-disclosures');
  const told = found.map((each) => `${at(each, 'subtype.0.code')} ${at(each, 'purposeOfEvent.0.coding.0.code')}`);
  assert.deepEqual(told.toSorted(), [
    'disclose LEGAL',
    'disclose undefined',
    'search-type HRESCH',
    'search-type PUBHLTH',
  ]);
});

test('privacy@disclosures: the person is told who received, where, and when', async () => {
  const text = JSON.stringify(await pages(PATIENT, '/Patient/p/$accounting-of-disclosures'));
  for (const shown of ['Court of Example', 'court.example', 'app-HRESCH', 'app-PUBHLTH'])
    assert.ok(text.includes(shown), shown);
  assert.ok(!text.includes('"query"'));
});

/** Text of every page of an accounting in lines. */
async function lines(who: Caller, path: string): Promise<readonly string[]> {
  let text = '';
  let url: string | undefined = path;
  for (let count = 0; url !== undefined; count++) {
    assert.ok(count < 50, 'the pages end');
    const answered = await engine.sendAs(who, 'GET', url);
    assert.equal(answered.status, 200, answered.body);
    text += answered.body ?? '';
    url = /^<([^>]+)>; rel="next"$/.exec(answered.headers.Link ?? '')?.[1]?.replace(/^.*\/fhir/, '');
  }
  return text.split(/\r?\n/).filter((line) => line !== '');
}
const ACCOUNTING = '/Patient/p/$accounting-of-disclosures';

test('privacy@disclosures-table: CSV says date, recipient, address, what and purpose', async () => {
  const [head, ...rows] = await lines(PATIENT, `${ACCOUNTING}?_outputFormat=text/csv`);
  assert.equal(head, 'date,recipient,address,what,purpose,event');
  const told = await pages(PATIENT, ACCOUNTING);
  assert.equal(rows.length, told.length);
  const posted = rows.filter((row) => row.includes('disclose'));
  assert.equal(posted.length, 2);
  assert.match(
    posted.find((row) => row.includes('LEGAL')) ?? '',
    /^2026-01-02T00:00:00Z,Court of Example,court\.example,disclose; Patient\/p,LEGAL,AuditEvent\/\S+$/,
  );
  const research = rows.find((row) => row.includes('HRESCH')) ?? '';
  assert.match(research, /^\S+,app-HRESCH,192\.0\.2\.9,/);
  assert.match(research, /search-type; .*Patient\/p/);
});

test('privacy@disclosures-table: NDJSON holds the AuditEvents of the Bundle', async () => {
  for (const format of ['application/fhir%2Bndjson', 'application/ndjson', 'ndjson']) {
    const found = await lines(OFFICER, `${ACCOUNTING}?_outputFormat=${format}`);
    const ids = found.map((line) => at(JSON.parse(line), 'id'));
    assert.deepEqual(
      ids,
      (await pages(OFFICER, ACCOUNTING)).map((each) => at(each, 'id')),
    );
  }
});

test('privacy@disclosures-table: other formats are refused; in a batch it is a Binary', async () => {
  assert.equal((await engine.sendAs(OFFICER, 'GET', `${ACCOUNTING}?_outputFormat=text/html`)).status, 400);
  assert.equal((await engine.sendAs(DOCTOR, 'GET', `${ACCOUNTING}?_outputFormat=text/csv`)).status, 403);
  const url = `Patient/p/$accounting-of-disclosures?_outputFormat=text/csv`;
  const body = { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url } }] };
  const batch = json(await engine.sendAs(OFFICER, 'POST', '/', { body }));
  assert.equal(at(batch, 'entry.0.resource.contentType'), 'text/csv; charset=utf-8');
  assert.match(Buffer.from(String(at(batch, 'entry.0.resource.data')), 'base64').toString(), /^date,recipient/);
});

test('privacy@disclosures: a period bounds them', async () => {
  assert.deepEqual(await pages(OFFICER, '/Patient/p/$accounting-of-disclosures?accessedTo=2020'), []);
});

test('privacy@access-audited: each page is an event about the patient', async () => {
  const count = async () =>
    Number(json(await engine.send('GET', '/AuditEvent?patient=Patient/p&_total=accurate')).total);
  const before = await count();
  await engine.sendAs(OFFICER, 'GET', '/Patient/p/$access-report');
  assert.equal(await count(), before + 2, 'the report, and the count itself');
  assert.ok(idsOf(json(await engine.send('GET', '/AuditEvent?patient=Patient/p&subtype=operation'))).length > 0);
});

test('privacy@disclosures-table: what a spreadsheet would run is text', async () => {
  const event = { ...posted('LEGAL', 'p'), agent: [{ requestor: false, name: '=HYPERLINK("x")' }] };
  assert.equal((await engine.send('POST', '/AuditEvent', { body: event })).status, 201);
  const rows = await lines(PATIENT, `${ACCOUNTING}?_outputFormat=csv`);
  assert.ok(rows.some((row) => row.includes(`,"'=HYPERLINK(""x"")",`)));
});

test('privacy@disclosures-table: the header Link leads over the pages, and the first has the head', async () => {
  const before = await lines(OFFICER, `${ACCOUNTING}?_outputFormat=csv`);
  for (let count = 0; count < 12; count++) {
    await Promise.all(Array.from({ length: 45 }, () => engine.sendAs(RESEARCHER, 'GET', '/Patient/p')));
  }
  const first = await engine.sendAs(OFFICER, 'GET', `${ACCOUNTING}?_outputFormat=csv`);
  assert.match(first.headers.Link ?? '', /rel="next"/);
  const after = await lines(OFFICER, `${ACCOUNTING}?_outputFormat=csv`);
  assert.equal(after.length, before.length + 540);
  assert.equal(after.filter((row) => row.startsWith('date,')).length, 1);
  assert.deepEqual(after.slice(0, before.length), before);
});
