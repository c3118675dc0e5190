// docs/audit.md#rows: rows are kept for years, so what a row of each form renders as never changes. Files are added, never edited.
// A new golden: GOLDEN=write node --test test/audit/golden.test.ts (writes only rows whose bytes no file has yet).
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { postedAuditRow, renderAuditEvent } from '../../src/audit.ts';
import type { AuditRow } from '../../src/store/port.ts';
import { AT, entriesOf, keyMint, rowOf, SALT, SAMPLES, SOURCE } from './world.ts';

interface Golden {
  readonly chain: number;
  readonly sequence: number;
  readonly at: number;
  readonly form: number;
  readonly bytes: string;
  readonly erasable?: string;
  /** Subject key -> patient id. */
  readonly patients: Readonly<Record<string, string>>;
  readonly events: readonly unknown[];
  /** The same events after an erasure. */
  readonly erased: readonly unknown[];
}
const FOLDER = join(import.meta.dirname, 'golden');

function events(golden: Omit<Golden, 'events' | 'erased'>, count: number, erased: boolean): unknown[] {
  const patientOf = (key: string): string | undefined => (erased ? undefined : golden.patients[key]);
  const row = { ...golden, erasable: erased ? undefined : golden.erasable, patientOf };
  return Array.from({ length: count }, (_, index): unknown => JSON.parse(renderAuditEvent(row, index + 1)));
}

const kept = new Set(
  readdirSync(FOLDER).map((name): unknown => JSON.parse(readFileSync(join(FOLDER, name), 'utf8')).bytes),
);

function write(name: string, row: AuditRow): void {
  const path = join(FOLDER, `${name.replaceAll(' ', '-')}.json`);
  if (existsSync(path) || kept.has(row.bytes)) return;
  const patients = Object.fromEntries(row.subjects.map(({ key, patient }) => [key, patient]));
  const { form, bytes, erasable } = row;
  const base = {
    chain: 1,
    sequence: 42,
    at: AT,
    form,
    bytes,
    ...(erasable === undefined ? {} : { erasable }),
    patients,
  };
  const count = row.events.length;
  const golden = { ...base, events: events(base, count, false), erased: events(base, count, true) };
  writeFileSync(path, `${JSON.stringify(golden, undefined, 2)}\n`);
}

if (process.env.GOLDEN === 'write') {
  for (const [name, access] of Object.entries(SAMPLES)) write(`form 4 ${name}`, rowOf(access));
  const posted = {
    resourceType: 'AuditEvent',
    type: { system: 'http://dicom.nema.org/resources/ontology/DCM', code: '110114' },
    recorded: '2026-03-01T00:00:00Z',
    outcome: '0',
    agent: [{ who: { reference: 'Practitioner/dr-canary' }, requestor: true }],
    source: { observer: { reference: 'Device/ehr' } },
    entity: [{ what: { reference: 'Patient/pat-canary' } }],
  };
  write('form 2 posted', postedAuditRow(posted, keyMint().keys, SALT, SOURCE, entriesOf));
}

const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
test('every form has goldens', () => {
  for (const form of [1, 2, 3, 4]) assert.ok(files.some((name) => name.startsWith(`form-${form}-`)));
});
for (const name of files)
  test(`golden ${name}`, () => {
    const golden: Golden = JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));
    assert.deepEqual(events(golden, golden.events.length, false), golden.events);
    assert.deepEqual(events(golden, golden.erased.length, true), golden.erased);
  });
