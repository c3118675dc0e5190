/**
 * A Subscription resource as this server understands it, and every reason why it cannot be kept.
 * Source: FHIR R4 subscription.html; Subscriptions R5 Backport 1.1.0, `backport-subscription`.
 */
import { FhirError, type Issue } from '../fhir/outcome.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf, type Resource } from '../fhir/resource.ts';
import { intervalOf } from '../fhir/time.ts';
import { type Criteria, criteriaOf, type SearchMeaning } from './criteria.ts';
import { type Header, headerFault, headersOf } from './header.ts';
import type { Topic } from './topic.ts';

export type Content = 'empty' | 'id-only' | 'full-resource';
export type Format = 'json' | 'xml';

/** What triggers: search criteria as in R4, or a topic and its filters as in the backport. */
export type Trigger =
  | { readonly kind: 'criteria'; readonly criteria: Criteria }
  | { readonly kind: 'topic'; readonly topic: Topic; readonly filters: readonly Criteria[] };

export interface Channel {
  readonly type: 'rest-hook' | 'websocket';
  /** '' for websocket. */
  readonly endpoint: string;
  /** undefined = nothing but the fact is sent (R4 without payload). */
  readonly format: Format | undefined;
  /** What a notification may disclose. */
  readonly content: Content;
  readonly headers: readonly Header[];
  /** undefined = none. */
  readonly heartbeatMs: number | undefined;
  readonly timeoutMs: number;
  /** Most events in one notification. */
  readonly maxCount: number;
}

export interface Understood {
  readonly id: string;
  readonly trigger: Trigger;
  readonly channel: Channel;
  /** ms; undefined = without end. */
  readonly end: number | undefined;
}

export interface Understanding extends SearchMeaning {
  readonly topics: ReadonlyMap<string, Topic>;
  /** Why an endpoint may not be called; undefined when it may. */
  refusal(url: string): string | undefined;
}

const IG = 'http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/';
const EXTENSIONS = {
  filter: `${IG}backport-filter-criteria`,
  content: `${IG}backport-payload-content`,
  heartbeat: `${IG}backport-heartbeat-period`,
  timeout: `${IG}backport-timeout`,
  maxCount: `${IG}backport-max-count`,
  channelType: `${IG}backport-channel-type`,
} as const;

const CONTENTS: ReadonlySet<string> = new Set(['empty', 'id-only', 'full-resource'] satisfies Content[]);
const FORMATS: ReadonlyMap<string, Format> = new Map([
  ['application/fhir+json', 'json'],
  ['application/json', 'json'],
  ['application/fhir+xml', 'xml'],
  ['application/xml', 'xml'],
]);
const TIMEOUT = { fallback: 10, most: 60 } as const;
const HEARTBEAT = { least: 5, most: 86_400 } as const;
const MAX_COUNT = { fallback: 20, most: 100 } as const;
const FILTERS = 20;

type Found = { readonly understood: Understood; readonly issues: readonly [] } | { readonly issues: readonly Issue[] };

/** Every fault, each with its place; none: what it says. Headers may be redacted already. */
export function understand(resource: Resource, how: Understanding): Found {
  const issues: Issue[] = [];
  const trigger = attempt(issues, () => triggerOf(resource, how, issues));
  const channel = channelOf(objectOf(resource.channel), trigger?.kind === 'topic', how, issues);
  const end = typeof resource.end === 'string' ? intervalOf(resource.end)?.low : undefined;
  if (issues.length > 0 || trigger === undefined || channel === undefined) return { issues };
  return { understood: { id: resource.id ?? '', trigger, channel, end }, issues: [] };
}

function attempt<T>(issues: Issue[], ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    issues.push(...error.issues);
    return undefined;
  }
}

/** Criteria that are an absolute URL name a topic. */
function triggerOf(resource: Resource, how: Understanding, issues: Issue[]): Trigger | undefined {
  const criteria = textOf(resource.criteria) ?? '';
  const filters = valuesOf(objectOf(resource._criteria), EXTENSIONS.filter);
  if (!/^[a-z][a-z0-9+.-]*:/.test(criteria)) {
    if (filters.length > 0) {
      issues.push(issue('business-rule', 'Filter criteria belong to a topic.', 'Subscription.criteria.extension[0]'));
    }
    return { kind: 'criteria', criteria: criteriaOf(criteria, 'Subscription.criteria', how) };
  }
  const [url = '', version] = criteria.split('|');
  const topic = how.topics.get(url);
  if (topic === undefined || (version !== undefined && version !== topic.version)) {
    issues.push(issue('profile-unknown', 'The criteria name a topic that is not held here.', 'Subscription.criteria'));
    return undefined;
  }
  if (filters.length > FILTERS) {
    issues.push(
      issue('business-rule', `A subscription has at most ${FILTERS} filters.`, 'Subscription.criteria.extension'),
    );
    return undefined;
  }
  const compiled = filters.flatMap((text, index) => {
    const place = `Subscription.criteria.extension[${index}].value`;
    return attempt(issues, () => filterOf(text, place, topic, how, issues)) ?? [];
  });
  return { kind: 'topic', topic, filters: compiled };
}

