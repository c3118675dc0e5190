// docs/architecture.md#storage: what a probe found is remembered for a short time, and never says more than it knows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Probes } from '../../src/store/sqlite/probes.ts';

const rows: readonly [name: string, found: number, within: number, asked: number, answer: number | undefined][] = [
  ['exact, the same limit', 5, 10, 10, 5],
  ['exact, a larger limit', 5, 10, 1000, 5],
  ['exact, at its limit', 10, 10, 1000, 10],
  ['exact, a limit just reached', 5, 10, 5, 5],
  ['exact, a smaller limit: more than that', 5, 10, 4, 5],
  ['exact, a much smaller limit', 5, 10, 2, 3],
  ['more than counted, the same limit', 11, 10, 10, 11],
  ['more than counted, a smaller limit', 11, 10, 3, 4],
  ['more than counted, a larger limit: not known', 11, 10, 11, undefined],
  ['nothing', 0, 10, 10, 0],
];
for (const [name, found, limit, asked, answer] of rows) {
  test(`probes: ${name}`, () => {
    const probes = new Probes(() => 0);
    probes.set('key', limit, found);
    assert.equal(probes.get('key', asked), answer);
    assert.equal(probes.get('other', asked), undefined);
  });
}

test('probes: known for two seconds, no longer; the oldest of very many is forgotten', () => {
  let now = 0;
  const probes = new Probes(() => now);
  probes.set('key', 10, 5);
  now = 2000;
  assert.equal(probes.get('key', 10), 5);
  now = 2001;
  assert.equal(probes.get('key', 10), undefined);
  for (let index = 0; index <= 1000; index++) probes.set(`${index}`, 10, 1);
  assert.deepEqual([probes.get('0', 10), probes.get('1', 10), probes.get('1000', 10)], [undefined, 1, 1]);
});
