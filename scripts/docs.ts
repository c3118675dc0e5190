/** Pages generated from tables: `npm run docs` writes them, `--check` fails when a committed page differs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { SETTINGS } from '../src/config.ts';
import { conformanceGround, conformancePage, unproven } from './conformance.ts';
import { modelFiguresPage } from './model-figures.ts';
import { coveragePage, requirementSets } from './requirements.ts';

const configuration = [
  '# Configuration',
  '',
  'Environment variables; generated from `src/config.ts`. A value that does not parse stops the start and is named.',
  '',
  '| variable | default | meaning |',
  '|---|---|---|',
  ...Object.entries(SETTINGS).map(
    ([name, { fallback, doc }]) =>
      `| \`${name}\` | ${fallback === undefined ? '' : `\`${fallback}\``} | ${doc.replaceAll('|', '\\|')} |`,
  ),
  '',
].join('\n');

const conformance = conformanceGround();
const bare = unproven(conformance);
if (bare.length > 0) {
  console.error(`Claimed, but no row of docs/requirements or of the case tables shows it: ${bare.join(', ')}.`);
  process.exit(1);
}

const PAGES: Readonly<Record<string, string>> = {
  'docs/configuration.md': configuration,
  'docs/conformance.md': conformancePage(conformance),
  'docs/model-figures.md': modelFiguresPage(),
  'docs/requirements-coverage.md': coveragePage(requirementSets()),
};

const check = process.argv.includes('--check');
const stale = Object.entries(PAGES).filter(([path, text]) => {
  let current = '';
  try {
    current = readFileSync(path, 'utf8');
  } catch {
    current = '';
  }
  if (current === text) return false;
  if (!check) writeFileSync(path, text);
  return true;
});
if (check && stale.length > 0) {
  console.error(`Out of date: ${stale.map(([path]) => path).join(', ')}. Run \`npm run docs\`.`);
  process.exit(1);
}
console.log(
  check
    ? 'Generated pages are up to date.'
    : `Written: ${stale.map(([path]) => path).join(', ') || 'nothing to change'}.`,
);
