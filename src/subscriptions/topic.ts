/**
 * Subscription topics: files of profiles/topic, one SubscriptionTopic in R5 JSON each, since R4 has no such resource.
 * Source: FHIR R5 subscriptiontopic.html; Subscriptions R5 Backport 1.1.0. What a file holds and this server cannot keep stops the start.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FhirError } from '../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject } from '../fhir/resource.ts';
import { type Criteria, queryCriteria, type SearchMeaning } from './criteria.ts';

export type ChangeKind = 'create' | 'update' | 'delete';
/** What a test counts as when there is nothing to test: before a create, after a delete. */
export type Absent = 'test-passes' | 'test-fails';

export interface ResourceTrigger {
  readonly type: string;
  readonly interactions: ReadonlySet<ChangeKind>;
  readonly previous: Criteria | undefined;
  readonly resultForCreate: Absent;
  readonly current: Criteria | undefined;
  readonly resultForDelete: Absent;
  readonly requireBoth: boolean;
  /** FHIRPath with %previous and %current; true triggers. */
  readonly fhirPath: string | undefined;
}

export interface Topic {
  readonly url: string;
  readonly version: string | undefined;
  readonly triggers: readonly ResourceTrigger[];
  /** `Encounter` -> parameter -> modifiers; a type that is not here is filtered by nothing. */
  readonly filters: ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>;
}

const TYPE_URL = 'http://hl7.org/fhir/StructureDefinition/';
const KINDS: ReadonlySet<string> = new Set(['create', 'update', 'delete'] satisfies ChangeKind[]);
/** Elements of a topic that change what is sent and are not supported. */
const UNSUPPORTED = ['eventTrigger', 'notificationShape', 'trigger'] as const;

/**
 * Topics by canonical URL.
 * @throws Error naming the file and what is wrong with it
 */
export function loadTopics(folder: string, meaning: SearchMeaning): ReadonlyMap<string, Topic> {
  const topics = new Map<string, Topic>();
  if (!existsSync(folder)) return topics;
  for (const name of readdirSync(folder).toSorted()) {
    if (!name.endsWith('.json')) continue;
    try {
      const topic = topicOf(JSON.parse(readFileSync(join(folder, name), 'utf8')), meaning);
      if (topics.has(topic.url)) throw new Error('its url is that of another file');
      topics.set(topic.url, topic);
    } catch (cause) {
      const reason = cause instanceof FhirError || cause instanceof Error ? cause.message : String(cause);
      throw new Error(`profiles/topic/${name}: ${reason}`, { cause });
    }
  }
  return topics;
}

/** @throws Error on anything that cannot be kept */
export function topicOf(value: unknown, meaning: SearchMeaning): Topic {
  if (!isJsonObject(value) || value.resourceType !== 'SubscriptionTopic') throw new Error('it is no SubscriptionTopic');
  if (typeof value.url !== 'string') throw new Error('it has no url');
  for (const element of UNSUPPORTED) if (value[element] !== undefined) throw new Error(`${element} is not supported`);
  const triggers = objects(value.resourceTrigger).map((trigger) => triggerOf(trigger, meaning));
  if (triggers.length === 0) throw new Error('it has no resourceTrigger');
  const version = typeof value.version === 'string' ? value.version : undefined;
  return { url: value.url, version, triggers, filters: filtersOf(objects(value.canFilterBy), triggers, meaning) };
}

function triggerOf(trigger: JsonObject, meaning: SearchMeaning): ResourceTrigger {
  const type = textOf(trigger.resource)?.replace(TYPE_URL, '') ?? '';
  const asked = Array.isArray(trigger.supportedInteraction) ? trigger.supportedInteraction : ['create', 'update'];
  const kinds = asked.filter(isKind);
  if (kinds.length !== asked.length) throw new Error('a supportedInteraction is none of create, update, delete');
  const query = isJsonObject(trigger.queryCriteria) ? trigger.queryCriteria : {};
  const compiled = (name: 'previous' | 'current'): Criteria | undefined => {
    const text = textOf(query[name]);
    return text === undefined ? undefined : queryCriteria(type, text.replace(/^[A-Za-z]+\?/, ''), name, meaning);
  };
  if (!meaning.capability.types.has(type)) throw new Error(`the resource ${type} of a trigger is not served`);
  return {
    type,
    interactions: new Set(kinds),
    previous: compiled('previous'),
    resultForCreate: query.resultForCreate === 'test-fails' ? 'test-fails' : 'test-passes',
    current: compiled('current'),
    resultForDelete: query.resultForDelete === 'test-fails' ? 'test-fails' : 'test-passes',
    requireBoth: query.requireBoth === true,
    fhirPath: textOf(trigger.fhirPathCriteria),
  };
}

function filtersOf(filters: readonly JsonObject[], triggers: readonly ResourceTrigger[], meaning: SearchMeaning) {
  const byType = new Map<string, Map<string, ReadonlySet<string>>>();
  for (const filter of filters) {
    const type = textOf(filter.resource)?.replace(TYPE_URL, '') ?? triggers[0]?.type ?? '';
    const parameter = textOf(filter.filterParameter) ?? '';
    if (!triggers.some((trigger) => trigger.type === type)) throw new Error(`canFilterBy ${type}: no trigger is of it`);
    if (meaning.capability.types.get(type)?.searchParameters.has(parameter) !== true) {
      throw new Error(`canFilterBy ${type} ${parameter}: no such search parameter is claimed`);
    }
    const modifiers = Array.isArray(filter.modifier) ? filter.modifier.filter((each) => typeof each === 'string') : [];
    const ofType = byType.get(type) ?? new Map<string, ReadonlySet<string>>();
    byType.set(type, ofType.set(parameter, new Set(modifiers)));
  }
  return byType;
}

const isKind = (value: Json): value is ChangeKind => typeof value === 'string' && KINDS.has(value);
const textOf = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined);
const objects = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : [];
