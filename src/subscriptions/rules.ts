/** What a write of a Subscription must keep to, and what of it is stored. Source: FHIR R4 subscription.html; docs/subscriptions.md. */
import type { Issue } from '../fhir/outcome.ts';
import type { Resource } from '../fhir/resource.ts';
import { ownerIn } from '../fhir/search/owner.ts';
import type { Caller, Ruled } from '../rest/context.ts';
import { isAlike } from '../rest/wire/canonical.ts';
import { storedResource } from '../rest/wire/represent.ts';
import type { StoredVersion } from '../store/port.ts';
import { withheld } from './header.ts';
import { assertMayHear, setOwner } from './owner.ts';
import { type Understanding, understand } from './subscription.ts';

/**
 * The rules of writes by clients. A subscription that asks to be served (`requested`, `active`) is checked entirely; one that is `off` or in
 * `error` is stored and never served. Only the server makes one `active`: from a client that is a request. Who asks is kept with what they may see.
 */
export function subscriptionRules(how: Understanding, now: () => number) {
  return (resource: Resource, current: StoredVersion | undefined, caller: Caller): Ruled => {
    const held = current?.text === undefined ? undefined : storedResource(current.text);
    const isAnothers = held !== undefined && ownerIn(held) !== ownerIn(resource);
    const { resource: kept, keeps } = withheld(resource, resource.id ?? '', isAnothers);
    const { status } = resource;
    if (status !== 'requested' && status !== 'active') return { resource: kept, findings: [], also: keeps };
    if (status === 'active' && held !== undefined && isAlike(kept, held)) {
      return { resource: kept, findings: [], also: keeps };
    }
    const found = understand(resource, how);
    const isOver = 'understood' in found && found.understood.end !== undefined && found.understood.end <= now();
    const findings: readonly Issue[] = isOver ? [OVER] : found.issues;
    if ('understood' in found) assertMayHear(found.understood, caller);
    const owner = setOwner(resource.id ?? '', (current?.version ?? 0) + 1, caller);
    return { resource: { ...kept, status: 'requested' }, findings, also: [...keeps, owner] };
  };
}

const OVER: Issue = { kind: 'business-rule', message: 'The end has passed.', expression: 'Subscription.end' };
