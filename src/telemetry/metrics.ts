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
  firewatch_turned_away_total: {
    help: 'Requests turned away with 503 because the server had too much to do, by class and thread.',
    labels: ['class', 'thread'],
  },
} as const satisfies Record<string, { readonly help: string; readonly labels: readonly string[] }>;

/** THE table of gauges: what is so at the moment it is asked. */
const GAUGES = {
  firewatch_model_state: {
    help: 'Models by state: ready, failed (its stand-in answers), drifted (its inputs or its calibration are no longer those it was made for).',
    labels: ['model', 'state'],
  },
  firewatch_break_glass_reviews: {
    help: 'Reviews of emergency access that are open, and those of them that are overdue; by the process that does the background work.',
    labels: ['state'],
  },
  firewatch_waiting: {
    help: 'Requests that wait for their turn, by class and thread.',
    labels: ['class', 'thread'],
  },
  firewatch_event_loop_lag_seconds: {
    help: 'Longest turn of the main thread in the last half second.',
    labels: [],
  },
  firewatch_disk_full: {
    help: '1 while writes are refused for lack of room (RESERVE_MB), else 0.',
    labels: [],
  },
  firewatch_backup_timestamp_seconds: {
    help: 'When the last backup of this data folder was taken (`firewatch backup`), seconds since 1970; none before the first.',
    labels: [],
  },
} as const satisfies Record<string, { readonly help: string; readonly labels: readonly string[] }>;
export type Gauge = keyof typeof GAUGES;
type GaugeLabels<Name extends Gauge> = Readonly<Record<(typeof GAUGES)[Name]['labels'][number], string>>;
/** What a gauge shows of one set of labels. */
interface Shown<Labels> {
  readonly labels: Labels;
  readonly value: number;
}

export type Counter = keyof typeof COUNTERS;
export type Labels<Name extends Counter> = Readonly<Record<(typeof COUNTERS)[Name]['labels'][number], string>>;

export class Metrics {
  readonly #read = new Map<string, () => readonly Shown<Readonly<Record<string, string>>>[]>();
  readonly #counts = new Map<string, Map<string, number>>();

  count<Name extends Counter>(name: Name, labels: Labels<Name>, by = 1): void {
    const series = this.#counts.get(name) ?? new Map<string, number>();
    this.#counts.set(name, series);
    const text = labelText(labels);
    series.set(text, (series.get(text) ?? 0) + by);
  }

  /** What the gauge says each time it is asked. */
  gauge<Name extends Gauge>(name: Name, read: () => readonly Shown<GaugeLabels<Name>>[]): void {
    this.#read.set(name, read);
  }

  /** The exposition; counters that never counted, and gauges that nobody reads, have their head only. */
  text(): string {
    const gauges = Object.entries(GAUGES).map(([name, { help }]) => {
      const lines = (this.#read.get(name)?.() ?? []).map(
        ({ labels, value }) => `${name}${labelled(labels)} ${value}\n`,
      );
      return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join('')}`;
    });
    return this.#counters() + gauges.join('');
  }

  #counters(): string {
    return Object.entries(COUNTERS)
      .map(([name, { help }]) => {
        const series = [...(this.#counts.get(name) ?? [])];
        const lines = series.map(([labels, count]) => `${name}{${labels}} ${count}\n`);
        return `# HELP ${name} ${help}\n# TYPE ${name} counter\n${lines.join('')}`;
      })
      .join('');
  }
}

const labelled = (labels: Readonly<Record<string, string>>): string =>
  Object.keys(labels).length === 0 ? '' : `{${labelText(labels)}}`;

const labelText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .toSorted()
    .map(([label, value]) => `${label}="${escaped(value)}"`)
    .join(',');

const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
