// docs/audit.md: application start and stop (DICOM PS3.15 A.5.3.1), reading the log (A.5.3.2), and heads of the log that are kept elsewhere.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import type { AuditEvent, Bundle } from 'fhir/r4.d.ts';
import { connect } from '../../src/store/sqlite/schema.ts';
import { embeddedOnly, storeSettings } from '../test-store.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const ACTIVITY = `AuditEvent?type=${DCM}%7C110100&_sort=_id`;

async function eventsOf({ url }: Running, query: string): Promise<readonly AuditEvent[]> {
  const answer = await fetch(`${url}/fhir/${query}`);
  assert.equal(answer.status, 200);
  const bundle = (await answer.json()) as Bundle<AuditEvent>;
  return (bundle.entry ?? []).flatMap(({ resource }) => resource ?? []);
}

const codesOf = ({ subtype = [] }: AuditEvent) => subtype.map(({ code }) => code);

const verify = (folder: string, ...more: readonly string[]) =>
  spawnSync(process.execPath, ['src/main.ts', 'verify-audit', ...more], {
    env: { ...process.env, ...storeSettings(folder) },
    encoding: 'utf8',
  });

/** Lines of the log with a head, as an operator's collector would have kept them. */
const headsIn = (server: Running): readonly string[] =>
  server
    .output()
    .split('\n')
    .filter((line) => line.includes('"audit-head"'));

test('balp@start-stop balp@audit-of-audit: a server that starts, is read and stops leaves its own events', async (context) => {
  const folder = newFolder();
  context.after(() => removeFolder(folder));
  const first = await start({}, folder);
  assert.deepEqual((await eventsOf(first, ACTIVITY)).map(codesOf), [['110120']]);
  assert.equal(await first.stop(), 0);

  const second = await start({}, folder);
  const events = await eventsOf(second, ACTIVITY);
  assert.deepEqual(events.map(codesOf), [['110120'], ['110121'], ['110120']]);
  for (const { outcome, agent, entity = [] } of events) {
    assert.equal(outcome, '0');
    assert.equal(agent[0]?.who?.identifier?.value, 'firewatch');
    assert.ok(entity.every(({ what }) => what?.reference === undefined));
  }
  const read = await fetch(`${second.url}/fhir/AuditEvent/${events[0]?.id}`);
  assert.equal(read.status, 200);
  assert.equal((await fetch(`${second.url}/fhir/Patient?name=x`)).status, 200);
  assert.equal((await fetch(`${second.url}/fhir/AuditEvent?nonsense=1`)).status, 400);
  const used = await eventsOf(second, `AuditEvent?subtype=${DCM}%7C110101&_sort=_id`);
  const searches = used.filter((event) => codesOf(event)[0] === 'search-type');
  assert.ok(searches.length >= 3, 'of both processes, a refused one too');
  assert.ok(searches.some(({ outcome }) => outcome === '4'));
  assert.deepEqual(used.filter((event) => codesOf(event)[0] === 'read').map(codesOf), [['read', '110101']]);
  const others = await eventsOf(second, 'AuditEvent?subtype=http://hl7.org/fhir/restful-interaction%7Csearch-type');
  assert.equal(
    others.filter((event) => codesOf(event).length === 1).length,
    1,
    'the search for a Patient is no use of the log',
  );
  assert.ok(headsIn(second).length > 0, 'its head is told when it starts');
  assert.equal(await second.stop(), 0);
});

test('balp@chain-anchor: a head that was kept elsewhere shows a tail that was cut off', {
  skip: embeddedOnly,
}, async (context) => {
  const folder = newFolder();
  context.after(() => removeFolder(folder));
  const server = await start({}, folder);
  for (let round = 0; round < 3; round++)
    assert.equal((await fetch(`${server.url}/fhir/Patient?_id=${round}`)).status, 200);
  assert.equal(await server.stop(), 0);
  const kept = join(folder, 'collected.log');
  writeFileSync(kept, server.output());
  assert.equal(headsIn(server).length, 2, 'at start and stop');
  const whole = verify(folder, '--anchors', kept, '--heads');
  assert.equal(whole.status, 0, whole.stderr);
  const [verdict, head] = whole.stdout.trim().split('\n');
  assert.deepEqual(JSON.parse(verdict ?? ''), { rows: 5, anchors: 2 }, 'start, three searches, stop');
  const last = JSON.parse(head ?? '');
  assert.equal(last.sequence, 5);

  const connection = connect({ folder });
  connection.exec('DELETE FROM audit WHERE key=(SELECT max(key) FROM audit)');
  connection.close();
  assert.equal(verify(folder).status, 0, 'control: without what was kept it is not seen');
  const cut = verify(folder, '--anchors', kept);
  assert.equal(cut.status, 1);
  assert.equal(JSON.parse(cut.stdout).broken, 5);

  writeFileSync(kept, `${JSON.stringify({ ...last, sequence: 2, hash: '0'.repeat(64) })}\n`);
  assert.equal(JSON.parse(verify(folder, '--anchors', kept).stdout).broken, 2, 'a log made anew');
  writeFileSync(kept, 'nothing\n');
  const none = verify(folder, '--anchors', kept);
  assert.equal(none.status, 1);
  assert.match(none.stderr, /has no line with chain, sequence and hash/);
});
