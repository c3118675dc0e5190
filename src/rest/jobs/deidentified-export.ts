/**
 * $deidentified-export: an export whose files do not tell whose data it is. Checked and frozen as `$export` is; the job removes.
 * Source: 45 CFR 164.514(b)(2); docs/privacy.md#de-identified-export; docs/decisions/0045-de-identified-export.md.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { PATIENT } from '../../fhir/search/person.ts';
import { mayDeidentify } from '../../smart/policy.ts';
import type { Caller, RestContext } from '../context.ts';
import { textOf } from '../operations/input.ts';
import type { Operation, OperationCall } from '../operations/operation.ts';
import { DEIDENTIFY_MODES, type DeidentifyMode } from './export.ts';
import { kickOff, SCOPING, type Scoping } from './export-operation.ts';

export const DEIDENTIFIED_EXPORT: Operation = {
  levels: ['system', 'type', 'instance'],
  takes: ['mode', '_outputFormat', '_since', '_type', '_typeFilter'],
  perform: (call, caller, context) => {
    assertMay(caller, context);
    const scoping = scopingOf(call);
    const deidentified = { mode: modeOf(call), types: context.deidentifiable ?? new Set<string>() };
    return kickOff(call, scoping, caller, context, deidentified);
  },
};

/** Of one person it would be no secret whose it is, and all Groups are no unit. @throws FhirError `unknown-operation` (404) */
function scopingOf({ type, key, definition }: OperationCall): Scoping {
  if (type === '') return SCOPING.system;
  if (type === PATIENT && key === undefined) return SCOPING.patients;
  if (type !== PATIENT && key !== undefined) return SCOPING.group;
  throw fhirError(
    'unknown-operation',
    `\`$${definition.code}\` is asked of the system, of all patients, or of one Group.`,
  );
}

function modeOf({ input }: OperationCall): DeidentifyMode {
  const asked = textOf(input, 'mode') ?? DEIDENTIFY_MODES[0];
  const mode = DEIDENTIFY_MODES.find((each) => each === asked);
  if (mode !== undefined) return mode;
  throw fhirError('value', `\`mode\` must be one of ${DEIDENTIFY_MODES.join(', ')}.`);
}

/** @throws FhirError `insufficient-scope` (403): that files may leave the house is said by a role, beside the scopes */
function assertMay({ rights }: Caller, { policy }: RestContext): void {
  if (mayDeidentify(rights, policy)) return;
  throw fhirError('insufficient-scope', 'A de-identified export is for roles that may make one (`deidentifies`).');
}
