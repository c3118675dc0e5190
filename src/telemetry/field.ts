/**
 * THE table of what a log line may hold. Each field has its own checker; what does not pass is written as 'redacted'.
 * Free text has no field: a value is a number, a member of a closed set, or a machine-made form no person's data has. Source: docs/decisions/0010-logging.md.
 */
export const REDACTED = 'redacted';

/** Names of this deployment, from files it started with; everything else is redacted. */
export interface Vocabulary {
  readonly resourceTypes: ReadonlySet<string>;
  /** Route templates such as `/fhir/:type/:id`. */
  readonly routes: ReadonlySet<string>;
  readonly hooks: ReadonlySet<string>;
  /** Ids of CDS services. */
  readonly services: ReadonlySet<string>;
  /** Ids of models. */
  readonly models: ReadonlySet<string>;
}

type Checker = (value: unknown, vocabulary: Vocabulary) => string | number;

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const INTERACTIONS = new Set([
  ...['read', 'vread', 'history-instance', 'history-type', 'history-system', 'search', 'search-type', 'search-system'],
  ...['create', 'update', 'patch', 'delete', 'conditional-update', 'conditional-patch', 'conditional-delete'],
  ...['capabilities', 'batch', 'transaction', 'operation', 'hook', 'discovery', 'feedback', 'health'],
]);
/** issue-type, and reasons of StoreError. */
const ISSUE_CODES = new Set([
  ...['invalid', 'structure', 'required', 'value', 'invariant', 'security', 'login', 'forbidden', 'suppressed'],
  ...[
    'processing',
    'not-supported',
    'duplicate',
    'multiple-matches',
    'not-found',
    'deleted',
    'too-long',
    'code-invalid',
  ],
  ...['extension', 'too-costly', 'business-rule', 'conflict', 'transient', 'lock-error', 'no-store', 'exception'],
  ...['timeout', 'incomplete', 'throttled', 'informational', 'unavailable', 'bounded-thread', 'bad-cursor'],
]);
/** errno names a server meets; a pattern would also take surnames in capitals. */
const SYSTEM_CODES = new Set([
  ...['EACCES', 'EADDRINUSE', 'EADDRNOTAVAIL', 'EAGAIN', 'EBADF', 'EBUSY', 'ECANCELED', 'ECONNABORTED', 'ECONNREFUSED'],
  ...[
    'ECONNRESET',
    'EDQUOT',
    'EEXIST',
    'EFBIG',
    'EINTR',
    'EINVAL',
    'EIO',
    'EISDIR',
    'EMFILE',
    'ENFILE',
    'ENODEV',
    'ENOENT',
  ],
  ...[
    'ENOMEM',
    'ENOSPC',
    'ENOTCONN',
    'ENOTDIR',
    'ENOTEMPTY',
    'EPERM',
    'EPIPE',
    'EPROTO',
    'EROFS',
    'ETIMEDOUT',
    'EXDEV',
  ],
]);
const LIBRARY_CODE = /^(?:ERR|SQLITE)(?:_[A-Z0-9]{1,24}){1,5}$/;
const ERROR_CLASSES = new Set([
  ...[
    'Error',
    'TypeError',
    'RangeError',
    'SyntaxError',
    'ReferenceError',
    'AggregateError',
    'AbortError',
    'TimeoutError',
  ],
  ...[
    'URIError',
    'EvalError',
    'FhirError',
    'StoreError',
    'OutboundError',
    'SqliteError',
    'DOMException',
    'AssertionError',
  ],
]);
/** What src/cds counts, see CdsEvent there. */
const CDS_EVENTS = new Set([
  ...['card-refused', 'cards-over-limit', 'prefixed-id', 'dangling-selection', 'foreign-resource'],
  ...['engine-failed', 'override-remembered', 'audit-failed'],
  ...['feedback-accepted', 'feedback-overridden', 'feedback-orphan', 'feedback-unusable'],
]);
const THREADS = new Set(['main', 'heavy', 'writer', 'checkpoint', 'session', 'index', 'monitor']);
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TRACE_ID = /^[0-9a-f]{32}$/;
const HASH = /^[0-9a-f]{64}$/;
const VERSION = /^(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})$/;
const FRAME = /^(?:node:)?[a-z0-9@_./-]{1,160}:\d{1,6}$/i;

const member =
  (allowed: ReadonlySet<string>): Checker =>
  (value) =>
    typeof value === 'string' && allowed.has(value) ? value : REDACTED;
const named =
  (part: keyof Vocabulary): Checker =>
  (value, vocabulary) =>
    typeof value === 'string' && vocabulary[part].has(value) ? value : REDACTED;
const within =
  (low: number, high: number, digits: number): Checker =>
  (value) =>
    typeof value === 'number' && value >= low && value <= high ? Number(value.toFixed(digits)) : REDACTED;
const matching =
  (pattern: RegExp): Checker =>
  (value) =>
    typeof value === 'string' && pattern.test(value) ? value : REDACTED;

/** A UUID or a trace id. A client's own form could be anything; the AuditEvents of the request have it. */
const requestId: Checker = (value) => {
  const lower = typeof value === 'string' ? value.toLowerCase() : '';
  return UUID.test(lower) || TRACE_ID.test(lower) ? lower : REDACTED;
};
const errorCode: Checker = (value) =>
  typeof value === 'string' && (ISSUE_CODES.has(value) || SYSTEM_CODES.has(value) || LIBRARY_CODE.test(value))
    ? value
    : REDACTED;

/** THE table: field -> checker. */
export const FIELDS = {
  requestId,
  method: member(METHODS),
  route: named('routes'),
  resourceType: named('resourceTypes'),
  interaction: member(INTERACTIONS),
  status: within(100, 599, 0),
  ms: within(0, 86_400_000, 2),
  count: within(0, 1_000_000_000, 0),
  bytes: within(0, 1e12, 0),
  percent: within(0, 100, 0),
  port: within(0, 65_535, 0),
  hook: named('hooks'),
  service: named('services'),
  cdsEvent: member(CDS_EVENTS),
  model: named('models'),
  version: matching(VERSION),
  thread: member(THREADS),
  chain: within(1, 1_000_000, 0),
  sequence: within(1, Number.MAX_SAFE_INTEGER, 0),
  hash: matching(HASH),
  errorClass: member(ERROR_CLASSES),
  errorCode,
  at: matching(FRAME),
} as const satisfies Record<string, Checker>;

type Numeric = 'chain' | 'sequence' | 'status' | 'ms' | 'count' | 'bytes' | 'percent' | 'port';
/** `at` and the error fields are filled by `log.failure`. ms: milliseconds. */
export type LogFields = {
  readonly [Name in Exclude<keyof typeof FIELDS, 'at'>]?: (Name extends Numeric ? number : string) | undefined;
};

/** In the order of a line. */
const CHECKERS = Object.entries<Checker>(FIELDS);

/** Fields as they may be written: unknown names are dropped, values that do not pass are 'redacted', undefined is left out. */
export function checkedFields(
  fields: Readonly<Record<string, unknown>>,
  vocabulary: Vocabulary,
): Record<string, string | number> {
  const checked: Record<string, string | number> = {};
  for (const [name, checker] of CHECKERS) {
    if (Object.hasOwn(fields, name) && fields[name] !== undefined) checked[name] = checker(fields[name], vocabulary);
  }
  return checked;
}

/** True for one line of a stack as it may be written: `src/rest/interactions/read.ts:12`. */
export const isFrame = (text: string): boolean => FRAME.test(text);
