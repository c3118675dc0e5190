/** docs/conformance.md: each claim of capability-statement.json with what shows it, from the ledger and the case tables. Nothing here is written by hand twice. */
import { globSync, readFileSync } from 'node:fs';
import { type Capability, type ClaimedType, loadCapability } from '../src/fhir/definitions/capability.ts';
import type { Definitions, SearchParameterType } from '../src/fhir/definitions/definitions.ts';
import { loadDefinitions } from '../src/fhir/definitions/load.ts';
import { type Criterion, parseSearch } from '../src/fhir/search/query.ts';
import { PREFIXES, SEARCH_LIMITS, SEARCH_TYPES, searchType } from '../src/fhir/search/types.ts';
import { splitUnescaped } from '../src/fhir/search/value.ts';
import { type Requirement, requirementSets } from './requirements.ts';

interface Table {
  readonly anchor: string;
  readonly resources: readonly { readonly resourceType: string }[];
  readonly rows: readonly (readonly [query: string, ids: readonly string[], why: string])[];
  readonly refused?: readonly (readonly [query: string, kind: string, why: string])[];
}
/** What the page is made of. */
export interface Ground {
  readonly definitions: Definitions;
  readonly capability: Capability;
  readonly requirements: readonly Requirement[];
  readonly tables: readonly { readonly name: string; readonly table: Table }[];
}

