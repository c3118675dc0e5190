/** Whose data a prefetched resource is. Source: CDS Hooks 2.0.1 security considerations; R4 patient compartment elements. */
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';

/** Elements that name whom a resource is about, over all R4 types that a prefetch asks for. */
const SUBJECT_ELEMENTS = ['subject', 'patient', 'individual', 'beneficiary', 'for'] as const;

/** Types begin with a capital. What every object inherits (`constructor`, `toString`) does not: a table is never asked for that. */
const TYPE = /^[A-Z][A-Za-z]*$/;

/** True for a JSON object that can be a resource. */
export function isResource(value: Json | undefined): value is Resource {
  return (
    isJsonObject(value) &&
    typeof value.resourceType === 'string' &&
    TYPE.test(value.resourceType) &&
    (value.id === undefined || typeof value.id === 'string')
  );
}

/**
 * `Type/id` at the end of a reference, absolute or relative, with or without version; undefined for `#x`, `urn:` and anything else.
 */
export function relativeOf(reference: string): string | undefined {
  return /(?:^|\/)([A-Z][A-Za-z]*\/[A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/.exec(reference)?.[1];
}

/** The `reference` of a Reference value, when it has one. */
export function referenceOf(value: Json | undefined): string | undefined {
  return isJsonObject(value) && typeof value.reference === 'string' ? value.reference : undefined;
}

/** `Patient/id` of the records that a Patient links to: wherever they are held, they are the same person (patient.html#links). */
export function linkedPatients({ link }: Resource): readonly string[] {
  return (Array.isArray(link) ? link : []).flatMap((each) => {
    const other = isJsonObject(each) ? relativeOf(referenceOf(each.other) ?? '') : undefined;
    return other?.startsWith('Patient/') ? [other] : [];
  });
}

/**
 * True unless the resource names somebody else: a Patient of another id, or a subject reference to another Patient or to something that
 * cannot be told (`urn:uuid:` of no known Patient, a Group). A resource without subject (Medication) is nobody's and passes.
 * @param aliases fullUrls under which the patient came, and `Patient/id` of other records of the same person
 */
export function isAbout(resource: Resource, patientId: string, aliases: ReadonlySet<string>): boolean {
  if (resource.resourceType === 'Patient') return (resource.id ?? patientId) === patientId;
  return SUBJECT_ELEMENTS.every((element) => {
    const reference = referenceOf(resource[element]);
    if (reference === undefined || aliases.has(reference)) return true;
    const relative = relativeOf(reference);
    return relative !== undefined && (relative === `Patient/${patientId}` || aliases.has(relative));
  });
}
