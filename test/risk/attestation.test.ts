// The setting SEPSIS_ATTESTATION: who accepted which version of which model, and when; whatever is not exactly that stops the start.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { attestedModels } from '../../src/risk/attestation.ts';

const NOW = Date.parse('2026-01-15T12:00:00Z');
const HELD = { attestedBy: 'Head of intensive care', at: '2026-01-15', model: 'sepsis-icu', version: '1.0.0' };
const folder = mkdtempSync(join(tmpdir(), 'firewatch-attestation-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'attestation.json');
writeFileSync(file, JSON.stringify(HELD));

const asked: readonly [isHeld: boolean, given: string | undefined, model: string, version: string, why: string][] = [
  [true, JSON.stringify(HELD), 'sepsis-icu', '1.0.0', 'control: as text'],
  [true, file, 'sepsis-icu', '1.0.0', 'as a file'],
  [false, undefined, 'sepsis-icu', '1.0.0', 'not set'],
  [false, JSON.stringify(HELD), 'sepsis-icu', '1.0.1', 'another version'],
  [false, JSON.stringify(HELD), 'sepsis', '1.0.0', 'another model'],
];
for (const [isHeld, given, model, version, why] of asked) {
  test(`attestation@held: ${why}`, () => assert.equal(attestedModels(given, NOW)(model, version), isHeld));
}

const refused: readonly [given: string, why: string][] = [
  ['', 'empty'],
  ['yes', 'neither JSON nor a file'],
  [join(folder, 'none.json'), 'a file that is not there'],
  ['{', 'not JSON'],
  ['{}', 'nothing said'],
  [JSON.stringify({ ...HELD, attestedBy: ' ' }), 'nobody named'],
  [JSON.stringify({ ...HELD, at: '2026' }), 'no day'],
  [JSON.stringify({ ...HELD, at: '2026-01-16' }), 'of tomorrow'],
  [JSON.stringify({ ...HELD, version: 'latest' }), 'no version'],
  [JSON.stringify({ ...HELD, models: ['x'] }), 'a member that is not known'],
];
for (const [given, why] of refused) {
  test(`attestation@refused: ${why}`, () => {
    assert.throws(
      () => attestedModels(given, NOW),
      (error) =>
        error instanceof Error &&
        /^SEPSIS_ATTESTATION /.test(error.message) &&
        !error.message.includes('intensive care'),
    );
  });
}
