/** Imports without sockets and threads: the real door, engine, folders and job, with a gate before each chunk. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileIn } from '../../src/import/folder.ts';
import { type ImportTools, runImport } from '../../src/import/run.ts';
import { Uploads } from '../../src/import/uploads.ts';
import { type DeskSettings, Jobs, type JobThread } from '../../src/jobs/desk.ts';
import { JobLedger } from '../../src/jobs/ledger.ts';
import { type JobTicket, jobRun } from '../../src/jobs/run.ts';
import type { Caller, RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import type { ImportOrder, ImportResult } from '../../src/rest/jobs/import.ts';
import { IMPORT_KIND } from '../../src/rest/jobs/import-status.ts';
import { type JobAnswer, jobAnswer } from '../../src/rest/jobs/status.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { at, BASE, json, type Sent, world } from '../world.ts';
import { type OperationsWorld, operationsWorld } from './operations-world.ts';

export const EXPIRY_MS = 3_600_000;
export const LOCAL = localCaller(localFacts('request-1', '127.0.0.1'));

export interface ImportWorld {
  readonly operations: OperationsWorld;
  /** The folder whose files may be named, and the one of the jobs. */
  readonly files: string;
  readonly jobs: string;
  readonly uploads: Uploads;
  readonly clock: { now: number };
  readonly tools: Partial<ImportTools>;
  gate: Promise<void>;
  send(url: string, sent: Sent & { readonly upload?: string }, caller?: Caller): Promise<FhirResponse>;
  ask(method: string, path: string, caller?: Caller): Promise<JobAnswer>;
  /** A file in the import folder. */
  file(name: string, lines: readonly (object | string)[]): string;
  /** The manifest and the report of an import of these files that is let run to its end. */
  imported(...names: readonly string[]): Promise<{ manifest: object; report: readonly object[]; path: string }>;
  outcomeOf(path: string): Promise<{ manifest: object; report: readonly object[]; path: string }>;
  desk(): Jobs<ImportOrder, ImportResult>;
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** A manifest that names files of the import folder. */
export const manifest = (...urls: readonly string[]): object => ({
  inputFormat: 'application/fhir+ndjson',
  inputSource: 'https://example.org/ehr',
  storageDetail: { type: 'file' },
  input: urls.map((url) => ({ url })),
});

export async function importWorld(settings: Partial<RestContext['settings']> = {}): Promise<ImportWorld> {
  const operations = await operationsWorld(settings);
  const root = mkdtempSync(join(tmpdir(), 'imports-'));
  const files = join(root, 'import');
  mkdirSync(files);
  const jobs = join(root, 'jobs');
  const uploads = await Uploads.open(join(root, 'uploads'));
  const clock = { now: operations.context.ambient.now() };
  const tools: Partial<ImportTools> = {};
  const { wire } = world();
  const inProcess = (ticket: JobTicket): JobThread => {
    let stopped = false;
    const run = async () => {
      await self.gate;
      const { store } = operations.context;
      const order = await new JobLedger<ImportOrder, ImportResult>(store, ticket.kind).job(ticket.id);
      if (order === undefined) return 'stopped' as const;
      const done = await runImport(jobRun(ticket, store), order, {
        context: operations.context,
        caller: LOCAL,
        now: () => clock.now,
        pause: async () => undefined,
        stopped: () => stopped,
        chunk: 3,
        lineBytes: 10_000,
        ...tools,
      });
      return done ? ('complete' as const) : ('stopped' as const);
    };
    const stop = () => {
      stopped = true;
    };
    return { ended: run().catch(() => (stopped ? ('stopped' as const) : ('failed' as const))), stop };
  };
  const deskSettings: DeskSettings<ImportOrder> = {
    kind: 'import',
    store: operations.context.store,
    folder: jobs,
    url: `${BASE.replace('/fhir', '')}/import`,
    expiryMs: EXPIRY_MS,
    now: () => clock.now,
    prepared: async ({ upload }, folder) => (upload === undefined ? undefined : uploads.give(upload, folder)),
    start: async (ticket) => inProcess(ticket),
    report: () => undefined,
  };
  let desk = await Jobs.open<ImportOrder, ImportResult>(deskSettings);
  desk.begin();
  const context = (): RestContext => ({
    ...operations.context,
    imports: { desk, fileOf: (url) => fileIn(files, url) },
  });
  const self: ImportWorld = {
    operations,
    files,
    jobs,
    uploads,
    clock,
    tools,
    gate: Promise.resolve(),
    send: async (url, { upload, ...sent }, caller = LOCAL) => {
      const plain = wire('POST', url, sent);
      if (upload === undefined) return answer(plain, caller, context());
      const kept = await uploads.keep('body', chunksOf(upload));
      try {
        return await answer({ ...plain, upload: kept }, caller, context());
      } finally {
        await uploads.drop(kept.id);
      }
    },
    ask: (method, path, caller = LOCAL) => jobAnswer({ method, path }, desk, IMPORT_KIND, caller, context()),
    file: (name, lines) => {
      const texts = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
      writeFileSync(join(files, name), texts.map((line) => `${line}\n`).join(''));
      return name;
    },
    imported: async (...names) => {
      const { status, headers, body } = await self.send('/$import', { body: manifest(...names) });
      if (status !== 202) throw new Error(`${status} ${body}`);
      await desk.idle();
      return self.outcomeOf((headers['Content-Location'] ?? '').slice(deskSettings.url.length));
    },
    outcomeOf: async (path) => {
      const answered = await self.ask('GET', path);
      if (answered.status !== 200) throw new Error(`${answered.status} ${answered.body}`);
      const found = json(answered);
      const report: object[] = [];
      for (const listed of Array.isArray(found.error) ? found.error : []) {
        const name = String(at(listed, 'url')).slice(deskSettings.url.length);
        const text = readFileSync(join(jobs, name), 'utf8');
        report.push(
          ...text
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line)),
        );
      }
      return { manifest: found, report, path };
    },
    desk: () => desk,
    restart: async () => {
      await desk.end();
      desk = await Jobs.open<ImportOrder, ImportResult>(deskSettings);
      desk.begin();
    },
    close: async () => {
      await desk.end();
      await operations.close();
      rmSync(root, { recursive: true });
    },
  };
  return self;
}

/** Three bytes at a time, so that lines and characters are cut anywhere. */
async function* chunksOf(text: string): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let start = 0; start < bytes.length; start += 3) yield bytes.subarray(start, start + 3);
}
