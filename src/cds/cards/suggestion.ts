/** What may be accepted with one tap on a drug card: whole resources, nothing that the prescriber would have to guess. Source: CDS Hooks 2.0.1 "Suggestion", "Action". */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import type { Alternative, DrugMention, Finding, Proposal } from '../../risk/drugs/finding.ts';
import type { DraftOrder } from '../hook/draft-orders.ts';
import { referenceOf } from '../hook/subject.ts';
import { type Action, type Card, factUuid, type Suggestion } from './card.ts';
import { loweredDose } from './dose-change.ts';
import type { Frame } from './frame.ts';
import { LABEL_LIMIT } from './lint.ts';
import { plain } from './plain-text.ts';

const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
const LOINC = 'http://loinc.org';

export type TestProposal = Extract<Proposal, { kind: 'test' }>;
export interface Concerned {
  readonly order: DraftOrder;
  readonly mention: DrugMention;
}

export const drugName = (mention: DrugMention) => plain(mention.display, 45);

/** The ingredients, which say more in few letters than the product; as ordered where no table knows them. */
export function shortName(mention: DrugMention): string {
  return mention.ingredients.length === 0 ? drugName(mention) : plain(mention.ingredients.join('/'), 45);
}

/** Orders are named to the client as it named them; without `Type/id` there is nothing to delete or update. */
const isNamed = ({ reference }: DraftOrder) => /^[A-Z][A-Za-z]*\/[A-Za-z0-9\-.]+$/.test(reference);

/**
 * In order: a lower dose, other drugs, to keep the order and watch (never what is contraindicated), to remove it. They exclude each other.
 * Removal is recommended for a contraindication that concerns one order and that no lower dose settles.
 * @param tests what this card proposes to watch: each test is proposed on one card of a call
 */
export function suggestionsOf(
  frame: Frame,
  finding: Finding,
  fact: string,
  concerned: readonly Concerned[],
  tests: readonly TestProposal[],
): Pick<Card, 'suggestions' | 'selectionBehavior'> {
  const uuid = (what: string) => factUuid(frame.hookInstance, frame.service.id, `${fact} ${what}`);
  // What the patient takes already is not a draft of this call, and not ours to change.
  const ours = concerned.filter(({ order }) => frame.drafted.includes(order.received));
  const drafted = ours.find(({ mention }) => mention === finding.draft);
  const named = ours.filter(({ order }) => isNamed(order));
  const own = named.find(({ mention }) => mention === finding.draft);
  const lower = own === undefined ? [] : lowering(own, finding, uuid);
  const isRecommended = finding.severity === 'contraindicated' && concerned.length === 1 && lower.length === 0;
  const offered = [
    ...lower,
    ...(own === undefined ? [] : (finding.alternatives ?? []).flatMap((one) => replacing(own, one, uuid))),
    ...(drafted === undefined || finding.severity === 'contraindicated' ? [] : watching(drafted, finding, tests, uuid)),
    ...named.map((one) => removing(one, uuid, isRecommended)),
  ];
  const suggestions = offered.filter(({ actions }) =>
    actions.every(({ resource }) => resource === undefined || frame.isValid(resource)),
  );
  if (suggestions.length === 0) return {};
  return { suggestions, selectionBehavior: suggestions.length > 1 ? 'at-most-one' : 'any' };
}

type Uuid = (what: string) => string;

const removal = ({ order, mention }: Concerned): Action => ({
  type: 'delete',
  description: `Removes the draft order ${drugName(mention)}.`,
  resourceId: order.reference,
});

const removing = (one: Concerned, uuid: Uuid, isRecommended: boolean): Suggestion => ({
  label: plain(`Remove the draft order: ${drugName(one.mention)}`, LABEL_LIMIT),
  uuid: uuid(`remove ${one.order.reference}`),
  ...(isRecommended ? { isRecommended } : {}),
  actions: [removal(one)],
});

/** The ceiling of one order; a sum over several orders is not settled by changing one. */
function lowering(
  { order, mention }: Concerned,
  { proposals = [], further = [] }: Finding,
  uuid: Uuid,
): readonly Suggestion[] {
  const ceiling = proposals.find((proposal) => proposal.kind === 'dose');
  if (ceiling === undefined || further.length > 0 || order.received.id === undefined) return [];
  const lowered = loweredDose(order.received, mention, ceiling.max);
  if (lowered === undefined) return [];
  const { dispenseRequest } = order.received;
  const isSupplied = isJsonObject(dispenseRequest) && dispenseRequest.quantity !== undefined;
  return [
    {
      label: plain(`Lower the dose to ${lowered.dose}: ${drugName(mention)}`, LABEL_LIMIT),
      uuid: uuid(`lower ${order.reference}`),
      actions: [
        {
          type: 'update',
          description: `Changes the dose to ${plain(lowered.dose, 30)}; the timing stays.${isSupplied ? ' The quantity to dispense stays, too.' : ''}`,
          resource: lowered.resource,
        },
      ],
    },
  ];
}

