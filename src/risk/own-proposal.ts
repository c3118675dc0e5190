/** What this server has proposed itself: never an input of a model, never a drug that is taken, until somebody makes it an order. */
import { isJsonObject, type Resource } from '../fhir/resource.ts';

export const ORIGIN_SYSTEM = 'urn:firewatch:origin';
/** Tag of a proposal of this server. */
export const PROPOSAL_TAG = { system: ORIGIN_SYSTEM, code: 'proposal', display: 'proposed by this server' } as const;

/** True for a request with the tag that is still a proposal; whoever orders it changes its `intent`, and then it counts. */
export function isOwnProposal({ meta, intent }: Resource): boolean {
  if (intent !== 'proposal' || !isJsonObject(meta) || !Array.isArray(meta.tag)) return false;
  return meta.tag.some((tag) => isJsonObject(tag) && tag.system === ORIGIN_SYSTEM && tag.code === PROPOSAL_TAG.code);
}
