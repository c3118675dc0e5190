/**
 * The independent judge of the leak test: who may do what with a whole resource, in the plainest words, without index, predicate or definition
 * of the server's. Compartments are the lines of compartmentdefinition-patient.html for the types that are generated.
 */
import { readFileSync } from 'node:fs';
import type { Situation } from '../../src/smart/scopes.ts';

export interface Whole {
  readonly resourceType: string;
  readonly id: string;
  readonly [element: string]: unknown;
}
type Letter = 'c' | 'r' | 'u' | 'd' | 's';

/** What beside scopes decides. */
export interface Limits {
  readonly situation: Situation;
  /** Consents as they are now, of whatever status. */
  readonly consents: readonly Whole[];
  /** The provision of the site, when it has one. */
  readonly site: object | undefined;
  /** Everything as it is now, for what a Binary names. */
  readonly held: readonly Whole[];
}

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
  Consent: ['patient'],
};
/** About nobody: to be read by a patient's app, never to be written. */
const ABOUT_NOBODY = ['Practitioner', 'Organization', 'Medication'];

const SCOPE = /^(patient|user|system)\/([A-Za-z]+|\*)\.(read|write|\*|[cruds]+)(?:\?(.*))?$/;
const OLD: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' };

/** Whether a scope lets its bearer do this with the resource, and a role, and neither a label nor a Consent hides it. */
export function permitted(
  letter: Letter,
  resource: Whole,
  scopes: readonly string[],
  persons: readonly string[],
  limits: Limits,
): boolean {
  if (!inScope(letter, resource, scopes, persons) || !inRole(letter, resource, limits.situation)) return false;
  if (!isTheirs(resource, limits.situation)) return false;
  if (!seesContext(letter, resource, scopes, persons, limits)) return false;
  const { breakGlass } = limits.situation;
  if (breakGlass !== undefined && belongsTo(resource, [breakGlass.patient])) return true;
  return !hasHiddenLabel(resource, limits.situation) && !isRefused(letter, resource, limits);
}

/** A Subscription is of who made it, and of roles that are for those of others. */
function isTheirs({ resourceType, extension }: Whole, situation: Situation): boolean {
  if (resourceType !== 'Subscription') return true;
  if (rolesOf(situation).some(({ othersSubscriptions }) => othersSubscriptions === true)) return true;
  const { holder } = situation;
  return holder !== undefined && JSON.stringify(extension ?? null).includes(`"valueString":"${holder}"`);
}

function inScope(letter: Letter, resource: Whole, scopes: readonly string[], persons: readonly string[]): boolean {
  return scopes.some((scope) => {
    const [, context = '', type = '', access = '', query] = SCOPE.exec(scope) ?? [];
    if (!(OLD[access] ?? access).includes(letter)) return false;
    if (type !== '*' && type !== resource.resourceType) return false;
    if (context === 'patient' && !isOf(resource, persons, letter)) return false;
    return query === undefined || fits(resource, query);
  });
}

/** binary.html: what a Binary names stands for it. It must be there and be seen; only who sees all there is may see what names nothing. */
function seesContext(
  letter: Letter,
  { resourceType, securityContext }: Whole,
  scopes: readonly string[],
  persons: readonly string[],
  limits: Limits,
): boolean {
  if (resourceType !== 'Binary' || securityContext === undefined) return true;
  const need = letter === 's' ? 's' : 'r';
  if (seesAllThereIs(need, scopes, limits.situation)) return true;
  const [reference] = references(securityContext, []);
  const named = limits.held.find(({ resourceType: type, id }) => `${type}/${id}` === reference);
  return named !== undefined && named.resourceType !== 'Binary' && permitted(need, named, scopes, persons, limits);
}

