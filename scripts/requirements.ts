/** The ledger of requirements: docs/requirements/*.csv as rows, the tests they name, and the page made of them. Why: docs/decisions/0011. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

export const STRENGTHS = ['SHALL', 'SHOULD', 'MAY', 'POLICY'] as const;
export const STATUSES = ['tested', 'partly', 'planned', 'declined', 'not-applicable'] as const;
const COLUMNS = ['id', 'clause', 'strength', 'source', 'status', 'tests', 'note'] as const;

/** A test that a requirement names: a text of the file, which is (part of) the name of a test or the label of a row. */
export interface NamedTest {
  readonly path: string;
  readonly name: string;
}
export interface Requirement {
  /** `<set>@<name>`, unique over all sets. */
  readonly id: string;
  /** The clause in our own words. */
  readonly clause: string;
  readonly strength: (typeof STRENGTHS)[number];
  /** Page and anchor or section. */
  readonly source: string;
  readonly status: (typeof STATUSES)[number];
  readonly tests: readonly NamedTest[];
  /** Why it is not `tested`, or not wholly; empty when it is. */
  readonly note: string;
}
export interface RequirementSet {
  readonly name: string;
  readonly rows: readonly Requirement[];
}

/** Sets in the order of the page: what it is, and where its clauses are from. */
const TITLES: Readonly<Record<string, string>> = {
  'fhir-r4-http': 'FHIR R4 RESTful API (http.html and the pages it leads to)',
  'fhir-r4-operations': 'FHIR R4 operations (operations.html and the operations that are served)',
  'fhir-r4-search': 'FHIR R4 search (search.html)',
  'cds-hooks-2.0': 'CDS Hooks 2.0.1, what a service does',
  'cds-clauses':
    'CDS Hooks clause by clause: the specification, what clients do, what cards must hold, what goes wrong',
  balp: 'Audit: FHIR R4 AuditEvent, IHE BALP, ITI-20 and ITI-81, and our own patterns',
  reliability: 'Reliability: promises of this project',
  scores: 'Published scores: inputs, eligibility, points',
  triage: 'Emergency triage: complaints, ESI, learned risk',
  'drug-safety': 'Drug safety: named lists, patient, dose, alerts',
  'risk-eligibility': 'Risk sentence by sentence: who is scored, on what, what may be shown, proposed and told',
  'trained-models': 'Trained models: inputs, evaluation, explanation',
  subscriptions: 'Subscriptions: R4, the R5 backport, and what we promise',
  smart: 'SMART resource server: tokens, scopes, what is not visible',
  'smart-server': 'SMART authorization server: launch, tokens, users, clients',
  privacy: 'Privacy: erasure, access, disclosures',
  'smart-clauses':
    'SMART clause by clause: discovery, launch, scopes, backend services, introspection, the checks of the kits',
  surveillance: 'Surveillance: counts by unit and day, signals, the daily run',
  'card-content': 'Content of cards: what a clinician needs to review the basis',
  monitoring: 'Continuous monitoring: what is scored again, told, proposed and followed',
};

/**
 * Fields of RFC 4180 text, `\n` or `\r\n` between records.
 * @throws TypeError on a quote that is not closed, or that stands inside a plain field
 */
export function csvRecords(text: string): readonly (readonly string[])[] {
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y;
  const records: string[][] = [];
  let record: string[] = [];
  while (field.lastIndex < text.length || record.length > 0) {
    const at = field.lastIndex;
    const found = field.exec(text);
    if (found === null) throw new TypeError(`Malformed CSV at character ${at}.`);
    record.push(found[1]?.replaceAll('""', '"') ?? found[2] ?? '');
    if (found[3] === ',') continue;
    records.push(record);
    record = [];
  }
  return records;
}

/** `path :: name; path :: name`. A name may hold a semicolon: the next test begins with `test/`. */
function testsOf(text: string): readonly NamedTest[] {
  if (text === '') return [];
  return text.split(/;\s*(?=test\/)/).map((each) => {
    const [path = '', name = ''] = each.split(/ :: (.*)/s);
    return { path, name };
  });
}

function oneOf<T extends string>(choices: readonly T[], text: string, id: string): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new TypeError(`${id}: \`${text}\` is not one of ${choices.join(', ')}.`);
  return found;
}

/** Rows of one file. @throws TypeError naming the row that is not well formed */
export function requirementsOf(text: string): readonly Requirement[] {
  const [header = [], ...records] = csvRecords(text);
  if (header.join() !== COLUMNS.join()) throw new TypeError(`The columns are ${COLUMNS.join(', ')}.`);
  return records.map((fields) => {
    const [id = '', clause = '', strength = '', source = '', status = '', tests = '', note = ''] = fields;
    if (fields.length !== COLUMNS.length) throw new TypeError(`${id}: ${fields.length} fields.`);
    return {
      id,
      clause,
      strength: oneOf(STRENGTHS, strength, id),
      source,
      status: oneOf(STATUSES, status, id),
      tests: testsOf(tests),
      note,
    };
  });
}

