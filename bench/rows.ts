/** THE table: what is measured. Each row makes its requests and knows what a right answer looks like. */
import { randomUUID } from 'node:crypto';
import {
  creating,
  LOINC,
  medicationOf,
  observationId,
  observationOf,
  patientId,
  patientOf,
  searchset,
  withoutId,
} from './data.ts';

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly body?: string;
}
/** What requests are made from. `end` is the ms the data ends on. */
export interface Ground {
  readonly patients: number;
  readonly end: number;
}
export interface Row {
  readonly name: string;
  /** Requests (or resources, see `resources`) per second of CPU time that are aimed at; undefined when none is. */
  readonly goal: number | undefined;
  /** Resources written by one request; the goal then counts these. */
  readonly resources?: number;
  readonly status: number;
  /** The nth request; requests repeat after `different`. */
  call(index: number, ground: Ground): Call;
  readonly different: number;
  /** It adds to the patients, so it is measured when the rows that read them are done. */
  readonly writes?: true;
  /** A hook call, also measured with one caller, and cold; `given`: it brings all it needs. */
  readonly hook?: 'given' | 'fetched';
  /** True for a right answer to `call(0)`. */
  right(body: Body): boolean;
}
/** The parts of answers that rows look at. */
export interface Body {
  readonly resourceType?: string;
  readonly id?: string;
  readonly entry?: readonly {
    readonly resource?: { readonly resourceType?: string };
    readonly search?: { readonly mode?: string };
  }[];
  readonly cards?: readonly { readonly summary?: string; readonly detail?: string }[];
}

const DAY = 86_400_000;
/** A hook instance of its own for each call of a run: the same call sent again within seconds is answered from memory. */
const RUN = randomUUID().slice(0, 24);
const instance = (index: number): string => RUN + index.toString(16).padStart(12, '0');
/** Spreads indexes over patients without repeating neighbours. */
const spread = (index: number, patients: number): number => (index * 7919) % patients;
const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

function hookBody(index: number, hook: string, context: object, prefetch: object | undefined): string {
  return JSON.stringify({ hook, hookInstance: instance(index), context, prefetch });
}

function viewCall(index: number, { patients, end }: Ground, given: boolean): Call {
  const patient = spread(index, patients);
  const observations = Array.from({ length: 10 }, (_, number) => observationOf(patient, number, end));
  const empty = searchset([]);
  const prefetch = {
    patient: patientOf(patient),
    vitals: searchset(observations.slice(0, 6)),
    labs: searchset(observations.slice(6)),
    pregnancy: empty,
    conditions: empty,
    encounters: empty,
    goals: empty,
  };
  const context = { userId: 'Practitioner/bench-1', patientId: patientId(patient) };
  const body = hookBody(index, 'patient-view', context, given ? prefetch : undefined);
  return { method: 'POST', path: '/cds-services/deterioration-sepsis', body };
}

/** An emergency encounter under way: without one triage has nothing to say. */
function triageCall(index: number, { patients, end }: Ground): Call {
  const patient = spread(index, patients);
  const encounter = {
    resourceType: 'Encounter',
    id: 'bench-emergency',
    status: 'in-progress',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'EMER' },
    subject: { reference: `Patient/${patientId(patient)}` },
    period: { start: new Date(end - 3_600_000).toISOString() },
    reasonCode: [{ text: 'chest pain' }],
  };
  const prefetch = {
    patient: patientOf(patient),
    vitals: searchset(Array.from({ length: 8 }, (_, number) => observationOf(patient, number, end))),
    encounters: { resourceType: 'Bundle', type: 'searchset', entry: [{ resource: encounter }] },
    ...Object.fromEntries(
      ['diagnoses', 'orders', 'medications', 'procedures', 'conditions', 'goals', 'answers'].map((key) => [key, null]),
    ),
  };
  const context = { userId: 'Practitioner/bench-1', patientId: patientId(patient) };
  return { method: 'POST', path: '/cds-services/triage', body: hookBody(index, 'patient-view', context, prefetch) };
}

