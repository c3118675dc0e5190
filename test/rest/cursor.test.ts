// http.html#paging: next links are opaque. Ours can't be read, made or moved.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FhirError } from '../../src/fhir/outcome.ts';
import { CURSOR_LIFETIME_MS, openCursor, sealCursor } from '../../src/rest/wire/cursor.ts';

const KEY = new Uint8Array(32).fill(1);
const BOUND = { principal: 'a', scope: 's' };
const AFTER = 'Müller|1974-12-25';
const TOKEN = sealCursor(KEY, BOUND, AFTER, 1000);

test('control: what was sealed is opened again', () => assert.equal(openCursor(KEY, BOUND, TOKEN, 1000), AFTER));
test('equal pages have equal cursors, so that links can be compared', () =>
  assert.equal(sealCursor(KEY, BOUND, AFTER, 1000), TOKEN));
test('the sort values inside are not readable', () =>
  assert.doesNotMatch(Buffer.from(TOKEN, 'base64url').toString('latin1'), /1974/));

const rows: readonly [why: string, open: () => string][] = [
  ['another principal', () => openCursor(KEY, { ...BOUND, principal: 'b' }, TOKEN, 1000)],
  ['another search', () => openCursor(KEY, { ...BOUND, scope: 't' }, TOKEN, 1000)],
  ['principal and scope do not run together', () => openCursor(KEY, { principal: 'as', scope: '' }, TOKEN, 1000)],
  ['another installation', () => openCursor(new Uint8Array(32).fill(2), BOUND, TOKEN, 1000)],
  ['one ms too late', () => openCursor(KEY, BOUND, TOKEN, 1001 + CURSOR_LIFETIME_MS)],
  ['cut short', () => openCursor(KEY, BOUND, TOKEN.slice(0, -4), 1000)],
  ['empty', () => openCursor(KEY, BOUND, '', 1000)],
  ['not base64url', () => openCursor(KEY, BOUND, `${TOKEN}=`, 1000)],
  ['very long', () => openCursor(KEY, BOUND, 'A'.repeat(100_000), 1000)],
];
for (const [why, open] of rows) {
  test(`refused: ${why}`, () => assert.throws(open, (error) => error instanceof FhirError && error.status === 400));
}

test('at the last ms it still opens', () =>
  assert.equal(openCursor(KEY, BOUND, TOKEN, 1000 + CURSOR_LIFETIME_MS), AFTER));

test('every changed byte is noticed', () => {
  const bytes = Buffer.from(TOKEN, 'base64url');
  for (let index = 0; index < bytes.length; index++) {
    const changed = Buffer.from(bytes);
    changed[index] = (changed[index] ?? 0) ^ 1;
    assert.throws(() => openCursor(KEY, BOUND, changed.toString('base64url'), 1000), FhirError, `byte ${index}`);
  }
});
