/** What became of a patient after a judgement, read from the record: for the drift of models. Source: FHIR R4 encounter.html (period, hospitalization), patient.html (deceased), condition.html. */
import { isJsonObject, type Resource } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';
import type { Evidence } from '../assessment.ts';
import { currentEncounters, instantOf, intensiveCareSince } from '../features/encounter.ts';
import { codings, textOf } from '../features/observation.ts';
import { statementOf } from '../features/statement.ts';
import type { Vocabulary } from '../manifest.ts';
import type { Outcome } from './drift.ts';

const HOUR_MS = 3_600_000;

/** ms since 1970 at which an encounter ended; undefined while it goes on. */
function endOf({ status, period }: Resource): number | undefined {
  const end = isJsonObject(period) ? intervalOf(textOf(period.end) ?? '')?.high : undefined;
  return status === 'finished' || end !== undefined ? end : undefined;
}

const DISPOSITION = 'http://terminology.hl7.org/CodeSystem/discharge-disposition';
const diedAtDischarge = ({ hospitalization }: Resource): boolean =>
  isJsonObject(hospitalization) &&
  codings(hospitalization.dischargeDisposition).some(({ system, code }) => system === DISPOSITION && code === 'exp');

/** A death without a date says nothing of this stay, unless the discharge says it. A day after the end allows for how dates are written. */
function deathInHospital(evidence: Evidence, now: number): boolean | undefined {
  const { patient, resources, at } = evidence;
  const [stay] = currentEncounters({
    ...evidence,
    resources: resources.filter(({ resourceType }) => resourceType === 'Encounter'),
  });
  if (stay === undefined) return undefined;
  const end = endOf(stay);
  const died = instantOf(patient?.deceasedDateTime);
  if (diedAtDischarge(stay)) return true;
  if (died !== undefined && died >= at - 24 * HOUR_MS) {
    if (end === undefined || died <= end + 24 * HOUR_MS) return true;
  }
  if (end === undefined || end > now) return undefined;
  return patient?.deceasedBoolean === true ? undefined : false;
}

function intensiveCare(hours: number, evidence: Evidence, now: number, vocabulary: Vocabulary): boolean | undefined {
  for (let hour = 1; hour <= hours; hour++) {
    const since = intensiveCareSince({ ...evidence, at: evidence.at + hour * HOUR_MS }, vocabulary);
    if (since !== undefined && since > evidence.at) return true;
  }
  return now >= evidence.at + hours * HOUR_MS ? false : undefined;
}

function condition(
  set: string,
  hours: number,
  { patient, resources, at }: Evidence,
  now: number,
  vocabulary: Vocabulary,
) {
  const until = {
    patient,
    resources: resources.filter(({ resourceType }) => resourceType === 'Condition'),
    at: at + hours * HOUR_MS,
  };
  if (statementOf(set, until, vocabulary) !== undefined) return true;
  return now >= until.at ? false : undefined;
}

/**
 * Whether the outcome came about after `evidence.at`, as the record says at `now` (ms); undefined while that is not known.
 * `evidence.resources`: Encounters, Conditions and Locations of the patient.
 */
export function outcomeOf(
  outcome: Outcome,
  evidence: Evidence,
  now: number,
  vocabulary: Vocabulary,
): boolean | undefined {
  switch (outcome.kind) {
    case 'death-in-hospital':
      return deathInHospital(evidence, now);
    case 'intensive-care':
      return intensiveCare(outcome.hours, evidence, now, vocabulary);
    case 'condition':
      return condition(outcome.set, outcome.hours, evidence, now, vocabulary);
    default:
      return outcome satisfies never;
  }
}
