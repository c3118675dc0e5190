/** read and vread. Source: http.html#read, #vread, #cread. */
import { fhirError } from '../../fhir/outcome.ts';
import { label, type ResourceKey } from '../../fhir/resource.ts';
import { instantText } from '../../fhir/time.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, Perform, Performed, RestContext } from '../context.ts';
import { heldFor, permitsVersion, seesAll } from '../permission/permission.ts';
import type { FhirRequest, Preconditions, Representation } from '../request.ts';
import { namesVersion } from '../wire/conditions.ts';
import { respond, shapedText, versionHeaders } from '../wire/represent.ts';

type Read = Extract<FhirRequest, { interaction: 'read' }>;
type VersionRead = Extract<FhirRequest, { interaction: 'vread' }>;

/** 200 with the current version, or 304. Refuses: not-found (404) never existed or not visible; deleted (410). */
export const read: Perform<Read> = async (request, caller, context) => {
  const { key, representation } = request;
  const version = await seen(key, undefined, caller, context);
  return isUnchanged(version, request)
    ? performed('read', version, respond(304, undefined, false, versionHeaders(version)))
    : answered('read', version, representation, context);
};

/** 200 with that version. Refuses: not-found (404), deleted (410) when the version is a deletion. */
export const vread: Perform<VersionRead> = async ({ key, version, representation }, caller, context) =>
  answered('vread', await seen(key, version, caller, context), representation, context);

/** Whether the caller may read a resource in its current version, or as it was before its deletion; old versions and history follow from it. */
export async function mayRead(key: ResourceKey, caller: Caller, context: RestContext): Promise<boolean> {
  if (seesAll(key.type, ['read'], caller)) return true;
  return (await heldFor(['read'], key, caller, context)) !== undefined;
}

async function seen(
  key: ResourceKey,
  number: number | undefined,
  caller: Caller,
  context: RestContext,
): Promise<StoredVersion & { readonly text: string }> {
  const version = await context.store.read(key, number);
  const name = number === undefined ? label(key) : `${label(key)}/_history/${number}`;
  const isSeen = version !== undefined && (await isReadable(version, number, caller, context));
  if (version === undefined || !isSeen) {
    throw fhirError('not-found', `\`${name}\` is not known.`);
  }
  const { text } = version;
  if (version.deleted || text === undefined) {
    throw fhirError('deleted', `\`${label(key)}\` was deleted at ${instantText(version.at)}.`);
  }
  return { ...version, text };
}

/** An old version is seen by who may see it as it was and as it is now. */
async function isReadable(
  version: StoredVersion,
  number: number | undefined,
  caller: Caller,
  context: RestContext,
): Promise<boolean> {
  if (!(await permitsVersion(['read'], version, caller, context))) return false;
  return number === undefined || mayRead(version.key, caller, context);
}

/** RFC 9110 §13.2.2: If-None-Match decides when both are given. HTTP dates are whole seconds. */
function isUnchanged({ version, at }: StoredVersion, { ifNoneMatch, ifModifiedSince }: Preconditions): boolean {
  if (ifNoneMatch !== undefined) return namesVersion(ifNoneMatch, version);
  return ifModifiedSince !== undefined && Math.floor(at / 1000) * 1000 <= ifModifiedSince;
}

function answered(
  interaction: 'read' | 'vread',
  version: StoredVersion & { readonly text: string },
  representation: Representation,
  context: RestContext,
): Performed {
  const text = shapedText(version.text, representation, context.definitions);
  return performed(interaction, version, respond(200, text, representation.pretty, versionHeaders(version)));
}

function performed(interaction: 'read' | 'vread', version: StoredVersion, response: Performed['response']): Performed {
  const { key, patients } = version;
  const resource = interaction === 'vread' ? { ...key, version: version.version } : key;
  return { response, entries: [{ interaction, resource, patients }], audited: false };
}
