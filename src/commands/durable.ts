/** Files that are there whole, or not at all, whenever the machine stops. Source: POSIX rename, fsync. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Only the account that runs the server reads them. */
const MODE = 0o600;

export async function synced(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Renames what is synced already, and syncs the folder. */
export async function renamed(from: string, to: string): Promise<void> {
  await rename(from, to);
  await synced(dirname(to));
}

/** Takes the place of what was there in one step. */
export async function writeDurably(file: string, content: string | Uint8Array): Promise<void> {
  await writeFile(`${file}.part`, content, { mode: MODE, flush: true });
  await renamed(`${file}.part`, file);
}

/** SHA-256 of a file, hex. */
export async function hashOfFile(file: string): Promise<string> {
  const sum = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) sum.update(chunk);
  return sum.digest('hex');
}
