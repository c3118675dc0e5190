// One resource judged in memory means what a search means: against the oracle (evaluate.ts), over generated entries and predicates.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { IndexEntry, Predicate, Relation } from '../../src/fhir/search/algebra.ts';
import { needsOthers, satisfies } from '../../src/fhir/search/satisfies.ts';
import { matches } from './evaluate.ts';

const RELATIONS: readonly Relation[] = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'];
const small = fc.integer({ min: 0, max: 6 });
const code = fc.constantFrom('a', 'b', 'ab', '');
const path = fc.constantFrom('http://x', 'http://x/', 'http://x/y', 'http://xy');
const group = fc.integer({ min: 0, max: 2 });
const span = fc.tuple(small, small).map(([a, b]) => ({ low: Math.min(a, b), high: Math.max(a, b) }));
const dates = span.map(({ low, high }) => ({ low, high: high + 1 }));

const entry: fc.Arbitrary<IndexEntry> = fc.oneof(
  fc.record({ kind: fc.constant('token' as const), parameter: fc.constant('T.t'), system: code, code, group }),
  fc.record({ kind: fc.constant('string' as const), parameter: fc.constant('T.s'), folded: code, exact: code, group }),
  fc.record({
    kind: fc.constant('reference' as const),
    parameter: fc.constant('T.r'),
    target: code,
    version: code,
    group,
  }),
  fc.record({ kind: fc.constant('uri' as const), parameter: fc.constant('T.u'), value: path, group }),
  fc.tuple(dates, group).map(([of, g]) => ({ kind: 'date' as const, parameter: 'T.d', ...of, group: g })),
  fc
    .tuple(span, fc.constantFrom('|a', 'canonical|a'), group)
    .map(([of, unit, g]) => ({ kind: 'quantity' as const, parameter: 'T.q', unit, ...of, group: g })),
  fc.record({
    kind: fc.constant('text' as const),
    parameter: fc.constantFrom('T._text', 'T._content'),
    text: fc.constantFrom('a b c', 'b', 'ab'),
    group: fc.constant(0),
  }),
);

const relation = fc.constantFrom(...RELATIONS);
const leaf: fc.Arbitrary<Predicate> = fc.oneof(
  fc.record({ kind: fc.constant('token' as const), parameter: fc.constant('T.t'), system: code, code }),
  fc.record({ kind: fc.constant('token' as const), parameter: fc.constant('T.t'), code }),
  fc.record({
    kind: fc.constant('string' as const),
    parameter: fc.constant('T.s'),
    match: fc.constantFrom(
      'prefix' as const,
      'exact' as const,
      'contains' as const,
      'equal' as const,
      'suffix' as const,
    ),
    value: code,
  }),
  fc.record({ kind: fc.constant('reference' as const), parameter: fc.constant('T.r'), targets: fc.array(code) }),
  fc.record({
    kind: fc.constant('uri' as const),
    parameter: fc.constant('T.u'),
    match: fc.constantFrom('exact' as const, 'below' as const, 'above' as const),
    value: path,
  }),
  fc.tuple(dates, relation).map(([of, how]) => ({ kind: 'interval' as const, parameter: 'T.d', relation: how, ...of })),
  fc
    .tuple(dates, relation)
    .map(([of, how]) => ({ kind: 'interval' as const, parameter: 'T._lastUpdated', relation: how, ...of })),
  fc
    .tuple(span, relation, fc.constantFrom({}, { unit: '|a' }, { unit: 'canonical|a' }))
    .map(([of, how, unit]) => ({ kind: 'quantity' as const, parameter: 'T.q', relation: how, ...of, ...unit })),
  fc.record({
    kind: fc.constant('text' as const),
    parameter: fc.constantFrom('T._text', 'T._content'),
    words: fc.constantFrom(['a'], ['b', 'c'], ['c', 'b']),
  }),
);
const single: fc.Arbitrary<Predicate> = fc.oneof(
  leaf,
  fc.constantFrom<Predicate>(
    { kind: 'all' },
    { kind: 'none' },
    { kind: 'ids', ids: ['1'] },
    { kind: 'ids', ids: ['2'] },
  ),
  fc.record({ kind: fc.constant('missing' as const), parameter: fc.constantFrom('T.t', 'T.d'), missing: fc.boolean() }),
);
const predicate: fc.Arbitrary<Predicate> = fc.letrec<{ node: Predicate }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3 },
    single,
    fc.record({ kind: fc.constantFrom('and' as const, 'or' as const), of: fc.array(tie('node'), { maxLength: 3 }) }),
    fc.record({ kind: fc.constant('not' as const), of: tie('node') }),
  ),
})).node;

test('satisfies: the same as the oracle, for 5,000 generated resources and predicates', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), predicate, small, (entries, asked, at) => {
      const subject = { type: 'T', id: '1', at, entries };
      assert.equal(satisfies(asked, subject), matches(asked, subject, [subject]));
    }),
    { numRuns: 5000, seed: 7 },
  );
});

test('satisfies: components of a composite in one group', () => {
  const of = (group: number, code: string, low: number): readonly IndexEntry[] => [
    { kind: 'token', parameter: 'T.c$1', system: '', code, group },
    { kind: 'quantity', parameter: 'T.c$2', unit: '', low, high: low, group },
  ];
  const asked = (low: number): Predicate => ({
    kind: 'composite',
    components: [
      { kind: 'token', parameter: 'T.c$1', code: 'a' },
      { kind: 'quantity', parameter: 'T.c$2', relation: 'eq', low, high: low },
    ],
  });
  const subject = { type: 'T', id: '1', at: 0, entries: [...of(1, 'a', 1), ...of(2, 'b', 2)] };
  assert.equal(satisfies(asked(1), subject), true, 'control');
  assert.equal(satisfies(asked(2), subject), false, 'the other group has it');
});

test('satisfies: distance', () => {
  const row = (name: string, low: number): IndexEntry => ({
    kind: 'quantity',
    parameter: `T.n:${name}`,
    unit: '',
    low,
    high: low,
    group: 0,
  });
  const subject = { type: 'T', id: '1', at: 0, entries: [row('latitude', 48), row('longitude', 11)] };
  const near = (metres: number): Predicate => ({
    kind: 'near',
    parameter: 'T.n',
    latitude: 48.001,
    longitude: 11,
    metres,
  });
  assert.equal(satisfies(near(112), subject), true, 'a thousandth of a degree is 111.2 m');
  assert.equal(satisfies(near(111), subject), false);
  assert.equal(satisfies(near(1e9), { ...subject, entries: [] }), false, 'without a position');
});

test('satisfies: what needs other resources is said so, wherever it stands', () => {
  const chained: Predicate = { kind: 'chain', parameter: 'T.r', type: 'U', where: { kind: 'all' } };
  const has: Predicate = { kind: 'has', parameter: 'U.r', type: 'U', where: { kind: 'all' } };
  for (const asked of [chained, has]) {
    for (const around of [
      asked,
      { kind: 'not', of: asked },
      { kind: 'and', of: [{ kind: 'all' }, asked] },
      { kind: 'or', of: [{ kind: 'not', of: asked }] },
    ] as const) {
      assert.equal(needsOthers(around), true);
    }
    assert.throws(() => satisfies(asked, { type: 'T', id: '1', at: 0, entries: [] }), TypeError);
  }
  assert.equal(needsOthers({ kind: 'and', of: [{ kind: 'all' }] }), false);
});
