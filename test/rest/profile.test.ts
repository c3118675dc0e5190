// resource.html#Meta, profiling.html, resource-operation-validate.html, http.html#ops: profiles at the door.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { profileOf } from '../../src/fhir/profile/profile.ts';
import { conformanceValidator } from '../../src/fhir/profile/validator.ts';
import { isJsonObject, type JsonObject, parseJson } from '../../src/fhir/resource.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { world } from '../world.ts';

const HELD = 'http://example.org/with-birth-date';
const UNHELD = 'http://example.org/unheld';
const profile = profileOf(
  {
    resourceType: 'StructureDefinition',
    derivation: 'constraint',
    url: HELD,
    version: '1',
    type: 'Patient',
    snapshot: {
      element: [
        {
          id: 'Patient',
          path: 'Patient',
          constraint: [{ key: 'c-1', severity: 'warning', expression: 'gender.exists()' }],
        },
        { id: 'Patient.birthDate', path: 'Patient.birthDate', min: 1, max: '1' },
      ],
    },
  },
  'test',
);
const { context, wire } = world();
const definitions = { ...context.definitions, profiles: new Map([[HELD, profile]]) };
const held = { ...context, definitions, validate: conformanceValidator(definitions) };
const caller = localCaller(localFacts('request-1', '127.0.0.1'));
const send = (
  method: string,
  url: string,
  body: JsonObject,
  headers: Record<string, string> = {},
): Promise<FhirResponse> => answer(wire(method, url, { body, headers }), caller, held);

const patient = (profiles: readonly string[], more: JsonObject = {}) => ({
  resourceType: 'Patient',
  meta: { profile: profiles },
  ...more,
});

function issues({ body }: FhirResponse): readonly string[] {
  const outcome = parseJson(body ?? '{}');
  const list = isJsonObject(outcome) && Array.isArray(outcome.issue) ? outcome.issue : [];
  return list
    .filter(isJsonObject)
    .map(({ severity, code, expression }) => [severity, code, ...[expression].flat()].join(' ').trim());
}

interface Case {
  readonly body: JsonObject & { readonly resourceType: string };
  readonly status: number;
  readonly said: readonly string[];
  readonly why: string;
}
const DONE = 'information informational';
const born = { birthDate: '1970-01-01', gender: 'female' };

const writes: readonly Case[] = [
  { body: patient([HELD], born), status: 201, said: [DONE], why: 'control' },
  {
    body: patient([HELD]),
    status: 422,
    said: ['error required Patient.birthDate', 'warning invariant Patient'],
    why: 'held: errors refuse',
  },
  {
    body: patient([`${HELD}|1`]),
    status: 422,
    said: ['error required Patient.birthDate', 'warning invariant Patient'],
    why: 'held in the version',
  },
  {
    body: patient([`${HELD}|2`]),
    status: 201,
    said: [DONE, 'warning not-found Patient.meta.profile[0]'],
    why: 'another version',
  },
  {
    body: patient([UNHELD]),
    status: 201,
    said: [DONE, 'warning not-found Patient.meta.profile[0]'],
    why: 'not held: accepted with a warning',
  },
  {
    body: patient([HELD], { birthDate: '1970' }),
    status: 201,
    said: [DONE, 'warning invariant Patient'],
    why: 'warnings do not refuse',
  },
  {
    body: { ...patient([HELD]), active: 'x' },
    status: 400,
    said: ['error structure Patient.active'],
    why: 'the base comes first',
  },
  { body: { resourceType: 'Patient' }, status: 201, said: [DONE], why: 'nothing claimed' },
  {
    body: { resourceType: 'Observation', status: 'final', code: { text: 'x' }, meta: { profile: [HELD] } },
    status: 422,
    said: ['error structure Observation.meta.profile[0]'],
    why: 'the profile of another type',
  },
];
for (const { body, status, said, why } of writes) {
  test(`profiling.html create: ${why}`, async () => {
    const response = await send('POST', `/${body.resourceType}`, body, { prefer: 'return=OperationOutcome' });
    assert.equal(response.status, status, response.body);
    assert.deepEqual(issues(response), said);
  });
}

test('profiling.html update and transaction: errors of a profile refuse there too', async () => {
  assert.equal((await send('PUT', '/Patient/a', patient([HELD], { id: 'a' }))).status, 422);
  assert.equal((await send('PUT', '/Patient/a', patient([HELD], { id: 'a', ...born }))).status, 201);
  const entry = (resource: JsonObject) => ({ resource, request: { method: 'POST', url: 'Patient' } });
  const bundle = {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [entry(patient([HELD], born)), entry(patient([HELD]))],
  };
  const response = await send('POST', '', bundle);
  assert.equal(response.status, 422);
  assert.match(issues(response)[0] ?? '', /^error required Bundle\.entry\[1\]\.resource\.birthDate/);
});

const asked: readonly (Case & { readonly profile?: string })[] = [
  {
    body: { resourceType: 'Patient', ...born },
    profile: HELD,
    status: 200,
    said: ['information informational'],
    why: 'asked: control',
  },
  {
    body: { resourceType: 'Patient' },
    profile: HELD,
    status: 200,
    said: ['error required Patient.birthDate', 'warning invariant Patient'],
    why: 'asked, not claimed: everything is said',
  },
  {
    body: patient([HELD]),
    status: 200,
    said: ['error required Patient.birthDate', 'warning invariant Patient'],
    why: 'claimed, not asked',
  },
  {
    body: patient([HELD]),
    profile: HELD,
    status: 200,
    said: ['error required Patient.birthDate', 'warning invariant Patient'],
    why: 'asked and claimed: said once',
  },
  {
    body: { resourceType: 'Patient' },
    profile: UNHELD,
    status: 200,
    said: ['error not-found Patient'],
    why: 'asked and not held',
  },
  {
    body: patient([UNHELD]),
    status: 200,
    said: ['warning not-found Patient.meta.profile[0]'],
    why: 'claimed and not held',
  },
  {
    body: { ...patient([HELD]), active: 'x' },
    status: 200,
    said: ['error structure Patient.active', 'error required Patient.birthDate', 'warning invariant Patient'],
    why: 'base and profile together',
  },
];
for (const { body, profile: url, status, said, why } of asked) {
  test(`resource-operation-validate.html profile: ${why}`, async () => {
    const query = url === undefined ? '' : `?profile=${encodeURIComponent(url)}`;
    const response = await send('POST', `/${body.resourceType}/$validate${query}`, body);
    assert.equal(response.status, status, response.body);
    assert.deepEqual(issues(response), said);
  });
}
