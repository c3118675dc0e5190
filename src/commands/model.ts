/** `firewatch model ...`: what is asked of models from the command line, while no server needs to run. */
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { FOLDERS } from '../folders.ts';
import { checkModel, type Proof } from '../risk/models/check.ts';
import type { DriftReport } from '../risk/models/drift.ts';
import { buildSystem } from '../system.ts';
import { progressBar } from './progress.ts';

const SIGNS = { holds: 'ok  ', noted: 'note', fails: 'FAIL' } as const satisfies Record<Proof['state'], string>;

/** Prints each proof as it is made; exit code 1 when one fails. */
async function check(folder: string): Promise<void> {
  const failed: Proof[] = [];
  for await (const proof of checkModel(folder, readConfig().MODELS_DIR ?? FOLDERS.models)) {
    console.log(`${SIGNS[proof.state]} ${proof.what.padEnd(11)} ${proof.told}`);
    if (proof.state === 'fails') failed.push(proof);
  }
  console.log(
    failed.length === 0
      ? 'The model may answer.'
      : `The model may not answer: ${failed.map(({ what }) => what).join(', ')}.`,
  );
  process.exitCode = failed.length === 0 ? 0 : 1;
}

const DAY_MS = 86_400_000;
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const MOST_INPUTS = 10;

/** ms since 1970. @throws TypeError for what is no date */
function instant(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new TypeError(`\`${text}\` is no date: write 2026-03-01 or 2026-03-01T12:00:00Z`);
  return at;
}

/** Lines for one model; no patient is named. */
function told({ model, patients, bands, state, inputs, calibration }: DriftReport): readonly string[] {
  const { outcomes, observed, expected, distance } = calibration;
  const shares = Object.entries(bands).map(([band, share]) => `${band} ${percent(share)}`);
  return [
    `${model}: ${state}; ${patients} patients with a card${shares.length === 0 ? '' : ` (${shares.join(', ')})`}`,
    `  inputs      ${inputs.state}${inputs.drifted.length === 0 ? '' : `: ${inputs.drifted.length} drifted`}`,
    ...inputs.drifted
      .slice(0, MOST_INPUTS)
      .map(
        ({ name, psi, weight, missing }) =>
          `    ${name} PSI ${psi.toFixed(2)}, ${percent(weight)} of contributions, missing ${percent(missing.seen)} (expected ${percent(missing.expected)})`,
      ),
    `  calibration ${calibration.state}: ${outcomes} outcomes known, ${observed} observed, ${expected.toFixed(1)} expected, ${distance.toFixed(1)} standard errors`,
  ];
}

/** Exit code 1 when a model has drifted. */
async function drift(options: { readonly from?: string; readonly to?: string }): Promise<void> {
  // Nobody is scored or counted while records are read.
  const system = await buildSystem({ ...readConfig(), MONITORING: 'off', SURVEILLANCE: 'off' });
  try {
    const to = options.to === undefined ? system.ambient.now() : instant(options.to);
    const from = options.from === undefined ? to - system.drift.limits.days * DAY_MS : instant(options.from);
    const reports = await system.drift.run(from, to, progressBar('decision records'));
    for (const report of reports) for (const line of told(report)) console.log(line);
    if (reports.length === 0) console.log('No model has a reference.json.');
    process.exitCode = reports.some(({ state }) => state === 'alert') ? 1 : 0;
  } finally {
    await system.close();
  }
}

export function modelCommands(program: Command): void {
  const model = program
    .command('model')
    .description('check a model, or how models do; see docs/your-own-model.md and docs/models.md');
  model
    .command('check')
    .argument('<folder>', 'folder of one version, e.g. models/sepsis-icu/1.0.0')
    .description(
      'prove manifest, eligibility, card, graph, tensors and worked cases, and measure its speed; exit code 1 when it may not answer',
    )
    .action(check);
  model
    .command('drift')
    .option(
      '--from <date>',
      'first instant of the calls looked at; default: as many days before the end as models/drift.json says',
    )
    .option('--to <date>', 'end, not included; default: now')
    .description(
      'compare inputs and outcomes with those of training, while no server runs on the store; exit code 1 when a model has drifted',
    )
    .action(drift);
}
