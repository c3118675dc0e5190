// docs/decisions/0042: where other processes write too, what is remembered of consents and links is believed as long as the engine, asked, says that nothing changed.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { AccessFilter } from '../../src/fhir/search/algebra.ts';
import { personOf } from '../../src/rest/interactions/patient-links.ts';
import { HeldConsents } from '../../src/smart/held-consents.ts';
import type { ResourceStore } from '../../src/store/port.ts';
import { engineWorld } from '../rest/engine-world.ts';

const engine = await engineWorld([{ resourceType: 'Patient', id: 'p' }]);
after(() => engine.close());
const EVERYTHING: AccessFilter = { principal: '', visible: () => ({ kind: 'all' }) };

/** The store as of an engine that only knows when it is asked; what is read of it is counted. */
function asked(stamp: (types?: readonly string[]) => Promise<number | undefined>) {
  const { store } = engine.context;
  const reads: string[] = [];
  const own: Partial<ResourceStore> = { stamp: () => undefined, askedStamp: stamp };
  const counted = new Proxy(store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(own, name) ?? Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      if (name === 'history' || name === 'search') reads.push(name);
      return member.bind(target);
    },
  });
  return { store: counted, reads };
}

for (const [name, work] of [
  [
    'consents',
    (store: ResourceStore) => {
      const held = new HeldConsents(store, engine.context.settings.fhirBase);
      return () => held.current(0);
    },
  ],
  ['links', (store: ResourceStore) => () => personOf('p', EVERYTHING, { ...engine.context, store })],
] as const) {
  test(`smart@asked-stamp: ${name} are read again when the number changes, or is not known, and only then`, async () => {
    let number: number | undefined = 1;
    const types = new Set<string>();
    const { store, reads } = asked(async (of = []) => {
      for (const type of of) types.add(type);
      return number;
    });
    const look = work(store);
    await look();
    const first = reads.length;
    assert.ok(first > 0, 'control: it is read');
    await look();
    assert.equal(reads.length, first, 'the same number');
    number = 2;
    await look();
    const second = reads.length;
    assert.ok(second > first, 'another number');
    number = undefined;
    await look();
    await look();
    assert.ok(reads.length >= second + 2, 'none');
    assert.ok(types.has('Patient'), [...types].join());
  });
}
