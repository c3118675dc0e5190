/** One prefetch value -> what it means: the decision table of CDS Hooks 2.0.1 "Prefetch Template" (null, empty, failed, absent, paged). */
import { FhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, parseJson, type Resource } from '../../fhir/resource.ts';
import { entriesOf } from '../hook/draft-orders.ts';
import { isResource } from '../hook/subject.ts';
import type { Template } from '../services/template.ts';

export interface Entry {
  readonly fullUrl: string | undefined;
  readonly resource: Resource;
}
export type Received =
  /** The key was not sent, or holds nothing that can be a resource. */
  | { readonly kind: 'absent' }
  /** Whoever asked got an error: an OperationOutcome, or a resource of another type than asked for. */
  | { readonly kind: 'failed' }
  /** Asked and answered; no entries = there is no such data. */
  | {
      readonly kind: 'data';
      readonly entries: readonly Entry[];
      /** Address of the next page. */
      readonly next: string | undefined;
      /** False when part of the answer was an error. */
      readonly complete: boolean;
    };

const NOTHING = { kind: 'data', entries: [], next: undefined, complete: true } as const satisfies Received;

/**
 * Meaning of one value.
 * | value | meaning |
 * |---|---|
 * | absent, `{}`, `""`, a number, a list, a string that is not JSON | absent |
 * | `null`, Bundle without entries | looked, nothing there |
 * | OperationOutcome; Bundle of only errors; resource of another type | failed |
 * | resource of the asked type; Bundle | data, with the next page when the Bundle names one |
 * | string holding JSON | as the JSON in it (an old client's bug) |
 */
export function received(value: Json | undefined, asked: Template): Received {
  if (value === null) return NOTHING;
  if (typeof value === 'string') return receivedText(value, asked);
  if (!isResource(value)) return { kind: 'absent' };
  if (value.resourceType === 'OperationOutcome') return { kind: 'failed' };
  if (value.resourceType === 'Bundle' && asked.type !== 'Bundle') return receivedBundle(value);
  return value.resourceType === asked.type
    ? { ...NOTHING, entries: [{ fullUrl: undefined, resource: value }] }
    : { kind: 'failed' };
}

function receivedText(text: string, asked: Template): Received {
  try {
    const value = parseJson(text);
    return isJsonObject(value) ? received(value, asked) : { kind: 'absent' };
  } catch (error) {
    if (error instanceof FhirError) return { kind: 'absent' };
    throw error;
  }
}

function receivedBundle(bundle: JsonObject): Received {
  const all = entriesOf(bundle);
  const entries = all.filter(({ resource }) => resource.resourceType !== 'OperationOutcome');
  const broken = all.some(({ resource }) => resource.resourceType === 'OperationOutcome' && isError(resource));
  if (broken && entries.length === 0) return { kind: 'failed' };
  return {
    kind: 'data',
    entries,
    next: nextLink(bundle),
    complete: !broken,
  };
}

/** An outcome that says more than information or warning; without severity it counts as an error. */
function isError(outcome: Resource): boolean {
  const issues: readonly Json[] = Array.isArray(outcome.issue) ? outcome.issue : [];
  return (
    issues.length === 0 ||
    issues.some((issue) => !isJsonObject(issue) || !['information', 'warning'].includes(String(issue.severity)))
  );
}

function nextLink(bundle: JsonObject): string | undefined {
  const links: readonly Json[] = Array.isArray(bundle.link) ? bundle.link : [];
  const next = links.filter(isJsonObject).find((link) => link.relation === 'next')?.url;
  return typeof next === 'string' && next !== '' ? next : undefined;
}
