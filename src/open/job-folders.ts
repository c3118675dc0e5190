/**
 * Where the files of jobs are: the folder of the embedded database, or, where several processes share a database, a folder that all of them reach.
 * That it is the same one is looked at: the store and the folder hold one name. Source: docs/decisions/0052-jobs-in-the-store.md.
 */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { FILE_MODE, isMissing, makeFolder } from '../jobs/files.ts';
import type { ResourceStore } from '../store/port.ts';

export interface JobPlaces {
  /** undefined: there is none, and `refusal` says why. */
  readonly folder: string | undefined;
  /** What clients are told who order what has files. */
  readonly refusal: string | undefined;
}
type PlaceConfig = Pick<Config, 'DATA_DIR' | 'DATA_KEY_FILE' | 'EXPORT_UNENCRYPTED' | 'JOBS_DIR' | 'MONGODB_URL'>;
type NameStore = Pick<ResourceStore, 'commit' | 'keyed'>;

const ENCRYPTED =
  'The database is encrypted, and files of bulk exports and imports are not: EXPORT_UNENCRYPTED=true allows them all the same.';
const NOWHERE =
  'Bulk export and import need a folder that every process of the installation reaches: the setting JOBS_DIR names none.';
const SPACE = 'job-folder';
const NAME_FILE = 'jobs.id';

/** @throws Error when the folder is another than that of the processes before */
export async function jobPlaces(config: PlaceConfig, store: NameStore, newId: () => string): Promise<JobPlaces> {
  const { MONGODB_URL, JOBS_DIR, DATA_DIR } = config;
  const refusal = config.DATA_KEY_FILE !== undefined && !config.EXPORT_UNENCRYPTED ? ENCRYPTED : undefined;
  if (MONGODB_URL === undefined) return { folder: JOBS_DIR ?? DATA_DIR, refusal };
  if (JOBS_DIR === undefined) return { folder: undefined, refusal: NOWHERE };
  await makeFolder(JOBS_DIR);
  await assertOne(JOBS_DIR, store, newId);
  return { folder: JOBS_DIR, refusal };
}

/** The first process names folder and store alike; whoever comes later finds the same name in both, or has another folder. */
async function assertOne(folder: string, store: NameStore, newId: () => string): Promise<void> {
  const file = join(folder, NAME_FILE);
  if ((await store.keyed(SPACE, 'name')) === undefined) {
    const value = await named(file, newId());
    await store.commit({ commands: [{ op: 'set', space: SPACE, key: 'name', value, expect: null }], audit: [] });
  }
  const known = (await store.keyed(SPACE, 'name'))?.value ?? '';
  const found = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (found === known) return;
  throw new Error(
    `JOBS_DIR is not the folder that this database's jobs have their files in: no file ${NAME_FILE} with the text ${known} is there. Mount that folder; when it is lost for good, put such a file into an empty one.`,
  );
}

/** The name in the file, which is made when it is not there. */
async function named(file: string, name: string): Promise<string> {
  try {
    const handle = await open(file, 'wx', FILE_MODE);
    try {
      await handle.writeFile(name);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return name;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return readFile(file, 'utf8');
    throw error;
  }
}
