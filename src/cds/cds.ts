/** The CDS Hooks room: loads its services once, then discovers and invokes. Source: CDS Hooks 2.0.1. */
import { createHash } from 'node:crypto';
import { type FhirError, fhirError } from '../fhir/outcome.ts';
import type { Ambient, Caller, RestContext } from '../rest/context.ts';
import type { Models } from '../risk/assessment.ts';
import type { DrugSafety } from '../risk/finding.ts';
import { type CdsAnswer, type CdsEvent, type CdsParts, invoke, refuse } from './invoke.ts';
import type { Door } from './prefetch.ts';
import { discoveryEntry, loadServices, type Service } from './service.ts';

export interface CdsOptions {
  /** Folder of the service files and schema.json. */
  readonly folder: string;
  readonly models: Models;
  readonly drugSafety: DrugSafety;
  readonly context: RestContext;
  /** The door for a request in wire form: `answer` of rest/interact.ts. */
  readonly interact: Door;
  readonly settings: {
    readonly publicUrl: string;
    /** Our own FHIR base; a call whose fhirServer equals it, or that names none, may be answered from our store. */
    readonly fhirBase: string;
    readonly deadlineMs: number;
  };
  readonly ambient: Ambient;
  /** Counters; events carry no PHI. */
  readonly observe?: (event: CdsEvent, count: number) => void;
}

export interface Cds {
  /** One sentence each; the server must not start while there is any. */
  readonly problems: readonly string[];
  readonly services: ReadonlyMap<string, Service>;
  /** GET /cds-services; 304 when `if-none-match` names the current list. */
  discover(headers?: Headers): CdsAnswer;
  /** POST /cds-services/{id}. Never rejects; 5xx only when the audit row cannot be written. */
  invoke(id: string, body: string, caller: Caller, headers?: Headers): Promise<CdsAnswer>;
  /** The answer to a request that reaches no service, audited. */
  refuse(error: FhirError, caller: Caller): Promise<CdsAnswer>;
}
/** Names in lower case. */
type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** CDS clients re-read the list daily or on error; five minutes keeps a change visible. */
const DISCOVERY_MAX_AGE_S = 300;
/** Bodies that cannot be JSON; everything else (also no type, `application/json+fhir`, `text/plain`) is read as JSON. */
const NOT_JSON = /xml|form|multipart|html|image|audio|video|octet-stream/i;

/** Loads and cross-checks the services; problems are returned, not thrown, so that the composition root lists them with all others. */
export function buildCds(options: CdsOptions): Cds {
  const { models, drugSafety, context, interact, settings, ambient } = options;
  const { services, problems } = loadServices(options.folder, models.manifests, context);
  const list = JSON.stringify({ services: [...services.values()].map(discoveryEntry) });
  const etag = `"${createHash('sha256').update(list).digest('base64url').slice(0, 22)}"`;
  const parts: CdsParts = {
    models,
    drugSafety,
    context,
    door: interact,
    fhirBase: settings.fhirBase.replace(/\/+$/, ''),
    deadlineMs: settings.deadlineMs,
    ambient,
    observe: options.observe ?? (() => undefined),
  };
  return {
    problems,
    services,
    discover: (headers = {}) => {
      const common = { ETag: etag, 'Cache-Control': `public, max-age=${DISCOVERY_MAX_AGE_S}` };
      const known = String(headers['if-none-match'] ?? '').split(/\s*,\s*/);
      if (known.some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag)) {
        return { status: 304, headers: common, body: '' };
      }
      return { status: 200, headers: { 'Content-Type': 'application/json; charset=utf-8', ...common }, body: list };
    },
    invoke: async (id, body, caller, headers = {}) => {
      if (NOT_JSON.test(String(headers['content-type'] ?? ''))) {
        return refuse(fhirError('unsupported-media-type', 'A hook call is `application/json`.'), caller, parts);
      }
      return invoke(services.get(id), body, caller, parts);
    },
    refuse: (error, caller) => refuse(error, caller, parts),
  };
}
