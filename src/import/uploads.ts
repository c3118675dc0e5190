/** NDJSON that comes as the body of a kick-off: streamed to disk, one at a time, until its job takes it. */
import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fhirError } from '../fhir/outcome.ts';
import { FILE_MODE, makeFolder } from '../jobs/files.ts';
import { UPLOAD } from './run.ts';

export class Uploads {
  readonly #folder: string;
  #receiving = false;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param folder emptied: what is there belongs to no job; same file system as the jobs */
  static async open(folder: string): Promise<Uploads> {
    await rm(folder, { recursive: true, force: true });
    await makeFolder(folder);
    return new Uploads(folder);
  }

  /** On disk when it resolves. @throws FhirError `throttled` (429) while another one is received; what the stream throws */
  async keep(id: string, body: AsyncIterable<Uint8Array>): Promise<{ readonly id: string; readonly bytes: number }> {
    if (this.#receiving) throw fhirError('throttled', 'Another import is being received. Try again later.');
    this.#receiving = true;
    try {
      await pipeline(body, createWriteStream(this.#path(id), { mode: FILE_MODE }));
      const handle = await open(this.#path(id), 'r+');
      try {
        await handle.sync();
        return { id, bytes: (await handle.stat()).size };
      } finally {
        await handle.close();
      }
    } catch (error) {
      await this.drop(id);
      throw error;
    } finally {
      this.#receiving = false;
    }
  }

  /** Gives a body to the job in this folder: from then on the folder is all there is of it. */
  async give(id: string, folder: string): Promise<void> {
    await rename(this.#path(id), join(folder, UPLOAD));
  }

  /** Removes a body that no job took. */
  async drop(id: string): Promise<void> {
    await rm(this.#path(id), { force: true });
  }

  #path(id: string): string {
    return join(this.#folder, id);
  }
}
