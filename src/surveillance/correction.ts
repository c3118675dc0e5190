/**
 * Which days a correction touches: the feed of changes since the last run, each version beside the one before, so that what no longer is a
 * case (entered-in-error, another code or date, deleted) touches the day it was counted on. A moved Encounter and a linked Patient touch the
 * days of their cases. Work: the changes, and the cases of those that moved.
 */
import { isJsonObject, type Json, type Resource } from '../fhir/resource.ts';
import { storedResource } from '../rest/wire/represent.ts';
import type { StoredVersion } from '../store/port.ts';
import type { CodeSet, Definition, SourceSpec, SourceType } from './definition.ts';
import type { SurveillanceDoor } from './door.ts';
import { type Day, dayOfText, plusDays } from './site-day.ts';
import { codeQuery, dateOf, dateQueries, isCase } from './source.ts';

const PAGE = 500;
/** Ids named in one search. */
const NAMED = 50;
/** THE table: what a case points at, the search parameter, and what of it matters to a count. */
const OWNERS = {
  Encounter: {
    parameter: 'encounter',
    matters: ({ location, serviceProvider }: Resource) => [location, serviceProvider],
  },
  Patient: { parameter: 'patient', matters: ({ link }: Resource) => [link] },
} as const;
type Owner = keyof typeof OWNERS;

/**
 * Definition's id -> first day that may count otherwise.
 * @param from days before are left as they are
 */
export async function correctionsOf(
  definitions: Iterable<Definition>,
  feed: { readonly after: number; readonly until: number },
  from: Day,
  to: Day,
  { door, zone }: { readonly door: SurveillanceDoor; readonly zone: string },
): Promise<ReadonlyMap<string, Day>> {
  const all = [...definitions];
  const first = new Map<string, Day>();
  const touch = (definition: Definition, day: Day | undefined): void => {
    if (day === undefined || day < from || day > to) return;
    const known = first.get(definition.id);
    if (known === undefined || day < known) first.set(definition.id, day);
  };
  const moved = new Map<Owner, Set<string>>([
    ['Encounter', new Set()],
    ['Patient', new Set()],
  ]);
  for await (const version of changesOf(feed, door)) {
    const { type, id } = version.key;
    const versions = await bothOf(version, door);
    if (isOwner(type)) {
      if (versions.length > 1 && matter(type, versions)) moved.get(type)?.add(id);
      continue;
    }
    for (const definition of all) {
      const sources = definition.sources.filter((source) => source.type === type);
      for (const resource of versions) {
        const source = sources.find((each) => mayBe(each, resource));
        if (source !== undefined) touch(definition, dayOfText(dateOf(source.type, resource) ?? '', zone));
      }
    }
  }
  for (const [owner, ids] of moved) {
    for (const definition of all) {
      for await (const day of daysOfOwned(definition, owner, [...ids], from, to, door, zone)) touch(definition, day);
    }
  }
  return first;
}

const isOwner = (type: string): type is Owner => Object.hasOwn(OWNERS, type);

async function* changesOf(
  { after, until }: { readonly after: number; readonly until: number },
  door: SurveillanceDoor,
): AsyncGenerator<StoredVersion> {
  let from = after;
  for (;;) {
    const page = await door.context.store.changes(from, PAGE);
    for (const version of page) if (version.sequence <= until && FOLLOWED.has(version.key.type)) yield version;
    from = page.at(-1)?.sequence ?? until;
    if (from >= until) return;
    await door.rest();
  }
}
const FOLLOWED: ReadonlySet<string> = new Set(['Condition', 'Observation', 'DiagnosticReport', ...Object.keys(OWNERS)]);

/** The version and the one before it, as far as they hold something. */
async function bothOf(version: StoredVersion, door: SurveillanceDoor): Promise<readonly Resource[]> {
  const { key } = version;
  const before = version.version > 1 ? await door.context.store.read(key, version.version - 1) : undefined;
  return [version.text, before?.text].flatMap((text) => (text === undefined ? [] : [storedResource(text)]));
}

function matter(owner: Owner, [one, other]: readonly Resource[]): boolean {
  if (one === undefined || other === undefined) return false;
  const { matters } = OWNERS[owner];
  return JSON.stringify(matters(one)) !== JSON.stringify(matters(other));
}

async function* daysOfOwned(
  { sources }: Definition,
  owner: Owner,
  ids: readonly string[],
  from: Day,
  to: Day,
  door: SurveillanceDoor,
  zone: string,
): AsyncGenerator<Day | undefined> {
  for (let index = 0; index < ids.length; index += NAMED) {
    const named = ids.slice(index, index + NAMED).map((id) => `${owner}/${id}`);
    const owned = `${OWNERS[owner].parameter}=${named.join(',')}`;
    for (const source of sources) {
      for (const dates of dateQueries(source.type, from, to)) {
        for await (const each of door.search(source.type, `${codeQuery(source)}&${owned}&${dates}`)) {
          if (isCase(source.type, each)) yield dayOfText(dateOf(source.type, each) ?? '', zone);
        }
      }
    }
  }
}

/** Elements that `code` and `value` of a source are about. */
const ELEMENTS = {
  Condition: { code: 'code', value: undefined },
  Observation: { code: 'code', value: 'valueCodeableConcept' },
  DiagnosticReport: { code: 'code', value: 'conclusionCode' },
} as const satisfies Record<SourceType, { readonly code: string; readonly value: string | undefined }>;

/** False only for what surely is no case by its codes: members of a ValueSet are not looked up here. */
function mayBe({ type, code, value }: SourceSpec, resource: Resource): boolean {
  const elements = ELEMENTS[type];
  return (
    holds(code, resource[elements.code]) && (elements.value === undefined || holds(value, resource[elements.value]))
  );
}

function holds(set: CodeSet | undefined, concepts: Json | undefined): boolean {
  if (set?.codes === undefined) return true;
  const codes = set.codes;
  return (Array.isArray(concepts) ? concepts : [concepts]).some((concept) => {
    const coding = isJsonObject(concept) && Array.isArray(concept.coding) ? concept.coding : [];
    return coding.some(
      (each) =>
        isJsonObject(each) &&
        typeof each.system === 'string' &&
        typeof each.code === 'string' &&
        codes[each.system]?.includes(each.code) === true,
    );
  });
}

/** Earliest day that corrections are followed to. */
export const correctedSince = (today: Day): Day => plusDays(today, -CORRECTED_DAYS);
/** Older corrections are for `$surveillance` to follow. */
const CORRECTED_DAYS = 92;
