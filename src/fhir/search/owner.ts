/**
 * Resources that are nobody's record but somebody's all the same: of who made them. The mark is in the resource, so that each version, old and new,
 * says whose it was; it is the server's, and its rows are searched by no client. Source: docs/authorization.md#subscriptions, decision 0049.
 */
import { isJsonObject, type Resource } from '../resource.ts';
import type { IndexEntry, ParameterKey, Predicate } from './algebra.ts';
import { NONE } from './simplify.ts';

/** Types whose resources belong to who made them. */
export const OWNED: ReadonlySet<string> = new Set(['Subscription']);
/** Extension with the mark of the owner (valueString). */
export const OWNER_URL = 'https://firewatch.example/fhir/StructureDefinition/owner';

const keyOf = (type: string): ParameterKey => `${type}.$owner`;

/** Whose a resource is; undefined: nobody's. */
export function ownerIn({ resourceType, extension }: Resource): string | undefined {
  if (!OWNED.has(resourceType) || !Array.isArray(extension)) return undefined;
  const marks = extension.filter(isJsonObject).filter(({ url }) => url === OWNER_URL);
  const [first] = marks.map(({ valueString }) => valueString);
  return typeof first === 'string' ? first : undefined;
}

/** The resource as `owner`'s, whatever it said before; undefined: nobody's. */
export function withOwner(resource: Resource, owner: string | undefined): Resource {
  const { extension = [], ...rest } = resource;
  if (!Array.isArray(extension)) return resource; // which no validation passes
  const others = extension.filter((each) => !isJsonObject(each) || each.url !== OWNER_URL);
  const own = owner === undefined ? [] : [{ url: OWNER_URL, valueString: owner }];
  const all = [...others, ...own];
  return all.length === 0 ? { ...rest, resourceType: resource.resourceType } : { ...resource, extension: all };
}

/** Rows of a resource, for any type that is not owned none. */
export function ownerRows(resource: Resource): readonly IndexEntry[] {
  const code = ownerIn(resource);
  if (code === undefined) return [];
  return [{ kind: 'token', parameter: keyOf(resource.resourceType), system: '', code, group: 0 }];
}

/** What of an owned type is somebody's; nothing when it is not known who they are. */
export function belongingTo(type: string, owner: string | undefined): Predicate {
  return owner === undefined ? NONE : { kind: 'token', parameter: keyOf(type), system: '', code: owner };
}
