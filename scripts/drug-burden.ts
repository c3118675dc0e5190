/**
 * Alert burden of the drug check on real order streams: `node scripts/drug-burden.ts [--causes]`. Reads models/train/data/drug-orders.tsv.gz (eICU demo, ODbL 1.0),
 * signs each minute's orders beside what is active, and counts the cards that would interrupt (major, contraindicated): one an order and hazard. Hospitals are split by hash: half were
 * looked at while knowledge/contexts.json was written, the other half is reported. Intervals: 2,000 bootstrap samples of whole hospitals. Decision 0024.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Resource } from '../src/fhir/resource.ts';
import type { DrugSafety, Finding } from '../src/risk/drugs/finding.ts';
import { byHazard } from '../src/risk/drugs/hazards.ts';
import { loadDrugSafety } from '../src/risk/drugs/safety.ts';
import { toldOnce } from '../src/risk/drugs/told-once.ts';

const ROOT = join(import.meta.dirname, '..');
const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
const EPOCH = Date.UTC(2015, 0, 1);
const MINUTE = 60_000;
const instant = (minutes: number) => new Date(EPOCH + minutes * MINUTE).toISOString();

interface Order {
  readonly ordered: number;
  readonly stop: number;
  readonly set: string;
  readonly resource: Resource;
}
export interface Stay {
  readonly id: string;
  readonly hospital: string;
  readonly patient: Resource;
  readonly until: number;
  readonly ventilated: readonly [number, number] | undefined;
  readonly orders: readonly Order[];
}

/** The stays of the table, each with its orders in the order of signing. */
export function readStays(): readonly Stay[] {
  const text = gunzipSync(readFileSync(join(ROOT, 'models/train/data/drug-orders.tsv.gz'))).toString('utf8');
  const stays: (Omit<Stay, 'orders'> & { orders: Order[] })[] = [];
  for (const line of text.split('\n')) {
    const [kind, a = '', b = '', c = '', d = '', e = '', f = '', g = ''] = line.split('\t');
    if (kind === 'S') {
      const birthDate = `${2015 - Number(c || 60)}-01-01`;
      const patient = { resourceType: 'Patient', id: a, birthDate, gender: d };
      const ventilated = f === '' ? undefined : ([Number(f), Number(g)] as const);
      stays.push({ id: a, hospital: b, patient, until: Number(e), ventilated, orders: [] });
    } else if (kind === 'O') {
      const stay = stays.at(-1);
      stay?.orders.push(orderOf(`${stay.orders.length}`, Number(a), Number(c), d, e, f));
    }
  }
  return stays;
}

function orderOf(id: string, ordered: number, stop: number, route: string, flags: string, set: string): Order {
  const ids = set.split(',');
  const coding = ids.filter((one) => !one.startsWith('name:')).map((code) => ({ system: RXNORM, code }));
  const text = ids.filter((one) => one.startsWith('name:')).map((one) => one.slice(5).replaceAll('-', ' '));
  const resource: Resource = {
    resourceType: 'MedicationRequest',
    id: `o${id}`,
    status: 'active',
    intent: 'order',
    authoredOn: instant(ordered),
    medicationCodeableConcept: { coding, ...(text.length === 0 ? {} : { text: text.join(' / ') }) },
    dosageInstruction: [
      {
        ...(route === 'unknown' ? {} : { route: { text: route } }),
        asNeededBoolean: flags.includes('p'),
        timing: { repeat: { ...(flags.includes('1') ? { count: 1 } : {}), boundsPeriod: { end: instant(stop) } } },
      },
    ],
  };
  return { ordered, stop, set, resource };
}

const intensiveCare: Resource = {
  resourceType: 'Encounter',
  id: 'e',
  status: 'in-progress',
  location: [{ location: { display: 'Intensive care unit' } }],
};
/** All orders are of hospital stays; those before and after the time in the unit are of the emergency department or a ward. */
const hospitalStay: Resource = {
  resourceType: 'Encounter',
  id: 's',
  status: 'in-progress',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
};
const ventilation: Resource = {
  resourceType: 'Procedure',
  id: 'v',
  status: 'in-progress',
  code: { coding: [{ system: 'http://snomed.info/sct', code: '40617009' }] },
};

export interface StayBurden {
  readonly hospital: string;
  readonly signed: number;
  readonly interruptive: readonly Finding[];
  readonly contraindicated: number;
  /** Moderate findings: told as information, one each. */
  readonly told: number;
  /** Co-active pairs of ingredients, and those that interrupted. */
  readonly pairs: number;
  readonly loudPairs: number;
}

const isLoud = ({ severity }: Finding) => severity === 'major' || severity === 'contraindicated';

