/**
 * One write, ready to commit and to be answered: shared by single interactions and transactions.
 * Source: FHIR R4 http.html#create, #update, #delete, #ops (Prefer), resource.html#Meta.
 */
import type { AccessEntry } from '../../audit.ts';
import { FhirError, fhirError, type Issue, operationOutcome } from '../../fhir/outcome.ts';
import {
  isJsonObject,
  type Json,
  label,
  parseJson,
  type Resource,
  type ResourceKey,
  serialize,
} from '../../fhir/resource.ts';
import { BINARY } from '../../fhir/search/security-context.ts';
import { instantText } from '../../fhir/time.ts';
import type { AuditRow, Body, Command, StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { belonging } from '../permission/belonging.ts';
import { assertInScope, assertMayPut, permits, seesAll } from '../permission/permission.ts';
import { settled } from '../permission/referred.ts';
import { assertKeepsConsent, assertNobodyElses } from '../permission/whose.ts';
import type { FhirResponse, Preconditions, Representation } from '../request.ts';
import { canonicalText } from '../wire/canonical.ts';
import { namesVersion } from '../wire/conditions.ts';
import { assertWhole, respond, storedResource, versionHeaders } from '../wire/represent.ts';
import { patientsNamed } from './forgotten.ts';
import { isApart, localTarget } from './references.ts';

/** A write that is decided: what the store is told, what the audit says, what the client will hear. */
export interface Change {
  readonly interaction: 'create' | 'update' | 'patch' | 'delete';
  readonly key: ResourceKey;
  readonly status: 200 | 201 | 204;
  /** Version after the change; 0 when nothing is or was there. */
  readonly version: number;
  /** Absent when nothing has to be written: a conditional create that found its match, an update that says what is held, a delete of what is not there. */
  readonly command: Extract<Command, { op: 'put' | 'delete' }> | undefined;
  /** The version that stays, when there is no command. */
  readonly held: StoredVersion | undefined;
  /** What must still be so inside the commit, when nothing is written. */
  readonly expect: Extract<Command, { op: 'hold' }> | undefined;
  /** What the new version points at and must be held: `Type/id`, or a urn no entry of the bundle resolved. */
  readonly targets: ReadonlySet<string>;
  /** What is committed besides, by the rules of the type. */
  readonly also: readonly Command[];
  /** Warnings of validation. */
  readonly findings: readonly Issue[];
  /** The caller may read the version as it is after the change, so that it may be answered. */
  readonly told: boolean;
  readonly patients: readonly string[];
  /** Patients it refers to without being about them: whether they are forgotten the commit judges. */
  readonly named: readonly string[];
  /** An AuditEvent a client sent: a row of the audit log, never a resource row. */
  readonly posted: AuditRow | undefined;
}

const NOTHING = {
  command: undefined,
  held: undefined,
  expect: undefined,
  targets: new Set<string>(),
  findings: [],
  also: [],
  named: [],
  told: true,
  posted: undefined,
};

/** Method of a write -> interaction of restful-interaction. */
const INTERACTIONS = { POST: 'create', PUT: 'update', PATCH: 'patch' } as const;

/** Types that can be created but never changed: their creates become rows of the audit log. */
const APPEND_ONLY: ReadonlySet<string> = new Set(['AuditEvent']);

/**
 * A new version of `key`: 201 when nothing is there now, otherwise 200. When the content is what is held already, the held version stays:
 * docs/decisions/0012.
 * @param current the stored version that is current, a deletion included
 * @throws FhirError with every error validation found; its first issue decides the status
 */
export async function put(
  resource: Resource,
  key: ResourceKey,
  current: StoredVersion | undefined,
  method: keyof typeof INTERACTIONS,
  asker: Caller,
  context: RestContext,
): Promise<Change> {
  if (method === 'PUT') assertWhole(resource);
  const named = belonging(withServerMeta(resource, key.id), current, asker, context);
  const before = current?.text === undefined ? [] : [storedResource(current.text)];
  const caller = await settled(key.type === BINARY ? [named, ...before] : [], asker, context);
  assertMayPut(named, key, current, method === 'PUT', caller, context);
  const { prepared, findings, also } = ruled(named, current, caller, context);
  const exists = current !== undefined && !current.deleted;
  const mentioned = patientsNamed(prepared, context.settings.fhirBase);
  const told = permits('read', prepared, { id: key.id, at: context.ambient.now() }, caller, context);
  const common = { ...NOTHING, interaction: INTERACTIONS[method], key, findings, also, told } as const;
  if (APPEND_ONLY.has(key.type)) {
    if (method !== 'POST') throw fhirError('method-not-allowed', `${key.type} can only be created, never changed.`);
    const patients = context.patientsOf(prepared);
    return {
      ...common,
      status: 201,
      version: 1,
      patients,
      named: [...mentioned],
      posted: context.postedAudit(prepared, caller),
    };
  }
  const patients = context.patientsOf(prepared);
  if (exists && saysTheSame(prepared, current)) {
    const expect = { op: 'hold', key, version: current.version } as const;
    return { ...common, status: 200, version: current.version, held: current, expect, patients };
  }
  const version = (current?.version ?? 0) + 1;
  const entries = context.indexEntries(prepared);
  const body = bodyOf(prepared, version);
  return {
    ...common,
    status: exists ? 200 : 201,
    version,
    command: { op: 'put', key, version, method, body, entries, patients },
    targets: targetsOf(prepared, context),
    named: [...mentioned].filter((id) => !patients.includes(id)),
    patients: exists ? [...new Set([...patients, ...current.patients])] : patients,
  };
}

/**
 * A deletion of `key`; nothing to write when it is deleted already or never was.
 * @throws FhirError `insufficient-scope` (403) for what the caller sees and may not delete
 */
export async function deletion(
  key: ResourceKey,
  current: StoredVersion | undefined,
  caller: Caller,
  context: RestContext,
): Promise<Change> {
  assertInScope(key.type, ['delete'], caller);
  if (current?.text !== undefined && !seesAll(key.type, ['delete'], caller)) {
    const { text, at } = current;
    const held = storedResource(text);
    const asked = await settled([held], caller, context);
    if (!permits('delete', held, { id: key.id, at }, asked, context)) {
      throw fhirError('insufficient-scope', `Deleting \`${label(key)}\` is not permitted to this caller.`);
    }
    assertNobodyElses('delete', [held], caller, context);
    assertKeepsConsent(held, undefined, caller, context);
  }
  if (APPEND_ONLY.has(key.type)) throw fhirError('method-not-allowed', `${key.type} is never deleted.`);
  const patients = current?.patients ?? [];
  const common = { ...NOTHING, interaction: 'delete', key, status: 204, patients } as const;
  if (current === undefined || current.deleted) return { ...common, version: current?.version ?? 0, held: current };
  const version = current.version + 1;
  return { ...common, version, command: { op: 'delete', key, version, patients } };
}

/** A conditional create that found its match: nothing changes. */
export function unchanged(held: StoredVersion): Change {
  const { key, version, patients } = held;
  return { ...NOTHING, interaction: 'create', key, status: 200, version, held, patients };
}

/** If-Match and If-None-Match of a write against what is stored; 412 when they do not hold. */
export function assertPreconditions(
  key: ResourceKey,
  current: StoredVersion | undefined,
  { ifMatch, ifNoneMatch }: Pick<Preconditions, 'ifMatch' | 'ifNoneMatch'>,
): void {
  const version = current === undefined || current.deleted ? undefined : current.version;
  if (ifMatch !== undefined && (version === undefined || !namesVersion(ifMatch, version))) {
    const state = version === undefined ? 'does not exist' : `is at version ${version}`;
    const asked = ifMatch === '*' ? 'asks that it does' : 'names another version';
    throw fhirError('version-mismatch', `\`${label(key)}\` ${state}; If-Match ${asked}.`);
  }
  if (ifNoneMatch === undefined || version === undefined) return;
  if (namesVersion(ifNoneMatch, version)) {
    throw fhirError('precondition-failed', `\`${label(key)}\` exists at version ${version}; If-None-Match refuses it.`);
  }
}

/** The audit's view of a change. The id of an AuditEvent a client sent is known only after the commit. */
export function accessOf({ interaction, key, version, patients, posted }: Change): AccessEntry {
  if (posted !== undefined) return { interaction, patients };
  return { interaction, resource: version > 0 ? { ...key, version } : key, patients };
}

/**
 * The answer to a change, after the commit.
 * @param at instant of the commit, ms; not used when nothing was written
 */
export function answer(
  change: Change,
  at: number,
  { prefer, pretty }: Representation,
  { settings }: RestContext,
): FhirResponse {
  const { version, command, held } = change;
  const location = change.interaction === 'delete' ? {} : { Location: locationOf(change, settings.fhirBase) };
  const headers = { ...location, ...(version > 0 ? versionHeaders({ version, at: held?.at ?? at }) : {}) };
  if (prefer.return === 'OperationOutcome') {
    return respond(change.status === 204 ? 200 : change.status, outcomeText(change), pretty, headers);
  }
  if (prefer.return === 'minimal' || change.interaction === 'delete' || !change.told) {
    return respond(change.status, undefined, pretty, headers);
  }
  const text = command?.op === 'put' ? textOf(command.body, at) : held?.text;
  return respond(change.status, text, pretty, headers);
}

function outcomeText({ interaction, key, findings }: Change): string {
  const diagnostics = `\`${label(key)}\` ${RESULT[interaction]}.`;
  const issue = { severity: 'information', code: 'informational', diagnostics } as const;
  const warnings = findings.length === 0 ? [] : operationOutcome(findings).issue;
  return JSON.stringify({ resourceType: 'OperationOutcome', issue: [issue, ...warnings] });
}

const RESULT = {
  create: 'is created or was there',
  update: 'is updated',
  patch: 'is patched',
  delete: 'is deleted',
} as const;

/** `<base>/Patient/1/_history/1`; AuditEvents have no versions. */
export function locationOf({ key, version, posted }: Change, fhirBase: string): string {
  return posted === undefined ? `${fhirBase}/${label(key)}/_history/${version}` : `${fhirBase}/${label(key)}`;
}

/** The text that is stored, with its instant. */
export function textOf({ head, tail }: Body, at: number): string {
  return `${head}${instantText(at)}${tail}`;
}

/** The id is ours and meta.versionId, meta.lastUpdated go; profile, tag, security, source and extension stay. */
function withServerMeta(resource: Resource, id: string): Resource {
  const { resourceType, id: _id, meta, ...rest } = resource;
  if (meta === undefined) return { resourceType, id, ...rest };
  if (!isJsonObject(meta)) return { resourceType, id, meta, ...rest };
  const { versionId, lastUpdated, _versionId, _lastUpdated, ...kept } = meta;
  return Object.keys(kept).length === 0 && Object.keys(meta).length > 0
    ? { resourceType, id, ...rest }
    : { resourceType, id, meta: kept, ...rest };
}

function bodyOf({ resourceType, id, meta, ...rest }: Resource, version: number): Body {
  const start = serialize({ resourceType, id, meta: { versionId: String(version) } });
  return {
    head: `${start.slice(0, -2)},"lastUpdated":"`,
    tail: `"${following(isJsonObject(meta) ? meta : {})}${following(rest)}`,
  };
}

/**
 * True when the content is the held one, meta.versionId and meta.lastUpdated apart; the order of members does not matter, the text of numbers
 * does. Cost: one serialisation; both are parsed only when their lengths are equal and their texts are not.
 */
function saysTheSame(prepared: Resource, { text, version, at }: StoredVersion): boolean {
  const own = textOf(bodyOf(prepared, version), at);
  if (own === text) return true;
  if (own.length !== text?.length) return false;
  return canonicalText(parseJson(own)) === canonicalText(parseJson(text));
}

/** `,"a":1}` of `{"a":1}`, and `}` of `{}`: the end of an object that has members before. */
function following(members: { readonly [name: string]: Json | undefined }): string {
  const text = serialize(members);
  return text === '{}' ? '}' : `,${text.slice(1)}`;
}

/** The resource as its type's rules have it, when it is valid and they permit it. */
function ruled(resource: Resource, current: StoredVersion | undefined, caller: Caller, context: RestContext) {
  const warnings = accepted(context.validate(resource));
  const rules = context.rules?.get(resource.resourceType);
  if (rules === undefined) return { prepared: resource, findings: warnings, also: [] };
  const { resource: prepared, findings, also } = rules(resource, current, caller);
  return { prepared, findings: [...warnings, ...accepted(findings)], also };
}

/** Warnings; errors are thrown, all of them at once. */
function accepted(findings: readonly Issue[]): readonly Issue[] {
  const isError = ({ severity }: Issue): boolean => severity === undefined || severity === 'error';
  const [first, ...others] = findings.filter(isError);
  if (first !== undefined) throw new FhirError([first, ...others, ...findings.filter((found) => !isError(found))]);
  return findings;
}

/** What a resource points at and must be held: own resources, and placeholders that no entry resolved. Walked only when that is checked. */
function targetsOf(resource: Resource, { settings }: RestContext): ReadonlySet<string> {
  const found = new Set<string>();
  if (!settings.referentialIntegrity) return found;
  const visit = (value: Json | undefined, key: string): void => {
    if (Array.isArray(value)) for (const item of value) visit(item, key);
    if (!isJsonObject(value) || (value !== resource && isApart(value, key))) return;
    const { reference } = value;
    if (typeof reference === 'string') {
      const target = localTarget(reference);
      if (target !== undefined) found.add(label(target));
      else if (/^urn:(?:uuid|oid):/.test(reference)) found.add(reference);
    }
    for (const name of Object.keys(value)) visit(value[name], name);
  };
  visit(resource, '');
  return found;
}
