/** References to own resources are held, when the server is set so. Source: FHIR R4 http.html#delete and #create (business rules, "referential integrity"). */
import { fhirError } from '../../fhir/outcome.ts';
import { label } from '../../fhir/resource.ts';
import type { Predicate } from '../../fhir/search/algebra.ts';
import { unfilteredPlan } from '../../fhir/search/plan.ts';
import type { Command } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { assertSeesAll, heldFor } from '../permission/permission.ts';
import type { Change } from './change.ts';
import { localTarget } from './references.ts';

/**
 * Commands that judge inside the commit what was found here: every target is held, nothing held points at what is deleted.
 * @throws FhirError `business-rule` (422) for a reference to what is not held; `conflict` (409) for a delete of what is referenced
 */
export async function integrityOf(
  changes: readonly Change[],
  caller: Caller,
  context: RestContext,
): Promise<readonly Command[]> {
  if (!context.settings.referentialIntegrity) return [];
  const writes = changes.filter(({ command }) => command !== undefined);
  const written = new Map(writes.map((change) => [label(change.key), change.command?.op]));
  const commands: Command[] = [];
  const targets = new Set(writes.flatMap((change) => [...change.targets]));
  for (const target of targets) {
    if (written.get(target) !== 'put') commands.push(await heldTarget(target, written.has(target), caller, context));
  }
  for (const { key, command } of writes) {
    if (command?.op !== 'delete') continue;
    assertSeesReferrers(caller, context);
    commands.push(...(await unreferenced(label(key), written, caller, context)));
  }
  return commands;
}

async function heldTarget(target: string, deletedHere: boolean, caller: Caller, context: RestContext) {
  const key = localTarget(target);
  // What the caller may not read is to them what is not there: else references would tell which ids are held.
  const current = key === undefined || deletedHere ? undefined : await heldFor(['read'], key, caller, context);
  if (key === undefined || current === undefined || current.deleted) {
    throw fhirError('business-rule', `A reference points at \`${target}\`, which is not held.`);
  }
  return expect(key.type, { kind: 'ids', ids: [key.id] }, [key.id], caller);
}

/**
 * A refusal by what refers to a resource tells that something does.
 * @throws FhirError `insufficient-scope` (403) for callers who may not see everything that could
 */
function assertSeesReferrers(caller: Caller, { capability }: RestContext): void {
  for (const { type, searchParameters } of capability.types.values()) {
    if (type === 'AuditEvent' || ![...searchParameters.values()].some((each) => each.type === 'reference')) continue;
    assertSeesAll(
      type,
      ['search'],
      'While references are held, deleting is for callers who may see what refers.',
      caller,
    );
  }
}

async function unreferenced(
  target: string,
  written: ReadonlyMap<string, string | undefined>,
  caller: Caller,
  context: RestContext,
): Promise<readonly Command[]> {
  const commands: Command[] = [];
  for (const { type, searchParameters } of context.capability.types.values()) {
    const of: Predicate[] = [...searchParameters.values()]
      .filter((parameter) => parameter.type === 'reference')
      .map(({ code }) => ({ kind: 'reference', parameter: `${type}.${code}`, targets: [target] }));
    if (of.length === 0) continue;
    const plan = expect(type, { kind: 'or', of }, [], caller).plan;
    const { matches } = await context.store.search(plan, { count: written.size + 1 });
    // What this commit writes itself is judged by its new references, not by its old ones.
    const others = matches.filter(({ key }) => !written.has(label(key)));
    if (others.length > 0) {
      throw fhirError('conflict', `\`${target}\` is referenced by a ${type} and stays.`);
    }
    commands.push({ op: 'expect', plan, ids: matches.map(({ key }) => key.id) });
  }
  return commands;
}

function expect(type: string, where: Predicate, ids: readonly string[], caller: Caller) {
  return { op: 'expect', plan: unfilteredPlan(type, where, caller.access.principal), ids } as const;
}
