// Purpose of use and token in AuditEvents: BALP OAuth patterns, auditevent.html#AuditEvent.purposeOfEvent; docs/audit.md#rows
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditEvent } from 'fhir/r4.d.ts';
import type { Rights } from '../../src/smart/scopes.ts';
import { accessOf, caller, rendered, rowOf } from './world.ts';

const entry = { interaction: 'read', resource: { type: 'Observation', id: 'o' }, patients: ['p'] };
const codes = (rights: Rights): unknown => {
  const [event] = rendered(rowOf(accessOf([entry], { caller: { ...caller('Practitioner/d'), rights } })));
  const coded = (found: AuditEvent['purposeOfEvent']) => found?.map(({ coding }) => coding?.[0]?.code);
  assert.deepEqual(coded(event?.purposeOfEvent), coded(event?.agent[2]?.purposeOfUse));
  return coded(event?.purposeOfEvent);
};
const said = (...purposes: string[]): Rights => ({
  ...{ kind: 'granted', scopes: [], patients: [] },
  situation: { purposes, actors: [] },
});

for (const [name, rights, expected] of [
  ['as the token says', said('HRESCH'), ['HRESCH']],
  ['several', said('TREAT', 'BTG'), ['TREAT', 'BTG']],
  ['what is no code is not written down', said('Mary Canary', 'TREAT'), ['TREAT']],
  ['nothing said', said(), ['TREAT']],
  ['the server itself', { kind: 'everything' }, ['TREAT']],
  ['a stranger', { kind: 'nothing' }, undefined],
] as const satisfies readonly (readonly [string, Rights, unknown])[]) {
  test(`balp@purpose: ${name}`, () => assert.deepEqual(codes(rights), expected));
}

test('balp@purpose: what the authorization server does has none', () => {
  const [event] = rendered(rowOf(accessOf([{ interaction: 'login', patients: [] }])));
  assert.equal(event?.purposeOfEvent, undefined);
});

const policies = (user: string | undefined, token: string | undefined, erased = false): unknown =>
  rendered(rowOf(accessOf([entry], { caller: caller(user, token) })), { erased })[0]?.agent.map(({ policy }) => policy);
const urn = (id: string) => [`urn:ietf:params:oauth:jti:${id}`];

for (const [name, found, expected] of [
  ['of the user', policies('Practitioner/d', 't-1'), [undefined, undefined, urn('t-1')]],
  ['of the client, when there is no user', policies(undefined, 't-1'), [urn('t-1'), undefined]],
  ['no token, no policy', policies('Practitioner/d', undefined), [undefined, undefined, undefined]],
  ['128 characters are whole', policies(undefined, 'x'.repeat(128)), [urn('x'.repeat(128)), undefined]],
  ['of 129 the last 32', policies(undefined, `y${'x'.repeat(128)}`), [urn('x'.repeat(32)), undefined]],
  ['after an erasure it is gone', policies('Practitioner/d', 't-1', true), [undefined, undefined, undefined]],
] as const) {
  test(`balp@jti: ${name}`, () => assert.deepEqual(found, expected));
}

test('balp@jti: bytes of the chain hold no token', () => {
  assert.doesNotMatch(rowOf(accessOf([entry], { caller: caller('Practitioner/d', 'token-7351') })).bytes, /7351/);
});
