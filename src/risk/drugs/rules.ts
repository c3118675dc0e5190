/** The tables of knowledge/ that need the patient, decoded and resolved to ingredients once. Shapes: knowledge/rules-schema.json; decision 0024. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { UnitTable } from '../manifest.ts';
import type { Proposal, Severity } from './finding.ts';
import { type HazardOf, type HazardRule, hazardIndex } from './hazards.ts';
import type { Ingredient } from './knowledge.ts';

export interface Limits {
  readonly ge?: number;
  readonly gt?: number;
  readonly le?: number;
  readonly lt?: number;
}

/** Everything named must hold; what is not known does not hold. `with` names current drugs. */
export interface Condition<Drugs = ReadonlySet<Ingredient>> extends Limits {
  readonly lab?: string;
  readonly age?: Limits;
  readonly ageDays?: Limits;
  readonly egfr?: Limits;
  readonly crcl?: Limits;
  readonly sex?: 'female' | 'male';
  readonly has?: string;
  readonly lacks?: string;
  readonly childPugh?: readonly string[];
  readonly with?: Drugs;
  readonly any?: readonly Condition<Drugs>[];
  readonly atLeast?: number;
  readonly of?: readonly Condition<Drugs>[];
}
type Names = readonly string[];

export interface PatientRule<Drugs = ReadonlySet<Ingredient>> {
  readonly id: string;
  readonly drugs: Drugs;
  readonly when: readonly Condition<Drugs>[];
  readonly severity: Severity;
  readonly effect: string;
  readonly source: string;
  readonly local?: boolean;
  /** By these routes only; an unknown route is none of them. */
  readonly routes?: Names;
  readonly proposals?: Names;
}
export interface RenalRule {
  readonly id: string;
  readonly drug: string;
  readonly metric: 'egfr' | 'crcl';
  readonly ge?: number;
  readonly lt?: number;
  readonly severity: Severity;
  readonly over?: Severity;
  readonly action: string;
  readonly dailyMax?: { readonly value: number; readonly unit: string };
  readonly proposals?: Names;
  readonly source: string;
}
export interface DoseRule<Drugs = ReadonlySet<Ingredient>> {
  readonly id: string;
  readonly drug: string;
  readonly routes: Names;
  readonly max: number;
  readonly unit: string;
  readonly per: 'dose' | 'day' | 'week' | 'times-a-week';
  readonly when?: readonly Condition<Drugs>[];
  readonly severity: Severity;
  readonly note?: string;
  readonly source: string;
}
export interface TripleRule<Drugs = ReadonlySet<Ingredient>> {
  readonly id: string;
  readonly sets: readonly Drugs[];
  readonly severity: Severity;
  readonly effect: string;
  readonly source: string;
  readonly proposals?: Names;
  /** At most moderate when one of these is recorded. */
  readonly quiet?: Names;
  /** At most moderate when standing orders completed the rule before, with two of the three. */
  readonly quietWhenComplete?: boolean;
  /** Not counted when ordered once. */
  readonly notCountedOnce?: Drugs;
}
export interface Side<Drugs = ReadonlySet<Ingredient>> {
  readonly drugs?: Drugs;
  readonly route?: Names;
  readonly once?: boolean;
  readonly prn?: boolean;
}
export interface ContextRule<Drugs = ReadonlySet<Ingredient>> {
  readonly id: string;
  readonly purpose: 'scope' | 'escalate' | 'burden';
  readonly rules?: Names;
  readonly a?: Side<Drugs>;
  readonly b?: Side<Drugs>;
  readonly accepted?: boolean;
  readonly when?: readonly Condition<Drugs>[];
  readonly severity: Severity;
  readonly reason: string;
  readonly source: string;
}
export interface ConflictRule {
  readonly id: string;
  readonly between: Names;
  readonly severity: Severity;
  readonly reason: string;
  readonly source: string;
}
export interface QtScore<Drugs = ReadonlySet<Ingredient>> {
  readonly citation: string;
  readonly drugs: Drugs;
  readonly points: readonly {
    readonly points: number;
    readonly label: string;
    readonly when: readonly Condition<Drugs>[];
  }[];
  /** Points for one QT-prolonging drug, and for a second one on top. */
  readonly one: number;
  readonly more: number;
  readonly bands: readonly { readonly from: number; readonly severity: Severity }[];
  readonly proposals?: Names;
}
export interface AlternativeClass {
  readonly id: string;
  readonly name: string;
  readonly members: readonly { readonly drug: string; readonly note?: string }[];
}
export interface LabTerm {
  readonly name: string;
  readonly display: string;
  readonly loinc: Names;
  readonly unit: string;
  readonly analyte?: string;
  readonly range: readonly [number, number];
  readonly days: number;
}
export interface ConditionTerm {
  readonly name: string;
  readonly display: string;
  readonly snomed: Names;
  readonly icd10: Names;
  readonly phrases: Names;
  /** Abbreviations that count only as the whole text. */
  readonly whole?: Names;
  /** Counts when resolved, too: a past stroke, a past angioedema. */
  readonly history?: boolean;
}
export interface Terms {
  readonly labs: readonly LabTerm[];
  readonly conditions: readonly ConditionTerm[];
  readonly units: UnitTable;
}
export interface Routes<Drugs = ReadonlySet<Ingredient>> {
  readonly local: Names;
  readonly actsAnyway: readonly { readonly drugs: Drugs; readonly routes?: Names; readonly reason: string }[];
  readonly codes: Readonly<Record<string, string>>;
  readonly v3: Readonly<Record<string, string>>;
  readonly phrases: Readonly<Record<string, string>>;
}
type TestProposal = Extract<Proposal, { kind: 'test' }>;
interface MonitoringPair<Drugs> {
  readonly a: Drugs;
  readonly b: Drugs;
  readonly propose: Names;
}

