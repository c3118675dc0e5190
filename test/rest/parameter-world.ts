/** The door over the real engine with parameters that clients define; the index is made in pages that the test lets go one by one. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditRow, postedAuditRow, renderAuditEvent } from '../../src/audit.ts';
import type { JsonObject } from '../../src/fhir/resource.ts';
import { ClientParameters } from '../../src/parameters/client-parameters.ts';
import { runIndex } from '../../src/parameters/index-run.ts';
import { LiveContext } from '../../src/parameters/live-context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import type { Engine } from '../../src/store/engine.ts';
import { connect } from '../../src/store/sqlite/schema.ts';
import type { IndexEnd } from '../../src/threads/index-thread.ts';
import { openTestStore } from '../test-store.ts';
import { BASE, json, type Sent, world } from '../world.ts';

export interface ParameterWorld {
  readonly folder: string;
  readonly parameters: ClientParameters;
  readonly store: Engine;
  readonly live: LiveContext;
  /** The same door on another thread: its own snapshot, swapped by the same hand. */
  readonly other: LiveContext;
  /** Events of the log, as `reindexing Patient 100`. */
  readonly logged: readonly string[];
  send(method: string, url: string, sent?: Sent): Promise<FhirResponse>;
  sendBy(context: LiveContext['current'], method: string, url: string, sent?: Sent): Promise<FhirResponse>;
  /** Lets so many pages be made, and waits until the next one would be, or until there is none. */
  pages(count: number): Promise<void>;
  /** Lets everything be made, and waits until it is, and until it can be searched by. */
  settled(): Promise<void>;
  /** Ids of the matches, sorted. Fails on any other answer. */
  found(query: string): Promise<readonly string[]>;
  /** Index rows of a parameter, counted in the file. */
  rowsOf(key: string): number;
  /** Ends it as a crash would: nothing more is written. */
  end(): Promise<void>;
}

export interface ParameterWorldOptions {
  readonly folder?: string;
  readonly pagesPerPlace?: number;
  /** False: each page waits for `pages` or `settled`. */
  readonly free?: boolean;
}

/** Keeps nothing running: a test that fails leaves a page waiting. */
const idleTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve).unref());
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export async function parameterWorld(options: ParameterWorldOptions = {}): Promise<ParameterWorld> {
  const { folder = mkdtempSync(join(tmpdir(), 'parameters-')), pagesPerPlace = 1, free = false } = options;
  const { context: outline, wire, reported } = world();
  const types = [...outline.capability.types.keys()];
  const store = await openTestStore({
    folder,
    renderAudit: renderAuditEvent,
    indexHash: 'test',
    types,
    budgetMs: 5000,
  });
  const subjectKeys = (patients: readonly string[]) => store.subjectKeys(patients);
  const source = { observer: BASE, address: '127.0.0.1' };
  const { indexEntries } = outline;
  const base = {
    ...outline,
    store,
    parametersWritten: () => parameters.written(),
    audit: (access: Parameters<typeof outline.audit>[0]) => auditRow(access, subjectKeys, 'salt', source, indexEntries),
    postedAudit: (...[resource]: Parameters<typeof outline.postedAudit>) =>
      postedAuditRow(resource, subjectKeys, 'salt', source, indexEntries),
  };
  const live = new LiveContext(base);
  const other = new LiveContext(base);
  const logged: string[] = [];
  let permits = free ? Number.POSITIVE_INFINITY : 0;
  let isWaiting = false;
  let stopped = false;
  const permit = async (): Promise<void> => {
    isWaiting = true;
    while (permits <= 0 && !stopped) await idleTurn();
    isWaiting = false;
    permits--;
  };
  const parameters: ClientParameters = new ClientParameters({
    store,
    live,
    log: {
      event: (name, { resourceType = '', percent = '' } = {}) => logged.push(`${name} ${resourceType} ${percent}`),
      failure: (_name, error) => reported.push(error),
    },
    startIndexing: (say) => {
      let isStopped = false;
      const run = async (): Promise<IndexEnd> => {
        await permit();
        const tools = { store, live, page: 1, pagesPerPlace, stopped: () => isStopped || stopped, pause: permit, say };
        return runIndex(tools);
      };
      const stop = (): void => {
        isStopped = true;
      };
      return { ended: run(), stop };
    },
  });
  await parameters.load();
  parameters.run({
    swap: async (snapshot) => other.swap(snapshot),
    drained: () => other.drained(),
    progress: (key, percent) => other.progress(key, percent),
  });
  const caller = localCaller(localFacts('request-1', '127.0.0.1'));
  const sendBy: ParameterWorld['sendBy'] = (context, method, url, sent) =>
    answer(wire(method, url, sent), caller, context);
  const send: ParameterWorld['send'] = (method, url, sent) => sendBy(live.current, method, url, sent);
  return {
    folder,
    parameters,
    store,
    live,
    other,
    logged,
    send,
    sendBy,
    pages: async (count) => {
      permits = count;
      while ((permits > 0 || !isWaiting) && parameters.progress !== undefined) await turn();
      permits = 0;
    },
    settled: async () => {
      permits = Number.POSITIVE_INFINITY;
      while (parameters.progress !== undefined) await turn();
      await parameters.written();
      permits = free ? permits : 0;
    },
    found: async (query) => {
      const answered = await send('GET', `/${query}`);
      assert.equal(answered.status, 200, `${query}: ${answered.body}`);
      return matchesOf(json(answered));
    },
    rowsOf: (key) => {
      const connection = connect({ folder });
      const name = connection.prepare('SELECT id FROM parameter WHERE name=? OR name LIKE ?').all(key, `${key}$%`);
      const count = connection.prepare('SELECT count(*) AS n FROM entry WHERE parameter=?');
      const rows = name.map((row) => Number(Reflect.get(count.get(Reflect.get(row as object, 'id')) as object, 'n')));
      connection.close();
      return rows.reduce((sum, each) => sum + each, 0);
    },
    end: async () => {
      stopped = true;
      await parameters.close();
      await store.close();
      assert.deepEqual(reported, []);
    },
  };
}

export function matchesOf(bundle: JsonObject): readonly string[] {
  const entries = Array.isArray(bundle.entry) ? bundle.entry : [];
  return entries
    .filter((entry) => Reflect.get(Reflect.get(Object(entry), 'search') ?? {}, 'mode') === 'match')
    .map((entry) => String(Reflect.get(Reflect.get(Object(entry), 'resource') ?? {}, 'id')))
    .sort();
}

export function removeWorld({ folder }: ParameterWorld): void {
  rmSync(folder, { recursive: true, force: true });
}

/** A SearchParameter that is valid but for the changes. */
export function parameter(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    resourceType: 'SearchParameter',
    id: 'eye',
    url: 'http://client.example/SearchParameter/eye',
    name: 'eye',
    status: 'active',
    description: 'Colour of the eyes.',
    code: 'eye',
    base: ['Patient'],
    type: 'token',
    expression: "Patient.extension('http://client.example/eye').value",
    ...changes,
  };
}
