/** Whom the store has forgotten cannot be written about again: a purge would be undone. Source: docs/decisions/0038-erasure.md. */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';
import { PATIENT } from '../../fhir/search/person.ts';
import { localReference } from '../../fhir/search/value.ts';
import { type Command, FORGOTTEN } from '../../store/port.ts';
import type { RestContext } from '../context.ts';
import type { Change } from './change.ts';

/** What changes stand on that name patients without being about them: the store judges it inside the commit, as it does whom they are about. */
export function namesNobodyForgotten(changes: readonly Change[]): readonly Command[] {
  const patients = [...new Set(changes.flatMap(({ named }) => named))];
  return patients.length === 0 ? [] : [{ op: 'unforgotten', patients }];
}

/** After a lost race only, so that writes pay nothing. @throws FhirError `business-rule` (422) */
export async function assertNotForgotten(changes: readonly Change[], { store }: RestContext): Promise<void> {
  const about = changes.flatMap(({ command }) => (command?.op === 'put' ? command.patients : []));
  for (const patient of new Set([...about, ...changes.flatMap(({ named }) => named)])) {
    if ((await store.keyed(FORGOTTEN, patient)) !== undefined) {
      throw fhirError('business-rule', `\`Patient/${patient}\` was erased: nothing can be written about it again.`);
    }
  }
}

/** Ids of the Patients of this server that a resource refers to, anywhere in it. */
export function patientsNamed(resource: Resource, fhirBase: string): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (value: Json | undefined): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    if (!isJsonObject(value)) return;
    const target = typeof value.reference === 'string' ? localReference(value.reference, fhirBase) : undefined;
    if (target?.startsWith(`${PATIENT}/`)) found.add(target.slice(PATIENT.length + 1));
    for (const name of Object.keys(value)) visit(value[name]);
  };
  visit(resource);
  return found;
}
