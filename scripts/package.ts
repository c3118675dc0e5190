/**
 * Installs the profiles of a FHIR package: `node scripts/package.ts <package.tgz or unpacked folder> [--into <folder>] [--only <id>,...]`.
 * Writes profiles/structure/<id>.json (StructureDefinitions that constrain a type, snapshots trimmed to what validation reads) and
 * profiles/terminology/<id>.json (code systems and value sets, without definitions and texts). Source: packages2 format, hl7.org/fhir/packages.html.
 * `--only` takes the ids of profiles; the profiles and value sets these name come along as far as the package holds them.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { CodeSystem, CodeSystemConcept, ElementDefinition, StructureDefinition, ValueSet } from 'fhir/r4.d.ts';
import { isJsonObject } from '../src/fhir/resource.ts';

/** What validation reads of an element; fixed[x] and pattern[x] besides. */
const KEPT: ReadonlySet<string> = new Set(['id', 'path', 'sliceName', 'min', 'max', 'slicing']);
const PROFILES = join(import.meta.dirname, '..', 'profiles');

type Terminology = CodeSystem | ValueSet;
export interface Installed {
  readonly profiles: readonly string[];
  readonly terminology: readonly string[];
}

/**
 * @param source `.tgz` or a folder that holds the resources, itself or in `package/`
 * @param only ids of profiles; empty = all
 * @throws Error when it is no FHIR R4 package, or lacks a profile that is asked for
 */
export function installPackage(source: string, into: string, only: readonly string[] = []): Installed {
  const scratch = statSync(source).isDirectory() ? undefined : mkdtempSync(join(tmpdir(), 'package-'));
  try {
    if (scratch !== undefined) execFileSync('tar', ['-xzf', source, '-C', scratch]);
    const unpacked = scratch ?? source;
    const inner = join(unpacked, 'package');
    return install(existsSync(inner) ? inner : unpacked, into, only);
  } finally {
    if (scratch !== undefined) rmSync(scratch, { recursive: true });
  }
}

