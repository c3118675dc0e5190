/** The CDS Hooks room: loads its services once, then discovers and invokes. Source: CDS Hooks 2.0.1. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type FhirError, fhirError } from '../fhir/outcome.ts';
import type { Ambient, Caller, RestContext } from '../rest/context.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import type { DrugSafety } from '../risk/drugs/finding.ts';
import type { Triage } from '../risk/triage/triage.ts';
import { basisOf, type CardBasis } from './basis/basis.ts';
import { aesSeal } from './basis/decision-record.ts';
import { type Explanation, explanationOf } from './basis/explanation.ts';
import { scoreFiles } from './basis/score-files.ts';
import { Answered } from './call/answered.ts';
import { invoke } from './call/invoke.ts';
import type { ReadOutside } from './call/outside-reads.ts';
import type { Door } from './call/reader.ts';
import { refuse } from './call/refusal.ts';
import { rehearse } from './call/rehearsal.ts';
import { basisHandles } from './cards/basis-link.ts';
import { type CardedModels, unlabelledServices } from './cards/demonstration.ts';
import { type Bearer, type BearerOptions, bearerReason, cdsBearer, type Verified } from './clients/bearer.ts';
import { type CdsClient, demonstrationClient, type LoadedClients, loadClients, mayCall } from './clients/client.ts';
import { Quota, type QuotaStore } from './clients/quota.ts';
import { overrideMemory } from './feedback/override-memory.ts';
import { explain, takeFeedback } from './feedback/reply.ts';
import { type ReportPage, type ReportQuery, report, reportPage } from './feedback/report.ts';
import type { CdsAnswer, CdsEvent, CdsParts, CdsSample } from './parts.ts';
import { discoveryEntry, loadServices, type Service, toldModels, unattestedServices } from './services/service.ts';

export interface CdsOptions {
  /** Folder of the service files and schema.json; `clients/schema.json` in it describes the registrations. */
  readonly folder: string;
  /** Folder of registered clients. undefined: whoever reaches the server may call. */
  readonly clientsFolder: string | undefined;
  /** Where tokens are asked for: without registered clients nobody may call. */
  readonly needsClients?: boolean;
  /** Origins of pages that may call, besides those of registered clients and the server's own. */
  readonly origins: readonly string[];
  /** Whether this is the demonstration, where no attestation is asked for. */
  readonly isDemonstration: boolean;
  /** Whether the site has attested this version of a model; asked outside the demonstration. Absent: nothing is attested. */
  readonly attested?: ((model: string, version: string) => boolean) | undefined;
  /** Fetches key sets of clients, under the rules of all outbound calls. */
  readonly fetchKeys: BearerOptions['fetchKeys'];
  readonly models: CardedModels;
  readonly drugSafety: DrugSafety;
  readonly triage: Triage;
  readonly context: RestContext;
  /** The door for a request in wire form: `answer` of rest/interact.ts. */
  readonly interact: Door;
  /** Reads other FHIR servers, under the rules of all outbound calls. */
  readonly readOutside: ReadOutside;
  readonly settings: {
    readonly publicUrl: string;
    /** Our own FHIR base; a call whose fhirServer equals it, or that names none, may be answered from our store. */
    readonly fhirBase: string;
    readonly deadlineMs: number;
    /** How long decision records are kept, ms. */
    readonly recordMs: number;
    /** How long the page of a card's basis can be opened, ms. */
    readonly basisMs: number;
    /** How long overrides are remembered, ms; 0: not at all. */
    readonly overrideMs: number;
    /** Features of the CDS Hooks 3.0 ballot are on. */
    readonly hooks3: boolean;
  };
  /** Decision records are sealed with it. */
  /** Of all processes, where there are several: what clients may ask is counted there. */
  readonly quotaStore?: QuotaStore | undefined;
  readonly secret: Uint8Array;
  readonly ambient: Ambient;
  /** Counters; events carry no PHI. */
  readonly observe?: (event: CdsEvent, count: number) => void;
  /** Counters by service and model. */
  readonly measure?: (sample: CdsSample) => void;
}

