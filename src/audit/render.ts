/** A stored audit row -> its AuditEvents. Source: IHE BALP (ITI vol. 3), FHIR R4 auditevent.html. Goldens in test/audit/golden freeze each form. */
import type { AuditEvent, Coding } from 'fhir/r4.d.ts';
import type { StoredAuditRow } from '../audit.ts';
import type { Resource } from '../fhir/resource.ts';
import { agentsOf, purposesOf, saysPurpose, sourceOf } from './agents.ts';
import {
  EXECUTE,
  HOOK_SYSTEM,
  interactionOf,
  type Pattern,
  patternOf,
  profileUrl,
  REST,
  RESTFUL_INTERACTION,
  SERVICE_SYSTEM,
  TREATMENT,
} from './codes.ts';
import { objectOf } from './commitment.ts';
import { type EntityContext, entryEntities, hookEntities, patientEntity, requestIdEntity } from './entities.ts';
import {
  decodeErasable1,
  decodeForm1,
  EARLIER_FORMS,
  type EventPart,
  eventParts,
  FORM,
  type Form1,
  type Form1Entry,
  type Form1Erasable,
  type Form1Hook,
  outcomeOfPart,
  serverAsked,
} from './form.ts';
import { POSTED_FORM, renderPosted } from './posted-render.ts';

/**
 * JSON text of one complete AuditEvent.
 * @param event from 1 to the number of events of the row
 * @throws RangeError on another number; TypeError on an unknown form or bytes that are not of it
 */
export function renderAuditEvent(row: StoredAuditRow, event: number): string {
  if (row.form === FORM || EARLIER_FORMS.has(row.form)) return JSON.stringify(form1Event(row, event));
  if (row.form !== POSTED_FORM) throw new TypeError(`Audit rows of form ${row.form} are not known to this version.`);
  if (event !== 1) throw new RangeError(`A posted AuditEvent has no event ${event}.`);
  return renderPosted(row);
}

/** An event of a row that is not stored yet, for the extractor: ids and instants are arbitrary. */
export function templateOf(bytes: string, erasable: string | undefined, event: number): Resource {
  const row = { chain: 0, sequence: 0, at: 0, form: FORM, bytes, erasable, patientOf: () => 'template' };
  return { ...objectOf(renderAuditEvent(row, event)), resourceType: 'AuditEvent' };
}

interface Decoded {
  readonly row: Form1;
  readonly parts: readonly EventPart[];
}
/** The row decoded last: a page of AuditEvents often shows many events of one large row. Cost without it: one parse of the row for each. */
let latest: { readonly bytes: string; readonly decoded: Decoded } | undefined;

function decoded(bytes: string): Decoded {
  if (latest?.bytes !== bytes) {
    const row = decodeForm1(bytes);
    latest = { bytes, decoded: { row, parts: eventParts(row) } };
  }
  return latest.decoded;
}

function form1Event(stored: StoredAuditRow, event: number): AuditEvent {
  const { row, parts } = decoded(stored.bytes);
  const part = parts[event - 1];
  if (part === undefined) throw new RangeError(`The audit row has ${parts.length} events, not ${event}.`);
  const erasable = stored.erasable === undefined ? undefined : decodeErasable1(stored.erasable);
  const { pattern, subtype, entity, profile, hook } = eventOf(part, { row, erasable, patientOf: stored.patientOf });
  const instant = new Date(stored.at).toISOString();
  const asked = part.part === 'entry' ? serverAsked(row, part.entry) : undefined;
  const description = part.part === 'entry' ? entryDescription(part.entry, erasable) : erasable?.d;
  return {
    resourceType: 'AuditEvent',
    id: `${stored.chain}-${stored.sequence}-${event}`,
    meta: { versionId: '1', lastUpdated: instant, ...(profile === undefined ? {} : { profile: [profile] }) },
    type: pattern.kind?.type ?? REST,
    ...(subtype.length === 0 ? {} : { subtype }),
    action: pattern.action,
    ...(hook === undefined ? {} : { period: periodOf(hook) }),
    recorded: instant,
    outcome: outcomeOfPart(row, part),
    ...(description === undefined ? {} : { outcomeDesc: description }),
    ...purposeOf(row, hook, pattern),
    agent: agentsOf(row, erasable, pattern, asked),
    source: sourceOf(row),
    entity,
  };
}

/** What another server answered, where it was not the data; otherwise what is said of the whole request. */
function entryDescription({ f }: Form1Entry, erasable: Form1Erasable | undefined): string | undefined {
  if (f === undefined) return erasable?.d;
  if (f === 0) return 'No answer.';
  return f < 300 ? undefined : `Answered with status ${f}.`;
}

/** Hook calls of form 1 say treatment; what the authorization server does has no purpose of use. */
function purposeOf({ g }: Form1, hook: Form1Hook | undefined, pattern: Pattern): Pick<AuditEvent, 'purposeOfEvent'> {
  if (g !== undefined && saysPurpose(pattern)) return { purposeOfEvent: purposesOf(g) };
  return hook === undefined ? {} : { purposeOfEvent: [{ coding: [TREATMENT] }] };
}

const periodOf = ({ start, end }: Form1Hook): NonNullable<AuditEvent['period']> => ({
  start: new Date(start).toISOString(),
  end: new Date(end).toISOString(),
});

interface Described {
  readonly pattern: Pattern;
  readonly subtype: Coding[];
  readonly entity: NonNullable<AuditEvent['entity']>;
  readonly profile?: string | undefined;
  readonly hook?: Form1Hook;
}

function eventOf(part: EventPart, context: EntityContext): Described {
  switch (part.part) {
    case 'entry':
      return entryEvent(part, context);
    case 'envelope':
      return { pattern: EXECUTE, subtype: [interactionCoding(part.code)], entity: [requestIdEntity(context.row)] };
    case 'hook': {
      const { hook, service } = part.hook;
      const own = [
        { system: HOOK_SYSTEM, code: hook },
        { system: SERVICE_SYSTEM, code: service },
      ];
      const subtype = [interactionCoding('operation'), ...own];
      return { pattern: EXECUTE, subtype, entity: hookEntities(part.hook, context), hook: part.hook };
    }
    default:
      return part satisfies never;
  }
}

/** With display, which some versions of the BALP profiles hold in their pattern; the code system's displays are its codes. */
const interactionCoding = (code: string): Coding => ({ system: RESTFUL_INTERACTION, code, display: code });

function entryEvent(part: Extract<EventPart, { part: 'entry' }>, context: EntityContext): Described {
  const { entry, index, patient } = part;
  const known = patternOf(entry.i);
  const pattern = known ?? EXECUTE;
  const subject = patient === undefined ? [] : [patientEntity(patient, context)];
  const entity = [...subject, requestIdEntity(context.row), ...entryEntities(entry, index, context)];
  const subtype = known === undefined ? [] : [known.kind?.subtype ?? interactionCoding(interactionOf(entry.i))];
  if (known?.besides !== undefined) subtype.push(known.besides);
  return { pattern, subtype, entity, profile: claimedProfile(part, context.row, pattern) };
}

/** Failures do not claim a profile, nor does an event without the entity its profile requires. */
function claimedProfile(
  part: Extract<EventPart, { part: 'entry' }>,
  row: Form1,
  { profile }: Pattern,
): string | undefined {
  const { entry, patient } = part;
  const complete =
    profile === 'Query'
      ? entry.q !== undefined && entry.r === undefined
      : entry.r !== undefined && entry.q === undefined;
  return profile !== undefined && outcomeOfPart(row, part) === '0' && complete
    ? profileUrl(profile, patient !== undefined)
    : undefined;
}
