/**
 * In whose name a subscription is served: who last asked for it, with what they might see then. Kept beside the resource, since a resource can
 * say anything of itself. Source: docs/authorization.md; FHIR R4 subscription.html#safety.
 */

import type { Caller } from '../rest/context.ts';
import type { CallerFacts } from '../rest/permission/caller.ts';
import { assertInScope } from '../rest/permission/permission.ts';
import type { Command } from '../store/port.ts';
import type { Understood } from './subscription.ts';
import { typesOf } from './trigger.ts';

/** Enough to ask as they would: no address, no request. */
export type Owner = Pick<CallerFacts, 'principal' | 'client' | 'user' | 'rights' | 'term'>;

/** `id/version` -> Owner, until the recorder has taken it into the row of the subscription. */
export const OWNERS = 'subscription.owner';
export const ownerKey = (id: string, version: number): string => `${id}/${version}`;

/** The command that says in whose name a version is served. */
export function setOwner(id: string, version: number, { principal, client, user, rights, term }: Caller): Command {
  const kept = { principal, client, user, rights: lasting(rights) };
  const owner: Owner = term === undefined ? kept : { ...kept, term };
  return { op: 'set', space: OWNERS, key: ownerKey(id, version), value: JSON.stringify(owner) };
}

/** Emergency access is of the moment: it is never kept for later. */
function lasting(rights: Owner['rights']): Owner['rights'] {
  if (rights.kind !== 'granted' || rights.situation?.breakGlass === undefined) return rights;
  const { breakGlass: _moment, ...situation } = rights.situation;
  return { ...rights, situation };
}

/** What is kept of an owner; undefined for what is none: such a subscription is nobody's. */
export function ownerIn(value: unknown): Owner | undefined {
  return isOwner(value) ? value : undefined;
}

/** We wrote it ourselves; what is asked of it here is what a filter is made of. */
function isOwner(value: unknown): value is Owner {
  const { principal, client, rights } = Object(value);
  return (
    typeof principal === 'string' &&
    typeof client?.value === 'string' &&
    (rights?.kind === 'everything' || (rights?.kind === 'granted' && Array.isArray(rights.scopes)))
  );
}

/** The same text for the same rights; linked records of the launch's patient come and go without changing them. */
export function rightsOf(owner: Owner | undefined): string {
  if (owner?.rights.kind !== 'granted') return owner?.rights.kind ?? '';
  const { patients, ...others } = owner.rights;
  return JSON.stringify([others, patients[0]]);
}

/** @throws FhirError `insufficient-scope` (403) for who may not search and read what the subscription would tell of */
export function assertMayHear(understood: Understood, caller: Caller): void {
  for (const type of typesOf(understood)) assertInScope(type, ['search', 'read'], caller);
}

/** Why nothing is told in somebody's name any more; for Subscription.error. */
export const OVER = 'The rights of who asked for it have ended. Write it again as `requested`.';