export interface Cds {
  /** One sentence each; the server must not start while there is any. */
  readonly problems: readonly string[];
  /** Origins of pages that may call. */
  readonly origins: ReadonlySet<string>;
  readonly services: ReadonlyMap<string, Service>;
  /** Ids of services that are not there for want of the site's attestation. */
  readonly withheld: readonly string[];
  /** Models whose results those services tell. */
  readonly withheldModels: ReadonlySet<string>;
  /** GET /cds-services; 304 when `if-none-match` names the current list. */
  discover(headers?: Headers): CdsAnswer;
  /**
   * Who calls, before anything of the body is read; to be given to `invoke`, or released.
   * @throws FhirError 401 without a valid JWT, 403 for a service that the client is not registered for, 429 above its quota
   */
  admit(asked: Asked, peer: Peer, headers?: Headers): Promise<Admitted>;
  /** POST /cds-services/{id}. Never rejects; 5xx only when the audit row cannot be written. */
  invoke(id: string, body: string, admitted: Admitted, headers?: Headers): Promise<CdsAnswer>;
  /** POST /cds-services/{id}/feedback. Rejects with FhirError only. */
  feedback(id: string, body: string, admitted: Admitted): Promise<CdsAnswer>;
  /** GET /cds-services/explain/{uuid}: what a card stood on, to the client that was sent it. */
  explain(uuid: string, admitted: Admitted): Promise<CdsAnswer>;
  /**
   * The same for who runs the server, of the client named or of any that is registered. Rejects with FhirError: not-found;
   * multiple-matches when several clients have a card of this uuid.
   */
  explanation(uuid: string, client: string | undefined, caller: Caller): Promise<Explanation>;
  /** What is behind a card's link to its basis, audited. Rejects with FhirError: not-found for what is unknown or has expired, alike. */
  basis(handle: string, caller: Caller): Promise<CardBasis>;
  /** GET /cds-services/report: what became of the client's own cards. Rejects with FhirError: 400 for a wrong query. */
  report(query: URLSearchParams, admitted: Admitted): Promise<CdsAnswer>;
  /** A page of everybody's cards, for who runs the server. */
  reportPage(query: ReportQuery, caller: Caller): Promise<ReportPage>;
  /** Calls that nobody sent, for the sake of the first real ones; leaves no trace and never rejects. @returns how many things went wrong */
  rehearse(): Promise<number>;
  /** The answer to a request that reaches no service, audited. */
  refuse(error: FhirError, caller: Caller): Promise<CdsAnswer>;
}
/** Where a request comes from, before it is known from whom. */
export interface Peer {
  readonly requestId: string;
  readonly address: string;
}
/** What is asked of the room, as far as a JWT and a registration decide it. */
export interface Asked {
  /** Below `/cds-services`: `/triage`, `/triage/feedback`, `/explain/{uuid}`. */
  readonly path: string;
  /** undefined: no one service. */
  readonly service: string | undefined;
}
export interface Admitted extends Verified {
  readonly caller: Caller;
  /** Gives back the client's place; more than once does nothing. */
  release(): void;
}
/** Names in lower case. */
type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** CDS clients re-read the list daily or on error; five minutes keeps a change visible. */
const DISCOVERY_MAX_AGE_S = 300;
/** Bodies that cannot be JSON; everything else (also no type, `application/json+fhir`, `text/plain`) is read as JSON. */
const NOT_JSON = /xml|form|multipart|html|image|audio|video|octet-stream/i;

