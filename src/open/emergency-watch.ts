/** The watch over emergency access as configured: a look each minute, by the process that does the background work. */
import type { Config } from '../config.ts';
import type { Duties } from '../leases.ts';
import { lookAtReviews, type ReviewCounts } from '../privacy/break-glass-watch.ts';
import type { RestContext } from '../rest/context.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface WatchParts {
  current(): RestContext;
  readonly duties: Pick<Duties, 'during'>;
  readonly metrics: Pick<Metrics, 'gauge'>;
  readonly log: Pick<Log, 'event' | 'failure'>;
}

const LOOK_MS = 60_000;
const DAY_MS = 86_400_000;

/** The first look is at once. */
export function watchEmergencies(
  { BREAK_GLASS_REVIEW_DAYS }: Pick<Config, 'BREAK_GLASS_REVIEW_DAYS'>,
  { current, duties, metrics, log }: WatchParts,
): { idle(): Promise<void>; close(): Promise<void> } {
  let counts: ReviewCounts | undefined;
  let toldAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    counts = await lookAtReviews(current(), BREAK_GLASS_REVIEW_DAYS * DAY_MS);
    const now = current().ambient.now();
    if (counts.overdue === 0 || now - toldAt < DAY_MS) return;
    log.event('reviews-overdue', { count: counts.overdue });
    toldAt = now;
  };
  /** One look at a time. */
  const begin = (): void => {
    looking ??= look()
      .catch((error: unknown) => log.failure('request-failed', error, { requestId: 'emergency-watch' }))
      .finally(() => {
        looking = undefined;
      });
  };
  const end = async (): Promise<void> => {
    clearInterval(timer);
    await looking;
    counts = undefined;
  };
  metrics.gauge('firewatch_break_glass_reviews', () =>
    Object.entries(counts ?? {}).map(([state, value]) => ({ labels: { state }, value })),
  );
  duties.during({
    begin: () => {
      clearInterval(timer);
      timer = setInterval(begin, LOOK_MS).unref();
      begin();
    },
    end,
  });
  return {
    /** Resolves when the look that is under way is done. */
    idle: async () => looking,
    close: end,
  };
}
