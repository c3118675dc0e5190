// docs/operations.md#overload: who goes first, how many wait, what is turned away, and that a flood of searches leaves hook calls their way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shareAt } from '../../src/open/admission.ts';
import type { CallerFacts } from '../../src/rest/permission/caller.ts';
import { Gate } from '../../src/rest/permission/gate.ts';
import {
  type Allowances,
  HEAVY,
  LOAD_CLASSES,
  type LoadClass,
  loadClassOf,
  MAIN,
} from '../../src/rest/permission/load-class.ts';
import type { WireRequest } from '../../src/rest/request.ts';
import { world } from '../world.ts';
import { listening } from './server.ts';

const everything: Pick<CallerFacts, 'rights'> = { rights: { kind: 'everything' } };
const granted = (purposes: readonly string[]): Pick<CallerFacts, 'rights'> => ({
  rights: { kind: 'granted', scopes: [], patients: [], situation: { purposes, actors: [] } },
});
const wire = (method: string, path: string, more: Partial<WireRequest> = {}): WireRequest => ({
  ...{ method, path, query: '', headers: {}, body: undefined },
  ...more,
});

const classes: readonly [asked: WireRequest, caller: Pick<CallerFacts, 'rights'>, of: LoadClass, why: string][] = [
  [wire('GET', '/Patient/1'), everything, 'read', 'control: read'],
  [wire('HEAD', '/Patient/1/_history/2'), everything, 'read', 'vread by HEAD'],
  [wire('GET', '/metadata'), everything, 'read', 'capabilities'],
  [wire('GET', '/Patient'), everything, 'search', 'search by GET'],
  [wire('POST', '/Patient/_search', { body: 'name=x' }), everything, 'search', 'search by POST'],
  [wire('GET', '/Patient/1/$everything'), everything, 'search', 'operation'],
  [wire('GET', '/_history'), everything, 'search', 'history'],
  [wire('PUT', '/Patient/1', { body: '{}' }), everything, 'write', 'update'],
  [wire('POST', '/', { body: '{}' }), everything, 'write', 'transaction'],
  [wire('POST', '/', { body: 'x'.repeat(262_144) }), everything, 'write', 'at the bound of a large body'],
  [wire('POST', '/', { body: 'x'.repeat(262_145) }), everything, 'bulk', 'above it'],
  [wire('POST', '/$import', { upload: { id: 'u', bytes: 1 } }), everything, 'bulk', 'a body on disk'],
  [wire('GET', '/Patient'), granted(['BTG']), 'emergency', 'by the token'],
  [wire('GET', '/Patient'), granted(['TREAT']), 'search', 'another purpose'],
  [wire('GET', '/Patient', { headers: { prefer: 'BTG' } }), everything, 'search', 'never by a header'],
  [wire('GET', '/no/such/path/there'), everything, 'read', 'what is no path is refused fast'],
];
for (const [asked, caller, of, why] of classes)
  test(`reliability@r8-shed: ${asked.method} ${asked.path} is ${of}: ${why}`, () =>
    assert.equal(loadClassOf(asked, caller), of));

test('reliability@r8-shed: each class leaves room for those before it, on both threads', () => {
  for (const table of [MAIN, HEAVY])
    for (const [index, of] of LOAD_CLASSES.entries()) {
      const before = LOAD_CLASSES[index - 1];
      assert.ok(table[of].own <= table[of].total && table[of].queue > 0, of);
      if (before !== undefined) assert.ok(table[of].total <= table[before].total, `${of} after ${before}`);
    }
  const { emergency, hook, read } = MAIN;
  assert.ok(emergency.total > hook.total && hook.total > read.total, 'some are for emergencies alone, more for hooks');
});

const rows: readonly [lagMs: number, share: number][] = [
  [0, 1],
  [99.9, 1],
  [100, 0.5],
  [999.9, 0.5],
  [1000, 0.25],
];
for (const [lagMs, share] of rows)
  test(`reliability@r8-shed: late by ${lagMs} ms leaves ${share} of the slots`, () =>
    assert.equal(shareAt(lagMs), share));

const one = { own: 1, total: 1, queue: 2 };
const narrow: Allowances = { emergency: one, hook: one, read: one, search: one, write: one, bulk: one };

