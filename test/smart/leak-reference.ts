/**
 * The independent judge of the leak test: who may do what with a whole resource, in the plainest words, without index, predicate or definition
 * of the server's. Compartments are the lines of compartmentdefinition-patient.html for the types that are generated.
 */
export interface Whole {
  readonly resourceType: string;
  readonly id: string;
  readonly [element: string]: unknown;
}
type Letter = 'c' | 'r' | 'u' | 'd' | 's';

/** Where a resource of the type names the patients it belongs to. */
const COMPARTMENT: Readonly<Record<string, readonly string[]>> = {
  Observation: ['subject', 'performer'],
  Condition: ['subject', 'asserter'],
  Encounter: ['subject'],
  MedicationRequest: ['subject'],
  Composition: ['subject', 'author'],
  Provenance: ['target'],
  Group: ['member.entity'],
  List: ['subject', 'source'],
  Device: ['patient'],
};
/** About nobody: to be read by a patient's app, never to be written. */
const ABOUT_NOBODY = ['Practitioner', 'Organization', 'Medication'];

const SCOPE = /^(patient|user|system)\/([A-Za-z]+|\*)\.(read|write|\*|[cruds]+)(?:\?(.*))?$/;
const OLD: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' };

/** Whether any scope lets its bearer do this with the resource. */
export function permitted(
  letter: Letter,
  resource: Whole,
  scopes: readonly string[],
  persons: readonly string[],
): boolean {
  return scopes.some((scope) => {
    const [, context = '', type = '', access = '', query] = SCOPE.exec(scope) ?? [];
    if (!(OLD[access] ?? access).includes(letter)) return false;
    if (type !== '*' && type !== resource.resourceType) return false;
    if (context === 'patient' && !isOf(resource, persons, letter)) return false;
    return query === undefined || fits(resource, query);
  });
}

/** Nothing at all may be done with it. */
export function isDenied(resource: Whole, scopes: readonly string[], persons: readonly string[]): boolean {
  return !(['c', 'r', 'u', 'd', 's'] as const).some((letter) => permitted(letter, resource, scopes, persons));
}

function isOf(resource: Whole, persons: readonly string[], letter: Letter): boolean {
  if (persons.length === 0) return false;
  const { resourceType, id } = resource;
  if (resourceType === 'Patient') return persons.includes(id);
  if (ABOUT_NOBODY.includes(resourceType)) return letter === 'r' || letter === 's';
  const named = (COMPARTMENT[resourceType] ?? []).flatMap((path) => references(resource, path.split('.')));
  return named.some((reference) => persons.some((person) => reference === `Patient/${person}`));
}

function references(value: unknown, path: readonly string[]): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((each) => references(each, path));
  if (typeof value !== 'object' || value === null) return [];
  const [name, ...rest] = path;
  if (name !== undefined) return references(Reflect.get(value, name), rest);
  return 'reference' in value && typeof value.reference === 'string' ? [value.reference] : [];
}

/** `category=x`, `status=y`, `code=z`, `_tag=t`: codes, compared as written; every one of them. */
function fits(resource: Whole, query: string): boolean {
  return query.split('&').every((part) => {
    const [name = '', code = ''] = part.split('=');
    if (name === 'status') return resource.status === code;
    const value = name === '_tag' ? Reflect.get(Object(resource.meta), 'tag') : resource[name];
    return JSON.stringify(value ?? null).includes(`"code":"${code}"`);
  });
}

/** The records that are one person with the patient, by links in either direction. */
export function personOf(id: string, all: readonly Whole[]): readonly string[] {
  const found = new Set([id]);
  for (const each of found) {
    for (const patient of all.filter(({ resourceType }) => resourceType === 'Patient')) {
      const others = references(patient.link, ['other']).map((text) => text.slice('Patient/'.length));
      if (patient.id === each) for (const other of others) found.add(other);
      if (others.includes(each)) found.add(patient.id);
    }
  }
  return [...found];
}
