/** Tells two predicates apart without keeping them. */
import { createHash } from 'node:crypto';
import type { Predicate } from '../../fhir/search/algebra.ts';

/** The same for what differs only in the order of parts: threads meet the same rules in another order. */
export function fingerprint(predicate: Predicate): string {
  return createHash('sha256')
    .update(JSON.stringify(inOrder(predicate)))
    .digest('base64url');
}

function inOrder(predicate: Predicate): unknown {
  switch (predicate.kind) {
    case 'and':
    case 'or':
      return [predicate.kind, predicate.of.map((each) => JSON.stringify(inOrder(each))).toSorted()];
    case 'not':
      return ['not', inOrder(predicate.of)];
    case 'chain':
    case 'has':
      return [predicate.kind, predicate.type, predicate.parameter, inOrder(predicate.where)];
    case 'ids':
      return ['ids', predicate.ids.toSorted()];
    case 'reference':
      return ['reference', predicate.parameter, predicate.targets.toSorted(), predicate.version ?? ''];
    default:
      return predicate;
  }
}
