/** The folder whose files an import may name, and nothing beside it. Source: docs/threat-model.md (paths), docs/decisions/0015-bulk-export.md. */
import { realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NamedFile } from '../rest/jobs/import.ts';

/**
 * A regular file at or below the folder, by its name there or its `file:` URL, after links are followed.
 * @returns undefined when there is none, it lies elsewhere or cannot be read
 */
export async function fileIn(folder: string, url: string): Promise<NamedFile | undefined> {
  try {
    const root = await realpath(folder);
    const path = await realpath(/^file:/i.test(url) ? fileURLToPath(url) : join(root, decodeURIComponent(url)));
    const found = await stat(path);
    return path.startsWith(root + sep) && found.isFile() ? { path, bytes: found.size } : undefined;
  } catch (error) {
    // Not there, not ours to read, a loop of links, a name that is too long, no URL of a file.
    if (error instanceof Error && ('code' in error || error instanceof URIError)) return undefined;
    throw error;
  }
}
