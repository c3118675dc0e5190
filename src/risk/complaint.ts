/** The presenting complaint as a red-flag level for triage. Source: ESI Implementation Handbook v4 (AHRQ 2012), decision points A and B; models/vocabulary.json. */
import { isJsonObject, type Json, type Resource } from '../fhir/resource.ts';
import { intervalOf } from '../fhir/time.ts';
import type { Evidence } from './assessment.ts';
import type { CodedTerm, Vocabulary } from './manifest.ts';
import { codings, type Feature, isOneOf, LOINC, readings, sourceOf, textOf, words } from './observation.ts';

const CHIEF_COMPLAINT: CodedTerm = { system: LOINC, code: '8661-1' };
const ENCOUNTER_DIAGNOSIS: CodedTerm = {
  system: 'http://terminology.hl7.org/CodeSystem/condition-category',
  code: 'encounter-diagnosis',
};
const HOUR_MS = 3_600_000;
const OPEN: ReadonlySet<Json | undefined> = new Set(['planned', 'arrived', 'triaged', 'in-progress', 'onleave']);

interface Statement {
  readonly codes: readonly CodedTerm[];
  readonly texts: readonly string[];
  readonly at: number | undefined;
  readonly source: string | undefined;
}
interface Span {
  readonly at: number;
  readonly hours: number;
}

const inSpan = (at: number | undefined, span: Span): boolean =>
  at !== undefined && at <= span.at && at > span.at - span.hours * HOUR_MS;

const startOf = (text: Json | undefined): number | undefined => intervalOf(textOf(text) ?? '')?.low;

function encounterStatement(encounter: Resource, span: Span): Statement | undefined {
  const period = encounter.period;
  const start = isJsonObject(period) ? startOf(period.start) : undefined;
  if (!OPEN.has(encounter.status) || (start !== undefined && !inSpan(start, span))) return undefined;
  const reason = encounter.reasonCode;
  return { codes: codings(reason), texts: words(reason), at: start, source: sourceOf(encounter) };
}

const ENDED: ReadonlySet<string> = new Set(['inactive', 'remission', 'resolved']);

/** An old entry of the problem list is no complaint: only diagnoses of an encounter, recorded within the span. */
function conditionStatement(condition: Resource, span: Span): Statement | undefined {
  const at = startOf(condition.recordedDate) ?? startOf(condition.onsetDateTime);
  const ended = codings(condition.clinicalStatus).some(({ code }) => ENDED.has(code));
  const refuted = codings(condition.verificationStatus).some(
    ({ code }) => code === 'refuted' || code === 'entered-in-error',
  );
  if (ended || refuted || !inSpan(at, span) || !isOneOf(codings(condition.category), [ENCOUNTER_DIAGNOSIS])) {
    return undefined;
  }
  return { codes: codings(condition.code), texts: words(condition.code), at, source: sourceOf(condition) };
}

const STATEMENTS: Readonly<Record<string, (resource: Resource, span: Span) => Statement | undefined>> = {
  Encounter: encounterStatement,
  Condition: conditionStatement,
};

function statements({ resources, at }: Evidence, hours: number): readonly Statement[] {
  const span = { at, hours };
  const [newest] = readings(resources, [CHIEF_COMPLAINT], span).newestFirst;
  const spoken: readonly Statement[] =
    newest === undefined
      ? []
      : [
          {
            codes: codings(newest.element.valueCodeableConcept),
            texts: [textOf(newest.element.valueString) ?? '', ...words(newest.element.valueCodeableConcept)].filter(
              (text) => text !== '',
            ),
            at: newest.at,
            source: newest.source,
          },
        ];
  return [
    ...spoken,
    ...resources
      .map((resource) => STATEMENTS[resource.resourceType]?.(resource, span))
      .filter((statement) => statement !== undefined),
  ].filter(({ codes, texts }) => codes.length > 0 || texts.length > 0);
}

/** Words of a text, lower case, as ` word word `: phrases are found by plain inclusion. */
const flat = (text: string): string =>
  ` ${text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()} `;
/** A negation reaches to the end of its clause (a comma ends it), at most this many words: rather one flag too many than one too few. */
const NEGATION_REACH = 5;

/** True when the text says the phrase without a negation shortly before it in the same clause. */
export function mentions(text: string, phrase: string, negations: readonly string[]): boolean {
  return text.split(/[.,;:!?\n]|\b(?:but|however|although)\b/iu).some((clause) => {
    const said = flat(clause);
    const wanted = flat(phrase);
    for (let from = said.indexOf(wanted); from >= 0; from = said.indexOf(wanted, from + 1)) {
      const before = ` ${said.slice(0, from).trim().split(' ').slice(-NEGATION_REACH).join(' ')} `;
      if (!negations.some((negation) => before.includes(flat(negation)))) return true;
    }
    return false;
  });
}

/**
 * Red-flag level of the presenting complaint: 2 life-saving intervention, 1 high-risk, 0 neither; undefined when none is recorded.
 * From Encounter.reasonCode (open encounter), the newest chief complaint (LOINC 8661-1) and encounter diagnoses of the last `hours`.
 * `shown` is the category, never the patient's words.
 */
export function complaint(evidence: Evidence, hours: number, vocabulary: Vocabulary): Feature | undefined {
  const stated = statements(evidence, hours);
  const [first] = stated;
  if (first === undefined) return undefined;
  const flags = vocabulary.complaints.toSorted((a, b) => b.level - a.level);
  for (const flag of flags) {
    const match = stated.find(
      ({ codes, texts }) =>
        isOneOf(codes, flag.codes) ||
        texts.some((text) => flag.words.some((phrase) => mentions(text, phrase, vocabulary.negations))),
    );
    if (match !== undefined) return { value: flag.level, shown: flag.display, at: match.at, source: match.source };
  }
  return { value: 0, shown: 'no red flag found', at: first.at, source: first.source };
}
