/** Exports without sockets and threads: the real door, engine, folders and job; a clock of its own, a gate before each job. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExportTools, runExport } from '../../src/export/run.ts';
import type { Predicate } from '../../src/fhir/search/algebra.ts';
import { type DeskSettings, Jobs, type JobThread } from '../../src/jobs/desk.ts';
import { JobLedger } from '../../src/jobs/ledger.ts';
import { type JobTicket, jobRun } from '../../src/jobs/run.ts';
import { deidentifiableTypes, deidentifying } from '../../src/open/deidentification.ts';
import type { Caller, RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import type { ExportOrder } from '../../src/rest/jobs/export.ts';
import { EXPORT_KIND } from '../../src/rest/jobs/export-status.ts';
import type { JobResult } from '../../src/rest/jobs/job.ts';
import { type JobAnswer, jobAnswer } from '../../src/rest/jobs/status.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { callerNow } from '../../src/smart/access.ts';
import type { AccessPolicy } from '../../src/smart/policy.ts';
import { at, BASE, json, type Sent, world } from '../world.ts';
import { type OperationsWorld, operationsWorld } from './operations-world.ts';

export const EXPIRY_MS = 3_600_000;
export const ASYNC = { headers: { prefer: 'respond-async' } };
export const LOCAL = localCaller(localFacts('request-1', '127.0.0.1'));

/** A caller who sees what the predicates let through. */
export function narrow(principal: string, visible: (type: string) => Predicate): Caller {
  return { ...LOCAL, principal, access: { principal, visible } };
}

export interface ExportWorld {
  readonly operations: OperationsWorld;
  readonly folder: string;
  /** Patients that jobs recorded before they read their data. */
  readonly recorded: string[][];
  readonly clock: { now: number };
  /** Changes how jobs run from now on. */
  readonly tools: { -readonly [Name in keyof ExportTools]?: ExportTools[Name] };
  /** Jobs wait for it before they start. */
  gate: Promise<void>;
  /** Fails the start of threads, while set. */
  broken: boolean;
  /** As where the database is encrypted. */
  refused: boolean;
  /** DEIDENTIFICATION_KEY_FILE. */
  keyFile: string | undefined;
  /** Roles, labels and Consents; undefined: none. */
  policy: AccessPolicy | undefined;
  context(): RestContext;
  desk(): Jobs<ExportOrder, JobResult>;
  send(method: string, url: string, sent?: Sent, caller?: Caller): Promise<FhirResponse>;
  ask(method: string, path: string, caller?: Caller): Promise<JobAnswer>;
  /** Path of the status: `/id`. Must be accepted. */
  kickOff(url: string, caller?: Caller): Promise<string>;
  /** Resources by type, of a kick-off that must be accepted and complete. */
  exported(url: string, caller?: Caller): Promise<Readonly<Record<string, readonly object[]>>>;
  /** A new desk over the same folder, as after a restart; the old one is closed. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function exportWorld(): Promise<ExportWorld> {
  const operations = await operationsWorld();
  const folder = mkdtempSync(join(tmpdir(), 'export-'));
  const { wire } = world();
  const recorded: string[][] = [];
  const clock = { now: Date.UTC(2026, 0, 2) };
  const tools: ExportWorld['tools'] = {};
  const settings: DeskSettings = {
    kind: 'export',
    store: operations.context.store,
    folder,
    url: `${BASE.replace('/fhir', '')}/export`,
    expiryMs: EXPIRY_MS,
    now: () => clock.now,
    get refusal() {
      return self.refused ? 'The database is encrypted.' : undefined;
    },
    start: async (ticket) => {
      if (self.broken) throw new Error('No thread.');
      return inProcess(ticket);
    },
    report: () => undefined,
  };
  const inProcess = (ticket: JobTicket): JobThread => {
    let stopped = false;
    const run = async () => {
      await self.gate;
      const { store } = operations.context;
      const order = await new JobLedger<ExportOrder, JobResult>(store, ticket.kind).job(ticket.id);
      if (order === undefined) return 'stopped' as const;
      const done = await runExport(jobRun(ticket, store), order, {
        store,
        definitions: operations.context.definitions,
        now: () => clock.now,
        access: async () => (await callerNow(order.caller, context())).access,
        deidentified: await deidentifying(order, ticket.folder, self.keyFile, operations.context),
        record: async (patients) => {
          recorded.push([...patients]);
        },
        pause: async () => undefined,
        stopped: () => stopped,
        page: 100,
        linesPerFile: 100,
        pagesPerSync: 1,
        ...tools,
      });
      return done ? ('complete' as const) : ('stopped' as const);
    };
    const stop = () => {
      stopped = true;
    };
    return { ended: run().catch(() => (stopped ? ('stopped' as const) : ('failed' as const))), stop };
  };
  let desk = await Jobs.open<ExportOrder, JobResult>(settings);
  desk.begin();
  const context = (): RestContext => ({
    ...operations.context,
    ...(self.policy === undefined ? {} : { policy: self.policy }),
    exports: desk,
    deidentifiable: deidentifiableTypes(undefined),
  });
  const self: ExportWorld = {
    operations,
    folder,
    recorded,
    clock,
    tools,
    gate: Promise.resolve(),
    broken: false,
    refused: false,
    keyFile: undefined,
    policy: undefined,
    context,
    desk: () => desk,
    send: (method, url, sent = ASYNC, caller = LOCAL) => answer(wire(method, url, sent), caller, context()),
    ask: (method, path, caller = LOCAL) => jobAnswer({ method, path }, desk, EXPORT_KIND, caller, context()),
    kickOff: async (url, caller) => {
      const { status, headers, body } = await self.send('GET', url, ASYNC, caller);
      if (status !== 202) throw new Error(`${url}: ${status} ${body}`);
      return (headers['Content-Location'] ?? '').slice(settings.url.length);
    },
    exported: async (url, caller) => {
      const path = await self.kickOff(url, caller);
      await desk.idle();
      const lines = await linesOf(path, self, caller);
      await self.ask('DELETE', path, caller);
      return lines;
    },
    restart: async () => {
      await desk.end();
      desk = await Jobs.open<ExportOrder, JobResult>(settings);
      desk.begin();
    },
    close: async () => {
      await desk.end();
      await operations.close();
      rmSync(folder, { recursive: true });
    },
  };
  return self;
}

/** Every line of a complete export, by type; error files under `error`. */
export async function linesOf(
  path: string,
  { ask, desk }: ExportWorld,
  caller?: Caller,
): Promise<Readonly<Record<string, readonly object[]>>> {
  const status = await ask('GET', path, caller);
  if (status.status !== 200) throw new Error(`${status.status} ${status.body}`);
  const found: Record<string, object[]> = {};
  const manifest = json(status);
  for (const kind of ['output', 'error'] as const) {
    for (const listed of Array.isArray(manifest[kind]) ? manifest[kind] : []) {
      const { file } = await ask('GET', String(at(listed, 'url')).slice(desk().url.length), caller);
      let text = '';
      for await (const bytes of file?.open() ?? []) text += Buffer.from(bytes).toString('utf8');
      const resources = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as object);
      if (resources.length !== at(listed, 'count')) throw new Error('The manifest counts other lines.');
      const type = kind === 'error' ? 'error' : String(at(listed, 'type'));
      found[type] = [...(found[type] ?? []), ...resources];
    }
  }
  return found;
}
