// Bulk import proposal (SMART on FHIR, 2020); docs/decisions/0015-bulk-export.md.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { at, json } from '../world.ts';
import { EXPIRY_MS, type ImportWorld, importWorld, LOCAL, manifest } from './import-world.ts';
import { issuesIn, parameters } from './operations-world.ts';

let w: ImportWorld;
before(async () => {
  w = await importWorld();
});
after(async () => {
  assert.deepEqual(w.operations.reported, []);
  await w.close();
});
beforeEach(() => {
  for (const name of Object.keys(w.tools)) Reflect.deleteProperty(w.tools, name);
  w.gate = Promise.resolve();
});

const patient = (id: string, more: object = {}) => ({ resourceType: 'Patient', id, ...more });
const held = async (url: string) => {
  const { status, body } = await w.operations.send('GET', url);
  return status === 200 ? JSON.parse(body ?? '{}') : status;
};
const version = async (url: string) => at(await held(url), 'meta.versionId');
const told = (report: readonly object[]) =>
  report.map((each) => [
    at(each, 'issue.0.code'),
    /^Input \d+, line \d+/.exec(String(at(each, 'issue.0.diagnostics')))?.[0],
  ]);

test('import: every line of every file, in order, with counts', async () => {
  w.file('one.ndjson', [patient('a'), patient('b'), '', patient('a', { gender: 'female' }), patient('c')]);
  w.file('two.ndjson', [{ resourceType: 'Condition', id: 'x', subject: { reference: 'Patient/a' } }]);
  const { manifest: found, report } = await w.imported('one.ndjson', 'two.ndjson');
  assert.deepEqual(at(found, 'output'), [
    { inputUrl: 'one.ndjson', count: 4, refused: 0 },
    { inputUrl: 'two.ndjson', count: 1, refused: 0 },
  ]);
  assert.deepEqual(report, []);
  assert.equal(at(await held('/Patient/a'), 'gender'), 'female', 'the later line of one id holds');
  assert.deepEqual(await Promise.all(['/Patient/a', '/Patient/b', '/Condition/x'].map(version)), ['2', '1', '1']);
});

test('import: refused lines are told by file and line and keep nobody else out; texts hold no values', async () => {
  const lines = [
    patient('good-1'),
    '{"resourceType":"Patient",',
    '[]',
    patient('bad-gender', { gender: 'Geheim' }),
    patient('Ge heim'),
    { resourceType: 'Geheim', id: 'x' },
    { resourceType: 'AuditEvent', id: 'x' },
    { resourceType: 'Parameters', id: 'x' },
    patient('long', { language: 'x'.repeat(10_000) }),
    { ...patient('number'), id: 7 },
    patient('good-2'),
  ];
  w.file('bad.ndjson', lines);
  const { manifest: found, report } = await w.imported('bad.ndjson');
  assert.deepEqual(at(found, 'output'), [{ inputUrl: 'bad.ndjson', count: 2, refused: 9 }]);
  assert.deepEqual(
    told(report).map(([, place]) => place),
    [2, 3, 4, 5, 6, 7, 8, 9, 10].map((line) => `Input 1, line ${line}`),
  );
  assert.ok(report.every((each) => at(each, 'resourceType') === 'OperationOutcome'));
  assert.ok(!JSON.stringify(report).includes('Geheim') && !JSON.stringify(report).includes('Ge heim'));
  assert.equal(await version('/Patient/good-2'), '1');
});

test('import: bytes that are no UTF-8, CRLF, a byte order mark, no last line break', async () => {
  const bytes = Buffer.concat([
    Buffer.from('\ufeff'),
    Buffer.from(`${JSON.stringify(patient('bytes-1'))}\r\n`),
    Buffer.from([0x22, 0xff, 0xfe, 0x0a]),
    Buffer.from(JSON.stringify(patient('bytes-3', { name: [{ family: 'Ünïcøde 漢字' }] }))),
  ]);
  writeFileSync(join(w.files, 'bytes.ndjson'), bytes);
  const { manifest: found, report } = await w.imported('bytes.ndjson');
  assert.deepEqual(at(found, 'output.0.count'), 2);
  assert.deepEqual(told(report), [['structure', 'Input 1, line 2']]);
  assert.equal(at(await held('/Patient/bytes-3'), 'name.0.family'), 'Ünïcøde 漢字');
});

