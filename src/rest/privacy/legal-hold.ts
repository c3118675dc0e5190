/**
 * Legal holds: a current List with our code names the patients whose records may not be erased. One List per matter; several may name one patient.
 * Source: GDPR Art. 17(3)(e), FRCP 37(e); docs/privacy.md#legal-hold. A List, because all of its criteria are R4 search parameters.
 */
import type { Predicate, SearchPlan } from '../../fhir/search/algebra.ts';
import { unfilteredPlan } from '../../fhir/search/plan.ts';
import { and, or } from '../../fhir/search/simplify.ts';
import type { Command } from '../../store/port.ts';

export const PRIVACY_SYSTEM = 'https://firewatch.example/fhir/CodeSystem/privacy';
export const LEGAL_HOLD = 'legal-hold';

const TYPE = 'List';

/** The Lists that hold one of these patients. The server's own question: who asks to erase need not see them. */
export function holdPlan(patients: readonly string[]): SearchPlan {
  const targets = patients.map((id) => `Patient/${id}`);
  const token = (code: string, system: string, parameter: string): Predicate => ({
    kind: 'token',
    parameter: `${TYPE}.${parameter}`,
    system,
    code,
  });
  const named = ['item', 'subject'].map(
    (code): Predicate => ({ kind: 'reference', parameter: `${TYPE}.${code}`, targets }),
  );
  const current = token('current', 'http://hl7.org/fhir/list-status', 'status');
  return unfilteredPlan(TYPE, and([token(LEGAL_HOLD, PRIVACY_SYSTEM, 'code'), current, or(named)]));
}

/** Conflicts while a hold names one of these patients. */
export function noHold(patients: readonly string[]): Command {
  return { op: 'expect', plan: holdPlan(patients), ids: [] };
}
