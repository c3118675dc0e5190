/**
 * Search values of AuditEvents as two shared facets. A facet is computed by rendering an event of that shape and running the ordinary
 * extractor over it, so what search finds is what reading shows. Source: auditevent.html#search, docs/decisions/0004-audit-row.md.
 */
import { hash } from 'node:crypto';
import type { Resource } from '../fhir/resource.ts';
import type { IndexEntry } from '../fhir/search/algebra.ts';
import type { AuditFacet } from '../store/port.ts';

/** The ordinary extractor: index rows of a resource by the claimed search parameters. */
export type EntriesOf = (resource: Resource) => readonly IndexEntry[];

/** Codes of the parameters that look at agents; all others belong to the kind of the event. */
const AGENT_CODES: ReadonlySet<string> = new Set(['agent', 'agent-name', 'agent-role', 'altid', 'address', 'policy']);
/** Codes the engine answers from subjects, entities, the instant and the id. */
const HELD_ELSEWHERE: ReadonlySet<string> = new Set(['patient', 'entity', 'date', '_id', '_lastUpdated']);

/** Facets kept in memory per extractor; above it the oldest is computed anew when it comes again. */
const CACHE_LIMIT = 4096;

/** Index rows of one AuditEvent, by where the engine keeps them. */
export interface SplitEntries {
  readonly kind: AuditFacet;
  readonly agents: AuditFacet;
  /** Targets of `AuditEvent.patient`: `Patient/1`, or absolute. */
  readonly patients: readonly string[];
  /** Targets of `AuditEvent.entity`. */
  readonly entities: readonly string[];
}

/** Sorts the index rows of one AuditEvent. */
export function splitEntries(entries: readonly IndexEntry[]): SplitEntries {
  const kind: IndexEntry[] = [];
  const agents: IndexEntry[] = [];
  const targets: Record<string, Set<string>> = { patient: new Set(), entity: new Set() };
  for (const entry of entries) {
    const code = codeOf(entry.parameter);
    if (entry.kind === 'reference') targets[code]?.add(entry.target);
    if (HELD_ELSEWHERE.has(code)) continue;
    (AGENT_CODES.has(code) ? agents : kind).push(entry);
  }
  return {
    kind: facet(kind),
    agents: facet(agents),
    patients: [...(targets.patient ?? [])],
    entities: [...(targets.entity ?? [])],
  };
}

/** `AuditEvent.agent:identifier` -> `agent`. */
const codeOf = (parameter: string): string => parameter.replace(/^[A-Za-z]+\./, '').replace(/[:$].*$/s, '');

/** The key is the content's hash: equal facets are one, and a changed definition of a parameter gives a new one. */
function facet(entries: readonly IndexEntry[]): AuditFacet {
  return { key: hash('sha256', JSON.stringify(entries), 'base64url').slice(0, 22), entries };
}

const caches = new WeakMap<EntriesOf, Map<string, AuditFacet>>();

/**
 * The two facets of an event.
 * @param kindText everything that decides the values of the kind facet
 * @param agentsText everything that decides the values of the agents facet
 * @param render an AuditEvent with exactly these; called only when a facet is not known yet
 */
export function facetsOf(
  kindText: string,
  agentsText: string,
  entriesOf: EntriesOf,
  render: () => Resource,
): { readonly kind: AuditFacet; readonly agents: AuditFacet } {
  const cache = caches.get(entriesOf) ?? new Map<string, AuditFacet>();
  caches.set(entriesOf, cache);
  const kind = cache.get(kindText);
  const agents = cache.get(agentsText);
  if (kind !== undefined && agents !== undefined) return { kind, agents };
  const split = splitEntries(entriesOf(render()));
  keep(cache, kindText, split.kind);
  keep(cache, agentsText, split.agents);
  return split;
}

function keep(cache: Map<string, AuditFacet>, text: string, value: AuditFacet): void {
  const oldest = cache.keys().next();
  if (cache.size >= CACHE_LIMIT && oldest.done !== true) cache.delete(oldest.value);
  cache.set(text, value);
}
