/**
 * Writes profiles/definitions from the published R4 packages (CC0): `npm run definitions [-- <folder of unpacked packages>]`.
 * Without a folder the packages are fetched with `npm pack`. hl7.fhir.r4.examples holds, in spite of its name, the whole of R4.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type {
  CodeSystem,
  CodeSystemConcept,
  CompartmentDefinition,
  ElementDefinition,
  ElementDefinitionType,
  OperationDefinition,
  OperationDefinitionParameter,
  SearchParameter,
  StructureDefinition,
  ValueSet,
  ValueSetComposeInclude,
  ValueSetExpansionContains,
} from 'fhir/r4.d.ts';
import type {
  CompartmentsFile,
  ElementFile,
  LockFile,
  OperationFile,
  OperationParameterFile,
  SearchParameterFile,
  StructuresFile,
  ValueSetsFile,
} from '../src/fhir/definitions/file.ts';

const PACKAGES = [
  { name: 'hl7.fhir.r4.examples', version: '4.0.1', licence: 'CC0-1.0' },
  { name: 'hl7.fhir.r4.expansions', version: '4.0.1', licence: 'CC0-1.0' },
] as const;
const OUTPUT = join(import.meta.dirname, '..', 'profiles', 'definitions');
const BASE = 'http://hl7.org/fhir/StructureDefinition/';
const SYSTEM = 'http://hl7.org/fhirpath/System.';

/** Expressions that do not stand as published: published text -> the text meant. */
const ERRATA: Readonly<Record<string, string>> = {
  'name | alias': 'InsurancePlan.name | InsurancePlan.alias',
  'value.as(DateTime) | value.as(Period)': 'value.as(dateTime) | value.as(Period)',
};

/** Folder of an unpacked package; checks name, version and licence. */
function packageFolder(root: string, index: 0 | 1): string {
  const { name, version, licence } = PACKAGES[index];
  const folder = [join(root, name, 'package'), join(root, name.replace('hl7.fhir.r4.', ''), 'package')].find(
    existsSync,
  );
  if (folder === undefined) throw new Error(`${root} holds no unpacked ${name}.`);
  const found = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  if (found.name !== name || found.version !== version || found.license !== licence) {
    throw new Error(`${folder} is not ${name} ${version} under ${licence}.`);
  }
  return folder;
}

function fetched(): string {
  const root = mkdtempSync(join(tmpdir(), 'definitions-'));
  for (const { name, version } of PACKAGES) {
    execFileSync('npm', ['pack', `${name}@${version}`, '--silent', '--pack-destination', root], { stdio: 'inherit' });
    mkdirSync(join(root, name));
    execFileSync('tar', ['-xzf', join(root, `${name}-${version}.tgz`), '-C', join(root, name)]);
  }
  return root;
}

