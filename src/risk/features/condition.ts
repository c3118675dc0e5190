/** Whether a Condition says that a patient has something now. Source: FHIR R4 condition.html (clinicalStatus, verificationStatus). */
import type { Resource } from '../../fhir/resource.ts';
import { codings } from './observation.ts';

/** Active, recurrent or relapsed (or without a clinical status), and neither refuted nor entered in error. */
export function isPresent(condition: Resource): boolean {
  const clinical = codings(condition.clinicalStatus).map(({ code }) => code);
  const verification = codings(condition.verificationStatus).map(({ code }) => code);
  return (
    (clinical.length === 0 || clinical.some((code) => ['active', 'recurrence', 'relapse'].includes(code))) &&
    !verification.some((code) => code === 'refuted' || code === 'entered-in-error')
  );
}
