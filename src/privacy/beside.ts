/**
 * What is a person's although R4 puts it in no compartment of theirs: devices and tasks that name the patient, attachments, and the Provenance
 * of what is removed. Source: FHIR R4 compartmentdefinition-patient.html, binary.html#security, provenance.html; docs/privacy.md.
 */
import { isJsonObject, type Resource } from '../fhir/resource.ts';
import type { Predicate } from '../fhir/search/algebra.ts';
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
  const gone = new Set([...names, ...found.map(({ key }) => `${key.type}/${key.id}`)]);
  const shared: string[] = [];
  for (const [id, pointing] of binaries) {
    const binary = await looking.read('Binary', id);
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

/** A Binary that says whose it is, is only theirs; one that does not is that of everybody who uses it. */
function isTheirs(
  { text }: StoredVersion,
  pointing: readonly string[],
  users: readonly string[],
  gone: ReadonlySet<string>,
): boolean {
  const { securityContext } = storedResource(text ?? '{}');
  const of = isJsonObject(securityContext) ? [String(securityContext.reference), ...pointing] : [...pointing, ...users];
  return of.every((name) => gone.has(name));
}

/** Provenance whose targets are all removed. */
async function provenanceOf(gone: ReadonlySet<string>, { search }: Looking): Promise<readonly StoredVersion[]> {
  const names = [...gone];
  const found = new Map<string, StoredVersion>();
  for (let from = 0; from < names.length; from += STEP) {
    const targets = names.slice(from, from + STEP);
    for (const each of await search('Provenance', { kind: 'reference', parameter: 'Provenance.target', targets })) {
      if (!gone.has(`Provenance/${each.key.id}`)) found.set(each.key.id, each);
    }
  }
  return [...found.values()].filter(({ text }) =>
    targetsOf(storedResource(text ?? '{}')).every((name) => gone.has(name)),
  );
}

/** `Type/id` of the targets, without versions. */
function targetsOf({ target }: Resource): readonly string[] {
  return (Array.isArray(target) ? target : []).map((each) => {
    const text = isJsonObject(each) && typeof each.reference === 'string' ? each.reference : '';
    return text
      .replace(/\/_history\/.*$/, '')
      .split('/')
      .slice(-2)
      .join('/');
  });
}
