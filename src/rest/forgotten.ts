/** Whom the store has forgotten cannot be written about again: a purge would be undone. Source: docs/decisions/0038-erasure.md. */
import { fhirError } from '../fhir/outcome.ts';
import { FORGOTTEN } from '../store/port.ts';
import type { Change } from './change.ts';
import type { RestContext } from './context.ts';

/** After a lost race only, so that writes pay nothing. @throws FhirError `business-rule` (422) */
export async function assertNotForgotten(changes: readonly Change[], { store }: RestContext): Promise<void> {
  const patients = new Set(changes.flatMap(({ command }) => (command?.op === 'put' ? command.patients : [])));
  for (const patient of patients) {
    if ((await store.keyed(FORGOTTEN, patient)) !== undefined) {
      throw fhirError('business-rule', `\`Patient/${patient}\` was erased: nothing can be written about it again.`);
    }
  }
}
