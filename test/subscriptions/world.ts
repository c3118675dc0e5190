/** Subscriptions over the real door, engine and audit, calling real loopback endpoints; time and randomness are the test's. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditRow, postedAuditRow, renderAuditEvent } from '../../src/audit.ts';
import type { JsonObject } from '../../src/fhir/resource.ts';
import { allowList } from '../../src/outbound/allow-list.ts';
import { Outbound } from '../../src/outbound/outbound.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { SOLE } from '../../src/rest/jobs/duty.ts';
import { type CallerFacts, localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { callerOf } from '../../src/smart/access.ts';
import type { Engine } from '../../src/store/engine.ts';
import { Subscriptions } from '../../src/subscriptions/desk.ts';
import type { Patience } from '../../src/subscriptions/lane.ts';
import type { Owner } from '../../src/subscriptions/owner.ts';
import { subscriptionRules } from '../../src/subscriptions/rules.ts';
import type { Understanding } from '../../src/subscriptions/subscription.ts';
import { loadTopics } from '../../src/subscriptions/topic.ts';
import { openTestStore } from '../test-store.ts';
import { at, BASE, json, type Sent, world } from '../world.ts';
import { until } from './receiver.ts';

export const START = Date.UTC(2026, 0, 2);
const TOPICS = join(import.meta.dirname, '..', '..', 'profiles', 'topic');
export const TOPIC = 'https://firewatch.example/fhir/SubscriptionTopic/';
export const EXTENSION = 'http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-';

export interface SubscriptionWorld {
  readonly store: Engine;
  readonly desk: Subscriptions;
  readonly reported: unknown[];
  readonly failed: string[];
  /** Waits that were asked for and are not over, ms from START. */
  readonly waiting: readonly number[];
  /** In [0, 1); what the back-off draws. */
  random: number;
  /** @param facts who asks; default who may do everything */
  send(method: string, url: string, sent?: Sent, facts?: CallerFacts): Promise<FhirResponse>;
  /** Id of a resource that must be accepted. */
  create(resource: JsonObject): Promise<string>;
  status(id: string): Promise<string>;
  /** Creates a subscription and waits until it is active. */
  active(resource: JsonObject): Promise<string>;
  /** Moves the clock and runs what is due. */
  advance(ms: number): void;
  /** Closes everything and opens it again over the same folder. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export interface Options {
  readonly patience?: Partial<Patience>;
  readonly allow?: string;
  readonly resetMs?: number;
  /** Present: callers are known by tokens, and this says whether what one was granted still holds. */
  stands?(owner: Owner, now: number): boolean;
}

