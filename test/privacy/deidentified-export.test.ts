// $deidentified-export: who may, what comes out, which key. 45 CFR 164.514; Bulk Data Access 2.0.0; docs/privacy.md#de-identified-export
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { deidentifiableTypes } from '../../src/open/deidentification.ts';
import { answer } from '../../src/rest/interact.ts';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { callerOf } from '../../src/smart/access.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import { type Rights, scopesOf } from '../../src/smart/scopes.ts';
import { ASYNC, type ExportWorld, exportWorld, linesOf } from '../rest/export-world.ts';
import { parameters } from '../rest/operations-world.ts';
import { at, json, world } from '../world.ts';

const to = (reference: string) => ({ reference });
const observation = (id: string, subject: string, day: string) => ({
  ...{ resourceType: 'Observation', id, status: 'final', subject: { reference: subject, display: 'Zq7 Garcia' } },
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4', display: 'Zq7 Garcia' }], text: 'Zq7 Garcia' },
  effectiveDateTime: day,
  note: [{ text: 'Zq7 Garcia' }],
});

let w: ExportWorld;
before(async () => {
  w = await exportWorld();
  await w.operations.hold(
    { resourceType: 'Patient', id: 'zq7-a', name: [{ family: 'Zq7 Garcia' }], birthDate: '1980-05-17' },
    { resourceType: 'Patient', id: 'zq7-b', gender: 'male' },
    observation('zq7-o1', 'Patient/zq7-a', '2025-03-01'),
    observation('zq7-o2', 'Patient/zq7-a', '2025-03-08'),
    observation('zq7-o3', 'Patient/zq7-b', '2025-03-01'),
    { resourceType: 'Binary', id: 'zq7-bin', contentType: 'text/plain', data: 'AAAA' },
    { resourceType: 'Organization', id: 'zq7-org', name: 'Zq7 Garcia' },
    { resourceType: 'Group', id: 'g', type: 'person', actual: true, member: [{ entity: to('Patient/zq7-b') }] },
  );
});
after(() => w.close());
beforeEach(() => {
  for (const name of Object.keys(w.tools)) Reflect.deleteProperty(w.tools, name);
  w.gate = Promise.resolve();
  w.keyFile = undefined;
});

type Lines = Readonly<Record<string, readonly object[]>>;
const count = (lines: Lines) => Object.fromEntries(Object.entries(lines).map(([type, list]) => [type, list.length]));
const ids = (lines: Lines) => Object.values(lines).flatMap((list) => list.map((each) => String(at(each, 'id'))));

test('privacy@deidentified-export: nothing identifying in the files, references lead to the new ids', async () => {
  const lines = await w.exported('/$deidentified-export');
  assert.deepEqual(count(lines), { Group: 1, Observation: 3, Organization: 1, Patient: 2 });
  assert.doesNotMatch(JSON.stringify(lines), /zq7|garcia|2025-03|1980-05/i);
  const patients = new Set((lines.Patient ?? []).map((each) => `Patient/${String(at(each, 'id'))}`));
  const subjects = (lines.Observation ?? []).map((each) => String(at(each, 'subject.reference')));
  assert.equal(new Set(subjects).size, 2);
  assert.ok(subjects.every((subject) => patients.has(subject)));
  const [first] = lines.Observation ?? [];
  assert.equal(at(first ?? {}, 'effectiveDateTime'), '2025');
  assert.deepEqual(at(first ?? {}, 'code'), { coding: [{ system: 'http://loinc.org', code: '8867-4' }] });
});

test('privacy@deidentified-export shifted: distances between dates of a patient stay', async () => {
  const { Observation = [] } = await w.exported('/$deidentified-export?mode=shifted&_type=Observation');
  const days = Observation.map((each) => Date.parse(String(at(each, 'effectiveDateTime'))) / 86_400_000);
  const [one = 0, two = 0] = days;
  assert.equal(two - one, 7);
  assert.doesNotMatch(JSON.stringify(Observation), /zq7|garcia|2025-03-0[18]/i);
});

test('privacy@deidentified-export: all patients, and the members of a Group', async () => {
  assert.deepEqual(count(await w.exported('/Patient/$deidentified-export')), { Group: 1, Observation: 3, Patient: 2 });
  assert.deepEqual(count(await w.exported('/Group/g/$deidentified-export?_type=Patient,Observation')), {
    Observation: 1,
    Patient: 1,
  });
});

test('privacy@deidentified-keys: two exports cannot be joined, and the key of a finished one is gone', async () => {
  const path = await w.kickOff('/$deidentified-export');
  await w.desk().idle();
  assert.ok(readdirSync(join(w.folder, path)).includes('Patient-1.ndjson'), 'control');
  assert.ok(!readdirSync(join(w.folder, path)).some((name) => name.includes('key')));
  const first = ids(await linesOf(path, w));
  await w.ask('DELETE', path);
  const second = new Set(ids(await w.exported('/$deidentified-export')));
  assert.equal(first.filter((id) => second.has(id)).length, 0);
});

test('privacy@deidentified-keys: with a kept key two exports have the same ids', async () => {
  w.keyFile = join(w.folder, '..', `kept-${process.pid}.key`);
  writeFileSync(w.keyFile, Buffer.alloc(32, 9));
  const first = ids(await w.exported('/$deidentified-export'));
  assert.deepEqual(ids(await w.exported('/$deidentified-export')), first);
});

