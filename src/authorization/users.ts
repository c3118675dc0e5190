/** Users who sign in: name, password, role, who they are in the record, second factor. Source: NIST SP 800-63B-4; RFC 6238 (TOTP). */
import { randomBytes } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';
import { PATIENT_ROLE } from '../smart/scopes.ts';
import type { AuditRow, Command, ResourceStore } from '../store/port.ts';
import { endTokensOf } from './adapter.ts';
import { isPassword, PASSWORD_LENGTH, passwordHash } from './password.ts';
import { isObject, isTextOrAbsent, Records } from './records.ts';
import type { Seal } from './seal.ts';

/** Patients sign in without a second factor, everyone else with one. */
export const needsSecondFactor = (role: string): boolean => role !== PATIENT_ROLE;
const ROLE = /^[a-z][a-z0-9-]{0,63}$/;

export interface UserRecord {
  /** Opaque, never used again: `sub` of tokens. */
  readonly id: string;
  readonly name: string;
  /** A file of roles/ by this name says what it may do. */
  readonly role: string;
  /** `Practitioner/12`, `Patient/7`: relative to the FHIR base. */
  readonly fhirUser: string;
  readonly passwordHash: string;
  /** Sealed secret of the second factor. */
  readonly totp?: string | undefined;
  readonly disabled: boolean;
  readonly demo: boolean;
}
function isUserRecord(value: unknown): value is UserRecord {
  return (
    isObject(value) &&
    [value.id, value.name, value.fhirUser, value.passwordHash].every((each) => typeof each === 'string') &&
    typeof value.role === 'string' &&
    ROLE.test(value.role) &&
    isTextOrAbsent(value.totp) &&
    typeof value.disabled === 'boolean'
  );
}
const isText = (value: unknown): value is string => typeof value === 'string';

export interface NewUser {
  readonly name: string;
  readonly role: string;
  readonly fhirUser: string;
  /** undefined: one is made. */
  readonly password?: string | undefined;
  readonly demo?: boolean;
  /** Base32, for the demonstration; undefined: one is made when the role needs it. */
  readonly totpSecret?: string | undefined;
}
/** What the operator is shown once. */
export interface Credentials {
  readonly password: string;
  /** `otpauth://` URI for an authenticator app. */
  readonly totpUri: string | undefined;
}
export interface UserGround {
  readonly store: ResourceStore;
  readonly seal: Seal;
  now(): number;
  newId(): string;
}

const newPassword = (): string => randomBytes(15).toString('base64url');
const NAME = /^[a-z0-9][a-z0-9._@-]{0,63}$/;
const FHIR_USER = /^(?:Practitioner|PractitionerRole|Patient|RelatedPerson|Person)\/[A-Za-z0-9\-.]{1,64}$/;
const PERIOD_S = 30;
const ISSUER = 'Firewatch';

export class Users {
  readonly #ground: UserGround;
  readonly #records: Records<UserRecord>;
  /** User id -> name, which records are kept by. */
  readonly #names: Records<string>;
  /** User id -> the last time step whose code was used: a code is good once. */
  readonly #steps: Records<string>;

  constructor(ground: UserGround) {
    this.#ground = ground;
    this.#records = new Records(ground.store, 'oauth.user', isUserRecord, ground.now);
    this.#names = new Records(ground.store, 'oauth.user-id', isText, ground.now);
    this.#steps = new Records(ground.store, 'oauth.totp-step', isText, ground.now);
  }