/** One stay, minute of ordering by minute. */
export function burdenOf(stay: Stay, safety: DrugSafety): StayBurden {
  const interruptive: Finding[] = [];
  const pairs = new Set<string>();
  const loud = new Set<string>();
  let moderate = 0;
  const minutes = [...new Set(stay.orders.map(({ ordered }) => ordered))].toSorted((a, b) => a - b);
  for (const minute of minutes) {
    const drafts = stay.orders.filter(({ ordered }) => ordered === minute);
    const active = stay.orders.filter(({ ordered, stop }) => ordered < minute && stop > minute);
    const recent = stay.orders.filter(
      ({ ordered, stop }) => ordered < minute && stop <= minute && minute - stop < 1440,
    );
    const inUnit = minute >= 0 && minute <= stay.until;
    const onVentilator = stay.ventilated !== undefined && minute >= stay.ventilated[0] && minute <= stay.ventilated[1];
    const context = [
      stay.patient,
      hospitalStay,
      ...(inUnit ? [intensiveCare] : []),
      ...(onVentilator ? [ventilation] : []),
      ...[...active, ...recent].map(({ resource }) => resource),
    ];
    for (const [index, { set }] of drafts.entries()) {
      for (const other of [...drafts.slice(index + 1), ...active]) pairs.add([set, other.set].toSorted().join(' + '));
    }
    const signed = drafts.map(({ resource }) => ({ ...resource, status: 'draft' }));
    const { findings } = safety.check(signed, context, EPOCH + minute * MINUTE);
    moderate += findings.filter(({ severity }) => severity === 'moderate').length;
    const found = findings.filter(isLoud);
    const told = toldOnce(found).filter(isLoud);
    interruptive.push(...byHazard(told.map((finding) => ({ finding }))).map(({ lead }) => lead.finding));
    for (const { draft, other } of found)
      if (other !== undefined)
        loud.add(
          [draft, other]
            .map(({ ingredients }) => ingredients.join())
            .toSorted()
            .join(),
        );
  }
  return {
    hospital: stay.hospital,
    signed: stay.orders.length,
    interruptive,
    contraindicated: interruptive.filter(({ severity }) => severity === 'contraindicated').length,
    told: moderate,
    pairs: pairs.size,
    loudPairs: loud.size,
  };
}

/** Half of the hospitals, by the first bit of a hash of their number: `tune` was looked at, `report` was not. */
export const splitOf = (hospital: string): 'tune' | 'report' =>
  (createHash('sha256').update(`hospital ${hospital}`).digest()[0] ?? 0) < 128 ? 'tune' : 'report';

export interface Burden {
  readonly stays: number;
  readonly hospitals: number;
  readonly signed: number;
  /** Interruptive findings per stay, with the 95 % interval over hospitals. */
  readonly perStay: readonly [value: number, low: number, high: number];
  readonly contraindicatedPerStay: number;
  /** Moderate findings per stay: they do not interrupt. */
  readonly toldPerStay: number;
  /** Share of co-active pairs that interrupted at least once. */
  readonly pairShare: number;
  /** Share of stays with at least one. */
  readonly staysInterrupted: number;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

export function summary(stays: readonly StayBurden[]): Burden {
  const perStay = (some: readonly StayBurden[]) =>
    sum(some.map(({ interruptive }) => interruptive.length)) / some.length;
  const hospitals = [...Map.groupBy(stays, ({ hospital }) => hospital).values()];
  // xorshift32: the same samples every time.
  let state = 20_261_122;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const samples = Array.from({ length: 2000 }, () =>
    perStay(hospitals.flatMap(() => hospitals[Math.floor(random() * hospitals.length)] ?? [])),
  ).toSorted((a, b) => a - b);
  return {
    stays: stays.length,
    hospitals: hospitals.length,
    signed: sum(stays.map(({ signed }) => signed)),
    perStay: [perStay(stays), samples[49] ?? Number.NaN, samples[1949] ?? Number.NaN],
    contraindicatedPerStay: sum(stays.map(({ contraindicated }) => contraindicated)) / stays.length,
    toldPerStay: sum(stays.map(({ told }) => told)) / stays.length,
    pairShare: sum(stays.map(({ loudPairs }) => loudPairs)) / sum(stays.map(({ pairs }) => pairs)),
    staysInterrupted: stays.filter(({ interruptive }) => interruptive.length > 0).length / stays.length,
  };
}

if (import.meta.main) {
  const safety = loadDrugSafety(join(ROOT, 'knowledge'));
  const found = readStays().map((stay) => burdenOf(stay, safety));
  const split = Map.groupBy(found, ({ hospital }) => splitOf(hospital));
  for (const [name, stays] of split)
    if (name === 'tune' || !process.argv.includes('--tune'))
      process.stdout.write(`${name} ${JSON.stringify(summary(stays))}\n`);
  if (process.argv.includes('--causes')) {
    const causes = new Map<string, number>();
    for (const { rule, severity, draft, other } of (split.get('tune') ?? []).flatMap(
      ({ interruptive }) => interruptive,
    )) {
      const names = [draft, other]
        .flatMap((one) => one?.ingredients.join('/') ?? [])
        .toSorted()
        .join(' + ');
      const key = `${severity} ${rule.id} ${names}`;
      causes.set(key, (causes.get(key) ?? 0) + 1);
    }
    for (const [cause, count] of [...causes].toSorted(([, a], [, b]) => b - a).slice(0, 90))
      process.stdout.write(`${count} ${cause}\n`);
  }
}
