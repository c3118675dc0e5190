/**
 * $surveillance: counts and judges days on demand. Own operation: profiles/operation/surveillance.json. Not Measure/$evaluate-measure, which
 * evaluates the logic of a Measure: here nothing is a Measure, and what is found besides counts (signals) has no place in its answer.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { serialize } from '../../fhir/resource.ts';
import { localReference } from '../../fhir/search/value.ts';
import { instantText } from '../../fhir/time.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { seesAll } from '../permission/permission.ts';
import { textOf } from './input.ts';
import type { Operation, OperationCall, OperationInput } from './operation.ts';
import { answered } from './output.ts';
import type { SurveillanceDesk } from './surveillance-desk.ts';

export const SURVEILLANCE: Operation = {
  levels: ['system'],
  takes: ['definition', 'from', 'to', 'location'],
  heavy: true,
  long: true,
  perform: (call, caller, context) => performed(call, caller, context),
};

const DAY_MS = 86_400_000;

async function performed(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  const desk = context.surveillance;
  if (desk === undefined) {
    throw fhirError('payload-too-large', '`$surveillance` takes a request of its own, not a part of a Bundle.');
  }
  assertMayCount(desk, caller);
  const now = context.ambient.now();
  const asked = {
    definitions: definitionsOf(call.input, desk),
    ...daysOf(call.input, desk, now),
    unit: unitOf(call.input, context),
  };
  const found = await desk.run(asked, caller.requestId, context);
  const { fhirBase } = context.settings;
  const text = serialize({
    resourceType: 'Bundle',
    id: context.ambient.newId(),
    type: 'collection',
    timestamp: instantText(now),
    entry: found.map((resource) => ({ fullUrl: `${fhirBase}/${resource.resourceType}/${resource.id}`, resource })),
  });
  return answered(call, text, [], context);
}

/** Counts are of everybody, whoever asks: a part would be taken for the whole. @throws FhirError `forbidden` (403) */
function assertMayCount({ reads, writes }: SurveillanceDesk, caller: Caller): void {
  const seen = reads.find((type) => !seesAll(type, ['search'], caller));
  if (seen !== undefined)
    throw fhirError('forbidden', `This caller may not search every ${seen}, of which counts are made.`);
  const written = writes.find((type) => !seesAll(type, ['read', 'create', 'update'], caller));
  if (written !== undefined) throw fhirError('forbidden', `Writing ${written} is not permitted to this caller.`);
}

/** @throws FhirError `value` (400) for one that is not known; none asked for means all */
function definitionsOf(input: OperationInput, { definitions }: SurveillanceDesk): readonly string[] {
  const asked = (input.get('definition') ?? []).flatMap(({ value }) => (typeof value === 'string' ? [value] : []));
  const known = [...definitions].toSorted();
  if (asked.length === 0) return known;
  if (asked.every((id) => definitions.has(id))) return known.filter((id) => asked.includes(id));
  throw fhirError('value', `\`definition\` must be one of ${known.join(', ')}.`);
}

/** @throws FhirError `value` (400) for what is no day, comes after today or runs backwards; `too-costly` for too many days */
function daysOf(
  input: OperationInput,
  desk: SurveillanceDesk,
  now: number,
): { readonly from: string; readonly to: string } {
  const today = desk.today(now);
  const from = textOf(input, 'from') ?? today;
  const to = textOf(input, 'to') ?? today;
  if (!desk.isDay(from) || !desk.isDay(to)) throw fhirError('value', '`from` and `to` must name days: YYYY-MM-DD.');
  if (to > today) throw fhirError('value', `\`to\` must not be after ${today}, today at the site.`);
  if (from > to) throw fhirError('value', '`from` must not be after `to`.');
  if ((Date.parse(to) - Date.parse(from)) / DAY_MS + 1 > desk.mostDays) {
    throw fhirError('too-costly', `At most ${desk.mostDays} days are judged at once.`);
  }
  return { from, to };
}

/** @throws FhirError `value` (400) for what names no Location or Organization of this server */
function unitOf(input: OperationInput, { settings }: RestContext): string | undefined {
  const text = textOf(input, 'location');
  if (text === undefined) return undefined;
  const unit = localReference(text, settings.fhirBase);
  if (unit !== undefined && /^(?:Location|Organization)\//.test(unit)) return unit;
  throw fhirError('value', '`location` must be of the form Location/[id] or Organization/[id].');
}
