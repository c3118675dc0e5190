// docs/monitoring.md: a change leads, after its commit, to one scoring of its patient; what follows is in one commit with the row that says so.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { limit, notOnStandIn } from '../test-store.ts';
import { at } from '../world.ts';
import {
  baseline,
  breathing,
  inpatient,
  MINUTE,
  models,
  monitorWorld,
  PACE,
  ruleNamed,
  START,
  until,
} from './world.ts';

const LIMIT = { timeout: limit(30_000) };
after(() => models.close());

test(
  'monitoring@assessment: model, version, hash, inputs, trend, what is missing, and Provenance of all that was written',
  LIMIT,
  async () => {
    const there = await monitorWorld();
    await inpatient(there, 'p1');
    await there.settled();
    await there.put(breathing('p1', 'b0', 18, START));
    await there.settled();
    there.advance(MINUTE);
    for (const each of baseline('p1', there.now())) await there.put(each);
    await there.settled();
    there.advance(MINUTE);
    await there.put(breathing('p1', 'b1', 25, there.now()));
    await there.settled();
    const [first, whole, second, ...others] = await there.all('RiskAssessment');
    assert.deepEqual(others, [], 'one for each time; nothing without any input');
    assert.deepEqual(
      [first, whole].map((each) => at(each, 'note.0.text')),
      ['Trend: none is given, since inputs are missing.', 'Trend: no earlier total of this patient in the last 24 h.'],
      'a lower bound is neither compared nor compared with',
    );
    assert.equal(at(second, 'subject.reference'), 'Patient/p1');
    assert.deepEqual(
      [at(second, 'method.coding.0.code'), at(second, 'method.coding.0.version'), at(second, 'method.coding.1.code')],
      ['news2', '1.0.0', models.manifests.get('news2')?.sha256],
    );
    const basis = JSON.stringify(second?.basis);
    assert.ok(basis.includes('"Observation/b1"') && basis.includes('Observation/p1-base-pulse'), basis);
    assert.ok(JSON.stringify(first?.note).includes('Missing: '), 'what is missing is said');
    const trend =
      "Trend: total +3 against the patient's own median of the last 24 h (0; lowest 0, highest 0, 1 scorings).";
    assert.equal(at(second, 'note.0.text'), trend);
    const provenance = (await there.all('Provenance')).at(-1);
    assert.deepEqual(at(provenance, 'target.0.reference'), `RiskAssessment/${second?.id}`);
    assert.equal(at(provenance, 'agent.0.who.identifier.value'), 'news2|1.0.0');
    assert.ok(JSON.stringify(provenance?.entity).includes('"Observation/b1/_history/1"'));
    await there.close();
  },
);

test('monitoring@alert: Flag and CommunicationRequest, ended and revoked on the way down', LIMIT, async () => {
  const there = await monitorWorld();
  await inpatient(there, 'p1');
  for (const each of baseline('p1', START)) await there.put(each);
  await there.put(breathing('p1', 'b1', 25, START));
  await there.put({
    ...breathing('p1', 'hr', 115, START),
    code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  });
  await there.settled();
  const [flag] = await there.all('Flag');
  const [request] = await there.all('CommunicationRequest');
  const [assessment] = await there.all('RiskAssessment');
  assert.deepEqual(
    [flag?.status, at(flag, 'code.coding.0.code'), at(flag, 'subject.reference')],
    ['active', 'news2.urgent', 'Patient/p1'],
  );
  assert.deepEqual(
    [request?.status, request?.priority, at(request, 'recipient.0.display')],
    ['active', 'urgent', 'Ward nurse in charge'],
  );
  assert.deepEqual(at(request, 'about'), [
    { reference: `RiskAssessment/${assessment?.id}` },
    { reference: `Flag/${flag?.id}` },
  ]);
  there.advance(MINUTE);
  await there.put(breathing('p1', 'b2', 18, there.now()));
  await there.settled();
  assert.deepEqual(
    (await there.all('Flag')).map(({ status }) => status),
    ['inactive'],
  );
  assert.deepEqual(
    (await there.all('CommunicationRequest')).map(({ status }) => status),
    ['revoked'],
  );
  await there.close();
});

