/** The strictest known reader of CDS Hooks answers: what the Inferno CRD server kit 0.13 and HL7's logical models require. Written apart from src/cds/cards/lint.ts. */

interface Fields {
  readonly [name: string]: unknown;
}
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

type Rule = readonly [rule: string, holds: boolean];
const broken = (where: string, rules: readonly Rule[]): readonly string[] =>
  rules.filter(([, holds]) => !holds).map(([rule]) => `${where}: ${rule}`);
const optional = (value: unknown, holds: (value: unknown) => boolean): boolean => value === undefined || holds(value);
const full = (value: unknown): boolean => Array.isArray(value) && value.length > 0;
const each = (value: unknown, read: (item: Fields) => readonly string[]): readonly string[] =>
  (Array.isArray(value) ? value : []).flatMap((item) => (isFields(item) ? read(item) : ['an entry is not an object']));

/** null, "", [] and {} nowhere but `cards: []`, `services: []`. */
function empties(value: unknown, path: string): readonly string[] {
  if (value === null || value === '') return [`${path} is empty`];
  if (Array.isArray(value)) {
    const allowed = /^\$\.(?:cards|services|systemActions)$/.test(path);
    return value.length === 0 && !allowed
      ? [`${path} is empty`]
      : value.flatMap((item, at) => empties(item, `${path}[${at}]`));
  }
  if (!isFields(value)) return [];
  const fields = Object.entries(value);
  return fields.length === 0
    ? [`${path} is empty`]
    : fields.flatMap(([name, field]) => empties(field, `${path}.${name}`));
}

function coding(value: unknown, where: string): readonly string[] {
  const { system, code, display } = isFields(value) ? value : {};
  return broken(where, [
    ['system', isText(system)],
    ['code', isText(code)],
    ['display', isText(display)],
  ]);
}

export function actionProblems({ type, description, resource, resourceId }: Fields): readonly string[] {
  const isDelete = type === 'delete';
  return broken('action', [
    ['type is create, update or delete', ['create', 'update', 'delete'].includes(String(type))],
    ['description', isText(description)],
    ['create and update carry a resource', isDelete || (isFields(resource) && isText(resource.resourceType))],
    ['update names the resource', type !== 'update' || (isFields(resource) && isText(resource.id))],
    [
      'delete has resourceId and no resource',
      !isDelete || (/^[A-Z][A-Za-z]*\/\S+$/.test(String(resourceId)) && resource === undefined),
    ],
  ]);
}

function cardProblems(card: Fields): readonly string[] {
  const { summary, indicator, source, uuid, detail, suggestions, selectionBehavior, overrideReasons, links } = card;
  const { label, topic, url } = isFields(source) ? source : {};
  return [
    ...broken('card', [
      ['summary below 140 characters', isText(summary) && summary.length < 140 && [...summary].length < 140],
      ['indicator', ['info', 'warning', 'critical'].includes(String(indicator))],
      ['source.label', isText(label)],
      ['source.url', optional(url, (it) => isText(it) && URL.canParse(it))],
      ['uuid', isText(uuid) && UUID.test(uuid)],
      ['detail', optional(detail, isText)],
      ['suggestions are a full list', optional(suggestions, full)],
      ['suggestions need selectionBehavior', (suggestions === undefined) === (selectionBehavior === undefined)],
      ['selectionBehavior', optional(selectionBehavior, (it) => it === 'any' || it === 'at-most-one')],
      ['overrideReasons are a full list', optional(overrideReasons, full)],
      ['links are a full list', optional(links, full)],
    ]),
    ...coding(topic, 'source.topic'),
    ...each(overrideReasons, (reason) => coding(reason, 'overrideReason')),
    ...each(suggestions, ({ label: text, uuid: id, isRecommended, actions }) => [
      ...broken('suggestion', [
        ['label', isText(text)],
        ['uuid', isText(id) && UUID.test(id)],
        ['isRecommended', optional(isRecommended, (it) => typeof it === 'boolean')],
        ['actions are a full list', optional(actions, full)],
      ]),
      ...each(actions, actionProblems),
    ]),
    ...each(links, ({ label: text, url: address, type, appContext }) =>
      broken('link', [
        ['label', isText(text)],
        ['url is absolute', isText(address) && URL.canParse(address)],
        ['type', type === 'absolute' || type === 'smart'],
        ['appContext only on smart', optional(appContext, (it) => isText(it) && type === 'smart')],
      ]),
    ),
  ];
}

/** Every rule that an answer of a service breaks, in words; empty = the strictest reader takes it. */
export function answerProblems(body: unknown): readonly string[] {
  if (!isFields(body)) return ['the answer is not an object'];
  const { cards, systemActions, extension: _extension, ...rest } = body;
  return [
    ...empties(body, '$'),
    ...broken('answer', [
      ['cards is a list', Array.isArray(cards)],
      ['systemActions is a list', optional(systemActions, Array.isArray)],
      ['nothing else', Object.keys(rest).length === 0],
    ]),
    ...each(cards, cardProblems),
    ...each(systemActions, actionProblems),
  ];
}

/** Every rule that a discovery answer breaks. */
export function discoveryProblems(body: unknown): readonly string[] {
  const { services } = isFields(body) ? body : {};
  return [
    ...empties(body, '$'),
    ...broken('discovery', [['services is a list', Array.isArray(services)]]),
    ...each(services, ({ hook, title, description, id, prefetch, usageRequirements }) =>
      broken(`service ${String(id)}`, [
        ['hook', isText(hook)],
        ['title', optional(title, isText)],
        ['description', isText(description)],
        ['id', isText(id)],
        ['usageRequirements', optional(usageRequirements, isText)],
        ['prefetch is texts by key', optional(prefetch, (it) => isFields(it) && Object.values(it).every(isText))],
      ]),
    ),
  ];
}
