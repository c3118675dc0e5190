/** `firewatch surveillance --from 2026-01-01 --to 2026-01-31`: judges days on demand, while no server runs on the store. */
import { isJsonObject, type Json } from '../fhir/resource.ts';
import { deskOf } from '../open/surveillance.ts';
import { localFacts } from '../rest/permission/caller.ts';
import { dayOf, daysFrom, isDay } from '../surveillance/site-day.ts';
import type { System } from '../system.ts';
import type { Progress } from './progress.ts';

export interface Judged {
  readonly days: number;
  readonly reports: number;
  readonly issues: number;
}

/** @throws Error for days that are none, and when the server refuses */
export async function judgeDays(system: System, from: string, to: string, progress: Progress): Promise<Judged> {
  const { config, ambient } = system;
  const today = dayOf(ambient.now(), config.SITE_TIME_ZONE);
  if (!isDay(from) || !isDay(to) || from > to || to > today) {
    throw new Error(`--from and --to must be days (YYYY-MM-DD) in order, not after ${today}.`);
  }
  const { definitions, mostDays } = deskOf(config);
  const days = daysFrom(from, to);
  const blocks = Array.from({ length: Math.ceil(days.length / mostDays) }, (_, index) =>
    days.slice(index * mostDays, (index + 1) * mostDays),
  );
  const parts = blocks.flatMap((block) => [...definitions].toSorted().map((definition) => ({ block, definition })));
  let found = { reports: 0, issues: 0 };
  for (const [index, { block, definition }] of parts.entries()) {
    progress(index, parts.length);
    const types = await judgedTypes(system, definition, block[0] ?? from, block.at(-1) ?? to);
    const count = (type: string): number => types.filter((each) => each === type).length;
    found = { reports: found.reports + count('MeasureReport'), issues: found.issues + count('DetectedIssue') };
  }
  progress(parts.length, parts.length);
  return { days: days.length, ...found };
}

/** Types of what one request is answered with. */
async function judgedTypes(system: System, definition: string, from: string, to: string) {
  const given = { definition: ['valueCode', definition], from: ['valueDate', from], to: ['valueDate', to] };
  const parameter = Object.entries(given).map(([name, [type = '', value]]) => ({ name, [type]: value }));
  const wire = {
    method: 'POST',
    path: '/$surveillance',
    query: '',
    headers: { 'content-type': 'application/fhir+json' },
    body: JSON.stringify({ resourceType: 'Parameters', parameter }),
  };
  const { status, body } = await system.answerHeavy(wire, localFacts(system.ambient.newId(), '127.0.0.1'));
  if (status !== 200) throw new Error(`$surveillance was refused with ${status}.`);
  const bundle: Json = JSON.parse(body ?? 'null');
  const entries = isJsonObject(bundle) && Array.isArray(bundle.entry) ? bundle.entry : [];
  return entries.map((each) =>
    isJsonObject(each) && isJsonObject(each.resource) ? each.resource.resourceType : undefined,
  );
}
