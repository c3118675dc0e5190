/**
 * Writes docs/store-contract.md: which row of the store's contract ran on what. Runs the tests of both engines; those of MongoDB on the server that
 * MONGODB_URL names, else on the stand-in. What the page says of a server that this run does not have is kept.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const PAGE = 'docs/store-contract.md';
const NOT_RUN = 'not run';
const isReal = (process.env.MONGODB_URL ?? '') !== '';

/** Results by test name, of the tests whose name starts with `engine: `. */
function results(file: string, engine: string): ReadonlyMap<string, string> {
  const { stdout } = spawnSync(process.execPath, ['--test', '--test-reporter=tap', file], {
    encoding: 'utf8',
    maxBuffer: 256 * 1_048_576,
  });
  const found = new Map<string, string>();
  for (const [, state, name = '', skip] of stdout.matchAll(/^(ok|not ok) \d+ - (.*?)( # SKIP.*)?$/gm)) {
    const plain = name.replaceAll('\\#', '#').replaceAll('\\\\', '\\');
    if (plain.startsWith(`${engine}: `)) {
      found.set(plain.slice(engine.length + 2), skip === undefined ? (state === 'ok' ? 'passes' : 'FAILS') : 'skipped');
    }
  }
  return found;
}

/** Cells of the page as it is, by row name. */
function before(): ReadonlyMap<string, readonly string[]> {
  if (!existsSync(PAGE)) return new Map();
  const rows = readFileSync(PAGE, 'utf8').matchAll(/^\| (.+) \|$/gm);
  return new Map([...rows].map(([, line = '']) => line.split(' | ')).map(([name = '', ...cells]) => [name, cells]));
}

const cell = (name: string): string => name.replaceAll('|', '\\|');
const kept = before();
const sqlite = results('test/store/sqlite.test.ts', 'sqlite');
const mongodb = results('test/store/mongodb.test.ts', 'mongodb');
const faults = results('test/store/mongodb-faults.test.ts', 'mongodb');
if (mongodb.size === 0) throw new Error('The tests of the MongoDB engine did not run here.');

const common = [...mongodb.keys()].filter((name) => sqlite.has(name));
const ofMongo = (name: string, of: ReadonlyMap<string, string>, at: number): readonly string[] => {
  const held = kept.get(cell(name));
  const ran = of.get(name) ?? NOT_RUN;
  return isReal ? [held?.[at] ?? NOT_RUN, ran] : [ran, held?.[at + 1] ?? NOT_RUN];
};
const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

writeFileSync(
  PAGE,
  [
    '# The contract of the store, and what it ran on',
    '',
    'Written by `node scripts/store-contract.ts`. The embedded engine is SQLite; the MongoDB engine ran on SecantusDB 0.7.0b3, a stand-in',
    '([decision 0041](decisions/0041-mongodb-test-stand-ins.md)). A column that says "not run" has not been run: `MONGODB_URL=… node scripts/store-contract.ts`',
    'fills the last one from a replica set.',
    '',
    '## Common rows',
    '',
    row(['row', 'SQLite', 'MongoDB engine on SecantusDB', 'MongoDB engine on a replica set']),
    '|---|---|---|---|',
    ...common.map((name) => row([cell(name), sqlite.get(name) ?? NOT_RUN, ...ofMongo(name, mongodb, 1)])),
    '',
    '## Rows of the MongoDB engine: faults, races, streams',
    '',
    "Faults are made by the server's own test command `failCommand`.",
    '',
    row(['row', 'on SecantusDB', 'on a replica set']),
    '|---|---|---|',
    ...[...faults.keys()].map((name) => row([cell(name), ...ofMongo(name, faults, 0)])),
    '',
  ].join('\n'),
);
console.log(`Written: ${PAGE}.`);
