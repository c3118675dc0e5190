/**
 * The work of a purge. All versions are looked through in small steps, which change nothing; then one commit removes everything, so that nobody
 * ever sees a part of it: a crash before it leaves all, a crash after it nothing. Source: docs/decisions/0038-erasure.md.
 */
import type { Predicate } from '../fhir/search/algebra.ts';
import { unfilteredPlan } from '../fhir/search/plan.ts';
import type { JobProgress, JobRun } from '../jobs/run.ts';
import type { Purged, PurgeJob, PurgeResult } from '../rest/jobs/purge.ts';
import { holdPlan, noHold } from '../rest/privacy/legal-hold.ts';
import { type AuditRow, type Command, FORGOTTEN, type ResourceStore, type StoredVersion } from '../store/port.ts';
import { beside, binariesIn, type Looking, usersOf } from './beside.ts';
import { type TraceSpace, traceCommands } from './traces.ts';

export interface PurgeTools {
  readonly store: ResourceStore;
  readonly spaces: readonly TraceSpace[];
  /** The AuditEvent of the removal, of the caller who ordered it. */
  audit(patients: readonly string[]): AuditRow;
  now(): number;
  /** Between two steps: lets others work. */
  pause(): Promise<void>;
  /** True when the job is to stop where it is. */
  stopped(): boolean;
  /** Sequences looked through in a step. */
  readonly span: number;
}

/** What the thread leaves for the main thread, which removes files and tells the result. */
export interface PurgeSaid {
  /** undefined: nothing was removed. */
  readonly purged?: Purged | undefined;
  /** Instant of the removal. */
  readonly at: string;
}
export interface PurgeProgress extends JobProgress {
  /** Committed with the removal itself. */
  readonly said?: PurgeSaid;
}
export type PurgeRun = JobRun<PurgeProgress, PurgeResult>;

/** Most times it begins anew because somebody wrote about the patient meanwhile. */
const TRIES = 20;
const MOST_PERCENT = 99;

/** @returns false when it was stopped: run it again, and it looks again. @throws Error after too many lost races */
export async function runPurge(run: PurgeRun, job: PurgeJob, tools: PurgeTools): Promise<boolean> {
  const { store } = tools;
  const persons = new Set(job.patients);
  const before = (await run.progress())?.said;
  if (before !== undefined) return finish(run, before, before.purged === undefined ? new Set() : persons, tools);
  const found: Found = { keys: new Map(), binaries: new Map(), users: new Map(), until: 0, usersUntil: 0 };
  for (let count = 0; count < TRIES; count++) {
    if (!(await look(run, persons, found, tools)) || !(await lookForUsers(found, tools))) return false;
    const known = await Promise.all(job.patients.map((patient) => store.keyed(FORGOTTEN, patient)));
    if (known.every((each) => each !== undefined)) {
      // The commit of before a crash: what it said is in the result only, which is lost.
      return finish(run, { purged: NOTHING, at: known[0]?.value ?? '' }, persons, tools);
    }
    if (!job.isRepeated && (await store.search(holdPlan(job.patients), { count: 1 })).matches.length > 0) {
      return finish(run, { at: '' }, new Set(), tools);
    }
    const { commands, purged } = await decided(persons, found, tools);
    const at = new Date(tools.now()).toISOString();
    const forget = { op: 'forget', patients: job.patients, through: found.until, value: at } as const;
    const traces = await traceCommands(persons, tools.spaces, store, tools.pause);
    const holds = job.isRepeated ? [] : [noHold(job.patients)];
    const said = { purged, at };
    const all = [...holds, ...commands, ...traces, forget, run.saving({ percent: MOST_PERCENT, said })];
    const result = await store.commit({ commands: all, audit: [tools.audit(job.patients)] });
    if (result.ok) return finish(run, said, persons, tools);
  }
  throw new Error('The record changed too often while it was to be purged.');
}

const NOTHING: Purged = { resources: 0, versions: 0, shared: [] };

/** What requests that were in work left behind is removed once more; nothing new can be written about a patient who is forgotten. */
async function finish(run: PurgeRun, said: PurgeSaid, persons: ReadonlySet<string>, tools: PurgeTools) {
  const traces = persons.size === 0 ? [] : await traceCommands(persons, tools.spaces, tools.store, tools.pause);
  if (traces.length > 0) await tools.store.commit({ commands: traces, audit: [] });
  if (persons.size > 0) await removeLate(persons, tools);
  await run.save({ percent: MOST_PERCENT, said });
  return true;
}

/** Devices and Tasks that came between the last look and the commit: nothing that names a patient can come after it. @throws Error after too many lost races */
async function removeLate(persons: ReadonlySet<string>, { store, audit }: PurgeTools): Promise<void> {
  for (let count = 0; count < TRIES; count++) {
    const { gone } = await beside(persons, new Set(), { binaries: new Map(), users: new Map() }, lookingIn(store));
    if (gone.length === 0) return;
    const commands = gone.map(({ key, version }): Command => ({ op: 'purge', key, version }));
    if ((await store.commit({ commands, audit: [audit([...persons])] })).ok) return;
  }
  throw new Error('What names the patient changed too often while it was to be purged.');
}

