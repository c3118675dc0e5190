/**
 * When an alert is raised, told and cleared. Pure. An alert rises at `raiseAt` and falls below `clearBelow`; what lies between changes nothing
 * (hysteresis), and a value that falls because an input has run out of its window is no recovery.
 */
import type { Alert } from './rule.ts';

/** An alert of one patient as it is kept. */
export interface AlertState {
  readonly raised: boolean;
  /** Id of the Flag while raised. */
  readonly flag?: string;
  /** Id of the last CommunicationRequest. */
  readonly request?: string;
  /** When it was told last, ms. */
  readonly toldAt?: number;
  /** Raised within the quiet time, and not told yet. */
  readonly owed?: boolean;
  /** The measured inputs it stands on since it was raised: name -> newest source. */
  readonly inputs?: Readonly<Record<string, string>>;
}
export const CALM: AlertState = { raised: false };

/** What a scoring found. */
export interface Seen {
  /** undefined: nothing could be computed. */
  readonly value: number | undefined;
  /** Measured inputs that were used: name -> source. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Of these, what the value stands on: inputs that add points, or all where points are not known. */
  readonly counted: Readonly<Record<string, string>>;
  /** `Type/id` of what has been deleted or marked as an error since the last scoring. */
  readonly withdrawn: ReadonlySet<string>;
  /** The patient is not monitored (any more): died, left, comfort care. */
  readonly outside: boolean;
  /** The alert's `unless` holds. */
  readonly suppressed: boolean;
  /** ms since 1970. */
  readonly at: number;
}

export interface Step {
  readonly state: AlertState;
  readonly event: 'raised' | 'cleared' | undefined;
  /** Somebody is to be told now. */
  readonly tell: boolean;
}

const MINUTE_MS = 60_000;

export function step(alert: Alert, state: AlertState, seen: Seen): Step {
  return state.raised ? whileRaised(alert, state, seen) : whileCalm(alert, state, seen);
}

function isQuiet({ quietMinutes }: Alert, { toldAt }: AlertState, at: number): boolean {
  return toldAt !== undefined && at - toldAt < quietMinutes * MINUTE_MS;
}

function whileCalm(alert: Alert, state: AlertState, seen: Seen): Step {
  const { value, counted, outside, suppressed, at } = seen;
  const rises = !outside && !suppressed && value !== undefined && value >= alert.raiseAt;
  if (!rises) return { state, event: undefined, tell: false };
  const raised = { ...state, raised: true, inputs: counted };
  if (isQuiet(alert, state, at)) return { state: { ...raised, owed: true }, event: 'raised', tell: false };
  return { state: { ...raised, toldAt: at }, event: 'raised', tell: true };
}

function whileRaised(alert: Alert, state: AlertState, seen: Seen): Step {
  const needed = remaining(state.inputs ?? {}, seen);
  const isWhole = Object.keys(needed).every((name) => seen.inputs[name] !== undefined);
  const falls = seen.value !== undefined && seen.value < alert.clearBelow && isWhole;
  if (seen.outside || falls) {
    const { flag: _flag, request: _request, owed: _owed, inputs: _inputs, ...rest } = state;
    return { state: { ...rest, raised: false }, event: 'cleared', tell: false };
  }
  const kept = { ...state, inputs: needed };
  if (state.owed !== true || isQuiet(alert, state, seen.at)) return { state: kept, event: undefined, tell: false };
  const { owed: _owed, ...told } = kept;
  return { state: { ...told, toldAt: seen.at }, event: undefined, tell: true };
}

/** The inputs an alert still stands on: by their newest source; what was withdrawn no longer counts. */
function remaining(inputs: Readonly<Record<string, string>>, { inputs: now, withdrawn }: Seen) {
  const entries = Object.entries(inputs).flatMap(([name, source]) => {
    const newest = now[name];
    if (newest !== undefined) return [[name, newest] as const];
    return withdrawn.has(source) ? [] : [[name, source] as const];
  });
  return Object.fromEntries(entries);
}
