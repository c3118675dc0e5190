/** Errors as OperationOutcome. Source: FHIR R4 operationoutcome.html, http.html#status-codes, valueset-issue-type. */
import type { OperationOutcome, OperationOutcomeIssue } from 'fhir/r4.d.ts';

interface Kind {
  readonly code: OperationOutcomeIssue['code'];
  readonly status: number;
}

/** THE table: what can go wrong -> issue type and HTTP status. Nobody else writes a status number for a refusal. */
const KINDS = {
  // the request or the body breaks the base specification: 400
  structure: { code: 'structure', status: 400 },
  value: { code: 'value', status: 400 },
  required: { code: 'required', status: 400 },
  invalid: { code: 'invalid', status: 400 },
  'code-invalid': { code: 'code-invalid', status: 400 },
  'too-long': { code: 'too-long', status: 400 },
  'unsupported-parameter': { code: 'not-supported', status: 400 },
  'too-costly': { code: 'too-costly', status: 400 },
  /** A search parameter whose rows are still being made. */
  'not-indexed': { code: 'incomplete', status: 400 },
  // profile and business rules: 422
  invariant: { code: 'invariant', status: 422 },
  'profile-structure': { code: 'structure', status: 422 },
  'profile-required': { code: 'required', status: 422 },
  'profile-value': { code: 'value', status: 422 },
  'profile-code': { code: 'code-invalid', status: 422 },
  'profile-unknown': { code: 'not-found', status: 422 },
  'not-judged': { code: 'incomplete', status: 422 },
  'business-rule': { code: 'business-rule', status: 422 },
  'not-indexable': { code: 'not-supported', status: 422 },
  'not-unprocessable': { code: 'processing', status: 422 },
  // access
  login: { code: 'login', status: 401 },
  /** A token that does not hold, as RFC 6750 tells it from no token at all. */
  'token-invalid': { code: 'login', status: 401 },
  forbidden: { code: 'forbidden', status: 403 },
  'insufficient-scope': { code: 'forbidden', status: 403 },
  'refused-origin': { code: 'security', status: 421 },
  // existence
  'not-found': { code: 'not-found', status: 404 },
  'unknown-type': { code: 'not-supported', status: 404 },
  'unknown-operation': { code: 'not-supported', status: 404 },
  'method-not-allowed': { code: 'not-supported', status: 405 },
  'not-acceptable': { code: 'not-supported', status: 406 },
  deleted: { code: 'deleted', status: 410 },
  // concurrency
  conflict: { code: 'conflict', status: 409 },
  'version-mismatch': { code: 'conflict', status: 412 },
  'multiple-matches': { code: 'multiple-matches', status: 412 },
  'precondition-failed': { code: 'processing', status: 412 },
  // transport
  'payload-too-large': { code: 'too-long', status: 413 },
  'uri-too-long': { code: 'too-long', status: 414 },
  'unsupported-media-type': { code: 'not-supported', status: 415 },
  timeout: { code: 'timeout', status: 408 },
  // the server
  throttled: { code: 'throttled', status: 429 },
  transient: { code: 'transient', status: 503 },
  /** Of the server, not of one caller. */
  busy: { code: 'throttled', status: 503 },
  /** The disk is full: reads go on. */
  full: { code: 'no-store', status: 503 },
  exception: { code: 'exception', status: 500 },
} as const satisfies Record<string, Kind>;

export type ErrorKind = keyof typeof KINDS;

/** One finding; `expression` is a FHIRPath such as `Patient.birthDate` or, in a Bundle, `Bundle.entry[3].resource.status`. */
export interface Issue {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly expression?: string | undefined;
  readonly severity?: 'error' | 'warning' | 'information';
}

/** An expected refusal. `issues` holds at least one; the first decides the status. Messages hold no PHI: ids and codes only. */
export class FhirError extends Error {
  readonly issues: readonly Issue[];
  constructor(issues: readonly [Issue, ...Issue[]], options?: { cause?: unknown }) {
    super(issues[0].message, options);
    this.name = 'FhirError';
    this.issues = issues;
  }
  get kind(): ErrorKind {
    return this.issues[0]?.kind ?? 'exception';
  }
  get status(): number {
    return KINDS[this.kind].status;
  }
}

/** An expected refusal with one issue. */
export function fhirError(
  kind: ErrorKind,
  message: string,
  { expression, cause }: { expression?: string | undefined; cause?: unknown } = {},
): FhirError {
  return new FhirError([{ kind, message, ...(expression === undefined ? {} : { expression }) }], { cause });
}

/** HTTP status of a kind. */
export function statusOf(kind: ErrorKind): number {
  return KINDS[kind].status;
}

/** OperationOutcome of findings; an empty list gives the informational "all ok" outcome. */
export function operationOutcome(issues: readonly Issue[]): OperationOutcome {
  if (issues.length === 0) {
    return {
      resourceType: 'OperationOutcome',
      issue: [{ severity: 'information', code: 'informational', diagnostics: 'All OK.' }],
    };
  }
  return {
    resourceType: 'OperationOutcome',
    issue: issues.map(({ kind, message, expression, severity }) => ({
      severity: severity ?? (KINDS[kind].status >= 500 && kind !== 'transient' ? 'fatal' : 'error'),
      code: KINDS[kind].code,
      diagnostics: message,
      ...(expression === undefined ? {} : { expression: [expression] }),
    })),
  };
}
