/** cds-services/*.json -> services, cross-checked with hooks, search claims and models before the server listens. Source: CDS Hooks 2.0.1 "Discovery", "Prefetch Template". */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { parseJson } from '../../fhir/resource.ts';
import type { RestContext } from '../../rest/context.ts';
import type { Manifest } from '../../risk/assessment.ts';
import type { Severity } from '../../risk/drugs/finding.ts';
import type { Coding, Indicator } from '../cards/card.ts';
import { HOOKS } from '../hook/hooks.ts';
import { serviceProblems } from './problems.ts';

export interface ScoreRule {
  readonly model: string;
  readonly band: string;
  readonly indicator: Indicator;
  /** Tokens {label}, {score}, {band}, {others}. */
  readonly summary: string;
  /** The rule holds from this score on, whatever the model's own band: a threshold of the service, or of the site that changes it. */
  readonly from?: number;
  /** What the threshold meant where it was measured, in one sentence; said only while `from` is the model's own threshold. */
  readonly meaning?: string;
}
/** An output of a model; holds when it is 1. */
export interface DueOutput {
  readonly model: string;
  readonly output: string;
}
/** Drafts that are offered while a published score is in one of the bands. */
export interface OrderSet {
  readonly title: string;
  /** A score from a file: a trained model proposes no order. */
  readonly model: string;
  readonly bands: readonly string[];
  readonly items: readonly {
    readonly id: string;
    readonly label: string;
    readonly when: DueOutput;
    readonly coding: Coding;
    readonly timing: string;
    readonly caution?: DueOutput & { readonly text: string };
  }[];
  /** What is not offered, and why. */
  readonly notes?: readonly string[];
}
export interface ScoresEngine {
  readonly kind: 'scores';
  readonly models: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** Output that is the model's score; a model without one is shown by its band only. */
  readonly scoreOutputs?: Readonly<Record<string, string>>;
  /** What a model's probability is of, after "of 100 such patients about 60". */
  readonly outcomes?: Readonly<Record<string, string>>;
  readonly rules: readonly ScoreRule[];
  readonly orders?: OrderSet;
}
export interface DrugSafetyEngine {
  readonly kind: 'drug-safety';
  readonly severities: Readonly<Partial<Record<Severity, Indicator>>>;
  /** The check is noted on each order by a system action: for a site that asks for it. */
  readonly annotateOrders?: true;
}
/** ESI by rules, published scores beside it, and learned models of which one band may raise concern. Decision 0023. */
export interface TriageEngine {
  readonly kind: 'triage';
  /** Published scores shown beside the level. */
  readonly scores: readonly string[];
  /** Learned models and the band that raises concern; no band lowers it. */
  readonly learned: readonly { readonly model: string; readonly band: string }[];
  readonly labels?: Readonly<Record<string, string>>;
}
/** One file of cds-services; every field is described in cds-services/schema.json. */
export interface Service {
  readonly id: string;
  readonly enabled: boolean;
  /** Outside the demonstration it is there only when the site has attested each of its models in just this version. */
  readonly attestation?: true;
  readonly hook: string;
  readonly title: string;
  readonly description: string;
  readonly usageRequirements?: string;
  readonly prefetch: Readonly<Record<string, string>>;
  readonly optionalPrefetch?: readonly string[];
  /** Optional keys that refine the answer: their absence is said on cards, but is no reason for a notice of its own. */
  readonly refiningPrefetch?: readonly string[];
  readonly engine: ScoresEngine | DrugSafetyEngine | TriageEngine;
  readonly source: { readonly label: string; readonly url?: string };
  readonly topic: Coding;
  readonly ceiling: Indicator;
  readonly whenIncomplete: 'silent' | 'info';
  readonly notice: string;
  readonly disclaimer: string;
  readonly roles: readonly string[];
  readonly overrideReasons?: readonly Coding[];
  readonly links?: readonly { readonly label: string; readonly url: string }[];
  /** In place of the models' own texts, which stand whole on their pages: one line each. */
  readonly brief?: { readonly population?: string; readonly limits?: string; readonly source?: string };
  readonly cardLimit: number;
  /** Judged and recorded, but shown to nobody. */
  readonly shadow?: boolean;
}

export interface LoadedServices {
  /** Enabled services without problems, by id, in file order. */
  readonly services: ReadonlyMap<string, Service>;
  /** One sentence each; the server refuses to start when there is any. */
  readonly problems: readonly string[];
}