interface RuleTables {
  readonly hazards: readonly HazardRule[];
  readonly classes: Readonly<Record<string, Names>>;
  readonly patient: readonly PatientRule<Names>[];
  readonly renal: readonly RenalRule[];
  readonly doses: readonly DoseRule<Names>[];
  readonly triples: readonly TripleRule<Names>[];
  readonly contexts: readonly ContextRule<Names>[];
  readonly conflicts: readonly ConflictRule[];
  readonly qt: QtScore<Names>;
  readonly alternatives: readonly AlternativeClass[];
  readonly monitoring: {
    readonly tests: readonly Omit<TestProposal, 'kind'>[];
    readonly pairs: readonly MonitoringPair<Names>[];
  };
  readonly routes: Routes<Names>;
  readonly terms: Terms;
}

/** An alternative by its ingredient. */
export interface Candidate {
  readonly ingredient: Ingredient;
  readonly className: string;
  readonly note: string | undefined;
}

export interface DrugRules {
  readonly hazardOf: HazardOf;
  patientRules(ingredient: Ingredient): readonly PatientRule[];
  renalRules(ingredient: Ingredient): readonly RenalRule[];
  doseRules(ingredient: Ingredient): readonly DoseRule[];
  /** Rules of three drugs that the ingredient can be part of. */
  triplesOf(ingredient: Ingredient): readonly TripleRule[];
  readonly contexts: readonly ContextRule[];
  /** Those that name the pair's rule, or any. */
  contextsOf(rule: string): readonly ContextRule[];
  readonly conflicts: readonly ConflictRule[];
  readonly qt: QtScore;
  /** Members of the classes an ingredient is in, in the order of preference; never itself. */
  candidates(ingredient: Ingredient): readonly Candidate[];
  testsOf(ids: Names): readonly TestProposal[];
  /** Tests proposed for a pair, whichever is ordered. */
  monitoring(one: Ingredient, other: Ingredient): readonly TestProposal[];
  readonly routes: Omit<Routes, 'actsAnyway'> & {
    /** True when the ingredient acts in the whole body by the local route. */
    actsAnyway(ingredient: Ingredient, route: string): boolean;
  };
  readonly terms: Terms;
}

