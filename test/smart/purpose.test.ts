// Which purpose of use and token a request is recorded under. Source: v3-ActReason; BALP OAuth patterns; docs/authorization.md#issuers
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tokenVerifier } from '../../src/smart/bearer.ts';
import { identityOf } from '../../src/smart/identity.ts';
import { issuerOf } from '../../src/smart/issuer.ts';
import { BASE, world } from '../world.ts';
import { type Claims, claims, ISSUER, KEYS, signed } from './tokens.ts';

const there = world();
const now = () => there.context.ambient.now();
const file = { issuer: ISSUER, audience: [BASE], jwks: { keys: [KEYS.jwk] } };

async function asked(more: Claims, issuer: object = {}) {
  const issuers = [issuerOf({ ...file, ...issuer })];
  const verifier = tokenVerifier({ issuers, now, call: () => Promise.reject(new Error('no call')) });
  const identify = identityOf({
    verifier,
    fhirBase: BASE,
    context: () => there.context,
    tellEmergency: async () => undefined,
  });
  const peer = { requestId: 'r', address: '127.0.0.1' };
  return identify(`Bearer ${await signed(claims(now(), more))}`, peer);
}

const rows: readonly [why: string, claims: Claims, issuer: object, purposes: readonly string[]][] = [
  ['nothing said: care', {}, {}, ['TREAT']],
  ['as claimed', { purpose_of_use: 'HRESCH' }, {}, ['HRESCH']],
  ['a list, with the system', { purpose_of_use: ['http://x|TREAT', 'urn:x#HRESCH'] }, {}, ['TREAT', 'HRESCH']],
  ['a patient asks for their own', { fhirUser: `${BASE}/Patient/7` }, {}, ['PATRQT']],
  ['a relative', { fhirUser: 'RelatedPerson/7' }, {}, ['PATRQT']],
  ['as the file of the issuer says', {}, { purpose: 'HPAYMT' }, ['HPAYMT']],
  ['as it says of the client', {}, { purpose: 'HPAYMT', clientPurposes: { app: 'HRESCH' } }, ['HRESCH']],
  ['of another client it says nothing', {}, { clientPurposes: { other: 'HRESCH' } }, ['TREAT']],
  ['a claim goes before the file', { purpose_of_use: 'TREAT' }, { purpose: 'HPAYMT' }, ['TREAT']],
];
for (const [why, more, issuer, purposes] of rows) {
  test(`smart@purpose: ${why}`, async () => {
    const { rights } = await asked(more, issuer);
    assert.deepEqual(rights.kind === 'granted' && rights.situation?.purposes, purposes);
  });
}

test('smart@jti: the id of the token goes with the caller', async () => {
  assert.equal((await asked({ jti: 'id-1' })).token, 'id-1');
  assert.equal((await asked({ jti: undefined })).token, undefined);
});
