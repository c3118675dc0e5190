// The CDS room with the real definitions, claims, search parser and manifests; models, drug knowledge, door and store are stand-ins that record.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newestOf } from '../../models/train/newest.ts';
import type { Access } from '../../src/audit.ts';
import type { Card, CardKind } from '../../src/cds/cards/card.ts';
import type { CardedModels } from '../../src/cds/cards/demonstration.ts';
import { HEADINGS, lintCard } from '../../src/cds/cards/lint.ts';
import { buildCds, type Cds, type CdsOptions } from '../../src/cds/cds.ts';
import { draftOrders } from '../../src/cds/hook/draft-orders.ts';
import type { CdsEvent } from '../../src/cds/parts.ts';
import { loadCapability } from '../../src/fhir/definitions/capability.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { fhirError, operationOutcome } from '../../src/fhir/outcome.ts';
import { conformanceValidator } from '../../src/fhir/profile/validator.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { parseSearch } from '../../src/fhir/search/query.ts';
import type { Caller, RestContext } from '../../src/rest/context.ts';
import type { FhirResponse, WireRequest } from '../../src/rest/request.ts';
import type { Assessment, Evidence, Manifest, Models } from '../../src/risk/assessment.ts';
import type { DrugSafety, Finding } from '../../src/risk/drugs/finding.ts';
import { loadTriage } from '../../src/risk/triage/triage.ts';
import type { AccessPolicy } from '../../src/smart/policy.ts';
import type { Keyed } from '../../src/store/port.ts';

export const ROOT = join(import.meta.dirname, '..', '..');
export const AT = Date.parse('2026-01-15T12:00:00Z');
export const FHIR_BASE = 'http://127.0.0.1:8080/fhir';
export const INSTANCE = 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea';

const definitions = loadDefinitions(join(ROOT, 'profiles'));
const capability = loadCapability(readFileSync(join(ROOT, 'capability-statement.json'), 'utf8'), definitions);
const validate = conformanceValidator(definitions);
const settings = {
  fhirBase: FHIR_BASE,
  referentialIntegrity: false,
  bundleEntryLimit: 100,
  defaultCount: 50,
  maxCount: 1000,
  includeLimit: 100,
  conditionalDeleteLimit: 3,
  cursorKey: new Uint8Array(16),
  softwareVersion: 'test',
};

const GRAPHS: readonly (readonly [string, Manifest])[] = [
  'news2',
  'qsofa',
  'sirs',
  'triage-vitals',
  'triage-critical-care',
  'triage-high-acuity',
  'sepsis-icu',
  'icu-mortality-24h',
  'icu-mortality-48h',
].map((id) => {
  const manifest: Manifest = JSON.parse(readFileSync(join(newestOf(id), 'manifest.json'), 'utf8'));
  return [id, manifest];
});
const SCORES: readonly (readonly [string, Manifest])[] = readdirSync(join(ROOT, 'models', 'scores')).map((name) => {
  const file = JSON.parse(readFileSync(join(ROOT, 'models', 'scores', name), 'utf8'));
  return [file.id, { ...file, sha256: 'd'.repeat(64) }];
});
export const MANIFESTS: ReadonlyMap<string, Manifest> = new Map([...GRAPHS, ...SCORES]);

const TRIAGE = loadTriage(join(ROOT, 'models'));

/** An assessment of a model that found nothing remarkable. */
export function assessment(id: string, change: Partial<Assessment> = {}): Assessment {
  const manifest = MANIFESTS.get(id);
  return {
    model: { id, version: manifest?.version ?? '1.0.0', sha256: 'a'.repeat(64) },
    answeredBy: 'model',
    outputs: { total: 0 },
    atLeast: false,
    band: manifest?.bands.at(-1)?.name,
    used: [],
    missing: [],
    ...change,
  };
}

