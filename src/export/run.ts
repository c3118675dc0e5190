/**
 * Runs one job: pages of searches -> NDJSON, taken up where it stopped. Source: FHIR Bulk Data Access 2.0.0.
 * A resource whose last change is at or before transactionTime, and that does not change meanwhile, appears exactly once: pages are keyset
 * pages (store/port.ts, guarantee 4). One that changed later is left for the next `_since`.
 * What the caller may see is frozen at the kick-off. When Consents deny any of it at the end, the files are not released: docs/authorization.md.
 */
import type { Deidentify } from '../deidentify/deidentify.ts';
import type { Definitions } from '../fhir/definitions/definitions.ts';
import { fhirError, operationOutcome } from '../fhir/outcome.ts';
import { serialize } from '../fhir/resource.ts';
import type { AccessFilter, Predicate, SearchPlan } from '../fhir/search/algebra.ts';
import { and, not, or } from '../fhir/search/simplify.ts';
import { NdjsonFiles } from '../jobs/ndjson.ts';
import type { JobRun } from '../jobs/run.ts';
import type { ExportJob, ExportUnit } from '../rest/jobs/export.ts';
import type { JobFile, JobResult } from '../rest/jobs/job.ts';
import { fingerprint } from '../rest/permission/fingerprint.ts';
import { shapedText, storedResource } from '../rest/wire/represent.ts';
import { type ResourceStore, type StoredVersion, StoreError } from '../store/port.ts';

export interface ExportTools {
  readonly store: Pick<ResourceStore, 'search'>;
  readonly definitions: Definitions;
  now(): number;
  /** What the caller may see as of now. */
  access(): Promise<AccessFilter>;
  /** Makes durable that the data of these patients is exported; at most `page` of them. */
  record(patients: readonly string[]): Promise<void>;
  /** Between two pages: lets others work. */
  pause(): Promise<void>;
  /** True when the job is to stop where it is. */
  stopped(): boolean;
  /** Of a de-identified export. */
  readonly deidentified?: Deidentifying | undefined;
  /** Resources a page, and patients a chunk. */
  readonly page: number;
  readonly linesPerFile: number;
  /** Pages between two syncs. */
  readonly pagesPerSync: number;
}

/** What a de-identified export needs beside: its key is made before the first page and destroyed before the result is written. */
export interface Deidentifying {
  readonly deidentify: Deidentify;
  /** True: the key is new, so that lines of an earlier attempt cannot be gone on with. */
  readonly isNew: boolean;
  destroyKey(): Promise<void>;
}

/** How far a job is; everything before it is synced. */
export interface ExportProgress {
  /** -1: patients are being recorded; then the index of the unit. */
  readonly unit: number;
  /** Index of the chunk of members. */
  readonly chunk: number;
  /** Where the last page ended. */
  readonly after: string | undefined;
  readonly percent: number;
  readonly files: readonly JobFile[];
}
export type ExportRun = JobRun<ExportProgress, JobResult>;
type Place = Pick<ExportProgress, 'unit' | 'chunk' | 'after'>;

/** Type of the lines of error files. */
const OUTCOME = 'OperationOutcome';
/** A job that is not complete never shows 100. */
const MOST_PERCENT = 99;

/** @returns false when it was stopped: run it again and it goes on */
export async function runExport(own: ExportRun, job: ExportJob, tools: ExportTools): Promise<boolean> {
  if ((job.deidentify === undefined) !== (tools.deidentified === undefined)) throw new TypeError('Another export.');
  const isAnew = tools.deidentified?.isNew === true;
  const from = isAnew ? undefined : await own.progress();
  const output = await NdjsonFiles.resume(own, tools.linesPerFile, from?.files ?? []);
  const run = new Run(own, job, tools, output);
  try {
    if (from === undefined && !(await run.recordPatients())) return false;
    if (!(await run.from(from ?? { unit: 0, chunk: 0, after: undefined }))) return false;
    const files = await output.synced();
    const isDenied = await run.isDenied(await tools.access());
    if (isDenied === undefined) return false;
    await tools.deidentified?.destroyKey();
    if (isDenied) {
      await own.withhold(tools.now());
      await output.remove();
      return true;
    }
    const result: JobResult = {
      completedAt: tools.now(),
      output: files.filter(({ type }) => type !== OUTCOME),
      error: files.filter(({ type }) => type === OUTCOME),
    };
    await own.complete(result);
    return true;
  } finally {
    await output.close();
  }
}

