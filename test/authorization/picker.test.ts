// The choice of a patient at sign-in lists and takes whom the user may see, as the FHIR API would: role, labels, Consents. docs/authorization-server.md
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { Browser, OauthWorld, PASSWORD, REDIRECT } from './server-world.ts';

let world: OauthWorld;
async function put(resource: {
  readonly resourceType: string;
  readonly id: string;
  readonly [element: string]: unknown;
}) {
  const wire = {
    ...{ method: 'PUT', path: `/${resource.resourceType}/${resource.id}`, query: '' },
    headers: { 'content-type': 'application/fhir+json' },
    body: JSON.stringify(resource),
  };
  const { status, body } = await world.system.answerHeavy(wire, localFacts('fill', '127.0.0.1'));
  assert.ok(status < 300, body);
}
const patient = (id: string, more: object = {}) =>
  put({ resourceType: 'Patient', id, name: [{ family: 'Fenwick', given: [id] }], ...more });
const labelled = (code: string) => ({ meta: { security: [{ system: 'urn:any', code }] } });
const consent = (id: string, of: string, provision: object, status = 'active') =>
  put({
    ...{ resourceType: 'Consent', id, status, category: [{ text: 'x' }], patient: { reference: `Patient/${of}` } },
    scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
    ...{ policyRule: { coding: [{ code: 'OPTIN' }] }, provision },
  });

before(async () => {
  world = await OauthWorld.open();
  await world.client('app');
  await put({ resourceType: 'Practitioner', id: '12' });
  await put({ resourceType: 'Practitioner', id: '13' });
  await patient('open');
  await patient('restricted', labelled('R'));
  await patient('very', labelled('V'));
  await patient('refused');
  await patient('told-12');
  await consent('all', 'refused', { type: 'deny' });
  const actor = [{ role: { text: 'x' }, reference: { reference: 'Practitioner/12' } }];
  await consent('one', 'told-12', { type: 'deny', actor });
});
after(() => world.close());

/** As far as the choice of a patient, whose page takes further steps. */
async function atChoice(who: string) {
  const [role = '', practitioner = ''] = who.split(' ');
  const name = `${role}-${++made}`;
  const totp = await world.user(name, { role, fhirUser: `Practitioner/${practitioner}` });
  const browser = new Browser();
  let answer = await browser.ask(world.authorizeUrl({ scope: 'launch/patient patient/Patient.rs' }, 'v'.repeat(43)));
  let page = '';
  for (let step = 0; step < 8 && !answer.text.includes('value="search"'); step++) {
    const location = answer.headers.get('location');
    if (location?.startsWith(REDIRECT)) return { error: new URL(location).searchParams.get('error'), step: undefined };
    if (location !== null) {
      page = new URL(location, world.url).href;
      answer = await browser.ask(page);
    } else if (answer.text.includes('value="login"')) {
      answer = await browser.post(page, { step: 'login', name, password: PASSWORD });
    } else if (answer.text.includes('value="code"')) {
      answer = await browser.post(page, { step: 'code', code: totp?.generate() ?? '' });
    } else assert.fail(answer.text);
  }
  const take = (form: Readonly<Record<string, string>>) => browser.post(page, form);
  return { error: undefined, step: take };
}
let made = 0;

const EVERYONE = ['open', 'refused', 'restricted', 'told-12', 'very'];
const rows: readonly (readonly [user: string, seen: readonly string[], why: string])[] = [
  ['physician 12', ['open', 'restricted'], 'R is for clinical roles; a Consent names them'],
  ['physician 13', ['open', 'restricted', 'told-12'], 'the Consent names another'],
  ['pharmacist 13', ['open', 'restricted', 'told-12', 'very'], 'sees every label, is bound by Consents'],
  ['privacy-officer 13', EVERYONE, 'is not bound by Consents'],
  ['auditor 13', [], 'sees no patients'],
  ['administrator 13', [], 'sees no patients'],
];
for (const [user, seen, why] of rows) {
  test(`smart-server@picker ${user}: ${why}`, { timeout: 60_000 }, async () => {
    const { step } = await atChoice(user);
    assert.ok(step !== undefined);
    const { text } = await step({ step: 'search', search: 'Fenwick' });
    const listed = [...text.matchAll(/name="patient" value="([^"]+)"/g)].map(([, id]) => id);
    assert.deepEqual(listed.toSorted(), seen);
    assert.doesNotMatch(text, new RegExp(`id (?:${EVERYONE.filter((id) => !seen.includes(id)).join('|') || '-'})\\b`));
    for (const id of EVERYONE) {
      const { text: taken } = await step({ step: 'patient', patient: id });
      assert.equal(taken.includes('value="consent"'), seen.includes(id), `${id} by its id`);
      assert.equal(taken.includes('not available'), !seen.includes(id));
    }
  });
}

test('smart-server@picker-now: a Consent counts with the next search of a page that is open', {
  timeout: 60_000,
}, async () => {
  const { step } = await atChoice('nurse 13');
  assert.ok(step !== undefined);
  const listed = async () =>
    [...(await step({ step: 'search', search: 'Fenwick' })).text.matchAll(/name="patient" value="([^"]+)"/g)].map(
      ([, id]) => id,
    );
  const before = await listed();
  await consent('late', 'open', { type: 'deny' });
  const during = await listed();
  await consent('late', 'open', { type: 'deny' }, 'inactive');
  assert.deepEqual([before.includes('open'), during.includes('open'), await listed()], [true, false, before]);
});
