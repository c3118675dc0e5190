// Emergency access by tokens of issuers outside, over real sockets and with a clock that is moved: docs/privacy.md#break-glass, decision 0044.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { AuditEvent, Bundle, Task } from 'fhir/r4.d.ts';
import { systemAmbient } from '../../src/ambient.ts';
import { readConfig } from '../../src/config.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import { closeGracefully, listen } from '../../src/http/app.ts';
import { emergencyDesk } from '../../src/open/emergency.ts';
import { watchEmergencies } from '../../src/open/emergency-watch.ts';
import { REVIEWS } from '../../src/privacy/break-glass.ts';
import { lookAtReviews, type ReviewCounts } from '../../src/privacy/break-glass-watch.ts';
import { localFacts } from '../../src/rest/permission/caller.ts';
import type { TellEmergency } from '../../src/smart/emergency.ts';
import { StoreError } from '../../src/store/port.ts';
import { buildSystem, type System } from '../../src/system.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { engineWorld } from '../rest/engine-world.ts';
import { storeSettings } from '../test-store.ts';
import { world } from '../world.ts';
import { type Claims, claims, KEYS, signed } from './tokens.ts';

const LIMIT = { timeout: 60_000 };
const folder = mkdtempSync(join(tmpdir(), 'firewatch-break-glass-'));
const AUDIENCE = 'https://fhir.example/fhir';
const [FLAGGED, PLAIN] = ['https://flagged.example', 'https://plain.example'];
const clock = { shift: 0 };
const now = (): number => Date.now() + clock.shift;
let system: System;
let url: string;
let close: () => Promise<void>;

