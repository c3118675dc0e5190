/** Callers as data, so that a request can be answered on another thread. */
import type { AccessFilter } from '../fhir/search/algebra.ts';
import type { Caller } from './context.ts';

/** Everything of a caller except the access filter, which is made again on the thread that answers. */
export type CallerFacts = Omit<Caller, 'access'>;

const EVERYTHING = { kind: 'all' } as const;

/** Without identity provider: one principal who may do everything, on loopback only. */
export function localFacts(requestId: string, address: string): CallerFacts {
  return { principal: 'local', client: { system: undefined, value: 'local' }, user: undefined, address, requestId };
}

/** The caller with the access filter of a server without identity provider. */
export function localCaller(facts: CallerFacts): Caller {
  const access: AccessFilter = { principal: facts.principal, visible: () => EVERYTHING };
  return { ...facts, access };
}

/** What crosses to another thread of a caller. */
export function factsOf({ access: _access, ...facts }: Caller): CallerFacts {
  return facts;
}
