/**
 * Writes the first capability-statement.json: every claim the code can keep. Afterwards the file is an input, edited by hand:
 * running this again throws the edits away, hence `node scripts/capability.ts --overwrite`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCapability, SUPPORTED } from '../src/fhir/definitions/capability.ts';
import type { Definitions, SearchParameter } from '../src/fhir/definitions/definitions.ts';
import { loadDefinitions } from '../src/fhir/definitions/load.ts';
import { COMPARTMENTS } from '../src/fhir/search/compartment.ts';

const ROOT = join(import.meta.dirname, '..');
const OUTPUT = join(ROOT, 'capability-statement.json');
/** The order of the table in capabilitystatement.html. */
const WRITES_OF_HISTORY = ['vread', 'update', 'patch', 'delete', 'history-instance', 'history-type'];

function claimable(definitions: Definitions, type: string): readonly SearchParameter[] {
  return [...definitions.searchParameters(type).values()]
    .filter(({ code, type }) => SUPPORTED.searchTypes.has(type) || SUPPORTED.specials.has(code))
    .sort((a, b) => (a.code < b.code ? -1 : 1));
}

function operations(definitions: Definitions, type: string): readonly unknown[] {
  return definitions.operations
    .filter(
      ({ url, resource: types }) =>
        SUPPORTED.operations.has(url) && (types.includes(type) || types.includes('Resource')),
    )
    .filter(({ code }) => !(SUPPORTED.limited.has(type) && SUPPORTED.changingOperations.has(code)))
    .map(({ code, url }) => ({ name: code, definition: url }));
}

function resource(definitions: Definitions, type: string, types: readonly string[]): unknown {
  const parameters = claimable(definitions, type);
  const allowed = SUPPORTED.limited.get(type) ?? SUPPORTED.interactions;
  const full = WRITES_OF_HISTORY.every((each) => allowed.has(each));
  const references = (source: string): readonly SearchParameter[] =>
    claimable(definitions, source).filter((parameter) => parameter.type === 'reference');
  const reaching = types.filter((source) => source === type || !SUPPORTED.apart.has(source));
  const revIncludes = reaching.flatMap((source) =>
    references(source)
      .filter(({ targets }) => targets.length === 0 || targets.includes(type))
      .map(({ code }) => `${source}:${code}`),
  );
  return {
    type,
    profile: `http://hl7.org/fhir/StructureDefinition/${type}`,
    interaction: [...allowed].map((code) => ({ code })),
    ...(full ? { versioning: 'versioned', readHistory: true, updateCreate: true, conditionalCreate: true } : {}),
    conditionalRead: 'full-support',
    ...(full ? { conditionalUpdate: true, conditionalDelete: 'multiple' } : {}),
    referencePolicy: ['literal', 'local'],
    searchInclude: ['*', ...references(type).map(({ code }) => `${type}:${code}`)],
    ...(revIncludes.length === 0 ? {} : { searchRevInclude: revIncludes }),
    searchParam: parameters.map(({ code, url, type: kind }) => ({ name: code, definition: url, type: kind })),
    operation: operations(definitions, type),
  };
}

/** Canonicals of the parameters of all types that R4 defines without an expression; the others have none. */
const DEFINED = new Map([
  ['_text', 'DomainResource-text'],
  ['_content', 'Resource-content'],
]);

/** Parameters of every type that a search over all types reaches. */
function commonParameters(definitions: Definitions, types: readonly string[]): readonly unknown[] {
  const [first = '', ...others] = types.filter((type) => !SUPPORTED.apart.has(type));
  const shared = claimable(definitions, first).filter(({ url }) =>
    others.every((type) => claimable(definitions, type).some((each) => each.url === url)),
  );
  const own = [...SUPPORTED.common].map((name) => {
    const id = DEFINED.get(name);
    const type = id === undefined ? 'special' : 'string';
    return { name, ...(id && { definition: `http://hl7.org/fhir/SearchParameter/${id}` }), type };
  });
  return [...shared.map(({ code, url, type }) => ({ name: code, definition: url, type })), ...own];
}

function statement(definitions: Definitions): unknown {
  const types = [...definitions.resourceTypes].filter((type) => !SUPPORTED.neverStored.has(type)).sort();
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: '2026-11-22',
    publisher: 'Firewatch',
    kind: 'instance',
    software: { name: 'Firewatch' },
    implementation: { description: 'Firewatch FHIR R4 server' },
    fhirVersion: '4.0.1',
    format: ['application/fhir+json', 'application/fhir+xml', 'json', 'xml'],
    patchFormat: [...SUPPORTED.patchFormats],
    rest: [
      {
        mode: 'server',
        resource: types.map((type) => resource(definitions, type, types)),
        interaction: [...SUPPORTED.system].map((code) => ({ code })),
        searchParam: commonParameters(definitions, types),
        operation: definitions.operations
          .filter(({ url, system, resource }) => SUPPORTED.operations.has(url) && system && resource.length === 0)
          .map(({ code, url }) => ({ name: code, definition: url })),
        compartment: [...COMPARTMENTS.keys()],
      },
    ],
  };
}

/** Words joined by `,` into lines of at most 150 characters. */
function filled(words: readonly string[]): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const [index, word] of words.entries()) {
    const item = index === words.length - 1 ? word : `${word},`;
    if (line !== '' && line.length + item.length > 150) {
      lines.push(line);
      line = '';
    }
    line += item;
  }
  return [...lines, line];
}

/** JSON with everything that fits on a line on one line, so that a claim is a line and edits show well. */
function layout(value: unknown, indent = ''): string {
  const line = JSON.stringify(value);
  if (typeof value !== 'object' || value === null || indent.length + line.length <= 160) return line;
  const inner = `${indent} `;
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) {
    return `[\n${inner}${filled(value.map((each) => JSON.stringify(each))).join(`\n${inner}`)}\n${indent}]`;
  }
  const entries = Array.isArray(value)
    ? value.map((each) => layout(each, inner))
    : Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${layout(each, inner)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return `${open}\n${entries.map((each) => inner + each).join(',\n')}\n${indent}${close}`;
}

if (existsSync(OUTPUT) && !process.argv.includes('--overwrite')) {
  throw new Error('capability-statement.json is an input, edited by hand; give --overwrite to replace it.');
}
const definitions = loadDefinitions(join(ROOT, 'profiles'));
writeFileSync(OUTPUT, `${layout(statement(definitions))}\n`);
const { types } = loadCapability(readFileSync(OUTPUT, 'utf8'), definitions);
console.info(`capability-statement.json claims ${types.size} types.`);
