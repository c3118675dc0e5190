/** `_type`, `_typeFilter`, `_since` and `_elements` of an export -> one frozen plan a type. Source: FHIR Bulk Data Access 2.0.0, query parameters. */
import { type FhirError, fhirError } from '../../fhir/outcome.ts';
import type { Predicate } from '../../fhir/search/algebra.ts';
import { compartmentPredicate } from '../../fhir/search/compartment.ts';
import { withConcepts } from '../../fhir/search/concepts.ts';
import { planOf } from '../../fhir/search/plan.ts';
import { and, or } from '../../fhir/search/simplify.ts';
import { searchableTypes } from '../../fhir/search/system.ts';
import { intervalOf } from '../../fhir/time.ts';
import type { Caller, RestContext } from '../context.ts';
import { personPlanner } from '../interactions/patient-links.ts';
import { terminology } from '../interactions/terminology.ts';
import { textOf } from '../operations/input.ts';
import type { OperationInput } from '../operations/operation.ts';
import { fingerprint } from '../permission/fingerprint.ts';
import type { ExportUnit } from './export.ts';

/** Most queries in `_typeFilter`. */
const FILTER_LIMIT = 50;

/**
 * @param byPatient only types of the Patient compartment
 * @param only types that can be given at all; absent: every one
 * @throws FhirError 400 for a type that is not exported, a filter that is no search of an exported type, or an element that does not exist
 */
export async function exportUnits(
  input: OperationInput,
  byPatient: boolean,
  caller: Caller,
  context: RestContext,
  only?: ReadonlySet<string>,
): Promise<readonly ExportUnit[]> {
  const types = typesOf(input, byPatient, context, only);
  const elements = elementsOf(input, types, context);
  const filters = await filtersOf(input, types, caller, context);
  const since = sinceOf(input);
  const isBound = caller.access.asOfNow !== undefined;
  return types.flatMap((type) => {
    const where: Predicate[] = [or(filters.get(type) ?? [{ kind: 'all' }])];
    if (since !== undefined) {
      where.push({ kind: 'interval', parameter: `${type}._lastUpdated`, relation: 'ge', low: since, high: since + 1 });
    }
    const plan = planOf(type, and(where), caller.access);
    if (plan.where.kind === 'none') return [];
    const permitted = isBound ? { permitted: fingerprint(caller.access.visible(type, 'search')) } : {};
    return [{ type, plan, elements: elements.get(type) ?? [], ...permitted }];
  });
}

/** Comma-separated values, given once or more often. */
function listOf(input: OperationInput, name: string): readonly string[] {
  const texts = (input.get(name) ?? []).flatMap(({ value }) => (typeof value === 'string' ? value.split(',') : []));
  const list = texts.map((text) => text.trim());
  if (list.includes('')) throw fhirError('value', `\`${name}\` has an empty value.`);
  return [...new Set(list)];
}

/** AuditEvents are apart from every search of other types, and never exported. */
function typesOf(
  input: OperationInput,
  byPatient: boolean,
  { capability, definitions }: RestContext,
  only: ReadonlySet<string> | undefined,
): readonly string[] {
  const owner = { type: 'Patient', id: 'any' };
  const isPart = (type: string) => !byPatient || compartmentPredicate(owner, type, definitions) !== undefined;
  const exported = searchableTypes(capability).filter((type) => isPart(type) && only?.has(type) !== false);
  const asked = listOf(input, '_type');
  if (asked.length === 0) return exported;
  if (asked.every((type) => exported.includes(type))) return exported.filter((type) => asked.includes(type));
  throw fhirError(
    'value',
    `\`_type\` must hold types that this export can give${byPatient ? ': those of the Patient compartment' : ''}.`,
  );
}

/** `ge`: what changed in the very millisecond of the last transactionTime may come twice, but is never lost. */
function sinceOf(input: OperationInput): number | undefined {
  const since = textOf(input, '_since');
  return since === undefined ? undefined : intervalOf(since)?.low;
}

/** `name` counts for every type that has it, `Patient.name` for that type. */
function elementsOf(
  input: OperationInput,
  types: readonly string[],
  { definitions }: RestContext,
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const each of listOf(input, '_elements')) {
    const [, only, name = ''] = /^(?:([A-Z][A-Za-z]{0,63})\.)?([a-z][A-Za-z]{0,63})$/.exec(each) ?? [];
    const having = types.filter((type) => {
      const paths = definitions.structure(type)?.elements ?? [];
      const isNamed = (path: string) => path === `${type}.${name}` || path === `${type}.${name}[x]`;
      return (only === undefined || only === type) && paths.some(({ path }) => isNamed(path));
    });
    if (having.length === 0) {
      throw fhirError('value', '`_elements` must hold elements at the top of exported types: `name`, `Patient.name`.');
    }
    for (const type of having) found.set(type, [...(found.get(type) ?? []), name]);
  }
  return found;
}

/** Filters of a type are alternatives. A comma divides two filters only where a type and `?` follow. */
async function filtersOf(
  input: OperationInput,
  types: readonly string[],
  caller: Caller,
  context: RestContext,
): Promise<ReadonlyMap<string, readonly Predicate[]>> {
  const texts = (input.get('_typeFilter') ?? []).flatMap(({ value }) =>
    typeof value === 'string' ? value.split(/,(?=[A-Z][A-Za-z]*\?)/) : [],
  );
  if (texts.length > FILTER_LIMIT) throw fhirError('too-costly', `\`_typeFilter\` holds over ${FILTER_LIMIT} queries.`);
  const known = terminology(caller, context);
  const plan = personPlanner(caller.access, context);
  const found = new Map<string, Predicate[]>();
  for (const text of texts) {
    const at = text.indexOf('?');
    const type = text.slice(0, Math.max(at, 0));
    if (!types.includes(type)) throw notAFilter();
    const parse = context.parseFrozen ?? context.parseSearch;
    const query = await withConcepts(parse(type, text.slice(at + 1), 'strict'), known);
    const { criteria, used } = query;
    if (criteria.length === 0 || used.length !== criteria.length) throw notAFilter();
    found.set(type, [...(found.get(type) ?? []), (await plan(query)).where]);
  }
  return found;
}

const notAFilter = (): FhirError =>
  fhirError(
    'value',
    '`_typeFilter` holds searches of exported types, such as `Observation?status=final`, with criteria only: no `_sort`, `_count`, `_include`.',
  );
