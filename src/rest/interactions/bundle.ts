/** batch and transaction: http.html#transaction. A batch re-enters the door for each entry; a transaction is one commit (transaction.ts). */
import { FhirError, fhirError } from '../../fhir/outcome.ts';
import type { Json } from '../../fhir/resource.ts';
import { type Command, StoreError } from '../../store/port.ts';
import type { Caller, Perform, RestContext } from '../context.ts';
import type { FhirRequest, FhirResponse } from '../request.ts';
import {
  type BundleEntry,
  entryOf,
  forEach,
  rawEntries,
  refusal,
  responseBundle,
  responseEntry,
} from '../wire/bundle-entry.ts';
import { answer, type Change } from './change.ts';
import { provenanceOf } from './provenance.ts';
import { DoneAlready, keptText, type Replay, replayed, replayOf } from './replay.ts';
import { phaseOf, Transaction, type TransactionPlan } from './transaction.ts';
import { committed, type Plan } from './write.ts';

/** The way back in, given by the door itself. Both may throw FhirError. */
export interface Door {
  /** Answers one request completely: claims, access, audit. */
  interact(request: FhirRequest, caller: Caller, context: RestContext): Promise<FhirResponse>;
  /** Refuses (404, 405) what the capability statement does not claim, and (401, 403) what the caller's scopes do not allow. */
  assertAllowed(request: FhirRequest, caller: Caller, context: RestContext): void;
}

/** Most times a transaction is decided anew before 409. */
const TRIES = 20;
/** Most searches in one batch or transaction: each may cost as much as a search alone. */
const SEARCH_LIMIT = 100;
/** Entries of a batch that are in work at once: enough to share the store's group commits. */
const CONCURRENT = 32;

/** Order of a batch's entries. What can be repeated without harm comes first: a thread that may not run a search gives the whole batch away. */
const REPEATABLE = ['read', 'conditional', 'write'] as const;

/** 200 with the answer to each entry, refused or not; an entry's failure leaves the others alone. */
export const batch =
  (door: Door): Perform<Extract<FhirRequest, { interaction: 'batch' }>> =>
  async (request, caller, context) => {
    if (provenanceOf(request.wire) !== undefined) {
      throw fhirError('invalid', 'X-Provenance speaks of one write or one transaction, not of a batch.');
    }
    const texts = new Map<number, string>();
    const entries = rawEntries(request.bundle, context).flatMap((json, index) => {
      try {
        return [entryOf(json, index, request, context)];
      } catch (error) {
        texts.set(index, responseEntry(refused(error)));
        return [];
      }
    });
    limitSearches(entries);
    for (const stage of REPEATABLE) {
      const caught = stage === 'write' ? late : refused;
      const send = async ({ index, request: asked }: BundleEntry): Promise<void> => {
        const response = await door.interact(asked, caller, context).catch(caught);
        texts.set(index, responseEntry(withoutHead(asked, response)));
      };
      const due = entries.filter((entry) => stageOf(entry) === stage);
      for (let start = 0; start < due.length; start += CONCURRENT) {
        await Promise.all(due.slice(start, start + CONCURRENT).map(send));
      }
    }
    const row = context.audit({ caller, envelope: 'batch', entries: [], status: 200 });
    await context.store.commit({ commands: [], audit: [row] });
    return {
      response: responseBundle('batch', inOrder(texts), request.representation.pretty),
      entries: [],
      audited: true,
    };
  };

