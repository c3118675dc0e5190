/** An active privacy Consent of Patient/a, as tests store it. */
const SCOPE = 'http://terminology.hl7.org/CodeSystem/consentscope';

export const consentOf = (id: string, provision: object | undefined, more: object = {}) => ({
  ...{ resourceType: 'Consent', id, status: 'active', category: [{ coding: [{ code: 'x' }] }] },
  scope: { coding: [{ system: SCOPE, code: 'patient-privacy' }] },
  ...{ patient: { reference: 'Patient/a' }, policyRule: { coding: [{ code: 'OPTIN' }] } },
  ...(provision === undefined ? {} : { provision }),
  ...more,
});
