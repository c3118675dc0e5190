/** THE table of hooks: which context fields each has, which are required, which may stand in a prefetch template. Source: CDS Hooks 2.0.1 hook library, standards table "Hook contexts". */

/** id: bare FHIR id of `target`; user: `Type/id`; references: array of `Type/id`; bundle: Bundle of resources; resource: one resource of `type`. */
type FieldKind =
  | { readonly kind: 'id'; readonly target: string }
  | { readonly kind: 'user' }
  | { readonly kind: 'reference' }
  | { readonly kind: 'references' }
  | { readonly kind: 'bundle' }
  | { readonly kind: 'resource'; readonly type: string }
  | { readonly kind: 'any' };

export type ContextField = FieldKind & {
  readonly required: boolean;
  /** May stand in a template as `{{context.<field>}}`: only primitives at the root of the context. */
  readonly token: boolean;
};
export interface Hook {
  readonly fields: Readonly<Record<string, ContextField>>;
  /** The Bundle of orders that are judged; a hook without one has none to judge. */
  readonly orders?: string;
  /** Fields whose resources are known of the patient although no store holds them yet. */
  readonly recorded?: readonly string[];
  /** What the user has overridden for an order is not told again. */
  readonly remembersOverrides?: true;
  /** Da Vinci CRD: an answer has a list of system actions, also an empty one. */
  readonly hasSystemActions?: true;
  /** Version of the hook's definition; told by discovery of CDS Hooks 3.0 only. */
  readonly version: string;
}

const user = { kind: 'user', required: true, token: true } as const;
const maybeUser = { ...user, required: false } as const;
const patient = { kind: 'id', target: 'Patient', required: true, token: true } as const;
const encounter = { kind: 'id', target: 'Encounter', required: true, token: true } as const;
const maybeEncounter = { ...encounter, required: false } as const;
const bundle = { kind: 'bundle', required: true, token: false } as const;
const references = { kind: 'references', required: true, token: false } as const;

/** Deprecated hooks (medication-prescribe, order-review) are left out: order-select and order-sign replace them. */
const TABLE = {
  'patient-view': { version: '1.0', fields: { userId: user, patientId: patient, encounterId: maybeEncounter } },
  'order-select': {
    version: '1.0',
    fields: {
      userId: user,
      patientId: patient,
      encounterId: maybeEncounter,
      selections: references,
      draftOrders: bundle,
    },
    orders: 'draftOrders',
  },
  'order-sign': {
    version: '1.1',
    fields: { userId: user, patientId: patient, encounterId: maybeEncounter, draftOrders: bundle },
    orders: 'draftOrders',
    remembersOverrides: true,
    hasSystemActions: true,
  },
  'order-dispatch': {
    version: '1.1',
    hasSystemActions: true,
    fields: {
      patientId: patient,
      dispatchedOrders: references,
      performer: { kind: 'reference', required: true, token: true },
      fulfillmentTasks: { kind: 'any', required: false, token: false },
    },
  },
  'encounter-start': { version: '1.0', fields: { userId: user, patientId: patient, encounterId: encounter } },
  'encounter-discharge': { version: '1.0', fields: { userId: user, patientId: patient, encounterId: encounter } },
  'appointment-book': {
    version: '1.0',
    hasSystemActions: true,
    fields: { userId: user, patientId: patient, encounterId: maybeEncounter, appointments: bundle },
  },
  'allergyintolerance-create': {
    version: '1.0',
    fields: {
      userId: user,
      patientId: patient,
      encounterId: maybeEncounter,
      allergyIntolerance: { kind: 'resource', type: 'AllergyIntolerance', required: true, token: false },
    },
    recorded: ['allergyIntolerance'],
  },
  'problem-list-item-create': {
    version: '1.0',
    fields: { userId: user, patientId: patient, encounterId: maybeEncounter, conditions: bundle },
    recorded: ['conditions'],
  },
  'medication-refill': {
    version: '0.1',
    fields: { userId: maybeUser, patientId: patient, encounterId: maybeEncounter, medications: bundle },
    orders: 'medications',
  },
} as const satisfies Record<string, Hook>;

/** Hooks by name; a service on any other hook is refused at start-up. */
export const HOOKS: ReadonlyMap<string, Hook> = new Map<string, Hook>(Object.entries(TABLE));

/** Tokens that come from `context.userId`, by the user's resource type. */
export const USER_TOKENS: ReadonlyMap<string, string> = new Map([
  ['userPractitionerId', 'Practitioner'],
  ['userPractitionerRoleId', 'PractitionerRole'],
  ['userPatientId', 'Patient'],
  ['userRelatedPersonId', 'RelatedPerson'],
]);

/** True when `{{token}}` may stand in a template of the hook: CDS Hooks 2.0 has no FHIRPath and nothing deeper than the context's root. */
export function isLegalToken(hook: Hook, token: string): boolean {
  if (USER_TOKENS.has(token)) return hook.fields.userId !== undefined;
  return token.startsWith('context.') && hook.fields[token.slice('context.'.length)]?.token === true;
}