function filterOf(text: Json, place: string, topic: Topic, how: Understanding, issues: Issue[]): Criteria {
  const criteria = criteriaOf(textOf(text) ?? '', place, how);
  const allowed = topic.filters.get(criteria.type);
  for (const name of criteria.names) {
    const [parameter = '', modifier] = name.split(':');
    const modifiers = allowed?.get(parameter);
    if (modifiers !== undefined && (modifier === undefined || modifiers.has(modifier))) continue;
    const valid = [...(allowed?.keys() ?? [])].join(', ') || 'none';
    issues.push(
      issue('business-rule', `The topic cannot be filtered so. Parameters of ${criteria.type}: ${valid}.`, place),
    );
  }
  return criteria;
}

function channelOf(channel: JsonObject, byTopic: boolean, how: Understanding, issues: Issue[]): Channel | undefined {
  const at = (element: string): string => `Subscription.channel.${element}`;
  const { type } = channel;
  const isCustom = valuesOf(objectOf(channel._type), EXTENSIONS.channelType).length > 0;
  if (isCustom || (type !== 'rest-hook' && type !== 'websocket')) {
    issues.push(issue('business-rule', 'Channels are `rest-hook` and `websocket`.', at('type')));
    return undefined;
  }
  const endpoint = textOf(channel.endpoint) ?? '';
  if (type === 'rest-hook') endpointIssues(endpoint, at('endpoint'), how, issues);
  else if (endpoint !== '') {
    issues.push(
      issue('business-rule', 'A websocket has no endpoint: the client connects to this server.', at('endpoint')),
    );
  }
  const lines = headersOf(channel.header);
  for (const [index, line] of lines.entries()) {
    const fault = type === 'websocket' ? 'has no meaning on a websocket' : headerFault(line, lines.length);
    if (fault !== undefined) issues.push(issue('profile-value', `The header ${fault}.`, at(`header[${index}]`)));
  }
  const payload = textOf(channel.payload);
  const format = payload === undefined ? undefined : FORMATS.get(payload.replace(/;.*/s, '').trim());
  if (payload !== undefined && format === undefined) {
    issues.push(issue('profile-code', 'Payloads are application/fhir+json and application/fhir+xml.', at('payload')));
  }
  if (payload === undefined && byTopic) {
    issues.push(issue('profile-required', 'A subscription to a topic names its payload.', at('payload')));
  }
  const number = (url: string, fallback: number, least: number, most: number): number => {
    const value = valuesOf(channel, url)[0];
    const given = value !== undefined && isNumber(value) ? numberOf(value) : fallback;
    if (given >= least && given <= most) return given;
    issues.push(issue('business-rule', `This is from ${least} to ${most}.`, at(`extension('${url}')`)));
    return fallback;
  };
  const heartbeat = number(EXTENSIONS.heartbeat, 0, 0, HEARTBEAT.most);
  return {
    type,
    endpoint,
    format,
    content: contentOf(channel, byTopic, format, issues),
    headers: lines,
    heartbeatMs: heartbeat === 0 ? undefined : Math.max(heartbeat, HEARTBEAT.least) * 1000,
    timeoutMs: number(EXTENSIONS.timeout, TIMEOUT.fallback, 1, TIMEOUT.most) * 1000,
    maxCount: byTopic ? number(EXTENSIONS.maxCount, MAX_COUNT.fallback, 1, MAX_COUNT.most) : 1,
  };
}

/** R4 knows all or nothing; the backport says it in an extension, without which nothing is disclosed. */
function contentOf(channel: JsonObject, byTopic: boolean, format: Format | undefined, issues: Issue[]): Content {
  if (!byTopic) return format === undefined || channel.type === 'websocket' ? 'empty' : 'full-resource';
  const value = valuesOf(objectOf(channel._payload), EXTENSIONS.content)[0] ?? 'empty';
  if (isContent(value)) return value;
  issues.push(
    issue('profile-code', 'The content is empty, id-only or full-resource.', 'Subscription.channel.payload.extension'),
  );
  return 'empty';
}

function endpointIssues(endpoint: string, place: string, how: Understanding, issues: Issue[]): void {
  if (endpoint === '') {
    issues.push(issue('profile-required', 'A rest-hook names its endpoint.', place));
    return;
  }
  const refused = how.refusal(endpoint);
  if (refused !== undefined) issues.push(issue('business-rule', `The endpoint may not be called: ${refused}.`, place));
}

/** Values of the extensions with this url, whatever their type. */
function valuesOf({ extension }: JsonObject, url: string): readonly Json[] {
  const all = Array.isArray(extension) ? extension.filter(isJsonObject) : [];
  return all.flatMap((each) => {
    if (each.url !== url) return [];
    const name = Object.keys(each).find((key) => key.startsWith('value'));
    return name === undefined ? [] : [each[name] ?? null];
  });
}

const issue = (kind: Issue['kind'], message: string, expression: string): Issue => ({ kind, message, expression });
const isContent = (value: Json): value is Content => typeof value === 'string' && CONTENTS.has(value);
const textOf = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined);
const objectOf = (value: Json | undefined): JsonObject => (value !== undefined && isJsonObject(value) ? value : {});
