/**
 * Where a case belongs: the Location of its Encounter at the time, and from there the nearest one upwards of the level that is counted by.
 * Source: FHIR R4 encounter.html (Encounter.location, serviceProvider), location.html (partOf, physicalType). As held when it is counted.
 */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../fhir/resource.ts';
import { localReference } from '../fhir/search/value.ts';
import { periodInterval } from '../fhir/time.ts';
import type { Level } from './definition.ts';
import type { SurveillanceDoor } from './door.ts';
import { codesIn, referenceIn } from './source.ts';

/** `Location/ward-3`, `Organization/clinic`; undefined: no location of this level is known. */
export type Unit = string;

/** More steps upwards are a cycle, or no hospital. */
const DEEPEST = 12;
/** A stay that was only planned. */
const NOT_THERE: ReadonlySet<Json | undefined> = new Set(['planned', 'reserved']);

export class Units {
  readonly #door: SurveillanceDoor;
  readonly #level: Level;
  readonly #encounters = new Map<string, Resource>();
  readonly #locations = new Map<string, Resource>();

  constructor(door: SurveillanceDoor, level: Level) {
    this.#door = door;
    this.#level = level;
  }

  /** Reads what `unitOf` needs for these Encounters (`Encounter/1`), each once. */
  async read(encounters: readonly string[]): Promise<void> {
    const ids = [...new Set(encounters)].map((each) => idIn('Encounter', each)).filter((each) => each !== undefined);
    const unknown = ids.filter((id) => !this.#encounters.has(id));
    for (const [id, each] of await this.#door.byId('Encounter', unknown)) this.#encounters.set(id, each);
    if (this.#level === 'provider') return;
    let wanted = unknown.flatMap((id) =>
      staysOf(this.#encounters.get(id)).map(({ location }) => this.#local(location)),
    );
    for (let step = 0; step < DEEPEST && wanted.length > 0; step++) {
      const missing = [...new Set(wanted)].map((each) => idIn('Location', each ?? '')).filter((id) => id !== undefined);
      const fresh = await this.#door.byId(
        'Location',
        missing.filter((id) => !this.#locations.has(id)),
      );
      for (const [id, each] of fresh) this.#locations.set(id, each);
      wanted = [...fresh.values()].map(({ partOf }) => this.#local(partOf));
    }
  }

  /** @param at ms since 1970 */
  unitOf(encounter: string | undefined, at: number): Unit | undefined {
    const held = this.#encounters.get(idIn('Encounter', encounter ?? '') ?? '');
    if (held === undefined) return undefined;
    if (this.#level === 'provider') return this.#local(held.serviceProvider);
    return this.#upwards(this.#local(stayAt(held, at)?.location));
  }

  #upwards(from: Unit | undefined): Unit | undefined {
    let here = from;
    for (let step = 0; step < DEEPEST && here !== undefined; step++) {
      const location = this.#locations.get(idIn('Location', here) ?? '');
      if (location === undefined) return undefined;
      if (codesIn(location.physicalType).includes(this.#level)) return here;
      here = this.#local(location.partOf);
    }
    return undefined;
  }

  #local(reference: Json | undefined): string | undefined {
    return localReference(referenceIn(reference) ?? '', this.#door.context.settings.fhirBase);
  }
}

function staysOf(encounter: Resource | undefined): readonly JsonObject[] {
  const location = encounter?.location;
  return (Array.isArray(location) ? location : [])
    .filter((each) => isJsonObject(each))
    .filter(({ status }) => !NOT_THERE.has(status));
}

/** Where the patient was at an instant: the stay that began last of those that hold it, else the first that says no period, else the first. */
function stayAt(encounter: Resource, at: number): JsonObject | undefined {
  const stays = staysOf(encounter).map((stay) => ({
    stay,
    period: isJsonObject(stay.period) ? periodInterval(stay.period) : undefined,
  }));
  const holding = stays
    .filter(({ period }) => period !== undefined && period.low <= at && at < period.high)
    .toSorted((one, other) => (one.period?.low ?? 0) - (other.period?.low ?? 0));
  return (holding.at(-1) ?? stays.find(({ period }) => period === undefined) ?? stays[0])?.stay;
}

function idIn(type: string, reference: string): string | undefined {
  return reference.startsWith(`${type}/`) ? reference.slice(type.length + 1) : undefined;
}
