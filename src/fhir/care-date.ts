/** When the care that a resource tells of took place, by search parameter. Source: FHIR R4 patient-operation-everything.html (start, end), the resources' search parameters. */
import type { Capability } from './definitions/capability.ts';
import type { Predicate } from './search/algebra.ts';
import { or } from './search/simplify.ts';
import type { Interval } from './time.ts';

/** Type -> date parameters that say when; types that are not named are judged by `date`, when they have it. */
const CARE_DATES: Readonly<Record<string, readonly string[]>> = {
  Account: ['period'],
  AllergyIntolerance: ['onset', 'date', 'last-date'],
  ChargeItem: ['occurrence'],
  Claim: ['created'],
  ClaimResponse: ['created'],
  Communication: ['sent', 'received'],
  CommunicationRequest: ['occurrence', 'authored'],
  Condition: ['onset-date', 'abatement-date', 'recorded-date'],
  CoverageEligibilityRequest: ['created'],
  CoverageEligibilityResponse: ['created'],
  DetectedIssue: ['identified'],
  DeviceRequest: ['event-date', 'authored-on'],
  DocumentManifest: ['created'],
  DocumentReference: ['period', 'date'],
  ExplanationOfBenefit: ['created'],
  Goal: ['start-date', 'target-date'],
  ImagingStudy: ['started'],
  Media: ['created'],
  MedicationAdministration: ['effective-time'],
  MedicationDispense: ['whenhandedover', 'whenprepared'],
  MedicationRequest: ['date', 'authoredon'],
  MedicationStatement: ['effective'],
  MeasureReport: ['period', 'date'],
  NutritionOrder: ['datetime'],
  Provenance: ['when', 'recorded'],
  QuestionnaireResponse: ['authored'],
  RequestGroup: ['authored'],
  ServiceRequest: ['occurrence', 'authored'],
  Specimen: ['collected'],
  Task: ['period', 'authored-on'],
  VisionPrescription: ['datewritten'],
};
const DEFAULT = ['date'];

/** Resources of the type with a care date inside the interval, and those without any: they cannot be said to lie outside. */
export function careWithin(type: string, { low, high }: Interval, { types }: Capability): Predicate {
  const claimed = types.get(type)?.searchParameters;
  const names = Object.hasOwn(CARE_DATES, type) ? (CARE_DATES[type] ?? DEFAULT) : DEFAULT;
  const keys = names.filter((code) => claimed?.get(code)?.type === 'date').map((code) => `${type}.${code}`);
  if (keys.length === 0) return { kind: 'all' };
  const missing = keys.map((parameter): Predicate => ({ kind: 'missing', parameter, missing: true }));
  const overlapping = keys.map((parameter): Predicate => ({ kind: 'interval', parameter, relation: 'ap', low, high }));
  const [only] = missing;
  return or([...overlapping, missing.length === 1 && only !== undefined ? only : { kind: 'and', of: missing }]);
}
