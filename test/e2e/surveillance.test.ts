// docs/surveillance.md, When it runs: the daily run of a real server over kill -9, $surveillance over HTTP and later, the command, a wrong file.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { dayOf, daysFrom, plusDays } from '../../src/surveillance/site-day.ts';
import { coded, definitionFolder, FLU, ICD, ordinary, outbreak } from '../surveillance/ward.ts';
import { storeSettings } from '../test-store.ts';
import { at } from '../world.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

/** Where it is about noon, so that no midnight passes during the test. */
function zoneAtNoon(now: Date): string {
  const offset = 12 - now.getUTCHours();
  return `Etc/GMT${offset > 0 ? '-' : '+'}${Math.abs(offset)}`;
}
const ZONE = zoneAtNoon(new Date());
const TODAY = dayOf(Date.now(), ZONE);
const YESTERDAY = plusDays(TODAY, -1);
const definitions = definitionFolder(['flu.json', FLU]);
const folder = newFolder();
const SETTINGS = { SURVEILLANCE_DIR: definitions, SITE_TIME_ZONE: ZONE };
after(() => {
  removeFolder(definitions);
  removeFolder(folder);
});

const JSON_TYPE = { 'content-type': 'application/fhir+json' };
const entriesOf = (bundle: unknown): readonly unknown[] => {
  const entry = at(bundle, 'entry');
  return Array.isArray(entry) ? entry : [];
};
async function load({ url }: Running, resources: readonly Resource[]): Promise<void> {
  const entry = resources.map((resource) => ({
    resource,
    request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
  }));
  const body = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry });
  const { status } = await fetch(`${url}/fhir`, { method: 'POST', headers: JSON_TYPE, body });
  assert.equal(status, 200);
}
const get = async ({ url }: Running, path: string): Promise<unknown> => (await fetch(`${url}/fhir/${path}`)).json();
/** Polls: the run is the server's own, and tells nobody when it ends. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50));
}
const ask = ({ url }: Running, headers: Record<string, string> = {}) =>
  fetch(`${url}/fhir/$surveillance`, {
    method: 'POST',
    headers: { ...JSON_TYPE, ...headers },
    body: JSON.stringify({
      resourceType: 'Parameters',
      parameter: [
        { name: 'from', valueDate: YESTERDAY },
        { name: 'to', valueDate: YESTERDAY },
      ],
    }),
  });

test('surveillance@e2e: the daily run over kill -9 writes each day once; asked for over HTTP it says the same', async () => {
  const off = await start(SETTINGS, folder);
  const ward = { resourceType: 'Location', id: 'ward-a', physicalType: { coding: [{ code: 'wa' }] } };
  await load(off, [ward, ...ordinary(...daysFrom(plusDays(TODAY, -9), TODAY)), ...outbreak('p', 4, YESTERDAY)]);
  assert.equal(await off.stop(), 0);

  const killed = await start({ ...SETTINGS, SURVEILLANCE: 'on' }, folder);
  assert.equal(await killed.stop('SIGKILL'), 'SIGKILL');
  const on = await start({ ...SETTINGS, SURVEILLANCE: 'on' }, folder);
  try {
    await until(async () => entriesOf(await get(on, 'DetectedIssue')).length > 0);
    const issue = at(entriesOf(await get(on, 'DetectedIssue'))[0], 'resource');
    assert.deepEqual([at(issue, 'status'), at(issue, 'identifiedDateTime')], ['final', YESTERDAY]);
    const audited = await get(
      on,
      'AuditEvent?entity=MeasureReport/'.concat(String(at(issue, 'evidence.0.detail.0.reference')).slice(14)),
    );
    assert.match(JSON.stringify(audited), /"surveillance"/);

    const asked = await ask(on);
    assert.equal(asked.status, 200);
    assert.deepEqual(at(entriesOf(await asked.json())[1], 'resource'), issue);
    const later = await ask(on, { prefer: 'respond-async' });
    assert.equal(later.status, 202);
    const status = later.headers.get('content-location') ?? '';
    await until(async () => (await fetch(status)).status === 200);
    for (const type of ['MeasureReport', 'DetectedIssue']) {
      assert.equal(entriesOf(await get(on, `${type}/_history`)).length, 1, type);
    }
  } finally {
    assert.equal(await on.stop(), 0);
  }
});

test('surveillance@command: days are judged by the command, with what it found', () => {
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, ['src/main.ts', 'surveillance', ...args], {
      env: { ...process.env, ...SETTINGS, ...storeSettings(folder), SEED: 'none', PORT: '0' },
      encoding: 'utf8',
    });
  const { status, stdout, stderr } = run('--from', plusDays(TODAY, -70), '--to', YESTERDAY);
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), { days: 70, reports: 70, issues: 1 });
  const wrong = run('--from', YESTERDAY, '--to', plusDays(TODAY, 1));
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /must be days/);
});

test('surveillance@start: a definition that is wrong, or a time zone that is none, stops the start and is named', () => {
  const wrong = definitionFolder(['flu.json', { ...FLU, sources: [{ type: 'Condition', code: coded(ICD, 'J10.1') }] }]);
  const data = newFolder();
  const run = (env: Readonly<Record<string, string>>) =>
    spawnSync(process.execPath, ['src/main.ts', 'serve'], {
      env: { ...process.env, ...storeSettings(data), SEED: 'none', PORT: '0', ...env },
      encoding: 'utf8',
    });
  try {
    const byFile = run({ SURVEILLANCE_DIR: wrong });
    assert.deepEqual([byFile.status, /flu\.json/.test(byFile.stderr)], [1, true], byFile.stderr);
    const byZone = run({ SITE_TIME_ZONE: 'Mars/Olympus' });
    assert.deepEqual([byZone.status, /SITE_TIME_ZONE/.test(byZone.stderr)], [1, true], byZone.stderr);
  } finally {
    removeFolder(wrong);
    removeFolder(data);
  }
});
