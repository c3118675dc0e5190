// Patient/$purge: what is removed, what stays, what is refused. FHIR R6 ballot patient-operation-purge.html; GDPR Art. 17; docs/privacy.md
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { jobRun } from '../../src/jobs/run.ts';
import { type PurgeProgress, type PurgeSaid, type PurgeTools, runPurge } from '../../src/privacy/purge.ts';
import { answer } from '../../src/rest/interact.ts';
import type { PurgeJob, PurgeResult } from '../../src/rest/jobs/purge.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { CommitRequest, ResourceStore } from '../../src/store/port.ts';
import { type EngineWorld, engineWorld } from '../rest/engine-world.ts';
import { json, world } from '../world.ts';

const LOCAL = localCaller(localFacts('purge-1', '127.0.0.1'));
const subject = { reference: 'Patient/p' };
const other = { reference: 'Patient/q' };
const CODE = { coding: [{ system: 'http://loinc.org', code: '8867-4' }] };
const observation = (id: string, of: object) => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: CODE,
  subject: of,
});
const hold = (id: string, status: string, item: object) => ({
  resourceType: 'List',
  id,
  status,
  mode: 'working',
  code: { coding: [{ system: 'https://firewatch.example/fhir/CodeSystem/privacy', code: 'legal-hold' }] },
  entry: [{ item }],
});
const RECORD = [
  { resourceType: 'Patient', id: 'p', name: [{ family: 'Gone' }] },
  { resourceType: 'Patient', id: 'q', name: [{ family: 'Stays' }] },
  observation('mine', subject),
  observation('theirs', other),
];

interface Ran {
  readonly said: PurgeSaid | undefined;
  readonly percent: number;
  readonly done: boolean;
}

async function filled(context: TestContext, more: Parameters<typeof engineWorld>[0] = []): Promise<EngineWorld> {
  const engine = await engineWorld([...RECORD, ...more]);
  context.after(() => engine.close());
  return engine;
}

async function purged(
  { context: rest }: EngineWorld,
  more: Partial<PurgeTools> = {},
  order: Partial<PurgeJob> = {},
  id = 'job',
): Promise<Ran> {
  const job = {
    ...{ id: 'job', caller: LOCAL, request: '', transactionTime: 0, patients: ['p'], isRepeated: false },
    ...order,
  };
  const run = jobRun<PurgeProgress, PurgeResult>({ kind: 'purge', id, folder: '', term: 1, fence: [] }, rest.store);
  const done = await runPurge(run, job, {
    store: rest.store,
    spaces: [],
    audit: (patients) =>
      rest.audit({ caller: LOCAL, entries: [{ interaction: 'operation', operation: 'purge', patients }], status: 200 }),
    now: () => Date.UTC(2026, 0, 2),
    pause: async () => undefined,
    stopped: () => false,
    span: 2,
    ...more,
  });
  const progress = await run.progress();
  return { done, said: progress?.said, percent: progress?.percent ?? 0 };
}

async function statuses(engine: EngineWorld, paths: readonly string[]): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const path of paths) found[path] = (await engine.send('GET', path)).status;
  return found;
}

