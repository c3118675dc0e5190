/** What the door needs of surveillance: implemented in src/surveillance, given by system.ts. */
import type { Resource } from '../../fhir/resource.ts';
import type { RestContext } from '../context.ts';

export interface SurveillanceAsked {
  /** Ids of definitions. */
  readonly definitions: readonly string[];
  /** Days of the site, `2026-03-29`, both included. */
  readonly from: string;
  readonly to: string;
  /** `Location/1`, `Organization/1`: only its signals and groups are given; undefined: all. */
  readonly unit: string | undefined;
}
export interface SurveillanceDesk {
  readonly definitions: ReadonlySet<string>;
  /** Types that cases are read from: whoever asks must be allowed to search all of them. */
  readonly reads: readonly string[];
  /** Types of the results: whoever asks must be allowed to write them. */
  readonly writes: readonly string[];
  /** Most days of one request. */
  readonly mostDays: number;
  /** The day of the site it is now. */
  today(now: number): string;
  isDay(text: string): boolean;
  /** Counts and judges anew, writes the results, and gives them: MeasureReports and DetectedIssues. */
  run(asked: SurveillanceAsked, requestId: string, context: RestContext): Promise<readonly Resource[]>;
}
