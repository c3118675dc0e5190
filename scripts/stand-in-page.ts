/** What a run of scripts/test-stand-in.ts found, file by file, and the page that it writes: docs/store-stand-in.md. */

/** One run of one test file; a line of the file of results. */
export interface FileRun {
  readonly file: string;
  /** Short hash of the code that ran. */
  readonly commit: string;
  /** Begun by the command that runs all files; otherwise it was named, after the pass. */
  readonly isPass: boolean;
  /** ISO instant. */
  readonly began: string;
  readonly seconds: number;
  /** `time`: it was ended because it took too long. */
  readonly end: 'passes' | 'fails' | 'time';
  readonly passed: number;
  readonly failed: number;
  readonly skips: readonly { readonly row: string; readonly why: string }[];
  /** Names of rows. */
  readonly failing: readonly string[];
}

export interface RunSettings {
  readonly standIn: string;
  readonly counts: Readonly<Record<string, string>>;
  readonly machine: string;
  /** Files that a pass is about. */
  readonly files: readonly string[];
}

const plain = (name: string): string => name.replaceAll('\\#', '#').replaceAll('\\\\', '\\').trim();

/** Rows of one file. A group is no row: what is in it is. @param tap what Node's test runner wrote, also when it was cut short */
export function rowsOf(tap: string): Pick<FileRun, 'passed' | 'failed' | 'skips' | 'failing'> {
  const skips: { row: string; why: string }[] = [];
  const failing: string[] = [];
  let passed = 0;
  let failed = 0;
  const lines = tap.split('\n');
  for (const [index, line] of lines.entries()) {
    const found = /^( *)(ok|not ok) \d+ - (.*?)(?: # (SKIP|TODO)(.*))?$/.exec(line);
    if (found === null) continue;
    const [, , state, name = '', directive, why = ''] = found;
    if (directive !== undefined) {
      skips.push({ row: plain(name), why: plain(why) });
      continue;
    }
    if (state === 'not ok') failing.push(plain(name));
    // The plan of its rows stands before the line of a group.
    const isGroup = /^ *1\.\.\d+$/.test(lines[index - 1] ?? '');
    if (isGroup) continue;
    if (state === 'ok') passed++;
    else failed++;
  }
  // A file that ends before its first row has no other line.
  return { passed, failed, skips, failing: [...new Set(failing)] };
}

const row = (cells: readonly (string | number)[]): string =>
  `| ${cells.map((each) => String(each).replaceAll('|', '\\|')).join(' | ')} |`;
const sum = (runs: readonly FileRun[], of: (run: FileRun) => number): number =>
  runs.reduce((total, run) => total + of(run), 0);
const minute = (instant: string): string => `${instant.slice(0, 16).replace('T', ' ')} UTC`;
const list = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');
const END = { passes: 'passes', fails: '**fails**', time: '**no end**' } as const;

/** @param runs in the order of their ends */
export function standInPage(runs: readonly FileRun[], settings: RunSettings): string {
  const { standIn, counts, machine, files } = settings;
  const pass = [...new Map(runs.filter(({ isPass }) => isPass).map((run) => [run.file, run])).values()].toSorted(
    (one, other) => (one.file < other.file ? -1 : 1),
  );
  const again = runs.filter(({ isPass, file }) => !isPass && pass.some((run) => run.file === file));
  const good = pass.filter(({ end }) => end === 'passes').length;
  const missing = files.filter((file) => !pass.some((run) => run.file === file));
  const instants = pass.map(({ began }) => began).toSorted();
  const commits = [...new Set(pass.map(({ commit }) => commit))];
  const stated = Object.entries(counts).map(([name, count]) => `\`${name}\` ${count}`);
  const skipped = Map.groupBy(
    pass.flatMap(({ file, skips }) => skips.map(({ why }) => ({ file, why }))),
    ({ why }) => why,
  );
  return [
    '# The test suite on the stand-in of MongoDB',
    '',
    'Written by `node scripts/test-stand-in.ts`, never by hand. Each file of tests that opens a store ran against a fresh stand-in of its own',
    `(${standIn}, [decision 0041](decisions/0041-mongodb-test-stand-ins.md), which says why what fails does). Nothing here was run on a replica set.`,
    '',
    `One pass of ${pass.length} of ${files.length} files, begun ${minute(instants[0] ?? '')}, the last file begun ${minute(instants.at(-1) ?? '')}, on ${commits.length > 1 ? 'the commits' : 'the commit'} ${commits.join(', ')}: **${good} files pass, ${pass.length - good} do not**;`,
    `${sum(pass, ({ passed }) => passed)} rows passed, ${sum(pass, ({ failed }) => failed)} failed, ${sum(pass, ({ skips }) => skips.length)} were skipped. On ${machine}.`,
    `Counts: ${stated.join(', ')}; others as the tests have them.`,
    '',
    ...(missing.length === 0 ? [] : [`**Not run in the pass:** ${list(missing)}.`, '']),
    '## What failed in the pass',
    '',
    ...pass
      .filter(({ end }) => end !== 'passes')
      .map(({ file, failing, end }) => {
        // A failure outside of every row has the path of its file as name.
        const rows = failing.map((name) => (name.startsWith('/') ? 'outside of its rows' : `"${name}"`)).join('; ');
        return `- \`${file}\`: ${rows === '' ? 'no row told' : rows}${end === 'time' ? '; ended by its time' : ''}.`;
      }),
    ...(good === pass.length ? ['Nothing.'] : []),
    '',
    '## Run again after the pass',
    '',
    ...(again.length === 0
      ? ['None.']
      : [
          row(['file', 'begun', 'commit', 'end', 'passed', 'failed', 'skipped', 'seconds']),
          '|---|---|---|---|---|---|---|---|',
          ...again.map((run) => row([`\`${run.file}\``, minute(run.began), run.commit, ...told(run)])),
        ]),
    '',
    '## The pass',
    '',
    row(['file', 'commit', 'end', 'passed', 'failed', 'skipped', 'seconds']),
    '|---|---|---|---|---|---|---|',
    ...pass.map((run) => row([`\`${run.file}\``, run.commit, ...told(run)])),
    '',
    '## Why rows were skipped',
    '',
    row(['word', 'rows', 'files']),
    '|---|---|---|',
    ...[...skipped]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([why, rows]) =>
        row([why === '' ? 'none given' : why, rows.length, list([...new Set(rows.map(({ file }) => file))])]),
      ),
    '',
  ].join('\n');
}

const told = ({ end, passed, failed, skips, seconds }: FileRun): readonly (string | number)[] => [
  END[end],
  passed,
  failed,
  skips.length,
  seconds,
];
