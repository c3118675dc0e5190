/** What the operator must know of the store besides that it answers: room, clock, how commits are kept. Thresholds: docs/operations.md#what-to-monitor. */
import type { Engine } from '../store/engine.ts';
import type { HealthCheck } from '../telemetry/health.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** The newest commit may be ahead of the clock by this, ms, before it warns, and before requests should go elsewhere. */
const AHEAD_MS = { warn: 5000, fail: 60_000 } as const;

export interface ConditionParts {
  readonly store: Pick<Engine, 'durability' | 'isFull' | 'newestAt'>;
  readonly metrics: Pick<Metrics, 'gauge'>;
  now(): number;
}

/** Instants never go back: while the newest commit is ahead, all that is written has its instant. */
function clockCheck(newestAt: number, now: number): HealthCheck {
  const ahead = Math.max(0, newestAt - now);
  const name = 'clock';
  if (ahead <= AHEAD_MS.warn) return { name, status: 'pass' };
  const observed = { observedValue: Math.round(ahead / 1000), observedUnit: 's' } as const;
  return { name, status: ahead > AHEAD_MS.fail ? 'fail' : 'warn', reason: 'clock-behind', ...observed };
}

/** Checks for readiness. On a full disk it stays ready: reads are answered, and there may be no other place for them. */
export function conditionOf({ store, metrics, now }: ConditionParts): () => readonly HealthCheck[] {
  metrics.gauge('firewatch_disk_full', () => [{ labels: {}, value: store.isFull ? 1 : 0 }]);
  return () => [
    { name: 'durability', status: 'pass', setting: store.durability },
    store.isFull ? { name: 'disk', status: 'warn', reason: 'full' } : { name: 'disk', status: 'pass' },
    ...(store.newestAt === undefined ? [] : [clockCheck(store.newestAt, now())]),
  ];
}