function seesAllThereIs(need: Letter, scopes: readonly string[], situation: Situation): boolean {
  const isScope = scopes.some((scope) => {
    const [, context = '', type = '', access = '', query] = SCOPE.exec(scope) ?? [];
    return context !== 'patient' && type === '*' && query === undefined && (OLD[access] ?? access).includes(need);
  });
  const roles = rolesOf(situation);
  return (
    isScope &&
    roles.some(({ boundByConsent }) => boundByConsent === false) &&
    roles.some(({ clearance }) => clearance.confidentiality === 'V') &&
    roles.some(({ clearance }) => clearance.sensitivity.includes('*')) &&
    roles.some(({ permits }) =>
      permits.some(({ types, interactions }) => types.includes('*') && interactions.includes(need)),
    )
  );
}

/** Nothing at all may be done with it. */
export function isDenied(
  resource: Whole,
  scopes: readonly string[],
  persons: readonly string[],
  limits: Limits,
): boolean {
  return !(['c', 'r', 'u', 'd', 's'] as const).some((letter) => permitted(letter, resource, scopes, persons, limits));
}

/** A file of roles/ as it is written. */
interface RoleFile {
  readonly permits: readonly {
    readonly types: readonly string[];
    readonly interactions: string;
    readonly criteria?: string;
  }[];
  readonly clearance: { readonly confidentiality: string; readonly sensitivity: readonly string[] };
  readonly boundByConsent?: boolean;
  readonly othersSubscriptions?: boolean;
}
const fileOf = (role: string): RoleFile =>
  JSON.parse(readFileSync(new URL(`../../roles/${role}.json`, import.meta.url), 'utf8'));
const files = new Map<string, RoleFile>();
function rolesOf({ roles = [] }: Situation): readonly RoleFile[] {
  return roles.map((role) => {
    const file = files.get(role) ?? fileOf(role);
    files.set(role, file);
    return file;
  });
}

function inRole(letter: Letter, resource: Whole, situation: Situation): boolean {
  if (situation.roles === undefined) return true;
  return rolesOf(situation).some(({ permits }) =>
    permits.some(
      ({ types, interactions, criteria }) =>
        (types.includes('*') || types.includes(resource.resourceType)) &&
        interactions.includes(letter) &&
        (criteria === undefined || fits(resource, criteria)),
    ),
  );
}

const codesOf = (value: unknown): readonly string[] =>
  (Array.isArray(value) ? value : []).map((each) => String(Reflect.get(Object(each), 'code')));
const labelsOf = ({ meta }: Whole): readonly string[] => codesOf(Reflect.get(Object(meta), 'security'));

/** Of those labels that are generated: R and V restrict by degree, PSY by name. */
function hasHiddenLabel(resource: Whole, situation: Situation): boolean {
  const clearances = rolesOf(situation).map(({ clearance }) => clearance);
  const seesDegree = (codes: string) => clearances.some(({ confidentiality }) => codes.includes(confidentiality));
  return labelsOf(resource).some((label) => {
    if (situation.clearance?.includes(label)) return false;
    if (label === 'R') return !seesDegree('RV');
    if (label === 'V') return !seesDegree('V');
    return (
      label === 'PSY' && !clearances.some(({ sensitivity }) => sensitivity.includes('*') || sensitivity.includes(label))
    );
  });
}

/** Whether a Consent of a patient the resource belongs to denies it to this caller; or the site does, and none of whom it is about permits. */
function isRefused(letter: Letter, resource: Whole, { situation, consents, site, held }: Limits): boolean {
  if (rolesOf(situation).some(({ boundByConsent }) => boundByConsent === false)) return false;
  const inForce = consents.filter(({ status }) => status === 'active');
  const personsOf = (consent: Whole) =>
    personOf(references(consent.patient, [])[0]?.slice('Patient/'.length) ?? '', held);
  const said = (consent: Whole) => {
    const isOptOut = JSON.stringify(consent.policyRule).includes('OPTOUT');
    return decided({ type: isOptOut ? 'deny' : 'permit', ...Object(consent.provision) }, letter, resource, situation);
  };
  if (inForce.some((each) => belongsTo(resource, personsOf(each)) && said(each).denies)) return true;
  const isOfPatients = resource.resourceType === 'Patient' || COMPARTMENT[resource.resourceType] !== undefined;
  if (site === undefined || !isOfPatients || !decided(site, letter, resource, situation).denies) return false;
  return !inForce.some((each) => isAbout(resource, personsOf(each)) && said(each).permits);
}