test('monitoring@debounce: however many changes, one scoring an interval, which accounts for the newest', {
  ...LIMIT,
  skip: notOnStandIn('thousands of changes in 30 s'),
}, async () => {
  const there = await monitorWorld();
  await inpatient(there, 'p1');
  await there.settled();
  const before = (await there.all('RiskAssessment')).length;
  const flood = async (from: number, count: number) => {
    const entry = Array.from({ length: count }, (_each, index) => ({
      resource: breathing('p1', `f${from + index}`, 12 + ((from + index) % 8), there.now()),
      request: { method: 'PUT', url: `Observation/f${from + index}` },
    }));
    const bundle = { resourceType: 'Bundle', type: 'transaction', entry };
    assert.equal((await there.send('POST', '/', { body: bundle })).status, 200);
  };
  there.advance(MINUTE);
  for (let second = 0; second < 10; second++) {
    for (let batch = 0; batch < 5; batch++) await flood(second * 500 + batch * 100, 100);
    await there.read();
    there.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await there.settled();
  const scored = (await there.all('RiskAssessment')).length - before;
  assert.ok(scored >= 2 && scored <= 4, `${scored} scorings of 5000 changes in 10 s, ${PACE.intervalMs} ms apart`);
  const newest = (await there.all('RiskAssessment')).at(-1);
  const latest = await there.store.changes((await there.store.latestSequence()) - 50, 50);
  const last = latest.findLast(({ key }) => key.type === 'Observation');
  assert.equal(at(newest, 'identifier.0.value'), `news2.p1.${last?.sequence}`);
  await there.close();
});

test(
  'monitoring@pace: a calm patient is scored three times at once, then once an interval; rested, three times again',
  LIMIT,
  async () => {
    const there = await monitorWorld({ pace: { settleMs: 20, intervalMs: 5000, atOnce: 3 } });
    await inpatient(there, 'p1');
    await there.settled();
    there.advance(MINUTE);
    /** Whether a change is scored once it has settled, without waiting for the interval. */
    const scoredSoon = async (id: string): Promise<boolean> => {
      const before = (await there.all('RiskAssessment')).length;
      await there.put(breathing('p1', id, 18, there.now()));
      await there.read();
      there.advance(20);
      await until(() => there.monitor.backlog.scoring === 0);
      return (await there.all('RiskAssessment')).length > before;
    };
    const found: boolean[] = [];
    for (const id of ['a', 'b', 'c', 'd']) found.push(await scoredSoon(id));
    assert.deepEqual(found, [true, true, true, false]);
    there.advance(5000);
    await until(() => there.monitor.backlog.patients === 0);
    assert.equal(await scoredSoon('e'), false, 'one interval gives one scoring');
    await there.settled();
    there.advance(20_000);
    assert.deepEqual([await scoredSoon('f'), await scoredSoon('g'), await scoredSoon('h')], [true, true, true]);
    await there.close();
  },
);

test('monitoring@once: closed at any moment, each change is accounted for once, in order', {
  ...LIMIT,
  skip: notOnStandIn('thousands of changes in 30 s'),
}, async () => {
  const there = await monitorWorld({ pace: { settleMs: 0, intervalMs: 0, atOnce: 1 } });
  await inpatient(there, 'p1');
  await inpatient(there, 'p2');
  for (let round = 0; round < 12; round++) {
    there.advance(1000);
    await there.put(breathing('p1', `a${round}`, 14 + (round % 3), there.now()));
    await there.put(breathing('p2', `b${round}`, 14 + (round % 3), there.now()));
    if (round % 3 !== 2) await there.read();
    await there.restart();
  }
  await there.settled();
  for (const patient of ['p1', 'p2']) {
    const found = await there.all('RiskAssessment', `&patient=${patient}`);
    const through = found.map((each) => Number(String(at(each, 'identifier.0.value')).split('.')[2]));
    assert.deepEqual(
      through,
      [...new Set(through)].toSorted((a, b) => a - b),
      'none twice',
    );
    assert.deepEqual(
      found.map(({ meta }) => at(meta, 'versionId')),
      found.map(() => '1'),
    );
    const { matches } = await there.store.history(
      { type: 'Observation', id: patient === 'p1' ? 'a11' : 'b11' },
      { count: 1 },
    );
    assert.equal(through.at(-1), matches[0]?.sequence, 'the last change is accounted for');
  }
  await there.close();
});

test('monitoring@shadow: scored as preliminary; nothing flagged, nobody told', LIMIT, async () => {
  const there = await monitorWorld({ rules: [{ ...ruleNamed('news2'), shadow: true }] });
  await inpatient(there, 'p1');
  await there.put(breathing('p1', 'b1', 25, START));
  await there.put({
    ...breathing('p1', 'hr', 140, START),
    code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  });
  await there.settled();
  assert.deepEqual(
    (await there.all('RiskAssessment')).map(({ status }) => status),
    ['preliminary'],
  );
  assert.deepEqual([await there.all('Flag'), await there.all('CommunicationRequest'), there.events], [[], [], []]);
  await there.close();
});

test('monitoring@merged: the record in use is scored, from both', LIMIT, async () => {
  const there = await monitorWorld();
  await inpatient(there, 'old');
  await inpatient(there, 'new', { link: [{ other: { reference: 'Patient/old' }, type: 'replaces' }] });
  await there.put({
    resourceType: 'Patient',
    id: 'old',
    active: false,
    birthDate: '1960-05-05',
    link: [{ other: { reference: 'Patient/new' }, type: 'replaced-by' }],
  });
  await there.settled();
  there.advance(MINUTE);
  await there.put(breathing('old', 'b1', 25, there.now()));
  await there.settled();
  const found = (await there.all('RiskAssessment')).at(-1);
  assert.equal(at(found, 'subject.reference'), 'Patient/new');
  assert.equal(at(found, 'basis.0.reference'), 'Observation/b1');
  await there.close();
});

test('monitoring@audit: reads and writes of monitoring are audited as its own', LIMIT, async () => {
  const there = await monitorWorld();
  await inpatient(there, 'p1');
  await there.put(breathing('p1', 'b1', 18, START));
  await there.settled();
  const response = await there.send('GET', '/AuditEvent?patient=p1&_count=50');
  const text = response.body ?? '';
  assert.ok(text.includes('"monitor"'), text.slice(0, 2000));
  await there.close();
});

test('monitoring@subscriptions: a Flag of monitoring is a change like any other', LIMIT, async () => {
  const there = await monitorWorld();
  await inpatient(there, 'p1');
  await there.settled();
  const before = await there.store.latestSequence();
  await there.put(breathing('p1', 'b1', 25, START));
  await there.put({
    ...breathing('p1', 'hr', 140, START),
    code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  });
  await there.settled();
  const types = (await there.store.changes(before, 100)).map(({ key }) => key.type);
  for (const type of ['RiskAssessment', 'Flag', 'CommunicationRequest', 'Provenance'])
    assert.ok(types.includes(type), type);
  await there.close();
});
