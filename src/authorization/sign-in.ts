/** Signing in: name and password, then the second factor where the role requires it. One message for every failure; each is counted and audited before it is answered. */
import type { AuditRow, ResourceStore } from '../store/port.ts';
import type { Attempts } from './attempts.ts';
import { Records } from './records.ts';
import { hashed } from './token-id.ts';
import type { AuditOf, Peer } from './trail.ts';
import { needsSecondFactor, type UserRecord, type Users } from './users.ts';

export interface SignInGround {
  readonly store: ResourceStore;
  readonly users: Users;
  readonly attempts: Attempts;
  readonly audit: AuditOf;
  now(): number;
}

export type SignedIn =
  | { readonly state: 'in'; readonly user: UserRecord; readonly factors: readonly string[] }
  | { readonly state: 'code'; readonly problem?: string }
  | { readonly state: 'refused'; readonly problem: string };

const PENDING_MS = 5 * 60_000;
const REFUSED =
  'The name, the password or the code is wrong, or there were too many attempts. Wait a while before you try again.';

const isText = (value: unknown): value is string => typeof value === 'string';

export class SignIn {
  readonly #ground: SignInGround;
  /** Who has shown their password and not yet their code, by interaction. */
  readonly #pending: Records<string>;

  constructor(ground: SignInGround) {
    this.#ground = ground;
    this.#pending = new Records(ground.store, 'oauth.pending-login', isText, ground.now);
  }

  /** Whether an interaction waits for the second factor. */
  async waitsForCode(interaction: string): Promise<boolean> {
    return (await this.#pending.get(hashed(interaction))) !== undefined;
  }

  async password(interaction: string, client: string, name: string, password: string, peer: Peer): Promise<SignedIn> {
    const { users, attempts, now } = this.#ground;
    const admission = await attempts.begin(name, peer.address);
    if (admission === 'locked') return this.#refused(client, undefined, peer, 'locked');
    const user = await users.byName(name);
    if (!(await users.proves(user, password)) || user === undefined)
      return this.#refused(client, user, peer, admission === 'locked-now' ? 'lock-out' : 'password');
    if (!needsSecondFactor(user.role)) return this.#admitted(client, user, ['pwd'], peer);
    await attempts.returned(name, peer.address);
    const pending = this.#pending.set(hashed(interaction), user.id, { expiresAt: now() + PENDING_MS });
    await this.#ground.store.commit({ commands: [pending], audit: [] });
    return { state: 'code' };
  }

  async code(interaction: string, client: string, code: string, peer: Peer): Promise<SignedIn> {
    const { users, attempts } = this.#ground;
    const held = await this.#pending.get(hashed(interaction));
    const user = held && (await users.byId(held.value));
    if (user === undefined || user.disabled) return this.#refused(client, undefined, peer, 'expired');
    const admission = await attempts.begin(user.name, peer.address);
    if (admission !== 'locked' && (await users.provesFactor(user, code.trim()))) {
      await this.#ground.store.commit({ commands: [this.#pending.remove(hashed(interaction))], audit: [] });
      return this.#admitted(client, user, ['pwd', 'otp', 'mfa'], peer);
    }
    await this.#refused(client, user, peer, admission === 'try' ? 'code' : 'lock-out');
    return { state: 'code', problem: REFUSED };
  }

  async #admitted(client: string, user: UserRecord, factors: readonly string[], peer: Peer): Promise<SignedIn> {
    const { audit, attempts } = this.#ground;
    await attempts.succeeded(user.name, peer.address);
    await this.#written([audit({ interaction: 'login', peer, client, user: user.fhirUser, status: 200 })]);
    return { state: 'in', user, factors };
  }

  async #refused(client: string, user: UserRecord | undefined, peer: Peer, reason: string): Promise<SignedIn> {
    const { audit } = this.#ground;
    const event = { peer, client, user: user?.fhirUser, status: 401, description: reason } as const;
    const lockOut = reason === 'lock-out' ? [audit({ ...event, interaction: 'lock-out' })] : [];
    await this.#written([audit({ ...event, interaction: 'login' }), ...lockOut]);
    return { state: 'refused', problem: REFUSED };
  }

  async #written(audit: readonly AuditRow[]): Promise<void> {
    await this.#ground.store.commit({ commands: [], audit });
  }
}
