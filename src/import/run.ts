/**
 * Runs one import: lines -> updates through the door, some at once, taken up where it stopped. Source: bulk import proposal (SMART on FHIR, 2020).
 * A line is an update by its id, so reading it again changes nothing; a line without an id gets one made from the job and its place. After a
 * crash only the lines of one chunk are in doubt: those that history shows as written by this job are not written again, so that what
 * somebody changed in between stays.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { FhirError, fhirError } from '../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, parseJson, type Resource, serialize } from '../fhir/resource.ts';
import { NdjsonFiles } from '../jobs/ndjson.ts';
import type { JobRun } from '../jobs/run.ts';
import type { Caller, RestContext } from '../rest/context.ts';
import { interact, refuse } from '../rest/interact.ts';
import { normalised } from '../rest/interactions/write.ts';
import type { ImportCount, ImportInput, ImportJob, ImportResult } from '../rest/jobs/import.ts';
import type { JobFile } from '../rest/jobs/job.ts';
import type { FhirRequest, WireRequest } from '../rest/request.ts';
import { canonicalText } from '../rest/wire/canonical.ts';
import { parseRequest } from '../rest/wire/parse-request.ts';
import { storedResource } from '../rest/wire/represent.ts';
import { type Line, linesOf } from './lines.ts';

export interface ImportTools {
  readonly context: RestContext;
  readonly caller: Caller;
  now(): number;
  /** Between two chunks: lets others work. */
  pause(): Promise<void>;
  /** True when the job is to stop where it is. */
  stopped(): boolean;
  /** Most lines written at once. */
  readonly chunk: number;
  /** Bytes of the longest line. */
  readonly lineBytes: number;
}

/** How far a job is; everything before it is done and its report synced. */
export interface ImportProgress {
  readonly input: number;
  /** Bytes and lines of that input. */
  readonly offset: number;
  readonly line: number;
  readonly counts: readonly ImportCount[];
  readonly files: readonly JobFile[];
  readonly percent: number;
}

export type ImportRun = JobRun<ImportProgress, ImportResult>;

/** The body of a kick-off, in the job's folder. */
export const UPLOAD = 'upload';
const OUTCOME = 'OperationOutcome';
const LINES_PER_FILE = 100_000;
/** Bytes of a chunk, which ends with the line that passes it. */
const CHUNK_BYTES = 4_194_304;
const READ_BYTES = 262_144;
/** Versions of a resource that are looked through for a line in doubt. */
const VERSIONS = 50;
/** A job that is not complete never shows 100. */
const MOST_PERCENT = 99;

/** @returns false when it was stopped: run it again and it goes on */
export async function runImport(own: ImportRun, job: ImportJob, tools: ImportTools): Promise<boolean> {
  const from = await own.progress();
  const report = await NdjsonFiles.resume(own, LINES_PER_FILE, from?.files ?? []);
  const run = new Run(own, job, tools, report, from);
  try {
    for (let input = from?.input ?? 0; input < job.inputs.length; input++) {
      if (!(await run.input(input, input === from?.input ? from : undefined))) return false;
    }
    const error = await report.synced();
    const result: ImportResult = { completedAt: tools.now(), output: [], error, counts: run.counts };
    await own.complete(result);
    return true;
  } finally {
    await report.close();
  }
}

/** A line that is ready for the door, or was refused before it. */
interface Prepared {
  readonly line: Line;
  readonly key: string | undefined;
  readonly resource: Resource | undefined;
  readonly request: FhirRequest | undefined;
  readonly refused: FhirError | undefined;
}

class Run {
  readonly counts: ImportCount[];
  readonly #own: ImportRun;
  readonly #job: ImportJob;
  readonly #tools: ImportTools;
  readonly #report: NdjsonFiles;
  /** The next chunk may be written already, in part or whole. */
  #inDoubt: boolean;

  constructor(
    own: ImportRun,
    job: ImportJob,
    tools: ImportTools,
    report: NdjsonFiles,
    from: ImportProgress | undefined,
  ) {
    this.#own = own;
    this.#job = job;
    this.#tools = tools;
    this.#report = report;
    this.counts = job.inputs.map((_input, index) => from?.counts[index] ?? { imported: 0, refused: 0 });
    this.#inDoubt = true;
  }

  async input(index: number, from: Pick<ImportProgress, 'offset' | 'line'> = { offset: 0, line: 0 }): Promise<boolean> {
    const input = this.#job.inputs[index];
    if (input === undefined || from.offset >= input.bytes) return true;
    const path = input.path ?? join(this.#own.folder, UPLOAD);
    const { lineBytes, chunk: most, pause, stopped } = this.#tools;
    const stream = createReadStream(path, { start: from.offset, end: input.bytes - 1, highWaterMark: READ_BYTES });
    let chunk = new Map<string, Prepared>();
    let began = from.offset;
    let last = from.offset;
    for await (const line of linesOf(stream, { ...from, limit: lineBytes })) {
      const prepared = this.#prepared(line, index, input);
      const name = prepared.key ?? `#${line.number}`;
      if (chunk.size >= most || last - began > CHUNK_BYTES || chunk.has(name)) {
        if (stopped()) return false;
        await this.#write([...chunk.values()], index);
        await pause();
        chunk = new Map();
        began = last;
      }
      chunk.set(name, prepared);
      last = line.end;
    }
    if (stopped()) return false;
    await this.#write([...chunk.values()], index);
    if (last < input.bytes) throw new Error('An input is shorter than it was at the kick-off.');
    return true;
  }

  #prepared(line: Line, index: number, { type }: ImportInput): Prepared {
    const none = { line, key: undefined, resource: undefined, request: undefined, refused: undefined };
    if (line.text?.trim() === '') return none;
    try {
      const { resourceType, ...rest } = resourceIn(line, this.#tools);
      if (type !== undefined && resourceType !== type) {
        throw fhirError('invalid', `It is not a \`${type}\`, as the input says.`);
      }
      const id = rest.id ?? this.#idOf(index, line.number);
      if (typeof id !== 'string') throw fhirError('value', 'Its id is not a text.');
      const resource: Resource = { resourceType, ...rest, id };
      const key = `${resourceType}/${id}`;
      const { capability, definitions } = this.#tools.context;
      const request = parseRequest(wireOf(`/${key}`), { types: capability.types, definitions }, resource);
      return { ...none, key, resource, request };
    } catch (error) {
      if (!(error instanceof FhirError)) throw error;
      return { ...none, refused: error };
    }
  }

  /** The same for the same line of the same job, and for no other. */
  #idOf(input: number, line: number): string {
    return createHash('sha256').update(`${this.#job.id}/${input}/${line}`).digest('hex').slice(0, 32);
  }

