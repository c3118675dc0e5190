/**
 * What this server has computed or proposed itself is never an input: of a model, a score, a rule of eligibility or a drug check. One rule, by what
 * our outputs carry: the system of an identifier, of a tag or of a code. Not judged: results of other software, which say nothing of themselves here.
 */
import { isJsonObject, type Json, type Resource } from '../fhir/resource.ts';

export const ORIGIN_SYSTEM = 'urn:firewatch:origin';
export const EVALUATION_SYSTEM = 'urn:firewatch:evaluation';
export const MODEL_SYSTEM = 'urn:firewatch:model';
export const MONITOR_SYSTEM = 'urn:firewatch:monitor';
export const ALERT_SYSTEM = 'urn:firewatch:alert';
/** Tag of a proposal of this server. */
export const PROPOSAL_TAG = { system: ORIGIN_SYSTEM, code: 'proposal', display: 'proposed by this server' } as const;

const OWN: ReadonlySet<Json | undefined> = new Set([EVALUATION_SYSTEM, MODEL_SYSTEM, MONITOR_SYSTEM, ALERT_SYSTEM]);

const isOwn = (value: Json): boolean => isJsonObject(value) && OWN.has(value.system);
const hasOwn = (values: Json | undefined): boolean => Array.isArray(values) && values.some(isOwn);
const isCodedOwn = (concept: Json | undefined): boolean => isJsonObject(concept) && hasOwn(concept.coding);

/** True for a request with the tag that is still a proposal; whoever orders it changes its `intent`, and then it counts. */
function isOwnProposal({ meta, intent }: Resource): boolean {
  if (intent !== 'proposal' || !isJsonObject(meta) || !Array.isArray(meta.tag)) return false;
  return meta.tag.some((tag) => isJsonObject(tag) && tag.system === ORIGIN_SYSTEM && tag.code === PROPOSAL_TAG.code);
}

/**
 * True for what this server has made: RiskAssessments, Observations of scores, Flags and requests to tell, and orders as long as they are its
 * proposals. A result counts as ours when a client stored it, too: its code says so.
 */
export function isOwnOutput(resource: Resource): boolean {
  const { identifier, meta, code, method } = resource;
  if (resource.intent !== undefined) return isOwnProposal(resource);
  return hasOwn(identifier) || (isJsonObject(meta) && hasOwn(meta.tag)) || isCodedOwn(code) || isCodedOwn(method);
}

/** Lists without our own outputs, by the list as it was gathered: several models look at one. Lists never change. */
const others = new WeakMap<readonly Resource[], readonly Resource[]>();
/** The resources that we have not made; the list itself where it holds none of ours. */
export function withoutOwnOutput(resources: readonly Resource[]): readonly Resource[] {
  const known = others.get(resources);
  if (known !== undefined) return known;
  const found = resources.some(isOwnOutput) ? resources.filter((resource) => !isOwnOutput(resource)) : resources;
  others.set(resources, found);
  return found;
}
