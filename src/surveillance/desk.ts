/** Surveillance as `$surveillance` asks for it: days judged anew, and what is stored of them. */
import type { JsonObject, Resource } from '../fhir/resource.ts';
import { isJsonObject } from '../fhir/resource.ts';
import type { RestContext } from '../rest/context.ts';
import type { SurveillanceAsked, SurveillanceDesk } from '../rest/operations/surveillance-desk.ts';
import { storedResource } from '../rest/wire/represent.ts';
import { keptDays } from './count-book.ts';
import type { Definition } from './definition.ts';
import { SurveillanceDoor } from './door.ts';
import { evaluate } from './evaluate.ts';
import { issueId, reportId, SYSTEMS } from './report.ts';
import { dayOf, daysFrom, isDay } from './site-day.ts';
import { SOURCE_TYPES } from './source.ts';

/** Most days of one request: two months, some seconds of work. */
const MOST_DAYS = 62;
/** Read to find where a case belongs. */
const READ = ['Patient', 'Encounter', 'Location'];

/** @param zone IANA time zone of the site */
export function surveillanceDesk(definitions: ReadonlyMap<string, Definition>, zone: string): SurveillanceDesk {
  return {
    definitions: new Set(definitions.keys()),
    reads: [...SOURCE_TYPES, ...READ],
    writes: ['MeasureReport', 'DetectedIssue'],
    mostDays: MOST_DAYS,
    today: (now) => dayOf(now, zone),
    isDay,
    run: async (asked, requestId, context) => {
      const door = new SurveillanceDoor(context, requestId);
      const found: Resource[] = [];
      for (const id of asked.definitions) {
        const definition = definitions.get(id);
        if (definition === undefined) continue;
        await evaluate({ definition, from: asked.from, to: asked.to, isAnew: true }, { door, zone });
        found.push(...(await stored(definition, asked, context)));
      }
      return found;
    },
  };
}

/** Each day's MeasureReport and the DetectedIssues that stand, by day. */
async function stored(definition: Definition, { from, to, unit }: SurveillanceAsked, context: RestContext) {
  const kept = await keptDays(definition, from, to, context);
  const found: (Resource | undefined)[] = [];
  for (const day of daysFrom(from, to)) {
    const report = await held('MeasureReport', reportId(definition, day), context);
    found.push(report && narrowed(report, unit));
    for (const raised of Object.keys(kept.get(day)?.day.raised ?? {}).toSorted()) {
      if (unit === undefined || unit === raised) {
        found.push(await held('DetectedIssue', issueId(definition, day, raised), context));
      }
    }
  }
  return found.filter((each) => each !== undefined);
}

async function held(type: string, id: string, { store }: RestContext): Promise<Resource | undefined> {
  const version = await store.read({ type, id });
  return version?.text === undefined ? undefined : storedResource(version.text);
}

/** The groups of one unit. */
function narrowed(report: Resource, unit: string | undefined): Resource {
  if (unit === undefined || !Array.isArray(report.group)) return report;
  const { group, ...rest } = report;
  const own = group.filter((each) => isJsonObject(each) && unitOf(each) === unit);
  return own.length === 0 ? rest : { ...rest, group: own };
}

function unitOf({ code }: JsonObject): string | undefined {
  const coding = isJsonObject(code) && Array.isArray(code.coding) ? code.coding[0] : undefined;
  return isJsonObject(coding) && coding.system === SYSTEMS.unit && typeof coding.code === 'string'
    ? coding.code
    : undefined;
}