/** A store whose first commit lets `first` happen before it. */
function beforeCommit(store: ResourceStore, first: () => Promise<void>): ResourceStore {
  let done = false;
  const commit = async (request: CommitRequest) => {
    if (!done) {
      done = true;
      await first();
    }
    return store.commit(request);
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'commit') return commit;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

test('privacy@purge-record: current, superseded and deleted versions go, of every kind; another patient stays', async (context) => {
  const provenance = (id: string, target: readonly object[]) => ({
    ...{ resourceType: 'Provenance', id, recorded: '2026-01-01T00:00:00Z', target },
    agent: [{ who: { reference: 'Practitioner/d' } }],
  });
  const engine = await filled(context, [
    observation('deleted', subject),
    { resourceType: 'Binary', id: 'scan', contentType: 'image/png', data: 'AAAA' },
    { resourceType: 'Binary', id: 'leaflet', contentType: 'image/png', data: 'AAAA' },
    { resourceType: 'Binary', id: 'picture', contentType: 'image/png', data: 'AAAA' },
    { resourceType: 'Binary', id: 'source', contentType: 'image/png', data: 'AAAA' },
    { resourceType: 'Binary', id: 'own', contentType: 'image/png', data: 'AAAA', securityContext: subject },
    // Nothing of theirs points at these; another's record does at the last.
    { resourceType: 'Binary', id: 'loose', contentType: 'image/png', data: 'AAAA', securityContext: subject },
    {
      ...{ resourceType: 'Binary', id: 'of-doc', contentType: 'image/png', data: 'AAAA' },
      securityContext: { reference: 'DocumentReference/doc/_history/1' },
    },
    { resourceType: 'Binary', id: 'lent', contentType: 'image/png', data: 'AAAA', securityContext: subject },
    { resourceType: 'Binary', id: 'others', contentType: 'image/png', data: 'AAAA', securityContext: other },
    {
      ...{ resourceType: 'DocumentReference', id: 'doc', status: 'current', subject },
      content: ['scan', 'leaflet', 'picture', 'source', 'own'].map((id) => ({ attachment: { url: `Binary/${id}` } })),
    },
    {
      ...{ resourceType: 'DocumentReference', id: 'doc2', status: 'current', subject: { reference: 'Patient/q' } },
      content: ['leaflet', 'own', 'lent', 'others'].map((id) => ({ attachment: { url: `Binary/${id}` } })),
    },
    // No search parameter of R4 finds these two.
    {
      ...{ resourceType: 'Media', id: 'photo', status: 'completed', subject: other },
      content: { url: 'http://127.0.0.1:8080/fhir/Binary/picture' },
    },
    {
      ...provenance('derived', [{ reference: 'Observation/theirs' }]),
      entity: [{ role: 'source', what: { reference: 'Binary/source' } }],
    },
    provenance('of-scan', [{ reference: 'Binary/scan' }]),
    { resourceType: 'Device', id: 'pump', patient: subject },
    { ...{ resourceType: 'Task', id: 'task', status: 'requested', intent: 'order' }, for: subject },
    provenance('of-mine', [{ reference: 'Observation/mine' }]),
    provenance('of-both', [{ reference: 'Observation/mine/_history/1' }, { reference: 'Observation/theirs' }]),
  ]);
  await engine.send('PUT', '/Observation/mine', { body: { ...observation('mine', subject), status: 'amended' } });
  await engine.send('DELETE', '/Observation/deleted');
  // The picture is in a superseded version of another's only.
  await engine.send('PUT', '/Media/photo', {
    body: { resourceType: 'Media', id: 'photo', status: 'completed', subject: other, content: { title: 'x' } },
  });
  const { said } = await purged(engine);
  assert.deepEqual(said?.purged?.shared, ['Binary/leaflet', 'Binary/picture', 'Binary/source']);
  const gone = ['/Patient/p', '/Observation/mine', '/Observation/deleted', '/DocumentReference/doc', '/Binary/scan'];
  const also = [
    '/Device/pump',
    '/Task/task',
    '/Provenance/of-mine',
    '/Provenance/of-scan',
    '/Binary/own',
    '/Binary/loose',
    '/Binary/of-doc',
    '/Binary/lent',
    '/Observation/mine/_history/1',
    '/Patient/p/$everything',
  ];
  const stays = ['/Patient/q', '/Observation/theirs', '/DocumentReference/doc2', '/Provenance/of-both', '/Media/photo'];
  stays.push('/Provenance/derived', '/Binary/leaflet', '/Binary/picture', '/Binary/source', '/Binary/others');
  assert.deepEqual(
    await statuses(engine, [...gone, ...also, ...stays]),
    Object.fromEntries([...[...gone, ...also].map((path) => [path, 404]), ...stays.map((path) => [path, 200])]),
  );
  for (const path of [
    '/Observation?subject=Patient/p',
    '/Patient?name=gone',
    '/Observation?code=8867-4&subject=Patient/p',
  ]) {
    assert.equal(json(await engine.send('GET', `${path}&_total=accurate`)).total, 0, path);
  }
  const left = await engine.store.versionsAbout(['p'], 0, await engine.store.latestSequence());
  assert.deepEqual(left, []);
});

test('privacy@purge-shared: what is about another patient too stays and is named; a version that was about this one goes', async (context) => {
  const group = {
    resourceType: 'Group',
    id: 'both',
    type: 'person',
    actual: true,
    member: [{ entity: subject }, { entity: other }],
  };
  const engine = await filled(context, [group, observation('moved', subject)]);
  await engine.send('PUT', '/Observation/moved', { body: observation('moved', other) });
  const { said } = await purged(engine);
  assert.deepEqual(said?.purged, { resources: 2, versions: 1, shared: ['Group/both'] });
  const paths = ['/Group/both', '/Observation/moved', '/Observation/moved/_history/1', '/Observation/moved/_history/2'];
  assert.deepEqual(Object.values(await statuses(engine, paths)), [200, 200, 404, 200]);
});

test('privacy@purge-forgotten: nothing about the patient can be written again', async (context) => {
  const engine = await filled(context);
  await purged(engine);
  for (const [path, body] of [
    ['/Patient/p', RECORD[0]],
    ['/Observation/new', observation('new', subject)],
  ] as const) {
    const { status, body: text } = await engine.send('PUT', path, { body });
    assert.equal(status, 422, path);
    assert.match(text ?? '', /was erased/);
  }
  assert.equal((await engine.send('PUT', '/Observation/new', { body: observation('new', other) })).status, 201);
});

const NAMING: readonly (readonly [why: string, name: (of: object) => object])[] = [
  ['Task.for', (of) => ({ resourceType: 'Task', status: 'requested', intent: 'order', for: of })],
  ['Task.focus', (of) => ({ resourceType: 'Task', status: 'requested', intent: 'order', focus: of })],
  ['Device.patient', (of) => ({ resourceType: 'Device', patient: of })],
  ['Communication.subject', (of) => ({ resourceType: 'Communication', status: 'completed', subject: of })],
  ['Communication.about', (of) => ({ resourceType: 'Communication', status: 'completed', about: [of] })],
  ['Observation.focus', (of) => ({ ...observation('x', other), focus: [of] })],
  [
    'Provenance.target',
    (of) => ({
      ...{ resourceType: 'Provenance', target: [of], recorded: '2026-01-01T00:00:00Z' },
      agent: [{ who: { display: 'x' } }],
    }),
  ],
  ['AuditEvent.entity.what', (of) => ({ ...EVENT, entity: [{ what: of }] })],
  ['AuditEvent.agent.who', (of) => ({ ...EVENT, agent: [{ who: of, requestor: true }] })],
  ['List.entry.item', (of) => hold('x', 'current', of)],
];
const EVENT = {
  ...{ resourceType: 'AuditEvent', type: { code: 'rest' }, recorded: '2026-01-01T00:00:00Z' },
  ...{ agent: [{ requestor: true }], source: { observer: { display: 'other' } } },
};
test('privacy@purge-named: what names who was erased, wherever, is refused; of others it is taken', async (context) => {
  const engine = await filled(context, [{ resourceType: 'List', id: 'l', status: 'current', mode: 'working' }]);
  await purged(engine);
  for (const [why, name] of NAMING) {
    for (const reference of ['Patient/p', 'Patient/p/_history/1', 'http://127.0.0.1:8080/fhir/Patient/p']) {
      const body = name({ reference });
      const path = `/${String('resourceType' in body && body.resourceType)}`;
      const { status, body: text } = await engine.send('POST', path, { body });
      assert.equal(status, 422, `${why} ${reference} ${text}`);
      assert.match(text ?? '', /was erased/);
    }
    for (const reference of ['Patient/q', 'https://other.example/fhir/Patient/p']) {
      const body = name({ reference });
      const { status, body: text } = await engine.send(
        'POST',
        `/${String('resourceType' in body && body.resourceType)}`,
        { body },
      );
      assert.equal(status, 201, `${why} ${reference} ${text}`);
    }
  }
  const change = [{ op: 'add', path: '/entry', value: [{ item: subject }] }];
  const headers = { 'content-type': 'application/json-patch+json' };
  assert.equal((await engine.send('PATCH', '/List/l', { headers, body: change })).status, 422, 'by patch');
  const request = { method: 'POST', url: 'Device' };
  const entry = [{ request, resource: { resourceType: 'Device', patient: subject } }];
  const bundle = { resourceType: 'Bundle', type: 'transaction', entry };
  assert.equal((await engine.send('POST', '/', { body: bundle })).status, 422, 'in a transaction');
  assert.doesNotMatch((await engine.send('GET', '/AuditEvent?_count=200')).body ?? '', /"Patient\/p[/"]/);
});

