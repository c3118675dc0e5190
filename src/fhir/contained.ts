/** Contained resources and the fragments that point at them. Source: references.html#contained, constraints dom-2 to dom-5 and ref-1. */

import { isJsonObject, type Json, type JsonObject } from './resource.ts';
import type { Findings } from './validation/finding.ts';
import { referencedType } from './validation/reference-target.ts';

/** What a contained resource has and has not: dom-2, dom-4, dom-5. */
export function reportContained(value: JsonObject, findings: Findings): void {
  if (typeof value.id !== 'string') findings.report('required', 'A contained resource has an id.', 'id');
  if (value.contained !== undefined) {
    findings.report('invariant', 'dom-2: a contained resource holds no contained resources.', 'contained');
  }
  const meta = isJsonObject(value.meta) ? value.meta : {};
  if (meta.versionId !== undefined || meta.lastUpdated !== undefined) {
    findings.report('invariant', 'dom-4: a contained resource has no versionId and no lastUpdated.', 'meta');
  }
  if (meta.security !== undefined) {
    findings.report('invariant', 'dom-5: a contained resource has no security label.', 'meta');
  }
}

/** Type a reference tells, its fragment noted and checked: ref-1. */
export function pointed(reference: string, types: ReadonlySet<string>, findings: Findings): string | undefined {
  if (!reference.startsWith('#')) return referencedType(reference, types);
  const { scope } = findings;
  if (reference === '#') {
    if (scope.inside !== undefined) scope.upward.add(scope.inside);
    return undefined;
  }
  const id = reference.slice(1);
  scope.used.add(id);
  const type = scope.contained.get(id);
  if (type === undefined) findings.report('invariant', 'ref-1: the fragment names no contained resource.', 'reference');
  return type !== undefined && types.has(type) ? type : undefined;
}

/** Ids of contained resources -> their types. */
export function containedTypes(contained: Json): ReadonlyMap<string, string> {
  const types = new Map<string, string>();
  for (const each of Array.isArray(contained) ? contained : []) {
    if (isJsonObject(each) && typeof each.id === 'string' && typeof each.resourceType === 'string')
      types.set(each.id, each.resourceType);
  }
  return types;
}

/** dom-3, and ids that are not unique within the resource. */
export function reportUnreferenced(contained: Json, findings: Findings): void {
  const { used, upward } = findings.scope;
  const seen = new Set<string>();
  for (const [index, each] of (Array.isArray(contained) ? contained : []).entries()) {
    const id = isJsonObject(each) && typeof each.id === 'string' ? each.id : undefined;
    if (id === undefined) continue;
    findings.path.push('contained', index);
    if (seen.has(id)) findings.report('invariant', 'Two contained resources have the same id.', 'id');
    else if (!used.has(id) && !upward.has(id)) {
      findings.report('invariant', 'dom-3: a contained resource is referred to, or refers to its container.');
    }
    seen.add(id);
    findings.path.length -= 2;
  }
}
