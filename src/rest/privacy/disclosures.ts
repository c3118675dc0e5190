/**
 * Patient/[id]/$accounting-of-disclosures: who received data of a person, when, what and why, other than for care, payment and operations.
 * Source: 45 CFR 164.528 (six years; date, recipient, what, purpose; (a)(1) what is left out); docs/privacy.md#accounting-of-disclosures.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource, serialize } from '../../fhir/resource.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { personOf } from '../interactions/patient-links.ts';
import { urlOfCall, usedOf } from '../operations/everything.ts';
import { heldByKey } from '../operations/held.ts';
import { textOf } from '../operations/input.ts';
import type { Operation, OperationCall } from '../operations/operation.ts';
import { answered } from '../operations/output.ts';
import { bundleText, searchEntry } from '../wire/bundle-text.ts';
import { openCursor, sealCursor } from '../wire/cursor.ts';
import { type Link, pageLinks } from '../wire/links.ts';
import { type Pair, pairsOf } from '../wire/query-text.ts';
import { accessPage, boundBy, placeOf, placeText, shown, viewOf } from './access-log.ts';
import { periodOf } from './access-report.ts';
import { csvText } from './disclosure-table.ts';

/** AuditEvents looked at for a page: most are no disclosures, so a page may be empty and still have a next one. */
const LOOK = 500;
const YEARS = 6;

export const DISCLOSURES: Operation = {
  levels: ['instance'],
  takes: ['accessedFrom', 'accessedTo', '_outputFormat'],
  pages: true,
  long: true,
  perform: (call, caller, context) => performed(call, caller, context),
};

async function performed(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  const { settings, ambient } = context;
  const format = formatOf(call);
  const { key } = await heldByKey(call.key, caller, context);
  const persons = await personOf(key.id, caller.access, context);
  const view = viewOf(persons, caller);
  const now = ambient.now();
  const used = usedOf(call);
  const url = urlOfCall(call, context);
  const bound = { principal: caller.access.principal, scope: JSON.stringify(['disclosures', url, used]) };
  const place =
    call.cursor === undefined
      ? { until: now, after: undefined }
      : placeOf(openCursor(settings.cursorKey, bound, call.cursor, now));
  const { low, high } = periodOf(call);
  const period = boundBy({ low: low ?? yearsBefore(now), high }, place);
  const { events, next } = await accessPage(persons, period, { count: LOOK, after: place.after }, context);
  const told = events.filter(isDisclosure).map((event) => shown(event, persons, view, true));
  const here: readonly Pair[] = call.cursor === undefined ? used : [...used, ['_cursor', call.cursor]];
  const onward =
    next === undefined
      ? undefined
      : sealCursor(settings.cursorKey, bound, placeText({ until: place.until, after: next }), now);
  const links = pageLinks(url, here, pairsOf(call.request.rawQuery), onward);
  if (format !== 'bundle') {
    const lines = format === 'csv' ? csvText(told, settings.fhirBase, call.cursor === undefined) : ndjsonText(told);
    const response = {
      status: 200,
      headers: { 'Content-Type': CONTENT_TYPES[format], ...linkHeader(links) },
      body: lines,
    };
    return { ...answered(call, '', persons, context), response };
  }
  const entries = told.map((event) =>
    searchEntry(`${settings.fhirBase}/AuditEvent/${String(event.id)}`, serialize(event), 'match'),
  );
  const bundle = { id: ambient.newId(), at: now, type: 'searchset', total: undefined } as const;
  return answered(call, bundleText({ ...bundle, links, entries }), persons, context);
}

type Format = 'bundle' | 'csv' | 'ndjson';
/** What `_outputFormat` may say. */
const FORMATS: ReadonlyMap<string, Format> = new Map([
  ['application/fhir+json', 'bundle'],
  ['application/fhir+ndjson', 'ndjson'],
  ['application/ndjson', 'ndjson'],
  ['ndjson', 'ndjson'],
  ['text/csv', 'csv'],
  ['csv', 'csv'],
]);
const CONTENT_TYPES = { csv: 'text/csv; charset=utf-8', ndjson: 'application/fhir+ndjson' } as const;

/** @throws FhirError `value` (400) */
function formatOf({ input }: OperationCall): Format {
  const format = FORMATS.get(textOf(input, '_outputFormat')?.replaceAll(' ', '+') ?? 'application/fhir+json');
  if (format !== undefined) return format;
  throw fhirError('value', `\`_outputFormat\` must be one of ${[...FORMATS.keys()].join(', ')}.`);
}

/** Lines have no place for links: RFC 8288 has. */
function linkHeader(links: readonly Link[]): Readonly<Record<string, string>> {
  const next = links.find(({ relation }) => relation === 'next');
  return next === undefined ? {} : { Link: `<${next.url}>; rel="next"` };
}

const ndjsonText = (events: readonly JsonObject[]): string => events.map((event) => `${serialize(event)}\n`).join('');

function yearsBefore(now: number): number {
  const date = new Date(now);
  date.setUTCFullYear(date.getUTCFullYear() - YEARS);
  return date.getTime();
}

/**
 * Purposes that are left out: treatment, payment and operations with their kinds, and what the individual or who cares for them asked for.
 * Source: 164.528(a)(1)(i), (ii), (v); v3-ActReason. Everything else counts, also what is not known here.
 */
const LEFT_OUT: ReadonlySet<string> = new Set([
  ...['TREAT', 'ETREAT', 'BTG', 'CAREMGT', 'CLINTRL', 'COC', 'RECORDMGT'],
  ...['HPAYMT', 'CLMATTCH', 'COVAUTH', 'COVERAGE', 'ELIGDTRM', 'ELIGVER', 'ENROLLM', 'REMITADV'],
  ...[
    'HOPERAT',
    'HACCRED',
    'HCOMPL',
    'HDECD',
    'HDIRECT',
    'HDM',
    'HLEGAL',
    'HOUTCOMS',
    'HPRGRP',
    'HQUALIMP',
    'HSYSADMIN',
  ],
  ...['MEMADMIN', 'PATADMIN', 'PATSFTY', 'PERFMSR', 'SYSDEV', 'HTEST', 'TRAIN'],
  ...['PATRQT', 'FAMRQT', 'PWATRNY', 'SUPNWK'],
]);
/** restful-interaction codes by which data goes out. */
const OUTWARD: ReadonlySet<string> = new Set([
  ...['read', 'vread', 'search', 'search-type', 'search-system', 'operation'],
  ...['history-instance', 'history-type', 'history-system'],
]);
const DISCLOSE = 'disclose';

/** A recorded disclosure, or an access that gave data, for a purpose that is not left out. */
export function isDisclosure(event: Resource): boolean {
  if (event.outcome !== '0') return false;
  const codes = listOf(event.subtype).map(({ code }) => String(code ?? ''));
  const isOutward = codes.includes(DISCLOSE) || codes.some((code) => OUTWARD.has(code));
  const purposes = listOf(event.purposeOfEvent).flatMap(({ coding }) => listOf(coding).map(({ code }) => String(code)));
  if (purposes.length === 0) return codes.includes(DISCLOSE);
  return isOutward && purposes.some((code) => !LEFT_OUT.has(code));
}

const listOf = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter((each) => isJsonObject(each)) : [];
