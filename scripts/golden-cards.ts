/** Writes test/cds/golden anew: the cards of the seed patients, for review in the diff. Run: node scripts/golden-cards.ts */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GOLDEN, goldenCards } from '../test/cds/golden-cards.ts';

const cards = await goldenCards();
rmSync(GOLDEN, { recursive: true, force: true });
mkdirSync(GOLDEN, { recursive: true });
for (const [name, shown] of cards) writeFileSync(join(GOLDEN, `${name}.json`), `${JSON.stringify(shown, null, 1)}\n`);
console.log(`${cards.size} files written to test/cds/golden.`);