test('import: an empty file, and one of empty lines, import nothing', async () => {
  w.file('empty.ndjson', []);
  w.file('blank.ndjson', ['', ' ', '']);
  const { manifest: found } = await w.imported('empty.ndjson', 'blank.ndjson');
  assert.deepEqual([at(found, 'output.0.count'), at(found, 'output.1.count')], [0, 0]);
});

test('import: an input of one type refuses lines of another', async () => {
  w.file('typed.ndjson', [patient('typed'), { resourceType: 'Practitioner', id: 'typed' }]);
  const body = { input: [{ type: 'Patient', url: 'typed.ndjson' }] };
  const { headers } = await w.send('/$import', { body });
  await w.desk().idle();
  const { manifest: found, report } = await w.outcomeOf((headers['Content-Location'] ?? '').slice(w.desk().url.length));
  assert.deepEqual(at(found, 'output'), [{ type: 'Patient', inputUrl: 'typed.ndjson', count: 1, refused: 1 }]);
  assert.deepEqual(told(report), [['invalid', 'Input 1, line 2']]);
});

test('import: a line without id is a create, the same one however often the job is taken up', async () => {
  const nameless = { resourceType: 'Patient', birthDate: '1901-01-01' };
  w.file('nameless.ndjson', [nameless, nameless]);
  await w.imported('nameless.ndjson');
  const found = await held('/Patient?birthdate=1901-01-01');
  assert.equal(at(found, 'entry.length'), 2, 'two lines, two resources, though they say the same');
});

test('import: NDJSON as the body, cut anywhere', async () => {
  const upload = `${JSON.stringify(patient('body-1', { name: [{ family: '漢字' }] }))}\n${JSON.stringify(patient('body-2'))}`;
  const response = await w.send('/$import', { upload, headers: { 'content-type': 'application/fhir+ndjson' } });
  assert.equal(response.status, 202, response.body);
  await w.desk().idle();
  const path = (response.headers['Content-Location'] ?? '').slice(w.desk().url.length);
  const { manifest: found } = await w.outcomeOf(path);
  assert.deepEqual(at(found, 'output'), [{ count: 2, refused: 0 }]);
  assert.equal(at(await held('/Patient/body-1'), 'name.0.family'), '漢字');
});

const KICK_OFFS: readonly [why: string, status: number, body: unknown][] = [
  ['control: a manifest', 202, manifest('one.ndjson')],
  ['control: Parameters', 202, parameters(['input', { part: [{ name: 'url', valueUri: 'one.ndjson' }] }])],
  ['a file URL in the folder', 202, 'file'],
  ['a file in a folder of the folder', 202, manifest('deep/three.ndjson')],
  ['no input', 400, { inputFormat: 'application/fhir+ndjson' }],
  ['an empty list', 400, { input: [] }],
  ['another format', 400, { ...manifest('one.ndjson'), inputFormat: 'text/csv' }],
  ['an input without url', 400, { input: [{ type: 'Patient' }] }],
  ['an input that is a text', 400, { input: ['one.ndjson'] }],
  ['an unknown member', 400, { ...manifest('one.ndjson'), force: true }],
  ['an unknown part', 400, { input: [{ url: 'one.ndjson', etag: '1' }] }],
  ['no such file', 400, manifest('none.ndjson')],
  ['the folder itself', 400, manifest('.')],
  ['an empty name', 400, manifest('')],
  ['above the folder', 400, manifest('../secret.ndjson')],
  ['above the folder, escaped', 400, manifest('..%2fsecret.ndjson')],
  ['a broken escape', 400, manifest('%zz')],
  ['a zero byte', 400, manifest('one%00.ndjson')],
  ['a path from the root', 400, manifest('/etc/passwd')],
  ['a file URL elsewhere', 400, manifest('file:///etc/passwd')],
  ['a file URL of another machine', 400, manifest('file://host/one.ndjson')],
  ['a link that leads out', 400, manifest('out.ndjson')],
  ['http', 400, manifest('http://127.0.0.1/one.ndjson')],
  ['a data URL', 400, manifest('data:,x')],
  ['not an object', 400, []],
  ['a resource', 400, patient('x')],
];
test('import: kick-offs and their statuses; paths never leave the folder', async () => {
  mkdirSync(join(w.files, 'deep'));
  w.file('deep/three.ndjson', []);
  writeFileSync(join(w.files, '..', 'secret.ndjson'), JSON.stringify(patient('secret')));
  symlinkSync(join(w.files, '..', 'secret.ndjson'), join(w.files, 'out.ndjson'));
  const found: unknown[] = [];
  for (const [why, , body] of KICK_OFFS) {
    const sent = body === 'file' ? manifest(pathToFileURL(join(w.files, 'one.ndjson')).href) : body;
    const { status, headers } = await w.send('/$import', {
      body: sent,
      headers: { 'content-type': 'application/json' },
    });
    found.push([why, status]);
    await w.desk().idle();
    const path = headers['Content-Location']?.slice(w.desk().url.length);
    if (path !== undefined) await w.ask('DELETE', path);
  }
  assert.deepEqual(
    found,
    KICK_OFFS.map(([why, status]) => [why, status]),
  );
  assert.equal(await held('/Patient/secret'), 404);
});

