/** The cards that were shown in a period and what became of them, page by page: decision records joined to their feedback. docs/cds-hooks.md#feedback-and-explanation. */

import { createHash } from 'node:crypto';
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, parseOwnJson } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';
import type { Caller } from '../../rest/context.ts';
import { csvLine } from '../../rest/wire/csv.ts';
import type { Command } from '../../store/port.ts';
import { type DecisionRecord, decisionPage } from '../basis/decision-record.ts';
import { modelName } from '../call/record.ts';
import { HEADERS, refusal, refuse, usedOnce } from '../call/refusal.ts';
import { refuseBearer } from '../clients/bearer.ts';
import { breath } from '../hook/deadline.ts';
import type { CdsAnswer, CdsParts, Sender } from '../parts.ts';
import { FEEDBACK } from './feedback.ts';
import {
  EXPORTED,
  exportRows,
  factOf,
  type GivenFeedback,
  type ReportGroup,
  type Told,
  tally,
  together,
} from './tally.ts';

export const REPORT_FORMATS = ['json', 'csv', 'ndjson'] as const;
export interface ReportQuery {
  /** ms since 1970; cards shown from `from` on and before `to`. */
  readonly from: number;
  readonly to: number;
  readonly format: (typeof REPORT_FORMATS)[number];
  /** Where the previous page ended. */
  readonly after: string | undefined;
}
export interface ReportPage {
  readonly cards: readonly Told[];
  /** Where the next page begins; undefined: this is the last. */
  readonly after: string | undefined;
}

/** Calls that one page looks at. */
const PAGE_CALLS = 500;
/** Decoded at once, a few milliseconds of work; other requests are served in between. */
const STEP_CALLS = 40;
const CARDS_ASKED = 50;
/** Ids are made a moment before or after the instant of their call. */
const CLOCK_SLACK_MS = 60_000;
const DAY_MS = 86_400_000;
const UUID = /^[0-9a-f-]{36}$/;

/**
 * Query of `GET /cds-services/report`; without `from` thirty days, without `to` until now.
 * @throws FhirError 400 for anything else
 */
export function reportQuery(query: URLSearchParams, now: number): ReportQuery {
  const instant = (name: string, end: 'low' | 'high', otherwise: number): number => {
    const text = query.get(name);
    if (text === null || text === '') return otherwise;
    const found = intervalOf(text)?.[end];
    if (found === undefined) throw fhirError('value', `\`${name}\` is not a date or instant.`);
    return found;
  };
  const to = instant('to', 'high', now);
  const from = instant('from', 'low', to - 30 * DAY_MS);
  const asked = query.get('format') ?? 'json';
  const format = REPORT_FORMATS.find((each) => each === asked);
  if (format === undefined) throw fhirError('value', `\`format\` is one of ${REPORT_FORMATS.join(', ')}.`);
  const after = query.get('after') ?? undefined;
  if (after !== undefined && !UUID.test(after)) throw fhirError('value', '`after` is not where a page ended.');
  if (from >= to) throw fhirError('value', '`from` is not before `to`.');
  return { from, to, format, after };
}

