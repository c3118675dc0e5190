// docs/decisions/0017: rows of an added parameter are made while resources change, whatever stops on the way; none is missing, none is left over.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { activeParameter } from '../../src/fhir/definitions/custom-parameter.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import { NO_PARAMETERS } from '../../src/parameters/live-context.ts';
import { followedContext, ParameterThreads } from '../../src/parameters/parameter-channel.ts';
import { random, whole } from '../store/world.ts';
import { embeddedOnly } from '../test-store.ts';
import { at, json } from '../world.ts';
import { type ParameterWorld, parameter, parameterWorld, removeWorld } from './parameter-world.ts';

const test = (name: string, body: () => Promise<void>) => register(name, { skip: embeddedOnly }, body);

const URL_A = 'http://client.example/eye';
const URL_B = 'http://client.example/hair';
const patient = (id: string, eye: string, hair = 'grey'): Record<string, unknown> => ({
  resourceType: 'Patient',
  id,
  extension: [
    { url: URL_A, valueCode: eye },
    { url: URL_B, valueCode: hair },
  ],
});
const onHair = (changes: Readonly<Record<string, unknown>> = {}) =>
  parameter({ expression: `Patient.extension('${URL_B}').value`, ...changes });
const second = onHair({ id: 'hair', code: 'hair', url: 'http://client.example/SearchParameter/hair' });

async function put(world: ParameterWorld, resource: Record<string, unknown>): Promise<void> {
  const { status, body } = await world.send('PUT', `/${resource.resourceType}/${resource.id}`, { body: resource });
  assert.ok(status === 200 || status === 201, body);
}
const remove = (world: ParameterWorld, name: string) => world.send('DELETE', `/${name}`);
const turns = async (count: number): Promise<void> => {
  for (let each = 0; each < count; each++) await new Promise((resolve) => setImmediate(resolve));
};
const some = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `p${index}`);

async function filled(count: number, options: Parameters<typeof parameterWorld>[0] = {}): Promise<ParameterWorld> {
  const world = await parameterWorld(options);
  for (const id of some(count)) await put(world, patient(id, 'blue'));
  return world;
}

test('resources that change between two pages are found as they are', async () => {
  const world = await filled(8);
  await put(world, parameter());
  await world.pages(4);
  await put(world, patient('p0', 'green'));
  await put(world, patient('p7', 'green'));
  await remove(world, 'Patient/p1');
  await remove(world, 'Patient/p6');
  await put(world, patient('new', 'green'));
  await world.pages(1);
  await put(world, patient('p1', 'green'));
  await put(world, { resourceType: 'Patient', id: 'p5' });
  await world.settled();
  assert.deepEqual(await world.found('Patient?eye=green'), ['new', 'p0', 'p1', 'p7']);
  assert.deepEqual(await world.found('Patient?eye=blue'), ['p2', 'p3', 'p4']);
  assert.deepEqual(await world.found('Patient?eye:missing=true'), ['p5']);
  assert.equal(world.rowsOf('Patient.eye'), 7, 'one row each, none left over');
  await world.end();
  removeWorld(world);
});

for (let seed = 1; seed <= 6; seed++) {
  test(`whatever happens between pages, seed ${seed}: rows are those of a fresh index`, async () => {
    const next = random(seed);
    const colours = ['blue', 'green', 'brown'];
    const held = new Map<string, readonly [eye: string, hair: string]>();
    let by: 'eye' | 'hair' | undefined;
    const world = await parameterWorld({ pagesPerPlace: 1 + (seed % 3) });
    for (let step = 0; step < 40; step++) {
      const id = `p${whole(next, 10)}`;
      const did = whole(next, 8);
      if (did <= 3) {
        const [eye = '', hair = ''] = [colours[whole(next, 3)], colours[whole(next, 3)]];
        await put(world, patient(id, eye, hair));
        held.set(id, [eye, hair]);
      } else if (did === 4) {
        await remove(world, `Patient/${id}`);
        held.delete(id);
      } else if (did === 5) {
        by = whole(next, 2) === 0 ? 'eye' : 'hair';
        await put(world, by === 'eye' ? parameter() : onHair());
      } else if (did === 6) {
        await remove(world, 'SearchParameter/eye');
        by = undefined;
      } else if (world.parameters.progress !== undefined) await world.pages(1);
    }
    await world.settled();
    assert.equal(world.rowsOf('Patient.eye'), by === undefined ? 0 : held.size);
    for (const colour of by === undefined ? [] : colours) {
      const place = by === 'eye' ? 0 : 1;
      const expected = [...held].filter(([, each]) => each[place] === colour).map(([id]) => id);
      assert.deepEqual(await world.found(`Patient?eye=${colour}`), expected.sort());
    }
    await world.end();
    removeWorld(world);
  });
}

