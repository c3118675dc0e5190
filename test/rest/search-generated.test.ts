// Properties of search over resources made of the definitions (test/fhir/generate.ts), through the public door: fhir-r4@search.html#parameters,
// #sort, #count. GENERATED_CASES: strings and sorts that are tried (default 300); a multiple of it, more resources of every type.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { conformanceValidator } from '../../src/fhir/profile/validator.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { searchType } from '../../src/fhir/search/types.ts';
import { each } from '../e2e/client.ts';
import { searchValues } from '../e2e/search-values.ts';
import { generated } from '../fhir/generate.ts';
import { capability, definitions } from '../fhir/search-world.ts';
import { pick, random, whole } from '../store/world.ts';
import { notOnStandIn } from '../test-store.ts';
import { idsOf, json, linkOf, world } from '../world.ts';
import { type EngineWorld, engineWorld } from './engine-world.ts';

const CASES = Number(process.env.GENERATED_CASES ?? 300);
/** Requests at once: they share commits of their audit. */
const WIDTH = 48;
const SEED = 20_260_102;
/** Resources of a type; each takes other choices and reference targets. */
const TURNS = CASES >= 10_000 ? 24 : 8;
/** Written once by the server, in another way: test/e2e/capability.test.ts, test/audit/facet.test.ts. */
const APART = 'AuditEvent';

interface Held {
  readonly id: string;
  readonly rows: readonly IndexEntry[];
}
const held = new Map<string, readonly Held[]>();
let there: EngineWorld;

before(async () => {
  there = await engineWorld([]);
  const { context } = world();
  const validate = conformanceValidator(definitions);
  const next = random(SEED);
  for (const type of capability.types.keys()) {
    if (type === APART) continue;
    const made = Array.from({ length: TURNS }, (_, turn) =>
      generated(type, `${type.slice(0, 50)}-${turn}`, turn, next, definitions, validate),
    ).filter((resource) => resource !== undefined);
    assert.ok(made.length > 0, `${type}: nothing valid was made`);
    const entry = made.map((resource) => ({ resource, request: { method: 'PUT', url: `${type}/${resource.id}` } }));
    const { status, body } = await there.send('POST', '', {
      body: { resourceType: 'Bundle', type: 'transaction', entry },
    });
    assert.equal(status, 200, `${type}: ${body?.slice(0, 300)}`);
    held.set(
      type,
      made.map((resource: Resource) => ({ id: resource.id ?? '', rows: context.indexEntries(resource) })),
    );
  }
});
after(() => there.close());

test('every resource made of every claimed type is found by each of its parameters’ own values', {
  skip: notOnStandIn('thousands of searches by scan'),
}, async (context) => {
  const wrong: string[] = [];
  let parameters = 0;
  const asked: (readonly [type: string, id: string, query: string])[] = [];
  for (const [type, all] of held) {
    for (const parameter of capability.types.get(type)?.searchParameters.values() ?? []) {
      if (parameter.code === '_id' || parameter.code === '_lastUpdated') continue;
      const holders = all.filter(({ rows }) => searchValues(parameter, type, rows).length > 0);
      if (holders.length > 0) parameters++;
      for (const { id, rows } of holders.slice(0, TURNS / 4)) {
        for (const query of searchValues(parameter, type, rows)) asked.push([type, id, query]);
      }
    }
  }
  await each(asked, WIDTH, async ([type, id, query]) => {
    const answer = await there.send('GET', `/${type}?${query}&_count=50`);
    if (answer.status !== 200 || !idsOf(json(answer)).includes(id))
      wrong.push(`${type}?${query}: ${answer.status}, not ${id}`);
  });
  context.diagnostic(`${parameters} parameters, ${asked.length} searches`);
  assert.deepEqual(wrong.slice(0, 20), [], `${wrong.length} wrong`);
  assert.ok(parameters >= 2200, `${parameters} parameters have a value`);
});

const HOSTILE = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '',
    '|',
    '||',
    '$',
    '$$',
    '\\',
    '\\|',
    ',',
    ',,',
    '%',
    '%00',
    '%ZZ',
    '#x',
    "'",
    '"',
    '*',
    '-',
    '+',
    'null',
    '1e999',
    '-0',
  ),
  fc.constantFrom(
    '2020-02-30',
    'ap0001',
    'ge9999-12-31T23:59:59.999Z',
    '5|a|b|c',
    'eq',
    'Patient/',
    '/Patient',
    'urn:',
    'a'.repeat(5000),
  ),
);
const NAMES = [...capability.types].flatMap(([type, claimed]) =>
  [...claimed.searchParameters.keys()].map((code) => [type, code] as const),
);
const MODIFIERS = [
  '',
  ':not',
  ':missing',
  ':exact',
  ':contains',
  ':text',
  ':in',
  ':not-in',
  ':above',
  ':below',
  ':of-type',
  ':identifier',
  ':Patient',
  ':',
  ':x',
  '.name',
  ':Patient.name',
  '.',
  '..',
];
const EXTRAS = [
  '_sort',
  '_count',
  '_include',
  '_revinclude',
  '_has:Observation:patient:code',
  '_filter',
  '_text',
  '_content',
  '_list',
  '_summary',
  '_elements',
  '_total',
  '_cursor',
  '_query',
  '_contained',
  '_type',
];

test('any query string of any claimed type is answered or refused, never a 5xx', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...NAMES),
      fc.constantFrom(...MODIFIERS),
      HOSTILE,
      fc.constantFrom('', ...EXTRAS),
      HOSTILE,
      fc.boolean(),
      fc.boolean(),
      async ([type, code], modifier, value, extra, other, encode, lenient) => {
        const pairs: [string, string][] = [[`${code}${modifier}`, value.toWellFormed()]];
        if (extra !== '') pairs.push([extra, other.toWellFormed()]);
        const query = encode ? new URLSearchParams(pairs).toString() : pairs.map((pair) => pair.join('=')).join('&');
        const headers = lenient ? { prefer: 'handling=lenient' } : {};
        const answer = await there.send('GET', `/${type}?${query}`, { headers });
        assert.ok(answer.status < 500, `${answer.status} ${answer.body}`);
        assert.equal(json(answer).resourceType, answer.status < 400 ? 'Bundle' : 'OperationOutcome');
      },
    ),
    { numRuns: CASES, seed: SEED },
  );
});

test('sorted and paged by anything, every match comes once', {
  skip: notOnStandIn('thousands of searches by scan'),
}, async () => {
  const next = random(SEED + 1);
  const wrong: string[] = [];
  for (let round = 0; round < Math.max(40, CASES / 10); round++) {
    const type = pick(next, [...held.keys()]);
    const all = (held.get(type) ?? []).map(({ id }) => id).toSorted();
    const sortable = [...(capability.types.get(type)?.searchParameters.values() ?? [])].filter(
      (parameter) => searchType(parameter.type).indexed !== undefined,
    );
    const keys = Array.from(
      { length: 1 + whole(next, 3) },
      () => `${next() < 0.5 ? '-' : ''}${pick(next, sortable).code}`,
    );
    const found: string[] = [];
    let url: string | undefined = `/${type}?_sort=${keys.join(',')}&_count=${1 + whole(next, 5)}`;
    for (let pages = 0; url !== undefined && pages < 50; pages++) {
      const answer = json(await there.send('GET', url));
      found.push(...idsOf(answer));
      url = linkOf(answer, 'next');
    }
    if (found.toSorted().join() !== all.join()) wrong.push(`${type}?_sort=${keys.join(',')}: ${found.join(' ')}`);
  }
  assert.deepEqual(wrong, []);
});
