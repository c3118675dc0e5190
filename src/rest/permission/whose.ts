/**
 * Writes that scopes, roles and labels would permit, and that are somebody else's all the same. Source: docs/authorization.md.
 * A compartment is wide for reading: an Observation is also in that of its performer. To write it there must be nobody else in it.
 */
import { fhirError } from '../../fhir/outcome.ts';
import type { Resource } from '../../fhir/resource.ts';
import type { Verb } from '../../fhir/search/algebra.ts';
import { localReference } from '../../fhir/search/value.ts';
import { mayDeny, ruleOf } from '../../smart/consent-rule.ts';
import type { Caller, RestContext } from '../context.ts';

type Whose = Pick<RestContext, 'patientsOf' | 'settings'>;

/** @throws FhirError `insufficient-scope` (403) for versions in other patients' compartments too, by who may write only as the patient in context */
export function assertNobodyElses(
  verb: Verb,
  versions: readonly (Resource | undefined)[],
  { rights }: Caller,
  { patientsOf }: Whose,
): void {
  if (rights.kind !== 'granted') return;
  const { scopes, patients } = rights;
  const held = versions.filter((each) => each !== undefined);
  const type = held[0]?.resourceType;
  const giving = scopes.filter((scope) => scope.verbs.includes(verb) && (scope.type === '*' || scope.type === type));
  const asPatient = giving.some(({ context }) => context === 'patient');
  if (!asPatient || giving.some(({ context, query }) => context !== 'patient' && query === '')) return;
  if (held.every((each) => patientsOf(each).every((id) => patients.includes(id)))) return;
  throw fhirError('insufficient-scope', `The ${type} is another patient's too, and so not for this caller to write.`);
}

/** @throws FhirError `insufficient-scope` (403) for a Consent that denies, changed or removed by whom Consents bind: what it denies is theirs to keep to, not to lift */
export function assertKeepsConsent(
  before: Resource | undefined,
  after: Resource | undefined,
  { access }: Caller,
  { settings }: Whose,
): void {
  if (before?.resourceType !== 'Consent' || access.isBound?.('Consent') !== true) return;
  const rule = (consent: Resource) => ruleOf(consent, (reference) => localReference(reference, settings.fhirBase));
  const held = rule(before);
  if (held === undefined || !mayDeny(held.root)) return;
  if (after !== undefined && JSON.stringify(rule(after)) === JSON.stringify(held)) return;
  throw fhirError('insufficient-scope', 'What a Consent denies is not for whom it binds to change.');
}