/** One search of the job, and which of its matches count. */
interface Step {
  readonly unit: ExportUnit;
  readonly place: Place;
  readonly plan: SearchPlan;
  counts(version: StoredVersion): boolean;
}

class Run {
  readonly #own: ExportRun;
  readonly #job: ExportJob;
  readonly #tools: ExportTools;
  readonly #output: NdjsonFiles;
  /** Members in chunks of a page, and the chunk of each. */
  readonly #chunks: readonly (readonly string[])[];
  readonly #chunkOf: ReadonlyMap<string, number>;
  #pages = 0;

  constructor(own: ExportRun, job: ExportJob, tools: ExportTools, output: NdjsonFiles) {
    this.#own = own;
    this.#job = job;
    this.#tools = tools;
    this.#output = output;
    this.#chunks = job.scope.kind === 'members' ? chunksOf(job.scope.members, tools.page) : [];
    this.#chunkOf = new Map(this.#chunks.flatMap((ids, chunk) => ids.map((id): [string, number] => [id, chunk])));
  }

  /** Before any of their data is read. A crash may record some of them twice, none never. */
  async recordPatients(): Promise<boolean> {
    const { store, page: count, record, pause, stopped } = this.#tools;
    for (const ids of this.#chunks) {
      if (stopped()) return false;
      await record(ids);
    }
    const { scope } = this.#job;
    let after: string | undefined;
    while (scope.kind === 'patients') {
      if (stopped()) return false;
      const { matches, next } = await store.search(scope.patients, { count, after });
      if (matches.length > 0) await record(matches.map(({ key }) => key.id));
      if (next === undefined) break;
      after = next;
      await pause();
    }
    return true;
  }