/** Services that read what they need of our own store, one for each hook that no other row calls, and a trained model. */
const FETCHING = {
  'hook-start-fetched': { hook: 'encounter-start', service: 'sepsis-3-start' },
  'hook-discharge-fetched': { hook: 'encounter-discharge', service: 'readmission-discharge' },
  'hook-allergy-fetched': { hook: 'allergyintolerance-create', service: 'allergy-create' },
  'hook-trained-fetched': { hook: 'patient-view', service: 'sepsis-icu' },
} as const satisfies Record<string, { readonly hook: string; readonly service: string }>;

function fetchingCall(index: number, { patients }: Ground, name: keyof typeof FETCHING): Call {
  const { hook, service } = FETCHING[name];
  const id = patientId(spread(index, patients));
  const allergyIntolerance = {
    resourceType: 'AllergyIntolerance',
    id: 'bench-new',
    patient: { reference: `Patient/${id}` },
    code: { text: 'simvastatin' },
  };
  const context = { userId: 'Practitioner/bench-1', patientId: id, encounterId: 'bench-stay', allergyIntolerance };
  return { method: 'POST', path: `/cds-services/${service}`, body: hookBody(index, hook, context, undefined) };
}

/** The hooks of the drug check: what they call the orders, and what else is in their context. */
const ORDER_HOOKS = {
  select: { hook: 'order-select', orders: 'draftOrders', more: { selections: ['MedicationRequest/draft-1'] } },
  sign: { hook: 'order-sign', orders: 'draftOrders', more: {} },
  refill: { hook: 'medication-refill', orders: 'medications', more: {} },
} as const;

function orderCall(name: keyof typeof ORDER_HOOKS, index: number, { patients, end }: Ground): Call {
  const { hook, orders, more } = ORDER_HOOKS[name];
  const patient = spread(index, patients);
  const draft = {
    resourceType: 'MedicationRequest',
    id: 'draft-1',
    status: 'draft',
    intent: 'order',
    subject: { reference: `Patient/${patientId(patient)}` },
    medicationCodeableConcept: {
      coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '21212', display: 'clarithromycin' }],
      text: 'Clarithromycin 500 mg oral tablet',
    },
  };
  const draftOrders = { resourceType: 'Bundle', type: 'collection', entry: [{ resource: draft }] };
  const context = {
    userId: 'Practitioner/bench-1',
    patientId: patientId(patient),
    [orders]: draftOrders,
    ...more,
  };
  const empty = searchset([]);
  const medications = searchset([0, 1, 2, 3].map((number) => medicationOf(patient, number, end)));
  const prefetch = {
    medications,
    stopped: empty,
    statements: empty,
    allergies: empty,
    patient: patientOf(patient),
    labs: empty,
    conditions: empty,
    encounters: empty,
    procedures: empty,
    pulse: empty,
    glucose: empty,
  };
  return {
    method: 'POST',
    path: `/cds-services/drug-interactions-${name}`,
    body: hookBody(index, hook, context, prefetch),
  };
}

const matches = ({ entry = [] }: Body): number => entry.filter(({ search }) => search?.mode === 'match').length;

/** Cards, none of which says that a key was not received: the call brought all that its service asks for. */
const broughtAll = ({ cards = [] }: Body): boolean =>
  cards.length > 0 && cards.every(({ detail = '' }) => !detail.includes('Not received'));

