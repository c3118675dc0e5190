/** Folders of jobs, which are there or not after a crash. Source: POSIX rename, fsync. */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Only the account that runs the server reads what is exported. */
export const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  await syncFolder(dirname(folder));
}

/** Gone for whoever looks, in one step; then its content is removed. No error when it was not there. */
export async function removeFolder(folder: string): Promise<void> {
  try {
    await rename(folder, folder + GONE);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  await rm(folder + GONE, { recursive: true, force: true });
}

/** Ending of folders that are being removed. */
export const GONE = '.gone';

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