test('reliability@r8-shed: who waits goes by class, and in the order of coming within it', async () => {
  const gate = new Gate({ allowances: narrow, waitMs: 60_000 });
  const order: string[] = [];
  const leave = await gate.enter('read');
  const asked = (['bulk', 'search', 'hook', 'search', 'emergency'] as const).map((of, index) =>
    gate.within(of, async () => void order.push(`${of} ${index}`)),
  );
  assert.equal(gate.waiting('search'), 2);
  leave();
  leave(); // twice is once
  await Promise.all(asked);
  assert.deepEqual(order, ['emergency 4', 'hook 2', 'search 1', 'search 3', 'bulk 0']);
});

test('reliability@r8-shed: a full queue and a long wait are told apart from nobody: busy, and counted', async () => {
  const refused: LoadClass[] = [];
  const gate = new Gate({ allowances: narrow, waitMs: 1, onRefused: (of) => refused.push(of) });
  const leave = await gate.enter('read');
  const reasons = await Promise.all(
    [1, 2, 3].map(() =>
      gate.enter('search').then(
        () => 'entered',
        (error: unknown) => (error as { kind: string }).kind,
      ),
    ),
  );
  assert.deepEqual(
    [reasons, refused],
    [
      ['busy', 'busy', 'busy'],
      ['search', 'search', 'search'],
    ],
  );
  assert.equal(gate.waiting('search'), 0);
  leave();
  (await gate.enter('search'))();
});

test('reliability@r8-shed: when the thread is less late again, all who may begin', async () => {
  let share = 0.25;
  const wide = { own: 4, total: 4, queue: 9 };
  const gate = new Gate({ allowances: { ...narrow, read: wide, hook: wide }, waitMs: 60_000, share: () => share });
  const leave = await gate.enter('read');
  const begun: number[] = [];
  const waiting = [1, 2, 3, 4].map((index) => gate.enter('read').then(() => begun.push(index)));
  const leaveHook = await gate.enter('hook');
  assert.equal(gate.waiting('read'), 4, 'hooks are not cut');
  share = 1;
  leaveHook();
  await Promise.all(waiting.slice(0, 3));
  assert.deepEqual(begun, [1, 2, 3]);
  leave();
  await waiting[3];
});

test('reliability@r8-shed: a flood of heavy searches: what is too much is 503 and recorded, a hook call has its turn', async (context) => {
  const refused: LoadClass[] = [];
  const gate = new Gate({ allowances: HEAVY, waitMs: 60_000, onRefused: (of) => refused.push(of) });
  const ends: (() => void)[] = [];
  let running = 0;
  const slow = () =>
    new Promise<{ status: number; headers: Record<string, string>; body: string }>((resolve) => {
      running++;
      ends.push(() => resolve({ status: 200, headers: {}, body: '{}' }));
    });
  const there = world();
  const open = await listening(
    { heavy: () => gate.within('search', slow), isHeavy: ({ path }) => path === '/Patient' },
    there,
  );
  context.after(() => open.close());
  const most = HEAVY.search.own + HEAVY.search.queue;
  const flood = Array.from({ length: most + 25 }, () => open.ask('GET', '/fhir/Patient'));
  const turnedAway: { status: number; headers: Readonly<Record<string, unknown>>; body: string }[] = [];
  for (const each of flood) void each.then((answer) => answer.status === 503 && turnedAway.push(answer));
  while (turnedAway.length < 25) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(running, HEAVY.search.own, 'two search at once');
  assert.equal(gate.waiting('search'), HEAVY.search.queue);
  for (const { headers, body } of turnedAway) {
    assert.equal(headers['retry-after'], '2');
    assert.equal(JSON.parse(body).issue[0].code, 'throttled');
  }
  assert.equal(refused.length, 25);
  assert.equal(there.accesses.filter(({ status }) => status === 503).length, 25, 'each is recorded');
  assert.deepEqual(open.reported, [], 'none is a fault');
  let hooks = 0;
  await Promise.all(Array.from({ length: 10 }, () => gate.within('hook', async () => void hooks++)));
  assert.equal(hooks, 10, 'while all the searches wait');
  assert.equal((await open.ask('GET', '/health/live')).status, 200);
  while (ends.length > 0 || gate.waiting('search') > 0) {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const statuses = (await Promise.all(flood)).map(({ status }) => status);
  assert.equal(statuses.filter((status) => status === 200).length, most, 'who waited is answered');
});
