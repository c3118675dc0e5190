// docs/your-own-model.md, step by step: coefficients become a model folder, the check passes, a service file names it, a hook call returns its card.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { limit } from '../test-store.ts';
import { newFolder, removeFolder, start } from './server.ts';

const EXAMPLE = 'docs/your-own-model';
const site = newFolder();
after(() => removeFolder(site));
const [models, services] = [join(site, 'models'), join(site, 'cds-services')];
const MODEL = join(models, 'example-kidney-support', '1.0.0');

const firewatch = (...args: readonly string[]) =>
  spawnSync(process.execPath, ['src/main.ts', ...args], {
    encoding: 'utf8',
    env: { ...process.env, MODELS_DIR: models },
  });

test('own-model@build a CSV of coefficients becomes a model folder', () => {
  mkdirSync(models);
  for (const file of readdirSync('models').filter((name) => name.endsWith('.json')))
    cpSync(join('models', file), join(models, file));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['models/train/logistic.ts', EXAMPLE, models], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /Written: .*example-kidney-support/);
  assert.deepEqual(readdirSync(MODEL).toSorted(), ['card.json', 'golden.json', 'manifest.json', 'model.onnx']);
});

test('own-model@check the command proves it, with exit code 0', () => {
  const { status, stdout } = firewatch('model', 'check', MODEL);
  assert.equal(status, 0, stdout);
  assert.match(stdout, /ok {3}cases +2 worked cases/);
  assert.match(stdout, /The model may answer\./);
});

test('own-model@card the server that has it answers a hook call with its card', {
  timeout: limit(60_000),
}, async () => {
  mkdirSync(services);
  cpSync('cds-services/schema.json', join(services, 'schema.json'));
  cpSync(join(EXAMPLE, 'service.json'), join(services, 'example-kidney-support.json'));
  const server = await start({ MODELS_DIR: models, CDS_SERVICES_DIR: services });
  try {
    const ready = (await (await fetch(`${server.url}/health/ready`)).json()) as {
      checks: readonly { name: string; status: string }[];
    };
    assert.deepEqual(
      ready.checks.filter(({ name }) => name.startsWith('model:')).map(({ name, status }) => [name, status]),
      [['model:example-kidney-support|1.0.0', 'pass']],
    );
    const now = Date.now();
    const measured = (code: string, value: number, unit: string) => ({
      resourceType: 'Observation',
      status: 'final',
      code: { coding: [{ system: 'http://loinc.org', code }] },
      subject: { reference: 'Patient/p1' },
      effectiveDateTime: new Date(now - 3_600_000).toISOString(),
      valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit },
    });
    const sent = async (path: string, body: object, method = 'POST'): Promise<Response> =>
      fetch(`${server.url}${path}`, {
        method,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    await sent(
      '/fhir/Patient/p1',
      { resourceType: 'Patient', id: 'p1', birthDate: '1950-01-01', gender: 'male' },
      'PUT',
    );
    await sent('/fhir/Observation', measured('2160-0', 3.1, 'mg/dL'));
    await sent('/fhir/Observation', measured('2823-3', 6.1, 'mmol/L'));
    const answer = await sent('/cds-services/example-kidney-support', {
      hook: 'patient-view',
      hookInstance: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
      context: { userId: 'Practitioner/x', patientId: 'p1' },
    });
    assert.equal(answer.status, 200);
    const { cards } = (await answer.json()) as {
      cards: readonly { summary: string; indicator: string; detail: string }[];
    };
    assert.equal(cards.length, 1);
    assert.equal(cards[0]?.indicator, 'warning');
    assert.match(cards[0]?.summary ?? '', /^Kidney support risk \(example\) \d+ %, high risk/);
    assert.match(cards[0]?.detail ?? '', /Creatinine \| 3\.1 mg\/dL/);
    assert.match(cards[0]?.detail ?? '', /Lactate \| 1\.2 mmol\/L .*none recorded/);
  } finally {
    await server.stop();
    removeFolder(server.folder);
  }
});