/** Every set of a folder, in the order of the page. */
export function requirementSets(folder = 'docs/requirements'): readonly RequirementSet[] {
  const order = Object.keys(TITLES);
  return globSync(`${folder}/*.csv`)
    .map((file) => ({ name: basename(file, '.csv'), rows: requirementsOf(readFileSync(file, 'utf8')) }))
    .toSorted((one, other) => order.indexOf(one.name) - order.indexOf(other.name));
}

const texts = new Map<string, string>();

/** Text of a test file without its comments; undefined when there is no such file, or it holds no tests or case tables. */
function testText(path: string): string | undefined {
  if (!/^test\/(?:[\w-]+\/)*[\w.-]+\.(?:ts|json)$/.test(path) || !existsSync(path)) return undefined;
  const known = texts.get(path);
  if (known !== undefined) return known;
  const text = readFileSync(path, 'utf8').replace(/^\s*\/\*\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  texts.set(path, text);
  return path.endsWith('.json') || /(?<![.\w])(?:test|specify)\(/.test(text) ? text : undefined;
}

/** True when the file is there and holds the name outside comments. */
export function isTestThere({ path, name }: NamedTest): boolean {
  return name.length >= 4 && testText(path)?.includes(name) === true;
}

const count = (rows: readonly Requirement[], status: Requirement['status']): number =>
  rows.filter((row) => row.status === status).length;

const BAR_CELLS = 20;

/** Share of the applicable rows that are tested (full cells) and partly tested (shaded cells). */
function bar(rows: readonly Requirement[]): string {
  const applicable = rows.length - count(rows, 'not-applicable');
  const cells = (part: number): number => Math.round((part / Math.max(applicable, 1)) * BAR_CELLS);
  const tested = cells(count(rows, 'tested'));
  const either = cells(count(rows, 'tested') + count(rows, 'partly'));
  const share = Math.floor((count(rows, 'tested') / Math.max(applicable, 1)) * 100);
  return `\`${'█'.repeat(tested)}${'▒'.repeat(either - tested)}${'·'.repeat(BAR_CELLS - either)}\` ${share} %`;
}

const cell = (text: string): string => text.replaceAll('|', '\\|');
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): readonly string[] => [
  `| ${head.join(' | ')} |`,
  `|${'---|'.repeat(head.length)}`,
  ...rows.map((row) => `| ${row.join(' | ')} |`),
];

function setSection({ name, rows }: RequirementSet): readonly string[] {
  const strengths = STRENGTHS.filter((strength) => rows.some((row) => row.strength === strength));
  const counts = strengths.map((strength) => {
    const of = rows.filter((row) => row.strength === strength);
    return [strength, ...STATUSES.map((status) => count(of, status)), of.length];
  });
  const open = STATUSES.filter((status) => status !== 'tested').flatMap((status) =>
    rows
      .filter((row) => row.status === status)
      .map(({ id, strength, clause, note }) => [
        status,
        `\`${id.slice(id.indexOf('@') + 1)}\``,
        strength,
        cell(clause),
        cell(note),
      ]),
  );
  return [
    '',
    `## ${TITLES[name] ?? name}`,
    '',
    `[requirements/${name}.csv](requirements/${name}.csv)   ${bar(rows)}`,
    '',
    ...table(['strength', ...STATUSES, 'all'], counts),
    ...(open.length === 0 ? [] : ['', ...table(['status', 'id', 'strength', 'clause', 'why'], open)]),
  ];
}

/** docs/requirements-coverage.md. */
export function coveragePage(sets: readonly RequirementSet[]): string {
  const all = sets.flatMap(({ rows }) => rows);
  const line = (title: string, rows: readonly Requirement[]) => [
    title,
    bar(rows),
    ...STATUSES.map((status) => count(rows, status)),
    rows.length,
  ];
  return [
    '# Requirements and their tests',
    '',
    'Generated from `docs/requirements/*.csv` by `npm run docs`. Clauses are in our own words; the source named in each row decides.',
    'A row is `tested` when a test of this repository asserts it and is named in the row, `partly` when the note says what is not done or not asserted, `planned` when the',
    'server does not do it and should, `declined` when it will not, `not-applicable` when nothing here could break it. The bar counts tested rows of those that apply;',
    'its shaded part is `partly`. A row says that a test is there, not that `npm test` passed: that is what running it is for.',
    '',
    ...table(
      ['set', 'share', ...STATUSES, 'all'],
      [...sets.map(({ name, rows }) => line(name, rows)), line('**all**', all)],
    ),
    ...sets.flatMap(setSection),
    '',
  ].join('\n');
}