export function conformanceGround(): Ground {
  const definitions = loadDefinitions('profiles');
  return {
    definitions,
    capability: loadCapability(readFileSync('capability-statement.json', 'utf8'), definitions),
    requirements: requirementSets()
      .filter(({ name }) => name.startsWith('fhir-r4-') || name === 'subscriptions')
      .flatMap(({ rows }) => rows),
    tables: globSync('test/fhir/cases/search*.json')
      .toSorted()
      .map((file) => ({ name: file.replace(/^.*\//, ''), table: JSON.parse(readFileSync(file, 'utf8')) as Table })),
  };
}

/** Interaction -> beginnings of the names of the ledger's rows about it. */
const INTERACTIONS: Readonly<Record<string, readonly string[]>> = {
  read: ['read-', 'cread-'],
  vread: ['vread-'],
  create: ['create-', 'ccreate-'],
  update: ['update-', 'cond-update-'],
  patch: ['patch'],
  delete: ['delete-', 'cond-delete'],
  'history-instance': ['history-instance', 'history-deletion', 'history-since', 'history-at', 'history-count'],
  'history-type': ['history-type', 'history-since', 'history-count'],
  'search-type': ['search-get', 'search-post', 'paging-', 'search-compartment'],
  transaction: ['tx-', 'bundle-', 'entry-'],
  batch: ['batch-', 'bundle-', 'entry-'],
  'history-system': ['history-type', 'history-since', 'history-never'],
  'search-system': ['search-system', 'search-post'],
};

const nameOf = ({ id }: Requirement): string => id.slice(id.indexOf('@') + 1);
const starting = (requirements: readonly Requirement[], starts: readonly string[]): readonly Requirement[] =>
  requirements.filter((row) => starts.some((start) => nameOf(row).startsWith(start)));

export function interactionRows(interaction: string, { requirements }: Ground): readonly Requirement[] {
  return starting(requirements, INTERACTIONS[interaction] ?? []).filter(({ tests }) => tests.length > 0);
}

/** Rows that write `$code`, or are named like the operation, or like it without its last word: `meta` speaks of `meta-delete` too. */
export function operationRows(code: string, { requirements }: Ground): readonly Requirement[] {
  const shown = requirements.filter(({ tests }) => tests.length > 0);
  const own = shown.filter(({ id }) => id.startsWith('fhir-r4-operations@'));
  const isWritten = ({ clause }: Requirement): boolean =>
    clause.split(/[^$\w-]+/).some((word) => word.replace(/-$/, '') === `$${code}`);
  const named = new Set([
    ...own.filter((row) => nameOf(row) === code || nameOf(row).startsWith(`${code}-`)),
    ...shown.filter((row) => !own.includes(row) && isWritten(row)),
  ]);
  const short = code.replace(/-[a-z]+$/, '');
  return named.size > 0 || short === code ? [...named] : own.filter((row) => nameOf(row) === short);
}

/** Leaves of a criterion, those of chains and filters included. */
function values(criterion: Criterion): readonly Extract<Criterion, { kind: 'value' }>[] {
  switch (criterion.kind) {
    case 'value':
      return [criterion];
    case 'chain':
      return criterion.links.slice(0, 1).flatMap(({ where }) => values(where));
    case 'has':
      return values(criterion.where);
    case 'all':
    case 'any':
      return criterion.of.flatMap(values);
    case 'none':
      return values(criterion.of);
    default:
      return [];
  }
}

const prefixOf = (value: string): string => /^(eq|ne|gt|lt|ge|le|sa|eb|ap)(?=[-+.\d])/.exec(value)?.[1] ?? 'none';
const WITH_PREFIX: ReadonlySet<SearchParameterType> = new Set(['date', 'number', 'quantity']);

/** Rows of the case tables that use a modifier (`token:not`) or a prefix (`date ap`); a plain value counts as `token`. */
export function usedInTables({ definitions, capability, tables }: Ground): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const context = { definitions, capability, settings: { defaultCount: 50, maxCount: 1000 } };
  for (const { table } of tables) {
    for (const [text] of table.rows) {
      const typed = /^([A-Z][A-Za-z]+)\?(.*)$/s.exec(text);
      const type = typed?.[1] ?? table.resources[0]?.resourceType ?? '';
      const keys = new Set<string>();
      for (const { parameter, modifier, values: asked } of parseSearch(
        type,
        typed?.[2] ?? text,
        'strict',
        context,
      ).criteria.flatMap(values)) {
        const isType = modifier !== undefined && definitions.resourceTypes.has(modifier);
        keys.add(modifier === undefined ? parameter.type : `${parameter.type}:${isType ? '[type]' : modifier}`);
        if (modifier !== undefined || !WITH_PREFIX.has(parameter.type)) continue;
        for (const each of asked) keys.add(`${parameter.type} ${prefixOf(splitUnescaped(each, '|')[0] ?? '')}`);
      }
      for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
}

/** Modifiers that need value sets or code systems held by a server: a table of their own in code. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  'token:in': 'modifier-in',
  'token:not-in': 'modifier-in',
  'token:above': 'modifier-subsumption',
  'token:below': 'modifier-subsumption',
};

const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
const tableOf = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): readonly string[] => [
  line(head),
  `|${'---|'.repeat(head.length)}`,
  ...rows.map(line),
];
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** What a clause is from, without its section. */
const PAGE = /^(?:[a-z0-9-]+\.html|RFC \d+|Bulk Data Access [\d.]+|Subscriptions R5 Backport [\d.]+|R6 ballot)/;

function clauseSection({ requirements, tables }: Ground): readonly string[] {
  const byPage = Map.groupBy(requirements, ({ source }) => PAGE.exec(source)?.[0] ?? 'rules of this project');
  const rows = [...byPage].map(([page, of]) => {
    const anchored = tables.filter(({ table }) => table.anchor.startsWith(page));
    const cases = anchored.reduce((sum, { table }) => sum + table.rows.length + (table.refused?.length ?? 0), 0);
    const tests = new Set(of.flatMap((row) => row.tests.map(({ path }) => path))).size;
    const count = (...statuses: readonly string[]) => of.filter(({ status }) => statuses.includes(status)).length;
    return [
      page,
      of.length,
      count('tested'),
      count('partly'),
      count('planned', 'declined', 'not-applicable'),
      tests,
      cases || '',
    ];
  });
  return [
    '',
    '## Clauses',
    '',
    ...tableOf(['page', 'clauses', 'tested', 'partly', 'not', 'test files', 'rows of case tables'], rows),
  ];
}

function interactionSection(ground: Ground): readonly string[] {
  const types = [...ground.capability.types.values()];
  const names = [...new Set(types.flatMap(({ interactions }) => [...interactions])), ...ground.capability.system];
  const rows = names.map((name) => {
    const claimed = types.filter(({ interactions }) => interactions.has(name)).length;
    const clauses = interactionRows(name, ground);
    return [`\`${name}\``, claimed === 0 ? 'system' : `${claimed} types`, clauses.map((row) => nameOf(row)).join(', ')];
  });
  return [
    '',
    '## Interactions',
    '',
    'Each is asked of every type that claims it by `test/e2e/capability.test.ts`. The clauses are rows of the ledger, each with its tests.',
    '',
    ...tableOf(['interaction', 'claimed by', 'clauses'], rows),
  ];
}

function searchSection(ground: Ground): readonly string[] {
  const used = usedInTables(ground);
  const claimed = [...ground.capability.types.values()].flatMap(({ searchParameters }) => [
    ...searchParameters.values(),
  ]);
  const types = Object.keys(SEARCH_TYPES) as SearchParameterType[];
  const rows = types.map((type) => {
    const { modifiers, prefixes } = searchType(type);
    const shown = (key: string, label: string): string => {
      const elsewhere = ELSEWHERE[key];
      return `${label} ${elsewhere === undefined ? (used.get(key) ?? 0) : `[${elsewhere}]`}`;
    };
    return [
      type,
      claimed.filter((each) => each.type === type).length,
      used.get(type) ?? 0,
      modifiers.map((modifier) => shown(`${type}:${modifier}`, `\`:${modifier}\``)).join(', '),
      prefixes.map((prefix) => shown(`${type} ${prefix}`, prefix)).join(', '),
    ];
  });
  return [
    '',
    '## Search parameters',
    '',
    `${claimed.length} claims (type and parameter). \`test/e2e/capability.test.ts\` asks each of the running server: by the values that the official examples have,`,
    'by a value nobody has, `:missing` both ways, sorted both ways. The numbers are rows of `test/fhir/cases/search*.json` that use a plain value, a modifier or a',
    'prefix; each row is judged by the oracle, by SQLite and through the public door. A name in brackets is a row of the ledger whose tests are in code.',
    '',
    ...tableOf(['type', 'claims', 'plain', 'modifiers', 'prefixes'], rows),
  ];
}

function operationSection(ground: Ground): readonly string[] {
  const { capability } = ground;
  const claims = new Map<string, string[]>();
  const add = (code: string, where: string) => claims.set(code, [...new Set([...(claims.get(code) ?? []), where])]);
  for (const { code } of capability.operations.values()) add(code, 'system');
  for (const { type, operations } of capability.types.values()) {
    for (const { code } of operations.values()) add(code, type);
  }
  const rows = [...claims]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, where]) => [
      `\`$${code}\``,
      where.length > 6 ? `${where.length} types` : where.join(', '),
      operationRows(code, ground).map(nameOf).join(', '),
    ]);
  return ['', '## Operations', '', ...tableOf(['operation', 'claimed by', 'clauses'], rows)];
}

function refusalSection({ requirements, tables }: Ground): readonly string[] {
  const kinds = new Map<string, number>();
  for (const { table } of tables)
    for (const [, kind] of table.refused ?? []) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const counted = [...kinds]
    .toSorted()
    .map(([kind, count]) => `${count} \`${kind}\``)
    .join(', ');
  const limits = Object.entries(SEARCH_LIMITS)
    .map(([name, most]) => `${name} ${most}`)
    .join(', ');
  const open = requirements.filter(
    ({ status }) => status === 'declined' || status === 'planned' || status === 'partly',
  );
  return [
    '',
    '## What is refused or not done',
    '',
    `A search that cannot be answered as it is meant is refused with an OperationOutcome: rows of the case tables show ${counted}.`,
    `Most of each thing in one search: ${limits}. Searches over a limit are \`too-costly\`.`,
    '',
    ...tableOf(
      ['clause', 'strength', 'status', 'reason'],
      open.map((row) => [`${cell(row.clause)} (\`${nameOf(row)}\`)`, row.strength, row.status, cell(row.note)]),
    ),
  ];
}

function typeSection({ capability }: Ground): readonly string[] {
  const count = (type: ClaimedType, kind: SearchParameterType): number =>
    [...type.searchParameters.values()].filter((each) => each.type === kind).length;
  const kinds = ['token', 'string', 'date', 'reference', 'quantity', 'number', 'uri', 'composite', 'special'] as const;
  const rows = [...capability.types.values()].map((type) => [
    type.type,
    type.interactions.size,
    type.searchParameters.size,
    ...kinds.map((kind) => count(type, kind) || ''),
    type.includes.length,
    type.revIncludes.length,
    type.operations.size,
  ]);
  return [
    '',
    '## Types',
    '',
    'How much is claimed of each type: interactions, search parameters in all and by type, includes, reverse includes, operations.',
    '',
    ...tableOf(['type', 'int', 'par', ...kinds, 'inc', 'rev', 'op'], rows),
  ];
}

/** docs/conformance.md. */
export function conformancePage(ground: Ground): string {
  const cases = ground.tables.reduce((sum, { table }) => sum + table.rows.length + (table.refused?.length ?? 0), 0);
  return [
    '# Conformance',
    '',
    'Generated by `npm run docs` from `capability-statement.json`, `docs/requirements` and the case tables; `npm test` fails when it is stale.',
    `The statement is an input: what is claimed is asked of the running server, what is not claimed is refused. ${ground.capability.types.size} types, ${cases} rows of`,
    `case tables, ${PREFIXES.length} prefixes. Every clause with its tests: [requirements-coverage.md](requirements-coverage.md). A number says that a test is there, not that it passed.`,
    ...clauseSection(ground),
    ...interactionSection(ground),
    ...searchSection(ground),
    ...operationSection(ground),
    ...refusalSection(ground),
    ...typeSection(ground),
    '',
  ].join('\n');
}

/** Claims that nothing shows: must be empty. */
export function unproven(ground: Ground): readonly string[] {
  const { capability } = ground;
  const used = usedInTables(ground);
  const types = [...capability.types.values()];
  const interactions = new Set([...types.flatMap((type) => [...type.interactions]), ...capability.system]);
  const operations = new Set([
    ...[capability, ...types].flatMap((claims) => [...claims.operations.values()].map(({ code }) => code)),
  ]);
  const modifiers = Object.entries(SEARCH_TYPES).flatMap(([type, row]) => [
    type,
    ...row.modifiers.map((modifier) => `${type}:${modifier}`),
    ...row.prefixes.map((prefix) => `${type} ${prefix}`),
  ]);
  return [
    ...[...interactions]
      .filter((name) => interactionRows(name, ground).length === 0)
      .map((name) => `interaction ${name}`),
    ...[...operations].filter((code) => operationRows(code, ground).length === 0).map((code) => `operation $${code}`),
    ...modifiers.filter((key) => ELSEWHERE[key] === undefined && !used.has(key)).map((key) => `search ${key}`),
    ...Object.values(ELSEWHERE).filter((name) => !ground.requirements.some((row) => nameOf(row) === name)),
  ];
}