/** Every resource of one type in a package, ordered by file name. */
function resources<T>(folder: string, type: string): T[] {
  return readdirSync(folder)
    .filter((file) => file.startsWith(`${type}-`) && file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
}

/** `Reference(Patient|Group)`; a reference to Resource is a reference to anything. */
function typeText(type: ElementDefinitionType, path: string): string {
  const fhirType = type.extension?.find(({ url }) => url.endsWith('structuredefinition-fhir-type'))?.valueUrl;
  if (type.code.startsWith(SYSTEM) && type.code !== `${SYSTEM}String`)
    return fhirType ?? type.code.slice(SYSTEM.length).toLowerCase();
  // The published snapshots type Resource.id as string; its grammar is that of id.
  if (type.code === `${SYSTEM}String`) return /^[A-Z][A-Za-z]*\.id$/.test(path) ? 'id' : (fhirType ?? 'string');
  const targets = (type.targetProfile ?? []).map((target) => target.replace(BASE, ''));
  if (targets.length > 0 && !targets.includes('Resource')) return `${type.code}(${targets.join('|')})`;
  const profile = type.profile?.[0]?.replace(BASE, '');
  return profile === undefined ? type.code : `${type.code}<${profile}>`;
}

/** R4 uses `inv-1` for three different constraints; they are kept apart by their type. */
function constraintKey(key: string, type: string): string {
  return key === 'inv-1' ? `${type}:${key}` : key;
}

function element(definition: ElementDefinition, type: StructureDefinition): ElementFile {
  const { path, min, max } = definition;
  const isRoot = path === type.type;
  const keys = (definition.constraint ?? [])
    .filter(({ key }) => key !== 'ele-1' && (isRoot || key !== 'ext-1'))
    .map(({ key }) => constraintKey(key, type.type));
  const resourceId = type.kind === 'resource' ? path : '';
  return {
    path: path.slice(type.type.length + 1),
    ...(min === undefined || min === 0 ? {} : { min }),
    ...(max === '1' ? {} : { max: max === '*' ? -1 : Number(max) }),
    ...(definition.type === undefined ? {} : { types: definition.type.map((each) => typeText(each, resourceId)) }),
    ...(definition.binding?.strength === 'required' && definition.binding.valueSet !== undefined
      ? { required: definition.binding.valueSet.split('|')[0] ?? '' }
      : {}),
    ...(definition.contentReference === undefined ? {} : { content: definition.contentReference.slice(1) }),
    ...(definition.isSummary === true ? { summary: true } : {}),
    ...(keys.length === 0 ? {} : { constraints: keys }),
  };
}

function structures(all: readonly StructureDefinition[]): StructuresFile {
  const constraints: Record<string, { severity: 'error' | 'warning'; expression: string }> = {};
  const types: StructuresFile['types'][number][] = [];
  for (const definition of all) {
    const { kind } = definition;
    if (definition.derivation === 'constraint' || kind === 'logical' || definition.url !== BASE + definition.type)
      continue;
    const snapshot = definition.snapshot?.element ?? [];
    for (const { key, severity, expression } of snapshot.flatMap(({ constraint }) => constraint ?? [])) {
      const name = constraintKey(key, definition.type);
      if (expression === undefined) continue;
      if ((constraints[name]?.expression ?? expression) !== expression)
        throw new Error(`Two constraints are called ${name}.`);
      constraints[name] = { severity, expression };
    }
    types.push({
      url: definition.url,
      type: definition.type,
      kind,
      ...(definition.abstract ? { abstract: true } : {}),
      elements: snapshot.map((each) => element(each, definition)),
    });
  }
  return { types, constraints };
}

/** Parameters that can be indexed: with a base and an expression; experimental ones belong to extensions, not to base R4. */
function searchParameters(all: readonly SearchParameter[]): SearchParameterFile[] {
  return all
    .filter(
      ({ id, experimental, expression, base }) => !id?.startsWith('example') && !experimental && expression && base,
    )
    .map(({ url, code, type, base, expression = '', target, component }) => ({
      url,
      code,
      type,
      base,
      expression: ERRATA[expression] ?? expression,
      ...(target === undefined ? {} : { target }),
      ...(component === undefined
        ? {}
        : {
            component: component.map((part) => ({
              definition: part.definition,
              expression: ERRATA[part.expression] ?? part.expression,
            })),
          }),
    }));
}

function compartments(all: readonly CompartmentDefinition[]): CompartmentsFile {
  return Object.fromEntries(
    all
      .filter(({ id }) => id !== 'example')
      .map(({ code, resource = [] }) => [
        code,
        Object.fromEntries(resource.flatMap(({ code: type, param }) => (param === undefined ? [] : [[type, param]]))),
      ]),
  );
}

function operationParameter({ name, use, min, max, type, part }: OperationDefinitionParameter): OperationParameterFile {
  return {
    name,
    use,
    ...(min === 0 ? {} : { min }),
    ...(max === '1' ? {} : { max: max === '*' ? -1 : Number(max) }),
    ...(type === undefined ? {} : { type }),
    ...(part === undefined ? {} : { parts: part.map(operationParameter) }),
  };
}

function operations(all: readonly OperationDefinition[]): OperationFile[] {
  return all
    .filter(({ id, kind }) => id !== 'example' && kind === 'operation')
    .map(({ url = '', code, system, type, instance, resource = [], affectsState = false, parameter = [] }) => ({
      url,
      code,
      system,
      type,
      instance,
      resource,
      affectsState,
      parameters: parameter.map(operationParameter),
    }));
}

/** Codes by system; null when the expansion says that it is not complete. */
function codes(valueSet: ValueSet | undefined): Readonly<Record<string, readonly string[]>> | null {
  const expansion = valueSet?.expansion;
  if (expansion?.contains === undefined) return null;
  const open = (expansion.extension ?? []).some(({ url }) => /valueset-(unclosed|toocostly)$/.test(url));
  if (open) return null;
  const bySystem: Record<string, string[]> = {};
  const collect = (contains: readonly ValueSetExpansionContains[]): void => {
    for (const { system = '', code, abstract, contains: below } of contains) {
      if (code !== undefined && abstract !== true) {
        bySystem[system] ??= [];
        bySystem[system].push(code);
      }
      if (below !== undefined) collect(below);
    }
  };
  collect(expansion.contains);
  return bySystem;
}

function valueSets(file: StructuresFile, expansions: readonly ValueSet[]): ValueSetsFile {
  const byUrl = new Map(expansions.map((each) => [each.url, each]));
  const urls = new Set(file.types.flatMap(({ elements }) => elements.flatMap(({ required }) => required ?? [])));
  return Object.fromEntries([...urls].sort().map((url) => [url, codes(byUrl.get(url))]));
}

/** Properties of a concept that say whether and how it can be used; the others are documentation. */
const CONCEPT_PROPERTIES = new Set(['status', 'notSelectable', 'abstract', 'child']);

function concept({ code, display, property = [], concept: below = [] }: CodeSystemConcept): CodeSystemConcept {
  const kept = property.filter((each) => CONCEPT_PROPERTIES.has(each.code));
  return {
    code,
    ...(display === undefined ? {} : { display }),
    ...(kept.length === 0 ? {} : { property: kept }),
    ...(below.length === 0 ? {} : { concept: below.map(concept) }),
  };
}

/** Code systems and value sets as resources, without text, definitions and designations. */
function terminology(systems: readonly CodeSystem[], sets: readonly ValueSet[]): unknown[] {
  return [
    ...systems.map(({ resourceType, url, version, name, status, content, hierarchyMeaning, concept: top = [] }) => ({
      resourceType,
      url,
      version,
      name,
      status,
      content,
      hierarchyMeaning,
      concept: top.map(concept),
    })),
    ...sets.map(({ resourceType, url, version, name, title, status, compose }) => ({
      resourceType,
      url,
      version,
      name,
      title,
      status,
      compose: { include: compose?.include.map(include), exclude: compose?.exclude?.map(include) },
    })),
  ];
}

function include({ system, version, valueSet, filter, concept: listed }: ValueSetComposeInclude) {
  const named = listed?.map(({ code, display }) => ({ code, display }));
  return { system, version, valueSet, filter, concept: named };
}

/** Files whose name ends in `.gz` are compressed. */
function write(files: Readonly<Record<string, unknown>>): void {
  mkdirSync(OUTPUT, { recursive: true });
  const hashes: Record<string, string> = {};
  for (const [name, content] of Object.entries(files)) {
    const text = `${JSON.stringify(content)}\n`;
    const bytes = name.endsWith('.gz') ? gzipSync(text, { level: 9 }) : Buffer.from(text);
    writeFileSync(join(OUTPUT, name), bytes);
    hashes[name] = createHash('sha256').update(bytes).digest('hex');
    console.info(`${name}: ${bytes.length} bytes`);
  }
  const lock: LockFile = { packages: PACKAGES, files: hashes };
  writeFileSync(join(OUTPUT, 'definitions.lock.json'), `${JSON.stringify(lock, undefined, 2)}\n`);
}

const root = process.argv[2] ?? fetched();
const core = packageFolder(root, 0);
const structuresFile = structures(resources<StructureDefinition>(core, 'StructureDefinition'));
write({
  'structures.json': structuresFile,
  'search-parameters.json': searchParameters(resources<SearchParameter>(core, 'SearchParameter')),
  'compartments.json': compartments(resources<CompartmentDefinition>(core, 'CompartmentDefinition')),
  'operations.json': operations(resources<OperationDefinition>(core, 'OperationDefinition')),
  'terminology.json.gz': terminology(resources<CodeSystem>(core, 'CodeSystem'), resources<ValueSet>(core, 'ValueSet')),
  'value-sets.json': valueSets(structuresFile, resources<ValueSet>(packageFolder(root, 1), 'ValueSet')),
});
if (process.argv[2] === undefined) rmSync(root, { recursive: true });