/** A draft of the other drug without dosage, and the removal of the one that conflicts; only drugs with an RxNorm code. */
function replacing(own: Concerned, { name, ingredient, reason }: Alternative, uuid: Uuid): readonly Suggestion[] {
  const { received } = own.order;
  const people = peopleOf(received);
  if (!/^\d+$/.test(ingredient) || received.resourceType !== 'MedicationRequest' || people === undefined) return [];
  const resource: Resource = {
    resourceType: 'MedicationRequest',
    status: 'draft',
    intent: 'order',
    medicationCodeableConcept: { coding: [{ system: RXNORM, code: ingredient, display: name }], text: name },
    ...people,
    note: [
      {
        text: 'Proposed by decision support in place of another order. It has no dosage: product, dose, route and duration are for the prescriber to complete.',
      },
    ],
  };
  return [
    {
      label: plain(`Replace by ${name} (without dosage, to be completed)`, LABEL_LIMIT),
      uuid: uuid(`replace ${own.order.reference} ${ingredient}`),
      actions: [
        { type: 'create', description: plain(`Drafts ${name} without dosage: ${reason}.`, 300), resource },
        removal(own),
      ],
    },
  ];
}

/** The order stays, and what has to be watched is drafted beside it. */
function watching(
  { order, mention }: Concerned,
  { rule }: Finding,
  tests: readonly TestProposal[],
  uuid: Uuid,
): readonly Suggestion[] {
  const people = peopleOf(order.received);
  if (people === undefined || tests.length === 0) return [];
  const names = tests.map(({ display }) => display.replace(/ in (?:serum or plasma|blood)$/, '')).join(', ');
  return [
    {
      label: plain(`Keep ${shortName(mention)} and add: ${names}`, LABEL_LIMIT),
      uuid: uuid(`watch ${order.reference} ${tests.map(({ id }) => id).join(' ')}`),
      actions: tests.map(({ display, loinc, timing }) => ({
        type: 'create',
        description: plain(`Drafts ${display}, ${timing}.`, 300),
        resource: testOrder(
          people,
          { system: LOINC, code: loinc, display },
          `${timing}; proposed by decision support, rule ${rule.id}`,
        ),
      })),
    },
  ];
}

/** A draft ServiceRequest. */
export function testOrder(
  people: People,
  coding: { readonly system: string; readonly code: string; readonly display: string },
  note: string,
): Resource {
  return {
    resourceType: 'ServiceRequest',
    status: 'draft',
    intent: 'order',
    code: { coding: [{ ...coding }], text: coding.display },
    ...people,
    note: [{ text: `${plain(`${note[0]?.toUpperCase() ?? ''}${note.slice(1)}`, 300)}.` }],
  };
}

export interface People {
  readonly subject: JsonObject;
  readonly encounter?: JsonObject;
  readonly requester?: JsonObject;
}

/** Who an order is for, in which encounter, from whom: bare references. undefined without a subject. */
function peopleOf({ subject, encounter, requester }: Resource): People | undefined {
  const patient = bare(subject);
  const during = bare(encounter);
  const from = bare(requester);
  if (patient === undefined) return undefined;
  return {
    subject: patient,
    ...(during === undefined ? {} : { encounter: during }),
    ...(from === undefined ? {} : { requester: from }),
  };
}

/** Without display: a name is not repeated. A contained resource does not come along. */
function bare(value: Json | undefined): JsonObject | undefined {
  const reference = referenceOf(value);
  return reference === undefined || reference.startsWith('#') ? undefined : { reference };
}

/** False for a test that is due only when something happens: that is said, not ordered. */
const isDue = ({ timing }: TestProposal) => !timing.startsWith('when ');

/** Tests by finding: what is ordered already, or proposed on a card before, is not proposed again. */
export function testsByFinding(
  findings: readonly Finding[],
  orders: readonly Resource[],
): ReadonlyMap<Finding, readonly TestProposal[]> {
  const known = new Set(orders.flatMap(loincOf));
  return new Map(
    findings.map((finding) => {
      const tests = (finding.proposals ?? []).flatMap((one) =>
        one.kind === 'test' && isDue(one) && !known.has(one.loinc) ? [one] : [],
      );
      for (const { loinc } of tests) known.add(loinc);
      return [finding, tests];
    }),
  );
}

function loincOf({ resourceType, code }: Resource): readonly string[] {
  const codings: readonly Json[] =
    resourceType === 'ServiceRequest' && isJsonObject(code) && Array.isArray(code.coding) ? code.coding : [];
  return codings.flatMap((coding) =>
    isJsonObject(coding) && coding.system === LOINC && typeof coding.code === 'string' ? [coding.code] : [],
  );
}