test('privacy@purge-audit: the chain is whole, no event names the patient any more, the purge is an event', async (context) => {
  const engine = await filled(context);
  assert.ok(
    Number(json(await engine.send('GET', '/AuditEvent?patient=Patient/p&_total=accurate')).total) > 0,
    'control',
  );
  await purged(engine);
  const found = json(await engine.send('GET', '/AuditEvent?patient=Patient/p&_total=accurate'));
  assert.equal(found.total, 0);
  const all = (await engine.send('GET', '/AuditEvent?_count=50')).body ?? '';
  assert.doesNotMatch(all, /Patient\/p"/);
  assert.match(all, /"name":"\$purge"/);
  assert.equal((await engine.store.verifyAudit()).broken, undefined);
});

for (const [name, list, refused] of [
  ['a current List', hold('h', 'current', subject), true],
  ['a List that is over', hold('h', 'retired', subject), false],
  ['a hold of another patient', hold('h', 'current', other), false],
] as const) {
  test(`privacy@purge-hold: ${name} ${refused ? 'refuses' : 'does not refuse'}`, async (context) => {
    const engine = await filled(context, [list]);
    const { said } = await purged(engine);
    assert.equal(said?.purged === undefined, refused);
    assert.equal((await engine.send('GET', '/Patient/p')).status, refused ? 200 : 404);
  });
}

test('privacy@purge-hold: the register of erasures asks for no hold', async (context) => {
  const engine = await filled(context, [hold('h', 'current', subject)]);
  await purged(engine, {}, { isRepeated: true });
  assert.equal((await engine.send('GET', '/Patient/p')).status, 404);
});

test('privacy@purge-race: a version written between the look and the commit goes too', async (context) => {
  const engine = await filled(context);
  const store = beforeCommit(engine.store, async () => {
    assert.equal((await engine.send('PUT', '/Observation/late', { body: observation('late', subject) })).status, 201);
    assert.equal((await engine.send('PUT', '/Observation/mine', { body: observation('mine', other) })).status, 200);
  });
  await purged(engine, { store });
  const paths = ['/Observation/late', '/Patient/p', '/Observation/mine', '/Observation/mine/_history/1'];
  assert.deepEqual(Object.values(await statuses(engine, paths)), [404, 404, 200, 404]);
});

test('privacy@purge-race: what names the patient outside of the compartment comes before the purge and goes, or is refused', async (context) => {
  for (const [why, name] of NAMING) {
    const engine = await filled(context);
    const body = name(subject);
    const path = `/${String('resourceType' in body && body.resourceType)}`;
    const late = { ...engine.context, store: beforeCommit(engine.store, async () => void (await purged(engine))) };
    const { wire } = world();
    const answered = await answer(wire('POST', path, { body }), localCaller(localFacts('late', '127.0.0.1')), late);
    assert.equal(answered.status, 422, `${why}: ${answered.body}`);
    assert.match(answered.body ?? '', /was erased/);
  }
  const engine = await filled(context);
  const task = { ...{ resourceType: 'Task', id: 'late', status: 'requested', intent: 'order' }, for: subject };
  const store = beforeCommit(engine.store, async () => {
    assert.equal((await engine.send('PUT', '/Task/late', { body: task })).status, 201);
  });
  await purged(engine, { store });
  assert.deepEqual(Object.values(await statuses(engine, ['/Task/late', '/Patient/p'])), [404, 404]);
});

test('privacy@purge-stop: stopped at any step it has changed nothing; run again it is done', async (context) => {
  const engine = await filled(context);
  for (const steps of [0, 1]) {
    let count = 0;
    const { done, percent } = await purged(engine, { stopped: () => count++ >= steps });
    assert.equal(done, false);
    assert.equal(percent > 0, steps > 0);
    assert.equal((await engine.send('GET', '/Patient/p')).status, 200);
  }
  assert.equal((await purged(engine)).done, true);
  assert.equal((await engine.send('GET', '/Patient/p')).status, 404);
  const again = await purged(engine, {}, {}, 'another');
  assert.deepEqual(again.said?.purged, { resources: 0, versions: 0, shared: [] }, 'after a crash behind the commit');
});

test('privacy@purge-traces: rows of rooms that tell of the patient go in the same commit', async (context) => {
  const engine = await filled(context);
  const set = (key: string, value: string) => ({ op: 'set', space: 'room', key, value }) as const;
  await engine.store.commit({ commands: [set('p', 'x'), set('q', 'y')], audit: [] });
  const spaces = [{ space: 'room', tells: ({ key }: { key: string }, of: ReadonlySet<string>) => of.has(key) }];
  await purged(engine, { spaces });
  assert.deepEqual(
    (await engine.store.keyedPage('room', { count: 9 })).map(({ key }) => key),
    ['q'],
  );
});
