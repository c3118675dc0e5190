/** `firewatch model ...`: what is asked of models from the command line, while no server needs to run. */
import type { Command } from 'commander';
import { readConfig } from './config.ts';
import { FOLDERS } from './folders.ts';
import { checkModel, type Proof } from './risk/model-check.ts';

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

export function modelCommands(program: Command): void {
  const model = program.command('model').description('check a model; see docs/your-own-model.md');
  model
    .command('check')
    .argument('<folder>', 'folder of one version, e.g. models/sepsis-icu/1.0.0')
    .description(
      'prove manifest, eligibility, card, graph, tensors and worked cases, and measure its speed; exit code 1 when it may not answer',
    )
    .action(check);
}
