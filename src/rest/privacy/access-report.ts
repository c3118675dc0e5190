/**
 * Patient/[id]/$access-report: everything that is held of a person, then who accessed it, in pages. Source: GDPR Art. 15, EHDS 2025/327 Art. 9;
 * docs/privacy.md. The record is cut by the caller's scopes, as $everything is.
 */
import { serialize } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { personOf } from '../interactions/patient-links.ts';
import { everythingPage, urlOfCall, usedOf } from '../operations/everything.ts';
import { heldByKey } from '../operations/held.ts';
import { textOf, wholeOf } from '../operations/input.ts';
import type { Operation, OperationCall } from '../operations/operation.ts';
import { answered } from '../operations/output.ts';
import { bundleText, searchEntry } from '../wire/bundle-text.ts';
import { openCursor, sealCursor } from '../wire/cursor.ts';
import { pageLinks, urlOf } from '../wire/links.ts';
import { type Pair, pairsOf } from '../wire/query-text.ts';
import { accessPage, boundBy, type Period, placeOf, placeText, shown, viewOf } from './access-log.ts';

/** AuditEvents a page. */
const PAGE = 200;
/** Before a cursor of the second part; no sealed cursor holds a point. */
const ACCESSES = 'a.';

export const ACCESS_REPORT: Operation = {
  levels: ['instance'],
  takes: ['accessedFrom', 'accessedTo', '_count'],
  pages: true,
  long: true,
  perform: (call, caller, context) =>
    call.cursor?.startsWith(ACCESSES) ? accesses(call, call.cursor, caller, context) : record(call, caller, context),
};

async function personHeld(call: OperationCall, caller: Caller, context: RestContext) {
  const { key } = await heldByKey(call.key, caller, context);
  const persons = await personOf(key.id, caller.access, context);
  return { persons, view: viewOf(persons, caller) };
}

async function record(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  await personHeld(call, caller, context);
  const { owner, matches, added, cursor } = await everythingPage(call, caller, context);
  const { fhirBase } = context.settings;
  const now = context.ambient.now();
  const start = placeText({ until: now, after: undefined });
  const next = cursor ?? ACCESSES + sealCursor(context.settings.cursorKey, boundTo(call, caller, context), start, now);
  const entries = [...matches, ...added].map(({ key, text }) =>
    searchEntry(urlOf(fhirBase, key), text ?? 'null', 'match'),
  );
  const patients = [owner, ...matches, ...added].flatMap((version) => version.patients);
  return answered(call, page(call, entries, next, context), patients, context);
}

async function accesses(call: OperationCall, cursor: string, caller: Caller, context: RestContext): Promise<Performed> {
  const { persons, view } = await personHeld(call, caller, context);
  const { cursorKey, fhirBase } = context.settings;
  const now = context.ambient.now();
  const bound = boundTo(call, caller, context);
  const place = placeOf(openCursor(cursorKey, bound, cursor.slice(ACCESSES.length), now));
  const count = Math.min(Math.max(wholeOf(call.input, '_count') ?? PAGE, 1), PAGE);
  const period = boundBy(periodOf(call), place);
  const { events, next } = await accessPage(persons, period, { count, after: place.after }, context);
  const entries = events.map((event) =>
    searchEntry(`${fhirBase}/AuditEvent/${event.id}`, serialize(shown(event, persons, view, false)), 'match'),
  );
  const following = placeText({ until: place.until, after: next });
  const onward = next === undefined ? undefined : ACCESSES + sealCursor(cursorKey, bound, following, now);
  return answered(call, page(call, entries, onward, context), persons, context);
}

export function periodOf({ input }: OperationCall): Period {
  const [from, to] = [textOf(input, 'accessedFrom'), textOf(input, 'accessedTo')];
  return {
    low: from === undefined ? undefined : intervalOf(from)?.low,
    high: to === undefined ? undefined : intervalOf(to)?.high,
  };
}

const boundTo = (call: OperationCall, caller: Caller, context: RestContext) => ({
  principal: caller.access.principal,
  scope: JSON.stringify(['accesses', urlOfCall(call, context), usedOf(call)]),
});

function page(
  call: OperationCall,
  entries: readonly string[],
  next: string | undefined,
  { ambient, ...context }: RestContext,
) {
  const used = usedOf(call);
  const here: readonly Pair[] = call.cursor === undefined ? used : [...used, ['_cursor', call.cursor]];
  const url = urlOfCall(call, { ambient, ...context });
  return bundleText({
    id: ambient.newId(),
    at: ambient.now(),
    type: 'searchset',
    total: undefined,
    links: pageLinks(url, here, pairsOf(call.request.rawQuery), next),
    entries,
  });
}