interface Found {
  /** `Type/id` -> superseded or current versions about the person. */
  readonly keys: Map<string, readonly StoredVersion[]>;
  /** Id of a Binary -> names of the resources that point at it. */
  readonly binaries: Map<string, Set<string>>;
  /** Id of such a Binary -> names of all resources, of whomever, a version of which uses it. */
  users: Map<string, Set<string>>;
  /** Everything up to this sequence is looked through. */
  until: number;
  /** The same, for who uses the Binaries that are keys of `users`. */
  usersUntil: number;
}

const nameOf = ({ key }: Pick<StoredVersion, 'key'>): string => `${key.type}/${key.id}`;

/** Looks through what was written since it looked last. @returns false when it was stopped */
async function look(run: PurgeRun, persons: ReadonlySet<string>, found: Found, tools: PurgeTools): Promise<boolean> {
  const { store, span, pause, stopped } = tools;
  const last = await store.latestSequence();
  const from = found.until;
  while (found.until < last) {
    if (stopped()) return false;
    const until = Math.min(found.until + span, last);
    const versions = await store.versionsAbout([...persons], found.until, until);
    for (const version of versions) {
      const name = nameOf(version);
      found.keys.set(name, [...(found.keys.get(name) ?? []), { ...version, text: undefined }]);
      for (const id of binariesIn(version.text)) {
        found.binaries.set(id, (found.binaries.get(id) ?? new Set()).add(name));
      }
    }
    // A restored store leaves out billions of sequences: see store/sqlite/restore.ts.
    const [next] = versions.length > 0 ? [] : await store.changes(until, 1);
    found.until = versions.length > 0 ? until : Math.max(until, Math.min((next?.sequence ?? last + 1) - 1, last));
    const percent = Math.min(MOST_PERCENT, Math.floor((100 * (found.until - from)) / Math.max(1, last - from)));
    await run.save({ percent });
    await pause();
  }
  return true;
}

/** Most texts read at once: some may be Binaries of megabytes. */
const TEXTS = 50;

/**
 * Who else uses the Binaries of the person. R4 indexes few of the places that can name one (no Attachment but that of DocumentReference), so texts
 * are read, once for all Binaries, and only when there are any. @returns false when it was stopped
 */
async function lookForUsers(found: Found, { store, pause, stopped, span }: PurgeTools): Promise<boolean> {
  if ([...found.binaries.keys()].some((id) => !found.users.has(id))) {
    found.users = new Map([...found.binaries.keys()].map((id) => [id, new Set<string>()]));
    found.usersUntil = 0;
  }
  const count = Math.min(span, TEXTS);
  while (found.users.size > 0) {
    if (stopped()) return false;
    const page = await store.changes(found.usersUntil, count);
    for (const version of page) {
      for (const id of binariesIn(version.text)) {
        for (const name of found.users.has(id) ? usersOf(version, id) : []) found.users.get(id)?.add(name);
      }
    }
    found.usersUntil = page.at(-1)?.sequence ?? found.usersUntil;
    if (page.length < count) break;
    await pause();
  }
  return true;
}

/** What is to be removed of what was found, by the versions that are current now. */
async function decided(persons: ReadonlySet<string>, { keys, binaries, users }: Found, { store }: PurgeTools) {
  const whole = new Map<string, Command>();
  const parts: Command[] = [];
  const shared: string[] = [];
  let versions = 0;
  const isOnlyTheirs = ({ patients }: StoredVersion) => patients.every((patient) => persons.has(patient));
  const isTheirs = ({ patients }: StoredVersion) => patients.some((patient) => persons.has(patient));
  for (const [name, seen] of keys) {
    const current = seen[0] && (await store.read(seen[0].key));
    if (current === undefined) continue;
    const { key, version } = current;
    if (isTheirs(current) && isOnlyTheirs(current)) {
      whole.set(name, { op: 'purge', key, version });
      continue;
    }
    if (isTheirs(current) || !seen.every((each) => each.version === version || isOnlyTheirs(each))) shared.push(name);
    const old = seen.filter((each) => each.version !== version && isOnlyTheirs(each)).map((each) => each.version);
    versions += old.length;
    if (old.length > 0) parts.push({ op: 'purge', key, version, versions: [...new Set(old)] });
  }
  const also = await beside(persons, new Set(whole.keys()), { binaries, users }, lookingIn(store));
  for (const { key, version } of also.gone) whole.set(`${key.type}/${key.id}`, { op: 'purge', key, version });
  shared.push(...also.shared);
  const purged: Purged = { resources: whole.size, versions, shared };
  return { commands: [...whole.values(), ...parts], purged };
}

function lookingIn(store: ResourceStore): Looking {
  return {
    search: (type, where) => matchesOf(store, type, where),
    read: (type, id) => store.read({ type, id }),
  };
}

const PAGE = 200;

async function matchesOf(store: ResourceStore, type: string, where: Predicate): Promise<readonly StoredVersion[]> {
  const found: StoredVersion[] = [];
  let after: string | undefined;
  do {
    const { matches, next } = await store.search(unfilteredPlan(type, where), { count: PAGE, after });
    found.push(...matches);
    after = next;
  } while (after !== undefined);
  return found;
}
