// Plans: access is in every one and at every type they touch (docs/threat-model.md, broken object authorization); folding keeps meaning.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FhirError } from '../../src/fhir/outcome.ts';
import type { AccessFilter, Predicate } from '../../src/fhir/search/algebra.ts';
import { planOf, planSearch } from '../../src/fhir/search/plan.ts';
import { and, chain, has, not, or } from '../../src/fhir/search/simplify.ts';
import { type Indexed, matches } from './evaluate.ts';
import { capability, everything, fhirBase, found, indexed, NOW, parsed, planned, where } from './search-world.ts';

const only = (type: string, ids: readonly string[]): AccessFilter => ({
  principal: 'limited',
  visible: (asked) => (asked === type ? { kind: 'ids', ids } : { kind: 'all' }),
});

const patient = (id: string, family: string) => indexed({ resourceType: 'Patient', id, name: [{ family }] });
const observation = (id: string, subject: string) =>
  indexed({ resourceType: 'Observation', id, code: { coding: [{ code: 'x' }] }, subject: { reference: subject } });
const world: readonly Indexed[] = [
  patient('mine', 'Mine'),
  patient('theirs', 'Theirs'),
  observation('o1', 'Patient/mine'),
  observation('o2', 'Patient/theirs'),
];

test('no plan without an access filter, at run time too', () => {
  const missing: unknown[] = [undefined, null, {}, { principal: 'x' }, { visible: () => ({ kind: 'all' }) }];
  for (const access of missing) {
    assert.throws(
      () => planSearch(parsed('Patient', ''), access as AccessFilter, { capability, fhirBase, now: NOW }),
      TypeError,
    );
    assert.throws(() => planOf('Patient', { kind: 'all' }, access as AccessFilter), TypeError);
  }
});

test('access is joined at the root, through chains and through _has', () => {
  const access = only('Patient', ['mine']);
  assert.deepEqual(found(world, 'Patient', '', access), ['mine']);
  assert.deepEqual(found(world, 'Patient', 'family=theirs', access), []);
  assert.deepEqual(found(world, 'Patient', '_id=mine,theirs', access), ['mine']);
  assert.deepEqual(
    found(world, 'Observation', 'subject:Patient.family=theirs', access),
    [],
    'a chain asks about the hidden',
  );
  assert.deepEqual(found(world, 'Observation', 'subject:Patient.family=mine', access), ['o1']);
  assert.deepEqual(found(world, 'Observation', 'subject:Patient._id=theirs', access), []);
  const observations = only('Observation', ['o1']);
  assert.deepEqual(found(world, 'Patient', '_has:Observation:patient:code=x', observations), ['mine']);
  assert.deepEqual(
    found(world, 'Patient', '_has:Observation:patient:code=x', everything),
    ['mine', 'theirs'],
    'control',
  );
});

test('a type that is not visible gives the plan none, also inside', () => {
  const blind: AccessFilter = { principal: 'x', visible: (type) => ({ kind: type === 'Patient' ? 'none' : 'all' }) };
  assert.deepEqual(planned('Patient', 'family=x', blind).where, { kind: 'none' });
  assert.deepEqual(planned('Observation', 'subject:Patient.family=x', blind).where, { kind: 'none' });
  assert.equal(planned('Patient', '', blind).principal, 'x');
  assert.deepEqual(planOf('Patient', { kind: 'ids', ids: ['1'] }, blind).where, { kind: 'none' });
});

test('ids without a type stand for a bounded number of resources', () => {
  const ids = (count: number): string => Array.from({ length: count }, (_, index) => `i${index}`).join();
  assert.equal(planned('Observation', `subject=${ids(200)}`).where.kind, 'or', 'control: four target types');
  assert.equal(planned('Basic', `subject=${ids(10)}`).where.kind, 'or', 'control: few ids');
  assert.throws(() => planned('Basic', `subject=${ids(200)}`), FhirError);
});

test('fhir-r4@search-prefix ap: the plan is the same all day long, so that cursors hold', () => {
  const at = (now: number) =>
    planSearch(parsed('Patient', 'birthdate=ap1970'), everything, { capability, fhirBase, now });
  assert.deepEqual(at(NOW), at(NOW + 86_399_999));
  assert.notDeepEqual(at(NOW), at(NOW + 86_400_000));
});

const reference = (parameter: string, ...ids: readonly string[]): Predicate => ({
  kind: 'reference',
  parameter: `Observation.${parameter}`,
  targets: ids.map((id) => `Patient/${id}`),
});
const open: Predicate = { kind: 'not', of: { kind: 'token', parameter: 'Observation._security', code: 'R' } };
const within = (where: Predicate): AccessFilter => ({ principal: 'limited', visible: () => where });
const compartment = (...ids: readonly string[]) => or([reference('subject', ...ids), reference('performer', ...ids)]);