test('import: GET starts nothing; a Bundle starts nothing; one of a caller at a time', async () => {
  assert.equal((await w.operations.send('GET', '/$import')).status, 405);
  const entry = [
    { resource: parameters(['inputFormat', { valueString: 'ndjson' }]), request: { method: 'POST', url: '$import' } },
  ];
  const batch = await w.operations.send('POST', '', { body: { resourceType: 'Bundle', type: 'batch', entry } });
  assert.match(String(at(json(batch), 'entry.0.response.status')), /^413/);
  let open = (): void => undefined;
  w.gate = new Promise((resolve) => {
    open = resolve;
  });
  const first = await w.send('/$import', { body: manifest('one.ndjson') });
  const second = await w.send('/$import', { body: manifest('one.ndjson') });
  assert.deepEqual([first.status, second.status, ...issuesIn(second)], [202, 429, 'error throttled']);
  open();
  await w.desk().idle();
});

test("import: a job is its caller's; cancelled or expired it is gone, with its files", async () => {
  w.file('expiry.ndjson', [patient('expiry')]);
  const { path } = await w.imported('expiry.ndjson');
  assert.equal((await w.ask('GET', path, { ...LOCAL, principal: 'other' })).status, 404);
  w.clock.now += EXPIRY_MS - 1;
  assert.equal((await w.ask('GET', path)).status, 200, 'kept up to the hour');
  w.clock.now += 1;
  assert.equal((await w.ask('GET', path)).status, 404, 'and no longer');
  const again = await w.imported('expiry.ndjson');
  assert.equal((await w.ask('DELETE', again.path)).status, 202);
  assert.equal((await w.ask('GET', again.path)).status, 404);
  assert.equal(existsSync(join(w.jobs, again.path.slice(1))), false);
});

test('import: stopped after any chunk and taken up again, each line is written once and told once', async () => {
  for (let stop = 0; stop <= 4; stop++) {
    const lines = Array.from({ length: 10 }, (_, index) =>
      index % 4 === 3 ? patient(`stop${stop}-${index}`, { gender: 'bad' }) : patient(`stop${stop}-${index}`),
    );
    w.file('stop.ndjson', lines);
    let asked = 0;
    w.tools.stopped = () => asked++ >= stop;
    const { headers } = await w.send('/$import', { body: manifest('stop.ndjson') });
    const path = (headers['Content-Location'] ?? '').slice(w.desk().url.length);
    await w.desk().idle();
    const running = await w.ask('GET', path);
    assert.equal(running.status, stop > 3 ? 200 : 202);
    if (stop > 0 && stop <= 3) assert.match(running.headers['X-Progress'] ?? '', /^[1-9]\d?%$/);
    delete w.tools.stopped;
    await w.restart();
    await w.desk().idle();
    const { manifest: found, report } = await w.outcomeOf(path);
    assert.deepEqual(at(found, 'output'), [{ inputUrl: 'stop.ndjson', count: 8, refused: 2 }], `after ${stop}`);
    assert.deepEqual(
      told(report).map(([, place]) => place),
      ['Input 1, line 4', 'Input 1, line 8'],
    );
    for (const index of [0, 5, 9]) assert.equal(await version(`/Patient/stop${stop}-${index}`), '1');
    await w.ask('DELETE', path);
  }
});

