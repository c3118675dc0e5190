/** One patient as recorded, read through the door in few searches: every read is audited as this server's own. */
import { isJsonObject, type Json, parseOwnJson, type Resource } from '../fhir/resource.ts';
import { instantText } from '../fhir/time.ts';
import type { FhirResponse } from '../rest/request.ts';

/** Asks the door as the monitor. */
export type Ask = (method: 'GET' | 'POST', path: string, query: string, body?: string) => Promise<FhirResponse>;

export interface Recorded {
  readonly patient: Resource;
  readonly resources: readonly Resource[];
  /** False when there was more than is read. */
  readonly complete: boolean;
}

/** What inputs and rules of eligibility are read from, besides Observations. */
const TYPES = [
  ...['Encounter', 'Condition', 'MedicationRequest', 'MedicationAdministration', 'Procedure', 'ServiceRequest'],
  ...['DiagnosticReport', 'Specimen', 'CarePlan', 'Flag', 'Goal'],
];
/** Types outside the compartment that those point at. */
const POINTED_AT = ['Medication', 'Location'] as const;
const PAGE = 500;
const PAGES = 4;
const HOUR_MS = 3_600_000;

/** undefined when the patient is not held (any more). @throws Error when the door does not answer */
export async function readRecord(
  id: string,
  at: number,
  lookbackHours: number,
  ask: Ask,
): Promise<Recorded | undefined> {
  const since = instantText(at - lookbackHours * HOUR_MS);
  const [patient, others, observations] = await Promise.all([
    readOne('Patient', id, ask),
    found(`/Patient/${id}/*`, `_type=${TYPES.join(',')}&_count=${PAGE}`, ask),
    found('/Observation', `patient=${id}&date=ge${since}&_sort=-date&_count=${PAGE}`, ask),
  ]);
  if (patient === undefined) return undefined;
  const own = [...observations.resources, ...others.resources];
  const further = await Promise.all(POINTED_AT.map((type) => pointedAt(type, own, ask)));
  return {
    patient,
    resources: [...own, ...further.flat()],
    complete: observations.complete && others.complete,
  };
}

/** One resource; undefined when it is not there. */
export async function readOne(type: string, id: string, ask: Ask): Promise<Resource | undefined> {
  const { status, body } = await ask('GET', `/${type}/${id}`, '');
  if (status === 404 || status === 410) return undefined;
  const [read] = [bodyOf(status, body)].filter(isResource);
  return read;
}

/** Resources of a search and its next pages. */
export async function found(path: string, query: string, ask: Ask) {
  const resources: Resource[] = [];
  let asked: string | undefined = query;
  for (let page = 0; asked !== undefined && page < PAGES; page++) {
    const { status, body } = await ask('GET', path, asked);
    const bundle = bodyOf(status, body);
    resources.push(...objects(bundle.entry).flatMap(({ resource }) => (isResource(resource) ? [resource] : [])));
    const next = objects(bundle.link).find(({ relation }) => relation === 'next')?.url;
    asked = typeof next === 'string' ? next.slice(next.indexOf('?') + 1) : undefined;
  }
  return { resources, complete: asked === undefined };
}

async function pointedAt(type: string, own: readonly Resource[], ask: Ask): Promise<readonly Resource[]> {
  const prefix = `${type}/`;
  const ids = new Set<string>();
  const visit = (value: Json | undefined): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    if (!isJsonObject(value)) return;
    const { reference } = value;
    if (typeof reference === 'string' && reference.startsWith(prefix)) ids.add(reference.split('/')[1] ?? '');
    for (const name of Object.keys(value)) if (typeof value[name] === 'object') visit(value[name]);
  };
  for (const resource of own) if (resource.resourceType !== 'Observation') visit(resource);
  if (ids.size === 0) return [];
  return (await found(`/${type}`, `_id=${[...ids].slice(0, PAGE).join(',')}&_count=${PAGE}`, ask)).resources;
}

function bodyOf(status: number, body: string | undefined) {
  const value = status === 200 && body !== undefined ? parseOwnJson(body) : undefined;
  if (isJsonObject(value)) return value;
  throw new Error(`A read of the monitor was answered ${status}.`);
}

const objects = (value: Json | undefined) => (Array.isArray(value) ? value.filter(isJsonObject) : []);
const isResource = (value: Json | undefined): value is Resource =>
  isJsonObject(value) && typeof value.resourceType === 'string';
