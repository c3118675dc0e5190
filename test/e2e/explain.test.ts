// 45 CFR 170.315(b)(11): `firewatch explain` on a real data folder whose server has stopped, and what its words are for each outcome.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Explanation } from '../../src/cds/basis/explanation.ts';
import { explained } from '../../src/commands/explain.ts';
import type { Assessment } from '../../src/risk/assessment.ts';
import { storeSettings } from '../test-store.ts';
import { newFolder, removeFolder, start } from './server.ts';

const UNKNOWN = '00000000-0000-4000-8000-000000000000';
const CALL = {
  hook: 'patient-view',
  hookInstance: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
  context: { userId: 'Practitioner/demo-physician', patientId: 'demo-sepsis', encounterId: 'enc-1' },
};

/** A copy of the models with another version of NEWS2 and of every score file in the place of the one that answered; SOFA counts its coma otherwise. */
function otherModels(folder: string): string {
  const models = join(folder, 'models');
  cpSync('models', models, { recursive: true, filter: (path) => !path.startsWith('models/train') });
  const [old, next] = [join(models, 'news2', '1.0.0'), join(models, 'news2', '1.0.1')];
  renameSync(old, next);
  for (const name of ['manifest.json', 'card.json']) {
    const text = readFileSync(join(next, name), 'utf8');
    writeFileSync(join(next, name), text.replace('"version": "1.0.0"', '"version": "1.0.1"'));
  }
  const scores = join(models, 'scores');
  for (const name of readdirSync(scores)) {
    const text = readFileSync(join(scores, name), 'utf8').replace(/"version": "1\.\d\.\d"/, '"version": "9.0.0"');
    writeFileSync(
      join(scores, name),
      name === 'sofa.json' ? text.replace('"to": 14, "points": 1}', '"to": 14, "points": 2}') : text,
    );
  }
  return models;
}

test('card-content@explain-command tells a card of a stopped server, and is audited', async (context) => {
  const folder = newFolder();
  context.after(() => removeFolder(folder));
  const data = join(folder, 'data');
  mkdirSync(data);
  const server = await start({ SEED: 'demo' }, data);
  context.after(() => server.stop());
  const ask = async (service: string, patientId = CALL.context.patientId) => {
    const response = await fetch(`${server.url}/cds-services/${service}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...CALL, context: { ...CALL.context, patientId } }),
    });
    const { cards } = (await response.json()) as { cards: { uuid: string; summary: string }[] };
    return cards[0] ?? { uuid: '', summary: 'no card' };
  };
  const card = await ask('deterioration-sepsis');
  const byFiles = await ask('sepsis-3-view', 'demo-septic-shock');
  await server.stop();
  const run = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
    spawnSync(process.execPath, ['src/main.ts', 'explain', ...args], {
      env: { ...process.env, ...storeSettings(data), ...more },
      encoding: 'utf8',
    });

  const { status, stdout, stderr } = run([card.uuid.toUpperCase(), '--client', 'local']);
  assert.equal(status, 0, stderr);
  for (const part of [
    card.summary,
    'Patient/demo-sepsis',
    /^news2 1\.0\.0, SHA-256 [0-9a-f]{64}$/m,
    /^ {2}input {6}Respiratory rate: \d+ \/min, \d{4}-\d\d-\d\d \d\d:\d\d UTC, Observation\//m,
    /^threshold {4}news2: high.* -> warning$/m,
    /^ {2}shown {6}.*total (\d+).*\n {2}recomputed .*total \1\b.*\n {2}verdict {4}same$/m,
  ])
    assert.ok(typeof part === 'string' ? stdout.includes(part) : part.test(stdout), `${part}\n${stdout}`);
  assert.doesNotMatch(stdout, /DIFFERENT|UNKNOWN/);

  const rows: readonly (readonly [args: readonly string[], told: RegExp, why: string])[] = [
    [[card.uuid, '--client', 'other'], /No card of this uuid/, 'another client was sent no such card'],
    [[UNKNOWN], /No card of this uuid/, 'an unknown card'],
  ];
  for (const [args, told, why] of rows) {
    const refused = run(args);
    assert.equal(refused.status, 1, why);
    assert.match(refused.stderr, told, why);
    assert.equal(refused.stdout, '', why);
  }
  const others = { MODELS_DIR: otherModels(folder) };
  const changed = run([card.uuid], others);
  assert.equal(changed.status, 1, changed.stderr);
  assert.match(
    changed.stdout,
    /recomputed nothing\n {2}verdict {4}UNKNOWN/,
    'the version of the card is no longer held',
  );
  const byKept = run([byFiles.uuid], others);
  assert.equal(byKept.status, 0, `the score files of the card were kept\n${byKept.stdout}${byKept.stderr}`);
  for (const id of ['sepsis-3', 'sofa', 'sepsis-hour-1'])
    assert.match(
      byKept.stdout,
      new RegExp(`^${id} 1\\.\\d\\.0, SHA-256 [0-9a-f]{64}\\n(?: .*\\n)* {2}verdict {4}same$`, 'm'),
    );

  const again = await start({}, data);
  context.after(() => again.stop());
  const found = await fetch(`${again.url}/fhir/AuditEvent?patient=demo-sepsis&_count=200`);
  const { entry } = (await found.json()) as { entry: { resource: object }[] };
  const looks = entry.filter(({ resource }) => JSON.stringify(resource).includes('explain'));
  assert.equal(looks.length, 2, 'each explanation, and no refusal');
  const ofFiles = await fetch(`${again.url}/fhir/AuditEvent?patient=demo-septic-shock&_count=200`);
  assert.match(await ofFiles.text(), /explain/);
});

const MODEL = { id: 'news2', version: '1.0.0', sha256: 'a'.repeat(64) };
const SHOWN: Assessment = {
  model: MODEL,
  answeredBy: 'model',
  outputs: { total: 7 },
  atLeast: false,
  band: 'high',
  vector: [26],
  used: [],
  missing: [],
};
type Again = Explanation['computedAgain'][number];
const { vector: _vector, ...WITHOUT } = SHOWN;
const verdicts: readonly (readonly [verdict: string, shown: Assessment, again: Omit<Again, 'model'>, why: string])[] = [
  ['same', SHOWN, { outputs: { total: 7 }, same: true }, 'control'],
  ['different', SHOWN, { outputs: { total: 6 }, same: false }, 'this version gives another number'],
  ['unknown', SHOWN, { outputs: null, same: false }, 'this version gives none any more'],
  ['unknown', WITHOUT, { outputs: null, same: null }, 'a record of an earlier release: no inputs were kept'],
  ['not run', { ...WITHOUT, outputs: {} }, { outputs: null, same: null }, 'outside the population'],
];
const decision: Explanation['decision'] = {
  ...{ form: 1, id: 'd', at: 0, service: 's', hook: 'patient-view', hookInstance: 'h', client: 'local' },
  ...{ fhirServer: undefined, ownPatients: true, user: undefined, patient: '7', encounter: undefined, drafts: [] },
  ...{ findings: [], cards: [], model: MODEL, assessments: [] },
  engine: { kind: 'triage', scores: [], learned: [] },
};
for (const [verdict, shown, again, why] of verdicts) {
  test(`card-content@explain-command ${verdict}: ${why}`, () => {
    const one = { card: undefined, triageAgain: undefined, decision: { ...decision, assessments: [shown] } };
    const told = explained({ ...one, computedAgain: [{ model: MODEL, ...again }] });
    assert.deepEqual(told.verdicts, [verdict]);
    assert.match(told.lines.join('\n'), new RegExp(`verdict {4}${verdict}`, 'i'));
  });
}