export const FINDING: Finding = {
  kind: 'interaction',
  severity: 'contraindicated',
  key: 'interaction clarithromycin simvastatin r1',
  draft: {
    display: 'clarithromycin 500 mg',
    rxcui: '21212',
    ingredients: ['clarithromycin'],
    source: 'MedicationRequest/new',
    state: 'draft',
    at: undefined,
  },
  other: {
    display: 'simvastatin 40 mg',
    rxcui: '36567',
    ingredients: ['simvastatin'],
    source: 'MedicationRequest/old',
    state: 'active',
    at: AT,
  },
  effect: 'Raised statin levels can cause rhabdomyolysis.',
  rule: { id: 'r1', citation: 'Product label of simvastatin', url: 'https://example.org/label' },
};

/** Index rows of labels, which is all that calls ask of resources in hand. */
function extractLabels({ resourceType, meta }: Resource): readonly IndexEntry[] {
  const labels: unknown = Reflect.get(Object(meta), 'security');
  return (Array.isArray(labels) ? labels : []).map((label: unknown, group) => {
    const code = String(Reflect.get(Object(label), 'code'));
    return { kind: 'token', parameter: `${resourceType}._security`, system: '', code, group };
  });
}

const noRoom = (): never => {
  throw new Error('not used by cds');
};

/** Where every call of these tests comes from. */
export const PEER = { requestId: 'r1', address: '127.0.0.1' } as const;

export interface WorldOptions {
  readonly folder?: string;
  /** What restricts resources; nothing by default. */
  readonly policy?: AccessPolicy;
  /** Registered clients; without it whoever calls is admitted. */
  readonly clientsFolder?: string;
  readonly origins?: readonly string[];
  readonly attested?: CdsOptions['attested'];
  /** Absent: as long as no clients are registered. */
  readonly isDemonstration?: boolean;
  readonly fetchKeys?: CdsOptions['fetchKeys'];
  readonly readOutside?: CdsOptions['readOutside'];
  /** What the store keeps by key; given to a second world it is a restart. */
  readonly used?: Map<string, Keyed>;
  readonly now?: () => number;
  /** State of the store; the same for ever by default. */
  readonly stamp?: () => number | undefined;
  readonly assess?: (id: string, evidence: Evidence) => Promise<Assessment>;
  readonly findings?: readonly Finding[];
  readonly unresolved?: readonly string[];
  readonly check?: DrugSafety['check'];
  /** Real ones in place of the stand-ins. */
  readonly models?: Models;
  /** Source attributes of models, by `id|version`. */
  readonly cards?: CardedModels['cards'];
  readonly drugSafety?: DrugSafety;
  /** Answers of our own store by `path?query` prefix; anything else is an empty searchset, a read is 404. */
  readonly stored?: Readonly<Record<string, Resource>>;
  readonly door?: (wire: WireRequest, caller: Caller) => Promise<FhirResponse>;
  readonly auditFails?: boolean;
  readonly deadlineMs?: number;
  readonly overrideMs?: number;
  readonly rank?: DrugSafety['rank'];
  /** The store's lookup by key, and its commit; instead of those in memory. */
  readonly keyed?: () => Promise<Keyed | undefined>;
  readonly commit?: () => Promise<never>;
  readonly hooks3?: boolean;
}

export interface World {
  readonly cds: Cds;
  readonly reads: string[];
  /** What was reported to the log. */
  readonly faults: unknown[];
  readonly audits: Access[];
  readonly events: [CdsEvent, number][];
  readonly evidence: Evidence[];
  readonly checks: { readonly drafts: readonly Resource[]; readonly context: readonly Resource[] }[];
  call(id: string, body: unknown): Promise<{ status: number; cards: readonly Card[]; text: string }>;
}

