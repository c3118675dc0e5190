/** Subscriptions as configured: what they may call, what they mean, with the real time and randomness. */
import { randomBytes, randomInt } from 'node:crypto';
import type { Config } from '../config.ts';
import type { AccessFilter } from '../fhir/search/algebra.ts';
import type { Guard } from '../http/access.ts';
import { SubscriptionFeed } from '../http/subscription-feed.ts';
import { Outbound } from '../outbound/outbound.ts';
import type { RestContext } from '../rest/context.ts';
import { personOf } from '../rest/interactions/patient-links.ts';
import { callerNow } from '../smart/access.ts';
import { type SubscriptionSettings, Subscriptions } from '../subscriptions/desk.ts';
import type { Owner } from '../subscriptions/owner.ts';
import type { Understanding } from '../subscriptions/subscription.ts';
import { loadTopics } from '../subscriptions/topic.ts';
import type { OpenIdentity } from './identity.ts';
import { outboundList } from './outside.ts';

/**
 * What a Subscription can mean here.
 * @param folder profiles/topic
 */
export function understanding(config: Config, context: RestContext, folder: string): Understanding {
  const { capability, parseSearch, planSearch } = context;
  const meaning = { capability, parseSearch, planSearch };
  const { refusal } = outboundList(config);
  return { ...meaning, topics: loadTopics(folder, meaning), refusal };
}

/** Nothing is asked over a line in the name of an owner. */
const NOBODY = { address: '', requestId: '' };
const EVERYTHING: AccessFilter = { principal: '', visible: () => ({ kind: 'all' }) };

/** Which records are the patient of the launch is asked each time: links come and go. */
async function rightsNow(
  { rights }: Owner,
  { current }: Pick<SubscriptionSettings, 'current'>,
): Promise<Owner['rights']> {
  const [patient] = rights.kind === 'granted' ? rights.patients : [];
  if (rights.kind !== 'granted' || patient === undefined) return rights;
  return { ...rights, patients: await personOf(patient, EVERYTHING, current()) };
}

/** Longest wait between two attempts at a notification, ms. */
const BACKOFF_MOST_MS = 300_000;

type SubscriptionParts = Pick<SubscriptionSettings, 'context' | 'duty' | 'current' | 'how' | 'onFailed' | 'url'> & {
  readonly guard: Guard;
  readonly identity: Pick<OpenIdentity, 'identify' | 'stands'>;
};

/** Subscriptions, and their events as server-sent events. */
export function openSubscriptions(config: Config, { identity, ...parts }: SubscriptionParts) {
  const { now } = parts.context.ambient;
  const subscriptions = new Subscriptions({
    ...parts,
    isOpen: identity.identify === undefined,
    stands: ({ client, term }) => identity.stands(client, term),
    callerOf: async (owner) =>
      callerNow({ ...owner, ...NOBODY, rights: await rightsNow(owner, parts) }, parts.current()),
    outbound: new Outbound({ allow: outboundList(config) }),
    timing: {
      now,
      random: () => randomInt(1_000_000) / 1_000_000,
      after: (ms, run) => {
        const timer = setTimeout(run, ms).unref();
        return () => clearTimeout(timer);
      },
    },
    patience: {
      attempts: config.SUBSCRIPTION_ATTEMPTS,
      baseMs: config.SUBSCRIPTION_BACKOFF_MS,
      mostMs: BACKOFF_MOST_MS,
    },
    newToken: () => randomBytes(32).toString('base64url'),
  });
  const { current, guard } = parts;
  const { latest, onRecorded } = {
    latest: (id: string) => subscriptions.latest(id),
    onRecorded: (listener: (ids: ReadonlySet<string>) => void) => subscriptions.onRecorded(listener),
  };
  const { identify } = identity;
  return {
    subscriptions,
    feed: new SubscriptionFeed({ latest, onRecorded, guard, identify, current }),
  };
}
