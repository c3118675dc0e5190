/** Watches the models over the decision records: `firewatch model drift`, and once a day in the server, whose readiness then warns. Decision 0031. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type DecisionRecord, decisionPage, type Seal } from './cds/basis/decision-record.ts';
import type { Progress } from './commands/progress.ts';
import { isJsonObject, parseJson, type Resource } from './fhir/resource.ts';
import type { CallerFacts } from './rest/permission/caller.ts';
import { localFacts } from './rest/permission/caller.ts';
import type { FhirResponse, WireRequest } from './rest/request.ts';
import type { Assessment, Models } from './risk/assessment.ts';
import { loadKnowledge } from './risk/knowledge.ts';
import { loadSchemas, readChecked } from './risk/manifest.ts';
import { type DriftLimits, type DriftReport, driftOf, type Reference, type Seen } from './risk/models/drift.ts';
import { outcomeOf } from './risk/models/outcomes.ts';
import type { ResourceStore } from './store/port.ts';

const DAY_MS = 86_400_000;
/** Records that are opened at a time; each takes a part of a millisecond. */
const PAGE = 8;
/** After the start, so that the first requests come first. */
const FIRST_MS = 1000;

export interface DriftParts {
  readonly models: Pick<Models, 'manifests'>;
  /** The models folder: drift.json, and reference.json of each version. */
  readonly folder: string;
  readonly store: Pick<ResourceStore, 'keyedPage'>;
  readonly seal: Seal;
  /** The door; each read of an outcome is audited. */
  answer(wire: WireRequest, caller: CallerFacts): Promise<FhirResponse>;
  now(): number;
  newId(): string;
}
export interface Drift {
  readonly limits: DriftLimits;
  /** One report for each model that has a reference. `from`, `to`: ms since 1970, calls in [from, to). */
  run(from: number, to: number, onProgress?: Progress): Promise<readonly DriftReport[]>;
  /** Ids of models whose last report was an alert for the graph that answers now. */
  degraded(): ReadonlySet<string>;
}

/** References of the versions that answer; a file for another graph counts as absent. @throws Error when one is malformed */
function references({ folder, models }: DriftParts, schemas: ReturnType<typeof loadSchemas>): readonly Reference[] {
  return [...models.manifests.values()].flatMap(({ id, version, sha256 }) => {
    const path = join(folder, id, version);
    if (!existsSync(join(path, 'reference.json'))) return [];
    const reference = readChecked(path, 'reference.json', schemas.reference);
    return reference.sha256 === sha256 ? [reference] : [];
  });
}

interface Judged {
  readonly record: Pick<DecisionRecord, 'at' | 'patient' | 'ownPatients'>;
  readonly assessment: Assessment;
}

/** Lets requests be answered between two pages. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** @throws Error when drift.json or a reference is malformed */
export function modelDrift(parts: DriftParts): Drift {
  const schemas = loadSchemas(parts.folder);
  const limits = readChecked(parts.folder, 'drift.json', schemas.drift);
  const known = references(parts, schemas);
  const { vocabulary } = loadKnowledge(parts.folder, schemas);
  for (const { model, outcome } of known) {
    if (outcome?.kind === 'condition' && !Object.hasOwn(vocabulary.sets, outcome.set)) {
      throw new Error(`reference.json of ${model}: vocabulary.json has no set ${outcome.set}`);
    }
  }
  const alerts = new Set<string>();

  /** The latest judgement of each patient by each model. */
  async function judged(from: number, to: number): Promise<ReadonlyMap<string, ReadonlyMap<string, Judged>>> {
    const byModel = new Map(known.map(({ model }) => [model, new Map<string, Judged>()]));
    const hashes = new Map(known.map(({ model, sha256 }) => [model, sha256]));
    const keep = (record: DecisionRecord): void => {
      for (const assessment of record.assessments) {
        const { id, sha256 } = assessment.model;
        if (assessment.answeredBy !== 'model' || assessment.vector === undefined || hashes.get(id) !== sha256) continue;
        byModel.get(id)?.set(`${record.client} ${record.patient}`, { record, assessment });
      }
    };
    let after: string | undefined;
    do {
      const page = await decisionPage(parts.store, parts.seal, { from, after }, PAGE);
      for (const record of page.records) if (record.at >= from && record.at < to) keep(record);
      after = page.after;
      await breathe();
    } while (after !== undefined);
    return byModel;
  }

  async function searched(query: string): Promise<readonly Resource[]> {
    const [path = '', parameters = ''] = query.split('?');
    const wire: WireRequest = { method: 'GET', path: `/${path}`, query: parameters, headers: {}, body: '' };
    const { status, body } = await parts.answer(wire, {
      ...localFacts(parts.newId(), '127.0.0.1'),
      principal: 'drift',
    });
    const bundle = status === 200 && body !== undefined ? parseJson(body) : undefined;
    if (!isJsonObject(bundle) || !Array.isArray(bundle.entry)) return [];
    return bundle.entry.flatMap((entry) => (isJsonObject(entry) && isResource(entry.resource) ? [entry.resource] : []));
  }

  async function seenOf(reference: Reference, { record, assessment }: Judged): Promise<Seen> {
    const { band, vector = [], outputs } = assessment;
    const base = { band, vector, probability: outputs.probability };
    if (reference.outcome === undefined || !record.ownPatients) return { ...base, outcome: undefined };
    const id = encodeURIComponent(record.patient);
    const found = await searched(`Patient?_id=${id}`);
    const stays = await searched(`Encounter?patient=${id}&_include=Encounter:location&_count=200`);
    const conditions =
      reference.outcome.kind === 'condition' ? await searched(`Condition?patient=${id}&_count=500`) : [];
    const evidence = { patient: found[0], resources: [...stays, ...conditions], at: record.at };
    return {
      ...base,
      outcome: found.length === 0 ? undefined : outcomeOf(reference.outcome, evidence, parts.now(), vocabulary),
    };
  }

  return {
    limits,
    async run(from, to, onProgress) {
      const byModel = await judged(from, to);
      const total = [...byModel.values()].reduce((sum, patients) => sum + patients.size, 0);
      const reports: DriftReport[] = [];
      let done = 0;
      onProgress?.(done, total);
      for (const reference of known) {
        const seen: Seen[] = [];
        for (const one of byModel.get(reference.model)?.values() ?? []) {
          seen.push(await seenOf(reference, one));
          onProgress?.(++done, total);
        }
        const report = driftOf(reference, seen, limits);
        reports.push(report);
        if (report.state === 'alert') alerts.add(reference.model);
        else alerts.delete(reference.model);
      }
      return reports;
    },
    degraded: () => alerts,
  };
}

function isResource(value: unknown): value is Resource {
  return typeof value === 'object' && value !== null && 'resourceType' in value;
}

/** Looks back `limits.days` a first time soon after the start, then daily, while the process lives. @returns stops it */
export function watchDaily(
  drift: Drift,
  now: () => number,
  onAlert: (model: string) => void,
  onFailed: (error: unknown) => void,
): () => void {
  let timer: NodeJS.Timeout;
  const look = (): void => {
    timer = setTimeout(look, DAY_MS).unref();
    drift
      .run(now() - drift.limits.days * DAY_MS, now())
      .then((reports) => {
        for (const { model, state } of reports) if (state === 'alert') onAlert(model);
      })
      .catch(onFailed);
  };
  timer = setTimeout(look, FIRST_MS).unref();
  return () => clearTimeout(timer);
}
