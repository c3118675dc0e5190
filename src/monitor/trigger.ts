/** Which rules a change concerns, and whom it is about. */
import { isJsonObject, type Json, type Resource } from '../fhir/resource.ts';
import { storedResource } from '../rest/wire/represent.ts';
import { effectiveAt } from '../risk/features/observation.ts';
import { isOwnOutput } from '../risk/own-output.ts';
import type { ResourceStore, StoredVersion } from '../store/port.ts';
import type { MonitorRule } from './rule.ts';

/** Statuses that take back what was said. */
const TAKEN_BACK: ReadonlySet<Json | undefined> = new Set(['entered-in-error', 'cancelled']);

/** What a change asks for. */
export interface Concern {
  /** Ids of Patients: of this version, and of the one it replaces when it was moved. */
  readonly patients: readonly string[];
  readonly rules: readonly MonitorRule[];
  /** `Type/id` of what no longer holds. */
  readonly withdrawn: string | undefined;
  /** When the newest fact is from, ms; undefined when it has no time. */
  readonly effective: number | undefined;
}

/** undefined when no rule is concerned. Cost: one parse, and one more with a read by key for what replaces another version. */
export async function concernOf(
  version: StoredVersion,
  rules: readonly MonitorRule[],
  store: ResourceStore,
): Promise<Concern | undefined> {
  const { key } = version;
  const ofType = rules.filter(({ triggers }) => triggers.some(({ type }) => type === key.type));
  if (ofType.length === 0) return undefined;
  const previous = version.version > 1 ? await store.read(key, version.version - 1) : undefined;
  const now = resourceOf(version);
  const before = resourceOf(previous);
  if (now !== undefined && isOwnOutput(now)) return undefined;
  const concerned = ofType.filter(({ triggers }) =>
    triggers.some(
      ({ type, codes }) =>
        type === key.type && (codes === undefined || [now, before].some((each) => hasCode(each, new Set(codes)))),
    ),
  );
  const patients = [...new Set([...version.patients, ...(previous?.patients ?? [])])];
  if (concerned.length === 0 || patients.length === 0) return undefined;
  const moved = previous?.patients.some((id) => !version.patients.includes(id)) === true;
  const isGone = version.deleted || TAKEN_BACK.has(now?.status) || moved;
  return {
    patients,
    rules: concerned,
    withdrawn: isGone ? `${key.type}/${key.id}` : undefined,
    effective: now?.resourceType === 'Observation' ? effectiveAt(now) : undefined,
  };
}

function resourceOf(version: StoredVersion | undefined): Resource | undefined {
  return version?.text === undefined ? undefined : storedResource(version.text);
}

/** True when the code, or a component's, is one of these in any system. */
function hasCode(resource: Resource | undefined, codes: ReadonlySet<string>): boolean {
  const components = Array.isArray(resource?.component) ? resource.component.filter(isJsonObject) : [];
  return [resource?.code, ...components.map(({ code }) => code)].some((concept) => {
    const codings = isJsonObject(concept) && Array.isArray(concept.coding) ? concept.coding.filter(isJsonObject) : [];
    return codings.some(({ code }) => typeof code === 'string' && codes.has(code));
  });
}