export const ROWS: readonly Row[] = [
  {
    name: 'read',
    goal: 8000,
    status: 200,
    different: 2000,
    call: (index, { patients }) => {
      const patient = spread(index, patients);
      const key =
        index % 10 < 7 ? `Patient/${patientId(patient)}` : `Observation/${observationId(patient, index % 100)}`;
      return { method: 'GET', path: `/fhir/${key}` };
    },
    right: ({ resourceType, id }) => resourceType === 'Patient' && id === patientId(0),
  },
  {
    name: 'search-patient-code',
    goal: 4000,
    status: 200,
    different: 2000,
    call: (index, { patients }) => {
      const code = ['8867-4', '9279-1', '2345-7', '718-7'][index % 4];
      return {
        method: 'GET',
        path: `/fhir/Observation?patient=${patientId(spread(index, patients))}&code=${LOINC}%7C${code}`,
      };
    },
    right: (body) => matches(body) >= 10,
  },
  {
    name: 'search-complex',
    goal: 1500,
    status: 200,
    different: 200,
    call: (index, { end }) => {
      const from = end - (2 + (index % 7)) * DAY;
      const query = `code=${LOINC}%7C8867-4&date=ge${day(from)}&date=lt${day(from + DAY)}&value-quantity=gt${90 + (index % 20)}`;
      return { method: 'GET', path: `/fhir/Observation?${query}&_sort=-date&_include=Observation:subject&_count=20` };
    },
    right: (body) => matches(body) === 20 && (body.entry?.length ?? 0) > 20,
  },
  {
    name: 'history',
    goal: 3000,
    status: 200,
    different: 200,
    call: (index, { patients }) => ({
      method: 'GET',
      path: `/fhir/Patient/${patientId(spread(index, Math.min(50, patients)))}/_history`,
    }),
    right: ({ entry }) => entry?.length === 4,
  },
  {
    name: 'create',
    writes: true,
    goal: 2000,
    status: 201,
    different: 1000,
    call: (index, { patients, end }) => ({
      method: 'POST',
      path: '/fhir/Observation',
      body: JSON.stringify(withoutId(observationOf(spread(index, patients), index % 100, end))),
    }),
    right: ({ resourceType }) => resourceType === 'Observation',
  },
  {
    name: 'transaction-50',
    writes: true,
    goal: 3000,
    resources: 50,
    status: 200,
    different: 50,
    call: (index, { patients, end }) => ({
      method: 'POST',
      path: '/fhir',
      body: JSON.stringify(creating(spread(index, patients), 50, end)),
    }),
    right: ({ entry }) => entry?.length === 50,
  },
  {
    name: 'hook-scores-given',
    goal: 4000,
    status: 200,
    different: 500,
    call: (index, ground) => viewCall(index, ground, true),
    right: ({ cards }) => cards !== undefined,
    hook: 'given',
  },
  {
    name: 'hook-scores-fetched',
    goal: undefined,
    status: 200,
    different: 20_000,
    call: (index, ground) => viewCall(index, ground, false),
    right: ({ cards }) => cards !== undefined,
    hook: 'fetched',
  },
  {
    name: 'hook-triage',
    goal: undefined,
    status: 200,
    different: 500,
    call: triageCall,
    right: ({ cards }) => cards?.length === 1,
    hook: 'given',
  },
  ...(['select', 'sign', 'refill'] as const).map(
    (name): Row => ({
      name: `hook-drugs-${name}`,
      goal: name === 'sign' ? 4000 : undefined,
      status: 200,
      different: 500,
      call: (index, ground) => orderCall(name, index, ground),
      right: broughtAll,
      hook: 'given',
    }),
  ),
  ...(['hook-start-fetched', 'hook-discharge-fetched', 'hook-allergy-fetched', 'hook-trained-fetched'] as const).map(
    (name): Row => ({
      name,
      goal: undefined,
      status: 200,
      different: 20_000,
      call: (index, ground) => fetchingCall(index, ground, name),
      right: ({ cards }) => cards !== undefined,
      hook: 'fetched',
    }),
  ),
];

/** A thousand entries, for what the rest feels while they load. */
export function bulkCall(index: number, { patients, end }: Ground): Call {
  return { method: 'POST', path: '/fhir', body: JSON.stringify(creating(spread(index, patients), 1000, end)) };
}
/** Just below the size that leaves the main thread. */
export function mediumCall(index: number, { patients, end }: Ground): Call {
  return { method: 'POST', path: '/fhir', body: JSON.stringify(creating(spread(index, patients), 44, end)) };
}
export const PROBES: readonly Row[] = [
  {
    name: 'bulk-1000',
    goal: undefined,
    resources: 1000,
    status: 200,
    different: 4,
    call: bulkCall,
    right: ({ entry }) => entry?.length === 1000,
  },
  {
    name: 'bundle-below-threshold',
    goal: undefined,
    resources: 44,
    status: 200,
    different: 20,
    call: mediumCall,
    right: ({ entry }) => entry?.length === 44,
  },
  {
    name: 'live',
    goal: undefined,
    status: 200,
    different: 1,
    call: () => ({ method: 'GET', path: '/health/live' }),
    right: () => true,
  },
];
