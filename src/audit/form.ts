/**
 * Forms 1, 3 and 4 of an audit row: what `bytes` and `erasable` of one request hold, and which event is which. Frozen: a change is a new form.
 * 3 is 1 with purposes and token, 4 is 3 with what was asked of other servers.
 * Keys are in alphabetical order and absent values are left out, so the text is canonical. Source: docs/audit.md#rows.
 */
import { isJsonObject, type Json, type JsonObject } from '../fhir/resource.ts';
import { objectOf } from './commitment.ts';

/** What is written. */
export const FORM = 4;
/** What is read besides: what was written before purposes and tokens were, and before reads of other servers were. */
export const EARLIER_FORMS: ReadonlySet<number> = new Set([1, 3]);

/** Every key of the bytes; patients are indexes into `s`, never ids. */
export interface Form1 {
  /** Client's network address. */
  readonly a: string;
  /** Client: [value] or [system, value]. */
  readonly c: readonly string[];
  /** FHIR bases of the other servers that were asked. Form 4. */
  readonly d?: readonly string[];
  readonly e: readonly Form1Entry[];
  /** Purposes of use, codes of v3-ActReason. Form 3. */
  readonly g?: readonly string[];
  readonly h?: Form1Hook;
  /** Commitment to the erasable part; absent when there is none. */
  readonly k?: string;
  readonly o: Outcome;
  /** Subject keys. */
  readonly s: readonly string[];
  /** 1 = a user is known; who, is erasable. */
  readonly u?: 1;
  readonly w?: string;
  /** X-Request-Id. */
  readonly x: string;
  /** This server: [observer, address]. */
  readonly z: readonly [observer: string, address: string];
}
export type Outcome = '0' | '4' | '8';

export interface Form1Entry {
  /** Asked of another server by this one: which, an index into `d`. Form 4. */
  readonly d?: number;
  /** HTTP status of that server; 0 = no answer that counts. Form 4. */
  readonly f?: number;
  /** restful-interaction code; '' = not known (refused before). */
  readonly i: string;
  /** Operation code. */
  readonly o?: string;
  readonly p: readonly number[];
  /** 1 = has the next raw request of `Form1Erasable.q`. */
  readonly q?: 1;
  /** `Type/id`; a Patient is `Patient/#<index of subject>`. */
  readonly r?: string;
  readonly v?: number;
}

export interface Form1Hook {
  /** Each [uuid, indicator, topic]. */
  readonly cards: readonly (readonly string[])[];
  readonly drafts: readonly string[];
  readonly end: number;
  readonly fetched: readonly string[];
  readonly given: readonly string[];
  readonly hook: string;
  readonly instance?: string;
  readonly missing: readonly string[];
  /** The first, [id, version, SHA-256]. Forms 1 and 3. */
  readonly model?: readonly string[];
  /** Each [id, version, SHA-256]. Form 4. */
  readonly models?: readonly (readonly string[])[];
  readonly patient?: number;
  readonly service: string;
  readonly start: number;
}

/** What could identify a person. */
export interface Form1Erasable {
  /** Outcome description. */
  readonly d?: string;
  /** `jti` of the token. Form 3. */
  readonly j?: string;
  /** Raw requests, of the entries with `q` in order. */
  readonly q?: readonly string[];
  /** Salt. */
  readonly t: string;
  /** User reference. */
  readonly u?: string;
}

/** Which event of a row: one of an entry (with the index of its subject), or the row's last. */
export type EventPart =
  | { readonly part: 'entry'; readonly entry: Form1Entry; readonly index: number; readonly patient: number | undefined }
  | { readonly part: 'envelope'; readonly code: string }
  | { readonly part: 'hook'; readonly hook: Form1Hook };

/** The events of a row in order: per entry one per patient, at least one; then the envelope, then the hook call. Never empty. */
export function eventParts(row: Pick<Form1, 'e' | 'w' | 'h'>): EventPart[] {
  const parts: EventPart[] = row.e.flatMap((entry, index): EventPart[] =>
    entry.p.length === 0
      ? [{ part: 'entry', entry, index, patient: undefined }]
      : entry.p.map((patient) => ({ part: 'entry', entry, index, patient })),
  );
  if (row.w !== undefined) parts.push({ part: 'envelope', code: row.w });
  if (row.h !== undefined) parts.push({ part: 'hook', hook: row.h });
  if (parts.length === 0) parts.push({ part: 'entry', entry: { i: '', p: [] }, index: 0, patient: undefined });
  return parts;
}

