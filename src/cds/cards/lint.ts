/** What every card must satisfy before it is sent: CDS Hooks 2.0.1 "CDS Service Response", and the content a clinician needs to review the basis of a statement (FDA CDS guidance, criterion 4). */
import { isJsonObject } from '../../fhir/resource.ts';
import type { Card, CardKind } from './card.ts';
import { inputProblems } from './input-lint.ts';
import { hasInvisible } from './plain-text.ts';

/** Longest summary, in UTF-16 units ("less than 140 characters"); code points are never more. */
export const SUMMARY_LIMIT = 139;

/** Longest label of a suggestion, in UTF-16 units: more is cut by clients. */
export const LABEL_LIMIT = 80;
/** Label of the link to what the card stood on; every card has one. */
export const BASIS_LABEL = 'Basis of this card';
/** The last segment of its address: opaque, no id and no content. */
const BASIS_ADDRESS = /\/[A-Za-z0-9_-]{43}$/;
/** Path of the page of one version of a model. */
const MODEL_ADDRESS = /\/models\/[^/?#]+\/[^/?#]+$/;

/** Phrases that a detail must hold, by kind of card. cards are built with the same constants. */
export const HEADINGS = {
  computed: 'What was computed',
  inputs: 'Inputs used',
  missing: 'Missing inputs',
  model: 'Model',
  population: 'Intended population',
  limits: 'Limits',
  evidence: 'Source',
  severity: 'Severity',
  disclaimer: 'does not replace, clinical judgement',
  audience: 'not for patients',
} as const;

const REQUIRED_TEXT = {
  score: ['computed', 'inputs', 'missing', 'model', 'population', 'limits', 'evidence', 'disclaimer', 'audience'],
  finding: ['severity', 'evidence', 'disclaimer', 'audience'],
  withheld: ['disclaimer', 'audience'],
  notice: ['disclaimer', 'audience'],
} as const satisfies Record<CardKind, readonly (keyof typeof HEADINGS)[]>;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const REFERENCE = /^[A-Z][A-Za-z]*\/[A-Za-z0-9\-.]{1,64}$/;
const TOPIC_CODE = /^[A-Za-z0-9-]{1,100}$/;
const IMPERATIVE =
  /(?:^|[.:;]\s+|\n[\s>*-]*)(?:start|give|administer|prescribe|order|stop|begin|initiate|look|examine|screen|treat|transfer)\b/im;
/** Ids in an address end in logs and histories. */
const PATIENT_ADDRESS = /\/Patient\/|[?&](?:patient|subject)=/i;
const CARD_KEYS = new Set([
  'uuid',
  'summary',
  'detail',
  'indicator',
  'source',
  'suggestions',
  'selectionBehavior',
  'overrideReasons',
  'links',
]);

export interface LintFacts {
  readonly kind: CardKind;
  /** `Type/id` of the draft orders as received. */
  readonly drafts: ReadonlySet<string>;
}

/** Every rule the card breaks, in words; empty = may be sent. Messages hold no card text. */
export function lintCard(card: Card, facts: LintFacts): readonly string[] {
  return [
    ...(holdsEmpty(card) ? emptyFields(card, ['card']) : []),
    ...Object.keys(card)
      .filter((key) => !CARD_KEYS.has(key))
      .map(() => 'card has an unknown field'),
    ...summaryProblems(card),
    ...detailProblems(card, facts.kind),
    ...sourceProblems(card),
    ...suggestionProblems(card, facts.drafts),
    ...scoreActionProblems(card, facts.kind),
    ...linkProblems(card, facts.kind),
    ...(UUID.test(card.uuid ?? '') ? [] : ['uuid is not a UUID']),
    ...(['info', 'warning', 'critical'].includes(card.indicator) ? [] : ['indicator is not info, warning or critical']),
    ...(card.indicator === 'critical' && facts.kind !== 'finding' ? ['critical without a cited contraindication'] : []),
    ...(card.overrideReasons ?? []).flatMap((reason) =>
      [reason.system, reason.code, reason.display].every(isText)
        ? []
        : ['overrideReason without system, code or display'],
    ),
  ];
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';

/** Whether there is anything to say of empty fields: nearly never. */
function holdsEmpty(value: unknown): boolean {
  if (value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0 || value.some(holdsEmpty);
  if (!isJsonObject(value)) return false;
  let isBare = true;
  for (const name in value) {
    const field = value[name];
    if (field === undefined) continue;
    isBare = false;
    if (typeof field === 'string' ? field === '' : holdsEmpty(field)) return true;
  }
  return isBare;
}

/** null, "", [] and {} are never sent. */
function emptyFields(value: unknown, path: readonly string[]): readonly string[] {
  if (value === null || value === '') return [`${path.join('.')} is null or empty`];
  if (typeof value !== 'object') return NONE;
  const isList = Array.isArray(value);
  if (!isList && !isJsonObject(value)) return NONE;
  let isBare = true;
  let found = NONE;
  for (const [name, field] of Object.entries(value)) {
    if (field === undefined && !isList) continue;
    isBare = false;
    // Most fields are text; a path is made only where there is something to look into, or to say.
    if (typeof field === 'string' && field !== '') continue;
    found = [...found, ...emptyFields(field, [...path, isList ? '[]' : name])];
  }
  return isBare ? [`${path.join('.')} is an empty ${isList ? 'array' : 'object'}`] : found;
}
const NONE: readonly string[] = [];

function summaryProblems({ summary }: Card): readonly string[] {
  if (!isText(summary)) return ['summary is missing'];
  return [
    ...(summary.length > SUMMARY_LIMIT ? ['summary is longer than 139 characters'] : []),
    ...(/[<>\n]/.test(summary) ? ['summary holds markup or a line break'] : []),
    ...(hasInvisible(summary, false) ? ['summary holds invisible characters'] : []),
  ];
}

function detailProblems({ detail, summary }: Card, kind: CardKind): readonly string[] {
  if (!isText(detail)) return ['detail is missing'];
  return [
    ...(/[<>]/.test(detail) ? ['detail holds raw HTML'] : []),
    ...(/(?<!\\)!\[|(?<!\\)\]\(|(?<!\\)\]:/.test(detail) ? ['detail holds an image or a link'] : []),
    ...(/:\/\/|\bwww\.|\S@\S/i.test(detail) ? ['detail holds an address that renders as a link'] : []),
    ...(hasInvisible(detail, true) ? ['detail holds invisible characters'] : []),
    ...REQUIRED_TEXT[kind]
      .filter((name) => !detail.includes(HEADINGS[name]))
      .map((name) => `detail lacks "${HEADINGS[name]}"`),
    ...(kind === 'score' && (IMPERATIVE.test(detail) || IMPERATIVE.test(summary ?? ''))
      ? ['a score gives an order']
      : []),
    ...(kind === 'score' ? inputProblems(detail, HEADINGS) : []),
  ];
}

function sourceProblems({ source }: Card): readonly string[] {
  if (!isText(source?.label)) return ['source.label is missing'];
  const { topic, url } = source;
  return [
    ...(url === undefined || isWebAddress(url) ? [] : ['source.url is not an absolute URL']),
    ...(isText(topic?.system) && isText(topic.display) ? [] : ['source.topic is incomplete']),
    ...(TOPIC_CODE.test(topic?.code ?? '') ? [] : ['source.topic.code is not 1 to 100 letters, digits and hyphens']),
  ];
}

function suggestionProblems(card: Card, drafts: ReadonlySet<string>): readonly string[] {
  const { suggestions, selectionBehavior } = card;
  if (suggestions === undefined) {
    return selectionBehavior === undefined ? [] : ['selectionBehavior without suggestions'];
  }
  return [
    ...(selectionBehavior === 'any' || selectionBehavior === 'at-most-one'
      ? []
      : ['suggestions without selectionBehavior']),
    ...(selectionBehavior === 'at-most-one' && suggestions.filter((one) => one.isRecommended === true).length > 1
      ? ['more than one recommended suggestion under at-most-one']
      : []),
    ...(new Set(suggestions.map(({ uuid }) => uuid)).size < suggestions.length ? ['suggestions share a uuid'] : []),
    ...suggestions.flatMap(({ label, uuid, actions }) => [
      ...((actions ?? []).length === 0 ? ['a suggestion without actions'] : []),
      ...(new Set((actions ?? []).map(touched)).size < (actions ?? []).length ? ['two actions on one order'] : []),
      ...(isText(label) && !hasInvisible(label, false) && !/[<>]/.test(label)
        ? []
        : ['suggestion.label is missing or holds markup']),
      ...((label ?? '').length > LABEL_LIMIT ? ['suggestion.label is longer than 80 characters'] : []),
      ...(UUID.test(uuid ?? '') ? [] : ['suggestion.uuid is not a UUID']),
      ...(actions ?? []).flatMap((action) => actionProblems(action, drafts)),
    ]),
  ];
}

/** What an action acts on; every create is on something of its own. */
const touched = (action: NonNullable<Card['suggestions']>[number]['actions'][number]): unknown =>
  action.resourceId ?? (action.type === 'update' ? `${action.resource?.resourceType}/${action.resource?.id}` : action);

/** A score says what is due, for a person to order: drafts of tests and procedures, never a drug, a change or a removal. */
function scoreActionProblems({ suggestions = [] }: Card, kind: CardKind): readonly string[] {
  const actions = kind === 'score' ? suggestions.flatMap((one) => one.actions ?? []) : [];
  return [
    ...(actions.some(({ type, resource }) => type !== 'create' || resource?.resourceType !== 'ServiceRequest')
      ? ['a score proposes more than a draft ServiceRequest']
      : []),
    ...(kind === 'score' && suggestions.some(({ isRecommended }) => isRecommended === true)
      ? ['a score recommends an order']
      : []),
    ...(kind === 'notice' && suggestions.length > 0 ? ['a notice with suggestions'] : []),
  ];
}

function actionProblems(
  { type, description, resource, resourceId }: NonNullable<Card['suggestions']>[number]['actions'][number],
  drafts: ReadonlySet<string>,
): readonly string[] {
  const shape = {
    create: () =>
      resource?.resourceType === undefined || resourceId !== undefined
        ? ['create needs a resource']
        : [
            ...(resource.id === undefined ? [] : ['create of a resource that has an id']),
            ...(resource.status === 'draft' ? [] : ['create of an order that is no draft']),
          ],
    update: () =>
      resource !== undefined && resourceId === undefined && drafts.has(`${resource.resourceType}/${resource.id}`)
        ? []
        : ['update needs a whole resource of draftOrders'],
    delete: () =>
      resource === undefined && resourceId !== undefined && REFERENCE.test(resourceId) && drafts.has(resourceId)
        ? []
        : ['delete needs the resourceId of a draft order, and no resource'],
  } as const satisfies Record<typeof type, () => readonly string[]>;
  return [
    ...(isText(description) && !hasInvisible(description, false) && !/[<>]/.test(description)
      ? []
      : ['action.description is missing or holds markup']),
    ...(Object.hasOwn(shape, type) ? shape[type]() : ['action.type is not create, update or delete']),
  ];
}

function linkProblems({ links }: Card, kind: CardKind): readonly string[] {
  return [
    ...((links ?? []).filter(({ label, url }) => label === BASIS_LABEL && BASIS_ADDRESS.test(url)).length === 1
      ? []
      : ['no link to its basis, or one that is not opaque']),
    ...(kind === 'score' && !(links ?? []).some(({ url, type }) => type === 'absolute' && MODEL_ADDRESS.test(url))
      ? ['a score without a link to the page of its model']
      : []),
    ...(links ?? []).flatMap((link) => [
      ...(isText(link.label) ? [] : ['link.label is missing']),
      ...(PATIENT_ADDRESS.test(link.url ?? '') ? ['link.url names a patient'] : []),
      ...(isWebAddress(link.url) ? [] : ['link.url is not an absolute http(s) URL']),
      ...(link.type === 'absolute' || link.type === 'smart' ? [] : ['link.type is not absolute or smart']),
      ...(link.appContext !== undefined && link.type !== 'smart' ? ['appContext on a link that is not smart'] : []),
    ]),
  ];
}

/** True for an absolute http or https URL without user information. */
export function isWebAddress(url: unknown): url is string {
  if (typeof url !== 'string') return false;
  const [, origin] = PLAIN_ADDRESS.exec(url) ?? [];
  if (origin === undefined) return isWebUrl(url);
  // Almost every address of ours has one of a few origins, and a path that cannot be wrong.
  if (KNOWN_ORIGINS.has(origin)) return true;
  if (!isWebUrl(origin)) return false;
  if (KNOWN_ORIGINS.size >= MOST_ORIGINS) KNOWN_ORIGINS.clear();
  KNOWN_ORIGINS.add(origin);
  return true;
}

const PLAIN_ADDRESS = /^(https?:\/\/[A-Za-z0-9.:[\]-]+)(?:\/[A-Za-z0-9._~/-]*)?$/;
const MOST_ORIGINS = 100;
const KNOWN_ORIGINS = new Set<string>();

function isWebUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password } = new URL(url);
  return (protocol === 'https:' || protocol === 'http:') && username === '' && password === '';
}
