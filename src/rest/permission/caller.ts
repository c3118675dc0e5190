/** Callers as data, so that a request can be answered on another thread. */

import type { Rights } from '../../smart/scopes.ts';
import type { Caller } from '../context.ts';

/** Everything of a caller except the access filter, which is made again on the thread that answers: smart/access.ts. */
export type CallerFacts = Omit<Caller, 'access'>;

const EVERYTHING: Rights = { kind: 'everything' };

/** Without identity provider: one principal who may do everything, on loopback only. */
export function localFacts(requestId: string, address: string): CallerFacts {
  const client = { system: undefined, value: 'local' };
  return { principal: 'local', client, user: undefined, address, requestId, rights: EVERYTHING };
}

/** Who shows no token, or one that does not hold, where there is an identity provider. */
export function strangerFacts(requestId: string, address: string): CallerFacts {
  const client = { system: undefined, value: 'anonymous' };
  return { principal: '', client, user: undefined, address, requestId, rights: { kind: 'nothing' } };
}

/** The server's own work, and a server without identity provider: a caller who may do everything. */
export function localCaller(facts: CallerFacts): Caller {
  return { ...facts, rights: EVERYTHING, access: { principal: facts.principal, visible: () => ({ kind: 'all' }) } };
}

/** What crosses to another thread of a caller. */
export function factsOf({ access: _access, ...facts }: Caller): CallerFacts {
  return facts;
}