function install(folder: string, into: string, only: readonly string[]): Installed {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  if (!String(manifest.fhirVersions ?? manifest['fhir-version-list']).startsWith('4.0')) {
    throw new Error(`${String(manifest.name)} is not a package for FHIR R4.`);
  }
  const resources = readdirSync(folder)
    .filter((file) => file.endsWith('.json') && file !== 'package.json' && !file.startsWith('.'))
    .sort()
    .map((file): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8')));
  const all = resources.filter(isProfile);
  const profiles = only.length === 0 ? all : withNamed(all, only);
  const needed = new Set(
    profiles.flatMap((each) => elementsOf(each).map(({ binding }) => urlOf(binding?.valueSet ?? ''))),
  );
  const held = resources.filter(isTerminology);
  const terminology = only.length === 0 ? held : withIncluded(held, needed);
  for (const each of profiles) write(join(into, 'structure'), each.id, trimmed(each));
  for (const each of terminology) write(join(into, 'terminology'), each.id, trimmedTerminology(each));
  return { profiles: profiles.map(({ url }) => url), terminology: terminology.map(({ url }) => url ?? '') };
}

/** The profiles of the ids and, in turn, those their elements name. */
function withNamed(all: readonly StructureDefinition[], only: readonly string[]): readonly StructureDefinition[] {
  const byUrl = new Map(all.map((each) => [each.url, each]));
  const wanted = new Set<StructureDefinition>();
  for (const id of only) {
    const found = all.find((each) => each.id === id);
    if (found === undefined) throw new Error(`The package holds no profile ${id}.`);
    wanted.add(found);
  }
  for (const each of wanted) {
    for (const url of elementsOf(each).flatMap(({ type }) => (type ?? []).flatMap(({ profile }) => profile ?? []))) {
      const named = byUrl.get(urlOf(url));
      if (named !== undefined) wanted.add(named);
    }
  }
  return all.filter((each) => wanted.has(each));
}

/** The value sets needed, those they include, and the code systems they draw on. */
function withIncluded(held: readonly Terminology[], needed: ReadonlySet<string>): readonly Terminology[] {
  const urls = new Set(needed);
  for (const url of urls) {
    const found = held.find((each) => each.resourceType === 'ValueSet' && each.url === url);
    if (found?.resourceType !== 'ValueSet') continue;
    for (const part of [...(found.compose?.include ?? []), ...(found.compose?.exclude ?? [])]) {
      for (const each of [part.system ?? '', ...(part.valueSet ?? [])]) urls.add(urlOf(each));
    }
  }
  return held.filter(({ url }) => urls.has(url ?? ''));
}

const urlOf = (canonical: string): string => canonical.split('|')[0] ?? canonical;
const elementsOf = ({ snapshot }: StructureDefinition): readonly ElementDefinition[] => snapshot?.element ?? [];

function isProfile(value: unknown): value is StructureDefinition & { id: string } {
  return (
    isJsonObject(value) &&
    value.resourceType === 'StructureDefinition' &&
    value.derivation === 'constraint' &&
    value.kind !== 'logical' &&
    isJsonObject(value.snapshot)
  );
}

function isTerminology(value: unknown): value is Terminology {
  if (!isJsonObject(value) || typeof value.url !== 'string') return false;
  return value.resourceType === 'CodeSystem' || value.resourceType === 'ValueSet';
}

function trimmed(definition: StructureDefinition): unknown {
  const { resourceType, id, url, version, name, status, kind, abstract, type, baseDefinition, derivation } = definition;
  const element = elementsOf(definition).filter(saysSomething).map(trimmedElement);
  const head = { resourceType, id, url, version, name, status, kind, abstract, type, baseDefinition, derivation };
  return { ...head, snapshot: { element } };
}

/** `id`, `extension` and the like of data types that nobody constrains are most of a snapshot. */
function saysSomething(
  { id = '', path, min, type, slicing }: ElementDefinition,
  index: number,
  all: readonly ElementDefinition[],
): boolean {
  if (!/\.(?:id|extension|modifierExtension)$/.test(path) || (min ?? 0) > 0) return true;
  const named = (type ?? []).some(({ profile }) => profile !== undefined);
  const next = all[index + 1]?.id ?? '';
  return (
    named ||
    next.startsWith(`${id}.`) ||
    next.startsWith(`${id}:`) ||
    (slicing?.rules ?? 'open') !== 'open' ||
    all[index]?.max === '0'
  );
}

function trimmedElement(element: ElementDefinition): unknown {
  const { type, binding, constraint } = element;
  const own = Object.entries(element).filter(([key]) => KEPT.has(key) || /^(?:fixed|pattern)[A-Z]/.test(key));
  const strength = binding?.strength;
  const constraints = (constraint ?? []).filter(({ key }) => key !== 'ele-1' && key !== 'ext-1');
  return {
    ...Object.fromEntries(own),
    ...(type === undefined
      ? {}
      : { type: type.map(({ code, profile, targetProfile }) => ({ code, profile, targetProfile })) }),
    ...(strength === 'required' || strength === 'extensible'
      ? { binding: { strength, valueSet: binding?.valueSet } }
      : {}),
    ...(constraints.length === 0
      ? {}
      : { constraint: constraints.map(({ key, severity, expression }) => ({ key, severity, expression })) }),
  };
}

function trimmedTerminology(resource: Terminology): unknown {
  const { resourceType, id, url, version, name, status } = resource;
  const head = { resourceType, id, url, version, name, status };
  if (resource.resourceType === 'ValueSet') return { ...head, ...codesOf(resource) };
  const { content, hierarchyMeaning, property, concept = [] } = resource;
  return { ...head, content, hierarchyMeaning, property, concept: concept.map(bare) };
}

/** The composition; an expansion only where there is nothing else. */
function codesOf({ compose, expansion }: ValueSet): Partial<ValueSet> {
  if (compose !== undefined) return { compose };
  return expansion === undefined ? {} : { expansion };
}

function bare({ code, display, property, concept }: CodeSystemConcept): CodeSystemConcept {
  return {
    code,
    ...(display === undefined ? {} : { display }),
    ...(property === undefined ? {} : { property }),
    ...(concept === undefined ? {} : { concept: concept.map(bare) }),
  };
}

function write(folder: string, id: string | undefined, value: unknown): void {
  if (id === undefined || !/^[A-Za-z0-9.-]{1,64}$/.test(id)) throw new Error('A resource of the package has no id.');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${id}.json`), `${JSON.stringify(value)}\n`);
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    options: { into: { type: 'string', default: PROFILES }, only: { type: 'string', default: '' } },
    allowPositionals: true,
  });
  const [source] = positionals;
  if (source === undefined) throw new Error('Say which package: a .tgz or a folder.');
  const installed = installPackage(source, values.into, values.only.split(',').filter(Boolean));
  console.log(`${installed.profiles.length} profiles, ${installed.terminology.length} code systems and value sets.`);
}
