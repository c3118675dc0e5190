/**
 * What becomes of emergency access: its end in the audit, and the reviews that stay open. Looks at the reviews that are watched, never at the
 * store as a whole. Source: DICOM PS3.15 A.5.3 (110113, 110138); docs/privacy.md#break-glass, decision 0044.
 */
import { isJsonObject, type Json, type Resource } from '../fhir/resource.ts';
import type { RestContext } from '../rest/context.ts';
import { storedResource } from '../rest/wire/represent.ts';
import type { Command, Keyed, StoredVersion } from '../store/port.ts';
import { REVIEWS, serverOf, TOKEN } from './break-glass.ts';

export interface ReviewCounts {
  readonly open: number;
  /** Of those, how many for longer than is allowed. */
  readonly overdue: number;
}

/** Value of a review whose end is told. */
const TOLD = 'told';
const PAGE = 200;
/** Of Task.status: nothing is left to be done. */
const CLOSED: ReadonlySet<string> = new Set(['completed', 'cancelled', 'rejected', 'failed', 'entered-in-error']);

/**
 * Tells the end of each access that is over, once; forgets reviews that are closed.
 * @param overdueMs a review that is open for longer is overdue
 */
export async function lookAtReviews(context: RestContext, overdueMs: number): Promise<ReviewCounts> {
  const { store, ambient } = context;
  let [open, overdue] = [0, 0];
  for (let after: string | undefined; ; ) {
    const page = await store.keyedPage(REVIEWS, { after, count: PAGE });
    for (const watched of page) {
      const since = await openSince(watched, context);
      if (since !== undefined) open++;
      if (since !== undefined && since < ambient.now() - overdueMs) overdue++;
    }
    after = page.at(-1)?.key;
    if (page.length < PAGE) return { open, overdue };
  }
}

/** When the review was asked for, ms since 1970; undefined: it is closed, or it went with its patient. */
async function openSince(watched: Keyed, context: RestContext): Promise<number | undefined> {
  const { store, ambient } = context;
  const key = { type: 'Task', id: watched.key };
  const [first, current] = [await store.read(key, 1), await store.read(key)];
  if (first?.text === undefined || current === undefined) {
    await store.commit({ commands: [forget(watched)], audit: [] });
    return undefined;
  }
  const isOver = watched.value !== TOLD && Number(watched.value) <= ambient.now();
  if (isOver) await tellEnd(watched, storedResource(first.text), current, context);
  const status = current.text === undefined ? undefined : storedResource(current.text).status;
  if (typeof status === 'string' && !CLOSED.has(status)) return first.at;
  // What is not told yet is told by the look after its end.
  if (watched.value === TOLD) await store.commit({ commands: [forget(watched)], audit: [] });
  return undefined;
}

const forget = ({ key, value }: Keyed): Command => ({
  ...{ op: 'set', space: REVIEWS, key, value: undefined },
  expect: value,
});

/** By whom and about whom the Task says as it was made, whatever became of it. Another look may be first: then nothing is written. */
async function tellEnd({ key, value }: Keyed, made: Resource, { version }: StoredVersion, context: RestContext) {
  const patient = referenceIn(made.for).replace(/^Patient\//, '');
  const user = userIn(made.requester);
  const situation = { purposes: ['BTG'], actors: [] };
  const token = tokenIn(made.input);
  const caller = {
    ...serverOf({ requestId: key, address: '127.0.0.1' }),
    ...{ user, rights: { kind: 'granted', scopes: [], patients: [patient], situation } as const },
    ...(token === undefined ? {} : { token }),
  };
  const task = { type: 'Task', id: key };
  const entry = { interaction: 'emergency-stop', resource: { ...task, version: 1 }, patients: [patient] };
  const commands: readonly Command[] = [
    { op: 'set', space: REVIEWS, key, value: TOLD, expect: value },
    // It goes with its patient: nothing is written about who was erased meanwhile.
    { op: 'hold', key: task, version },
  ];
  await context.store.commit({ commands, audit: [context.audit({ caller, entries: [entry], status: 200 })] });
}

const textIn = (value: Json | undefined, name: string): string | undefined => {
  const text = isJsonObject(value) ? value[name] : undefined;
  return typeof text === 'string' ? text : undefined;
};
const referenceIn = (value: Json | undefined): string => textIn(value, 'reference') ?? '';
const userIn = (value: Json | undefined): string | undefined =>
  textIn(value, 'reference') ?? (isJsonObject(value) ? textIn(value.identifier, 'value') : undefined);
const tokenIn = (value: Json | undefined): string | undefined => {
  const uri = Array.isArray(value) ? textIn(value[0], 'valueUri') : undefined;
  return uri?.startsWith(TOKEN) === true ? uri.slice(TOKEN.length) : undefined;
};
