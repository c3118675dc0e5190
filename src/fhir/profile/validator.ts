/**
 * Validation as the server does it: base R4, and the profiles a resource claims. Source: FHIR R4 validation.html, profiling.html, resource.html#Meta.
 * A resource that claims no profile costs what the base costs.
 */

import { containedTypes } from '../contained.ts';
import type { Definitions } from '../definitions/definitions.ts';
import type { Issue } from '../outcome.ts';
import { plainJson } from '../path/fhirpath.ts';
import { isJsonObject, type Json, type Resource } from '../resource.ts';
import { Findings } from '../validation/finding.ts';
import { validator } from '../validation/validate.ts';
import { ProfileChecks } from './check.ts';
import { BaseInvariants, resourceItem } from './invariant.ts';
import type { Judging } from './item.ts';
import { urlOf } from './profile.ts';

const BASE = 'http://hl7.org/fhir/StructureDefinition/';
/** Steps of FHIRPath that the constraints of one resource may take together; beyond, what is left is not judged. */
const STEPS = 2_000_000;
/** JSON values of the largest resource that FHIRPath is run on: some constraints compare all entries with each other (0.2 s at this size). */
const VALUES = 10_000;

/** What `$validate` asks beyond an ordinary write: constraints by FHIRPath, and profiles that the resource need not claim. */
export interface Asked {
  /** Canonicals. */
  readonly profiles: readonly string[];
}

/**
 * A function that returns every finding. On a write: base R4; when that holds, each profile in meta.profile that is held. A profile that is not
 * held is a warning: nobody can say that the resource breaks it. With `asked`: the same, and base constraints by FHIRPath, and the profiles asked,
 * of which one that is not held is an error (resource-operation-validate.html).
 */
export function conformanceValidator(
  definitions: Definitions,
): (resource: Resource, asked?: Asked) => readonly Issue[] {
  const base = validator(definitions);
  const checks = new ProfileChecks(definitions);
  const invariants = new BaseInvariants(definitions);
  return (resource, asked) => {
    const found = base(resource);
    if (!isJsonObject(resource) || !definitions.resourceTypes.has(resource.resourceType)) return found;
    const claimed = claimedProfiles(resource);
    if (asked === undefined && (claimed.length === 0 || found.some(isError))) return found;
    const deeply = asked !== undefined || claimed.some(({ canonical }) => checks.profile(canonical) !== undefined);
    const at = judging(resource, deeply);
    for (const claim of [...claimed, ...(asked?.profiles ?? []).map(unclaimed)]) judge(claim, resource, checks, at);
    if (deeply) invariants.check(resourceItem(resource, resource.resourceType), at);
    return merged(found, at.findings.issues());
  };
}

interface Claim {
  readonly canonical: string;
  /** Where the claim stands, below the resource. */
  readonly path: readonly (string | number)[];
}

function claimedProfiles({ meta }: Resource): readonly Claim[] {
  const profiles = meta !== undefined && isJsonObject(meta) ? meta.profile : undefined;
  if (!Array.isArray(profiles)) return [];
  return profiles.flatMap((canonical: unknown, index) =>
    typeof canonical === 'string' ? [{ canonical, path: ['meta', 'profile', index] }] : [],
  );
}

const unclaimed = (canonical: string): Claim => ({ canonical, path: [] });

/** @param deeply something will be evaluated: else the copy is spared */
function judging(resource: Resource, deeply: boolean): Judging {
  const container = deeply ? plainJson(resource) : {};
  return {
    findings: new Findings(resource.resourceType),
    contained: resource.contained === undefined ? new Map() : containedTypes(resource.contained),
    resource: container,
    container,
    budget: { steps: deeply && size(container, VALUES) > VALUES ? -1 : STEPS },
    noted: new Set(),
  };
}

/** JSON values in a value, counted as far as `limit`. */
function size(value: Json, limit: number): number {
  let found = 0;
  const open: Json[] = [value];
  for (let each = open.pop(); each !== undefined && found <= limit; each = open.pop()) {
    found++;
    if (Array.isArray(each)) for (const entry of each) open.push(entry);
    else if (isJsonObject(each)) for (const child of Object.values(each)) if (child !== undefined) open.push(child);
  }
  return found;
}

function judge({ canonical, path }: Claim, resource: Resource, checks: ProfileChecks, at: Judging): void {
  const type = resource.resourceType;
  const key = `profile ${canonical}`;
  if (at.noted.has(key) || urlOf(canonical) === BASE + type) return;
  at.noted.add(key);
  const { findings } = at;
  const profile = checks.profile(canonical);
  if (profile?.type === type) checks.check(profile)(resourceItem(resource, type), at);
  else {
    findings.path.push(...path);
    if (profile !== undefined)
      findings.report('profile-structure', `The profile ${profile.url} is for ${profile.type}.`);
    else {
      const message = 'The profile is not held: the resource was not validated against it.';
      findings.report('profile-unknown', message, undefined, path.length === 0 ? undefined : 'warning');
    }
    findings.path.length -= path.length;
  }
}

const isError = ({ severity }: Issue): boolean => severity === undefined || severity === 'error';
const place = ({ kind, expression }: Issue): string => `${kind.replace('profile-', '')} ${expression ?? ''}`;

/** Errors first, those of the base before others; what a profile repeats of them, or another profile has said, is left out. */
function merged(base: readonly Issue[], further: readonly Issue[]): readonly Issue[] {
  const places = new Set(base.map(place));
  const texts = new Set<string>();
  const added = further.filter((issue) => {
    const text = `${place(issue)} ${issue.message}`;
    if (texts.has(text) || (issue.kind !== 'invariant' && places.has(place(issue)))) return false;
    texts.add(text);
    return true;
  });
  if (added.length === 0) return base;
  const all = [...base, ...added];
  return [...all.filter(isError), ...all.filter((issue) => !isError(issue))];
}