/** One page, of one client's cards or of everybody's (`client` undefined). Feedback is read through the door, as `caller`. */
export async function reportPage(
  { from, to, after }: ReportQuery,
  client: string | undefined,
  caller: Caller,
  parts: CdsParts,
): Promise<ReportPage> {
  const records: DecisionRecord[] = [];
  let place = after;
  for (let looked = 0; looked < PAGE_CALLS; looked += STEP_CALLS) {
    const page = await decisionPage(parts.context.store, parts.seal, { from, after: place }, STEP_CALLS);
    records.push(
      ...page.records.filter((each) => each.at >= from && each.at < to && (client ?? each.client) === each.client),
    );
    place = (page.records.at(-1)?.at ?? 0) > to + CLOCK_SLACK_MS ? undefined : page.after;
    if (place === undefined) break;
    await breath();
  }
  const shown = records.flatMap((record) =>
    record.cards.filter((card) => card.shown).map((card) => ({ record, card })),
  );
  const said = await feedbackOn(
    shown.map(({ card }) => card.uuid),
    caller,
    parts,
  );
  const cards = shown.map(({ record, card }): Told => {
    const own = (said.get(card.uuid) ?? []).filter(
      (each) => each.client === record.client && each.service === record.service,
    );
    return {
      service: record.service,
      model: modelName(record.model),
      fact: factOf(card.key),
      indicator: card.card.indicator,
      source: card.card.source.label,
      at: record.at,
      user: record.user,
      location: record.fhirServer ?? record.client,
      feedback: own.map(({ given }) => given).toSorted((one, other) => (one.at < other.at ? -1 : 1)),
    };
  });
  return { cards, after: place };
}

interface Said {
  readonly client: string;
  readonly service: string;
  readonly given: GivenFeedback;
}

/** @throws FhirError 503 when feedback cannot be read: a report without it would be wrong */
async function feedbackOn(
  uuids: readonly string[],
  caller: Caller,
  { door, context }: CdsParts,
): Promise<ReadonlyMap<string, readonly Said[]>> {
  const found = new Map<string, Said[]>();
  for (let start = 0; start < uuids.length; start += CARDS_ASKED) {
    const names = uuids.slice(start, start + CARDS_ASKED).map((uuid) => `${FEEDBACK.card}|${uuid}`);
    const query = `identifier=${encodeURIComponent(names.join(','))}&_count=1000`;
    const headers = { accept: 'application/fhir+json' };
    const answer = await door(
      { method: 'GET', path: '/Communication', query, headers, body: undefined },
      caller,
      context,
    );
    if (answer.status !== 200 || answer.body === undefined)
      throw fhirError('transient', 'Feedback cannot be read now.');
    for (const resource of entriesOf(parseOwnJson(answer.body))) {
      const [card, said] = saidBy(resource);
      if (said !== undefined) found.set(card, [...(found.get(card) ?? []), said]);
    }
    await breath();
  }
  return found;
}

const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);
const first = (value: Json | undefined): JsonObject => {
  const [found] = list(value);
  return isJsonObject(found) ? found : {};
};
const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

function entriesOf(bundle: Json): readonly JsonObject[] {
  return list(isJsonObject(bundle) ? bundle.entry : undefined).flatMap((entry) =>
    isJsonObject(entry) && isJsonObject(entry.resource) ? [entry.resource] : [],
  );
}

/** The card, and what was said of it; undefined for a Communication that is no feedback of ours, or an orphan. */
function saidBy(resource: JsonObject): readonly [card: string, said: Said | undefined] {
  const card = text(first(resource.identifier).value);
  const parts = new Map(
    list(first(resource.extension).extension).flatMap((part) =>
      isJsonObject(part) ? [[text(part.url), part] as const] : [],
    ),
  );
  const outcome = parts.get('outcome')?.valueCode;
  if ((outcome !== 'accepted' && outcome !== 'overridden') || parts.has('orphan')) return [card, undefined];
  const reason = first(first(resource.reasonCode).coding);
  const comment = text(first(resource.note).text);
  const given: GivenFeedback = {
    outcome,
    at: text(resource.sent),
    reason:
      reason.code === undefined
        ? undefined
        : { system: text(reason.system), code: text(reason.code), display: text(reason.display) },
    comment: comment === '' ? undefined : comment,
  };
  return [
    card,
    { client: text(parts.get('client')?.valueString), service: text(parts.get('service')?.valueString), given },
  ];
}

const TYPES = {
  json: HEADERS['Content-Type'],
  csv: 'text/csv; charset=utf-8',
  ndjson: 'application/x-ndjson; charset=utf-8',
};

/** Counts of the pages before one, kept under what was asked and where it begins. */
const SO_FAR = 'cds.report';
/** How long the next page may be asked for. */
const PAGE_KEPT_MS = 3_600_000;

