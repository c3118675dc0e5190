/** Monitoring over the real door, engine, audit and models; the clock and the timers are the test's. All people are invented. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditRow, postedAuditRow, renderAuditEvent } from '../../src/audit.ts';
import { isJsonObject, type JsonObject, type Resource } from '../../src/fhir/resource.ts';
import { Monitor, type Pace } from '../../src/monitor/monitor.ts';
import type { Follow, MonitorEvent } from '../../src/monitor/rescore.ts';
import { loadRules, type MonitorRule } from '../../src/monitor/rule.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import type { Engine } from '../../src/store/engine.ts';
import type { Command } from '../../src/store/port.ts';
import { iso, loinc, MODELS, quantity } from '../risk/world.ts';
import { openTestStore } from '../test-store.ts';
import { BASE, json, type Sent, world } from '../world.ts';

export const START = Date.UTC(2026, 2, 1, 12);
export const MINUTE = 60_000;
export const PACE: Pace = { settleMs: 20, intervalMs: 5000, atOnce: 1 };
export const MONITORING = join(import.meta.dirname, '..', '..', 'monitoring');

const clock = { now: START };
export const models: LoadedModels = await loadModels(MODELS, { now: () => clock.now, mode: 'inline' });
export const rules: readonly MonitorRule[] = loadRules(MONITORING, models.manifests, models.knowledge.vocabulary);
export const ruleNamed = (id: string): MonitorRule => {
  const rule = rules.find((each) => each.id === id);
  assert.ok(rule, id);
  return rule;
};

export interface MonitorWorld {
  readonly store: Engine;
  readonly monitor: Monitor;
  readonly reported: unknown[];
  readonly events: MonitorEvent[];
  send(method: string, url: string, sent?: Sent): Promise<FhirResponse>;
  /** Stores a resource under its id; it must be accepted. */
  put(resource: Resource): Promise<void>;
  /** All resources of a type, oldest first. */
  all(type: string, query?: string): Promise<readonly Resource[]>;
  /** Moves the clock and runs what is due. */
  advance(ms: number): void;
  now(): number;
  /** Every change is read. */
  read(): Promise<void>;
  /** Every change is read and acted on; the clock moves only as far as debouncing asks. */
  settled(): Promise<void>;
  /** Closes everything and opens it again over the same folder. */
  restart(): Promise<void>;
  /** Another one over the same store, as a process of its own would have; not started. What it reports is kept apart. */
  monitorOf(fence: readonly Command[], report: (error: unknown) => void): Monitor;
  /** Runs once the clock is there; the result forgets it. */
  after(ms: number, run: () => void): () => void;
  close(): Promise<void>;
}

export interface Options {
  readonly rules?: readonly MonitorRule[];
  readonly follow?: Follow;
  readonly pace?: Pace;
}