test('privacy@deidentified-keys: a kept key that is none is told at the start', () => {
  const file = join(w.folder, '..', `short-${process.pid}.key`);
  for (const bytes of [Buffer.alloc(31, 1), Buffer.alloc(32, 0)]) {
    writeFileSync(file, bytes);
    assert.throws(() => deidentifiableTypes(file), /DEIDENTIFICATION_KEY_FILE/);
  }
});

test('privacy@deidentified-keys: stopped and gone on with, one key makes all ids; without its key it begins anew', async () => {
  for (const lost of [false, true]) {
    let pages = 0;
    w.tools.page = 1;
    // Behind the second of three Observations, before their Patients.
    w.tools.stopped = () => pages > 1;
    w.tools.pause = async () => {
      pages++;
    };
    const path = await w.kickOff('/$deidentified-export');
    await w.desk().idle();
    const key = join(w.folder, path, 'key.secret');
    assert.ok(existsSync(key), 'it has not ended');
    if (lost) writeFileSync(key, Buffer.alloc(32));
    Reflect.deleteProperty(w.tools, 'stopped');
    await w.restart();
    await w.desk().idle();
    const lines = await linesOf(path, w);
    assert.deepEqual(count(lines), { Group: 1, Observation: 3, Organization: 1, Patient: 2 });
    const patients = new Set((lines.Patient ?? []).map((each) => `Patient/${String(at(each, 'id'))}`));
    for (const each of lines.Observation ?? []) assert.ok(patients.has(String(at(each, 'subject.reference'))));
    await w.ask('DELETE', path);
  }
});

test('privacy@deidentified-export: the manifest says in which mode', async () => {
  const path = await w.kickOff('/$deidentified-export?_type=Patient');
  await w.desk().idle();
  assert.deepEqual(json(await w.ask('GET', path)).extension, { deidentification: 'safe-harbor' });
  await w.ask('DELETE', path);
});

const KICK_OFFS: readonly (readonly [url: string, status: number, why: string])[] = [
  ['/$deidentified-export', 202, 'control'],
  ['/$deidentified-export?mode=safe-harbor', 202, 'control: the default by name'],
  ['/$deidentified-export?mode=shifted', 202, 'control: the other'],
  ['/$deidentified-export?mode=none', 400, 'no mode'],
  ['/$deidentified-export?mode=', 400, 'empty'],
  ['/$deidentified-export?_type=Patient&_since=2026-01-01T00:00:00Z&_outputFormat=ndjson', 202, 'as an export'],
  ['/$deidentified-export?_type=Binary', 400, 'a type that cannot be de-identified'],
  ['/$deidentified-export?_type=AuditEvent', 400, 'AuditEvents are never exported'],
  ['/$deidentified-export?_elements=name', 400, 'not taken'],
  ['/Patient/zq7-a/$deidentified-export', 404, 'one person'],
  ['/Group/$deidentified-export', 404, 'no Group'],
  ['/Group/none/$deidentified-export', 404, 'no such Group'],
  ['/Observation/$deidentified-export', 404, 'not of this type'],
  ['/$export?mode=safe-harbor', 400, 'a plain export has no mode: nothing is ignored'],
];
for (const [url, status, why] of KICK_OFFS) {
  test(`privacy@deidentified-kickoff GET ${url}: ${status}, ${why}`, async () => {
    const response = await w.send('GET', url);
    assert.equal(response.status, status, response.body);
    const path = response.headers['Content-Location']?.slice(w.desk().url.length) ?? '';
    if (status === 202) assert.equal((await w.ask('DELETE', path)).status, 202);
  });
}

test('privacy@deidentified-kickoff: Parameters by POST; only asynchronously', async () => {
  const body = parameters(['mode', { valueCode: 'shifted' }]);
  const response = await w.send('POST', '/$deidentified-export', { ...ASYNC, body });
  assert.equal(response.status, 202, response.body);
  await w.ask('DELETE', response.headers['Content-Location']?.slice(w.desk().url.length) ?? '');
  assert.equal((await w.send('GET', '/$deidentified-export', {})).status, 400);
});

const policy = loadPolicy({ roles: 'roles', labels: 'security-labels' });
for (const [scope, role, status] of [
  ['system/*.rs', 'privacy-officer', 202],
  ['system/*.rs', 'integration-engine', 202],
  ['system/*.rs', 'administrator', 403],
  ['system/*.rs', 'physician', 403],
  ['system/*.rs', undefined, 403],
  ['user/*.rs', 'privacy-officer', 403],
  ['patient/*.rs', 'patient', 403],
] as const) {
  test(`privacy@deidentified-who: ${scope} with the role ${role} is answered ${status}`, async () => {
    const situation = { purposes: [], actors: [], ...(role === undefined ? {} : { roles: [role] }) };
    const rights: Rights = { kind: 'granted', scopes: scopesOf(scope), patients: [], situation };
    const context = {
      ...w.operations.context,
      exports: w.desk(),
      deidentifiable: deidentifiableTypes(undefined),
      policy,
    };
    const caller = callerOf({ ...localFacts('who-1', '127.0.0.1'), principal: `${scope} ${role}`, rights }, context);
    const { wire } = world();
    const found = await answer(wire('GET', '/$deidentified-export?_type=Patient', ASYNC), caller, context);
    assert.equal(found.status, status, found.body);
    await w.desk().idle();
  });
}
