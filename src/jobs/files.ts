/** Files that are whole or absent after a crash: written beside, synced, renamed, and the folder synced. Source: POSIX rename, fsync. */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Only the account that runs the server reads what is exported. */
export const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  await syncFolder(dirname(folder));
}

/** Durable when it resolves. */
export async function writeWhole(file: string, value: unknown): Promise<void> {
  const beside = `${file}.new`;
  const handle = await open(beside, 'w', FILE_MODE);
  try {
    await handle.writeFile(JSON.stringify(value));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(beside, file);
  await syncFolder(dirname(file));
}

/** undefined when the file is not there. Only `writeWhole` writes these files, so their shape is the caller's to name. */
export async function readWhole<T>(file: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as T;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
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