for (const pagesPerPlace of [1, 3]) {
  for (let stop = 0; stop <= 6; stop++) {
    test(`it goes on after an end at page ${stop}, with a place every ${pagesPerPlace}`, async () => {
      let world = await filled(5, { pagesPerPlace });
      await put(world, parameter());
      if (stop > 0) await world.pages(stop);
      await world.end();
      const { folder } = world;
      world = await parameterWorld({ folder, pagesPerPlace });
      await put(world, patient('p2', 'green'));
      await world.settled();
      assert.deepEqual(await world.found('Patient?eye=blue'), ['p0', 'p1', 'p3', 'p4']);
      assert.deepEqual(await world.found('Patient?eye=green'), ['p2']);
      assert.equal(world.rowsOf('Patient.eye'), 5);
      await world.end();
      world = await parameterWorld({ folder, pagesPerPlace });
      assert.equal(world.parameters.progress, undefined, 'nothing is left to do');
      assert.deepEqual(await world.found('Patient?eye=green'), ['p2'], 'a restart brings it back');
      await world.end();
      removeWorld(world);
    });
  }
}

test('a place is kept: after an end only what lies behind it is made again', async () => {
  let world = await filled(10);
  await put(world, parameter());
  await world.pages(7);
  await world.end();
  const { folder } = world;
  world = await parameterWorld({ folder });
  assert.ok((world.parameters.progress?.percent ?? 0) >= 60, JSON.stringify(world.parameters.progress));
  await world.end();
  removeWorld(world);
});

test('removal: at once not searchable, rows go in the background, also after an end', async () => {
  let world = await filled(5);
  await put(world, parameter());
  await world.settled();
  assert.equal(world.rowsOf('Patient.eye'), 5);
  assert.equal((await remove(world, 'SearchParameter/eye')).status, 204);
  assert.equal((await world.send('GET', '/Patient?eye=blue')).status, 400);
  await world.pages(2);
  await world.end();
  const { folder } = world;
  world = await parameterWorld({ folder });
  await world.settled();
  assert.equal(world.rowsOf('Patient.eye'), 0);
  const states = json(await world.send('GET', '/SearchParameter/$status'));
  assert.deepEqual(states.parameter, []);
  await world.end();
  removeWorld(world);
});

for (const pages of [0, 2]) {
  test(`added again with another expression, ${pages} pages into the removal`, async () => {
    const world = await filled(5);
    await put(world, parameter());
    await world.settled();
    await remove(world, 'SearchParameter/eye');
    if (pages > 0) await world.pages(pages);
    await put(world, onHair());
    assert.equal((await world.send('GET', '/Patient?eye=grey')).status, 400, 'not whole yet');
    await world.settled();
    assert.deepEqual(await world.found('Patient?eye=blue'), []);
    assert.deepEqual(await world.found('Patient?eye=grey'), some(5));
    assert.equal(world.rowsOf('Patient.eye'), 5);
    await world.end();
    removeWorld(world);
  });
}

test('a definition that is changed is not searchable until its rows are those of the new one', async () => {
  const world = await filled(4);
  await put(world, parameter());
  await world.settled();
  await put(world, onHair());
  await world.pages(2);
  assert.equal((await world.send('GET', '/Patient?eye=grey')).status, 400);
  await world.settled();
  assert.deepEqual(await world.found('Patient?eye=grey'), some(4));
  await put(world, onHair({ description: 'The same rows.' }));
  assert.deepEqual(await world.found('Patient?eye=grey'), some(4), 'what decides no rows changes nothing');
  await put(world, onHair({ status: 'retired' }));
  assert.equal((await world.send('GET', '/Patient?eye=grey')).status, 400);
  await world.settled();
  assert.equal(world.rowsOf('Patient.eye'), 0);
  await put(world, onHair());
  await world.settled();
  assert.deepEqual(await world.found('Patient?eye=grey'), some(4), 'and back');
  await world.end();
  removeWorld(world);
});

test('two at once: of a transaction together; the second in the middle of the first', async () => {
  const world = await filled(6);
  const entry = [parameter(), second].map((resource) => ({
    resource,
    request: { method: 'PUT', url: `SearchParameter/${resource.id}` },
  }));
  const body = { resourceType: 'Bundle', type: 'transaction', entry };
  assert.equal((await world.send('POST', '', { body })).status, 200);
  await world.settled();
  assert.deepEqual(await world.found('Patient?eye=blue&hair=grey'), some(6));
  const third = parameter({ id: 'third', code: 'third', url: 'http://client.example/SearchParameter/third' });
  const last = onHair({ id: 'last', code: 'last', url: 'http://client.example/SearchParameter/last' });
  await put(world, third);
  await world.pages(3);
  await put(world, last);
  await world.pages(1);
  await put(world, patient('p0', 'green', 'black'));
  await world.settled();
  assert.deepEqual(await world.found('Patient?third=blue&last=grey'), some(6).slice(1));
  assert.deepEqual(await world.found('Patient?third=green&last=black'), ['p0']);
  assert.equal(world.rowsOf('Patient.third') + world.rowsOf('Patient.last'), 12);
  await world.end();
  removeWorld(world);
});

