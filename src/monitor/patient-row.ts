/** What is kept of a monitored patient beside the resources, and the cursor; set in the same commit as what they caused. */
import { isJsonObject } from '../fhir/resource.ts';
import type { Command, ResourceStore } from '../store/port.ts';
import type { AlertState } from './crossing.ts';

/** Elements of the one-hour bundle. */
export type Element = 'lactate' | 'blood-cultures' | 'antibiotic' | 'fluids';

const CURSOR_SPACE = 'monitor.cursor';
export const PATIENT_SPACE = 'monitor.patient';
const CURSOR_KEY = 'changes';

export interface RuleState {
  readonly alerts: Readonly<Record<string, AlertState>>;
  /** Values of the trend's output, oldest first: [ms, value]. */
  readonly recent: readonly (readonly [at: number, value: number])[];
}
/** An episode of probable sepsis whose bundle is followed. */
export interface Episode {
  /** Id of the rule that began it. */
  readonly rule: string;
  /** Time zero: when the criteria were found met, ms. */
  readonly zero: number;
  /** Id of the MeasureReport. */
  readonly report: string;
  readonly elements: readonly Element[];
  /** Element -> when it was done (ms) and by what. */
  readonly done: Readonly<Partial<Record<Element, readonly [at: number, source: string]>>>;
}
export interface PatientRow {
  /** Every change of this patient up to this sequence has been acted on. */
  readonly through: number;
  readonly rules: Readonly<Record<string, RuleState>>;
  readonly episode?: Episode;
}
export const NEW_ROW: PatientRow = { through: 0, rules: {} };
export const NEW_STATE: RuleState = { alerts: {}, recent: [] };

/** A row as it is kept; the text is what the next commit expects. */
export interface KeptRow {
  readonly row: PatientRow;
  readonly text: string | null;
}

/** Only `setPatient` writes what is read here. */
export async function readPatient(id: string, store: ResourceStore): Promise<KeptRow> {
  const kept = await store.keyed(PATIENT_SPACE, id);
  if (kept === undefined) return { row: NEW_ROW, text: null };
  const row: unknown = JSON.parse(kept.value);
  if (!isRow(row)) throw new TypeError('The row of a monitored patient is not one.');
  return { row, text: kept.value };
}

const isRow = (value: unknown): value is PatientRow =>
  isJsonObject(value) && typeof value.through === 'number' && isJsonObject(value.rules);

/** Moves a patient's row; a commit that finds another one there conflicts, and repeats nothing. */
export function setPatient(id: string, before: KeptRow, value: string): Command {
  return { op: 'set', space: PATIENT_SPACE, key: id, value, expect: before.text };
}

/**
 * Sequence up to which every change has been acted on. A store that was never monitored begins at its newest change, and keeps that: what is
 * written from then on is not missed, whenever the thread is ready.
 */
export async function cursorOf(store: ResourceStore): Promise<number> {
  const newest = await store.latestSequence();
  const kept = await store.keyed(CURSOR_SPACE, CURSOR_KEY);
  if (kept !== undefined) return Number(kept.value);
  const { ok } = await store.commit({ commands: [{ ...setCursor(newest), expect: null }], audit: [] });
  return ok ? newest : cursorOf(store);
}
/** A cursor that lags makes changes be read again, which the patients' rows then pass over. */
export function setCursor(sequence: number): Extract<Command, { op: 'set' }> {
  return { op: 'set', space: CURSOR_SPACE, key: CURSOR_KEY, value: String(sequence) };
}
