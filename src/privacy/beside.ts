/**
 * What is a person's although R4 puts it in no compartment of theirs: devices and tasks that name the patient, attachments, and the Provenance
 * of what is removed. Source: FHIR R4 compartmentdefinition-patient.html, binary.html#security, provenance.html; docs/privacy.md.
 */
import { isJsonObject, type Json, type Resource } from '../fhir/resource.ts';
import type { ParameterKey, Predicate } from '../fhir/search/algebra.ts';
import { SECURITY_CONTEXT } from '../fhir/search/security-context.ts';
import { storedResource } from '../rest/wire/represent.ts';
import type { StoredVersion } from '../store/port.ts';

export interface Looking {
  search(type: string, where: Predicate): Promise<readonly StoredVersion[]>;
  read(type: string, id: string): Promise<StoredVersion | undefined>;
}

/** Type -> search parameter that names the patient. */
const NAMING: readonly (readonly [type: string, code: string])[] = [
  ['Device', 'patient'],
  ['Task', 'patient'],
];
/** References asked for at once. */
const STEP = 100;
const BINARY = /(?:"|\/)Binary\/([A-Za-z0-9\-.]{1,64})(?:"|\/)/g;

/** Ids of the Binaries that a text points at, by reference or URL. */
export function binariesIn(text: string | undefined): readonly string[] {
  return [...(text ?? '').matchAll(BINARY)].map(([, id = '']) => id);
}

/**
 * Names of the resources that use a Binary which this version names. A Provenance uses nothing itself: what it is about does, so one that is about
 * the Binary alone keeps it for nobody.
 */
export function usersOf({ key, text }: Pick<StoredVersion, 'key' | 'text'>, binary: string): readonly string[] {
  if (key.type !== 'Provenance') return [`${key.type}/${key.id}`];
  return targetsOf(storedResource(text ?? '{}')).filter((name) => name !== `Binary/${binary}`);
}

/** Who names each Binary (its id): `binaries` of what was found about the person, `users` of everything that is held. */
export interface Pointing {
  readonly binaries: ReadonlyMap<string, ReadonlySet<string>>;
  readonly users: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * @param names `Type/id` of what is removed whole
 * @returns `shared`: Binaries that stay because others use them too
 */
export async function beside(
  persons: ReadonlySet<string>,
  names: ReadonlySet<string>,
  { binaries, users }: Pointing,
  looking: Looking,
): Promise<{ readonly gone: readonly StoredVersion[]; readonly shared: readonly string[] }> {
  const targets = [...persons].map((id) => `Patient/${id}`);
  const found: StoredVersion[] = [];
  for (const [type, code] of NAMING) {
    found.push(...(await looking.search(type, { kind: 'reference', parameter: `${type}.${code}`, targets })));
  }
  const gone = new Set([...names, ...targets, ...found.map(({ key }) => `${key.type}/${key.id}`)]);
  const shared: string[] = [];
  const theirs = await pointingAt('Binary', SECURITY_CONTEXT, gone, looking);
  for (const [id, pointing] of new Map([...theirs.keys()].map((id) => [id, NOBODY] as const).concat([...binaries]))) {
    const binary = theirs.get(id) ?? (await looking.read('Binary', id));
    if (binary === undefined) continue;
    if (isTheirs(binary, [...pointing], [...(users.get(id) ?? [])], gone)) {
      found.push(binary);
      gone.add(`Binary/${id}`);
    } else {
      shared.push(`Binary/${id}`);
    }
  }
  return { gone: [...found, ...(await provenanceOf(gone, looking))], shared };
}

const NOBODY: ReadonlySet<string> = new Set();

/** A Binary that says whose it is, is only theirs; one that does not is that of everybody who uses it. */
function isTheirs(
  { text }: StoredVersion,
  pointing: readonly string[],
  users: readonly string[],
  gone: ReadonlySet<string>,
): boolean {
  const { securityContext } = storedResource(text ?? '{}');
  const context = isJsonObject(securityContext) ? [withoutVersion(securityContext.reference)] : users;
  const of = [...context, ...pointing];
  return of.every((name) => gone.has(name));
}

/** Resources of a type, by id, that refer to one of these by a parameter. */
async function pointingAt(
  type: string,
  parameter: ParameterKey,
  names: ReadonlySet<string>,
  { search }: Looking,
): Promise<ReadonlyMap<string, StoredVersion>> {
  const all = [...names];
  const found = new Map<string, StoredVersion>();
  for (let from = 0; from < all.length; from += STEP) {
    const targets = all.slice(from, from + STEP);
    for (const each of await search(type, { kind: 'reference', parameter, targets })) found.set(each.key.id, each);
  }
  return found;
}

/** Provenance whose targets are all removed. */
async function provenanceOf(gone: ReadonlySet<string>, looking: Looking): Promise<readonly StoredVersion[]> {
  const found = await pointingAt('Provenance', 'Provenance.target', gone, looking);
  return [...found.values()].filter(
    ({ key, text }) =>
      !gone.has(`Provenance/${key.id}`) && targetsOf(storedResource(text ?? '{}')).every((name) => gone.has(name)),
  );
}

/** `Type/id` of the targets, without versions. */
function targetsOf({ target }: Resource): readonly string[] {
  return (Array.isArray(target) ? target : []).map((each) => nameIn(isJsonObject(each) ? each.reference : undefined));
}

/** `Type/id` of a reference; '' for none. */
const nameIn = (reference: Json | undefined): string => withoutVersion(reference).split('/').slice(-2).join('/');

function withoutVersion(reference: Json | undefined): string {
  return typeof reference === 'string' ? reference.replace(/\/_history\/.*$/, '') : '';
}