test('rows are made only once no request is in work that began before', async () => {
  const world = await filled(3);
  const old = world.other.current;
  const left = old.entered?.();
  await put(world, parameter());
  await turns(300);
  assert.deepEqual(world.logged, [], 'it waits');
  assert.equal((await world.sendBy(old, 'GET', '/Patient?eye=blue')).status, 400, 'a request keeps its snapshot');
  await world.sendBy(old, 'PUT', '/Patient/p9', { body: patient('p9', 'green') });
  left?.();
  await world.settled();
  assert.deepEqual(await world.found('Patient?eye=green'), ['p9'], 'rows are always by the newest');
  await world.end();
  removeWorld(world);
});

test('a request that began before a removal is answered whole', async () => {
  const world = await filled(3);
  await put(world, parameter());
  await world.settled();
  const old = world.live.current;
  const left = old.entered?.();
  await remove(world, 'SearchParameter/eye');
  await turns(300);
  const answered = json(await world.sendBy(old, 'GET', '/Patient?eye=blue&_count=50'));
  assert.equal(at(answered, 'total'), 3);
  left?.();
  await world.settled();
  assert.equal(world.rowsOf('Patient.eye'), 0);
  await world.end();
  removeWorld(world);
});

test('chains look into contained resources, so the rows of their containers are made too', async () => {
  const world = await parameterWorld();
  const holder = (id: string, colour: string): Record<string, unknown> => ({
    resourceType: 'Observation',
    id,
    status: 'final',
    code: { text: 'x' },
    subject: { reference: '#inside' },
    contained: [patient('inside', colour)],
  });
  await put(world, holder('before', 'blue'));
  await put(world, parameter());
  await put(world, holder('meanwhile', 'green'));
  assert.equal((await world.send('GET', '/Observation?subject:Patient.eye=blue')).status, 400);
  await world.settled();
  assert.deepEqual(await world.found('Observation?subject:Patient.eye=blue'), ['before']);
  assert.deepEqual(await world.found('Observation?subject:Patient.eye:not=blue'), ['meanwhile']);
  await remove(world, 'SearchParameter/eye');
  await world.settled();
  assert.equal(world.rowsOf('Observation.subject:contained:Patient.eye'), 0);
  await world.end();
  removeWorld(world);
});

test('a page that was read before a resource changed leaves its newer rows alone', async () => {
  const world = await filled(3);
  await put(world, parameter());
  await world.settled();
  const page = await world.store.indexPage(0, 10);
  await put(world, patient('p0', 'green'));
  await remove(world, 'Patient/p1');
  await world.store.remake(page.rows, (text) => ({
    entries: world.live.current.indexEntries(JSON.parse(text) as Resource),
    patients: [],
  }));
  assert.deepEqual(await world.found('Patient?eye=green'), ['p0']);
  assert.deepEqual(await world.found('Patient?eye=blue'), ['p2']);
  assert.equal(world.rowsOf('Patient.eye'), 2);
  await world.end();
  removeWorld(world);
});

test('threads: told in order, waited for as long as they live, and able to say that they wrote', async () => {
  const world = await parameterWorld();
  const said: string[] = [];
  const threads = new ParameterThreads(async () => {
    said.push('written');
  });
  const eye = activeParameter(parameter() as unknown as Resource);
  const snapshot = { customs: eye === undefined ? [] : [eye], indexing: [] };
  const has = (live: ReturnType<typeof followedContext>) =>
    live.current.capability.types.get('Patient')?.searchParameters.has('eye') === true;
  const answering = followedContext(world.live.base, threads.channel(NO_PARAMETERS, true));
  assert.equal(has(answering), false);
  await threads.swap(snapshot);
  assert.equal(has(answering), true, 'swapped before it resolves');
  await answering.current.parametersWritten?.();
  assert.deepEqual(said, ['written']);

  const left = answering.current.entered?.();
  await threads.swap(NO_PARAMETERS);
  let drained = false;
  const draining = threads.drained().then(() => {
    drained = true;
  });
  await turns(50);
  assert.equal(drained, false, 'a request is in work');
  left?.();
  await draining;

  const busy = threads.channel(NO_PARAMETERS, false);
  await threads.swap(snapshot);
  const waiting = threads.drained();
  busy.close();
  await waiting;
  const dead = threads.channel(NO_PARAMETERS, true);
  const swapping = threads.swap(NO_PARAMETERS);
  dead.close();
  await swapping;
  await world.end();
  removeWorld(world);
});
