// What the MongoDB engine asks for each kind of predicate, and that an index begins with what it asks by. docs/decisions/0040.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Document } from 'mongodb';
import { DAWN, type Predicate, type SortKey } from '../../src/fhir/search/algebra.ts';
import { filterOf } from '../../src/store/mongodb/filter.ts';
import { INDEXES } from '../../src/store/mongodb/layout.ts';
import { pipelineOf } from '../../src/store/mongodb/search.ts';
import { openMongo } from '../../src/store/mongodb.ts';
import { ok } from './contract.ts';
import { testServer } from './mongodb-server.ts';
import { entriesOf, put, random } from './world.ts';

const token = (code: string) => ({ kind: 'token', parameter: 'P.t', system: 's', code }) as const;
const interval = (relation: 'ge' | 'lt' | 'eq', low: number) =>
  ({ kind: 'interval', parameter: 'P.d', relation, low, high: low + 1 }) as const;

/** `by`: the member whose index serves it; `r`: the range of the type is walked. */
const GOLDENS: readonly (readonly [where: Predicate, by: string, filter: Document])[] = [
  [{ kind: 'all' }, 'r', {}],
  [{ kind: 'none' }, '_id', { _id: { $in: [] } }],
  [{ kind: 'ids', ids: ['a', 'b'] }, '_id', { _id: { $in: ['P/a', 'P/b'] } }],
  [token('x'), 'k', { k: 'P.t s s x' }],
  [{ kind: 'token', parameter: 'P.t', code: 'x' }, 'k', { k: 'P.t c x' }],
  [
    { kind: 'token', parameter: 'P.t', system: 'a b' },
    'k',
    { k: { $elemMatch: { $gte: 'P.t s a%20b ', $lt: 'P.t s a%20b!' } } },
  ],
  [{ kind: 'token', parameter: 'P.t' }, 'k', { k: { $elemMatch: { $gte: 'P.t c ', $lt: 'P.t c!' } } }],
  [
    { kind: 'string', parameter: 'P.n', match: 'prefix', value: 'an' },
    'k',
    { k: { $elemMatch: { $gte: 'P.n f an', $lt: 'P.n f ao' } } },
  ],
  [{ kind: 'string', parameter: 'P.n', match: 'equal', value: 'an' }, 'k', { k: 'P.n f an' }],
  [{ kind: 'string', parameter: 'P.n', match: 'exact', value: 'An' }, 'k', { k: 'P.n x An' }],
  [
    { kind: 'string', parameter: 'P.n', match: 'contains', value: 'a.*' },
    'k',
    { k: { $regex: '^P\\.n f [\\s\\S]*a\\.\\*' } },
  ],
  [
    { kind: 'string', parameter: 'P.n', match: 'suffix', value: 'a' },
    'k',
    { k: { $regex: '^P\\.n f [\\s\\S]*a(?![\\s\\S])' } },
  ],
  [{ kind: 'reference', parameter: 'P.r', targets: ['Q/1', 'Q/2'] }, 'k', { k: { $in: ['P.r r Q/1', 'P.r r Q/2'] } }],
  [{ kind: 'reference', parameter: 'P.r', targets: ['u'], version: '2' }, 'k', { k: 'P.r v 2 u' }],
  [{ kind: 'uri', parameter: 'P.u', match: 'exact', value: 'h/a' }, 'k', { k: 'P.u u h/a' }],
  [
    { kind: 'uri', parameter: 'P.u', match: 'below', value: 'h/a' },
    'k',
    { $or: [{ k: 'P.u u h/a' }, { k: { $elemMatch: { $gte: 'P.u u h/a/', $lt: 'P.u u h/a0' } } }] },
  ],
  [
    { kind: 'uri', parameter: 'P.u', match: 'above', value: 'h/a' },
    'k',
    { k: { $in: ['P.u u h/a', 'P.u u h/', 'P.u u h'] } },
  ],
  [
    interval('eq', 5),
    'd.p',
    { d: { $elemMatch: { p: { $in: ['P.d', 'P.d *'] }, l: { $gte: 5, $lte: 6 }, h: { $lte: 6 } } } },
  ],
  [{ ...interval('ge', 5), parameter: 'P._lastUpdated' }, 'at', { at: { $gte: 5 } }],
  [
    { kind: 'and', of: [interval('ge', 5), interval('lt', DAWN + 1)] },
    'd.p',
    {
      $or: [
        { d: { $elemMatch: { p: 'P.d', l: { $gte: 5, $lt: DAWN + 1 } } } },
        { d: { $elemMatch: { p: 'P.d', h: { $gt: 6 }, l: { $lt: DAWN + 1 } } } },
        {
          $and: [
            {
              $or: [
                { d: { $elemMatch: { p: 'P.d *', l: { $gte: 5 } } } },
                { d: { $elemMatch: { p: 'P.d *', h: { $gt: 6 } } } },
              ],
            },
            { d: { $elemMatch: { p: 'P.d *', l: { $lt: DAWN + 1 } } } },
          ],
        },
      ],
    },
  ],
  [
    { kind: 'quantity', parameter: 'P.q', unit: 'u|mg', relation: 'gt', low: 1, high: 2 },
    'q.p',
    { q: { $elemMatch: { p: 'P.q', u: 'u|mg', h: { $gt: 2 } } } },
  ],
  [
    { kind: 'quantity', parameter: 'P.q', relation: 'ap', low: 1, high: 2 },
    'q.p',
    { q: { $elemMatch: { p: 'P.q', c: 0, l: { $lte: 2 }, h: { $gte: 1 } } } },
  ],
  [{ kind: 'text', parameter: 'P._text', words: ['a'] }, 'w', { w: 'n a' }],
  [
    { kind: 'text', parameter: 'P._content', words: ['a', 'b'] },
    'w',
    { w: { $all: ['c a', 'c b'] }, $or: [{ n: { $regex: ' a b ' } }, { c: { $regex: ' a b ' } }] },
  ],
  [{ kind: 'missing', parameter: 'P.t', missing: false }, 'k', { k: 'P.t h ' }],
  [{ kind: 'missing', parameter: 'P.t', missing: true }, 'r', { k: { $ne: 'P.t h ' } }],
  [
    {
      kind: 'composite',
      components: [token('x'), { kind: 'quantity', parameter: 'P.q', relation: 'lt', low: 1, high: 1, unit: 'u' }],
    },
    'k',
    { k: 'P.t s s x', g: { $elemMatch: { k: 'P.t s s x', q: { $elemMatch: { p: 'P.q', u: 'u', l: { $lt: 1 } } } } } },
  ],
  [{ kind: 'and', of: [token('x'), token('y')] }, 'k', { k: 'P.t s s x', $and: [{ k: 'P.t s s y' }] }],
  [{ kind: 'or', of: [token('x'), token('y')] }, 'k', { k: { $in: ['P.t s s x', 'P.t s s y'] } }],
  [{ kind: 'not', of: token('x') }, 'r', { $nor: [{ k: 'P.t s s x' }] }],
];