/** auditevent-outcome: 0 success, 4 minor (4xx), 8 serious (5xx). */
export function outcomeOf(status: number): Outcome {
  if (status < 400) return '0';
  return status < 500 ? '4' : '8';
}

/** Of another server's answer: only 2xx gave anything, since redirects are not followed; no answer at all is serious. */
function outcomeElsewhere(status: number): Outcome {
  if (status === 0 || status >= 500) return '8';
  return status < 300 ? '0' : '4';
}

/** What came of an event: of its own where another server was asked, otherwise of the request. */
export const outcomeOfPart = ({ o }: Form1, part: EventPart): Outcome =>
  part.part === 'entry' && part.entry.f !== undefined ? outcomeElsewhere(part.entry.f) : o;

/** Base of the other server that an entry was asked of. */
export const serverAsked = ({ d }: Form1, entry: Form1Entry): string | undefined =>
  entry.d === undefined ? undefined : d?.[entry.d];

/** `Type/id` of an entry, absolute when it is of another server. */
export function referenceTo(resource: string, entry: Form1Entry, row: Form1): string {
  const server = serverAsked(row, entry);
  return server === undefined || server === row.z[0] ? resource : `${server}/${resource}`;
}

/** `Patient/#3` -> 3: the index of the subject that is itself the data; undefined for other resources. */
export function ownSubject(resource: string | undefined): number | undefined {
  return resource?.startsWith('Patient/#') === true ? Number(resource.slice('Patient/#'.length)) : undefined;
}

/** Bytes of form 1. @throws TypeError when they are not form 1 */
export function decodeForm1(bytes: string): Form1 {
  const json = objectOf(bytes);
  const [observer, address] = texts(json.z);
  return {
    a: text(json.a),
    c: texts(json.c),
    ...optional('d', json.d, texts),
    e: list(json.e).map((entry) => decodeEntry(object(entry))),
    ...optional('g', json.g, texts),
    ...(json.h === undefined ? {} : { h: decodeHook(object(json.h)) }),
    ...optional('k', json.k, text),
    o: outcome(json.o),
    s: texts(json.s),
    ...(json.u === undefined ? {} : { u: 1 as const }),
    ...optional('w', json.w, text),
    x: text(json.x),
    z: [text(observer), text(address)],
  };
}

/** @throws TypeError when the text is not the erasable part of form 1 */
export function decodeErasable1(erasable: string): Form1Erasable {
  const json = objectOf(erasable);
  return {
    ...optional('d', json.d, text),
    ...optional('j', json.j, text),
    ...optional('q', json.q, texts),
    t: text(json.t),
    ...optional('u', json.u, text),
  };
}

function decodeEntry(json: JsonObject): Form1Entry {
  return {
    ...optional('d', json.d, whole),
    ...optional('f', json.f, whole),
    i: text(json.i),
    ...optional('o', json.o, text),
    p: json.p === undefined ? [] : list(json.p).map(whole),
    ...(json.q === undefined ? {} : { q: 1 as const }),
    ...optional('r', json.r, text),
    ...optional('v', json.v, whole),
  };
}

function decodeHook(json: JsonObject): Form1Hook {
  return {
    cards: list(json.cards).map(texts),
    drafts: texts(json.drafts),
    end: whole(json.end),
    fetched: texts(json.fetched),
    given: texts(json.given),
    hook: text(json.hook),
    ...optional('instance', json.instance, text),
    missing: texts(json.missing),
    ...optional('model', json.model, texts),
    ...optional('models', json.models, (models) => list(models).map(texts)),
    ...optional('patient', json.patient, whole),
    service: text(json.service),
    start: whole(json.start),
  };
}

type Given = Json | undefined;
const malformed = (what: string): TypeError => new TypeError(`An audit row lacks ${what} where form 1 has one.`);

function text(value: Given): string {
  if (typeof value === 'string') return value;
  throw malformed('a text');
}
function whole(value: Given): number {
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  throw malformed('a whole number');
}
function list(value: Given): readonly Json[] {
  if (Array.isArray(value)) return value;
  throw malformed('a list');
}
function object(value: Given): JsonObject {
  if (isJsonObject(value)) return value;
  throw malformed('an object');
}
const texts = (value: Given): readonly string[] => list(value).map(text);
function outcome(value: Given): Outcome {
  if (value === '0' || value === '4' || value === '8') return value;
  throw malformed('an outcome');
}
function optional<K extends string, T>(key: K, value: Given, decode: (value: Given) => T): { [P in K]?: T } {
  const empty: { [P in K]?: T } = {};
  return value === undefined ? empty : { ...empty, [key]: decode(value) };
}
