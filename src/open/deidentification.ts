/** The rules, and the key of one de-identified export: made when it starts, destroyed when it ends; or one that the operator keeps. Source: docs/decisions/0045-de-identified-export.md. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deidentifier } from '../deidentify/deidentify.ts';
import { pseudonyms } from '../deidentify/pseudonyms.ts';
import { loadRules } from '../deidentify/rules.ts';
import type { Deidentifying } from '../export/run.ts';
import { FOLDERS } from '../folders.ts';
import { FILE_MODE } from '../jobs/files.ts';
import type { RestContext } from '../rest/context.ts';
import type { ExportJob } from '../rest/jobs/export.ts';

interface JobKey {
  readonly key: Uint8Array;
  /** True: made now. */
  readonly isNew: boolean;
  /** Overwritten, then removed; no more than that can be promised of a disk. A kept key stays. */
  destroy(): Promise<void>;
}

const KEY_BYTES = 32;
const NAME = 'key.secret';

/** What a job needs that is de-identified; undefined: it is not. @param folder of the job. @param kept DEIDENTIFICATION_KEY_FILE */
export async function deidentifying(
  { deidentify: mode, transactionTime }: ExportJob,
  folder: string,
  kept: string | undefined,
  { definitions, settings }: Pick<RestContext, 'definitions' | 'settings'>,
): Promise<Deidentifying | undefined> {
  if (mode === undefined) return undefined;
  const { key, isNew, destroy } = await jobKey(folder, kept);
  const deidentify = deidentifier({
    rules: loadRules(FOLDERS.deidentification),
    definitions,
    fhirBase: settings.fhirBase,
    pseudonyms: pseudonyms(key),
    year: new Date(transactionTime).getUTCFullYear(),
    mode,
  });
  return { deidentify, isNew, destroyKey: destroy };
}

/** Types that can be given. @throws TypeError for rules or a kept key that cannot be used: told at the start, not by a job */
export function deidentifiableTypes(kept: string | undefined): ReadonlySet<string> {
  if (kept !== undefined) keptKey(kept);
  return new Set(loadRules(FOLDERS.deidentification).resources);
}

/** @param kept DEIDENTIFICATION_KEY_FILE */
async function jobKey(folder: string, kept: string | undefined): Promise<JobKey> {
  if (kept !== undefined) return { key: keptKey(kept), isNew: false, destroy: async () => undefined };
  const file = join(folder, NAME);
  const isNew = !existsSync(file) || !isKey(await readFile(file));
  if (isNew) await write(file, randomBytes(KEY_BYTES));
  return {
    key: await readFile(file),
    isNew,
    destroy: async () => {
      await write(file, new Uint8Array(KEY_BYTES));
      await rm(file);
    },
  };
}

/** Not one that was cut off while it was made, or overwritten and not yet removed. */
const isKey = (bytes: Uint8Array): boolean => bytes.length >= KEY_BYTES && bytes.some((byte) => byte !== 0);

/** @throws TypeError for a file that is no key */
function keptKey(file: string): Uint8Array {
  const key = readFileSync(file);
  if (isKey(key)) return key;
  throw new TypeError(`DEIDENTIFICATION_KEY_FILE: a key has at least ${KEY_BYTES} bytes, not all of them zero.`);
}

/** Synced when it resolves: what is in the same place before is gone. */
async function write(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, existsSync(file) ? 'r+' : 'w', FILE_MODE);
  try {
    await handle.write(bytes, 0, bytes.length, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
