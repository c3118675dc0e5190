/** Codes of AuditEvents: THE table interaction -> BALP pattern. Source: IHE BALP (ITI vol. 3, content profile), FHIR R4 auditevent.html, DICOM PS3.15. */
import type { AuditEvent, Coding } from 'fhir/r4.d.ts';

const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const PARTICIPATION = 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType';
const ENTITY_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-entity-type';
const OBJECT_ROLE = 'http://terminology.hl7.org/CodeSystem/object-role';
const BALP = 'https://profiles.ihe.net/ITI/BALP';
const OWN = 'https://firewatch.example/fhir';

export const RESTFUL_INTERACTION = 'http://hl7.org/fhir/restful-interaction';
export const URI_SYSTEM = 'urn:ietf:rfc:3986';
export const DATA_ABSENT_REASON = 'http://hl7.org/fhir/StructureDefinition/data-absent-reason';

/** Our own systems; docs/audit.md explains each. */
export const SUBJECT_SYSTEM = `${OWN}/NamingSystem/audit-subject`;
export const ORIGIN_SYSTEM = `${OWN}/CodeSystem/audit-origin`;
export const HOOK_SYSTEM = `${OWN}/CodeSystem/hook`;
export const SERVICE_SYSTEM = `${OWN}/CodeSystem/cds-service`;
export const SECURITY_SYSTEM = `${OWN}/CodeSystem/security-event`;
export const MODEL_SYSTEM = `${OWN}/NamingSystem/model`;

export const REST: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/audit-event-type',
  code: 'rest',
  display: 'RESTful Operation',
};
export const APPLICATION_SERVER: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/security-source-type',
  code: '4',
  display: 'Application Server',
};
export const ACT_REASON = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';
export const TREATMENT: Coding = {
  system: ACT_REASON,
  code: 'TREAT',
  display: 'treatment',
};

export const ENTITY_TYPES = {
  person: { system: ENTITY_TYPE, code: '1', display: 'Person' },
  object: { system: ENTITY_TYPE, code: '2', display: 'System Object' },
  other: { system: ENTITY_TYPE, code: '4', display: 'Other' },
  requestId: { system: `${BALP}/CodeSystem/BasicAuditEntityType`, code: 'XrequestId' },
} as const satisfies Record<string, Coding>;
export const ENTITY_ROLES = {
  patient: { system: OBJECT_ROLE, code: '1', display: 'Patient' },
  report: { system: OBJECT_ROLE, code: '3', display: 'Report' },
  resource: { system: OBJECT_ROLE, code: '4', display: 'Domain Resource' },
  job: { system: OBJECT_ROLE, code: '20', display: 'Job' },
  query: { system: OBJECT_ROLE, code: '24', display: 'Query' },
} as const satisfies Record<string, Coding>;

const source: Coding = { system: DCM, code: '110153', display: 'Source Role ID' };
const destination: Coding = { system: DCM, code: '110152', display: 'Destination Role ID' };
/** Client of a deletion; and who made this server ask another one. */
export const APPLICATION: Coding = { system: DCM, code: '110150', display: 'Application' };
const custodian: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/provenance-participant-type',
  code: 'custodian',
  display: 'Custodian',
};
const recipient: Coding = { system: PARTICIPATION, code: 'IRCP', display: 'information recipient' };
const author: Coding = { system: PARTICIPATION, code: 'AUT', display: 'author (originator)' };

/** How one kind of access is written down. `profile` is the last part of the BALP profile's name; undefined where BALP has none. */
export interface Pattern {
  readonly action: NonNullable<AuditEvent['action']>;
  readonly client: Coding;
  readonly server: Coding;
  readonly user: Coding;
  readonly profile?: 'Create' | 'Read' | 'Update' | 'Delete' | 'Query';
  /** Subtype besides the interaction. */
  readonly besides?: Coding;
  /** Where it is not `rest`, with the subtype that goes with it. */
  readonly kind?: { readonly type: Coding; readonly subtype: Coding };
  /** Whether purposes of use are told: those of care, and of an emergency. What the authorization server does has none. */
  readonly hasPurpose?: true;
}
const READ = { action: 'R', client: destination, server: source, user: recipient } as const satisfies Pattern;
const CREATE = { action: 'C', client: source, server: destination, user: author } as const satisfies Pattern;
const UPDATE = { ...CREATE, action: 'U' } as const satisfies Pattern;
const DELETE = { action: 'D', client: APPLICATION, server: custodian, user: author } as const satisfies Pattern;
/** Searches, and what BALP has no pattern for: operations, bundles, hook calls, requests refused before their interaction was known. */
export const EXECUTE: Pattern = { action: 'E', client: source, server: destination, user: recipient };

