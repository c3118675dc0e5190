/** How many ESI resources a patient is expected to need: what somebody recorded, what is ordered, or what such a complaint usually needs. Source: ESI handbook, decision point C. */
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';
import type { Evidence } from '../assessment.ts';
import { isInSet } from '../features/code-set.ts';
import { instantOf } from '../features/encounter.ts';
import { textOf } from '../features/observation.ts';
import type { Vocabulary } from '../manifest.ts';
import type { Complaints } from './complaint.ts';
import type { ComplaintTable } from './complaint-table.ts';
import type { ExpectedResources } from './esi.ts';

/** Types that order something, the elements that say what, and the date. */
const ORDERS: Readonly<Record<string, { readonly concepts: readonly string[]; readonly date: string }>> = {
  ServiceRequest: { concepts: ['code', 'category'], date: 'authoredOn' },
  MedicationRequest: { concepts: ['medicationCodeableConcept'], date: 'authoredOn' },
  Procedure: { concepts: ['code'], date: 'performedDateTime' },
};
const LIVE: ReadonlySet<Json | undefined> = new Set(['active', 'completed', 'on-hold', 'in-progress', 'draft']);
const HOUR_MS = 3_600_000;

const routesOf = (order: Resource): readonly Json[] =>
  (Array.isArray(order.dosageInstruction) ? order.dosageInstruction : [])
    .filter(isJsonObject)
    .flatMap(({ route }) => (route === undefined ? [] : [route]));

/** Orders and procedures of the last `hours`; without a date they do not count. */
export function recentOrders({ resources, at }: Evidence, hours: number): readonly Resource[] {
  return resources.filter((order) => {
    const row = ORDERS[order.resourceType];
    if (row === undefined || !LIVE.has(order.status) || order.doNotPerform === true) return false;
    const when = instantOf(order[row.date]);
    return when !== undefined && when <= at && when > at - hours * HOUR_MS;
  });
}

const conceptsOf = (order: Resource): readonly Json[] => [
  ...(ORDERS[order.resourceType]?.concepts ?? []).flatMap((name) => {
    const concept = order[name];
    return concept === undefined ? [] : [concept];
  }),
  ...routesOf(order),
];
/** True when an order says something of the set. */
export const saysSet = (order: Resource, set: string, sets: Vocabulary): boolean =>
  conceptsOf(order).some((concept) => isInSet(concept, set, sets));

function orderedKinds(orders: readonly Resource[], table: ComplaintTable, sets: Vocabulary): ReadonlySet<string> {
  const kinds = Object.keys(table.resourceKinds);
  return new Set(
    orders
      .filter((order) => !saysSet(order, 'no-resource', sets))
      .flatMap((order) => kinds.filter((kind) => sets.sets[kind] !== undefined && saysSet(order, kind, sets))),
  );
}

/**
 * Expected resources: a recorded number counts as it is; otherwise the kinds ordered and the kinds that the complaints usually need together,
 * each kind once (a complex procedure is two). Undefined when nothing is recorded, ordered or understood.
 * @param sets a vocabulary with the sets of models/esi.json
 */
export function expectedResources(
  recorded: number | undefined,
  orders: readonly Resource[],
  complaints: Complaints | undefined,
  table: ComplaintTable,
  sets: Vocabulary,
): ExpectedResources | undefined {
  if (recorded !== undefined) return { count: recorded, basis: 'recorded', kinds: [] };
  const ordered = orderedKinds(orders, table, sets);
  const usual = complaints?.present.flatMap(({ resources }) => resources) ?? [];
  const understood = complaints !== undefined && complaints.present.length > 0;
  if (ordered.size === 0 && !understood) return undefined;
  const kinds = [...new Set([...ordered, ...usual])];
  const count = kinds.reduce((sum, kind) => sum + (table.resourceKinds[kind]?.counts ?? 0), 0);
  return {
    count,
    basis: ordered.size > 0 && usual.every((kind) => ordered.has(kind)) ? 'orders' : 'estimate',
    kinds: kinds.map((kind) => table.resourceKinds[kind]?.display ?? kind),
  };
}

/** Life-saving interventions recorded, once each, by the words of the set and never the patient's. */
export function interventions(orders: readonly Resource[], sets: Vocabulary): readonly string[] {
  const found = orders.some(
    (order) => textOf(order.status) !== 'draft' && saysSet(order, 'life-saving-intervention', sets),
  );
  return found ? ['life-saving intervention'] : [];
}
