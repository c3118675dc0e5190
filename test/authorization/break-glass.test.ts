// Emergency access at the embedded authorization server, as an app, its user and the privacy officer meet it: docs/privacy.md#break-glass, decision 0044.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { AuditEvent, Bundle, Task } from 'fhir/r4.d.ts';
import { decodeJwt } from 'jose';
import type { TOTP } from 'otpauth';
import { hasSignedInFor, leftInEmergency, reasonIn } from '../../src/authorization/emergency.ts';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { type Receiver, receiver, until } from '../subscriptions/receiver.ts';
import { byCriteria } from '../subscriptions/world.ts';
import { Browser, formOf, newKey, OauthWorld, type Reason } from './server-world.ts';

const LIMIT = { timeout: 60_000 };
const REASON: Reason = { code: 'cannot-consent', text: 'Found "unconscious" in <Canary Street>' };
const BTG = { purpose_of_use: 'BTG' };
const ehrKey = newKey();
let world: OauthWorld;
let hook: Receiver;
before(async () => {
  world = await OauthWorld.open();
  hook = await receiver();
  const code = { text: 'x' };
  for (const id of ['p1', 'p2']) {
    await world.patient(id);
    await stored('Condition', `c-${id}`, { subject: { reference: `Patient/${id}` } });
    // Whatever is of the patient, the Patient included, is hidden from everyone.
    await stored('Consent', id, {
      ...{ status: 'active', category: [code], patient: { reference: `Patient/${id}` }, policyRule: code },
      scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
      provision: { type: 'deny' },
    });
  }
  await world.client('app');
  await world.client('ehr', {
    ...{ redirectUris: [], backend: true, ehr: true, kind: 'key', jwks: ehrKey.jwks, scopes: ['launch'] },
  });
});
after(async () => {
  await hook.close();
  await world.close();
});

async function stored(type: string, id: string, more: object): Promise<void> {
  const headers = { 'content-type': 'application/fhir+json' };
  const body = JSON.stringify({ resourceType: type, id, ...more });
  const wire = { method: 'PUT', path: `/${type}/${id}`, query: '', headers, body };
  const { status, body: text } = await world.system.answerHeavy(wire, localFacts('test', '127.0.0.1'));
  assert.equal(status, 201, text);
}
async function found<T>(path: string, query: string): Promise<readonly T[]> {
  const wire = { method: 'GET', path, query, headers: {}, body: undefined };
  const { body } = await world.system.answerHeavy(wire, localFacts('test', '127.0.0.1'));
  const { entry = [] }: Bundle = JSON.parse(body ?? '{}');
  return entry.map(({ resource }) => resource as T);
}
const tasks = (): Promise<readonly Task[]> => found('/Task', 'code=break-glass-review&_count=50');

let users = 0;
/** A user of their own, whose codes of the second factor are used up by no other test. */
async function somebody(role = 'physician') {
  const name = `user-${++users}`;
  const fhirUser = role === 'patient' ? 'Patient/p1' : `Practitioner/${name}`;
  return { name, totp: await world.user(name, { role, fhirUser }), fhirUser };
}
/** The code of the half minute before: then the one of now is still good. */
const earlier = (totp: TOTP | undefined): Pick<TOTP, 'generate'> => ({
  generate: () => totp?.generate({ timestamp: Date.now() - 30_000 }) ?? '',
});