const dicom = (code: string, display: string): Coding => ({ system: DCM, code, display });
const AUTHENTICATION = dicom('110114', 'User Authentication');
const ALERT = dicom('110113', 'Security Alert');
const ITI_71: Coding = { system: 'urn:ihe:event-type-code', code: 'ITI-71', display: 'Get Authorization Token' };
const AUTHZ_CONSENT: Coding = { system: `${BALP}/CodeSystem/AuthZsubType`, code: 'AuthZ-Consent' };
const own = (code: string): Coding => ({ system: SECURITY_SYSTEM, code });
/** Application Activity, DICOM PS3.15 A.5.3.1: nobody asked for it, the process is its own agent. */
const activity = (subtype: Coding): Pattern => ({
  ...{ action: 'E', client: APPLICATION, server: destination, user: recipient },
  kind: { type: dicom('110100', 'Application Activity'), subtype },
});
/** Reading the log is told as what it is, and as that. Source: DICOM PS3.15 A.5.3.2, IHE ITI-81. */
const LOG_USED = dicom('110101', 'Audit Log Used');
const security = (type: Coding, subtype: Coding): Pattern => ({
  ...{ action: 'E', client: APPLICATION, server: destination, user: recipient },
  kind: { type, subtype },
});

/** THE table. Key: restful-interaction code, which is also the subtype; below, what the authorization server does. */
const PATTERNS: Readonly<Record<string, Pattern>> = {
  read: { ...READ, profile: 'Read' },
  'log-read': { ...READ, profile: 'Read', besides: LOG_USED },
  vread: { ...READ, profile: 'Read' },
  'history-instance': READ,
  'history-type': READ,
  'history-system': READ,
  capabilities: READ,
  create: { ...CREATE, profile: 'Create' },
  update: { ...UPDATE, profile: 'Update' },
  patch: { ...UPDATE, profile: 'Update' },
  delete: { ...DELETE, profile: 'Delete' },
  search: { ...EXECUTE, profile: 'Query' },
  'search-type': { ...EXECUTE, profile: 'Query' },
  'log-search-type': { ...EXECUTE, profile: 'Query', besides: LOG_USED },
  'search-system': { ...EXECUTE, profile: 'Query' },
  operation: EXECUTE,
  transaction: EXECUTE,
  batch: EXECUTE,
  login: security(AUTHENTICATION, dicom('110122', 'Login')),
  logout: security(AUTHENTICATION, dicom('110123', 'Logout')),
  'token-issue': security(AUTHENTICATION, ITI_71),
  'token-refresh': security(AUTHENTICATION, ITI_71),
  'token-revoke': security(AUTHENTICATION, own('token-revoke')),
  launch: security(AUTHENTICATION, own('launch')),
  consent: security(ALERT, AUTHZ_CONSENT),
  'lock-out': security(ALERT, own('lock-out')),
  'client-change': security(ALERT, dicom('110129', 'Security Configuration')),
  'key-change': security(ALERT, dicom('110129', 'Security Configuration')),
  'user-change': security(ALERT, dicom('110137', 'User Security Attributes Changed')),
  backup: { ...security(dicom('110106', 'Export'), own('backup')), action: 'R' },
  restore: { ...security(dicom('110107', 'Import'), own('restore')), action: 'C' },
  'emergency-stop': { ...security(ALERT, dicom('110138', 'Emergency Override Stopped')), hasPurpose: true },
  'application-start': activity(dicom('110120', 'Application Start')),
  'application-stop': activity(dicom('110121', 'Application Stop')),
  'emergency-start': { ...security(ALERT, dicom('110127', 'Emergency Override Started')), hasPurpose: true },
};

const LOG = 'log-';
/** How an interaction with the audit log itself is written down. Codes without such a pattern stay as they are. */
export const onTheLog = (interaction: string): string =>
  patternOf(LOG + interaction) === undefined ? interaction : LOG + interaction;
/** The restful-interaction code of a key of the table. */
export const interactionOf = (key: string): string => (key.startsWith(LOG) ? key.slice(LOG.length) : key);

/** The pattern of an interaction; unknown codes have none. */
export function patternOf(interaction: string): Pattern | undefined {
  return Object.hasOwn(PATTERNS, interaction) ? PATTERNS[interaction] : undefined;
}

/** `https://profiles.ihe.net/.../IHE.BasicAudit.PatientRead`. */
export function profileUrl(profile: string, patient: boolean): string {
  return `${BALP}/StructureDefinition/IHE.BasicAudit.${patient ? 'Patient' : ''}${profile}`;
}
