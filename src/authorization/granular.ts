/**
 * How a consent page splits access to a whole type: the categories of US Core that 45 CFR 170.315(g)(10) asks for. A Patient stays whole.
 * Source: US Core (SMART scopes, granular); SMART App Launch 2.2, "Finer-grained resource constraints using search parameters".
 */
import { parseScope } from './scope.ts';

const OBSERVATION = 'http://terminology.hl7.org/CodeSystem/observation-category';
const CONDITION = 'http://terminology.hl7.org/CodeSystem/condition-category';
const US_CORE = 'http://hl7.org/fhir/us/core/CodeSystem';

/** THE table: type -> categories that may be allowed by themselves. */
const CATEGORIES: ReadonlyMap<string, readonly string[]> = new Map([
  [
    'Condition',
    [
      `${CONDITION}|encounter-diagnosis`,
      `${US_CORE}/condition-category|health-concern`,
      `${CONDITION}|problem-list-item`,
    ],
  ],
  [
    'Observation',
    [
      ...['laboratory', 'social-history', 'vital-signs', 'survey'].map((code) => `${OBSERVATION}|${code}`),
      `${US_CORE}/us-core-category|sdoh`,
      `${US_CORE}/us-core-observation-category|clinical-test`,
    ],
  ],
]);

/** The scopes that a scope can be narrowed to; none for what has a search already, and for types without categories. */
export function partsOf(scope: string): readonly string[] {
  const parsed = parseScope(scope);
  if (parsed === undefined || parsed.query !== undefined) return [];
  const { context, type, verbs } = parsed;
  return (CATEGORIES.get(type) ?? []).map((category) => `${context}/${type}.${verbs}?category=${category}`);
}

/**
 * What is asked for, as a user has narrowed it.
 * @param ticked what the form brought; what was not offered counts for nothing
 */
export function narrowed(asked: readonly string[], ticked: ReadonlySet<string>): readonly string[] {
  return asked.flatMap((scope) => {
    if (ticked.has(scope)) return [scope];
    return partsOf(scope).filter((part) => ticked.has(part));
  });
}