/**
 * Reads every `*.json` of the folder except schema.json.
 * Disabled services are checked like the others, but not served.
 * @param isBallot templates may hold what the 3.0 ballot adds
 */
export function loadServices(
  folder: string,
  manifests: ReadonlyMap<string, Manifest>,
  context: RestContext,
  isBallot: boolean,
): LoadedServices {
  const isService = new Ajv({ allErrors: true, allowUnionTypes: true }).compile<Service>(
    JSON.parse(readFileSync(join(folder, 'schema.json'), 'utf8')),
  );
  const services = new Map<string, Service>();
  const problems: string[] = [];
  const ids = new Set<string>();
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith('.json') && name !== 'schema.json')
    .toSorted()) {
    const found = readService(join(folder, file));
    if (typeof found === 'string' || !isService(found)) {
      const reasons =
        typeof found === 'string'
          ? [found]
          : (isService.errors ?? []).map((error) => `${error.instancePath || 'file'} ${error.message ?? 'is invalid'}`);
      problems.push(...reasons.map((reason) => `cds-services/${file}: ${reason}.`));
      continue;
    }
    const own = [
      ...(ids.has(found.id) ? ['the id is used by another file'] : []),
      ...(RESERVED.has(found.id) ? ['the id is a path of the server'] : []),
      ...serviceProblems(found, manifests, context, isBallot),
    ];
    ids.add(found.id);
    problems.push(...own.map((reason) => `cds-services/${file}: ${reason}.`));
    if (own.length === 0 && found.enabled) services.set(found.id, found);
  }
  return { services, problems };
}

/** Paths below `/cds-services` that are no service. */
const RESERVED: ReadonlySet<string> = new Set(['explain', 'report']);

function readService(path: string): unknown {
  try {
    return parseJson(readFileSync(path, 'utf8'));
  } catch (error) {
    return error instanceof Error ? error.message.replace(/\.$/, '') : 'is not readable';
  }
}

/** True for a service on a hook whose orders are judged; otherwise what is being recorded is. */
export const judgesOrders = ({ hook }: Service): boolean => HOOKS.get(hook)?.orders !== undefined;

/** The version of the specification that `isBallot` speaks of. */
const BALLOT = '3.0.0-ballot';

/**
 * Discovery's entry of a service: only fields of the specification.
 * @param isBallot with the versions that the 3.0 ballot adds
 */
export function discoveryEntry(service: Service, isBallot: boolean): Readonly<Record<string, unknown>> {
  const { id, hook, title, description, prefetch, usageRequirements } = service;
  return {
    hook,
    title,
    description,
    id,
    prefetch,
    ...(usageRequirements === undefined ? {} : { usageRequirements }),
    ...(isBallot ? { version: BALLOT, hookVersion: HOOKS.get(hook)?.version } : {}),
  };
}

/** True when prefetch of this key is needed to answer at all. */
export function isRequiredKey(service: Service, key: string): boolean {
  return !(service.optionalPrefetch ?? []).includes(key);
}

/** Resource type of a user reference, `Practitioner` of `Practitioner/12`; also of an absolute one. */
export function userTypeOf(userId: string | undefined): string | undefined {
  return userId?.split('/').at(-2);
}

/** Ids of the models that a service asks. */
export function modelsOf({ engine }: Service): readonly string[] {
  switch (engine.kind) {
    case 'scores':
      return engine.models;
    case 'triage':
      return [...engine.scores, ...engine.learned.map(({ model }) => model)];
    case 'drug-safety':
      return [];
  }
}

/**
 * Ids of services that need an attestation and have none: sepsis prediction is a regulated use (21 CFR 880.6316), which a site takes on itself.
 * @param attested whether the site has attested this version of a model
 */
export function unattestedServices(
  services: ReadonlyMap<string, Service>,
  manifests: ReadonlyMap<string, Manifest>,
  attested: (model: string, version: string) => boolean,
): readonly string[] {
  const isHeld = (id: string): boolean => attested(id, manifests.get(id)?.version ?? '');
  return [...services.values()]
    .filter((service) => service.attestation === true && !modelsOf(service).every(isHeld))
    .map(({ id }) => id);
}

/** Models whose results a service tells by a rule, or by what it proposes; not those that it shows beside them. */
export function toldModels(service: Service | undefined): readonly string[] {
  if (service?.engine.kind !== 'scores') return [];
  const { rules, orders } = service.engine;
  const due = orders === undefined ? [] : [orders.model, ...orders.items.map(({ when }) => when.model)];
  return [...rules.map(({ model }) => model), ...due];
}
