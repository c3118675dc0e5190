// `firewatch model drift` and readiness over real decision records: hook calls of patients unlike those of training, whose outcomes arrive as Encounters.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { limit, storeSettings } from '../test-store.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const ID = 'example-kidney-support';
const PATIENTS = 12;
const site = newFolder();
after(() => removeFolder(site));
const [models, services, data] = [join(site, 'models'), join(site, 'cds-services'), join(site, 'data')];
const env = { MODELS_DIR: models, CDS_SERVICES_DIR: services };

/** A models folder with the worked example of docs/your-own-model.md, a reference for it, and limits for a dozen patients. */
function furnish(): void {
  for (const folder of [models, services, data]) mkdirSync(folder);
  for (const file of readdirSync('models').filter((name) => name.endsWith('.json')))
    cpSync(join('models', file), join(models, file));
  assert.equal(spawnSync(process.execPath, ['models/train/logistic.ts', 'docs/your-own-model', models]).status, 0);
  cpSync('cds-services/schema.json', join(services, 'schema.json'));
  cpSync('docs/your-own-model/service.json', join(services, `${ID}.json`));
  const folder = join(models, ID, '1.0.0');
  const manifest: { sha256: string; features: readonly { name: string }[] } = JSON.parse(
    readFileSync(join(folder, 'manifest.json'), 'utf8'),
  );
  // In training, potassium lay evenly below and above 4.2; every patient of this test has 6.1.
  const inputs = manifest.features.map(({ name }) =>
    name === 'potassium'
      ? { name, cuts: [4.2, 5], shares: { high: [0.5, 0.48, 0.01, 0.01] }, weight: 0.5 }
      : { name, cuts: [], shares: { high: [1, 0] }, weight: 0.1 },
  );
  const reference = {
    model: ID,
    sha256: manifest.sha256,
    rows: { high: 1000 },
    inputs,
    outcome: { kind: 'death-in-hospital' },
  };
  writeFileSync(join(folder, 'reference.json'), JSON.stringify(reference));
  const limits: object = JSON.parse(readFileSync(join(models, 'drift.json'), 'utf8'));
  writeFileSync(
    join(models, 'drift.json'),
    JSON.stringify({ ...limits, patients: PATIENTS, outcomes: PATIENTS, expectedCases: 1 }),
  );
}

const sent = async (server: Running, path: string, body: object, method = 'POST'): Promise<Response> => {
  const answer = await fetch(`${server.url}${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path} ${answer.status}`);
  return answer;
};

async function judge(server: Running, id: string): Promise<void> {
  const subject = { reference: `Patient/${id}` };
  const hour = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString();
  const measured = (code: string, value: number, unit: string) => ({
    resourceType: 'Observation',
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code }] },
    subject,
    effectiveDateTime: hour(-1),
    valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit },
  });
  const stay = { resourceType: 'Encounter', id: `e${id}`, class: { code: 'IMP' }, subject };
  await sent(
    server,
    `/fhir/Patient/${id}`,
    { resourceType: 'Patient', id, birthDate: '1950-01-01', gender: 'male' },
    'PUT',
  );
  await sent(server, `/fhir/Encounter/e${id}`, { ...stay, status: 'in-progress', period: { start: hour(-30) } }, 'PUT');
  await sent(server, '/fhir/Observation', measured('2160-0', 3.1, 'mg/dL'));
  await sent(server, '/fhir/Observation', measured('2823-3', 6.1, 'mmol/L'));
  const call = {
    hook: 'patient-view',
    hookInstance: crypto.randomUUID(),
    context: { userId: 'Practitioner/x', patientId: id },
  };
  const { cards } = (await (await sent(server, `/cds-services/${ID}`, call)).json()) as { cards: readonly object[] };
  assert.equal(cards.length, 1);
  await sent(
    server,
    `/fhir/Encounter/e${id}`,
    { ...stay, status: 'finished', period: { start: hour(-30), end: hour(0) } },
    'PUT',
  );
}

test('drift@command the records of a store are judged: inputs, outcomes, exit code', {
  timeout: limit(170_000),
}, async () => {
  furnish();
  const server = await start(env, data);
  for (let patient = 0; patient < PATIENTS; patient++) await judge(server, `p${patient}`);
  await server.stop();
  const drift = (...args: readonly string[]) =>
    spawnSync(process.execPath, ['src/main.ts', 'model', 'drift', ...args], {
      encoding: 'utf8',
      env: { ...process.env, ...env, ...storeSettings(data) },
    });
  const { status, stdout, stderr } = drift();
  assert.equal(status, 1, stderr);
  assert.match(stdout, /example-kidney-support: alert; 12 patients with a card \(high 100 %\)/, stderr);
  assert.match(stdout, /potassium PSI \d+\.\d+, 50 % of contributions/);
  assert.match(stdout, /calibration alert: 12 outcomes known, 0 observed, \d\.\d expected/);
  assert.doesNotMatch(stdout, /p0|Patient/);
  assert.match(stderr, /decision records 100 %/);
  const guarded = spawnSync(process.execPath, ['src/main.ts', 'model', 'drift'], {
    encoding: 'utf8',
    env: { ...process.env, ...env, ...storeSettings(data), AUTHORIZATION: 'embedded' },
  });
  assert.equal(guarded.stdout, stdout, `the same where tokens are asked for: ${guarded.stderr}`);
  const before = drift('--from', '2020-01-01', '--to', '2020-02-01');
  assert.equal(before.status, 0, before.stderr);
  assert.match(before.stdout, /too-few; 0 patients/);
  const wrong = drift('--from', 'soon');
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /`soon` is no date/);
});

test('drift@health readiness, metrics and log warn of a model that has drifted, and it still answers 200', {
  timeout: limit(170_000),
}, async () => {
  const server = await start(env, data);
  try {
    const look = async () => {
      const response = await fetch(`${server.url}/health/ready`);
      const { checks } = (await response.json()) as {
        checks: readonly { name: string; status: string; reason?: string }[];
      };
      return { code: response.status, check: checks.find(({ name }) => name === `model:${ID}|1.0.0`) };
    };
    let seen = await look();
    for (let looks = 0; looks < 400 && seen.check?.reason !== 'drifted'; looks++) {
      await new Promise((done) => setTimeout(done, 100));
      seen = await look();
    }
    assert.deepEqual([seen.code, seen.check?.status, seen.check?.reason], [200, 'warn', 'drifted'], server.output());
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.ok(metrics.includes(`firewatch_model_state{model="${ID}|1.0.0",state="drifted"} 1\n`), metrics);
    assert.match(server.output(), new RegExp(`"level":"warn","event":"model-drifted","model":"${ID}"`));
  } finally {
    await server.stop();
  }
});
