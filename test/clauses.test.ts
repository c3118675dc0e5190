// The ledgers of clauses (docs/requirements/*-clauses.csv): each clause has a test whose title opens with its number, and each number that opens a title is a clause.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { requirementsOf } from '../scripts/requirements.ts';

const ROOT = join(import.meta.dirname, '..');
const clauses = globSync('docs/requirements/*-clauses.csv', { cwd: ROOT }).flatMap((ledger) =>
  requirementsOf(readFileSync(join(ROOT, ledger), 'utf8')),
);
/** `cds-clauses@1-3-1` -> `1.3.1`; the ledgers share the numbers, none has another's. */
const numberOf = (id: string): string => id.replace(/^.*@/, '').replaceAll('-', '.');
/** `§1.3.1` where it opens a title or the label of a row. */
const NUMBERS = /(?<=["'`])(?:§\d+(?:\.\d+)+ )+/g;
const numbersIn = (text: string): readonly string[] =>
  [...text.matchAll(NUMBERS)].flatMap(([numbers]) =>
    numbers
      .trim()
      .split(' ')
      .map((number) => number.slice(1)),
  );

test('clauses: no number is in two ledgers', () => {
  const numbers = clauses.map(({ id }) => numberOf(id));
  assert.deepEqual(
    numbers.filter((number, index) => numbers.indexOf(number) !== index),
    [],
  );
});

test('clauses: each has a test whose title opens with its number, or says why it has none', () => {
  const unnamed = clauses.flatMap(({ id, status, tests, note }) => {
    const number = `§${numberOf(id)} `;
    const wrong = tests
      .filter(({ name }) => !`${name} `.includes(number))
      .map(({ path, name }) => `${path} :: ${name}`);
    const isShown = status === 'tested' || status === 'partly' ? tests.length > 0 : note !== '';
    return [...wrong, ...(isShown ? [] : ['no test'])].map((what) => `${id}: ${what}`);
  });
  assert.deepEqual(unnamed, []);
});

test('clauses: each number that opens a title is a clause of the ledger, which names that file', () => {
  const files = new Map(
    clauses.map(({ id, tests }) => [numberOf(id), new Set(tests.map(({ path }) => path))] as const),
  );
  const astray = globSync('test/**/*.test.ts', { cwd: ROOT }).flatMap((path) =>
    numbersIn(readFileSync(join(ROOT, path), 'utf8'))
      .filter((number) => files.get(number)?.has(path) !== true)
      .map((number) => `${path}: §${number}`),
  );
  assert.deepEqual(astray, []);
});