test(
  'smart-server@break-glass: a signed-in physician signs in again, says why, and sees one restricted record for 15 minutes',
  LIMIT,
  async () => {
    const { name, totp, fhirUser } = await somebody();
    const browser = new Browser();
    const openly = await world.authorize({ name, totp: earlier(totp) }, { scope: 'user/Patient.rs' }, { browser });
    const { access_token: ordinary } = (await world.exchange(openly)).json;
    assert.equal((await world.fhir('/Patient/p1', ordinary)).status, 404, 'what the Consent hides');

    const seen: string[] = [];
    const ask = browser.ask.bind(browser);
    browser.ask = async (url, init) => {
      const answer = await ask(url, init);
      seen.push(url, answer.headers.get('location') ?? '', /name="step" value="(\w+)"/.exec(answer.text)?.[1] ?? '');
      return answer;
    };
    const scope = 'openid fhirUser launch/patient offline_access online_access patient/*.cruds user/*.rs';
    const authorized = await world.authorize(
      { name, totp },
      { ...BTG, scope },
      { browser, patient: 'p1', reason: REASON },
    );
    const steps = seen.filter((each) => /^\w+$/.test(each));
    assert.deepEqual(steps, ['login', 'code', 'reason', 'search', 'consent']);
    const { json } = await world.exchange(authorized);
    assert.equal(json.expires_in, 900);
    assert.equal(json.refresh_token, undefined);
    assert.deepEqual(String(json.scope).split(' ').toSorted(), [
      'fhirUser',
      'launch/patient',
      'openid',
      'patient/*.rs',
    ]);
    assert.equal(json.patient, 'p1');
    const { exp = 0, iat = 0, jti = '', purpose_of_use } = decodeJwt(String(json.access_token));
    assert.deepEqual([exp - iat, purpose_of_use], [900, 'BTG']);

    assert.deepEqual(
      (await tasks()).filter(({ for: of }) => of?.reference === 'Patient/p1'),
      [],
      'nothing was seen yet',
    );
    const statuses = [];
    for (const path of ['/Patient/p1', '/Condition/c-p1', '/Patient/p2', '/Condition/c-p2'])
      statuses.push((await world.fhir(path, json.access_token)).status);
    assert.deepEqual(statuses, [200, 200, 404, 404]);
    assert.equal(
      (await world.fhir('/Patient/p1', ordinary)).status,
      404,
      'another token of the same user is as it was',
    );

    const [task, ...others] = (await tasks()).filter(({ for: of }) => of?.reference === 'Patient/p1');
    assert.equal(others.length, 0);
    assert.equal(task?.requester?.reference, fhirUser);
    assert.equal(task?.input?.[0]?.valueUri, `urn:ietf:params:oauth:jti:${jti}`);
    assert.deepEqual(
      task?.reasonCode?.coding?.map(({ code }) => code),
      ['cannot-consent', 'BTG'],
    );
    assert.equal(task?.reasonCode?.text, REASON.text);

    const events = await found<AuditEvent>('/AuditEvent', `agent=${fhirUser}&_count=50`);
    assert.equal(events.filter(({ subtype }) => subtype?.[0]?.code === '110127').length, 1);
    assert.ok(events.some(({ outcomeDesc }) => outcomeDesc?.startsWith('BTG cannot-consent:')));
    const kept = await Promise.all(
      ['oauth.grant-context', 'oauth.Interaction', 'oauth.Grant', 'oauth.AccessToken'].map((space) =>
        world.system.store.keyedPage(space, { count: 500 }),
      ),
    );
    const traces = [...seen, JSON.stringify(events), JSON.stringify(kept), JSON.stringify(json)].join('\n');
    assert.doesNotMatch(traces, /Canary/, 'in no URL, no event, and nowhere in the clear');
  },
);

test('smart-server@break-glass-launch: the patient of an EHR launch is not asked for', LIMIT, async () => {
  const { name, totp } = await somebody('nurse');
  const { json: service } = await world.backendToken('ehr', ehrKey, 'launch');
  const body = JSON.stringify({ patient: 'p2' });
  const opened = await fetch(`${world.url}/oauth/launch`, {
    ...{ method: 'POST', body },
    headers: { authorization: `Bearer ${service.access_token}`, 'content-type': 'application/json' },
  });
  const { launch } = (await opened.json()) as { launch: string };
  const changes = { ...BTG, launch, scope: 'launch patient/Condition.rs' };
  const { json } = await world.exchange(await world.authorize({ name, totp }, changes, { reason: REASON }));
  assert.equal(json.patient, 'p2');
  assert.equal((await world.fhir('/Condition/c-p2', json.access_token)).status, 200);
});

const refused: readonly [why: string, role: string, changes: Readonly<Record<string, string>>, error: string][] = [
  ['a role that may not', 'administrator', {}, 'access_denied'],
  ['the privacy officer', 'privacy-officer', {}, 'access_denied'],
  ['a patient', 'patient', {}, 'access_denied'],
  ['no scope of a patient', 'physician', { scope: 'openid user/*.rs' }, 'access_denied'],
  ['no page at all', 'physician', { prompt: 'none' }, 'invalid_request'],
  ['another purpose', 'physician', { purpose_of_use: 'TREAT' }, 'invalid_request'],
];
for (const [why, role, changes, error] of refused) {
  test(`smart-server@break-glass-refused: ${why}`, LIMIT, async () => {
    const { name, totp } = await somebody(role);
    const answered = await world.authorize({ name, totp }, { ...BTG, ...changes }, { patient: 'p1', reason: REASON });
    assert.deepEqual([answered.code, answered.error], [undefined, error]);
  });
}

test('smart-server@break-glass-refused: nothing ticked, and a patient who is not there', LIMIT, async () => {
  const one = await somebody();
  const nothing = { patient: 'p1', reason: REASON, scopes: ['launch/patient'] };
  assert.equal((await world.authorize(one, BTG, nothing)).error, 'access_denied');
  const { code, answer } = await world.authorize(await somebody(), BTG, { patient: 'nobody', reason: REASON });
  assert.equal(code, undefined);
  assert.match(answer.text, /not available/);
});

