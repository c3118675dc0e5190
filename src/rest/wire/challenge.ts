/** What a refused client is told in `WWW-Authenticate`. Source: RFC 6750 §3: without a token no reason is given. */
import type { ErrorKind } from '../../fhir/outcome.ts';

const CHALLENGES: ReadonlyMap<ErrorKind, string> = new Map<ErrorKind, string>([
  ['login', 'Bearer realm="fhir"'],
  ['token-invalid', 'Bearer realm="fhir", error="invalid_token"'],
  ['insufficient-scope', 'Bearer realm="fhir", error="insufficient_scope"'],
]);

/** The header for a kind of refusal; none for most. */
export function challengeOf(kind: ErrorKind): Readonly<Record<string, string>> {
  const challenge = CHALLENGES.get(kind);
  return challenge === undefined ? {} : { 'WWW-Authenticate': challenge };
}
