/** What the CDS room measures, under the counters of the telemetry. */
import type { CdsSample } from '../cds/parts.ts';
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