/** The files, by the property of rules-schema.json that describes them. */
export const RULE_FILES = {
  classes: 'classes.json',
  patient: 'patient-rules.json',
  renal: 'renal.json',
  doses: 'doses.json',
  triples: 'triples.json',
  contexts: 'contexts.json',
  conflicts: 'conflicts.json',
  qt: 'qt-score.json',
  alternatives: 'alternatives.json',
  monitoring: 'monitoring.json',
  routes: 'routes.json',
  terms: 'patient-terms.json',
  hazards: 'hazards.json',
} as const satisfies Record<keyof RuleTables, string>;

function decoded(candidate: unknown, schema: unknown): RuleTables {
  if (typeof schema !== 'object' || schema === null) throw new TypeError('knowledge/rules-schema.json is not a schema');
  const isTables = new Ajv2020({ allowUnionTypes: true }).compile<RuleTables>(schema);
  if (isTables(candidate)) return candidate;
  const [error] = isTables.errors ?? [];
  throw new TypeError(`knowledge/ rules: ${error?.instancePath ?? ''} ${error?.message ?? 'are malformed'}`);
}

/** @throws TypeError when a table has another shape or names a drug, class, laboratory value, condition or test that it does not hold */
export function compiledRules(candidate: unknown, schema: unknown, idOf: (name: string) => Ingredient): DrugRules {
  const tables = decoded(candidate, schema);
  checkNames(tables);
  const set = (names: Names): ReadonlySet<Ingredient> =>
    new Set(
      names.flatMap((name) => {
        if (!name.startsWith('@')) return [idOf(name)];
        const members = tables.classes[name.slice(1)];
        if (members === undefined) throw new TypeError(`knowledge/ names a class that it does not hold: ${name}`);
        return members;
      }),
    );
  const conditions = (when: readonly Condition<Names>[]): readonly Condition[] =>
    when.map(({ with: current, any, of, ...rest }) => ({
      ...rest,
      ...(current === undefined ? {} : { with: set(current) }),
      ...(any === undefined ? {} : { any: conditions(any) }),
      ...(of === undefined ? {} : { of: conditions(of) }),
    }));
  const side = ({ drugs, ...rest }: Side<Names>): Side => ({
    ...rest,
    ...(drugs === undefined ? {} : { drugs: set(drugs) }),
  });
  const patient = tables.patient.map((row) => ({ ...row, drugs: set(row.drugs), when: conditions(row.when) }));
  const doses = tables.doses.map(({ when, ...row }) => ({
    ...row,
    ...(when === undefined ? {} : { when: conditions(when) }),
  }));
  const triples = tables.triples.map(({ notCountedOnce, ...row }) => ({
    ...row,
    ...(notCountedOnce === undefined ? {} : { notCountedOnce: set(notCountedOnce) }),
    sets: row.sets.map(set),
  }));
  const tests = new Map(tables.monitoring.tests.map((test) => [test.id, { kind: 'test' as const, ...test }]));
  const testsOf = (ids: Names) => ids.flatMap((id) => tests.get(id) ?? []);
  const anyDrug = { has: () => true };
  const pairs = tables.monitoring.pairs.map(({ a, b, propose }) => ({
    a: set(a),
    b: b.includes('*') ? anyDrug : set(b),
    propose,
  }));
  const classes = tables.alternatives.map(({ name, members }) => ({
    name,
    members: members.map(({ drug, note }) => ({ ingredient: idOf(drug), note })),
  }));
  const contexts = tables.contexts.map(({ a, b, when, ...row }) => ({
    ...row,
    ...(a === undefined ? {} : { a: side(a) }),
    ...(b === undefined ? {} : { b: side(b) }),
    ...(when === undefined ? {} : { when: conditions(when) }),
  }));
  const absorbed = tables.routes.actsAnyway.map(({ drugs, routes }) => ({ drugs: set(drugs), routes }));
  return {
    hazardOf: hazardIndex(tables.hazards),
    patientRules: indexed(patient, ({ drugs }) => [...drugs]),
    renalRules: indexed(tables.renal, ({ drug }) => [idOf(drug)]),
    doseRules: indexed(doses, ({ drug }) => [idOf(drug)]),
    triplesOf: indexed(triples, ({ sets }) => [...new Set(sets.flatMap((one) => [...one]))]),
    contexts,
    contextsOf: contextIndex(contexts),
    conflicts: tables.conflicts,
    qt: {
      ...tables.qt,
      drugs: set(tables.qt.drugs),
      points: tables.qt.points.map((row) => ({ ...row, when: conditions(row.when) })),
    },
    candidates: (ingredient) =>
      classes
        .filter(({ members }) => members.some((member) => member.ingredient === ingredient))
        .flatMap(({ name, members }) =>
          members
            .filter((member) => member.ingredient !== ingredient)
            .map((member) => ({ ingredient: member.ingredient, className: name, note: member.note })),
        ),
    testsOf,
    monitoring: (one, other) =>
      testsOf([
        ...new Set(
          pairs
            .filter(({ a, b }) => (a.has(one) && b.has(other)) || (a.has(other) && b.has(one)))
            .flatMap(({ propose }) => propose),
        ),
      ]),
    routes: {
      ...tables.routes,
      actsAnyway: (ingredient, route) =>
        absorbed.some(({ drugs, routes }) => drugs.has(ingredient) && (routes?.includes(route) ?? true)),
    },
    terms: tables.terms,
  };
}

