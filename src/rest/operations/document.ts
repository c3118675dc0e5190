/**
 * $document: the Composition and everything it points at, as one document Bundle. Nothing is stored.
 * Source: FHIR R4 composition-operation-document.html, documents.html#content.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { ID_PATTERN, isJsonObject, type Json, label, type ResourceKey } from '../../fhir/resource.ts';
import { instantText } from '../../fhir/time.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { mayRead } from '../interactions/read.ts';
import { localTarget, withoutOwnBase } from '../interactions/references.ts';
import { urlOf } from '../wire/links.ts';
import { storedResource } from '../wire/represent.ts';
import { heldByKey } from './held.ts';
import { textOf, truthOf } from './input.ts';
import type { Operation, OperationCall } from './operation.ts';
import { answered } from './output.ts';

export const DOCUMENT: Operation = {
  long: true,
  levels: ['type', 'instance'],
  takes: ['id', 'persist'],
  perform: async (call, caller, context) => {
    if (truthOf(call.input, 'persist') === true) {
      throw fhirError(
        'unsupported-parameter',
        'Documents are not kept here: leave out `persist`, and create the Bundle.',
      );
    }
    const composition = await heldByKey(asked(call, context), caller, context);
    const parts = await partsOf(composition, caller, context);
    const all = [composition, ...parts];
    return answered(
      call,
      documentText(all, context),
      all.flatMap(({ patients }) => patients),
      context,
    );
  },
};

/** The Composition of the path, or the one that `id` names: an id or its URL on this server. */
function asked({ key, type, input }: OperationCall, { settings }: RestContext): ResourceKey {
  const id = textOf(input, 'id');
  if ((key === undefined) === (id === undefined)) {
    throw fhirError('invalid', 'Name one Composition, either in the path or as `id`.');
  }
  if (key !== undefined) return key;
  const name = id ?? '';
  const target = localTarget(withoutOwnBase(name, settings.fhirBase)) ?? { type, id: name };
  if (target.type === type && ID_PATTERN.test(target.id)) return target;
  throw fhirError('not-found', 'The `id` names no Composition of this server.');
}

/** @throws FhirError `too-costly` above the include limit; `not-unprocessable` (422) for a part that is not held: a document must be whole */
async function partsOf(
  composition: StoredVersion,
  caller: Caller,
  context: RestContext,
): Promise<readonly StoredVersion[]> {
  const own = label(composition.key);
  const keys = new Map<string, ResourceKey>();
  for (const key of targetsIn(storedResource(composition.text ?? 'null'))) {
    if (label(key) !== own && context.capability.types.has(key.type)) keys.set(label(key), key);
  }
  if (keys.size > context.settings.includeLimit) {
    throw fhirError('too-costly', `The document would hold more than ${context.settings.includeLimit} resources.`);
  }
  const parts: StoredVersion[] = [];
  for (const [name, key] of keys) {
    const version = await context.store.read(key);
    if (version === undefined || version.deleted || !(await mayRead(key, caller, context))) {
      throw fhirError(
        'not-unprocessable',
        `\`${own}\` points at \`${name}\`, which is not held: there is no whole document.`,
      );
    }
    parts.push(version);
  }
  return parts;
}

/** Own resources that any Reference inside points at, in order. What a text or an extension names is found too. */
function targetsIn(value: Json): readonly ResourceKey[] {
  if (Array.isArray(value)) return value.flatMap((each: Json) => targetsIn(each));
  if (!isJsonObject(value)) return [];
  const target = typeof value.reference === 'string' ? localTarget(value.reference) : undefined;
  const below = Object.values(value).flatMap((each) => (each === undefined ? [] : targetsIn(each)));
  return target === undefined ? below : [target, ...below];
}

/** bundle.html bdl-9, bdl-10: a document has an identifier and a timestamp; its first entry is the Composition. */
function documentText(all: readonly StoredVersion[], { ambient, settings }: RestContext): string {
  const [id, at] = [ambient.newId(), instantText(ambient.now())];
  const head = JSON.stringify({
    resourceType: 'Bundle',
    id,
    meta: { lastUpdated: at },
    identifier: { system: 'urn:ietf:rfc:3986', value: `urn:uuid:${id}` },
    type: 'document',
    timestamp: at,
  });
  const entries = all.map(
    ({ key, text }) => `{"fullUrl":${JSON.stringify(urlOf(settings.fhirBase, key))},"resource":${text ?? 'null'}}`,
  );
  return `${head.slice(0, -1)},"entry":[${entries.join(',')}]}`;
}
