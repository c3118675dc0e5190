// Attacks on what the site denies until a patient permits it (CONSENT_DEFAULT; docs/authorization.md#consents), over HTTP on a real server with all its
// threads. What is not permitted is answered like what was never there, and nobody whom Consents bind writes the permission for themselves unseen.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AttackWorld, CANARY, DOCTOR, ENGINE, type Token } from './attack-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'opt-in-'));
let w: AttackWorld;
before(async () => {
  const path = join(folder, 'default.json');
  const purpose = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: 'HRESCH' }];
  writeFileSync(path, JSON.stringify({ type: 'permit', provision: [{ type: 'deny', purpose }] }));
  w = await AttackWorld.open({ CONSENT_DEFAULT: path });
});
after(async () => {
  assert.equal(await w.close(), 0, 'the server lived through all of it');
  rmSync(folder, { recursive: true });
});

const RESEARCHER = { ...DOCTOR, sub: 'researcher', purpose_of_use: 'HRESCH' };
const consent = (patient: string) => ({
  ...{ resourceType: 'Consent', id: `of-${patient}`, status: 'active', category: [{ text: 'x' }] },
  scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
  patient: { reference: `Patient/${patient}` },
  policyRule: { coding: [{ code: 'OPTIN' }] },
});

/** Ways to a record: of a patient, by an id, and the same of one that was never there. */
const PATHS = [
  '/Patient/{}',
  '/Observation/{}-1',
  '/Observation/{}-1/_history',
  '/Observation?patient={}&_total=accurate',
  '/Observation?subject:Patient._id={}&_summary=count',
  '/Patient?_id={}&_revinclude=Observation:patient',
  '/Patient/{}/$everything',
  '/Patient/{}/Observation',
  '/Binary/{}-file',
  '/Observation/$lastn?patient={}&code=hr',
];
async function statuses(token: Token, patient: string): Promise<readonly string[]> {
  return Promise.all(
    PATHS.map(async (path) => {
      const { status, text } = await w.ask(token, path.replaceAll('{}', patient));
      assert.ok(status < 500, text);
      const plain = text.replaceAll(patient, '{}').replace(/[0-9a-f]{8}-[0-9a-f-]{27}|20\d\d-[0-9T:.Z-]+/g, 'x');
      return `${path} ${status} ${plain}`;
    }),
  );
}

test('attack@consent-default what no patient has permitted is like what was never there; who treats sees it', async () => {
  assert.deepEqual(await statuses(RESEARCHER, 'foreign'), await statuses(RESEARCHER, 'absent'));
  assert.ok((await w.ask(DOCTOR, '/Patient/foreign')).text.includes(CANARY), 'control');
});

test('attack@consent-default on the heavy thread too, and in a batch', async () => {
  const entry = PATHS.map((path) => ({ request: { method: 'GET', url: path.slice(1).replaceAll('{}', 'foreign') } }));
  const padding = { resourceType: 'Basic', code: { text: 'x'.repeat(1_500_000) } };
  const entries = [...entry, { resource: padding, request: { method: 'POST', url: 'Basic/$validate' } }];
  const { status, text } = await w.ask(RESEARCHER, '/', {
    method: 'POST',
    body: { resourceType: 'Bundle', type: 'batch', entry: entries },
  });
  assert.equal(status, 200, text.slice(0, 500));
  assert.ok(!text.includes(CANARY));
});

test('attack@consent-default a permission of one patient opens that record alone, and ends with its withdrawal', async () => {
  const put = (more: object = {}) =>
    w.ask(ENGINE, '/Consent/of-mine', { method: 'PUT', body: { ...consent('mine'), ...more } });
  assert.equal((await put()).status, 201);
  assert.equal((await w.ask(RESEARCHER, '/Observation/mine-1')).status, 200);
  assert.deepEqual(await statuses(RESEARCHER, 'foreign'), await statuses(RESEARCHER, 'absent'));
  assert.ok(!(await w.ask(RESEARCHER, '/Group/both')).text.includes('foreign'), 'a Group of both is not hers to open');
  assert.equal((await put({ status: 'inactive' })).status, 200);
  assert.equal((await w.ask(RESEARCHER, '/Observation/mine-1')).status, 404);
});

test('attack@consent-default who researches writes no Consent by which they may', async () => {
  const { id: _id, ...body } = consent('foreign');
  const written = await w.ask(RESEARCHER, '/Consent', { method: 'POST', body });
  assert.equal(written.status, 403, written.text);
  assert.deepEqual(await statuses(RESEARCHER, 'foreign'), await statuses(RESEARCHER, 'absent'));
});
