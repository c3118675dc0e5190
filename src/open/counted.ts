/** What is measured, under the counters and gauges of the telemetry. */
import type { CdsSample } from '../cds/parts.ts';
import type { Drift } from '../model-drift.ts';
import type { Models } from '../risk/assessment.ts';
import { type ModelHealth, modelHealth } from '../telemetry/health.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** Counts a call, a card or feedback. */
export function countedBy(metrics: Metrics): (sample: CdsSample) => void {
  return (sample) => {
    const { service } = sample;
    if (sample.kind === 'call') {
      metrics.count('firewatch_cds_calls_total', { service, status: String(sample.status) });
    } else if (sample.kind === 'card') {
      const { model, indicator } = sample;
      metrics.count('firewatch_cds_cards_total', { service, model, indicator });
    } else {
      const { model, outcome } = sample;
      metrics.count('firewatch_cds_feedback_total', { service, model, outcome });
    }
  };
}

/** How each model does at the moment it is asked, for readiness and as a gauge. */
export function countedModels(
  models: Pick<Models, 'status'>,
  drift: Pick<Drift, 'degraded'>,
  metrics: Metrics,
): () => readonly ModelHealth[] {
  const states = () => modelHealth(models.status(), drift.degraded());
  metrics.gauge('firewatch_model_state', () =>
    states().map(({ id, version, state }) => ({ labels: { model: `${id}|${version}`, state }, value: 1 })),
  );
  return states;
}
