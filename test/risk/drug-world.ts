/** Resources for the drug-safety tests, in few words. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Json, JsonObject, Resource } from '../../src/fhir/resource.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';

export const ROOT = join(import.meta.dirname, '..', '..');
export const safety = loadDrugSafety(join(ROOT, 'knowledge'));
export const AT = Date.parse('2026-01-15T12:00:00Z');
export const DAY = 86_400_000;
export const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';

/** An instant so many days before AT. */
export const ago = (days: number, ms = 0) => new Date(AT - days * DAY - ms).toISOString();

export const coded = (code: string, display?: string): JsonObject => ({
  coding: [{ system: RXNORM, code, ...(display === undefined ? {} : { display }) }],
});
export const named = (text: string): JsonObject => ({ text });

type Extra = Readonly<Record<string, Json>>;
const request = (id: string, concept: JsonObject | undefined, status: string, extra: Extra): Resource => ({
  resourceType: 'MedicationRequest',
  id,
  status,
  intent: 'order',
  subject: { reference: 'Patient/p' },
  ...(concept === undefined ? {} : { medicationCodeableConcept: concept }),
  ...extra,
});
export const draft = (concept: JsonObject | undefined, id = 'draft-1', extra: Extra = {}) =>
  request(id, concept, 'draft', extra);
export const active = (concept: JsonObject | undefined, id = 'active-1', extra: Extra = {}) =>
  request(id, concept, 'active', extra);
export const ending = (end: string): Extra => ({
  dosageInstruction: [{ timing: { repeat: { boundsPeriod: { end } } } }],
});
export const stopped = (concept: JsonObject, end: string, id = 'stopped-1') =>
  request(id, concept, 'stopped', ending(end));

/** Findings as `severity key-parts`, for tables. */
export const told = (drafts: readonly Resource[], context: readonly Resource[], at = AT): readonly string[] =>
  safety.check(drafts, context, at).findings.map(({ kind, severity, rule }) => `${severity} ${kind} ${rule.id}`);

export const readCases = <T>(file: string): T =>
  JSON.parse(readFileSync(join(import.meta.dirname, 'cases', file), 'utf8'));
