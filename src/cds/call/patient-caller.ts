/**
 * In whose name a call reads our own store: the registered client, of the patient of the call and nobody else, to read and to search only.
 * The demonstration's client may do everything anyway. Source: CDS Hooks 2.0.1 "Security and Safety"; docs/authorization.md.
 */
import type { Caller, RestContext } from '../../rest/context.ts';
import { personOf } from '../../rest/interactions/patient-links.ts';
import { accessFilter } from '../../smart/access.ts';
import { type Situation, scopesOf } from '../../smart/scopes.ts';
import type { CdsClient } from '../clients/client.ts';

/** As an app of this patient would be given: their compartment, and what is nobody's. */
const SCOPES = scopesOf('patient/*.rs');

/** What is restricted by a label or a Consent is checked too: a danger is no less for being restricted. */
const checksAll = (patient: string): Situation => ({
  ...{ purposes: [], actors: [], clearance: ['*', 'R', 'V'] },
  breakGlass: { patient },
});

/** Linked records are the same person; links that cannot be followed are reported, and the record is read alone. */
export async function patientCaller(
  patientId: string,
  { caller, client, context }: { readonly caller: Caller; readonly client: CdsClient; readonly context: RestContext },
): Promise<Caller> {
  if (client.issuer === '') return caller;
  const patients = await personOf(patientId, caller.access, context).catch((error: unknown) => {
    context.report(error, caller.requestId);
    return [patientId];
  });
  const rights = { kind: 'granted', scopes: SCOPES, patients, situation: checksAll(patientId) } as const;
  return { ...caller, rights, access: accessFilter(rights, caller.principal, context) };
}
