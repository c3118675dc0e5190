/** Admission as configured: a gate for each thread that answers, the lag of the main one, and what both say in /metrics. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gate } from '../rest/permission/gate.ts';
import { type Allowances, HEAVY, LOAD_CLASSES, MAIN } from '../rest/permission/load-class.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** Longest wait, ms: a client that waits longer has given up or sent again. */
const WAIT_MS = 10_000;
const LOOK_MS = 500;
/** From here the thread is late, ms; all but emergencies and hooks have half of their slots, from ten times that a quarter. */
const LATE_MS = 100;

/** Part of the slots that there are at a lag, ms. */
export const shareAt = (lagMs: number): number => (lagMs >= 10 * LATE_MS ? 0.25 : lagMs >= LATE_MS ? 0.5 : 1);

/** The gates of the main thread and of the one for large requests. */
export function openAdmission(metrics: Metrics): { readonly main: Gate; readonly heavy: Gate; close(): Promise<void> } {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  let lagMs = 0;
  const timer = setInterval(() => {
    lagMs = Math.max(0, delay.max / 1e6 - 10);
    delay.reset();
  }, LOOK_MS).unref();
  const gate = (thread: string, allowances: Allowances): Gate =>
    new Gate({
      ...{ allowances, waitMs: WAIT_MS, share: () => shareAt(lagMs) },
      onRefused: (of) => metrics.count('firewatch_turned_away_total', { class: of, thread }),
    });
  const gates = { main: gate('main', MAIN), heavy: gate('heavy', HEAVY) };
  metrics.gauge('firewatch_waiting', () =>
    Object.entries(gates).flatMap(([thread, each]) =>
      LOAD_CLASSES.map((of) => ({ labels: { class: of, thread }, value: each.waiting(of) })),
    ),
  );
  metrics.gauge('firewatch_event_loop_lag_seconds', () => [{ labels: {}, value: lagMs / 1000 }]);
  return {
    ...gates,
    close: async () => {
      clearInterval(timer);
      delay.disable();
    },
  };
}