/** Where a resource of the type says whom it is about: one person, who may permit. */
const ABOUT: Readonly<Record<string, string>> = {
  ...{ Observation: 'subject', Condition: 'subject', Encounter: 'subject', MedicationRequest: 'subject' },
  ...{ Composition: 'subject', List: 'subject', Device: 'patient', Consent: 'patient' },
};
function isAbout(resource: Whole, persons: readonly string[]): boolean {
  if (resource.resourceType === 'Patient') return persons.includes(resource.id);
  const path = ABOUT[resource.resourceType];
  const named = path === undefined ? [] : references(resource, [path]);
  return named.some((reference) => persons.some((person) => reference === `Patient/${person}`));
}

/** Letters of interactions that a code of an action may mean when it is denied, and does mean when it is permitted. */
const DENIED: Readonly<Record<string, string>> = { access: 'ruds', use: 'ruds', correct: 'ruds', collect: 'cu' };
const PERMITTED: Readonly<Record<string, string>> = { access: 'rs', correct: 'ruds', collect: 'c' };

interface Said {
  readonly denies: boolean;
  readonly permits: boolean;
}
/** What a provision says of a resource: it denies what it may be about, and permits what it is about beyond doubt. */
function decided(provision: unknown, letter: Letter, resource: Whole, situation: Situation): Said {
  const given = Object(provision);
  const purposes = situation.purposes.length === 0 ? ['TREAT'] : situation.purposes;
  const actors: object[] = Array.isArray(given.actor) ? given.actor : [];
  const isNamed = (each: object) => references(each, ['reference']).some((actor) => situation.actors.includes(actor));
  const isRecipient = (each: object) => JSON.stringify(each).includes('"IRCP"');
  const actions = (Array.isArray(given.action) ? given.action : []).flatMap((each: object) =>
    codesOf(Reflect.get(each, 'coding')),
  );
  const coding = codesOf(Reflect.get(Object(resource.code), 'coding'));
  const isFit =
    (given.purpose === undefined || codesOf(given.purpose).some((code) => purposes.includes(code))) &&
    (given.class === undefined || codesOf(given.class).includes(resource.resourceType)) &&
    codesOf(given.securityLabel).every((label) => labelsOf(resource).includes(label)) &&
    (given.code === undefined ||
      given.code.some((each: object) => codesOf(Reflect.get(each, 'coding')).some((code) => coding.includes(code))));
  const may =
    isFit &&
    (actors.length === 0 || actors.some(isNamed)) &&
    (actions.length === 0 || actions.some((code: string) => (DENIED[code] ?? 'cruds').includes(letter)));
  const does =
    isFit &&
    (actors.length === 0 || actors.some((each) => isNamed(each) && isRecipient(each))) &&
    (actions.length === 0 || actions.some((code: string) => (PERMITTED[code] ?? '').includes(letter)));
  const exceptions: unknown[] = Array.isArray(given.provision) ? given.provision : [];
  const said = exceptions.map((each) => decided(each, letter, resource, situation));
  const isDeniedInside = said.some(({ denies }) => denies);
  const isPermittedInside = said.some(({ permits }) => permits);
  return given.type === 'deny'
    ? { denies: may && (isDeniedInside || !isPermittedInside), permits: does && isPermittedInside && !isDeniedInside }
    : { denies: may && isDeniedInside, permits: does && !isDeniedInside };
}

function isOf(resource: Whole, persons: readonly string[], letter: Letter): boolean {
  if (persons.length === 0) return false;
  if (ABOUT_NOBODY.includes(resource.resourceType)) return letter === 'r' || letter === 's';
  if (resource.resourceType === 'Binary') return resource.securityContext !== undefined;
  return belongsTo(resource, persons);
}

function belongsTo(resource: Whole, persons: readonly string[]): boolean {
  const { resourceType, id } = resource;
  if (resourceType === 'Patient') return persons.includes(id);
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