test('import: a crash between the writes of a chunk and its progress; what was changed in between stays', async () => {
  w.file('doubt.ndjson', [
    patient('doubt-1'),
    patient('doubt-2'),
    { resourceType: 'Patient', birthDate: '1902-01-01' },
  ]);
  w.tools.pause = () => Promise.reject(new Error('never'));
  let writes = 0;
  const { context } = w.operations;
  const crashing = {
    ...context,
    store: new Proxy(context.store, {
      get: (target, name) => {
        const member = Reflect.get(target, name);
        if (name !== 'commit') return typeof member === 'function' ? member.bind(target) : member;
        return async (request: Parameters<typeof target.commit>[0]) => {
          const result = await target.commit(request);
          writes += 1;
          if (writes === 3) throw new Error('killed');
          return result;
        };
      },
    }),
  };
  Object.assign(w.tools, { context: crashing });
  const { headers } = await w.send('/$import', { body: manifest('doubt.ndjson') });
  const path = (headers['Content-Location'] ?? '').slice(w.desk().url.length);
  delete w.tools.pause;
  await w.desk().idle();
  const first = await w.ask('GET', path);
  assert.equal(first.status, 200, 'the second attempt of the desk ends it');
  assert.deepEqual(at(json(first), 'output.0'), { inputUrl: 'doubt.ndjson', count: 3, refused: 0 });
  assert.equal(await version('/Patient/doubt-1'), '1');
  assert.equal(at(await held('/Patient?birthdate=1902-01-01'), 'entry.length'), 1);
  assert.deepEqual(w.operations.reported.splice(0).map(String), ['Error: killed']);
});

test('import: a line in doubt that somebody changed since is not written again', async () => {
  w.file('edited.ndjson', [patient('edited'), patient('other-1')]);
  let attempt = 0;
  w.tools.stopped = () => {
    attempt += 1;
    return attempt === 1;
  };
  // The job is stopped before its first chunk; the chunk is then written as the job would, and edited by somebody.
  const { headers } = await w.send('/$import', { body: manifest('edited.ndjson') });
  const path = (headers['Content-Location'] ?? '').slice(w.desk().url.length);
  await w.desk().idle();
  await w.operations.hold({ resourceType: 'Patient', id: 'edited' });
  await w.operations.hold({ resourceType: 'Patient', id: 'edited', gender: 'other' });
  await w.restart();
  await w.desk().idle();
  assert.equal((await w.ask('GET', path)).status, 200);
  assert.deepEqual([await version('/Patient/edited'), at(await held('/Patient/edited'), 'gender')], ['2', 'other']);
  assert.equal(await version('/Patient/other-1'), '1');
});

test('import: imported again, nothing is written; a changed line is', async () => {
  w.file('again.ndjson', [patient('again-1'), patient('again-2')]);
  await w.imported('again.ndjson');
  w.file('again.ndjson', [patient('again-1'), patient('again-2', { gender: 'male' })]);
  const { manifest: found } = await w.imported('again.ndjson');
  assert.equal(at(found, 'output.0.count'), 2);
  assert.deepEqual([await version('/Patient/again-1'), await version('/Patient/again-2')], ['1', '2']);
});

test('import: audited: the kick-off, each line with its patient, refused lines too', async () => {
  const from = w.operations.accesses.length;
  w.file('audit.ndjson', [patient('audited'), '{', patient('audited-2', { gender: 'bad' })]);
  await w.imported('audit.ndjson');
  const seen = w.operations.accesses
    .slice(from)
    .map(({ status, entries }) => [entries[0]?.interaction, entries[0]?.resource?.id, status]);
  assert.deepEqual(seen[0], ['operation', undefined, 202]);
  assert.deepEqual(
    new Set(seen.slice(1, 4).map((each) => JSON.stringify(each))),
    new Set([
      JSON.stringify(['update', 'audited', 201]),
      JSON.stringify(['update', undefined, 400]),
      JSON.stringify(['update', 'audited-2', 400]),
    ]),
  );
});

async function* slowly(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('y');
}

test('uploads: one at a time; a body that is cut off leaves nothing', async () => {
  let end = (): void => undefined;
  const slow = w.uploads.keep(
    'slow',
    (async function* () {
      yield Buffer.from('x');
      await new Promise<void>((resolve) => {
        end = resolve;
      });
      throw new Error('cut off');
    })(),
  );
  const cut = assert.rejects(slow, /cut off/);
  await assert.rejects(w.uploads.keep('second', slowly()), { kind: 'throttled' });
  await new Promise((resolve) => setImmediate(resolve));
  end();
  await cut;
  assert.deepEqual(readdirSync(join(w.files, '..', 'uploads')), []);
});
