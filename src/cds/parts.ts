/** What the CDS room is made of, and what goes in and out of a call. */
import type { Ambient, Caller, RestContext } from '../rest/context.ts';
import type { Models } from '../risk/assessment.ts';
import type { DrugSafety } from '../risk/drugs/finding.ts';
import type { Triage } from '../risk/triage/triage.ts';
import type { Seal } from './basis/decision-record.ts';
import type { ScoreFiles } from './basis/score-files.ts';
import type { Answered } from './call/answered.ts';
import type { OutsideReads, ReadOutside } from './call/outside-reads.ts';
import type { Door } from './call/reader.ts';
import type { BasisHandles } from './cards/basis-link.ts';
import type { Indicator } from './cards/card.ts';
import type { Verified } from './clients/bearer.ts';
import type { OverrideMemory } from './feedback/override-memory.ts';

export interface CdsAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
/** What is counted: never with ids or texts. */
export type CdsEvent =
  | 'card-refused'
  | 'cards-over-limit'
  | 'prefixed-id'
  | 'dangling-selection'
  | 'foreign-resource'
  | 'engine-failed'
  | 'override-remembered'
  | 'feedback-accepted'
  | 'feedback-overridden'
  | 'feedback-orphan'
  | 'feedback-unusable'
  | 'audit-failed';

/** What is counted by service and model: names of this deployment only. */
export type CdsSample =
  | { readonly kind: 'call'; readonly service: string; readonly status: number }
  | { readonly kind: 'card'; readonly service: string; readonly model: string; readonly indicator: Indicator }
  | { readonly kind: 'feedback'; readonly service: string; readonly model: string; readonly outcome: string };

export interface CdsParts {
  readonly seal: Seal;
  /** How long decision records are kept, ms. */
  readonly recordMs: number;
  readonly handles: BasisHandles;
  /** How long the page of a card's basis can be opened, ms. */
  readonly basisMs: number;
  /** Base of links on cards, without trailing slash. */
  readonly publicUrl: string;
  readonly models: Models;
  readonly scoreFiles: ScoreFiles;
  readonly drugSafety: DrugSafety;
  readonly triage: Triage;
  readonly context: RestContext;
  readonly door: Door;
  readonly readOutside: ReadOutside;
  readonly fhirBase: string;
  readonly deadlineMs: number;
  /** Features of the CDS Hooks 3.0 ballot are on. */
  readonly hooks3: boolean;
  readonly memory: OverrideMemory;
  /** Answers of the last moments. */
  readonly answered: Answered;
  readonly ambient: Ambient;
  observe(event: CdsEvent, count: number): void;
  measure(sample: CdsSample): void;
}

/** Who sent a call: the registered client and its JWT. */
export interface Sender extends Verified {
  readonly caller: Caller;
}
/** One call while it is answered. */
export interface Call extends Sender {
  /** ms since 1970 when it came. */
  readonly startedAt: number;
  readonly outside: OutsideReads;
}
