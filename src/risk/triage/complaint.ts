/** The presenting complaint: categories from codes and free text, and their red-flag level. Source: ESI Implementation Handbook v4 (AHRQ 2012), decision points A and B; models/complaints.json. */
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';
import type { Evidence } from '../assessment.ts';
import { codings, type Feature, isOneOf, LOINC, readings, sourceOf, textOf, words } from '../features/observation.ts';
import type { CodedTerm } from '../manifest.ts';
import { type Acuity, type CompiledComplaints, type ComplaintTable, compiled } from './complaint-table.ts';
import { mentionsIn } from './complaint-text.ts';

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

/** One complaint that holds now. */
export interface Complaint {
  readonly category: string;
  readonly display: string;
  readonly acuity: Acuity;
  /** Kinds of resource that it usually needs. */
  readonly resources: readonly string[];
  readonly at: number | undefined;
  readonly source: string | undefined;
}
export interface Complaints {
  /** Life-saving first, then high-risk, then routine. */
  readonly present: readonly Complaint[];
  /** Displays of red flags that the text denies, or says are over. */
  readonly denied: readonly string[];
  /** False when something is recorded of which the table knows no code and no word. */
  readonly recognised: boolean;
  readonly at: number | undefined;
  readonly source: string | undefined;
}

const SYSTEMS = {
  snomed: 'http://snomed.info/sct',
  icd10: new Set(['http://hl7.org/fhir/sid/icd-10', 'http://hl7.org/fhir/sid/icd-10-cm']),
  /** Ours: NCHS publishes no URI for its reasons for visit. */
  rfv: 'urn:firewatch:nchs-rfv',
} as const;
const RFV_CATEGORY_DIGITS = 4;

/** Category of a code: SNOMED CT exactly, ICD-10 by the longest prefix, reasons for visit by five digits, then four. */
function categoryOf({ system, code }: CodedTerm, complaints: CompiledComplaints): string | undefined {
  if (system === SYSTEMS.snomed) return complaints.snomed.get(code);
  if (system === SYSTEMS.rfv) {
    return complaints.rfv.get(code) ?? complaints.rfv.get(code.slice(0, RFV_CATEGORY_DIGITS));
  }
  if (!SYSTEMS.icd10.has(system)) return undefined;
  const plain = code.replace('.', '').toUpperCase();
  for (let length = plain.length; length >= 2; length--) {
    const category = complaints.icd10.get(plain.slice(0, length));
    if (category !== undefined) return category;
  }
  return undefined;
}

const RANK = { 'life-saving': 0, 'high-risk': 1, routine: 2 } as const satisfies Record<Acuity, number>;

/** Categories of a statement: what holds, and what is denied or over. */
function categoriesOf({ codes, texts }: Statement, complaints: CompiledComplaints) {
  const mentions = texts.flatMap((text) => mentionsIn(text, complaints));
  const holds = mentions.filter(
    ({ category, status }) =>
      status === 'present' || (status === 'over' && complaints.byName.get(category)?.lasting === true),
  );
  const coded = codes.map((code) => categoryOf(code, complaints)).filter((category) => category !== undefined);
  const present = new Set([...coded, ...holds.map(({ category }) => category)]);
  const denied = new Set(
    mentions.filter(({ status }) => status === 'absent' || status === 'over').map(({ category }) => category),
  );
  return { present, denied: [...denied].filter((one) => !present.has(one)), mentioned: mentions.length > 0 };
}

/** What the codes and texts of one record say, as the categories of the table; `also` are categories known from elsewhere (pregnancy). */
function complaintsIn(
  stated: readonly Statement[],
  table: ComplaintTable,
  also: readonly string[],
): Pick<Complaints, 'present' | 'denied' | 'recognised'> {
  const complaints = compiled(table);
  const read = stated.map((statement) => ({ statement, ...categoriesOf(statement, complaints) }));
  const names = new Set([...also, ...read.flatMap(({ present }) => [...present])]);
  const facts = (category: string) => {
    const from = read.find(({ present }) => present.has(category))?.statement;
    return { at: from?.at, source: from?.source };
  };
  const single = [...names].flatMap((name): readonly Complaint[] => {
    const row = complaints.byName.get(name);
    if (row === undefined) return [];
    const { category, display, acuity, resources } = row;
    return [{ category, display, acuity, resources, ...facts(category) }];
  });
  const joined = table.combinations
    .filter(({ of }) => of.every((name) => names.has(name)))
    .map(
      ({ category, display, acuity, of }): Complaint => ({
        category,
        display,
        acuity,
        resources: [],
        ...facts(of.find((name) => !also.includes(name)) ?? ''),
      }),
    );
  return {
    present: [...joined, ...single].toSorted((a, b) => RANK[a.acuity] - RANK[b.acuity]),
    denied: [...new Set(read.flatMap(({ denied }) => denied))]
      .filter((name) => !names.has(name))
      .map((name) => complaints.byName.get(name))
      .filter((row) => row !== undefined && row.acuity !== 'routine')
      .map((row) => row?.display ?? ''),
    recognised: read.some(({ present, mentioned }) => present.size > 0 || mentioned),
  };
}

/**
 * Complaints of the visit under way; undefined when none is recorded. From Encounter.reasonCode (open encounter), the newest chief complaint
 * (LOINC 8661-1) and encounter diagnoses of the last `hours`.
 */
export function complaintsOf(
  evidence: Evidence,
  hours: number,
  table: ComplaintTable,
  also: readonly string[] = [],
): Complaints | undefined {
  const stated = statements(evidence, hours);
  const [first] = stated;
  if (first === undefined) return undefined;
  return { ...complaintsIn(stated, table, also), at: first.at, source: first.source };
}

/** Categories that one text states as present; for tables made before any resource exists. */
export function categoriesIn(text: string, table: ComplaintTable): readonly string[] {
  const statement = { codes: [], texts: [text], at: undefined, source: undefined };
  return complaintsIn([statement], table, []).present.map(({ category }) => category);
}

const LEVEL = { 'life-saving': 2, 'high-risk': 1, routine: 0 } as const satisfies Record<Acuity, number>;

/**
 * Red-flag level of the presenting complaint: 2 life-saving intervention, 1 high-risk, 0 neither; undefined when none is recorded.
 * `shown` is the category, never the patient's words.
 */
export function complaint(evidence: Evidence, hours: number, table: ComplaintTable): Feature | undefined {
  const complaints = complaintsOf(evidence, hours, table);
  if (complaints === undefined) return undefined;
  const [gravest] = complaints.present;
  if (gravest === undefined || gravest.acuity === 'routine') {
    return { value: 0, shown: 'no red flag found', at: complaints.at, source: complaints.source };
  }
  return { value: LEVEL[gravest.acuity], shown: gravest.display, at: gravest.at, source: gravest.source };
}

/** 1 when one of the categories is complained of, 0 when something else is; undefined when nothing is recorded or understood. */
export function complainsOf(
  categories: readonly string[],
  evidence: Evidence,
  hours: number,
  table: ComplaintTable,
): Feature | undefined {
  const complaints = complaintsOf(evidence, hours, table);
  if (complaints === undefined || !complaints.recognised) return undefined;
  const found = complaints.present.find(({ category }) => categories.includes(category));
  if (found === undefined) return { value: 0, shown: 'no', at: complaints.at, source: complaints.source };
  return { value: 1, shown: found.display, at: found.at, source: found.source };
}
