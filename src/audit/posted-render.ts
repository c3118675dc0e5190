/** Form 2: AuditEvents that others sent, rendered as theirs. Source: ITI-20 (append only, store and mark), docs/audit.md#posted-events. */
import type { StoredAuditRow } from '../audit.ts';
import { isJsonObject, type Json, type JsonObject, parseJson, type Resource, serialize } from '../fhir/resource.ts';
import { DATA_ABSENT_REASON, ORIGIN_SYSTEM } from './codes.ts';
import { objectOf } from './commitment.ts';

export const POSTED_FORM = 2;

const MASKED = { extension: [{ url: DATA_ABSENT_REASON, valueCode: 'masked' }] };

/** The sent resource with our id, version and instant, marked `posted`; after an erasure only its codes. */
export function renderPosted(row: StoredAuditRow): string {
  const instant = new Date(row.at).toISOString();
  const sent = row.erasable === undefined ? undefined : sentResource(row.erasable);
  const { resourceType: _type, id: _id, meta, ...rest } = marked(sent ?? remainder(objectOf(row.bytes), instant));
  const head = { resourceType: 'AuditEvent', id: `${row.chain}-${row.sequence}-1` };
  const stamp = { ...(isJsonObject(meta) ? meta : {}), versionId: '1', lastUpdated: instant };
  return serialize({ ...head, meta: stamp, ...rest });
}

/** A copy whose meta.tag says that others sent it; a tag of our own system that came with it is dropped. */
export function marked(resource: Resource): Resource {
  const meta = isJsonObject(resource.meta) ? resource.meta : {};
  const tags: readonly Json[] = Array.isArray(meta.tag) ? meta.tag : [];
  const theirs = tags.filter((tag) => !(isJsonObject(tag) && tag.system === ORIGIN_SYSTEM));
  return { ...resource, meta: { ...meta, tag: [...theirs, { system: ORIGIN_SYSTEM, code: 'posted' }] } };
}

function sentResource(erasable: string): Resource {
  const json = parseJson(erasable);
  const resource = isJsonObject(json) ? json.r : undefined;
  if (!isJsonObject(resource)) throw new TypeError('A posted audit row lacks its resource.');
  return { ...resource, resourceType: 'AuditEvent' };
}

/** What the bytes still tell: type, subtypes, action, outcome. Agents and source were the sender's and are masked. */
function remainder(bytes: JsonObject, recorded: string): Resource {
  const { a: action, o: outcome, y: type, t: subtypes } = bytes;
  return {
    resourceType: 'AuditEvent',
    type: codingOf(type),
    ...(Array.isArray(subtypes) && subtypes.length > 0 ? { subtype: subtypes.map(codingOf) } : {}),
    ...(typeof action === 'string' ? { action } : {}),
    recorded,
    ...(typeof outcome === 'string' ? { outcome } : {}),
    agent: [{ who: MASKED, requestor: false }],
    source: { observer: MASKED },
  };
}

/** [system, code] -> Coding; nothing usable -> a masked one. */
function codingOf(pair: Json | undefined): Json {
  if (!Array.isArray(pair)) return MASKED;
  const [system, code] = pair;
  return {
    ...(typeof system === 'string' && system !== '' ? { system } : {}),
    ...(typeof code === 'string' ? { code } : {}),
  };
}
