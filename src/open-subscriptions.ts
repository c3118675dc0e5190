/** Subscriptions as configured: what they may call, what they mean, with the real time and randomness. */
import { randomBytes, randomInt } from 'node:crypto';
import type { Config } from './config.ts';
import { outboundList } from './open-outside.ts';
import { Outbound } from './outbound/outbound.ts';
import { localCaller, localFacts } from './rest/caller.ts';
import type { RestContext } from './rest/context.ts';
import { type SubscriptionSettings, Subscriptions } from './subscriptions/desk.ts';
import type { Understanding } from './subscriptions/subscription.ts';
import { loadTopics } from './subscriptions/topic.ts';

/**
 * What a Subscription can mean here. Until an identity provider is configured, its subscriber may see everything.
 * @param folder profiles/topic
 */
export function understanding(config: Config, context: RestContext, folder: string): Understanding {
  const { capability, parseSearch, planSearch } = context;
  const meaning = { capability, parseSearch, planSearch };
  const { refusal } = outboundList(config);
  const { access } = localCaller(localFacts('', ''));
  return { ...meaning, topics: loadTopics(folder, meaning), access, refusal };
}

/** Longest wait between two attempts at a notification, ms. */
const BACKOFF_MOST_MS = 300_000;

export function openSubscriptions(
  config: Config,
  parts: Pick<SubscriptionSettings, 'context' | 'current' | 'how' | 'guard' | 'onFailed' | 'url'>,
): Subscriptions {
  const { now } = parts.context.ambient;
  return new Subscriptions({
    ...parts,
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
}
