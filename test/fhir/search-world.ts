/** A small world for search tests: the real definitions and claims, resources indexed by the real extractor, the oracle as engine. */
import { readFileSync } from 'node:fs';
import { loadCapability } from '../../src/fhir/definitions/capability.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import type { AccessFilter, IndexEntry, Predicate, SearchPlan } from '../../src/fhir/search/algebra.ts';
import { extractor } from '../../src/fhir/search/extract.ts';
import { planSearch } from '../../src/fhir/search/plan.ts';
import { parseSearch, type SearchQuery } from '../../src/fhir/search/query.ts';
import { type Indexed, matches, type World } from './evaluate.ts';

const root = new URL('../../', import.meta.url);
export const definitions = loadDefinitions(new URL('profiles', root).pathname);
export const capability = loadCapability(readFileSync(new URL('capability-statement.json', root), 'utf8'), definitions);
export const fhirBase = 'http://fire.example/fhir';
/** 2026-01-01T00:00:00Z. */
export const NOW = 1_767_225_600_000;
export const settings = { defaultCount: 50, maxCount: 1000 };
export const everything: AccessFilter = { principal: 'test', visible: () => ({ kind: 'all' }) };

const extractors = new Map<string, (resource: Resource) => IndexEntry[]>();

/** Index rows by every claimed parameter of the resource's type. */
export function entriesOf(resource: Resource): IndexEntry[] {
  const type = resource.resourceType;
  const claimed = (of: string) => capability.types.get(of)?.searchParameters.values();
  const parameters = claimed(type) ?? [];
  const extract =
    extractors.get(type) ?? extractor(parameters, type, { fhirBase, definitions, common: capability.common, claimed });
  extractors.set(type, extract);
  return extract(resource);
}

export function indexed(resource: Resource, at = NOW): Indexed {
  return { type: resource.resourceType, id: resource.id ?? '', at, entries: entriesOf(resource) };
}

export function parsed(type: string, query: string, handling: 'strict' | 'lenient' = 'strict'): SearchQuery {
  return parseSearch(type, query, handling, { definitions, capability, settings });
}

export function planned(type: string, query: string, access: AccessFilter = everything): SearchPlan {
  return planSearch(parsed(type, query), access, { capability, fhirBase, now: NOW });
}

/** The predicate alone, for tests of its shape. */
export function where(type: string, query: string): Predicate {
  return planned(type, query).where;
}

/** Sorted ids of the resources of `type` that a search finds. */
export function found(world: World, type: string, query: string, access: AccessFilter = everything): string[] {
  const plan = planned(type, query, access);
  return world
    .filter((one) => one.type === type && matches(plan.where, one, world))
    .map(({ id }) => id)
    .sort();
}