/** A UUID of version 7: ids of calls rise with time. */
function idAt(at: number, number: number): string {
  const time = at.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${number.toString(16).padStart(12, '0')}`;
}

export const bundle = (...resources: readonly object[]): Resource => ({
  resourceType: 'Bundle',
  type: 'searchset',
  entry: resources.map((resource) => ({ resource: resource as Resource })),
});

export function world(options: WorldOptions = {}): World {
  const reads: string[] = [];
  const faults: unknown[] = [];
  const audits: Access[] = [];
  const events: [CdsEvent, number][] = [];
  const evidence: Evidence[] = [];
  const checks: { drafts: readonly Resource[]; context: readonly Resource[] }[] = [];
  const door = async (wire: WireRequest, caller: Caller): Promise<FhirResponse> => {
    const name = `${wire.path}${wire.query === '' ? '' : `?${wire.query}`}`;
    reads.push(name);
    if (options.door !== undefined) return options.door(wire, caller);
    const found = Object.entries(options.stored ?? {}).find(([prefix]) => name.startsWith(prefix))?.[1];
    if (found !== undefined) return { status: 200, headers: {}, body: JSON.stringify(found) };
    if (wire.query !== '') return { status: 200, headers: {}, body: JSON.stringify(bundle()) };
    const issues = fhirError('not-found', 'Not known.').issues;
    return { status: 404, headers: {}, body: JSON.stringify(operationOutcome(issues)) };
  };
  const models: CardedModels = options.models ?? {
    ...(options.cards === undefined ? {} : { cards: options.cards }),
    manifests: MANIFESTS,
    assess: (id, seen) => {
      evidence.push(seen);
      return options.assess?.(id, seen) ?? Promise.resolve(assessment(id));
    },
    rescore: async () => undefined,
    scoreFile: () => undefined,
    status: () => [],
    close: async () => undefined,
  };
  const drugSafety: DrugSafety = options.drugSafety ?? {
    check: (drafts, context, at) => {
      checks.push({ drafts, context });
      if (options.check !== undefined) return options.check(drafts, context, at);
      return { findings: options.findings ?? [], unresolved: options.unresolved ?? [], considered: [] };
    },
    ...(options.rank === undefined ? {} : { rank: options.rank }),
    knowledge: { version: '2026.1', sha256: 'b'.repeat(64), sources: ['test table'] },
  };
  const used = options.used ?? new Map<string, Keyed>();
  const spaces = new Map<string, string>();
  const now = options.now ?? (() => AT);
  let calls = 0;
  const context: RestContext = {
    store: {
      commit: async ({ audit, commands }) => {
        if (options.commit !== undefined) return options.commit();
        if (options.auditFails === true) throw new Error('disk full');
        for (const [index, command] of commands.entries()) {
          if (command.op !== 'set') throw new TypeError('A hook call writes nothing else.');
          if (command.expect === null && used.has(command.key))
            return { ok: false, reason: 'conflict', command: index };
          spaces.set(command.key, command.space);
          used.set(command.key, { key: command.key, value: command.value ?? '', expiresAt: command.expiresAt });
        }
        return { ok: true, at: AT, versions: [], auditIds: audit.map((_row, index) => String(index)) };
      },
      read: async () => undefined,
      history: async () => ({ matches: [], next: undefined }),
      search: async () => ({ matches: [], next: undefined }),
      searchTypes: noRoom,
      count: noRoom,
      countTypes: noRoom,
      kept: noRoom,
      stamp: options.stamp ?? (() => 1),
      askedStamp: async () => undefined,
      keyed: async (_space, key) => (options.keyed === undefined ? used.get(key) : options.keyed()),
      keyedPage: async (space, { after = '', count }) =>
        [...used.values()]
          .filter(({ key }) => key > after && spaces.get(key) === space)
          .toSorted((a, b) => (a.key < b.key ? -1 : 1))
          .slice(0, count),
      changes: noRoom,
      versionsAbout: noRoom,
      latestSequence: noRoom,
      subjectKeys: noRoom,
      ping: noRoom,
      close: noRoom,
    },
    definitions,
    capability,
    settings,
    ambient: { now, newId: () => idAt(now(), ++calls) },
    validate,
    indexEntries: extractLabels,
    ...(options.policy === undefined ? {} : { policy: options.policy }),
    patientsOf: noRoom,
    parseSearch: (type, query, handling) => parseSearch(type, query, handling, { definitions, capability, settings }),
    planSearch: noRoom,
    audit: (access) => {
      audits.push(access);
      return { form: 1, bytes: '', erasable: undefined, events: [], subjects: [] };
    },
    postedAudit: noRoom,
    report: (error) => faults.push(error),
  };
  const cds = buildCds({
    folder: options.folder ?? join(ROOT, 'cds-services'),
    clientsFolder: options.clientsFolder,
    isDemonstration: options.isDemonstration ?? options.clientsFolder === undefined,
    attested: options.attested,
    origins: options.origins ?? [],
    readOutside:
      options.readOutside ??
      (async (read) => {
        reads.push(read.path);
        throw new Error('no other server');
      }),
    fetchKeys: options.fetchKeys ?? noRoom,
    models,
    drugSafety,
    triage: TRIAGE,
    context,
    interact: door,
    settings: {
      publicUrl: 'http://127.0.0.1:8080',
      fhirBase: FHIR_BASE,
      deadlineMs: options.deadlineMs ?? 2000,
      recordMs: 1e9,
      basisMs: 1e8,
      hooks3: options.hooks3 ?? false,
      overrideMs: options.overrideMs ?? 86_400_000,
    },
    secret: new Uint8Array(32),
    ambient: context.ambient,
    observe: (event, count) => events.push([event, count]),
  });
  return {
    cds,
    reads,
    faults,
    audits,
    events,
    evidence,
    checks,
    call: async (id, body) => {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const answer = await cds.invoke(id, text, await cds.admit({ path: `/${id}`, service: id }, PEER));
      const parsed: { cards?: readonly Card[] } = JSON.parse(answer.body);
      assert.deepEqual(problemsOf(parsed.cards ?? [], text), []);
      assert.deepEqual(
        events.filter(([event]) => event === 'card-refused'),
        [],
        'every card that was built keeps the rules',
      );
      return { status: answer.status, cards: parsed.cards ?? [], text: answer.body };
    },
  };
}

/** What every card of every test must keep: the rules of the linter, and resources that our own validator takes. */
function problemsOf(cards: readonly Card[], body: string): readonly string[] {
  const drafts = draftNames(body);
  return cards.flatMap((card) => [
    ...lintCard(card, { kind: kindOf(card), drafts }),
    ...(card.suggestions ?? []).flatMap(({ actions }) =>
      actions.flatMap(({ resource }) =>
        resource === undefined
          ? []
          : validate(resource).flatMap(({ severity, message }) => (severity === 'warning' ? [] : [message])),
      ),
    ),
  ]);
}

const kindOf = ({ detail }: Card): CardKind =>
  detail.includes(HEADINGS.severity) ? 'finding' : detail.includes(HEADINGS.model) ? 'score' : 'notice';

function draftNames(body: string): ReadonlySet<string> {
  try {
    const { context = {} } = JSON.parse(body) ?? {};
    return new Set(
      draftOrders(context.draftOrders ?? context.medications ?? {}, undefined).orders.map(({ reference }) => reference),
    );
  } catch {
    return new Set();
  }
}

/** Every prefetch key of the patient-view services, present and empty. */
export const PATIENT = { resourceType: 'Patient', id: '1288992', birthDate: '1960-01-01' };
export const FULL_PREFETCH = {
  patient: PATIENT,
  vitals: bundle(),
  labs: null,
  pregnancy: null,
  conditions: null,
  encounters: null,
  goals: null,
};
export const DRUG_PREFETCH = { medications: null, stopped: null, statements: null, allergies: null };

/** The specification's patient-view request, with our prefetch keys. */
export function patientView(change: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    hookInstance: INSTANCE,
    hook: 'patient-view',
    context: { userId: 'Practitioner/example', patientId: '1288992', encounterId: '89284' },
    prefetch: FULL_PREFETCH,
    ...change,
  };
}

export const ORDER = {
  resourceType: 'MedicationRequest',
  id: 'new',
  status: 'draft',
  intent: 'order',
  subject: { reference: 'Patient/1288992' },
  medicationCodeableConcept: { text: 'clarithromycin 500 mg' },
};

/** The specification's order-sign request, with one order. */
export function orderSign(
  change: Readonly<Record<string, unknown>> = {},
  entries: readonly object[] = [{ resource: ORDER }],
): Record<string, unknown> {
  return {
    hookInstance: INSTANCE,
    hook: 'order-sign',
    context: {
      userId: 'Practitioner/example',
      patientId: '1288992',
      draftOrders: { resourceType: 'Bundle', entry: entries },
    },
    prefetch: DRUG_PREFETCH,
    ...change,
  };
}
