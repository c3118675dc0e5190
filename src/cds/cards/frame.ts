/** What every card of a service shares: identity, source, links, reasons to override, disclaimer. */

import type { Resource } from '../../fhir/resource.ts';
import type { Service } from '../services/service.ts';
import type { CardLinks } from './basis-link.ts';
import { type BuiltCard, type Card, type CardKind, factUuid, type Indicator, type Link, milder } from './card.ts';
import { BASIS_LABEL, isWebAddress, SUMMARY_LIMIT } from './lint.ts';
import { cut, escaped } from './plain-text.ts';
import type { People } from './suggestion.ts';

/** What was not seen of the data that a call is about: said on its cards. */
export interface DataGaps {
  /** Keys not to be had, or answered with an error. */
  readonly missing: readonly string[];
  /** Keys whose data is known to go on beyond what was seen. */
  readonly incomplete: readonly string[];
  /** Number of resources dropped because they are about somebody else. */
  readonly foreign: number;
}

/** What one call's cards are built from. */
export interface Frame {
  readonly service: Service;
  readonly hookInstance: string;
  /** The instant judged at, ms since 1970. */
  readonly at: number;
  readonly prefetched: DataGaps;
  /** Every draft order of the call as received, also of what no engine judges. */
  readonly drafted: readonly Resource[];
  /** Who an order of this call would be for, in which encounter, by whom. */
  readonly people: People;
  /** True for a resource that may be proposed: without errors against base R4 and what it claims. */
  isValid(resource: Resource): boolean;
  readonly links: CardLinks;
}

interface Content {
  readonly kind: CardKind;
  readonly key: string;
  readonly indicator: Indicator;
  readonly summary: string;
  /** Paragraphs of markdown; data in them is already escaped. */
  readonly detail: readonly string[];
  readonly links: readonly { readonly label: string; readonly url: string }[];
  readonly suggestions?: Card['suggestions'];
  readonly selectionBehavior?: Card['selectionBehavior'];
}

/** A complete card; the indicator never goes above the service's ceiling, and above info only for what was judged. */
export function framed({ service, hookInstance, ...frame }: Frame, content: Content): BuiltCard {
  const uuid = factUuid(hookInstance, service.id, content.key);
  const basis = { label: BASIS_LABEL, url: frame.links.basis(uuid) };
  const links = linksOf([basis, ...content.links, ...(service.links ?? [])]);
  const detail = [...content.detail, ...dataNotes(frame.prefetched), `*${service.notice} ${service.disclaimer}*`];
  const card: Card = {
    uuid,
    summary: cut(content.summary, SUMMARY_LIMIT),
    detail: detail.join('\n\n'),
    indicator: milder(content.indicator, content.kind === 'notice' ? 'info' : service.ceiling),
    source: { ...service.source, topic: service.topic },
    ...(content.suggestions === undefined
      ? {}
      : { suggestions: content.suggestions, selectionBehavior: content.selectionBehavior ?? 'any' }),
    ...(service.overrideReasons === undefined ? {} : { overrideReasons: service.overrideReasons }),
    links,
  };
  return { kind: content.kind, key: content.key, card };
}

/** Absolute links, each address once; what is not an http(s) address is left out. */
function linksOf(links: Content['links']): readonly Link[] {
  const once = new Map(links.filter(({ url }) => isWebAddress(url)).map((link) => [link.url, link]));
  return [...once.values()].map(({ label, url }) => ({ label, url, type: 'absolute' }));
}

/** What was not seen, by prefetch key: a card never looks more complete than its data. */
export function dataNotes({ missing, incomplete, foreign }: Frame['prefetched']): readonly string[] {
  const names = (keys: readonly string[]) => keys.map((key) => escaped(key)).join(', ');
  return [
    ...(missing.length === 0 ? [] : [`**Not received:** ${names(missing)}. What they hold was not considered.`]),
    ...(incomplete.length === 0 ? [] : [`**Incomplete data:** ${names(incomplete)} went on beyond what was received.`]),
    ...(foreign === 0 ? [] : ['**Dropped:** data about somebody else was received and not used.']),
  ];
}
