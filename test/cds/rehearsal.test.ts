// Calls before the server is ready: they reach engines and cards, and leave no trace. docs/cds-hooks.md#a-call
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../../src/config.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { buildSystem } from '../../src/system.ts';
import { assessment, FINDING, ROOT, world } from './world.ts';

test('rehearsal@reach: every engine is asked, and each kind of service builds its cards', async () => {
  const asked = new Set<string>();
  const kinds = new Set<string>();
  const one = world({
    findings: [FINDING],
    assess: async (id) => {
      asked.add(id);
      return assessment(id);
    },
  });
  await one.cds.rehearse();
  for (const { engine } of one.cds.services.values()) {
    kinds.add(engine.kind);
    if (engine.kind === 'scores') for (const id of engine.models) assert.ok(asked.has(id), `${id} is asked`);
  }
  assert.ok(kinds.size === 3 && one.checks.length > 0 && asked.has('triage-critical-care'));
});

test('rehearsal@cards: the order of the rehearsal meets a contraindication of the tables', async () => {
  const tables = loadDrugSafety(join(ROOT, 'knowledge'));
  const one = world();
  await one.cds.rehearse();
  const severities = one.checks.flatMap(({ drafts, context }) =>
    tables.check(drafts, context, 0).findings.map(({ severity }) => severity),
  );
  assert.ok(severities.includes('contraindicated'));
});

test('rehearsal@no trace: nothing is read, written, audited, counted, reported or answered from later', async () => {
  const used = new Map();
  const one = world({ used, findings: [FINDING], rank: async () => Promise.reject(new Error('no graph')) });
  await one.cds.rehearse();
  assert.deepEqual([one.reads, one.audits, one.events, one.faults, [...used]], [[], [], [], [], []]);
});

test('rehearsal@failure: an engine that throws does not keep the server from starting', async () => {
  const one = world({
    check: () => {
      throw new Error('tables are broken');
    },
    assess: async () => Promise.reject(new Error('no model')),
  });
  await one.cds.rehearse();
  assert.deepEqual(one.faults, []);
});

test('rehearsal@bound: a slow machine is ready all the same', async () => {
  let now = 0;
  const one = world({ now: () => (now += 1000) });
  await one.cds.rehearse();
  assert.ok(one.checks.length + one.evidence.length < 20);
});

test('rehearsal@real: in the whole system every rehearsed call is judged to its end, and the store holds nothing of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-rehearsal-'));
  const system = await buildSystem(readConfig({ DATA_DIR: folder, SEED: 'none', LOG_LEVEL: 'error' }));
  try {
    const before = await system.store.latestSequence();
    assert.equal(await system.cds.rehearse(), 0, 'nothing went wrong');
    assert.equal(await system.store.latestSequence(), before);
    assert.deepEqual(await system.store.keyedPage('cds.call', { count: 1 }), []);
  } finally {
    await system.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