  async from(start: Place): Promise<boolean> {
    for (const step of this.#steps(start)) {
      const isFirst = step.place.unit === start.unit && step.place.chunk === start.chunk;
      if (!(await this.#step(step, isFirst ? start.after : undefined))) return false;
    }
    return true;
  }

  /** Whether any of what was to be exported may not be seen now. undefined: it was stopped. */
  async isDenied(access: AccessFilter): Promise<boolean | undefined> {
    const changed = new Map<string, Predicate>();
    for (const { type, permitted } of this.#job.units) {
      const visible = access.visible(type, 'search');
      if (permitted !== undefined && permitted !== fingerprint(visible)) changed.set(type, visible);
    }
    for (const step of this.#steps({ unit: 0, chunk: 0, after: undefined })) {
      const visible = changed.get(step.unit.type);
      if (visible === undefined) continue;
      const where = and([step.plan.where, not(visible)]);
      const isDenied = await this.#finds({ ...step, plan: { ...step.plan, where } });
      if (isDenied !== false) return isDenied;
    }
    return false;
  }

  /** A search that takes too long cannot say no. */
  async #finds({ plan, counts }: Step): Promise<boolean | undefined> {
    const { store, page: count, pause, stopped } = this.#tools;
    let after: string | undefined;
    try {
      do {
        if (stopped()) return undefined;
        const { matches, next } = await store.search(plan, { count, after });
        if (matches.some(counts)) return true;
        after = next;
        await pause();
      } while (after !== undefined);
    } catch (error) {
      if (error instanceof StoreError && error.reason === 'too-costly') return true;
      throw error;
    }
    return false;
  }

  *#steps(start: Place): Generator<Step> {
    const { scope, units } = this.#job;
    for (const [index, unit] of units.entries()) {
      if (index < start.unit) continue;
      const place = { unit: index, chunk: 0, after: undefined };
      if (scope.kind !== 'members') {
        const counts = ({ patients }: StoredVersion) => scope.kind === 'system' || patients.length > 0;
        yield { unit, place, plan: unit.plan, counts };
      }
      for (const [chunk, ids] of this.#chunks.entries()) {
        if (index === start.unit && chunk < start.chunk) continue;
        const plan = { ...unit.plan, where: and([unit.plan.where, this.#inside(unit.type, ids)]) };
        const isOwner = this.#isOwner(unit.type);
        const counts = ({ key, patients }: StoredVersion) => this.#chunkFor(isOwner ? [key.id] : patients) === chunk;
        yield { unit, place: { ...place, chunk }, plan, counts };
      }
    }
  }

  /** In the compartment of one of these Patients; a Patient that only links to one is not a member. */
  #inside(type: string, ids: readonly string[]): Predicate {
    const codes = this.#tools.definitions.compartmentParameters('Patient', type);
    if (codes.includes('{def}')) return { kind: 'ids', ids };
    const targets = ids.map((id) => `Patient/${id}`);
    return or(codes.map((code): Predicate => ({ kind: 'reference', parameter: `${type}.${code}`, targets })));
  }

  /** Patients are asked for by id, whomever they link to. */
  #isOwner(type: string): boolean {
    return this.#tools.definitions.compartmentParameters('Patient', type).includes('{def}');
  }

  /** Of a resource about several members, the chunk that gives it. */
  #chunkFor(patients: readonly string[]): number {
    return Math.min(...patients.map((patient) => this.#chunkOf.get(patient) ?? Number.POSITIVE_INFINITY));
  }

  /** A search that takes too long ends its step with an error line; the other steps go on. */
  async #step(step: Step, from: string | undefined): Promise<boolean> {
    try {
      return await this.#search(step, from);
    } catch (error) {
      if (!(error instanceof StoreError) || error.reason !== 'too-costly') throw error;
      const { issues } = fhirError('too-costly', `\`${step.unit.type}\` is not complete: its search takes too long.`);
      await this.#output.append(OUTCOME, [JSON.stringify(operationOutcome(issues))]);
      return true;
    }
  }

  async #search({ unit, place, plan, counts }: Step, from: string | undefined): Promise<boolean> {
    const { store, page: count, pagesPerSync, pause, stopped } = this.#tools;
    let after = from;
    for (;;) {
      if (stopped()) return false;
      const { matches, next } = await store.search(plan, { count, after });
      const counted = matches.filter((version) => version.at <= this.#job.transactionTime && counts(version));
      await this.#output.append(
        unit.type,
        counted.flatMap((version) => this.#line(version, unit) ?? []),
      );
      if (next === undefined) return true;
      after = next;
      if (++this.#pages % pagesPerSync === 0) await this.#save({ ...place, after });
      await pause();
    }
  }

  /** One line: stored texts hold no line break, unless they came in with one between values. undefined: what cannot be de-identified. */
  #line({ text = 'null', patients }: StoredVersion, { elements }: ExportUnit): string | undefined {
    const { deidentified } = this.#tools;
    if (deidentified !== undefined) {
      const resource = deidentified.deidentify(storedResource(text), patients);
      return resource === undefined ? undefined : serialize(resource);
    }
    if (elements.length > 0) return shapedText(text, { summary: undefined, elements }, this.#tools.definitions);
    return /[\r\n]/.test(text) ? serialize(storedResource(text)) : text;
  }

  async #save({ unit, chunk, after }: Place): Promise<void> {
    const files = await this.#output.synced();
    const done = (unit + chunk / Math.max(this.#chunks.length, 1)) / Math.max(this.#job.units.length, 1);
    const percent = Math.min(MOST_PERCENT, Math.floor(100 * done));
    await this.#own.save({ unit, chunk, after, percent, files });
  }
}

function chunksOf(members: readonly string[], size: number): readonly (readonly string[])[] {
  return Array.from({ length: Math.ceil(members.length / size) }, (_, index) =>
    members.slice(index * size, (index + 1) * size),
  );
}
