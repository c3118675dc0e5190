/** Operations: which are served, and the step from a request to the function. Source: FHIR R4 operations.html. */
import { type OperationId, operationId } from '../fhir/definitions/capability.ts';
import { fhirError } from '../fhir/outcome.ts';
import { ID_PATTERN } from '../fhir/resource.ts';
import type { Perform } from './context.ts';
import { DEIDENTIFIED_EXPORT } from './jobs/deidentified-export.ts';
import { EXPORT_GROUP, EXPORT_PATIENT, EXPORT_PATIENTS, EXPORT_SYSTEM } from './jobs/export-operation.ts';
import { IMPORT } from './jobs/import-operation.ts';
import { PURGE } from './jobs/purge-operation.ts';
import { CONVERT } from './operations/convert.ts';
import { DOCUMENT } from './operations/document.ts';
import { EVALUATE } from './operations/evaluate.ts';
import { ENCOUNTER_EVERYTHING, PATIENT_EVERYTHING } from './operations/everything.ts';
import { inputsOf } from './operations/input.ts';
import { LASTN } from './operations/lastn.ts';
import { MERGE } from './operations/merge.ts';
import { META, META_ADD, META_DELETE } from './operations/meta.ts';
import type { Operation, OperationLevel, OperationRequest } from './operations/operation.ts';
import { STATUS } from './operations/parameter-status.ts';
import { RECORD } from './operations/record.ts';
import { STATS } from './operations/stats.ts';
import { SUBSCRIPTION_EVENTS, SUBSCRIPTION_STATUS, SUBSCRIPTION_TOKEN } from './operations/subscriptions.ts';
import { SURVEILLANCE } from './operations/surveillance.ts';
import {
  EXPAND,
  LOOKUP,
  SUBSUMES,
  VALIDATE_IN_CODE_SYSTEM,
  VALIDATE_IN_VALUE_SET,
} from './operations/terminology-operations.ts';
import { TRANSLATE } from './operations/translate.ts';
import { VALIDATE } from './operations/validate.ts';
import { claimedOperation } from './permission/claimed.ts';
import { ACCESS_REPORT } from './privacy/access-report.ts';
import { DISCLOSURES } from './privacy/disclosures.ts';

/** THE table: id of the OperationDefinition -> what performs it. An id without a row does not compile. */
export const OPERATIONS = {
  'Resource-validate': VALIDATE,
  'Patient-everything': PATIENT_EVERYTHING,
  'Patient-record': RECORD,
  'Patient-merge': MERGE,
  'Patient-purge': PURGE,
  'Patient-access-report': ACCESS_REPORT,
  'Patient-accounting-of-disclosures': DISCLOSURES,
  'Encounter-everything': ENCOUNTER_EVERYTHING,
  'Observation-lastn': LASTN,
  'Observation-stats': STATS,
  'Resource-convert': CONVERT,
  'Resource-meta': META,
  'Resource-meta-add': META_ADD,
  'Resource-meta-delete': META_DELETE,
  'ValueSet-expand': EXPAND,
  'ValueSet-validate-code': VALIDATE_IN_VALUE_SET,
  'CodeSystem-lookup': LOOKUP,
  'CodeSystem-validate-code': VALIDATE_IN_CODE_SYSTEM,
  'CodeSystem-subsumes': SUBSUMES,
  'ConceptMap-translate': TRANSLATE,
  'Composition-document': DOCUMENT,
  'System-export': EXPORT_SYSTEM,
  'Patient-export': EXPORT_PATIENTS,
  'Group-export': EXPORT_GROUP,
  'Patient-export-one': EXPORT_PATIENT,
  'System-deidentified-export': DEIDENTIFIED_EXPORT,
  'System-import': IMPORT,
  'SearchParameter-status': STATUS,
  'RiskAssessment-evaluate': EVALUATE,
  'Subscription-status': SUBSCRIPTION_STATUS,
  'Subscription-events': SUBSCRIPTION_EVENTS,
  'Subscription-get-ws-binding-token': SUBSCRIPTION_TOKEN,
  'System-surveillance': SURVEILLANCE,
} as const satisfies Record<OperationId, Operation>;

const HEAVY: ReadonlySet<string> = new Set(
  Object.entries<Operation>(OPERATIONS).flatMap(([id, { heavy }]) => (heavy ? [id.slice(id.indexOf('-') + 1)] : [])),
);

/** Whether a code is that of an operation for the thread for large requests. */
export function isHeavyOperation(code: string): boolean {
  return HEAVY.has(code);
}

const LONG: ReadonlySet<string> = new Set(
  Object.entries<Operation>(OPERATIONS).flatMap(([id, { long }]) => (long ? [id.slice(id.indexOf('-') + 1)] : [])),
);

/** Whether a code is that of an operation that may take long. */
export function isLongOperation(code: string): boolean {
  return LONG.has(code);
}

/** Refuses with 404 what is not claimed or not served at this level, with 400 what the definition does not allow; else as the operation says. */
export const operation: Perform<OperationRequest> = async (request, caller, context) => {
  const definition = claimedOperation(request, context.capability);
  const id = operationId(definition);
  if (id === undefined) throw new TypeError(`${definition.url} is claimed, but nothing performs it.`);
  const row: Operation = OPERATIONS[id];
  const level = levelOf(request);
  if (!row.levels.includes(level)) {
    throw fhirError('unknown-operation', row.elsewhere ?? `\`$${request.code}\` is not supported at this level.`);
  }
  if (request.id !== undefined && !ID_PATTERN.test(request.id)) {
    throw fhirError('not-found', `No \`${request.type}\` can have this id.`);
  }
  const type = request.type ?? '';
  const { input, search, cursor } = inputsOf(request, definition, row, context);
  const key = request.id === undefined ? undefined : { type, id: request.id };
  return row.perform({ request, definition, type, key, input, search, cursor }, caller, context);
};

function levelOf({ type, id }: OperationRequest): OperationLevel {
  if (type === undefined) return 'system';
  return id === undefined ? 'type' : 'instance';
}
