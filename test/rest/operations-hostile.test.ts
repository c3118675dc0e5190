// operations.html: whatever is sent as input, the answer is never a 5xx, and a refusal is an OperationOutcome.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OPERATION_IDS, operationId } from '../../src/fhir/definitions/capability.ts';
import type { OperationParameter } from '../../src/fhir/definitions/definitions.ts';
import { OPERATIONS } from '../../src/rest/operations.ts';
import { json } from '../world.ts';
import { type OperationsWorld, operationsWorld } from './operations-world.ts';

let w: OperationsWorld;
before(async () => {
  w = await operationsWorld();
  await w.hold(
    { resourceType: 'Patient', id: 'x' },
    { resourceType: 'Encounter', id: 'x', status: 'planned', class: { code: 'AMB' } },
    {
      resourceType: 'Composition',
      id: 'x',
      status: 'final',
      type: { text: 'x' },
      date: '2025',
      title: 'x',
      author: [{ reference: 'Patient/x' }],
    },
    { resourceType: 'CodeSystem', id: 'x', url: 'http://x.org', status: 'active', content: 'complete' },
    { resourceType: 'ValueSet', id: 'x', url: 'http://x.org', status: 'active' },
    { resourceType: 'ConceptMap', id: 'x', url: 'http://x.org', status: 'active' },
  );
});
after(async () => {
  await w.close();
  assert.deepEqual(w.reported, []);
});

/** Numbers in [0, 1) that are the same in every run; mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const WORDS = [
  '',
  'x',
  'http://x.org',
  'http://x.org|',
  '|',
  '-1',
  '0',
  '1',
  'true',
  '2025',
  '2025-01-01T00:00:00Z',
  'Patient',
  'Patient/x',
  'create',
  'delete',
  '\u{1f4a9}',
  'a'.repeat(5000),
  '%',
  '__proto__',
  'constructor',
];
const NESTED: readonly unknown[] = [
  null,
  [],
  {},
  0,
  1e300,
  -1,
  true,
  { code: 'x' },
  { coding: [{}] },
  { coding: 'x' },
  [{ code: 1 }],
  { resourceType: 'Patient' },
  { resourceType: 'Bundle', entry: [{ resource: { resourceType: 'Patient', id: 7 } }] },
  { resourceType: 'Parameters', parameter: [] },
  { resourceType: 'ValueSet', status: 'active', compose: { include: [{ valueSet: ['http://x.org'] }] } },
  { resourceType: 'ValueSet', compose: [] },
  {
    resourceType: 'CodeSystem',
    status: 'draft',
    content: 'complete',
    concept: [{ code: 'x', concept: [{ code: 'x' }] }],
  },
  { resourceType: 'Nothing' },
  { resourceType: 7 },
];

function value(random: () => number): unknown {
  const list: readonly unknown[] = random() < 0.6 ? WORDS : NESTED;
  return list[Math.floor(random() * list.length)];
}

function part(defined: readonly OperationParameter[], random: () => number): unknown {
  if (random() < 0.03) return value(random);
  const parameter = defined[Math.floor(random() * defined.length)];
  const name = random() < 0.9 ? (parameter?.name ?? 'x') : value(random);
  const type = parameter?.type ?? 'String';
  const element = `value${type.charAt(0).toUpperCase()}${type.slice(1)}`;
  const fits = random();
  if (fits < 0.45) return { name, [element]: value(random) };
  if (fits < 0.7) return { name, resource: value(random) };
  if (fits < 0.8) return { name, part: [value(random)] };
  return { name, valueString: value(random), ...(random() < 0.2 ? { resource: value(random) } : {}) };
}

const RUNS = Math.min(Number(process.env.GENERATED_CASES ?? 20), 300);
for (const id of OPERATION_IDS) {
  test(`whatever Parameters hold, $${id} answers below 500`, async () => {
    const { definitions } = w.context;
    const definition = definitions.operations.find((each) => operationId(each) === id);
    assert.ok(definition);
    const inputs = definition.parameters.filter(({ use }) => use === 'in');
    const [first = 'Resource'] = definition.resource;
    const type = first === 'Resource' ? 'Patient' : first;
    const places = OPERATIONS[id].levels.map(
      (level) => ({ system: '', type: `/${type}`, instance: `/${type}/x` })[level],
    );
    const random = seeded(id.length * 7919);
    for (let run = 0; run < RUNS; run++) {
      const place = places[run % places.length] ?? '';
      const parameter = Array.from({ length: Math.floor(random() * 5) }, () => part(inputs, random));
      const body = run % 7 === 0 ? value(random) : { resourceType: 'Parameters', parameter };
      const response = await w.send('POST', `${place}/$${definition.code}`, { body: JSON.stringify(body) });
      const told = JSON.stringify(body).slice(0, 500);
      assert.ok(response.status < 500, `${response.status}: ${told} ${response.body}`);
      if (response.status >= 400) assert.equal(json(response).resourceType, 'OperationOutcome', told);
    }
  });
  test(`whatever its query holds, $${id} answers below 500`, async () => {
    const definition = w.context.definitions.operations.find((each) => operationId(each) === id);
    assert.ok(definition);
    const [first = 'Resource'] = definition.resource;
    const type = first === 'Resource' ? 'Patient' : first;
    const random = seeded(id.length * 104729);
    const names = [...definition.parameters.map(({ name }) => name), '_cursor', 'patient', 'code', 'x', '_format'];
    for (let run = 0; run < RUNS; run++) {
      const pairs = Array.from({ length: Math.floor(random() * 5) }, () => {
        const name = names[Math.floor(random() * names.length)];
        const word = WORDS[Math.floor(random() * WORDS.length)] ?? '';
        return `${name}=${word === '%' ? word : encodeURIComponent(word)}`;
      });
      for (const place of ['', `/${type}`, `/${type}/x`]) {
        const { status, body } = await w.send('GET', `${place}/$${definition.code}?${pairs.join('&')}`);
        assert.ok(status < 500, `${status}: ${pairs.join('&')} ${body}`);
      }
    }
  });
}
