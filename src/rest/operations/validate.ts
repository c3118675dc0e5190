/**
 * $validate: would this resource be accepted? Nothing is stored. Source: FHIR R4 resource-operation-validate.html.
 * 200 whenever it could be judged, valid or not; refusals say that it could not.
 */
import { SUPPORTED } from '../../fhir/definitions/capability.ts';
import { FhirError, fhirError, type Issue, operationOutcome } from '../../fhir/outcome.ts';
import { label, type Resource, type ResourceKey } from '../../fhir/resource.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { assertPreconditions, deletion, put } from '../interactions/change.ts';
import { integrityOf } from '../interactions/integrity.ts';
import { mayRead } from '../interactions/read.ts';
import { rewritten, withoutOwnBase } from '../interactions/references.ts';
import { textOf } from './input.ts';
import { type Given, type Operation, type OperationCall, resourceOf } from './operation.ts';
import { answered } from './output.ts';

const MODES = ['create', 'update', 'delete'] as const;
type Mode = (typeof MODES)[number];

export const VALIDATE: Operation = {
  levels: ['type', 'instance'],
  takes: ['resource', 'mode', 'profile'],
  perform: async (call, caller, context) => {
    const mode = modeOf(call);
    const given = call.input.get('resource')?.[0];
    if (given === undefined && mode !== 'delete') {
      throw fhirError('required', '`$validate` needs the resource, except with the mode `delete`.');
    }
    const held = await heldOf(call.key, caller, context);
    const issues = mode === 'delete' ? [] : issuesOf(given, call, context);
    if (issues.every(({ severity }) => severity !== undefined && severity !== 'error')) {
      issues.push(...(await modeIssues(mode, given, held, call, caller, context)));
    }
    return answered(call, JSON.stringify(operationOutcome(issues)), held?.patients ?? [], context);
  },
};

function modeOf({ input, key }: OperationCall): Mode | undefined {
  const text = textOf(input, 'mode');
  if (text === undefined) return undefined;
  const mode = MODES.find((each) => each === text);
  if (mode === undefined) throw fhirError('value', '`mode` must be `create`, `update` or `delete`.');
  if (mode !== 'create' && key === undefined) {
    throw fhirError('invalid', `The mode \`${mode}\` is for one resource: \`[type]/[id]/$validate\`.`);
  }
  if (mode === 'create' && key !== undefined) {
    throw fhirError('invalid', 'The mode `create` is for a type: `[type]/$validate`.');
  }
  return mode;
}

async function heldOf(
  key: ResourceKey | undefined,
  caller: Caller,
  context: RestContext,
): Promise<StoredVersion | undefined> {
  if (key === undefined || !(await mayRead(key, caller, context))) return undefined;
  return context.store.read(key);
}

/** Everything that is wrong with the content, where it was sent: base R4, its constraints, the profiles claimed and the one asked for. */
function issuesOf(given: Given | undefined, { type, input }: OperationCall, { validate }: RestContext): Issue[] {
  const resource = resourceOf(given);
  if (given === undefined || resource === undefined) return [];
  if (resource.resourceType !== type) {
    const message = `The resource is not a \`${type}\`, as the path says.`;
    return [{ kind: 'invalid', message, expression: `${given.expression}.resourceType` }];
  }
  const profile = textOf(input, 'profile');
  return validate(resource, { profiles: profile === undefined ? [] : [profile] }).map((issue) =>
    placed(issue, given, type),
  );
}

/** The expression as it leads from what was sent: `Parameters.parameter[0].resource.birthDate`. */
function placed(issue: Issue, { expression }: Given, type: string): Issue {
  if (issue.expression === undefined || expression === undefined || !issue.expression.startsWith(type)) return issue;
  return { ...issue, expression: expression + issue.expression.slice(type.length) };
}

/** What the interaction itself would refuse. */
async function modeIssues(
  mode: Mode | undefined,
  given: Given | undefined,
  held: StoredVersion | undefined,
  call: OperationCall,
  caller: Caller,
  context: RestContext,
): Promise<readonly Issue[]> {
  if (mode === undefined) return [];
  try {
    await tried(mode, given, held, call, caller, context);
    return [];
  } catch (error) {
    if (error instanceof FhirError) return error.issues;
    throw error;
  }
}

async function tried(
  mode: Mode,
  given: Given | undefined,
  held: StoredVersion | undefined,
  { type, key }: OperationCall,
  caller: Caller,
  context: RestContext,
): Promise<void> {
  const claimed = context.capability.types.get(type);
  if (!claimed?.interactions.has(mode) || (mode !== 'create' && SUPPORTED.limited.has(type))) {
    throw fhirError('method-not-allowed', `The interaction ${mode} is not supported for \`${type}\`.`);
  }
  if (mode === 'delete') {
    if (key !== undefined) await integrityOf([await deletion(key, held, caller, context)], caller, context);
    return;
  }
  const sent = resourceOf(given);
  if (sent === undefined) throw new TypeError('A resource was checked to be there.');
  const resource = normalised(sent, context);
  if (key !== undefined) {
    assertSameId(resource, key);
    assertPreconditions(key, held, { ifMatch: undefined, ifNoneMatch: undefined });
    if (held === undefined && !claimed.updateCreate) {
      throw fhirError('method-not-allowed', `${type} cannot be created with an id of the client's choice.`);
    }
  }
  if (SUPPORTED.limited.has(type)) return;
  const target = key ?? { type, id: context.ambient.newId() };
  await integrityOf(
    [await put(resource, target, held, key === undefined ? 'POST' : 'PUT', caller, context)],
    caller,
    context,
  );
}

function assertSameId(resource: Resource, key: ResourceKey): void {
  if (resource.id === key.id) return;
  const why =
    resource.id === undefined ? 'The body of an update must hold the id.' : `The id is not that of \`${label(key)}\`.`;
  throw fhirError(resource.id === undefined ? 'required' : 'invalid', why, { expression: `${key.type}.id` });
}

function normalised(resource: Resource, { definitions, settings }: RestContext): Resource {
  const reference = (text: string): string => withoutOwnBase(text, settings.fhirBase);
  return rewritten(resource, { reference, links: undefined }, definitions);
}
