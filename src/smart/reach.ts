/** Tables of what scopes reach beside the compartment of a patient. Source: docs/authorization.md, decision 0028. */

/** Never reached by `*` nor by `patient/`: named by a `user/` or `system/` scope, or not at all. */
export const EXPLICIT_ONLY: ReadonlySet<string> = new Set(['AuditEvent']);

/**
 * Types that hold no patient's data: readable by `patient/` scopes on them, never writable. Those that describe people and places who care,
 * what is given, and definitions.
 */
export const OPEN_TO_PATIENTS: ReadonlySet<string> = new Set([
  'Practitioner',
  'PractitionerRole',
  'Organization',
  'OrganizationAffiliation',
  'Location',
  'HealthcareService',
  'Endpoint',
  'Medication',
  'MedicationKnowledge',
  'Substance',
  'DeviceDefinition',
  'Questionnaire',
  'ValueSet',
  'CodeSystem',
  'ConceptMap',
  'NamingSystem',
  'StructureDefinition',
  'ActivityDefinition',
  'PlanDefinition',
  'Library',
  'Measure',
  'ObservationDefinition',
  'SpecimenDefinition',
  'InsurancePlan',
]);

/** Types whose subject the CompartmentDefinition of R4 leaves out: by these parameters they are a patient's all the same. */
export const BESIDE_COMPARTMENT: ReadonlyMap<string, readonly string[]> = new Map([
  ['Device', ['patient']],
  ['Task', ['patient']],
]);

/** Types with a search parameter `patient` that may name several: no one of them permits for the others. */
export const ABOUT_SEVERAL: ReadonlySet<string> = new Set([
  'Account',
  'Appointment',
  'AuditEvent',
  'Contract',
  'Person',
  'Provenance',
]);