test('smart-server@break-glass-refused: the purpose said twice, by a form too', LIMIT, async () => {
  const query = new URL(world.authorizeUrl(BTG, 'v'.repeat(43))).searchParams;
  const twice = `${query}&purpose_of_use=BTG`;
  const answered = await new Browser().ask(`${world.url}/oauth/authorize?${twice}`);
  assert.doesNotMatch(answered.headers.get('location') ?? '', /interaction/);
  const posted = await new Browser().post(`${world.url}/oauth/authorize`, {
    ...Object.fromEntries(query),
    prompt: 'none',
  });
  assert.match(posted.headers.get('location') ?? '', /error=invalid_request/);
});

const reasons: readonly [why: string, form: Readonly<Record<string, string>>, isGood: boolean][] = [
  ['a code', { reason: 'life-threatening' }, true],
  ['a code and words', { reason: 'life-threatening', 'reason-text': 'x' }, true],
  ['none', {}, false],
  ['an unknown code', { reason: 'curiosity', 'reason-text': 'x' }, false],
  ['a name of every object', { reason: 'constructor', 'reason-text': 'x' }, false],
  ['another, unsaid', { reason: 'other', 'reason-text': '  ' }, false],
  ['another, said', { reason: 'other', 'reason-text': 'x' }, true],
  ['1000 characters', { reason: 'other', 'reason-text': 'x'.repeat(1000) }, true],
  ['1001 characters', { reason: 'other', 'reason-text': 'x'.repeat(1001) }, false],
];
for (const [why, form, isGood] of reasons) {
  test(`smart-server@break-glass-reason: ${why}`, () => assert.equal(reasonIn(formOf(form)) !== undefined, isGood));
}

test('smart-server@break-glass-reason: without one the page comes again and says so', LIMIT, async () => {
  const reason = { code: 'other', text: '' };
  const { code, answer } = await world.authorize(await somebody(), BTG, { patient: 'p1', reason });
  assert.equal(code, undefined);
  assert.match(answer.text, /role="alert"[^>]*>Choose why/);
});

type Login = { readonly accountId: string; amr: string[] } | undefined;
const signIns: readonly [why: string, login: Login, isGood: boolean][] = [
  ['both factors', { accountId: 'u', amr: ['pwd', 'otp', 'mfa'] }, true],
  ['none: the session was there before', undefined, false],
  ['the password only', { accountId: 'u', amr: ['pwd'] }, false],
  ['somebody else', { accountId: 'v', amr: ['pwd', 'otp', 'mfa'] }, false],
];
for (const [why, login, isGood] of signIns) {
  test(`smart-server@break-glass-again: ${why}`, () => {
    const session = { accountId: 'u', uid: 's', cookie: 'c' };
    const lastSubmission = login === undefined ? {} : { login };
    assert.equal(hasSignedInFor({ lastSubmission, session }), isGood);
  });
}

test('smart-server@break-glass: what is left of scopes is what the role leaves of those of the patient', () => {
  const asked = ['openid', 'launch/patient', 'offline_access', 'patient/*.cruds', 'patient/Condition.cud', 'user/*.rs'];
  assert.deepEqual(leftInEmergency(asked, 'rs'), ['openid', 'launch/patient', 'patient/*.rs']);
  assert.deepEqual(leftInEmergency(['patient/Observation.cru?category=laboratory'], 'r'), [
    'patient/Observation.r?category=laboratory',
  ]);
  assert.deepEqual(leftInEmergency(['patient/*.cruds'], ''), []);
});

test('privacy@break-glass-told: a Subscription tells the privacy officer of each emergency', LIMIT, async () => {
  await world.client('desk', { scopes: ['user/Subscription.crus', 'user/Task.rs'] });
  const officer = await somebody('privacy-officer');
  const scope = 'user/Subscription.crus user/Task.rs';
  const desk = await world.authorize(officer, { client_id: 'desk', scope });
  const { json } = await world.exchange(desk, { client_id: 'desk' });
  const criteria = 'Task?code=break-glass-review&status=requested';
  const response = await fetch(`${world.fhirBase}/Subscription`, {
    method: 'POST',
    headers: { authorization: `Bearer ${json.access_token}`, 'content-type': 'application/fhir+json' },
    body: JSON.stringify(byCriteria(criteria, `${hook.url}/desk`, { payload: 'application/fhir+json' })),
  });
  const subscription = (await response.json()) as { id: string };
  assert.equal(response.status, 201, JSON.stringify(subscription));
  await until(async () => {
    const version = await world.system.store.read({ type: 'Subscription', id: subscription.id });
    return JSON.parse(version?.text ?? '{}').status === 'active';
  });
  const authorized = await world.authorize(await somebody(), BTG, { patient: 'p1', reason: REASON });
  const { access_token: token } = (await world.exchange(authorized)).json;
  assert.equal((await world.fhir('/Patient/p1', token)).status, 200);
  const told = () =>
    hook.received.filter(({ path, body }) => path.startsWith('/desk') && body.includes('break-glass-review'));
  await until(() => told().length > 0);
  assert.equal(told().length, 1);
});
