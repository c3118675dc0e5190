/** Draft orders as received -> orders with their medication resolved. Source: CDS Hooks 2.0.1 order-select, order-sign; FHIR R4 references.html#contained, bundle.html#references. */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import { isResource, referenceOf, relativeOf } from './subject.ts';

export interface DraftOrder {
  /** `Type/id` as received, or the fullUrl when there is nothing else. */
  readonly reference: string;
  /** As received: what an update gives back whole. */
  readonly received: Resource;
  /** With `medicationCodeableConcept` put in place of a reference that could be resolved. */
  readonly resource: Resource;
  /** order-select: among the selections. Everywhere else true. */
  readonly selected: boolean;
}
export interface Drafts {
  readonly orders: readonly DraftOrder[];
  /** Selections that name no draft order. */
  readonly danglingSelections: number;
}

/** Resources by every name that a reference may use: `Type/id` and fullUrl. */
export type ByReference = ReadonlyMap<string, Resource>;

/** Entries of a Bundle with their resources; entries without one are skipped. */
export function entriesOf(
  bundle: JsonObject,
): readonly { readonly fullUrl: string | undefined; readonly resource: Resource; readonly mode: string | undefined }[] {
  const entries: readonly Json[] = Array.isArray(bundle.entry) ? bundle.entry : [];
  return entries.flatMap((entry) => {
    if (!isJsonObject(entry) || !isResource(entry.resource)) return [];
    const mode = isJsonObject(entry.search) && typeof entry.search.mode === 'string' ? entry.search.mode : undefined;
    return [{ fullUrl: typeof entry.fullUrl === 'string' ? entry.fullUrl : undefined, resource: entry.resource, mode }];
  });
}

/** Resources by fullUrl and by `Type/id`; of two by one name the later. */
export function byReference(
  entries: readonly { readonly fullUrl: string | undefined; readonly resource: Resource }[],
): ByReference {
  const index = new Map<string, Resource>();
  for (const { fullUrl, resource } of entries) {
    if (fullUrl !== undefined) index.set(fullUrl, resource);
    const own = resource.id === undefined ? fullUrl && relativeOf(fullUrl) : `${resource.resourceType}/${resource.id}`;
    if (own) index.set(own, resource);
  }
  return index;
}

/**
 * The draft orders of a call. Without id an order takes the id of its fullUrl, so that findings can name it.
 * @param selections `Type/id`, also as bare id or fullUrl; undefined = the hook has none: every order is selected
 */
export function draftOrders(bundle: JsonObject, selections: readonly string[] | undefined): Drafts {
  const entries = entriesOf(bundle);
  const index = byReference(entries);
  const wanted = selections && new Set(selections.map((selection) => relativeOf(selection) ?? selection));
  const orders = entries.flatMap(({ fullUrl, resource }, position): readonly DraftOrder[] => {
    if (!isOrder(resource)) return [];
    const id = resource.id ?? (fullUrl && relativeOf(fullUrl)?.split('/')[1]);
    const reference = id ? `${resource.resourceType}/${id}` : (fullUrl ?? `draftOrders.entry[${position}]`);
    const named = { ...resource, id: id ?? `draft-${position}` };
    const names = [reference, named.id, fullUrl].filter((name) => name !== undefined);
    const selected = wanted === undefined || names.some((name) => wanted.has(name));
    return [{ reference, received: resource, resource: withMedication(named, index), selected }];
  });
  const known = new Set([...index.keys(), ...orders.map(({ resource }) => resource.id)]);
  return {
    orders,
    danglingSelections: wanted === undefined ? 0 : [...wanted].filter((selection) => !known.has(selection)).length,
  };
}

/** Everything in the Bundle is a draft order, except what orders only point at. */
const SUPPORTING: ReadonlySet<string> = new Set([
  'Medication',
  'Patient',
  'Practitioner',
  'PractitionerRole',
  'Encounter',
  'Organization',
  'Device',
]);
const isOrder = (resource: Resource) => !SUPPORTING.has(resource.resourceType);

/** True for an order or statement about a medication: it has a `medication[x]`, or is of a type that must have one. */
export function isAboutMedication(resource: Resource): boolean {
  return (
    resource.medicationCodeableConcept !== undefined ||
    resource.medicationReference !== undefined ||
    resource.resourceType.startsWith('Medication')
  );
}

/**
 * The resource with `medicationCodeableConcept` in place of a `medicationReference` that is contained or in the index; else as it is.
 * A Medication without code but with ingredients gives the codings of all of them only when there is one ingredient; more stay unresolved.
 */
export function withMedication(resource: Resource, index: ByReference): Resource {
  const reference = referenceOf(resource.medicationReference);
  if (reference === undefined) return resource;
  const medication = reference.startsWith('#')
    ? containedIn(resource, reference.slice(1))
    : (index.get(reference) ?? index.get(relativeOf(reference) ?? ''));
  const concept = medication === undefined ? undefined : conceptOf(medication);
  if (concept === undefined) return resource;
  const { medicationReference: _resolved, ...rest } = resource;
  return { ...rest, resourceType: resource.resourceType, medicationCodeableConcept: concept };
}

function containedIn(resource: Resource, id: string): Resource | undefined {
  const contained: readonly Json[] = Array.isArray(resource.contained) ? resource.contained : [];
  return contained.filter(isResource).find((one) => one.id === id);
}

function conceptOf(medication: Resource): JsonObject | undefined {
  if (isJsonObject(medication.code)) return medication.code;
  const ingredients: readonly Json[] = Array.isArray(medication.ingredient) ? medication.ingredient : [];
  const only = ingredients.length === 1 ? ingredients[0] : undefined;
  return isJsonObject(only) && isJsonObject(only.itemCodeableConcept) ? only.itemCodeableConcept : undefined;
}

/** `Medication/id` references that the index does not resolve: to be read where they live. */
export function unresolvedMedications(resources: readonly Resource[]): readonly string[] {
  return [
    ...new Set(
      resources.flatMap((resource) => {
        const reference = referenceOf(resource.medicationReference);
        const relative = reference === undefined || reference.startsWith('#') ? undefined : relativeOf(reference);
        return relative?.startsWith('Medication/') ? [relative] : [];
      }),
    ),
  ];
}
