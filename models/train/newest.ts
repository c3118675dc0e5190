/** The folder that training writes and evaluation reads: a model's highest version. Older ones stay as they were, for the decisions that name them. */
import { join } from 'node:path';
import { versionsOnDisk } from '../../src/risk/models/models.ts';

const MODELS = join(import.meta.dirname, '..');

/** Highest version of a model on disk. @throws TypeError when there is none */
export function newestVersion(model: string): string {
  const version = versionsOnDisk(MODELS).get(model)?.at(-1);
  if (version === undefined) throw new TypeError(`There is no model ${model}.`);
  return version;
}

/** Its folder. */
export const newestOf = (model: string): string => join(MODELS, model, newestVersion(model));
