// Every card of the seed patients is as it was reviewed: test/cds/golden holds them, `node scripts/golden-cards.ts` writes them anew.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GOLDEN, goldenCards } from './golden-cards.ts';

const cards = await goldenCards();

test('golden-card@files: one for each scenario that shows a card', () => {
  const files = readdirSync(GOLDEN).map((name) => name.replace(/\.json$/, ''));
  assert.deepEqual(files.toSorted(), [...cards.keys()].toSorted());
});

for (const [name, shown] of cards) {
  test(`golden-card@seed: ${name}`, () => {
    assert.deepEqual(JSON.parse(JSON.stringify(shown)), JSON.parse(readFileSync(join(GOLDEN, `${name}.json`), 'utf8')));
  });
}