/** In the order of the table; the few answers are kept. */
function contextIndex(contexts: readonly ContextRule[]): DrugRules['contextsOf'] {
  const everywhere = contexts.filter(({ rules }) => rules === undefined);
  const named = new Set(contexts.flatMap(({ rules = [] }) => rules));
  const of = new Map(
    [...named].map((id) => [id, contexts.filter(({ rules }) => rules === undefined || rules.includes(id))] as const),
  );
  return (rule) => of.get(rule) ?? everywhere;
}

const NO_ROWS: readonly never[] = [];
function indexed<Row>(
  rows: readonly Row[],
  ids: (row: Row) => readonly Ingredient[],
): (id: Ingredient) => readonly Row[] {
  const index = new Map<Ingredient, Row[]>();
  for (const row of rows) {
    for (const id of ids(row)) {
      const known = index.get(id);
      if (known === undefined) index.set(id, [row]);
      else known.push(row);
    }
  }
  return (id) => index.get(id) ?? NO_ROWS;
}

/** A misspelt laboratory value, condition or test would never hold and never be missed. */
function checkNames({ terms, monitoring, patient, doses, contexts, triples, renal, qt }: RuleTables): void {
  const labs = new Set(terms.labs.map(({ name }) => name));
  const conditions = new Set(terms.conditions.map(({ name }) => name));
  const tests = new Set(monitoring.tests.map(({ id }) => id));
  const unknown: string[] = [];
  const visit = (when: readonly Condition<Names>[] = []) => {
    for (const { lab, has, lacks, any, of } of when) {
      if (lab !== undefined && !labs.has(lab)) unknown.push(lab);
      for (const name of [has, lacks]) if (name !== undefined && !conditions.has(name)) unknown.push(name);
      visit(any);
      visit(of);
    }
  };
  for (const { when } of [...patient, ...doses, ...contexts, ...qt.points]) visit(when);
  for (const { quiet = [] } of triples) unknown.push(...quiet.filter((name) => !conditions.has(name)));
  const proposed = [...patient, ...renal, ...triples, qt].flatMap(({ proposals = [] }) => proposals);
  for (const id of [...proposed, ...monitoring.pairs.flatMap(({ propose }) => propose)])
    if (!tests.has(id)) unknown.push(id);
  if (unknown.length > 0) throw new TypeError(`knowledge/ names what it does not define: ${unknown.join(', ')}`);
}
