/**
 * Calls that nobody sent, before the server says that it is ready: code is compiled and models run once, so that no clinician waits for it.
 * Nothing of them is read from the store, written, audited or counted. Source: docs/cds-hooks.md#a-call.
 */
import { auditRow } from '../../audit.ts';
import type { Json, JsonObject, Resource } from '../../fhir/resource.ts';
import { localCaller, localFacts } from '../../rest/permission/caller.ts';
import type { ResourceStore } from '../../store/port.ts';
import { demonstrationClient } from '../clients/client.ts';
import { type ContextField, HOOKS } from '../hook/hooks.ts';
import type { CdsParts, Sender } from '../parts.ts';
import type { Service } from '../services/service.ts';
import { Answered } from './answered.ts';
import { invoke } from './invoke.ts';

/** The first rehearsal compiles, the next ones run what was compiled. */
const ROUNDS = 3;
/** A slow machine is ready without having rehearsed everything. ms */
const LONGEST_MS = 3000;
const ID = 'rehearsal';
const INSTANCE = '00000000-0000-4000-8000-000000000000';
const SUBJECT = { reference: `Patient/${ID}` };

/**
 * Calls each service a few times. Never rejects: what fails here fails in the first real call, and is reported there.
 * @returns how many things went wrong
 */
export async function rehearse(services: readonly Service[], parts: CdsParts): Promise<number> {
  const from: Sender = {
    client: demonstrationClient([]),
    replay: undefined,
    caller: localCaller(localFacts(ID, '127.0.0.1')),
  };
  let faults = 0;
  const stage = staged(parts, () => faults++);
  const startedAt = parts.ambient.now();
  for (let round = 0; round < ROUNDS; round++) {
    for (const service of services) {
      if (parts.ambient.now() - startedAt > LONGEST_MS) return faults;
      await invoke(service, JSON.stringify(callOf(service, startedAt)), from, stage);
    }
  }
  return faults;
}

/** Holds nothing and keeps nothing. Whole, since a store of the server is of a class: what is copied of it has no methods. */
const NOTHING: ResourceStore = {
  commit: async () => ({ ok: true, at: 0, versions: [], auditIds: [] }),
  read: async () => undefined,
  history: async () => ({ matches: [], next: undefined }),
  search: async () => ({ matches: [], next: undefined }),
  searchTypes: async () => ({ matches: [], next: undefined }),
  count: async () => 0,
  countTypes: async () => ({ count: 0, exact: true }),
  stamp: () => undefined,
  askedStamp: async () => undefined,
  kept: async () => undefined,
  keyed: async () => undefined,
  keyedPage: async () => [],
  changes: async () => [],
  versionsAbout: async () => [],
  latestSequence: async () => 0,
  subjectKeys: (patients) => patients,
  ping: async () => undefined,
  close: async () => undefined,
};

/** The room with walls of paper: reads find nothing, writes go nowhere, audit rows are made and dropped. */
function staged(parts: CdsParts, failed: () => void): CdsParts {
  // Without a policy nothing is restricted: the Consents of a store that holds nothing are not asked for.
  const { policy: _none, ...context } = parts.context;
  const source = { observer: parts.fhirBase, address: '127.0.0.1' };
  return {
    ...parts,
    context: {
      ...context,
      store: NOTHING,
      audit: (access) => auditRow(access, NOTHING.subjectKeys, ID, source, context.indexEntries),
      report: failed,
    },
    door: async () => ({ status: 404, headers: {}, body: '{}' }),
    answered: new Answered(),
    observe: () => undefined,
    measure: () => undefined,
  };
}

function callOf({ hook, prefetch }: Service, at: number): object {
  const { fields = {} } = HOOKS.get(hook) ?? {};
  return {
    hook,
    hookInstance: INSTANCE,
    context: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, fieldValue(field)])),
    prefetch: Object.fromEntries(Object.entries(prefetch).map(([key, template]) => [key, answerTo(template, at)])),
  };
}

const DRAFT = order('draft', 'clarithromycin 500 MG Oral Tablet', 'draft');

function fieldValue(field: ContextField): Json {
  switch (field.kind) {
    case 'id':
      return ID;
    case 'user':
      return `Practitioner/${ID}`;
    case 'reference':
      return `MedicationRequest/${DRAFT.id}`;
    case 'references':
      return [`MedicationRequest/${DRAFT.id}`];
    case 'bundle':
      return bundle([DRAFT]);
    case 'resource':
      return { resourceType: field.type, patient: SUBJECT, code: { text: 'penicillin' } };
    case 'any':
      return null;
    default:
      return field satisfies never;
  }
}

/** What the template asks for, of a patient in an emergency who takes two drugs. */
function answerTo(template: string, at: number): Json {
  const [type = ''] = template.split(/[/?]/);
  if (type === 'Patient') return { resourceType: 'Patient', id: ID, birthDate: '1950-01-01', gender: 'female' };
  return bundle(KNOWN[type]?.(new Date(at - 600_000).toISOString()) ?? []);
}

const KNOWN: Readonly<Record<string, (before: string) => readonly Resource[]>> = {
  MedicationRequest: () => [order('a', 'simvastatin 40 MG Oral Tablet', 'active'), order('b', 'warfarin', 'active')],
  Observation: (before) => MEASURED.map(([code, value, unit]) => observation(code, value, unit, before)),
  Encounter: (before) => [
    {
      resourceType: 'Encounter',
      id: ID,
      status: 'in-progress',
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'EMER' },
      subject: SUBJECT,
      period: { start: before },
      reasonCode: [{ text: 'chest pain' }],
    },
  ],
};

/** LOINC code, value, UCUM unit: vital signs, leukocytes and creatinine. */
const MEASURED = [
  ['8867-4', 118, '/min'],
  ['9279-1', 26, '/min'],
  ['8310-5', 38.9, 'Cel'],
  ['59408-5', 91, '%'],
  ['8480-6', 92, 'mm[Hg]'],
  ['6690-2', 17, '10*3/uL'],
  ['2160-0', 1.8, 'mg/dL'],
] as const;

function observation(code: string, value: number, unit: string, effectiveDateTime: string): Resource {
  return {
    resourceType: 'Observation',
    id: `${ID}-${code}`,
    status: 'final',
    subject: SUBJECT,
    code: { coding: [{ system: 'http://loinc.org', code }] },
    effectiveDateTime,
    valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit },
  };
}

function order(id: string, text: string, status: string): Resource {
  return {
    resourceType: 'MedicationRequest',
    id: `${ID}-${id}`,
    status,
    intent: 'order',
    subject: SUBJECT,
    medicationCodeableConcept: { text },
  };
}

const bundle = (resources: readonly Resource[]): JsonObject => ({
  resourceType: 'Bundle',
  type: 'searchset',
  entry: resources.map((resource) => ({ resource })),
});