test('a compartment is not asked for again where the search names its patients, and only there', () => {
  const rows: readonly [query: string, access: Predicate, isLeftOut: boolean][] = [
    ['patient=mine', compartment('mine'), true],
    ['patient=Patient/mine&code=x', compartment('mine'), true],
    ['subject=Patient/mine', compartment('mine'), true],
    ['patient=mine', reference('subject', 'mine'), true],
    ['patient=mine', compartment('mine', 'other'), false],
    ['patient=mine', reference('performer', 'mine'), false],
    ['patient=theirs', compartment('mine'), false],
    ['subject=mine', compartment('mine'), false],
    ['patient=http://elsewhere.example/Patient/mine', compartment('mine'), false],
    ['patient=mine,theirs', compartment('mine'), false],
    ['subject=Patient/mine', reference('patient', 'mine'), false],
    ['focus=Patient/mine', compartment('mine'), false],
    ['code=x', compartment('mine'), false],
    ['patient=mine', { kind: 'not', of: compartment('mine') }, false],
  ];
  for (const [query, access, isLeftOut] of rows) {
    const own = where('Observation', query);
    const left: Predicate = isLeftOut ? open : and([access, open]);
    assert.deepEqual(
      planned('Observation', query, within(and([access, open]))).where,
      and([left, own]),
      `${query} within ${JSON.stringify(access)}`,
    );
  }
});

test('what a compartment leaves out stays out, whatever the search names', () => {
  const performed = (id: string, subject: string, performer: string) =>
    indexed({
      resourceType: 'Observation',
      id,
      subject: { reference: subject },
      performer: [{ reference: performer }],
    });
  const held = [
    ...world,
    performed('o3', 'Patient/theirs', 'Patient/mine'),
    performed('o4', 'Group/mine', 'Patient/theirs'),
    performed('o6', 'https://elsewhere.example/Patient/mine', 'Patient/theirs'),
    performed('o5', `${fhirBase}/Patient/mine`, 'Patient/theirs'),
  ];
  const people = ['mine', 'theirs'];
  const queries = people.flatMap((id) => [
    ...[`patient=${id}`, `patient=Group/${id}`, `subject=${id}`, `subject=Patient/${id}`, `performer=Patient/${id}`],
    ...[`patient=${id}&performer=Patient/${id}`, `patient=mine,${id}`, `subject:Patient=${id}`],
  ]);
  for (const mine of [['mine'], ['theirs'], people]) {
    const inside = new Set(held.filter((one) => matches(compartment(...mine), one, held)).map(({ id }) => id));
    for (const query of queries) {
      const wanted = found(held, 'Observation', query).filter((id) => inside.has(id));
      assert.deepEqual(found(held, 'Observation', query, within(compartment(...mine))), wanted, `${mine}: ${query}`);
    }
  }
});

test('shapes that engines rely on', () => {
  assert.deepEqual(where('Observation', 'patient=1'), reference('patient', '1'), 'one range: no row is of a Group');
  assert.deepEqual(where('Patient', ''), { kind: 'all' });
  assert.deepEqual(where('Patient', 'gender:not=male'), {
    kind: 'not',
    of: { kind: 'token', parameter: 'Patient.gender', code: 'male' },
  });
  assert.deepEqual(where('Observation', '_lastUpdated=gt2020'), {
    kind: 'interval',
    parameter: 'Observation._lastUpdated',
    relation: 'gt',
    low: Date.UTC(2020, 0),
    high: Date.UTC(2021, 0),
  });
  const composite = where('Observation', 'code-value-quantity=a$5||mg');
  assert.equal(composite.kind, 'or', 'alternatives of a component are moved outside');
  assert.ok(composite.kind === 'or' && composite.of.every(({ kind }) => kind === 'composite'));
});

const leaf = fc.constantFrom<Predicate>(
  { kind: 'all' },
  { kind: 'none' },
  { kind: 'ids', ids: ['mine'] },
  { kind: 'string', parameter: 'Patient.family', match: 'prefix', value: 'theirs' },
);
const { tree } = fc.letrec<{ tree: Predicate }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('tree'), { maxLength: 3 }).map((of): Predicate => ({ kind: 'and', of })),
    fc.array(tie('tree'), { maxLength: 3 }).map((of): Predicate => ({ kind: 'or', of })),
    tie('tree').map((of): Predicate => ({ kind: 'not', of })),
  ),
}));

function folded(predicate: Predicate): Predicate {
  if (predicate.kind === 'and') return and(predicate.of.map(folded));
  if (predicate.kind === 'or') return or(predicate.of.map(folded));
  return predicate.kind === 'not' ? not(folded(predicate.of)) : predicate;
}

test('folding never changes what is found', () => {
  fc.assert(
    fc.property(tree, (predicate) => {
      for (const one of world) assert.equal(matches(folded(predicate), one, world), matches(predicate, one, world));
    }),
    { numRuns: 500 },
  );
  assert.deepEqual(chain('Observation.subject', 'Patient', { kind: 'none' }), { kind: 'none' });
  assert.deepEqual(has('Observation', 'Observation.subject', { kind: 'none' }), { kind: 'none' });
});
