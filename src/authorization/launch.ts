/** Launch contexts: what an EHR tells an app it starts, and what a grant was given. Source: SMART App Launch 2.2, "Launch context". */
import { randomBytes } from 'node:crypto';
import type { Command, ResourceStore } from '../store/port.ts';
import { type GivenReason, isReason } from './emergency.ts';
import { isObject, isTextOrAbsent, Records } from './records.ts';
import { hashed } from './token-id.ts';

export interface LaunchContext {
  readonly patient?: string | undefined;
  readonly encounter?: string | undefined;
  readonly intent?: string | undefined;
  readonly needPatientBanner?: boolean | undefined;
  /** `fhirContext`: references besides the patient and the encounter. */
  readonly references?: readonly string[] | undefined;
  /** Of emergency access: why, with the text sealed. */
  readonly emergency?: GivenReason | undefined;
}
/** A launch that an EHR opened and an app may take once. */
export interface OpenLaunch extends LaunchContext {
  /** The only client that may take it; undefined: any registered one. */
  readonly client?: string | undefined;
  /** The only user who may, as `Practitioner/12`; undefined: any. */
  readonly user?: string | undefined;
}

function isContext(value: unknown): value is OpenLaunch {
  return (
    isObject(value) &&
    [value.patient, value.encounter, value.intent, value.client, value.user].every(isTextOrAbsent) &&
    (value.emergency === undefined || isReason(value.emergency)) &&
    (value.needPatientBanner === undefined || typeof value.needPatientBanner === 'boolean')
  );
}

const isText = (value: unknown): value is string => typeof value === 'string';

export const LAUNCH_MS = 5 * 60_000;

export class Launches {
  readonly #store: ResourceStore;
  readonly #open: Records<OpenLaunch>;
  readonly #granted: Records<LaunchContext>;
  readonly #online: Records<string>;
  readonly #now: () => number;

  constructor(store: ResourceStore, now: () => number) {
    this.#store = store;
    this.#now = now;
    this.#open = new Records(store, 'oauth.launch', isContext, now);
    this.#granted = new Records(store, 'oauth.grant-context', isContext, now);
    this.#online = new Records(store, 'oauth.session-grant', isText, now);
  }

  /** @returns the handle, good once and for five minutes; only its hash is kept */
  async open(launch: OpenLaunch): Promise<string> {
    const handle = randomBytes(32).toString('base64url');
    const command = this.#open.set(hashed(handle), launch, { expiresAt: this.#now() + LAUNCH_MS });
    await this.#store.commit({ commands: [command], audit: [] });
    return handle;
  }

  async find(handle: string): Promise<OpenLaunch | undefined> {
    return (await this.#open.get(hashed(handle)))?.value;
  }

  /** The command that uses a launch up; its commit conflicts when another did. */
  async take(handle: string): Promise<Command | undefined> {
    const held = await this.#open.get(hashed(handle));
    return held && { ...this.#open.remove(held.key), expect: held.text };
  }

  /** The command that keeps what a grant was given, for its tokens. */
  keep(grantId: string, context: LaunchContext, expiresAt: number): Command {
    return this.#granted.set(grantId, context, { expiresAt });
  }

  /** The command that ties a grant to a session: it ends with the user's sign-out. */
  bind(session: string, grantId: string, expiresAt: number): Command {
    return this.#online.set(`${session}:${grantId}`, grantId, { expiresAt });
  }

  async onlineGrants(session: string): Promise<readonly string[]> {
    return session === '' ? [] : (await this.#online.list(`${session}:`)).map(({ value }) => value);
  }

  async ofGrant(grantId: string): Promise<LaunchContext | undefined> {
    return (await this.#granted.get(grantId))?.value;
  }
}