for (const [where, , filter] of GOLDENS) {
  test(`mongodb plan: ${JSON.stringify(where)}`, () => assert.deepEqual(filterOf(where, 'P'), filter));
}

test('mongodb plan: near is a band of latitudes, a longitude and the haversine of the first position', () => {
  const near = { kind: 'near', parameter: 'L.near', latitude: 0, longitude: 0, metres: 1000 } as const;
  const [band, longitude, within] = filterOf(near, 'L').$and;
  assert.equal(band.q.$elemMatch.p, 'L.near:latitude');
  assert.deepEqual(longitude, { q: { $elemMatch: { p: 'L.near:longitude', u: '' } } });
  assert.deepEqual(Object.keys(within), ['$expr']);
});

test('mongodb plan: every kind of predicate has a row', () => {
  const kinds = new Set(GOLDENS.map(([{ kind }]) => kind));
  const every = [
    'all',
    'none',
    'ids',
    'token',
    'string',
    'reference',
    'uri',
    'interval',
    'quantity',
    'text',
    'missing',
    'composite',
    'and',
    'or',
    'not',
  ];
  assert.deepEqual([...kinds].sort(), every.sort());
  for (const kind of ['chain', 'has'] as const) {
    const join = { kind, parameter: 'P.r', type: 'Q', where: { kind: 'all' } } as const;
    assert.throws(() => filterOf(join, 'P'), TypeError, 'resolved to references or ids before');
  }
});

