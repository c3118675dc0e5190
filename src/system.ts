/** Composition root: the only file that creates stores, sessions, clock, ids and keys, and gives them to the rooms. */
import { mkdirSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import type { Express } from 'express';
import { saltSource, systemAmbient } from './ambient.ts';
import { auditRow, postedAuditRow } from './audit.ts';
import type { AuthorizationServer } from './authorization/server.ts';
import { aesSeal } from './cds/basis/decision-record.ts';
import { buildCds, type Cds } from './cds/cds.ts';
import type { Progress } from './commands/progress.ts';
import type { Config } from './config.ts';
import { patientsOf } from './fhir/compartment.ts';
import { FhirError } from './fhir/outcome.ts';
import { conformanceValidator } from './fhir/profile/validator.ts';
import { uncompilable } from './fhir/search/extract.ts';
import { planSearch } from './fhir/search/plan.ts';
import { parseSearch } from './fhir/search/query.ts';
import { FOLDERS } from './folders.ts';
import { httpApp } from './http/app.ts';
import { cdsHandler } from './http/cds.ts';
import { fhirHandler } from './http/fhir.ts';
import { type Drift, modelDrift } from './model-drift.ts';
import { openAdmission } from './open/admission.ts';
import { openAttestation } from './open/attestation.ts';
import { openAccess, withOauth } from './open/authorization.ts';
import { watchBackups } from './open/backup-watch.ts';
import { conditionOf } from './open/condition.ts';
import { countedBy, countedModels } from './open/counted.ts';
import { openDuties } from './open/duties.ts';
import { watchEmergencies } from './open/emergency-watch.ts';
import { type Ground, layGround, publicUrl, storeParts } from './open/ground.ts';
import { authorityOf } from './open/identity.ts';
import { secretOf } from './open/installation-secret.ts';
import { openJobs } from './open/jobs.ts';
import { openLog } from './open/log.ts';
import { openMonitoring } from './open/monitoring.ts';
import { openOutside } from './open/outside.ts';
import { openPages } from './open/pages.ts';
import { withPolicy } from './open/policy.ts';
import { attachStore, openStore } from './open/store.ts';
import { openSubscriptions, understanding } from './open/subscriptions.ts';
import { deskOf, openSurveillance } from './open/surveillance.ts';
import { ClientParameters } from './parameters/client-parameters.ts';
import { LiveContext } from './parameters/live-context.ts';
import { followedContext, ParameterThreads } from './parameters/parameter-channel.ts';
import { fileParameters, followFolder } from './parameters/parameter-files.ts';
import { followOlder, reindex } from './parameters/reindex.ts';
import type { Ambient, Caller, RestContext } from './rest/context.ts';
import { answer, refuse } from './rest/interact.ts';
import { type CallerFacts, factsOf } from './rest/permission/caller.ts';
import type { FhirResponse, WireRequest } from './rest/request.ts';
import { riskDesk } from './risk/desk.ts';
import { openRanker } from './risk/drugs/rank.ts';
import { loadDrugSafety } from './risk/drugs/safety.ts';
import { readSiteMap } from './risk/drugs/site-map.ts';
import { loadModels } from './risk/models/models.ts';
import { loadTriage } from './risk/triage/triage.ts';
import type { Identify } from './smart/identity.ts';
import type { Engine } from './store/engine.ts';
import { type Fence, fencedStore } from './store/fenced.ts';
import { type ResourceStore, StoreError } from './store/port.ts';
import { type Subscriptions, socketUrl } from './subscriptions/desk.ts';
import { subscriptionRules } from './subscriptions/rules.ts';
import { ready } from './telemetry/health.ts';
import type { Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { startHeavy } from './threads/heavy.ts';
import { startIndexThread } from './threads/index-thread.ts';

export const VERSION = '0.1.0';

export interface System {
  readonly config: Config;
  readonly store: Engine;
  /** Of the newest definitions. */
  readonly context: RestContext;
  readonly cds: Cds;
  readonly app: Express;
  readonly ambient: Ambient;
  readonly log: Log;
  /** With AUTHORIZATION=embedded. */
  readonly authorization: AuthorizationServer | undefined;
  readonly drift: Drift;
  /** Websockets of subscriptions: for the HTTP server's `upgrade`; they are closed before it drains. */
  readonly sockets: Subscriptions['sockets'];
  /** Base of the links it mints. */
  readonly url: string;
  /** Who asks by their token; undefined: no issuer is configured, and whoever asks is the one local caller. */
  readonly identify: Identify | undefined;
  /** The door on the heavy thread. */
  answerHeavy(wire: WireRequest, caller: CallerFacts): Promise<FhirResponse>;
  /** False (before listening, while draining) makes readiness fail. */
  setListening(listening: boolean): void;
  /** Ends threads and closes the database; what was acknowledged is on disk already. */
  close(): Promise<void>;
}

/** @throws Error listing every claimed search parameter whose expression cannot be indexed */
function assertIndexable({ definitions, capability }: Ground): void {
  const problems = [...capability.types.values()].flatMap(({ type, searchParameters }) =>
    uncompilable(searchParameters.values(), type, definitions).map(
      ({ code, problem }) => `${type}.${code}: ${problem}`,
    ),
  );
  if (problems.length > 0)
    throw new Error(`capability-statement.json claims what cannot be indexed: ${problems.join('; ')}.`);
}

function restContext(config: Config, store: ResourceStore, ground: Ground, log: Log): RestContext {
  const { definitions, capability, ambient, fhirBase, indexEntries } = ground;
  const settings = {
    fhirBase,
    referentialIntegrity: config.REFERENTIAL_INTEGRITY,
    bundleEntryLimit: config.BUNDLE_ENTRY_LIMIT,
    defaultCount: config.DEFAULT_COUNT,
    maxCount: config.MAX_COUNT,
    includeLimit: config.INCLUDE_LIMIT,
    conditionalDeleteLimit: config.CONDITIONAL_DELETE_LIMIT,
    cursorKey: secretOf(config, 'cursor.key'),
    softwareVersion: VERSION,
    authority: authorityOf(config, FOLDERS.issuers, publicUrl(config)),
    websocketUrl: socketUrl(publicUrl(config)),
  };
  const source = { observer: fhirBase, address: config.HOST };
  const salt = saltSource();
  const subjectKeys = (patients: readonly string[]): readonly string[] => store.subjectKeys(patients);
  const search = { definitions, capability, fhirBase, settings };
  const context: RestContext = {
    store,
    definitions,
    capability,
    settings,
    ambient,
    validate: conformanceValidator(definitions),
    indexEntries,
    patientsOf: patientsOf(definitions, { fhirBase }),
    parseSearch: (type, query, handling) => parseSearch(type, query, handling, search),
    planSearch: (query, access, links) => planSearch(query, access, { ...search, now: ambient.now(), links }),
    audit: (access) => auditRow(access, subjectKeys, salt(), source, indexEntries),
    postedAudit: (resource) => postedAuditRow(resource, subjectKeys, salt(), source, indexEntries),
    report: (error, requestId) => log.failure('request-failed', error, { requestId }),
  };
  const how = understanding(config, context, FOLDERS.topics);
  return withPolicy(config, { ...context, rules: new Map([['Subscription', subscriptionRules(how, ambient.now)]]) });
}

/**
 * The door on another thread: reads of its own with a time budget per search, writes in the one order of all. Whoever answers or writes for
 * longer than a request asks `live.current` each time.
 * @param fence belongs to everything that is committed, see `fencedStore`
 */
export async function attachedSystem(config: Config, channel: MessagePort, parameters: MessagePort, fence?: Fence) {
  const ground = layGround(config, systemAmbient());
  const store = fencedStore(await attachStore(config, storeParts(ground), channel), fence);
  const context = restContext(config, store, ground, openLog(config, ground));
  const live = followedContext({ ...context, surveillance: deskOf(config) }, parameters);
  return { live, store, close: () => store.close() };
}

/** The store and what makes audit rows, without other threads: for commands, while no server holds the folder. */
export async function quietSystem(config: Config) {
  mkdirSync(config.DATA_DIR, { recursive: true, mode: 0o700 });
  const ground = layGround(config, systemAmbient());
  const store = await openStore(config, storeParts(ground));
  return { context: restContext(config, store, ground, openLog(config, ground)), store, close: () => store.close() };
}

/**
 * Everything, ready to listen: definitions checked, store open and indexed, models warmed, threads running.
 * @throws Error naming every claim, service or setting that cannot be kept
 */
export async function buildSystem(
  config: Config,
  { ambient = systemAmbient(), onProgress }: { ambient?: Ambient; onProgress?: Progress } = {},
): Promise<System> {
  mkdirSync(config.DATA_DIR, { recursive: true, mode: 0o700 });
  const ground = layGround(config, ambient);
  assertIndexable(ground);
  const folder = config.MODELS_DIR ?? FOLDERS.models;
  const models = await loadModels(folder, { now: ambient.now, within: config.INPUTS_WITHIN_MINUTES });
  const site = config.DRUG_SITE_MAP === undefined ? undefined : readSiteMap(config.DRUG_SITE_MAP);
  const drugSafety = { ...loadDrugSafety(FOLDERS.knowledge, site), rank: await openRanker(FOLDERS.knowledge) };
  const store = await openStore(config, storeParts(ground));
  const early = openLog(config, ground, models.manifests.keys());
  const parametersPort = (): MessagePort => threads.channel(parameters.snapshot, false);
  const report = (error: unknown): void => early.failure('request-failed', error, { requestId: '' });
  const duties = openDuties(config, store, ambient, report);
  const jobs = await openJobs({
    ...{ config, store, duties },
    url: publicUrl(config),
    now: ambient.now,
    newId: ambient.newId,
    channel: () => store.channel(),
    parametersPort,
    report,
  });
  const base = restContext(config, store, ground, early);
  const { authorization, identity } = await openAccess(config, {
    context: base,
    store,
    url: publicUrl(config),
    ask: (wire, caller) => anyThread(wire, caller),
    folder: FOLDERS.issuers,
    current: () => live.current,
  });
  const { identify } = identity;
  const guard = identity.guard();
  const { subscriptions, feed } = openSubscriptions(config, {
    context: { ...base, store },
    current: () => live.current,
    how: understanding(config, base, FOLDERS.topics),
    ...{ identity, guard, url: publicUrl(config), duty: duties },
    onFailed: (id, count) => early.event('subscription-failed', { requestId: id, count }),
  });
  const risk = riskDesk(models, ambient.now, () => cds.withheldModels);
  const files = { ...base, ...jobs.context, risk, subscriptions };
  const live: LiveContext = new LiveContext({ ...files, parametersWritten: () => parameters.written() });
  const parameters: ClientParameters = new ClientParameters({
    ...{ store, live, log: early, duties },
    files: () => fileParameters(config.SEARCH_PARAMETERS_DIR ?? FOLDERS.searchParameters, ground.capability),
    startIndexing: (onProgress) => startIndexThread(config, store.channel(), parametersPort(), onProgress),
  });
  const threads = new ParameterThreads(() => parameters.written());
  const snapshot = await parameters.load();
  if (store.needsReindex) await reindex(store, live.current, onProgress);

  const url = publicUrl(config);
  const [metrics, secret] = [new Metrics(), secretOf(config, 'record.key')];
  const gates = openAdmission(metrics);
  const heavy = await startHeavy(config, store.channel(), threads.channel(snapshot, true), gates.heavy);
  /** The door for rooms on this thread: what may not run here is repeated on the heavy thread. */
  const anyThread = async (wire: WireRequest, caller: Caller): Promise<FhirResponse> => {
    try {
      return await answer(wire, caller, live.current);
    } catch (error) {
      if (!(error instanceof StoreError) || error.reason !== 'bounded-thread') throw error;
      return heavy.answer(wire, factsOf(caller), 'hook').catch((busy: unknown) => {
        if (busy instanceof FhirError) return refuse(busy, wire, caller, live.current);
        throw busy;
      });
    }
  };
  const outside = openOutside(config);
  const cds = buildCds({
    folder: config.CDS_SERVICES_DIR ?? FOLDERS.cdsServices,
    clientsFolder: config.CDS_CLIENTS_DIR,
    origins: config.CDS_ORIGINS,
    ...openAttestation(config, identify !== undefined, ambient.now()),
    ...outside,
    models,
    drugSafety,
    triage: loadTriage(folder),
    context: live.current,
    interact: anyThread,
    settings: {
      publicUrl: url,
      fhirBase: ground.fhirBase,
      deadlineMs: config.CDS_DEADLINE_MS,
      recordMs: config.CDS_RECORD_DAYS * 86_400_000,
      basisMs: config.CDS_BASIS_HOURS * 3_600_000,
      hooks3: config.CDS_HOOKS_3,
      overrideMs: config.CDS_OVERRIDE_HOURS * 3_600_000,
    },
    secret,
    ...{ ambient, quotaStore: duties.isShared ? store : undefined },
    observe: (cdsEvent, count) => {
      metrics.count('firewatch_cds_events_total', { event: cdsEvent }, count);
      early.event('hook-degraded', { cdsEvent, count });
    },
    measure: countedBy(metrics),
  });
  if (cds.problems.length > 0) {
    await heavy.close();
    await store.close();
    throw new Error(`CDS services: ${cds.problems.join(' ')}`);
  }
  const log = openLog(config, ground, models.manifests.keys(), cds);
  for (const service of cds.withheld) log.event('service-not-attested', { service });
  await jobs.resume();
  const surveillance = openSurveillance(config, { now: ambient.now, store, parametersPort, log, duties });
  parameters.run(threads);
  const followed = config.SEARCH_PARAMETERS_DIR ?? FOLDERS.searchParameters;
  const older = followOlder(
    store,
    () => live.current,
    (error) => files.report(error, 'older-release'),
  );
  const unfollow = followFolder(followed, () => void parameters.written());
  await subscriptions.start();
  duties.during(subscriptions);
  const beside = { folder: FOLDERS.monitoring, now: ambient.now, parametersPort, current: () => live.current };
  const monitoring = openMonitoring(config, { ...beside, models, guard, identify, log, store, duties });
  const own = [['/monitor', monitoring.handler] as const, ['/subscriptions', feed.handler] as const];
  const rooms = new Map([...jobs.handlers(files, guard, identify), ...own]);
  const drift = modelDrift({ ...ambient, models, folder, store, seal: aesSeal(secret), answer: heavy.answer });
  const modelStates = countedModels(models, drift, metrics);
  const emergencies = watchEmergencies(config, { current: () => live.current, duties, metrics, log });
  const condition = conditionOf({ store, metrics, now: ambient.now });
  const backups = watchBackups(config, { current: () => live.current, metrics, log });
  let listening = false;
  const bodyLimitBytes = config.BODY_LIMIT_MB * 1_048_576;
  const app = httpApp({
    fhir: fhirHandler({
      get context() {
        return live.current;
      },
      guard,
      identify,
      allowsOrigin: authorization && ((origin) => authorization.allowsOrigin(origin)),
      smart: identity.smart,
      bodyLimitBytes,
      ...jobs.http(files),
      heavy: heavy.answer,
      gate: gates.main,
    }),
    cds: cdsHandler({
      cds,
      gate: gates.main,
      guard: identity.guard(cds.origins),
      origins: cds.origins,
      bodyLimitBytes: config.CDS_BODY_LIMIT_MB * 1_048_576,
    }),
    jobs: withOauth(rooms, authorization),
    pages: openPages({ folders: FOLDERS, config, cds, guard: identity.pageGuard, asksTokens: identify !== undefined }),
    ready: async () => {
      const report = await ready({
        ping: () => store.ping(),
        models: modelStates,
        listening: () => listening,
        indexing: () => parameters.progress,
        further: () => [...condition(), ...monitoring.checks()],
      });
      return { ready: report.status !== 'fail', ...report };
    },
    metrics: () => metrics.text(),
    ...(config.METRICS === 'open' ? { mayMeasure: () => true } : {}),
    newId: ambient.newId,
    accepting: () => listening,
    onAnswered: (line) => log.event('request', { ...line }),
    report: files.report,
  });
  return {
    config,
    store,
    get context() {
      return live.current;
    },
    cds,
    app,
    ambient,
    log,
    authorization,
    drift,
    sockets: subscriptions.sockets,
    url,
    identify,
    answerHeavy: heavy.answer,
    setListening: (value) => {
      listening = value;
      for (const each of [monitoring, feed]) each.setListening(value);
    },
    close: async () => {
      unfollow();
      const inOrder = [
        older,
        emergencies,
        backups,
        monitoring,
        subscriptions,
        surveillance,
        parameters,
        duties,
        jobs,
        outside,
        gates,
        heavy,
        models,
      ];
      for (const each of inOrder) await each.close();
      identity.close();
      await store.close();
    },
  };
}
