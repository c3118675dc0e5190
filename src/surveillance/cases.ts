/**
 * Cases of a definition by day of the site: coded resources found by index-backed searches of their codes and dates, each person once an
 * episode. Linked Patients are one person (patient-links.ts). Work: pages of the cases asked for and of the same people's cases before.
 */
import { localReference } from '../fhir/search/value.ts';
import { intervalOf } from '../fhir/time.ts';
import { personsOf } from '../rest/interactions/patient-links.ts';
import type { Definition, SourceSpec } from './definition.ts';
import type { SurveillanceDoor } from './door.ts';
import { type Day, dayOfText, plusDays, startOf } from './site-day.ts';
import { codeQuery, dateOf, dateQueries, isCase, referenceIn } from './source.ts';
import { type Unit, Units } from './unit.ts';

export interface Case {
  /** `Condition/1`. */
  readonly reference: string;
  readonly day: Day;
  readonly unit: Unit | undefined;
}
interface Found {
  readonly reference: string;
  readonly day: Day;
  /** ms since 1970; noon where only the day is said. */
  readonly at: number;
  /** Id of a Patient here; undefined: the subject is elsewhere, so each resource is a person. */
  readonly patient: string | undefined;
  readonly encounter: string | undefined;
}

/** People named in one search. */
const PEOPLE = 50;
const NOON_MS = 43_200_000;

/** Cases counted from one day to another, both included; in the order of days, then of instants. */
export async function casesOf(
  definition: Definition,
  from: Day,
  to: Day,
  door: SurveillanceDoor,
  zone: string,
): Promise<readonly Case[]> {
  const found = await between(definition, from, to, '', door, zone);
  if (found.length === 0) return [];
  const people = [...new Set(found.flatMap(({ patient }) => (patient === undefined ? [] : [patient])))].toSorted();
  const before = await earlier(definition, from, people, door, zone);
  const every = [...found, ...before];
  const personOf = await persons(every, door);
  const days = Map.groupBy(every, personOf);
  const units = new Units(door, definition.level);
  await units.read(found.flatMap(({ encounter }) => (encounter === undefined ? [] : [encounter])));
  const taken = new Set<string>();
  return found.flatMap((each) => {
    const person = personOf(each);
    const first = plusDays(each.day, -definition.episodeDays);
    const isSame = days.get(person)?.some(({ day }) => day >= first && day < each.day) === true;
    if (isSame || taken.has(`${person} ${each.day}`)) return [];
    taken.add(`${person} ${each.day}`);
    return [{ reference: each.reference, day: each.day, unit: units.unitOf(each.encounter, each.at) }];
  });
}

/** Cases of these people in the days that may be one episode with `from`. */
async function earlier(
  definition: Definition,
  from: Day,
  people: readonly string[],
  door: SurveillanceDoor,
  zone: string,
): Promise<readonly Found[]> {
  const found: Found[] = [];
  for (let index = 0; index < people.length; index += PEOPLE) {
    const named = people.slice(index, index + PEOPLE).map((id) => `Patient/${id}`);
    const first = plusDays(from, -definition.episodeDays);
    found.push(...(await between(definition, first, plusDays(from, -1), `&patient=${named.join(',')}`, door, zone)));
  }
  return found;
}

/** Everything a definition's sources find from one day to another, each resource once. */
async function between(
  { sources }: Definition,
  from: Day,
  to: Day,
  more: string,
  door: SurveillanceDoor,
  zone: string,
): Promise<readonly Found[]> {
  const found = new Map<string, Found>();
  for (const source of sources) {
    for (const dates of dateQueries(source.type, from, to)) {
      for await (const each of foundBy(source, `${codeQuery(source)}&${dates}${more}`, door, zone)) {
        if (each.day >= from && each.day <= to) found.set(each.reference, each);
      }
    }
  }
  const key = ({ day, at, reference }: Found): string => `${day} ${String(at).padStart(16, '0')} ${reference}`;
  return [...found.values()].toSorted((one, other) => (key(one) < key(other) ? -1 : 1));
}

async function* foundBy(
  { type }: SourceSpec,
  query: string,
  door: SurveillanceDoor,
  zone: string,
): AsyncGenerator<Found> {
  const { fhirBase } = door.context.settings;
  for await (const resource of door.search(type, query)) {
    const date = dateOf(type, resource) ?? '';
    const day = dayOfText(date, zone);
    if (day === undefined || !isCase(type, resource)) continue;
    const subject = localReference(referenceIn(resource.subject) ?? '', fhirBase);
    const at = date.includes('T') ? (intervalOf(date)?.low ?? 0) : startOf(day, zone) + NOON_MS;
    const patient = subject?.startsWith('Patient/') ? subject.slice('Patient/'.length) : undefined;
    const encounter = localReference(referenceIn(resource.encounter) ?? '', fhirBase);
    yield { reference: `${type}/${resource.id}`, day, at, patient, encounter };
  }
}

/** Names the person of a case: the first id, by order, of all that are linked; the case itself where there is none. */
async function persons(found: readonly Found[], door: SurveillanceDoor): Promise<(each: Found) => string> {
  const ids = [...new Set(found.flatMap(({ patient }) => (patient === undefined ? [] : [patient])))];
  const linked = await personsOf(ids, door.access, door.context);
  const names = new Map([...linked].map(([id, same]) => [id, [...same].toSorted()[0] ?? id]));
  return ({ patient, reference }) => (patient === undefined ? reference : `Patient/${names.get(patient) ?? patient}`);
}