  /** By the name they type; upper case and blanks around do not matter. */
  async byName(name: string): Promise<UserRecord | undefined> {
    const key = name.trim().toLowerCase();
    return NAME.test(key) ? (await this.#records.get(key))?.value : undefined;
  }

  async byId(id: string): Promise<UserRecord | undefined> {
    const name = (await this.#names.get(id))?.value;
    return name === undefined ? undefined : this.byName(name);
  }

  async list(): Promise<readonly UserRecord[]> {
    return (await this.#records.list()).map(({ value }) => value);
  }

  /** @throws TypeError saying why there can be no such user */
  async add(user: NewUser, audit: readonly AuditRow[] = []): Promise<Credentials> {
    const { name, role, fhirUser, demo = false } = user;
    if (!NAME.test(name)) throw new TypeError('The name must be 1 to 64 small letters, digits, `.`, `_`, `@` or `-`.');
    if (!ROLE.test(role)) throw new TypeError('The role must be the name of a file of roles, without `.json`.');
    if (!FHIR_USER.test(fhirUser))
      throw new TypeError('`--fhir-user` must be a reference such as `Practitioner/12` or `Patient/7`.');
    if ((role === PATIENT_ROLE) !== /^(?:Patient|RelatedPerson|Person)\//.test(fhirUser))
      throw new TypeError(
        'A patient is a `Patient/`, `RelatedPerson/` or `Person/`; every other role is a `Practitioner/` or `PractitionerRole/`.',
      );
    const password = user.password ?? newPassword();
    if (password.length < PASSWORD_LENGTH.least || password.length > PASSWORD_LENGTH.most)
      throw new TypeError(`The password must have ${PASSWORD_LENGTH.least} to ${PASSWORD_LENGTH.most} characters.`);
    const id = this.#ground.newId();
    const factor = needsSecondFactor(role) ? this.#factor(id, name, user.totpSecret) : undefined;
    const record: UserRecord = {
      ...{ id, name, role, fhirUser, disabled: false, demo },
      passwordHash: await passwordHash(password),
      ...(factor === undefined ? {} : { totp: factor.sealed }),
    };
    const commands = [this.#records.set(name, record, { expect: null }), this.#names.set(id, name)];
    if (!(await this.#ground.store.commit({ commands, audit })).ok) throw new TypeError(`There is a user \`${name}\`.`);
    return { password, totpUri: factor?.uri };
  }

  /** No sign-in from now on, and no token either. @throws TypeError when there is none */
  async disable(name: string, audit: readonly AuditRow[] = []): Promise<void> {
    const user = await this.byName(name);
    const ended = user === undefined ? [] : await endTokensOf({ accountId: user.id }, this.#ground.store);
    await this.#change(name, (changed) => ({ ...changed, disabled: true }), audit, ended);
  }

  /** @throws TypeError when there is none */
  async enable(name: string, audit: readonly AuditRow[] = []): Promise<void> {
    await this.#change(name, (user) => ({ ...user, disabled: false }), audit);
  }

  /** @returns the new password. @throws TypeError when there is no such user */
  async resetPassword(name: string, audit: readonly AuditRow[] = []): Promise<string> {
    const password = newPassword();
    const changed = await passwordHash(password);
    await this.#change(name, (user) => ({ ...user, passwordHash: changed }), audit);
    return password;
  }

  /** @returns the URI of the new second factor. @throws TypeError when there is no such user, or the role has none */
  async resetTotp(name: string, audit: readonly AuditRow[] = []): Promise<string> {
    const user = await this.byName(name);
    if (user !== undefined && !needsSecondFactor(user.role))
      throw new TypeError('A patient has no second factor here.');
    const factor = this.#factor(user?.id ?? '', name, undefined);
    await this.#change(name, (changed) => ({ ...changed, totp: factor.sealed }), audit);
    return factor.uri;
  }

  /** Whether the password is the user's; takes as long for a user who is not there or may not sign in. */
  async proves(user: UserRecord | undefined, password: string): Promise<boolean> {
    return isPassword(password, user === undefined || user.disabled ? undefined : user.passwordHash);
  }

  /** Whether a code of the second factor is good: of this half minute, the one before or after, and not used yet. */
  async provesFactor(user: UserRecord, code: string): Promise<boolean> {
    if (user.totp === undefined || !/^\d{6}$/.test(code)) return false;
    const totp = totpOf(user.name, this.#ground.seal.open(user.totp, `totp:${user.id}`));
    const timestamp = this.#ground.now();
    const delta = totp.validate({ token: code, timestamp, window: 1 });
    if (delta === null) return false;
    const step = Math.floor(timestamp / 1000 / PERIOD_S) + delta;
    const last = await this.#steps.get(user.id);
    if (last !== undefined && Number(last.value) >= step) return false;
    const used = this.#steps.set(user.id, String(step), { expect: last?.text ?? null });
    return (await this.#ground.store.commit({ commands: [used], audit: [] })).ok;
  }

  #factor(id: string, name: string, base32: string | undefined) {
    const secret = base32 ?? new Secret({ size: 20 }).base32;
    return { sealed: this.#ground.seal.close(secret, `totp:${id}`), uri: totpOf(name, secret).toString() };
  }

  async #change(
    name: string,
    change: (user: UserRecord) => UserRecord,
    audit: readonly AuditRow[],
    also: readonly Command[] = [],
  ): Promise<void> {
    const held = await this.#records.get(name.trim().toLowerCase());
    if (held === undefined) throw new TypeError(`There is no user \`${name}\`.`);
    const set = this.#records.set(held.key, change(held.value), { expect: held.text });
    if (!(await this.#ground.store.commit({ commands: [set, ...also], audit })).ok)
      throw new TypeError('The user was changed meanwhile: try again.');
  }
}

/** SHA-1, six digits, 30 seconds: what every authenticator app can do. */
function totpOf(name: string, base32: string): TOTP {
  return new TOTP({
    issuer: ISSUER,
    label: name,
    algorithm: 'SHA1',
    digits: 6,
    period: PERIOD_S,
    secret: Secret.fromBase32(base32),
  });
}
