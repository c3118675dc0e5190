/**
 * Counters for whoever runs the server, as text of the Prometheus exposition format 0.0.4. Labels are names of this deployment (services, models,
 * indicators, outcomes), never anything of a request: no ids, no texts. Source: prometheus.io/docs/instrumenting/exposition_formats.
 */

/** THE table of counters: what each counts, and by which labels. */
const COUNTERS = {
  firewatch_cds_calls_total: { help: 'CDS Hooks calls answered.', labels: ['service', 'status'] },
  firewatch_cds_cards_total: { help: 'Cards shown.', labels: ['service', 'model', 'indicator'] },
  firewatch_cds_feedback_total: { help: 'Feedback on cards.', labels: ['service', 'model', 'outcome'] },
  firewatch_cds_events_total: { help: 'What went otherwise in CDS Hooks calls.', labels: ['event'] },
} as const satisfies Record<string, { readonly help: string; readonly labels: readonly string[] }>;

export type Counter = keyof typeof COUNTERS;
export type Labels<Name extends Counter> = Readonly<Record<(typeof COUNTERS)[Name]['labels'][number], string>>;

export class Metrics {
  readonly #counts = new Map<string, Map<string, number>>();

  count<Name extends Counter>(name: Name, labels: Labels<Name>, by = 1): void {
    const series = this.#counts.get(name) ?? new Map<string, number>();
    this.#counts.set(name, series);
    const text = Object.entries<string>(labels)
      .toSorted()
      .map(([label, value]) => `${label}="${escaped(value)}"`)
      .join(',');
    series.set(text, (series.get(text) ?? 0) + by);
  }

  /** The exposition; counters that never counted have their head only. */
  text(): string {
    return Object.entries(COUNTERS)
      .map(([name, { help }]) => {
        const series = [...(this.#counts.get(name) ?? [])];
        const lines = series.map(([labels, count]) => `${name}{${labels}} ${count}\n`);
        return `# HELP ${name} ${help}\n# TYPE ${name} counter\n${lines.join('')}`;
      })
      .join('');
  }
}

const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