export async function monitorWorld({
  rules: given = [ruleNamed('news2')],
  follow,
  pace = PACE,
}: Options = {}): Promise<MonitorWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'monitor-'));
  const outline = world();
  const types = [...outline.context.capability.types.keys()];
  clock.now = START;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  const reported: unknown[] = [];
  const events: MonitorEvent[] = [];
  let ids = 0;
  const after: MonitorWorld['after'] = (ms, run) => {
    const timer = { at: clock.now + ms, run };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  const open = async () => {
    const store = await openTestStore({
      folder,
      renderAudit: renderAuditEvent,
      indexHash: 'test',
      types,
      budgetMs: 5000,
    });
    const { indexEntries } = outline.context;
    const source = { observer: BASE, address: '127.0.0.1' };
    const subjects = (patients: readonly string[]) => store.subjectKeys(patients);
    const context: RestContext = {
      ...outline.context,
      store,
      settings: { ...outline.context.settings, maxCount: 1000 },
      ambient: { now: () => clock.now, newId: () => `id-${++ids}` },
      audit: (access) => auditRow(access, subjects, 'salt', source, indexEntries),
      postedAudit: (resource) => postedAuditRow(resource, subjects, 'salt', source, indexEntries),
      report: (error: unknown) => void reported.push(error),
    };
    const monitorOf: MonitorWorld['monitorOf'] = (fence, report) => new Monitor({ ...settings, fence, report });
    const settings = {
      rules: given,
      current: () => context,
      models,
      now: () => clock.now,
      newId: () => `monitor-${++ids}`,
      ...(follow === undefined ? {} : { follow }),
      pace,
      after,
      notify: (told: readonly MonitorEvent[]) => void events.push(...told),
      report: (error: unknown) => void reported.push(error),
    };
    const monitor = new Monitor(settings);
    await monitor.start();
    const unlisten = store.onCommit(() => monitor.wake());
    return { store, monitor, context, unlisten, monitorOf };
  };
  let opened = await open();
  const caller = localCaller(localFacts('request-1', '127.0.0.1'));
  const send: MonitorWorld['send'] = (method, url, sent) =>
    answer(outline.wire(method, url, sent), caller, opened.context);
  const shut = async () => {
    opened.unlisten();
    await opened.monitor.close();
    await opened.store.close();
    timers.clear();
  };
  const self: MonitorWorld = {
    get store() {
      return opened.store;
    },
    get monitor() {
      return opened.monitor;
    },
    reported,
    events,
    after,
    monitorOf: (...parts) => opened.monitorOf(...parts),
    send,
    put: async (resource) => {
      const { status, body } = await send('PUT', `/${resource.resourceType}/${resource.id}`, { body: resource });
      assert.ok(status === 200 || status === 201, body);
    },
    all: async (type, query = '') => {
      const response = await send('GET', `/${type}?_sort=_lastUpdated&_count=1000${query}`);
      assert.equal(response.status, 200, response.body);
      const { entry } = json(response);
      return (Array.isArray(entry) ? entry : []).flatMap((each) => {
        const resource = isJsonObject(each) ? each.resource : undefined;
        return isResource(resource) ? [resource] : [];
      });
    },
    advance: (ms) => {
      clock.now += ms;
      for (const timer of [...timers]) {
        if (timer.at > clock.now) continue;
        timers.delete(timer);
        timer.run();
      }
    },
    now: () => clock.now,
    read: async () => {
      const latest = await opened.store.latestSequence();
      opened.monitor.wake();
      await until(() => opened.monitor.backlog.read >= latest);
    },
    settled: async () => {
      await self.read();
      await until(() => {
        const { patients, scoring } = opened.monitor.backlog;
        const [next] = [...timers].toSorted((a, b) => a.at - b.at);
        const isFar = next === undefined || next.at - clock.now > pace.intervalMs;
        if (patients > 0 && !isFar) self.advance(Math.max(0, next.at - clock.now));
        return patients === 0 || (scoring === 0 && isFar);
      });
      await self.read();
    },
    restart: async () => {
      await shut();
      opened = await open();
    },
    close: async () => {
      await shut();
      rmSync(folder, { recursive: true });
      assert.deepEqual(reported, []);
    },
  };
  return self;
}

const isResource = (value: unknown): value is Resource => isJsonObject(value) && typeof value.resourceType === 'string';

/** Resolves when the condition holds. @throws Error when it does not in 20 s */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('What the test waits for does not happen.');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** An adult in hospital since a day before START. */
export async function inpatient(there: MonitorWorld, id: string, over: JsonObject = {}, encounter: JsonObject = {}) {
  await there.put({ resourceType: 'Patient', id, birthDate: '1960-05-05', gender: 'female', ...over });
  await there.put({
    resourceType: 'Encounter',
    id: `${id}-stay`,
    status: 'in-progress',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
    subject: { reference: `Patient/${id}` },
    period: { start: iso(START - 24 * 60 * MINUTE) },
    ...encounter,
  });
}

/** A final measurement of the patient, now. */
export function measured(
  patient: string,
  id: string,
  code: string,
  value: number,
  unit: string,
  at: number,
  over: JsonObject = {},
): Resource {
  return {
    resourceType: 'Observation',
    id,
    status: 'final',
    code: loinc(code),
    subject: { reference: `Patient/${patient}` },
    effectiveDateTime: iso(at),
    valueQuantity: quantity(value, unit),
    ...over,
  };
}
/** Respiratory rate. NEWS2: 12 to 20 -> 0, 21 to 24 -> 2, 25 or more -> 3. */
export const breathing = (patient: string, id: string, rate: number, at: number, over: JsonObject = {}): Resource =>
  measured(patient, id, '9279-1', rate, '/min', at, over);

/** Everything else NEWS2 asks for, scoring `points` of 0, 2 (oxygen), 4 or 5 (with pulse 100 or 115). */
export function baseline(patient: string, at: number, id = 'base'): readonly Resource[] {
  const of = (name: string, code: string, value: number, unit: string) =>
    measured(patient, `${patient}-${id}-${name}`, code, value, unit, at);
  return [
    of('spo2', '59408-5', 97, '%'),
    of('bp', '8480-6', 120, 'mm[Hg]'),
    of('pulse', '8867-4', 80, '/min'),
    of('temp', '8310-5', 37, 'Cel'),
    {
      ...of('air', '3150-6', 21, '%'),
    },
    {
      resourceType: 'Observation',
      id: `${patient}-${id}-avpu`,
      status: 'final',
      code: loinc('67775-7'),
      subject: { reference: `Patient/${patient}` },
      effectiveDateTime: iso(at),
      valueCodeableConcept: loinc('LA9340-6'),
    },
  ];
}
