/** Scores of a decision record computed again from the vectors that were kept. */
import type { Assessment, Models } from '../../risk/assessment.ts';
import type { Triage } from '../../risk/triage/triage.ts';
import type { ResourceStore } from '../../store/port.ts';
import { within } from '../hook/deadline.ts';
import type { DecisionRecord, RecordedTriage } from './decision-record.ts';
import { scoreFileOf } from './score-files.ts';

export interface Recomputed {
  readonly model: DecisionRecord['assessments'][number]['model'];
  /** null: no vector was kept (nothing was run, or by an earlier release), or that version gives no answer any more. */
  readonly outputs: Readonly<Record<string, number>> | null;
  /** null: there was nothing to compute it from; false: that version gives another answer now, or none. */
  readonly same: boolean | null;
}

/** The longest time that computing a score again may take, ms. */
const RESCORE_MS = 2000;
/** Graphs are deterministic on one machine; another may differ in the last bits. */
const TOLERANCE = 1e-6;

/** One for each assessment, in order: by the version on disk, or by the score file that was kept. */
export function recompute(
  { assessments }: DecisionRecord,
  models: Models,
  store: Pick<ResourceStore, 'keyed'>,
): Promise<readonly Recomputed[]> {
  return Promise.all(
    assessments.map(async (assessment) => {
      const { model, vector, outputs } = assessment;
      if (vector === undefined) return { model, outputs: null, same: null };
      const computed = await within(rescored(assessment, vector, models, store), RESCORE_MS, undefined);
      return { model, outputs: computed ?? null, same: computed !== undefined && isSame(outputs, computed) };
    }),
  );
}

async function rescored(
  { model, answeredBy }: Assessment,
  vector: readonly (number | null)[],
  models: Models,
  store: Pick<ResourceStore, 'keyed'>,
): Promise<Readonly<Record<string, number>> | undefined> {
  const now = await models.rescore(model, answeredBy, vector);
  if (now !== undefined) return now;
  const file = await scoreFileOf(store, model.sha256);
  return file === undefined ? undefined : models.rescore(model, answeredBy, vector, file);
}

export interface TriageAgain {
  readonly edition: RecordedTriage['edition']['id'];
  /** Of models/esi.json. */
  readonly version: string;
  /** null: no facts were kept, or neither this table nor a kept one is the one that was used. */
  readonly level: number | null;
  readonly same: boolean | null;
}

/** The decision of a triage, made again from the facts and by the table that were kept; undefined when the call was none. */
export async function triageAgain(
  { triage }: Pick<DecisionRecord, 'triage'>,
  engine: Triage,
  store: Pick<ResourceStore, 'keyed'>,
): Promise<TriageAgain | undefined> {
  if (triage === undefined) return undefined;
  const { facts, version, decision, sha256 = engine.table?.sha256 } = triage;
  const edition = triage.edition.id;
  const isOurs = version === engine.version && sha256 === engine.table?.sha256;
  const kept = isOurs || triage.sha256 === undefined ? undefined : await scoreFileOf(store, triage.sha256);
  const again =
    facts === undefined || (!isOurs && kept === undefined) ? undefined : engine.decide(facts, edition, kept);
  if (again === undefined) return { edition, version, level: null, same: null };
  return { edition, version, level: again.level ?? null, same: JSON.stringify(again) === JSON.stringify(decision) };
}

function isSame(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): boolean {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].every((name) => {
    const [one, other] = [before[name] ?? Number.NaN, after[name] ?? Number.NaN];
    return Math.abs(one - other) <= TOLERANCE;
  });
}
