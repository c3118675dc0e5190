/**
 * NDJSON files of one run of a job, type by type, split at a number of lines. A run appends to files of its own only, so that one that was taken
 * over without knowing it never writes into those of the run that goes on. Source: FHIR Bulk Data Access 2.0.0, file request; ndjson.org.
 */
import { type FileHandle, open, readdir, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobFile } from '../rest/jobs/job.ts';
import { FILE_MODE } from './files.ts';

/** Most files of one type and run: `Patient-20003.ndjson` is the third of the third run. */
const RUN_FILES = 10_000;
const NUMBER = /-(\d+)\.ndjson$/;

export class NdjsonFiles {
  readonly #folder: string;
  readonly #mostLines: number;
  readonly #files: JobFile[];
  readonly #term: number;
  #handle: FileHandle | undefined;

  private constructor(folder: string, term: number, mostLines: number, files: readonly JobFile[]) {
    this.#folder = folder;
    this.#term = term;
    this.#mostLines = mostLines;
    this.#files = [...files];
  }

  /** Goes on where `files` were synced: what a crash left behind them is cut off, or never read. */
  static async resume(
    { folder, term }: { readonly folder: string; readonly term: number },
    mostLines: number,
    files: readonly JobFile[],
  ): Promise<NdjsonFiles> {
    const known = new Set(files.map(({ name }) => name));
    for (const name of await readdir(folder)) {
      if (name.endsWith('.ndjson') && !known.has(name)) await rm(join(folder, name));
    }
    const resumed = new NdjsonFiles(folder, term, mostLines, files);
    for (const file of files) if (resumed.#isOwn(file)) await truncate(join(folder, file.name), file.bytes);
    return resumed;
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

  /** Removes the files of every run. */
  async remove(): Promise<void> {
    await this.close();
    for (const { name } of this.#files.splice(0)) await rm(join(this.#folder, name), { force: true });
  }

  /** The last file while it is of this type and has room, else a new one. */
  async #fileFor(type: string): Promise<JobFile> {
    const last = this.#files.at(-1);
    if (last?.type === type && last.count < this.#mostLines && this.#isOwn(last)) {
      this.#handle ??= await open(join(this.#folder, last.name), 'a', FILE_MODE);
      return last;
    }
    await this.#handle?.sync();
    await this.close();
    const own = this.#files.filter((each) => each.type === type && this.#isOwn(each)).length;
    if (own >= RUN_FILES) throw new Error('A job has too many files of one type.');
    const file = { type, name: `${type}-${(this.#term - 1) * RUN_FILES + own + 1}.ndjson`, count: 0, bytes: 0 };
    this.#handle = await open(join(this.#folder, file.name), 'a', FILE_MODE);
    this.#files.push(file);
    return file;
  }

  #isOwn({ name }: JobFile): boolean {
    const number = Number(NUMBER.exec(name)?.[1] ?? 0);
    return number > (this.#term - 1) * RUN_FILES && number <= this.#term * RUN_FILES;
  }
}
