// codesystem.html#hierarchy, valueset.html#compositions, conceptmap.html: pure functions, definitions given by the test.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FhirError } from '../../src/fhir/outcome.ts';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { translations } from '../../src/fhir/terminology/concept-map.ts';
import {
  ancestors,
  codeSystemOf,
  contains,
  descendants,
  expand,
  type Resolve,
  subsumption,
} from '../../src/fhir/terminology/terminology.ts';

const URL = 'http://example.org/s';
/** Two ways up: by nesting, by `parent` and by `child`. */
const SYSTEM: Resource = {
  resourceType: 'CodeSystem',
  url: URL,
  content: 'complete',
  concept: [
    { code: 'top', concept: [{ code: 'nested' }] },
    { code: 'by-parent', property: [{ code: 'parent', valueCode: 'top' }] },
    { code: 'other', property: [{ code: 'child', valueCode: 'nested' }] },
    { code: 'circle-a', property: [{ code: 'parent', valueCode: 'circle-b' }] },
    { code: 'circle-b', property: [{ code: 'parent', valueCode: 'circle-a' }] },
  ],
};
const SETS = new Map<string, Resource>();
const resolve: Resolve = {
  codeSystem: async (url) => (url === URL ? SYSTEM : undefined),
  valueSet: async (url) => SETS.get(url),
};
const valueSet = (compose: JsonObject): Resource => ({
  resourceType: 'ValueSet',
  url: 'http://example.org/v',
  compose,
});

test('hierarchy by nesting, parent and child; several parents; circles end', () => {
  const system = codeSystemOf(SYSTEM);
  assert.deepEqual([...descendants(system, 'top')], ['top', 'nested', 'by-parent']);
  assert.deepEqual([...ancestors(system, 'nested')], ['nested', 'top', 'other']);
  assert.deepEqual([...ancestors(system, 'circle-a')], ['circle-a', 'circle-b']);
});

const relations: readonly (readonly [a: string, b: string, outcome: string])[] = [
  ['top', 'top', 'equivalent'],
  ['top', 'nested', 'subsumes'],
  ['other', 'nested', 'subsumes'],
  ['by-parent', 'top', 'subsumed-by'],
  ['top', 'other', 'not-subsumed'],
];
for (const [a, b, outcome] of relations) {
  test(`subsumption of ${a} and ${b}: ${outcome}`, () =>
    assert.equal(subsumption(codeSystemOf(SYSTEM), a, b), outcome));
}

const filter = (op: string, value: string, property = 'concept') => ({
  include: [{ system: URL, filter: [{ property, op, value }] }],
});
const filters: readonly (readonly [op: string, value: string, codes: readonly string[]])[] = [
  ['is-a', 'top', ['top', 'nested', 'by-parent']],
  ['descendent-of', 'top', ['nested', 'by-parent']],
  ['is-not-a', 'top', ['other', 'circle-a', 'circle-b']],
  ['generalizes', 'nested', ['top', 'nested', 'other']],
  ['=', 'top', ['top']],
  ['in', 'top, other', ['top', 'other']],
  ['is-a', 'none', []],
];
for (const [op, value, codes] of filters) {
  test(`filter ${op} ${value}`, async () => {
    const found = await expand(valueSet(filter(op, value)), resolve);
    assert.deepEqual(
      found.map(({ code }) => code),
      codes,
    );
  });
}

test('an expansion is used when there is no composition', async () => {
  const expansion = { contains: [{ abstract: true, contains: [{ system: URL, code: 'top', display: 'Top' }] }] };
  const found = await expand({ resourceType: 'ValueSet', expansion }, resolve);
  assert.deepEqual(
    found.map(({ system, code, display }) => [system, code, display]),
    [[URL, 'top', 'Top']],
  );
});

test('contains: in any system when none is given; other systems are not looked at', async () => {
  const set = valueSet({ include: [{ system: URL }, { system: 'http://example.org/unknown' }] });
  assert.equal((await contains(set, { system: URL, code: 'top' }, resolve))?.code, 'top');
  assert.equal(await contains(set, { system: 'http://example.org/third', code: 'top' }, resolve), undefined);
  await assert.rejects(contains(set, { system: 'http://example.org/unknown', code: 'top' }, resolve), FhirError);
  assert.equal(
    (await contains(valueSet({ include: [{ system: URL }] }), { system: undefined, code: 'top' }, resolve))?.code,
    'top',
  );
});

const hostile: readonly (readonly [why: string, set: Resource, kind: string])[] = [
  ['regex', valueSet(filter('regex', '(a+)+$')), 'not-unprocessable'],
  ['unknown system', valueSet({ include: [{ system: 'http://example.org/none' }] }), 'not-found'],
  ['unknown value set', valueSet({ include: [{ valueSet: ['http://example.org/none'] }] }), 'not-found'],
  ['no content', { resourceType: 'ValueSet' }, 'not-unprocessable'],
  ['a million parts', valueSet({ include: Array.from({ length: 200_000 }, () => ({ system: URL })) }), 'too-costly'],
];
for (const [why, set, kind] of hostile) {
  test(`expand refuses: ${why}`, async () => {
    await assert.rejects(expand(set, resolve), (error) => error instanceof FhirError && error.kind === kind);
  });
}

test('value sets that include each other end, however often they do', async () => {
  const many = Array.from({ length: 50 }, () => ({ valueSet: ['http://example.org/round'] }));
  SETS.set('http://example.org/round', valueSet({ include: many }));
  await assert.rejects(expand(valueSet({ include: many }), resolve), FhirError);
});

const MAP: Resource = {
  resourceType: 'ConceptMap',
  url: 'http://example.org/m',
  group: [
    {
      source: URL,
      target: 'http://example.org/t',
      element: [{ code: 'a', target: [{ code: 'x', equivalence: 'wider' }] }],
      unmapped: { mode: 'fixed', code: 'rest', display: 'Rest' },
    },
    { source: URL, target: 'http://example.org/same', element: [], unmapped: { mode: 'provided' } },
    { source: URL, target: 'http://example.org/else', element: [], unmapped: { mode: 'other-map', url: 'http://x' } },
  ],
};
const maps: readonly (readonly [
  system: string,
  code: string,
  target: string,
  reverse: boolean,
  found: readonly string[],
])[] = [
  [URL, 'a', 'http://example.org/t', false, ['wider x']],
  [URL, 'b', 'http://example.org/t', false, ['inexact rest']],
  [URL, 'b', 'http://example.org/same', false, ['equal b']],
  [URL, 'b', 'http://example.org/else', false, []],
  ['http://example.org/t', 'x', URL, true, ['narrower a']],
  ['http://example.org/t', 'y', URL, true, []],
];
for (const [system, code, targetSystem, reverse, found] of maps) {
  test(`translation of ${code} to ${targetSystem}: ${found.join(', ') || 'none'}`, () => {
    const list = translations(MAP, { system, code, targetSystem, reverse });
    assert.deepEqual(
      list.map(({ equivalence, concept }) => `${equivalence} ${concept?.code}`),
      found,
    );
  });
}
