/**
 * What a merge makes of two Patients, as values. Source: FHIR R6 ballot patient-operation-merge.html; R4 patient.html#links.
 * References elsewhere stay as they were written: searches follow the links (decision 0019), so what is written meanwhile is not lost.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import { localReference } from '../../fhir/search/value.ts';

export interface MergeSides {
  readonly source: Resource;
  readonly target: Resource;
}
export interface MergeWish {
  /** Content that the client wants the target to have. */
  readonly result: Resource | undefined;
  /** Identifiers by which the client named the target: the result must have them. */
  readonly identifiers: readonly JsonObject[];
}

const objects = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : [];

/** Ids of the Patients here that a Patient links to by one type of link. */
function linked(patient: Resource, type: 'replaced-by' | 'replaces', fhirBase: string): readonly string[] {
  return objects(patient.link).flatMap((link) => {
    const reference = isJsonObject(link.other) ? link.other.reference : undefined;
    const target = typeof reference === 'string' ? localReference(reference, fhirBase) : undefined;
    return link.type === type && target?.startsWith('Patient/') ? [target.slice('Patient/'.length)] : [];
  });
}

/** True when the merge has been done: a repeated request changes nothing. */
export function isMerged({ source, target }: MergeSides, fhirBase: string): boolean {
  return (
    linked(source, 'replaced-by', fhirBase).includes(String(target.id)) &&
    linked(target, 'replaces', fhirBase).includes(String(source.id))
  );
}

/** True when the source says that the target replaces it. */
export function isReplacedBy(source: Resource, id: string, fhirBase: string): boolean {
  return linked(source, 'replaced-by', fhirBase).includes(id);
}

/** @throws FhirError `business-rule` (422) when one of the two may not take part */
export function assertMergeable({ source, target }: MergeSides, fhirBase: string): void {
  const refuse = (message: string) => fhirError('business-rule', message);
  const [successor] = linked(target, 'replaced-by', fhirBase);
  if (successor !== undefined) {
    throw refuse(`The target \`Patient/${target.id}\` is replaced by \`Patient/${successor}\`: merge into that one.`);
  }
  if (target.active === false) throw refuse(`The target \`Patient/${target.id}\` is not active.`);
  const other = linked(source, 'replaced-by', fhirBase).find((id) => id !== target.id);
  if (other !== undefined) {
    throw refuse(`The source \`Patient/${source.id}\` is replaced by \`Patient/${other}\` already.`);
  }
  if (linked(source, 'replaces', fhirBase).includes(String(target.id))) {
    throw refuse(`The source \`Patient/${source.id}\` replaces the target \`Patient/${target.id}\`: exchange the two.`);
  }
}

/**
 * The two Patients after the merge. The target keeps what it says, gets the source's identifiers as old ones, and replaces the source and
 * whatever the source replaced, so that every record of the person is one link away from the one in use.
 * @throws FhirError `invalid` (400) when the result asked for is not one of this merge
 */
export function merged({ source, target }: MergeSides, wish: MergeWish, fhirBase: string): MergeSides {
  const { result } = wish;
  if (result !== undefined) assertResult(result, { source, target }, wish.identifiers, fhirBase);
  const after = result === undefined ? withIdentifiers(target, source) : { ...result, id: target.id ?? '' };
  const replaced = [String(source.id), ...linked(source, 'replaces', fhirBase)];
  const known = new Set([...linked(after, 'replaces', fhirBase), String(target.id)]);
  const links = replaced.filter((id) => !known.has(id)).map((id) => linkTo(id, 'replaces'));
  const kept = linked(source, 'replaced-by', fhirBase).includes(String(target.id));
  const successor = kept ? [] : [linkTo(String(target.id), 'replaced-by')];
  return {
    target: withLinks(after, links),
    source: { ...withLinks(source, successor), active: false },
  };
}

const linkTo = (id: string, type: string): JsonObject => ({ other: { reference: `Patient/${id}` }, type });

function withLinks(patient: Resource, links: readonly JsonObject[]): Resource {
  return links.length === 0 ? patient : { ...patient, link: [...objects(patient.link), ...links] };
}

const sameIdentifier = (one: JsonObject, other: JsonObject): boolean =>
  one.value === other.value && one.system === other.system;

function withIdentifiers(target: Resource, source: Resource): Resource {
  const held = objects(target.identifier);
  const added = objects(source.identifier)
    .filter((each) => !held.some((other) => sameIdentifier(each, other)))
    .map((each) => ({ ...each, use: 'old' }));
  return added.length === 0 ? target : { ...target, identifier: [...held, ...added] };
}

function assertResult(
  result: Resource,
  { source, target }: MergeSides,
  identifiers: readonly JsonObject[],
  fhirBase: string,
): void {
  const refuse = (message: string) => fhirError('invalid', `\`result-patient\` ${message}`, { expression: 'Patient' });
  if (result.id !== target.id) throw refuse('must have the id of the target.');
  if (!linked(result, 'replaces', fhirBase).includes(String(source.id))) {
    throw refuse('must have a link of type `replaces` to the source.');
  }
  if (linked(result, 'replaced-by', fhirBase).length > 0) throw refuse('must not be replaced itself.');
  const held = objects(result.identifier);
  if (!identifiers.every((each) => held.some((other) => sameIdentifier(each, other)))) {
    throw refuse('must have every `target-patient-identifier`.');
  }
}