/** Loads and cross-checks services and clients; problems are returned, not thrown, so that the composition root lists them with all others. */
export function buildCds(options: CdsOptions): Cds {
  const { models, drugSafety, context, interact, settings, ambient, folder, fetchKeys } = options;
  const { services: all, problems } = loadServices(folder, models.manifests, context, settings.hooks3);
  const registered = clientsOf(options, new Set(all.keys()));
  const withheld = options.isDemonstration
    ? []
    : unattestedServices(all, models.manifests, options.attested ?? (() => false));
  const services = new Map([...all].filter(([id]) => !withheld.includes(id)));
  const bearer = registered.demonstration
    ? permitAll(registered.demonstration)
    : cdsBearer({
        clients: registered.clients,
        address: `${settings.publicUrl}/cds-services`,
        now: () => ambient.now(),
        fetchKeys,
      });
  const list = JSON.stringify({
    services: [...services.values()].map((each) => discoveryEntry(each, settings.hooks3)),
  });
  const etag = `"${createHash('sha256').update(list).digest('base64url').slice(0, 22)}"`;
  const parts: CdsParts = {
    models,
    scoreFiles: scoreFiles(models, options.triage.table),
    drugSafety,
    triage: options.triage,
    context,
    door: interact,
    readOutside: options.readOutside,
    fhirBase: settings.fhirBase.replace(/\/+$/, ''),
    deadlineMs: settings.deadlineMs,
    hooks3: settings.hooks3,
    seal: aesSeal(options.secret),
    recordMs: settings.recordMs,
    handles: basisHandles(options.secret),
    basisMs: settings.basisMs,
    publicUrl: settings.publicUrl,
    memory: overrideMemory(options.secret, settings.overrideMs),
    answered: new Answered(),
    ambient,
    observe: options.observe ?? (() => undefined),
    measure: options.measure ?? (() => undefined),
  };
  const { demonstration } = registered;
  const names = (demonstration === undefined ? registered.clients : [demonstration]).map(({ name }) => name);
  const quota = new Quota(() => ambient.now(), options.quotaStore);
  return {
    problems: [...problems, ...unlabelledServices(all, models), ...registered.problems],
    origins: new Set([...options.origins, ...registered.clients.flatMap(({ origins }) => origins)]),
    services,
    withheld,
    withheldModels: new Set(withheld.flatMap((id) => toldModels(all.get(id)))),
    discover: (headers = {}) => {
      const common = { ETag: etag, 'Cache-Control': `public, max-age=${DISCOVERY_MAX_AGE_S}` };
      const known = String(headers['if-none-match'] ?? '').split(/\s*,\s*/);
      if (known.some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag)) {
        return { status: 304, headers: common, body: '' };
      }
      return { status: 200, headers: { 'Content-Type': 'application/json; charset=utf-8', ...common }, body: list };
    },
    admit: async ({ path, service }, peer, headers = {}) => {
      const given = headers.authorization;
      const verified = await bearer.verify(typeof given === 'string' ? given : undefined, path);
      const { client } = verified;
      if (service !== undefined && services.has(service) && !mayCall(client, service)) {
        throw fhirError('forbidden', 'The client is not registered for this service.');
      }
      return { ...verified, caller: callerOf(verified, peer), release: await quota.take(client) };
    },
    invoke: async (id, body, admitted, headers = {}) => {
      try {
        if (NOT_JSON.test(String(headers['content-type'] ?? ''))) {
          const error = fhirError('unsupported-media-type', 'A hook call is `application/json`.');
          return await refuse(error, admitted.caller, parts);
        }
        return await invoke(services.get(id), body, admitted, parts);
      } finally {
        admitted.release();
      }
    },
    feedback: async (id, body, admitted) => takeFeedback(services.get(id), body, admitted, parts),
    explain: async (uuid, admitted) => explain(uuid, admitted, parts),
    explanation: (uuid, client, caller) => explanationOf(uuid, client === undefined ? names : [client], caller, parts),
    report: async (query, admitted) => report(query, admitted, parts),
    reportPage: async (query, caller) => reportPage(query, undefined, caller, parts),
    basis: (handle, caller) => basisOf(handle, caller, parts),
    rehearse: () => rehearse([...services.values()], parts),
    refuse: (error, caller) => refuse(error, caller, parts, bearerReason(error)),
  };
}

interface Registered extends LoadedClients {
  /** Present while no clients are registered. */
  readonly demonstration?: CdsClient;
}

function clientsOf(options: CdsOptions, serviceIds: ReadonlySet<string>): Registered {
  const { clientsFolder, folder, origins, needsClients } = options;
  if (clientsFolder === undefined && needsClients) return { clients: [], problems: [] };
  if (clientsFolder === undefined) return { clients: [], problems: [], demonstration: demonstrationClient(origins) };
  return loadClients(clientsFolder, join(folder, 'clients', 'schema.json'), serviceIds);
}

const permitAll = (client: CdsClient): Bearer => ({ verify: async () => ({ client, replay: undefined }) });

/** The registered client as audited. What it reads of our own store is decided by its registration, in prefetch. */
function callerOf({ client }: Verified, { requestId, address }: Peer): Caller {
  const facts = localFacts(requestId, address);
  if (client.issuer === '') return localCaller(facts);
  const named = { principal: `cds:${client.name}`, client: { system: client.issuer, value: client.name } };
  return localCaller({ ...facts, ...named });
}