test('mongodb plan: an index begins with what each predicate asks by', () => {
  const first = new Set(INDEXES.resource.map(([keys]) => Object.keys(keys)[0] ?? ''));
  for (const [where, by] of GOLDENS) assert.ok(by === '_id' || first.has(by), `${by} of ${JSON.stringify(where)}`);
});

const newest: SortKey = { parameter: 'P._lastUpdated', indexed: 'updated', descending: true };
const byName: SortKey = { parameter: 'P.n', indexed: 'string', descending: false };

test('mongodb plan: a page after a cursor, along an index, and by a computed value', () => {
  const along = pipelineOf({ k: 'x' }, { type: 'P', sort: [newest] }, { after: [7, 3], descending: true, limit: 2 });
  assert.deepEqual(along, [
    { $match: { k: 'x', at: { $lt: 8 }, $or: [{ at: { $lt: 7 } }, { at: 7, r: { $lt: 3 } }] } },
    { $sort: { at: -1, r: -1 } },
    { $limit: 2 },
    { $project: { _id: 0, r: 1, s: 1, k0: '$at' } },
  ]);
  const computed = pipelineOf(
    { k: 'x' },
    { type: 'P', sort: [byName] },
    { after: ['an', 3], descending: false, limit: 2 },
  );
  assert.deepEqual(computed.slice(2), [
    { $addFields: { m0: { $cond: [{ $eq: ['$k0', null] }, 1, 0] } } },
    { $match: { $or: [{ m0: 1 }, { m0: 0, k0: { $gt: 'P.n f an' } }, { m0: 0, k0: 'P.n f an', r: { $gt: 3 } }] } },
    { $sort: { m0: 1, k0: 1, r: 1 } },
    { $limit: 2 },
    { $project: { _id: 0, r: 1, s: 1, k0: '$k0' } },
  ]);
});

const server = await testServer();
/** Members that the stand-in answers from an index when they are asked for plainly; it scans for the rest, right though its answers are. */
const SERVED_BY_STAND_IN: ReadonlySet<string> = new Set(['k', 'w', 'at', '_id', 'r']);

test('mongodb explain: what is asked for is found by an index, not by a scan', {
  skip: 'skip' in server ? server.skip : false,
}, async (context) => {
  if ('skip' in server) return;
  const types = ['P'];
  const renderAudit = () => '';
  const store = await openMongo({ url: server.url(), renderAudit, headKey: new Uint8Array(32), indexHash: '', types });
  context.after(() => store.close());
  const next = random(1);
  const commands = Array.from({ length: 30 }, (_, index) => put('P', `${index}`, 1, entriesOf(next, 'P')));
  ok(await store.commit({ commands, audit: [] }));
  const isPlain = (filter: Document): boolean =>
    Object.entries(filter).every(
      ([name, value]) => !name.startsWith('$') && !/elemMatch|\$regex|\$ne|\$all/.test(JSON.stringify(value)),
    );
  let explained = 0;
  for (const [where, by, filter] of GOLDENS) {
    const isAsked = server.kind === 'mongodb' || (SERVED_BY_STAND_IN.has(by) && isPlain(filter));
    if (!isAsked) continue;
    const asked = by === 'r' ? { ...filter, r: { $gt: 0 } } : filter;
    const plan = await store.database.collection('resource').find(asked).explain('queryPlanner');
    const text = JSON.stringify(plan.queryPlanner.winningPlan);
    assert.match(text, /IXSCAN|IDHACK|EXPRESS|EOF/, `${JSON.stringify(where)}: ${text.slice(0, 300)}`);
    assert.doesNotMatch(text, /COLLSCAN/, JSON.stringify(where));
    explained++;
  }
  assert.ok(explained >= (server.kind === 'mongodb' ? GOLDENS.length : 14), `control: ${explained} explained`);
});
