// docs/conformance.md: every interaction, operation, modifier and prefix that is claimed has something that shows it, and the page is up to date.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  conformanceGround,
  conformancePage,
  interactionRows,
  operationRows,
  unproven,
} from '../scripts/conformance.ts';

const ground = conformanceGround();

test('conformance: no claim without something that shows it', () => {
  assert.deepEqual(unproven(ground), []);
});

test('conformance: a claim that nothing shows is found', () => {
  const bare = { ...ground, requirements: [], tables: [] };
  const named = unproven(bare);
  for (const claim of [
    'interaction read',
    'operation $lastn',
    'search token:not',
    'search date ap',
    'search composite',
  ]) {
    assert.ok(named.includes(claim), claim);
  }
  assert.deepEqual([interactionRows('no-such', ground), operationRows('no-such', ground)], [[], []]);
});

test('docs/conformance.md is up to date: npm run docs', () => {
  assert.equal(readFileSync('docs/conformance.md', 'utf8'), conformancePage(ground));
});