/** 200 with the answer to each entry when every entry succeeded; otherwise nothing is stored and every refusal is named. */
export const transaction =
  (door: Door): Perform<Extract<FhirRequest, { interaction: 'transaction' }>> =>
  async (request, caller, context) => {
    const entries = await decoded(rawEntries(request.bundle, context), request, door, caller, context);
    limitSearches(entries);
    const replay = replayOf(request.bundle, caller);
    let byEntry: TransactionPlan['byEntry'] = new Map();
    const decide = async (): Promise<Plan> => {
      const kept = replay && (await context.store.kept(replay.key));
      if (kept !== undefined) throw new DoneAlready(kept);
      const plan = await new Transaction(caller, context).decide(entries);
      byEntry = plan.byEntry;
      return replay === undefined ? plan : { ...plan, expects: [...plan.expects, keeping(replay, entries, plan)] };
    };
    const reads = async ({ request: asked }: BundleEntry): Promise<string> =>
      responseEntry(withoutHead(asked, await door.interact(asked, caller, context).catch(late)));
    const respond = async (answers: (entry: BundleEntry) => string | undefined): Promise<FhirResponse> => {
      const texts = new Map<number, string>();
      for (const entry of entries) {
        const isRead = phaseOf(entry.request) === 'read';
        texts.set(entry.index, (isRead ? undefined : answers(entry)) ?? (await reads(entry)));
      }
      return responseBundle('transaction', inOrder(texts), request.representation.pretty);
    };
    try {
      const done = await committed(TRIES, 'transaction', caller, context, decide, provenanceOf(request.wire));
      const response = await respond(({ index, request: asked }) => {
        const planned = byEntry.get(index);
        const change = planned && done.changes[planned.position];
        return written(change, planned?.repeated === true, asked, done.at, context);
      });
      return { response, entries: done.entries, audited: true };
    } catch (error) {
      if (!(error instanceof DoneAlready) || replay === undefined) throw error;
      const answers = replayed(error.kept, replay, context.settings.fhirBase);
      const row = context.audit({ caller, envelope: 'transaction', entries: [], status: 200 });
      await context.store.commit({ commands: [], audit: [row] });
      return { response: await respond(({ index }) => answers[index]), entries: [], audited: true };
    }
  };

function keeping(replay: Replay, entries: readonly BundleEntry[], { changes, byEntry }: TransactionPlan): Command {
  const made = entries.map(({ index, request }) => {
    if (phaseOf(request) === 'read') return null;
    const planned = byEntry.get(index);
    const change = planned && changes[planned.position];
    return change && planned.repeated ? ({ ...change, status: 200 } as const) : change;
  });
  return { op: 'keep', key: replay.key, value: keptText(replay, made) };
}

/** The answer to a writing entry. A conditional delete without a match has no change; a repeated conditional create found what it asked for. */
function written(change: Change | undefined, repeated: boolean, asked: FhirRequest, at: number, context: RestContext) {
  if (change === undefined) return responseEntry({ status: 204, headers: {}, body: undefined });
  const own = repeated ? ({ ...change, status: 200 } as const) : change;
  const instant = change.version > 0 ? (change.held?.at ?? at) : undefined;
  return responseEntry(answer(own, at, asked.representation, context), instant);
}

const inOrder = (texts: ReadonlyMap<number, string>): readonly string[] =>
  Array.from({ length: texts.size }, (_, index) => texts.get(index) ?? '');

/** HEAD asks what GET asks, without the body. */
const withoutHead = ({ wire }: FhirRequest, response: FhirResponse): FhirResponse =>
  wire.method === 'HEAD' ? { ...response, body: undefined } : response;

/** Every entry as a request that is claimed and has a place in a transaction; refusals of all entries together. */
async function decoded(
  raw: readonly Json[],
  outer: FhirRequest,
  door: Door,
  caller: Caller,
  context: RestContext,
): Promise<readonly BundleEntry[]> {
  const entries: BundleEntry[] = [];
  await forEach(
    raw.map((json, index) => ({ json, index })),
    ({ json, index }) => {
      const entry = entryOf(json, index, outer, context);
      door.assertAllowed(entry.request, caller, context);
      phaseOf(entry.request);
      entries.push(entry);
    },
  );
  return entries;
}

function limitSearches(entries: readonly BundleEntry[]): void {
  const searches = entries.filter(({ request }) => request.interaction.startsWith('search-'));
  if (searches.length > SEARCH_LIMIT) {
    throw fhirError('too-costly', `A Bundle may hold at most ${SEARCH_LIMIT} searches.`);
  }
}

function stageOf({ request }: BundleEntry): (typeof REPEATABLE)[number] {
  if (request.wire.method === 'GET' || request.wire.method === 'HEAD') return 'read';
  const isConditional = request.interaction.startsWith('conditional-') || request.interaction === 'search-type';
  return isConditional || (request.interaction === 'create' && request.ifNoneExist !== undefined)
    ? 'conditional'
    : 'write';
}

function refused(error: unknown): FhirResponse {
  if (error instanceof FhirError) return refusal(error);
  throw error;
}

/** Once something is written, the whole Bundle must not be tried again: what the store refuses is told in the entry. */
function late(error: unknown): FhirResponse {
  if (!(error instanceof StoreError)) return refused(error);
  return refusal(
    fhirError('transient', 'This entry could not be answered now, other entries were; ask it again alone.'),
  );
}