before(async () => {
  const files = join(folder, 'issuers');
  mkdirSync(files);
  const file = { audience: [AUDIENCE], jwks: { keys: [KEYS.jwk] } };
  writeFileSync(join(files, 'plain.json'), JSON.stringify({ ...file, issuer: PLAIN }));
  const renamed = { claims: { purpose: 'reason_for_access' }, breakGlass: true };
  writeFileSync(join(files, 'flagged.json'), JSON.stringify({ ...file, issuer: FLAGGED, ...renamed }));
  const config = readConfig({
    ...{ SEED: 'none', LOG_LEVEL: 'error', ISSUERS_DIR: files, PORT: '8080' },
    ...storeSettings(join(folder, 'data')),
  });
  system = await buildSystem(config, { ambient: { ...systemAmbient(), now } });
  const http = await listen(system.app, { ...config, PORT: 0 });
  system.setListening(true);
  const address = http.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/fhir`;
  close = async () => {
    await closeGracefully(http, 1000);
    await system.close();
  };
  const secret = { meta: { security: [{ system: 'http://x', code: 'V' }] } };
  for (const id of ['a', 'b']) {
    const subject = { reference: `Patient/${id}` };
    const code = { text: 'x' };
    await stored('Patient', id, {});
    await stored('Observation', `open-${id}`, { status: 'final', code, subject });
    await stored('Observation', `secret-${id}`, { status: 'final', code, subject, ...secret });
    await stored('Condition', `refused-${id}`, { subject });
    await stored('Consent', id, {
      status: 'active',
      scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
      ...{ category: [code], patient: subject, policyRule: code },
      provision: { type: 'deny', class: [{ system: 'http://hl7.org/fhir/resource-types', code: 'Condition' }] },
    });
  }
});
after(async () => {
  await close();
  rmSync(folder, { recursive: true, force: true });
});

async function stored(type: string, id: string, more: object): Promise<void> {
  const headers = { 'content-type': 'application/fhir+json' };
  const body = JSON.stringify({ resourceType: type, id, ...more });
  const wire = { method: 'PUT', path: `/${type}/${id}`, query: '', headers, body };
  const { status, body: text } = await system.answerHeavy(wire, localFacts('test', '127.0.0.1'));
  assert.equal(status, 201, text);
}

let tokens = 0;
/** A token for an emergency of patient a, as `more` makes it another. */
async function emergencyToken(more: Claims = {}): Promise<{ readonly bearer: string; readonly jti: string }> {
  const jti = `emergency-${++tokens}`;
  const at = Math.floor(now() / 1000);
  const own = {
    ...{ iss: FLAGGED, aud: AUDIENCE, jti, exp: at + 900, scope: 'patient/*.cruds' },
    ...{ patient: 'a', reason_for_access: 'BTG', roles: ['physician'], fhirUser: 'Practitioner/12' },
  };
  return { bearer: `Bearer ${await signed(claims(now(), { ...own, ...more }))}`, jti };
}
const ask = (path: string, bearer: string, init: RequestInit = {}): Promise<Response> =>
  fetch(url + path, { ...init, headers: { ...init.headers, authorization: bearer } });
const statusOf = async (path: string, bearer: string, init?: RequestInit): Promise<number> => {
  const response = await ask(path, bearer, init);
  await response.arrayBuffer();
  return response.status;
};

/** What the operator's own hand finds. */
async function found<T>(path: string, query: string): Promise<readonly T[]> {
  const wire = { method: 'GET', path, query, headers: {}, body: undefined };
  const { body } = await system.answerHeavy(wire, localFacts('test', '127.0.0.1'));
  const { entry = [] }: Bundle = JSON.parse(body ?? '{}');
  return entry.map(({ resource }) => resource as T);
}
const tasksOf = async (jti: string): Promise<readonly Task[]> =>
  (await found<Task>('/Task', 'code=break-glass-review&_count=50')).filter(
    ({ input }) => input?.[0]?.valueUri === `urn:ietf:params:oauth:jti:${jti}`,
  );
const eventsOf = (jti: string): Promise<readonly AuditEvent[]> =>
  found<AuditEvent>('/AuditEvent', `policy=${encodeURIComponent(`urn:ietf:params:oauth:jti:${jti}`)}&_count=50`);
const isAlert = ({ type, subtype }: AuditEvent): boolean => type.code === '110113' && subtype?.[0]?.code === '110127';

test(
  'privacy@break-glass-effect: labels and Consents of that patient do not hide, those of another do',
  LIMIT,
  async () => {
    const ordinary = await emergencyToken({ reason_for_access: 'TREAT' });
    const { bearer } = await emergencyToken();
    const rows: readonly [path: string, before: number, inEmergency: number][] = [
      ['/Observation/open-a', 200, 200],
      ['/Observation/secret-a', 404, 200],
      ['/Condition/refused-a', 404, 200],
      ['/Patient/a', 200, 200],
      ['/Observation/open-b', 404, 404],
      ['/Observation/secret-b', 404, 404],
      ['/Condition/refused-b', 404, 404],
      ['/Patient/b', 404, 404],
      ['/AuditEvent', 403, 403],
    ];
    for (const [path, normal, emergency] of rows) {
      assert.equal(await statusOf(path, ordinary.bearer), normal, path);
      assert.equal(await statusOf(path, bearer), emergency, `${path} in an emergency`);
    }
    const ids = async (path: string): Promise<readonly unknown[]> => {
      const bundle = (await (await ask(path, bearer)).json()) as Bundle;
      return (bundle.entry ?? []).map(({ resource }) => resource?.id).toSorted();
    };
    assert.deepEqual(await ids('/Observation'), ['open-a', 'secret-a']);
    assert.deepEqual(await ids('/Condition'), ['refused-a']);
    const user = await emergencyToken({ scope: 'user/*.cruds patient/Patient.rs system/*.rs' });
    assert.equal(await statusOf('/Observation/open-a', user.bearer), 403, 'only patient/ scopes count');
    assert.equal(await statusOf('/Patient/a', user.bearer), 200);
  },
);

test('privacy@break-glass-read-only: nothing is written, and no work outlives the emergency', LIMIT, async () => {
  const { bearer } = await emergencyToken();
  const json = { 'content-type': 'application/fhir+json' };
  const body = JSON.stringify({
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'x' },
    subject: { reference: 'Patient/a' },
  });
  assert.equal(await statusOf('/Observation', bearer, { method: 'POST', headers: json, body }), 403);
  assert.equal(await statusOf('/Observation/open-a', bearer, { method: 'DELETE' }), 403);
  assert.equal(await statusOf('/Patient/a/$purge', bearer, { method: 'POST' }), 403, 'a purge is never an emergency');
  assert.equal(await statusOf('/Patient/a/$everything', bearer), 200);
  assert.equal(await statusOf('/Observation', bearer, { headers: { prefer: 'respond-async' } }), 403);
});

const refused: readonly [why: string, more: Claims, status: number][] = [
  ['no role', { roles: [] }, 403],
  ['a role that may not', { roles: ['administrator'] }, 403],
  ['the patient themselves', { roles: ['patient'], fhirUser: 'Patient/a' }, 403],
  ['a patient who is not held', { patient: 'nobody' }, 403],
  ['no patient', { patient: undefined }, 401],
  ['no id of the token', { jti: undefined }, 401],
  ['an issuer without the flag', { iss: PLAIN, purpose_of_use: 'BTG' }, 401],
  ['the same among other purposes', { iss: PLAIN, purpose_of_use: ['TREAT', 'http://x|BTG'] }, 401],
];
for (const [why, more, status] of refused) {
  test(`privacy@break-glass-refused: ${why}`, LIMIT, async () => {
    const { bearer, jti } = await emergencyToken(more);
    assert.equal(await statusOf('/Patient/a', bearer), status);
    assert.deepEqual([await tasksOf(jti), (await eventsOf(jti)).filter(isAlert)], [[], []]);
  });
}

test(
  'privacy@break-glass-short: a token of 900 seconds is taken, of 901 not; it ends to the second',
  LIMIT,
  async () => {
    const at = Math.floor(now() / 1000);
    assert.equal(await statusOf('/Patient/a', (await emergencyToken({ iat: at, exp: at + 901 })).bearer), 401);
    const { bearer } = await emergencyToken({ iat: at, exp: at + 900 });
    const ordinary = await emergencyToken({ iat: at, exp: at + 900, reason_for_access: 'TREAT' });
    try {
      clock.shift = (at + 899) * 1000 - Date.now();
      assert.equal(await statusOf('/Observation/secret-a', bearer), 200);
      clock.shift = (at + 900) * 1000 - Date.now();
      assert.equal(await statusOf('/Observation/secret-a', bearer), 401);
      assert.equal(await statusOf('/Patient/a', ordinary.bearer), 200, 'others have the leeway of clocks');
    } finally {
      clock.shift = 0;
    }
  },
);

test('privacy@break-glass-once: twenty first reads at once leave one alert and one Task', LIMIT, async () => {
  const { bearer, jti } = await emergencyToken();
  const statuses = await Promise.all(Array.from({ length: 20 }, () => statusOf('/Observation/secret-a', bearer)));
  assert.deepEqual(new Set(statuses), new Set([200]));
  const events = await eventsOf(jti);
  assert.equal(events.filter(isAlert).length, 1);
  assert.equal(events.length, 21);
  for (const { purposeOfEvent, agent } of events) {
    assert.equal(purposeOfEvent?.[0]?.coding?.[0]?.code, 'BTG');
    assert.equal(agent.at(-1)?.purposeOfUse?.[0]?.coding?.[0]?.code, 'BTG');
  }
  const [task, ...others] = await tasksOf(jti);
  assert.equal(others.length, 0);
  const { status, for: subject, requester, performerType, reasonCode, meta } = task ?? {};
  assert.equal(status, 'requested');
  assert.equal(subject?.reference, 'Patient/a');
  assert.equal(requester?.reference, 'Practitioner/12');
  assert.equal(performerType?.[0]?.coding?.[0]?.code, 'privacy-officer');
  assert.deepEqual(
    reasonCode?.coding?.map(({ code }) => code),
    ['BTG'],
  );
  assert.deepEqual(
    meta?.security?.map(({ code }) => code),
    ['V'],
  );
  const [alert] = events.filter(isAlert);
  assert.ok(alert?.entity?.some(({ what }) => what?.reference === `Task/${task?.id}/_history/1`));
  assert.ok(alert?.entity?.some(({ what }) => what?.reference === 'Patient/a'));
});

test("privacy@break-glass-once: a Patient who is changed meanwhile is in nobody's way", LIMIT, async () => {
  const changes = Array.from({ length: 12 }, async (_, index) => {
    const wire = { method: 'PUT', path: '/Patient/b', query: '', headers: { 'content-type': 'application/fhir+json' } };
    const body = JSON.stringify({ resourceType: 'Patient', id: 'b', multipleBirthInteger: index });
    return (await system.answerHeavy({ ...wire, body }, localFacts('test', '127.0.0.1'))).status;
  });
  const uses = Array.from({ length: 12 }, async () => {
    const { bearer, jti } = await emergencyToken({ patient: 'b' });
    return [await statusOf('/Patient/b', bearer), (await tasksOf(jti)).length];
  });
  assert.deepEqual(new Set((await Promise.all(uses)).map(String)), new Set(['200,1']));
  assert.deepEqual(new Set(await Promise.all(changes)), new Set([200]));
});

/** What a desk is told of a token. */
function shown(jti: string): Parameters<TellEmergency> {
  const situation = { purposes: ['BTG'], actors: [] };
  const rights = { kind: 'granted', scopes: [], patients: ['a'], situation } as const;
  const token = {
    ...{ issuer: FLAGGED, subject: 'x', client: 'app', id: jti, isOwn: false, grant: undefined, scope: '' },
    ...{
      patient: 'a',
      fhirUser: undefined,
      roles: [],
      withoutRole: 'none',
      purposes: ['BTG'],
      expiresAt: now() + 9000,
    },
  };
  return [{ ...localFacts('r', '127.0.0.1'), rights, token: jti }, token, 'a'];
}

test('privacy@break-glass-once: eight processes that meet one token leave one Task', LIMIT, async () => {
  const { jti } = await emergencyToken();
  const desks = Array.from({ length: 8 }, () => emergencyDesk(() => system.context));
  await Promise.all(desks.map((tell) => tell(...shown(jti))));
  assert.equal((await tasksOf(jti)).length, 1);
  assert.equal((await eventsOf(jti)).filter(isAlert).length, 1);
});

test('privacy@break-glass-once: what cannot be recorded is not answered, and is recorded when it can be', async () => {
  const there = world();
  await there.send('PUT', '/Patient/a', { body: { resourceType: 'Patient', id: 'a' } });
  const tell = emergencyDesk(() => there.context);
  const total = async () => JSON.parse((await there.send('GET', '/Task?_total=accurate')).body ?? '').total;
  there.store.fails = { commit: new StoreError('unavailable', 'disk full') };
  await assert.rejects(tell(...shown('j')), (error) => error instanceof FhirError && error.kind === 'transient');
  there.store.fails = {};
  assert.equal(await total(), 0);
  for (let again = 0; again < 2; again++) await tell(...shown('j'));
  assert.equal(await total(), 1);
});

test(
  'privacy@break-glass-review: the privacy officer finds, judges and closes; clinicians and the patient see none of it',
  LIMIT,
  async () => {
    const { bearer, jti } = await emergencyToken();
    assert.equal(await statusOf('/Patient/a', bearer), 200);
    const staff = { reason_for_access: 'TREAT', scope: 'user/*.cruds user/AuditEvent.rs' };
    const officer = await emergencyToken({ ...staff, roles: ['privacy-officer'], fhirUser: 'Practitioner/1' });
    const queue = async (token: string): Promise<readonly Task[]> => {
      const bundle = (await (
        await ask('/Task?code=break-glass-review&status=requested&_count=50', token)
      ).json()) as Bundle;
      return (bundle.entry ?? []).map(({ resource }) => resource as Task);
    };
    const mine = (tasks: readonly Task[]) => tasks.filter(({ input }) => input?.[0]?.valueUri?.endsWith(`:${jti}`));
    const [task] = mine(await queue(officer.bearer));
    assert.ok(task);
    const physician = await emergencyToken(staff);
    const pharmacist = await emergencyToken({ ...staff, roles: ['pharmacist'] });
    const patient = await emergencyToken({
      ...staff,
      scope: 'patient/*.rs',
      roles: ['patient'],
      fhirUser: 'Patient/a',
    });
    for (const other of [physician, pharmacist, patient]) assert.deepEqual(mine(await queue(other.bearer)), []);
    const seen = `/AuditEvent?policy=${task.input?.[0]?.valueUri}`;
    const { total } = (await (await ask(seen, officer.bearer)).json()) as Bundle;
    assert.equal(total, 2, 'the alert and the read');
    const reviewed = [
      { op: 'replace', path: '/status', value: 'completed' },
      { op: 'add', path: '/output', value: [{ type: { text: 'verdict' }, valueString: 'justified' }] },
    ];
    const headers = { 'content-type': 'application/json-patch+json', 'if-match': 'W/"1"' };
    const change = { method: 'PATCH', headers, body: JSON.stringify(reviewed) };
    assert.equal(
      await statusOf(`/Task/${task.id}`, physician.bearer, change),
      404,
      'not by those who see nothing of it',
    );
    assert.equal(await statusOf(`/Task/${task.id}`, officer.bearer, change), 200);
    assert.deepEqual(mine(await queue(officer.bearer)), []);
  },
);

const DAY_MS = 86_400_000;
const isEnd = ({ type, subtype }: AuditEvent): boolean => type.code === '110113' && subtype?.[0]?.code === '110138';
const look = (): Promise<ReviewCounts> => lookAtReviews(system.context, 3 * DAY_MS);
/** As whoever reviews closes it. */
const closed = async (id: string | undefined): Promise<void> => {
  const headers = { 'content-type': 'application/json-patch+json', 'if-match': 'W/"1"' };
  const body = JSON.stringify([{ op: 'replace', path: '/status', value: 'completed' }]);
  const wire = { method: 'PATCH', path: `/Task/${id}`, query: '', headers, body };
  assert.equal((await system.answerHeavy(wire, localFacts('test', '127.0.0.1'))).status, 200);
};

test(
  'privacy@break-glass-end: the end is an alert, once, not before it and also when the review was closed',
  LIMIT,
  async () => {
    const tokens = [await emergencyToken(), await emergencyToken()];
    for (const { bearer } of tokens) assert.equal(await statusOf('/Patient/a', bearer), 200);
    const ends = () => Promise.all(tokens.map(async ({ jti }) => (await eventsOf(jti)).filter(isEnd)));
    const [task] = await tasksOf(tokens[1]?.jti ?? '');
    await closed(task?.id);
    const end = Date.parse(task?.executionPeriod?.end ?? '');
    try {
      clock.shift = end - 30_000 - Date.now();
      await look();
      assert.deepEqual(await ends(), [[], []]);
      clock.shift = end + 2000 - Date.now();
      await Promise.all(Array.from({ length: 8 }, look));
      await look();
      for (const [event, ...others] of await ends()) {
        assert.equal(others.length, 0);
        const { entity, purposeOfEvent, agent, outcome } = event ?? {};
        assert.equal(outcome, '0');
        assert.ok(entity?.some(({ what }) => what?.reference === 'Patient/a'));
        assert.ok(entity?.some(({ what }) => what?.reference?.startsWith('Task/')));
        assert.equal(purposeOfEvent?.[0]?.coding?.[0]?.code, 'BTG');
        assert.ok(agent?.some(({ who }) => who?.reference === 'Practitioner/12'));
      }
    } finally {
      clock.shift = 0;
    }
  },
);

test(
  'privacy@break-glass-open: reviews count while they are open, as overdue after the days, and no more when closed',
  LIMIT,
  async () => {
    const before = await look();
    const { bearer, jti } = await emergencyToken();
    assert.equal(await statusOf('/Patient/a', bearer), 200);
    assert.deepEqual(await look(), { open: before.open + 1, overdue: 0 });
    const [task] = await tasksOf(jti);
    const authored = Date.parse(task?.authoredOn ?? '');
    try {
      clock.shift = authored + 3 * DAY_MS - 60_000 - Date.now();
      const early = await look();
      clock.shift = authored + 3 * DAY_MS + 60_000 - Date.now();
      const { open, overdue } = await look();
      assert.deepEqual([early.open, open], [before.open + 1, before.open + 1]);
      assert.equal(overdue, open, 'those before are older');
      await closed(task?.id);
      assert.deepEqual(await look(), { open: before.open, overdue: before.open });
    } finally {
      clock.shift = 0;
    }
  },
);

test(
  'privacy@break-glass-open: the log tells what is overdue each day, the gauge how many; neither says who',
  LIMIT,
  async () => {
    const { bearer } = await emergencyToken();
    assert.equal(await statusOf('/Patient/a', bearer), 200);
    const [metrics, told] = [new Metrics(), [] as unknown[]];
    let begin: () => void = () => undefined;
    const duties = {
      during: (work: { begin(): void }) => {
        begin = work.begin;
      },
    };
    const log = {
      event: (...said: unknown[]) => told.push(said),
      failure: (_: unknown, error: unknown) => told.push(error),
    };
    const watch = watchEmergencies(
      { BREAK_GLASS_REVIEW_DAYS: 3 },
      { current: () => system.context, duties, metrics, log },
    );
    const looked = async (): Promise<readonly string[]> => {
      begin();
      await watch.idle();
      const text = metrics.text();
      await watch.close();
      return text.split('\n').filter((line) => line.startsWith('firewatch_break_glass_reviews{'));
    };
    try {
      const { open } = await look();
      const state = (overdue: number) => [
        `firewatch_break_glass_reviews{state="open"} ${open}`,
        `firewatch_break_glass_reviews{state="overdue"} ${overdue}`,
      ];
      assert.deepEqual(await looked(), state(0));
      assert.deepEqual(told, []);
      for (const days of [4, 4.5, 5.1]) {
        clock.shift = days * DAY_MS;
        assert.deepEqual(await looked(), state(open));
      }
      const line = ['reviews-overdue', { count: open }];
      assert.deepEqual(told, [line, line]);
    } finally {
      clock.shift = 0;
    }
  },
);

test('privacy@break-glass-end: a review that went with its patient is forgotten, and nothing is told of it', async (context) => {
  const engine = await engineWorld([{ resourceType: 'Patient', id: 'a' }]);
  context.after(() => engine.close());
  const { store } = engine.context;
  await store.commit({ commands: [{ op: 'set', space: REVIEWS, key: 'purged', value: '1' }], audit: [] });
  assert.deepEqual(await lookAtReviews(engine.context, 3 * DAY_MS), { open: 0, overdue: 0 });
  assert.equal(await store.keyed(REVIEWS, 'purged'), undefined);
  const { body } = await engine.send('GET', '/AuditEvent?subtype=110138');
  assert.equal(JSON.parse(body ?? '').entry, undefined);
});
