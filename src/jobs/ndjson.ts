/** NDJSON files of one job, type by type, split at a number of lines. Source: FHIR Bulk Data Access 2.0.0, file request; ndjson.org. */
import { type FileHandle, open, readdir, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobFile } from '../rest/job.ts';
import { FILE_MODE } from './files.ts';

export class NdjsonFiles {
  readonly #folder: string;
  readonly #mostLines: number;
  readonly #files: JobFile[];
  #handle: FileHandle | undefined;

  private constructor(folder: string, mostLines: number, files: readonly JobFile[]) {
    this.#folder = folder;
    this.#mostLines = mostLines;
    this.#files = [...files];
  }

  /** Goes on where `files` were synced: what a crash left behind them is cut off. */
  static async resume(folder: string, mostLines: number, files: readonly JobFile[]): Promise<NdjsonFiles> {
    const known = new Set(files.map(({ name }) => name));
    for (const name of await readdir(folder)) {
      if (name.endsWith('.ndjson') && !known.has(name)) await rm(join(folder, name));
    }
    for (const { name, bytes } of files) await truncate(join(folder, name), bytes);
    return new NdjsonFiles(folder, mostLines, files);
  }

  /** Appends lines of one type; a text must not hold line breaks. */
  async append(type: string, texts: readonly string[]): Promise<void> {
    let from = 0;
    while (from < texts.length) {
      const file = await this.#fileFor(type);
      const some = texts.slice(from, from + this.#mostLines - file.count);
      const bytes = Buffer.from(`${some.join('\n')}\n`);
      await this.#handle?.appendFile(bytes);
      this.#files.splice(-1, 1, { ...file, count: file.count + some.length, bytes: file.bytes + bytes.length });
      from += some.length;
    }
  }

  /** The files so far, synced. */
  async synced(): Promise<readonly JobFile[]> {
    await this.#handle?.sync();
    return [...this.#files];
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }

  /** The last file while it is of this type and has room, else a new one. */
  async #fileFor(type: string): Promise<JobFile> {
    const last = this.#files.at(-1);
    if (last?.type === type && last.count < this.#mostLines) {
      this.#handle ??= await open(join(this.#folder, last.name), 'a', FILE_MODE);
      return last;
    }
    await this.#handle?.sync();
    await this.close();
    const number = this.#files.filter((each) => each.type === type).length + 1;
    const file = { type, name: `${type}-${number}.ndjson`, count: 0, bytes: 0 };
    this.#handle = await open(join(this.#folder, file.name), 'a', FILE_MODE);
    this.#files.push(file);
    return file;
  }
}
