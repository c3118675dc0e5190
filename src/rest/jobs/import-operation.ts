/**
 * $import: checks an order, records it, hands it to the desk. Source: bulk import proposal (SMART on FHIR, 2020): Parameters or a JSON manifest
 * that names files; or the NDJSON itself as the body. Each line then goes through the door: docs/decisions/0015-bulk-export.md.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject } from '../../fhir/resource.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { textOf } from '../operations/input.ts';
import type { Given, Operation, OperationCall } from '../operations/operation.ts';
import { rawRequest } from '../permission/access-entry.ts';
import { factsOf } from '../permission/caller.ts';
import type { ImportInput, ImportRoom } from './import.ts';
import { busy, kickOffUrl, started } from './kick-off.ts';

const FORMATS: ReadonlySet<string> = new Set(['application/fhir+ndjson', 'application/ndjson', 'ndjson']);
/** Most files of one import. */
const INPUT_LIMIT = 1000;

export const IMPORT: Operation = {
  levels: ['system'],
  takes: ['inputFormat', 'inputSource', 'storageDetail', 'input'],
  perform: (call, caller, context) => kickOff(call, caller, context),
};

async function kickOff(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  const { desk, fileOf } = roomOf(context);
  const { request, definition } = call;
  const format = textOf(call.input, 'inputFormat')?.replaceAll(' ', '+');
  if (format !== undefined && !FORMATS.has(format)) {
    throw fhirError('value', `\`inputFormat\` must be one of ${[...FORMATS].join(', ')}.`);
  }
  const inputs = await inputsOf(call, fileOf);
  const query = rawRequest(request.wire, request.rawQuery, context.settings.fhirBase);
  const entries = [{ interaction: 'operation', operation: definition.code, patients: [], query }];
  const order = {
    id: context.ambient.newId(),
    caller: factsOf(caller),
    request: kickOffUrl(call, context),
    inputs,
    upload: request.wire.upload?.id,
  };
  return started(order, desk, entries, caller, context, () =>
    busy('An import', entries, request.representation.pretty),
  );
}

function roomOf({ imports }: RestContext): ImportRoom {
  if (imports !== undefined) return imports;
  throw fhirError('payload-too-large', '`$import` takes a small request of its own, not a part of a Bundle.');
}

async function inputsOf(
  { input, request }: OperationCall,
  fileOf: ImportRoom['fileOf'],
): Promise<readonly ImportInput[]> {
  const named = input.get('input') ?? [];
  const { upload } = request.wire;
  if (upload !== undefined) {
    if (named.length > 0) throw fhirError('invalid', 'The body is the input: name no other.');
    return [{ type: undefined, url: undefined, path: undefined, bytes: upload.bytes }];
  }
  if (named.length === 0) {
    throw fhirError('required', '`$import` needs an `input`, or NDJSON (`application/fhir+ndjson`) as the body.');
  }
  if (named.length > INPUT_LIMIT) throw fhirError('too-costly', `An import takes at most ${INPUT_LIMIT} inputs.`);
  const inputs: ImportInput[] = [];
  for (const each of named) inputs.push(await inputOf(each, fileOf));
  return inputs;
}

async function inputOf({ value, expression }: Given, fileOf: ImportRoom['fileOf']): Promise<ImportInput> {
  const { type, url } = isJsonObject(value) ? value : {};
  const name = typeof url === 'string' ? url : '';
  if (/^(?!file:)[A-Za-z][A-Za-z0-9+.-]*:/i.test(name)) {
    throw fhirError(
      'unsupported-parameter',
      'Inputs are files of the import folder (a name or a `file:` URL), or the body of the request. Nothing is fetched from elsewhere.',
      { expression },
    );
  }
  const file = await fileOf(name);
  if (file === undefined) {
    throw fhirError('value', 'There is no such file in the import folder (`import` in JOBS_DIR).', { expression });
  }
  return { type: typeof type === 'string' ? type : undefined, url: name, ...file };
}
