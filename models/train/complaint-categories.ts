/** Complaints of training rows as the server reads them: one text a line on standard input, its categories (space between, `?` when not understood) on standard output. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadSchemas, readChecked } from '../../src/risk/manifest.ts';
import { complaintsOf } from '../../src/risk/triage/complaint.ts';

const MODELS = join(import.meta.dirname, '..');
const table = readChecked(MODELS, 'complaints.json', loadSchemas(MODELS).complaints);

/** Categories that a chief complaint states, `?` when the table understands nothing of it. */
export function categoriesOfText(text: string): string {
  const visit = { resourceType: 'Encounter', id: 'visit', status: 'in-progress', reasonCode: [{ text }] };
  const found = complaintsOf({ patient: undefined, resources: [visit], at: 0 }, 24, table);
  return found?.recognised === true ? found.present.map(({ category }) => category).join(' ') : '?';
}

if (import.meta.main) {
  const texts = readFileSync(0, 'utf8').replace(/\n$/, '').split('\n');
  process.stdout.write(`${texts.map(categoriesOfText).join('\n')}\n`);
}