const soFarKey = ({ from, to }: ReportQuery, client: string, after: string): string =>
  createHash('sha256')
    .update(JSON.stringify([client, from, to, after]))
    .digest('hex');

/** @throws FhirError 400 for a page that this client was not led to, or too long ago: its counts would not be whole */
async function countedBefore(
  asked: ReportQuery,
  client: string,
  { context, ambient }: CdsParts,
): Promise<readonly ReportGroup[]> {
  if (asked.after === undefined) return [];
  const kept = await context.store.keyed(SO_FAR, soFarKey(asked, client, asked.after));
  if (kept === undefined || (kept.expiresAt ?? 0) <= ambient.now()) {
    throw fhirError('value', '`after` is not where a page of this report ended within the last hour.');
  }
  return JSON.parse(kept.value);
}

/** `GET /cds-services/report`: a client's own cards, audited; `Link` names the next page. Counts are of all pages up to this one. */
export async function report(query: URLSearchParams, from: Sender, parts: CdsParts): Promise<CdsAnswer> {
  const { context, ambient, publicUrl } = parts;
  const asked = reportQuery(query, ambient.now());
  if (from.replay !== undefined) {
    const used = await context.store.commit({ commands: [usedOnce(from.replay)], audit: [] });
    if (!used.ok) return refuse(refuseBearer('replayed'), from.caller, parts, 'replayed');
  }
  const client = from.client.name;
  const isCounted = asked.format === 'json';
  const before = isCounted ? await countedBefore(asked, client, parts) : [];
  const page = await reportPage(asked, client, from.caller, parts);
  const groups = isCounted ? together(before, tally(page.cards)) : [];
  const entries = [{ interaction: 'operation', operation: 'cds-feedback-report', patients: [] }] as const;
  const row = context.audit({ caller: from.caller, entries, status: 200 });
  const commands: readonly Command[] =
    page.after === undefined || !isCounted
      ? []
      : [
          {
            op: 'set',
            space: SO_FAR,
            key: soFarKey(asked, client, page.after),
            value: JSON.stringify(groups),
            expiresAt: ambient.now() + PAGE_KEPT_MS,
          },
        ];
  const written = await context.store.commit({ commands, audit: [row] });
  if (!written.ok) return refusal(fhirError('transient', 'The access could not be recorded, so it is not answered.'));
  const next =
    page.after === undefined ? undefined : `${publicUrl}/cds-services/report?${nextQuery(asked, page.after)}`;
  const link: Record<string, string> = next === undefined ? {} : { Link: `<${next}>; rel="next"` };
  return {
    status: 200,
    headers: { ...HEADERS, 'Content-Type': TYPES[asked.format], ...link },
    body: rendered(asked, page, next, groups),
  };
}

function nextQuery({ from, to, format }: ReportQuery, after: string): URLSearchParams {
  const instant = (at: number) => new Date(at).toISOString();
  // `to` is read as the end of the millisecond that it names.
  return new URLSearchParams({ from: instant(from), to: instant(to - 1), format, after });
}

/**
 * The text of a page. CSV has its head on the first page only, so that pages can be joined.
 * @param groups counts, where they are of more than this page
 */
export function rendered(
  asked: ReportQuery,
  { cards }: ReportPage,
  next: string | undefined,
  groups?: readonly ReportGroup[],
): string {
  const { from, to, format, after } = asked;
  if (format === 'json') {
    const period = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
    return JSON.stringify({
      ...period,
      complete: next === undefined,
      ...(next === undefined ? {} : { next }),
      groups: groups ?? tally(cards),
    });
  }
  const rows = cards.flatMap(exportRows);
  if (format === 'ndjson') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const head = after === undefined ? csvLine(EXPORTED) : '';
  return head + rows.map((row) => csvLine(EXPORTED.map((name) => row[name]))).join('');
}
