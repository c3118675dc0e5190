/** What the site denies where no Consent of the patient permits, from its file: one Consent.provision of R4. Source: docs/authorization.md#consents. */
import { readFileSync } from 'node:fs';
import { isJsonObject, parseJson } from '../fhir/resource.ts';
import { localReference } from '../fhir/search/value.ts';
import type { RestContext } from '../rest/context.ts';
import { type Provision, siteProvision } from '../smart/consent-rule.ts';

const coded = (system: string, code: string) => ({ coding: [{ system, code }] });
/** What a Consent needs besides, to be judged as one. */
const AROUND = {
  resourceType: 'Consent',
  status: 'active',
  scope: coded('http://terminology.hl7.org/CodeSystem/consentscope', 'patient-privacy'),
  category: [coded('http://loinc.org', '59284-0')],
  policyRule: coded('http://terminology.hl7.org/CodeSystem/v3-ActCode', 'OPTIN'),
};

/** @throws TypeError for a file that is not there or holds anything but a valid provision with a type */
export function consentDefault(
  path: string,
  { validate, settings }: Pick<RestContext, 'validate' | 'settings'>,
): Provision {
  const given = provisionIn(path);
  const issues = validate({ ...AROUND, provision: given }).filter(({ severity = 'error' }) => severity === 'error');
  if (issues.length > 0) throw new TypeError(`CONSENT_DEFAULT: ${issues.map(({ message }) => message).join(' ')}`);
  return siteProvision(given, (reference) => localReference(reference, settings.fhirBase));
}

function provisionIn(path: string) {
  try {
    const given = parseJson(readFileSync(path, 'utf8'));
    if (isJsonObject(given) && (given.type === 'deny' || given.type === 'permit')) return given;
  } catch (cause) {
    throw new TypeError('CONSENT_DEFAULT: there is no such file, or it is no JSON.', { cause });
  }
  throw new TypeError('CONSENT_DEFAULT: the file must hold a Consent.provision with a type.');
}
