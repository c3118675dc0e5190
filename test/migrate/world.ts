/** A small store with everything that is moved: versions of every kind, purged gaps, audit rows, mappings, kept and keyed values, somebody forgotten. */
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import type { IndexOf } from '../../src/store/engine.ts';
import { type CommitRequest, FORGOTTEN, type ResourceStore } from '../../src/store/port.ts';
import { ok, plan } from '../store/contract.ts';
import { auditRow, put, remove } from '../store/world.ts';

/** What a renderer is given. */
interface RenderedRow {
  readonly bytes: string;
  readonly erasable: string | undefined;
  patientOf(key: string): string | undefined;
}
export const TYPES = ['Patient', 'Observation'] as const;
export const storeParts = {
  renderAudit: (row: RenderedRow, event: number) =>
    `${row.bytes} ${event} ${row.erasable} ${row.patientOf(/key-\w+/.exec(row.bytes)?.[0] ?? '')}`,
  indexHash: 'one',
  types: TYPES,
};

/** What a resource of this world is found by: its id as a code, and as words. */
export const indexOf: IndexOf = (text) => {
  const { resourceType, id } = JSON.parse(text) as { resourceType: string; id: string };
  return { entries: entries(resourceType, id), patients: patientsOf(id) };
};
const patientsOf = (id: string): readonly string[] => [`p${(id.length % 2) + 1}`];
export const entries = (type: string, id: string): readonly IndexEntry[] => [
  { kind: 'token', parameter: `${type}.code`, system: 's', code: id, group: 0 },
  { kind: 'token', parameter: `${type}.code`, system: 's', code: 'all', group: 0 },
  { kind: 'date', parameter: `${type}.date`, low: id.length, high: id.length + 1, group: 0 },
  { kind: 'text', parameter: `${type}._text`, text: 'liver', group: 0 },
];
const write = (type: string, id: string, version = 1, patients = patientsOf(id)) =>
  put(type, id, version, entries(type, id), undefined, patients);

/** Facets of every kind of entry that AuditEvents have. */
const wide = (bytes: string, patient: string) => {
  const row = auditRow(`${bytes} key-${patient}`, { patient, entity: 'Observation/x', events: 2, agent: bytes });
  const more: readonly IndexEntry[] = [
    { kind: 'token', parameter: 'AuditEvent.subtype', system: 'http://a b%20c', code: 'x y', group: 0 },
    { kind: 'string', parameter: 'AuditEvent.agent-name', folded: 'anna b', exact: 'Anna-B', group: 0 },
    { kind: 'string', parameter: 'AuditEvent.agent-name', folded: 'annab', exact: 'Anna-B', group: 0 },
    { kind: 'string', parameter: 'AuditEvent.agent-name', folded: 'carl', exact: 'Carl', group: 0 },
    { kind: 'reference', parameter: 'AuditEvent.agent', target: 'Practitioner/1', version: '', group: 0 },
    { kind: 'reference', parameter: 'AuditEvent.agent', target: 'Device/1', version: '3', group: 0 },
    { kind: 'uri', parameter: 'AuditEvent.policy', value: 'urn:token:1', group: 0 },
  ];
  const events = row.events.map((event) => ({
    ...event,
    agents: { key: `wide ${bytes}`, entries: [...event.agents.entries, ...more] },
  }));
  return { ...row, erasable: `who did ${bytes}`, events };
};

async function commit(store: ResourceStore, request: Partial<CommitRequest>): Promise<void> {
  ok(await store.commit({ commands: [], audit: [], ...request }));
}

export async function fill(store: ResourceStore, count = 30): Promise<void> {
  for (let index = 0; index < count; index++) {
    const id = 'x'.repeat(index % 5) + index;
    await commit(store, {
      commands: [write('Patient', id), write('Observation', id)],
      audit: [wide(`${index}`, index % 2 === 0 ? 'p1' : 'p2')],
    });
  }
  await commit(store, { commands: [write('Patient', 'x1', 2), remove('Observation', 'x1', 2)] });
  await commit(store, { commands: [write('Observation', 'x1', 3), remove('Patient', 'xx2', 2)] });
  await commit(store, { commands: [write('Patient', 'gone', 1, ['gone'])], audit: [wide('gone', 'gone')] });
  await commit(store, {
    commands: [
      { op: 'keep', key: 'once', value: 'kept' },
      { op: 'set', space: 'a', key: 'b', value: '1', expiresAt: 9_000_000_000_000 },
      { op: 'set', space: 'a.b', key: '', value: '2' },
      { op: 'set', space: 'a', key: 'ü 🙂', value: '3' },
    ],
  });
  const through = await store.latestSequence();
  await commit(store, {
    commands: [
      { op: 'purge', key: { type: 'Patient', id: 'gone' }, version: 1 },
      { op: 'purge', key: { type: 'Patient', id: 'x1' }, version: 2, versions: [1] },
    ],
  });
  await commit(store, { commands: [{ op: 'forget', patients: ['gone'], through, value: 'erased' }] });
}

const leaf = (parameter: string, code: string) => ({ kind: 'token', parameter, code }) as const;

/** Everything that can be asked of the store, as one value. */
export async function told(store: ResourceStore): Promise<unknown> {
  const search = async (type: string, where: Parameters<typeof plan>[1], count = 7) => {
    const found: unknown[] = [];
    let after: string | undefined;
    do {
      const page = await store.search(plan(type, where), { count, after });
      found.push(...page.matches);
      after = page.next;
    } while (after !== undefined);
    return found;
  };
  const reference = (target: string) =>
    ({ kind: 'reference', parameter: 'AuditEvent.patient', targets: [target] }) as const;
  return {
    changes: await store.changes(0, 1000),
    latest: await store.latestSequence(),
    history: await store.history({}, { count: 1000 }),
    one: await store.history({ type: 'Observation', id: 'x1' }, { count: 10 }),
    deleted: await store.read({ type: 'Patient', id: 'xx2' }),
    gone: await store.read({ type: 'Patient', id: 'gone' }),
    all: await search('Observation', leaf('Observation.code', 'all')),
    code: await search('Patient', leaf('Patient.code', 'x1')),
    words: await search('Patient', { kind: 'text', parameter: 'Patient._text', words: ['liver'] }),
    audit: await search('AuditEvent', { kind: 'all' }),
    about: await search('AuditEvent', reference('Patient/p1')),
    nobody: await search('AuditEvent', reference('Patient/gone')),
    agent: await search('AuditEvent', leaf('AuditEvent.agent', '3')),
    subtype: await search('AuditEvent', { ...leaf('AuditEvent.subtype', 'x y'), system: 'http://a b%20c' }, 500),
    name: await search(
      'AuditEvent',
      { kind: 'string', parameter: 'AuditEvent.agent-name', match: 'prefix', value: 'anna' },
      500,
    ),
    entity: await search(
      'AuditEvent',
      { kind: 'reference', parameter: 'AuditEvent.entity', targets: ['Observation/x'] },
      500,
    ),
    count: await store.count(plan('AuditEvent', { kind: 'all' })),
    kept: await store.kept('once'),
    values: [await store.keyedPage('a', { count: 10 }), await store.keyedPage('a.b', { count: 10 })],
    forgotten: await store.keyedPage(FORGOTTEN, { count: 10 }),
    subject: store.subjectKeys(['p1', 'p2']),
  };
}
