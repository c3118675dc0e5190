/**
 * Tokens that bind websockets, kept in the store under their hashes, so that one is made at any process and redeemed at any other, once.
 * Source: Subscriptions R5 Backport 1.1.0, $get-ws-binding-token.
 */
import { createHash } from 'node:crypto';
import type { ResourceStore } from '../store/port.ts';

/** How long a token can be used, ms. */
const TOKEN_MS = 300_000;
const SPACE = 'subscription.binding';

/** What a token binds, and for whom. */
export interface Binding {
  readonly ids: readonly string[];
  readonly principal: string;
  /** They may see everything. */
  readonly seesAll: boolean;
}
type BindingStore = Pick<ResourceStore, 'commit' | 'keyed'>;

/** @param now ms */
export async function keepBinding(
  token: string,
  binding: Binding,
  now: number,
  store: BindingStore,
): Promise<{ readonly expiresAt: number }> {
  const expiresAt = now + TOKEN_MS;
  const value = JSON.stringify(binding);
  const { ok } = await store.commit({
    commands: [{ op: 'set', space: SPACE, key: keyOf(token), value, expiresAt }],
    audit: [],
  });
  if (!ok) throw new Error('A token could not be kept.');
  return { expiresAt };
}

/** Good once: who overhears it is late. @returns undefined when it was never made, was used or has expired */
export async function redeemBinding(token: string, now: number, store: BindingStore): Promise<Binding | undefined> {
  const key = keyOf(token);
  const kept = await store.keyed(SPACE, key);
  if (kept === undefined || (kept.expiresAt ?? 0) <= now) return undefined;
  const { ok } = await store.commit({
    commands: [{ op: 'set', space: SPACE, key, value: undefined, expect: kept.value }],
    audit: [],
  });
  // Only `keepBinding` writes these values.
  return ok ? (JSON.parse(kept.value) as Binding) : undefined;
}

const keyOf = (token: string): string => createHash('sha256').update(token).digest('hex');