  async #write(chunk: readonly Prepared[], index: number): Promise<void> {
    const last = chunk.at(-1)?.line;
    if (last === undefined) return;
    const outcomes = await Promise.all(chunk.map((each) => this.#one(each)));
    this.#inDoubt = false;
    const refused = outcomes.flatMap((outcome, at) => {
      const number = chunk[at]?.line.number ?? 0;
      return outcome === undefined ? [] : [serialize(placed(outcome, index, number))];
    });
    const empty = chunk.filter(({ request, refused: fault }) => request === undefined && fault === undefined).length;
    const { imported = 0, refused: before = 0 } = this.counts[index] ?? {};
    this.counts[index] = {
      imported: imported + chunk.length - refused.length - empty,
      refused: before + refused.length,
    };
    await this.#report.append(OUTCOME, refused);
    await this.#save(index, last);
  }

  /** undefined when the line is held now, otherwise the OperationOutcome. @throws Error when the server, not the line, is at fault */
  async #one({ request, resource, refused }: Prepared): Promise<JsonObject | undefined> {
    const { context, caller } = this.#tools;
    if (refused !== undefined) return outcomeIn(await refuse(refused, wireOf('/'), caller, context));
    if (request === undefined || resource === undefined) return undefined;
    if (this.#inDoubt && (await this.#isWritten(resource))) return undefined;
    return outcomeIn(await interact(request, caller, context));
  }

  /** True when this job wrote it: a version since the kick-off says the same. */
  async #isWritten(resource: Resource): Promise<boolean> {
    const { context } = this.#tools;
    const { resourceType: type, id } = resource;
    const scope = { type, id: String(id), since: this.#job.transactionTime };
    const { matches } = await context.store.history(scope, { count: VERSIONS });
    if (matches.length === 0) return false;
    const own = contentText(normalised(resource, context));
    return matches.some(({ text }) => text !== undefined && contentText(storedResource(text)) === own);
  }

  async #save(input: number, { end, number }: Line): Promise<void> {
    const { inputs } = this.#job;
    const total = inputs.reduce((sum, { bytes }) => sum + bytes, 0);
    const done = inputs.slice(0, input).reduce((sum, { bytes }) => sum + bytes, 0) + end;
    const progress: ImportProgress = {
      input,
      offset: end,
      line: number,
      counts: this.counts,
      files: await this.#report.synced(),
      percent: Math.min(MOST_PERCENT, Math.floor((100 * done) / Math.max(total, 1))),
    };
    await this.#own.save(progress);
  }
}

function resourceIn({ text, fault }: Line, { lineBytes, context }: ImportTools): Resource {
  if (fault === 'too-long') throw fhirError('too-long', `It has more than ${lineBytes} bytes.`);
  if (text === undefined) throw fhirError('structure', 'It is not valid UTF-8.');
  const json: Json = parseJson(text);
  if (!isJsonObject(json) || typeof json.resourceType !== 'string') {
    throw fhirError('structure', 'It is not a JSON object with a `resourceType`.');
  }
  if (context.capability.types.has(json.resourceType)) return { ...json, resourceType: json.resourceType };
  throw fhirError('unknown-type', 'Its resource type is not supported.');
}

function wireOf(path: string): WireRequest {
  const headers = { 'content-type': 'application/fhir+json', prefer: 'return=minimal' };
  return { method: 'PUT', path, query: '', headers, body: undefined };
}

function outcomeIn({ status, body = '{}' }: { readonly status: number; readonly body: string | undefined }) {
  if (status < 400) return undefined;
  if (status >= 500 || status === 429) throw new Error(`A line was answered with ${status}.`);
  const json = parseJson(body);
  return isJsonObject(json) ? json : {};
}

/** The outcome, each of whose texts names the line; texts of refusals hold no values. */
function placed(outcome: JsonObject, input: number, line: number): JsonObject {
  const issues = Array.isArray(outcome.issue) ? outcome.issue.filter(isJsonObject) : [];
  const place = `Input ${input + 1}, line ${line}: `;
  return {
    ...outcome,
    issue: issues.map((issue) => ({ ...issue, diagnostics: `${place}${String(issue.diagnostics ?? 'refused.')}` })),
  };
}

/** Everything but what the server sets. */
function contentText({ meta, ...rest }: Resource): string {
  const { versionId: _version, lastUpdated: _at, ...kept } = isJsonObject(meta) ? meta : {};
  return canonicalText(Object.keys(kept).length === 0 ? rest : { ...rest, meta: kept });
}
