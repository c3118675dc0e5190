/** What is evaluated for each trained model: rows, groups that are drawn together, subgroups, and rules to compare with. */
import type { Outcome } from '../../src/risk/models/drift.ts';
import type { Table } from './table.ts';

export interface Study {
  readonly model: string;
  /** Columns that identify a row in the table and in the held-out margins. */
  readonly keys: readonly string[];
  /** Column whose values are drawn together in the bootstrap. */
  readonly group: string;
  /** Name -> which rows; judged on the held-out rows and on the final split each. */
  readonly cohorts: Readonly<Record<string, (table: Table) => (index: number) => boolean>>;
  /** The cohort that subgroups and rules are judged on. */
  readonly main: string;
  readonly subgroups: Readonly<Record<string, (table: Table) => (index: number) => string | undefined>>;
  /** Rules on the same rows: a number that is higher when the rule is surer. */
  readonly rules: Readonly<Record<string, (table: Table) => (index: number) => number>>;
  /** How the label shows in a record; absent: it does not. */
  readonly outcome?: Outcome;
}

const ageBand = (table: Table) => {
  const ages = table.numbers('age');
  return (index: number): string => {
    const age = ages[index] ?? 0;
    if (age < 50) return '18-49';
    return age < 65 ? '50-64' : age < 80 ? '65-79' : '80 and older';
  };
};
const sex = (table: Table) => {
  const values = table.numbers('sex');
  return (index: number): string | undefined =>
    values[index] === 1 ? 'female' : values[index] === 0 ? 'male' : undefined;
};

/** Number of conditions that hold; a missing value meets none. */
const points = (conditions: readonly boolean[]): number => conditions.filter(Boolean).length;
const above = (value: number | undefined, limit: number): boolean => value !== undefined && value > limit;
const below = (value: number | undefined, limit: number): boolean => value !== undefined && value < limit;

function sirs(table: Table) {
  const [temperature, rate, breaths, cells] = ['temperature', 'heartRate', 'respiratoryRate', 'leukocytes'].map(
    table.numbers,
  );
  return (index: number): number =>
    points([
      above(temperature?.[index], 38) || below(temperature?.[index], 36),
      above(rate?.[index], 90),
      above(breaths?.[index], 20),
      above(cells?.[index], 12) || below(cells?.[index], 4),
    ]);
}
function qsofa(table: Table) {
  const [breaths, systolic, coma] = ['respiratoryRate', 'systolicMin', 'comaScore'].map(table.numbers);
  return (index: number): number =>
    points([above(breaths?.[index], 21.99), below(systolic?.[index], 100.01), below(coma?.[index], 15)]);
}
function suspicion(table: Table) {
  const [antibiotics, infections] = ['antibiotics', 'infections'].map(table.numbers);
  const criteria = sirs(table);
  return (index: number): number =>
    (above(antibiotics?.[index], 0) || above(infections?.[index], 0) ? 10 : 0) + criteria(index);
}

const named = (names: string) => (table: Table) => {
  const column = table.column('names');
  return (index: number): boolean => column[index] === names;
};
const beforeOrders = (table: Table) => {
  const [antibiotics, cultures] = ['antibiotics', 'cultures'].map(table.numbers);
  const recorded = named('recorded')(table);
  return (index: number): boolean => recorded(index) && antibiotics?.[index] === 0 && cultures?.[index] === 0;
};

const UNITS = {
  coronaryCare: 'coronary care',
  cardiacSurgery: 'cardiac surgery',
  medicalUnit: 'medical',
  surgicalUnit: 'surgical',
};
const unit = (table: Table) => {
  const columns = Object.entries(UNITS).map(([name, display]) => [table.numbers(name), display] as const);
  return (index: number): string | undefined => columns.find(([values]) => values[index] === 1)?.[1];
};

/** Stays at the instant of the model; those at other instants are learned from only. */
const judged = (table: Table) => {
  const also = table.has('also') ? table.numbers('also') : undefined;
  return (index: number): boolean => also?.[index] !== 1;
};

const icuMortality = (hours: number): Study => ({
  model: `icu-mortality-${hours}h`,
  keys: ['RecordID'],
  group: 'RecordID',
  cohorts: { all: judged },
  main: 'all',
  subgroups: { sex, age: ageBand, unit },
  rules: {},
  outcome: { kind: 'death-in-hospital' },
});

const LAST_YEAR = '2019';
const lastYear = (table: Table) => {
  const years = table.column('year');
  return (index: number): boolean => years[index] === LAST_YEAR;
};
/** Visits with their complaint; those that stand there again without it are learned from only. */
const stated = (table: Table) => {
  const complaint = table.has('complaint') ? table.column('complaint') : undefined;
  return (index: number): boolean => complaint?.[index] !== 'withheld';
};
const COMPLAINS = 'complains';
/** The first complaint of which a visit has an input: `complainsChestPain` is `chest pain`; `other` for none of them. */
const complaintGroup = (table: Table) => {
  const columns = table.names
    .filter((name) => name.startsWith(COMPLAINS))
    .map(
      (name) =>
        [
          name
            .slice(COMPLAINS.length)
            .replaceAll(/\B[A-Z]/g, ' $&')
            .toLowerCase(),
          table.numbers(name),
        ] as const,
    );
  return (index: number): string => columns.find(([, values]) => values[index] === 1)?.[0] ?? 'other';
};
/** Visits are drawn one by one: neither table names patients or departments. */
const arrival = (model: string, keys: readonly string[], cohorts: Study['cohorts'], outcome?: Outcome): Study => ({
  model,
  keys,
  group: 'visit',
  cohorts: { all: stated, ...cohorts },
  main: 'all',
  subgroups: { sex, age: ageBand, complaint: complaintGroup },
  rules: {},
  ...(outcome === undefined ? {} : { outcome }),
});

export const STUDIES: readonly Study[] = [
  arrival('triage-critical-care', ['visit'], { lastYear }, { kind: 'intensive-care', hours: 24 }),
  arrival('triage-high-acuity', ['visit', 'complaint'], {}),
  {
    model: 'sepsis-icu',
    keys: ['patientunitstayid', 'names'],
    group: 'hospital',
    cohorts: { recorded: named('recorded'), restored: named('restored'), beforeOrders },
    main: 'recorded',
    subgroups: {
      sex,
      age: ageBand,
      ethnicity: (table) => {
        const column = table.column('ethnicity');
        return (index) => column[index];
      },
    },
    outcome: { kind: 'condition', set: 'sepsis', hours: 24 },
    rules: { 'SIRS >= 2': sirs, 'qSOFA >= 2': qsofa, 'antibiotic or infection, and SIRS >= 2': suspicion },
  },
  icuMortality(24),
  icuMortality(48),
];
