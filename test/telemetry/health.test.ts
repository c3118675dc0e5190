// Readiness fails when requests would fail, warns when only scores are missing; liveness asks nothing.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type HealthSources, live, type ModelHealth, ready } from '../../src/telemetry/health.ts';

const model = (state: ModelHealth['state']): ModelHealth => ({ id: 'sepsis', version: '1.0.0', state });
const well: HealthSources = { ping: async () => undefined, models: () => [model('ready')], listening: () => true };
const never = (): Promise<void> => new Promise(() => undefined);

const rows: readonly [why: string, sources: Partial<HealthSources>, status: string, reason: string | undefined][] = [
  ['control: everything works', {}, 'pass', undefined],
  ['no model is configured', { models: () => [] }, 'pass', undefined],
  ['a model is loading', { models: () => [model('ready'), model('loading')] }, 'warn', 'loading'],
  ['a model has failed', { models: () => [model('failed')] }, 'warn', 'failed'],
  ['a model has drifted', { models: () => [model('drifted')] }, 'warn', 'drifted'],
  ['the store refuses', { ping: () => Promise.reject(new Error('Mary Canary')) }, 'fail', 'unavailable'],
  ['the store does not answer', { ping: never }, 'fail', 'timeout'],
  ['the server drains', { listening: () => false }, 'fail', 'draining'],
  ['failure goes before warning', { listening: () => false, models: () => [model('failed')] }, 'fail', 'draining'],
];
for (const [why, sources, status, reason] of rows)
  test(`ready is ${status}: ${why}`, async () => {
    const report = await ready({ ...well, ...sources }, 5);
    assert.equal(report.status, status);
    assert.equal(report.checks.find((check) => check.status === status)?.reason, reason);
    assert.doesNotMatch(JSON.stringify(report), /Canary/);
  });

test('live passes and asks nothing', () => {
  assert.deepEqual(live(), { status: 'pass', checks: [] });
});