export async function subscriptionWorld({
  patience = {},
  allow,
  resetMs = 1,
  stands,
}: Options = {}): Promise<SubscriptionWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'subscriptions-'));
  const outline = world();
  const types = [...outline.context.capability.types.keys()];
  const clock = { now: START };
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  const reported: unknown[] = [];
  const failed: string[] = [];
  let tokens = 0;
  const timing = {
    now: () => clock.now,
    random: () => self.random,
    after: (ms: number, run: () => void) => {
      const timer = { at: clock.now + ms, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };

  const open = async () => {
    const store = await openTestStore({
      folder,
      renderAudit: renderAuditEvent,
      indexHash: 'test',
      types,
      budgetMs: 5000,
    });
    const { indexEntries, capability, parseSearch, planSearch } = outline.context;
    const source = { observer: BASE, address: '127.0.0.1' };
    const subjects = (patients: readonly string[]) => store.subjectKeys(patients);
    const meaning = { capability, parseSearch, planSearch };
    const { refusal } = allowList(allow);
    const how: Understanding = { ...meaning, topics: loadTopics(TOPICS, meaning), refusal };
    const common = {
      ...outline.context,
      store,
      ambient: { ...outline.context.ambient, now: () => clock.now },
      audit: (access: Parameters<RestContext['audit']>[0]) => auditRow(access, subjects, 'salt', source, indexEntries),
      postedAudit: (...[resource]: Parameters<RestContext['postedAudit']>) =>
        postedAuditRow(resource, subjects, 'salt', source, indexEntries),
      report: (error: unknown) => void reported.push(error),
      rules: new Map([['Subscription', subscriptionRules(how, () => clock.now)]]),
    };
    const desk = new Subscriptions({
      context: common,
      current: () => common,
      how,
      outbound: new Outbound({ allow: allowList(allow), resetMs }),
      timing,
      patience: { attempts: 3, baseMs: 1000, mostMs: 300_000, ...patience },
      url: 'http://127.0.0.1:8080',
      newToken: () => `token-${++tokens}`,
      guard: () => undefined,
      duty: SOLE,
      isOpen: stands === undefined,
      stands: async (owner) => stands?.(owner, clock.now) ?? true,
      callerOf: async (owner) => callerOf({ ...owner, address: '', requestId: '' }, common),
      onFailed: (id) => void failed.push(id),
    });
    await desk.start();
    return { store, desk, context: { ...common, subscriptions: desk } satisfies RestContext };
  };

  let opened = await open();
  const caller = localCaller(localFacts('request-1', '127.0.0.1'));
  const send: SubscriptionWorld['send'] = (method, url, sent, facts) =>
    answer(
      outline.wire(method, url, sent),
      facts === undefined ? caller : callerOf(facts, opened.context),
      opened.context,
    );
  const status = async (id: string) => String(json(await send('GET', `/Subscription/${id}`)).status);
  const create = async (resource: JsonObject) => {
    const response = await send('POST', `/${String(resource.resourceType)}`, { body: resource });
    assert.equal(response.status, 201, response.body);
    return String(json(response).id);
  };
  const shut = async () => {
    await opened.desk.close();
    await opened.store.close();
    timers.clear();
  };
  const self: SubscriptionWorld = {
    get store() {
      return opened.store;
    },
    get desk() {
      return opened.desk;
    },
    get waiting() {
      return [...timers].map((timer) => timer.at - clock.now).toSorted((a, b) => a - b);
    },
    reported,
    failed,
    random: 0,
    send,
    create,
    status,
    active: async (resource) => {
      const id = await create(resource);
      await until(
        async () => (await status(id)) !== 'requested' && opened.desk.statuses([id])[0]?.status !== 'requested',
      );
      assert.equal(await status(id), 'active');
      await until(() => opened.desk.statuses([id])[0]?.status === 'active');
      return id;
    },
    advance: (ms) => {
      clock.now += ms;
      for (const timer of [...timers]) {
        if (timer.at > clock.now) continue;
        timers.delete(timer);
        timer.run();
      }
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

/** R4's own kind. */
export function byCriteria(criteria: string, endpoint: string, channel: JsonObject = {}): JsonObject {
  return {
    resourceType: 'Subscription',
    status: 'requested',
    reason: 'test',
    criteria,
    channel: { type: 'rest-hook', endpoint, ...channel },
  };
}

/** The backport's kind. */
export function byTopic(
  topic: string,
  endpoint: string | undefined,
  {
    content = 'id-only',
    filters = [],
    payload = 'application/fhir+json',
    extension = [],
    channel = {},
  }: {
    readonly content?: string;
    readonly filters?: readonly string[];
    readonly payload?: string;
    readonly extension?: readonly JsonObject[];
    readonly channel?: JsonObject;
  } = {},
): JsonObject {
  return {
    resourceType: 'Subscription',
    status: 'requested',
    reason: 'test',
    criteria: topic.includes(':') ? topic : TOPIC + topic,
    ...(filters.length === 0
      ? {}
      : {
          _criteria: { extension: filters.map((valueString) => ({ url: `${EXTENSION}filter-criteria`, valueString })) },
        }),
    channel: {
      ...(extension.length === 0 ? {} : { extension }),
      type: endpoint === undefined ? 'websocket' : 'rest-hook',
      ...(endpoint === undefined ? {} : { endpoint }),
      payload,
      _payload: { extension: [{ url: `${EXTENSION}payload-content`, valueCode: content }] },
      ...channel,
    },
  };
}

/** Value of a parameter of the status of a notification. */
export function statusOf(bundle: unknown, name: string): unknown {
  const parameters = at(bundle, 'entry.0.resource.parameter');
  const found = Array.isArray(parameters) ? parameters.find((each) => at(each, 'name') === name) : undefined;
  const key =
    typeof found === 'object' && found !== null ? Object.keys(found).find((each) => /^value/.test(each)) : undefined;
  return key === undefined ? undefined : at(found, key);
}

/** Numbers of the events in a notification. */
export function numbersOf(bundle: unknown): readonly number[] {
  const parameters = at(bundle, 'entry.0.resource.parameter');
  const events = Array.isArray(parameters)
    ? parameters.filter((each) => at(each, 'name') === 'notification-event')
    : [];
  return events.map((event) => Number(at(event, 'part.0.valueString')));
}

export const heartRate = (value: number, patient = 'p1', status = 'final'): JsonObject => ({
  resourceType: 'Observation',
  status,
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: `Patient/${patient}` },
  valueQuantity: { value, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
});

export const patientWith = (id: string, active: boolean): JsonObject => ({ resourceType: 'Patient', id, active });
