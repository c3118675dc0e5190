/** What monitoring writes, as FHIR. Source: FHIR R4 riskassessment.html, provenance.html, flag.html, communicationrequest.html. */
import { createHash } from 'node:crypto';
import { isJsonObject, type JsonObject, type Resource } from '../fhir/resource.ts';
import { instantText } from '../fhir/time.ts';
import type { Assessment, Manifest } from '../risk/assessment.ts';
import { ALERT_SYSTEM, MONITOR_SYSTEM } from '../risk/own-output.ts';
import { deviceOf, HASH_SYSTEM, riskAssessment } from '../risk/risk-assessment.ts';
import type { Alert, MonitorRule } from './rule.ts';

const FLAG_CATEGORY = 'http://terminology.hl7.org/CodeSystem/flag-category';
const PARTICIPANT = 'http://terminology.hl7.org/CodeSystem/provenance-participant-type';

/** Who and what a scoring is about. */
export interface Occasion {
  readonly rule: MonitorRule;
  readonly patient: string;
  /** Sequence of the newest change that it accounts for: with rule and patient it names what is written, so that nothing is written twice. */
  readonly through: number;
  readonly at: number;
}

/** The same id for the same occasion, 32 characters. */
export function idOf({ rule, patient, through }: Occasion, kind: string): string {
  return createHash('sha256').update(`${rule.id}|${patient}|${through}|${kind}`).digest('hex').slice(0, 32);
}

const subjectOf = ({ patient }: Occasion): JsonObject => ({ reference: `Patient/${patient}` });

/** The assessment, with the model's hash, the rule, the occasion and what else must be said. */
export function assessmentOf(
  assessment: Assessment,
  manifest: Manifest,
  occasion: Occasion,
  remarks: readonly string[],
): Resource {
  const { rule, patient, through, at } = occasion;
  const frame = { id: idOf(occasion, 'assessment'), subject: `Patient/${patient}`, at };
  const { method, note, ...base } = riskAssessment(assessment, manifest, frame);
  const shadow = rule.shadow === true;
  const tags = [
    { system: MONITOR_SYSTEM, code: rule.id },
    ...(shadow ? [{ system: MONITOR_SYSTEM, code: 'shadow' }] : []),
  ];
  const coding = isJsonObject(method) && Array.isArray(method.coding) ? method.coding : [];
  return {
    ...base,
    resourceType: 'RiskAssessment',
    meta: { tag: tags },
    identifier: [{ system: MONITOR_SYSTEM, value: `${rule.id}.${patient}.${through}` }],
    status: shadow ? 'preliminary' : (base.status ?? 'final'),
    method: { coding: [...coding, { system: HASH_SYSTEM, code: manifest.sha256 }], text: manifest.title },
    performer: deviceOf(manifest),
    note: [...remarks.map((text) => ({ text })), ...(Array.isArray(note) ? note : [])],
  };
}

/** Who made these and from what: the model as a device, the versions of its inputs as sources. */
export function provenanceOf(
  targets: readonly Resource[],
  manifest: Manifest,
  inputs: readonly Resource[],
  occasion: Occasion,
): Resource {
  const versioned = inputs.flatMap(({ resourceType, id, meta }) =>
    isJsonObject(meta) && typeof meta.versionId === 'string'
      ? [`${resourceType}/${id}/_history/${meta.versionId}`]
      : [],
  );
  return {
    resourceType: 'Provenance',
    id: idOf(occasion, 'provenance'),
    target: targets.map(({ resourceType, id }) => ({ reference: `${resourceType}/${id}` })),
    recorded: instantText(occasion.at),
    agent: [{ type: { coding: [{ system: PARTICIPANT, code: 'assembler' }] }, who: deviceOf(manifest) }],
    ...(versioned.length === 0
      ? {}
      : { entity: versioned.map((reference) => ({ role: 'source', what: { reference } })) }),
  };
}

const alertConcept = ({ rule }: Occasion, { id, title }: Alert): JsonObject => ({
  coding: [{ system: ALERT_SYSTEM, code: `${rule.id}.${id}`, display: title }],
  text: title,
});

export function flagOf(alert: Alert, manifest: Manifest, occasion: Occasion): Resource {
  return {
    resourceType: 'Flag',
    id: idOf(occasion, `flag.${alert.id}`),
    meta: { tag: [{ system: MONITOR_SYSTEM, code: occasion.rule.id }] },
    status: 'active',
    category: [{ coding: [{ system: FLAG_CATEGORY, code: 'clinical' }] }],
    code: alertConcept(occasion, alert),
    subject: subjectOf(occasion),
    period: { start: instantText(occasion.at) },
    author: deviceOf(manifest),
  };
}

/** A request to tell; nobody can know here that somebody was told. */
export function requestToTell(
  alert: Alert,
  manifest: Manifest,
  about: readonly string[],
  occasion: Occasion,
): Resource {
  return {
    resourceType: 'CommunicationRequest',
    id: idOf(occasion, `request.${alert.id}`),
    meta: { tag: [{ system: MONITOR_SYSTEM, code: occasion.rule.id }] },
    status: 'active',
    category: [alertConcept(occasion, alert)],
    priority: alert.priority,
    subject: subjectOf(occasion),
    about: about.map((reference) => ({ reference })),
    payload: [{ contentString: alert.title }],
    authoredOn: instantText(occasion.at),
    sender: deviceOf(manifest),
    recipient: alert.recipients.map((display) => ({ display })),
  };
}

/** The Flag as it ends; undefined when somebody else has ended it. */
export function endedFlag(flag: Resource | undefined, at: number): Resource | undefined {
  if (flag?.status !== 'active') return undefined;
  const period = isJsonObject(flag.period) ? flag.period : {};
  return { ...flag, status: 'inactive', period: { ...period, end: instantText(at) } };
}

/** What was asked to be told and is no longer so. */
export function revokedRequest(request: Resource | undefined): Resource | undefined {
  if (request?.status !== 'active') return undefined;
  return { ...request, status: 'revoked', statusReason: { text: 'The reason no longer holds.' } };
}
