/**
 * The X-Provenance header: a Provenance of what one request writes, stored in the same commit. Source: FHIR R4 http.html#custom-headers,
 * provenance.html ("6.3.5.1 ... X-Provenance"). Its `target` is ours: the versions that are written.
 */
import { FhirError, fhirError, type Issue } from '../../fhir/outcome.ts';
import { isJsonObject, label, parseJson, type Resource } from '../../fhir/resource.ts';
import type { Caller, RestContext } from '../context.ts';
import type { WireRequest } from '../request.ts';
import { type Change, put } from './change.ts';
import { rewritten, withoutOwnBase } from './references.ts';

const HEADER = 'X-Provenance';
const TYPE = 'Provenance';
/** Bytes. */
export const PROVENANCE_LIMIT = 16_384;

/**
 * The Provenance a request brings along, not yet validated; undefined without the header.
 * @throws FhirError 400 when it is too long, not JSON or another resource
 */
export function provenanceOf({ headers }: Pick<WireRequest, 'headers'>): Resource | undefined {
  const given = headers[HEADER.toLowerCase()];
  if (given === undefined) return undefined;
  return named(() => {
    // A transport hands over each byte of a header as one character.
    const isBytes = !/[^\u0000-\u00ff]/.test(given);
    const text = isBytes ? Buffer.from(given, 'latin1').toString('utf8') : given;
    if (Buffer.byteLength(text) > PROVENANCE_LIMIT) {
      throw fhirError(
        'too-long',
        `It must have at most ${PROVENANCE_LIMIT} bytes; send the Provenance in a transaction.`,
      );
    }
    const json = parseJson(text);
    if (isJsonObject(json) && json.resourceType === TYPE) return { ...json, resourceType: TYPE };
    throw fhirError('invalid', 'It must be a Provenance resource in JSON.');
  });
}

/**
 * The creation of a Provenance whose targets are the versions written; undefined when nothing is written.
 * @throws FhirError with every error validation found; `method-not-allowed` (405) where Provenance is not claimed
 */
export async function provenanceChange(
  provenance: Resource,
  changes: readonly Change[],
  caller: Caller,
  context: RestContext,
): Promise<Change | undefined> {
  const written = changes.filter(({ command }) => command !== undefined);
  if (written.length === 0) return undefined;
  try {
    if (context.capability.types.get(TYPE)?.interactions.has('create') !== true) {
      throw fhirError('method-not-allowed', 'Provenance is not supported.');
    }
    const target = written.map(({ key, version }) => ({ reference: `${label(key)}/_history/${version}` }));
    const reference = (text: string): string => withoutOwnBase(text, context.settings.fhirBase);
    const resource = rewritten({ ...provenance, target }, { reference, links: undefined }, context.definitions);
    const key = { type: TYPE, id: context.ambient.newId() };
    const change = await put(resource, key, undefined, 'POST', caller, context);
    const own = new Set(written.map((each) => label(each.key)));
    // What is written or deleted beside it is held as a version, whatever becomes of it.
    return { ...change, targets: new Set([...change.targets].filter((each) => !own.has(each))) };
  } catch (error) {
    throw naming(error);
  }
}

/** Refusals say that the header is meant, not the body. */
function named<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw naming(error);
  }
}

function naming(error: unknown): unknown {
  if (!(error instanceof FhirError)) return error;
  const [first, ...others] = error.issues.map((issue): Issue => ({ ...issue, message: `${HEADER}: ${issue.message}` }));
  return first === undefined ? error : new FhirError([first, ...others], { cause: error });
}
