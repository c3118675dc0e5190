// docs/decisions/0010-logging.md: a log line holds members of closed sets, numbers and machine-made forms; no text of a person can pass.
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import test from 'node:test';
import fc from 'fast-check';
import { fhirError } from '../../src/fhir/outcome.ts';
import { FIELDS } from '../../src/telemetry/field.ts';
import { createLog, type Log, type LogFields, type LogLevel } from '../../src/telemetry/log.ts';

const vocabulary = {
  resourceTypes: new Set(['Patient', 'Observation']),
  routes: new Set(['/fhir/:type/:id']),
  hooks: new Set(['order-sign']),
  services: new Set(['sepsis-view']),
  models: new Set(['sepsis']),
};

function logged(use: (log: Log) => void, level: LogLevel = 'info'): string[] {
  let text = '';
  const output = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  use(createLog({ level, vocabulary, now: () => 0, output }));
  return text.split(/\r?\n/).filter((line) => line !== '');
}
const one = (use: (log: Log) => void): Record<string, unknown> => JSON.parse(logged(use)[0] ?? '{}');

/** As hostile callers pass them: past the types. */
const loose = (fields: Record<string, unknown>): LogFields => fields;

test('control: a request is one JSON line with the fields as given', () => {
  const fields = {
    requestId: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
    method: 'GET',
    route: '/fhir/:type/:id',
    resourceType: 'Patient',
    interaction: 'read',
    status: 200,
    ms: 1.25,
  };
  assert.deepEqual(
    logged((log) => log.event('request', fields)).map((line) => JSON.parse(line)),
    [{ time: '1970-01-01T00:00:00.000Z', level: 'info', event: 'request', ...fields }],
  );
});

const rows: readonly [name: keyof typeof FIELDS, value: unknown, written: unknown, why: string][] = [
  ['requestId', '0123456789abcdef0123456789abcdef', '0123456789abcdef0123456789abcdef', 'a trace id passes'],
  ['requestId', 'john-smith-1970', 'redacted', 'a form of the client could be a name'],
  ['requestId', '', 'redacted', 'nothing to join lines by'],
  ['method', 'GET', 'GET', 'control'],
  ['method', 'get', 'redacted', 'only methods as on the wire'],
  ['route', '/fhir/Patient/123', 'redacted', 'a URL is not a template'],
  ['resourceType', 'Smith', 'redacted', 'a name can look like a type'],
  ['hook', 'order-sign', 'order-sign', 'control'],
  ['hook', 'patient-smith', 'redacted', 'not a hook of this deployment'],
  ['service', 'sepsis-view', 'sepsis-view', 'control'],
  ['model', 'Mary', 'redacted', 'not a model of this deployment'],
  ['status', 99, 'redacted', 'below the interval [100, 599]'],
  ['status', 100, 100, 'its lower end'],
  ['status', 599, 599, 'its upper end'],
  ['status', 600, 'redacted', 'above it'],
  ['status', '200', 'redacted', 'a text is not a number'],
  ['ms', Number.NaN, 'redacted', 'not a number'],
  ['ms', 0.123456, 0.12, 'two digits are enough'],
  ['count', 1_000_000_001, 'redacted', 'above the interval'],
  ['version', '1.20.3', '1.20.3', 'control'],
  ['version', '1970.1.2', 'redacted', 'a date is not a version'],
  ['errorCode', 'SQLITE_FULL', 'SQLITE_FULL', 'a code of the driver'],
  ['errorCode', 'ENOSPC', 'ENOSPC', 'a code of the system'],
  ['errorCode', 'EDWARDS', 'redacted', 'a name can look like a code of the system'],
  ['errorCode', 'too-costly', 'too-costly', 'an issue type'],
  ['errorClass', 'Smith', 'redacted', 'not a class we know'],
];
for (const [name, value, written, why] of rows)
  test(`${name}=${JSON.stringify(value)}: ${why}`, () => {
    assert.equal(one((log) => log.event('request', loose({ [name]: value })))[name], written);
  });

test('fields outside the table are not written', () => {
  const line = one((log) =>
    log.event('request', loose({ url: '/fhir/Patient?name=Smith', message: 'Smith', level: 'Smith' })),
  );
  assert.deepEqual(line, { time: '1970-01-01T00:00:00.000Z', level: 'info', event: 'request' });
});

test('lines below the level are not written', () => {
  assert.equal(logged((log) => log.event('checkpoint', { ms: 1 })).length, 0);
  assert.equal(logged((log) => log.event('checkpoint', { ms: 1 }), 'debug').length, 1);
});

test('a failure tells class, code and positions, never the message', () => {
  const line = one((log) =>
    log.failure('request-failed', fhirError('conflict', 'Mary Canary lost a race'), { status: 409 }),
  );
  assert.equal(line.errorClass, 'FhirError');
  assert.equal(line.errorCode, 'conflict');
  assert.match(String(line.stack), /src\/fhir\/outcome\.ts:\d+/);
  assert.doesNotMatch(JSON.stringify(line), /Canary|race/);
});

test('a failure without a code tells that of its cause', () => {
  const cause = Object.assign(new Error('x'), { code: 'SQLITE_FULL' });
  assert.equal(one((log) => log.failure('request-failed', new Error('y', { cause }))).errorCode, 'SQLITE_FULL');
});

const hostileErrors: readonly [why: string, error: unknown][] = [
  ['a message that looks like a frame', new Error('x\n    at canary (src/canary.ts:1:1)')],
  [
    'a message changed after the stack was taken',
    Object.assign(new Error('x\n    at canary (/canary.ts:1:1)'), { message: 'y' }),
  ],
  ['an emptied message', Object.assign(new Error('x\n    at canary (/canary.ts:1:1)'), { message: '' })],
  ['a name and a code that are data', Object.assign(new Error('canary'), { name: 'canary', code: 'canary' })],
  [
    'a stack that is data',
    Object.assign(new Error('a'), { stack: 'Error: a\ncanary\n    at canary (/canary/canary.ts:1:1)' }),
  ],
  ['a thrown text', 'canary'],
  ['a thrown object', { canary: 'canary' }],
  ['a cause', new Error('a', { cause: Object.assign(new Error('canary'), { code: 'canary' }) })],
];
for (const [why, error] of hostileErrors)
  test(`nothing of the error leaks: ${why}`, () => {
    const lines = logged((log) => log.failure('request-failed', error)).join('');
    assert.match(lines, /request-failed/);
    assert.doesNotMatch(lines, /canary/);
  });

test('no text of a person passes any field', () => {
  const person = fc.constantFrom(
    'Canary',
    'CANARY',
    'canary jones',
    'MRN-canary-1',
    'canary@example.org',
    '/fhir/Patient/canary',
  );
  const text = fc.oneof(
    person,
    fc.tuple(fc.string(), person, fc.string()).map((parts) => parts.join('')),
  );
  const value = fc.oneof(text, fc.array(text), fc.dictionary(fc.string(), text));
  const name = fc.oneof(
    fc.constantFrom(...Object.keys(FIELDS)),
    fc.constantFrom('message', 'level', 'stack', 'line', 'time', 'event'),
    text,
  );
  fc.assert(
    fc.property(fc.dictionary(name, value), (fields) => {
      const lines = logged((log) => {
        log.event('request', loose(fields));
        log.failure('request-failed', Object.assign(new Error(JSON.stringify(fields)), fields), loose(fields));
      });
      assert.doesNotMatch(lines.join('\n'), /canary/i);
    }),
    { numRuns: 300 },
  );
});
