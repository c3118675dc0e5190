// SMART App Launch 2.2, scopes and launch context: the grammar of versions 1 and 2, and what a scope means.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scopeOf, scopesOf } from '../../src/smart/scopes.ts';

const shown = (text: string): string | undefined => {
  const scope = scopeOf(text);
  return scope && `${scope.context}/${scope.type}.${scope.verbs.map((verb) => verb[0]).join('')}?${scope.query}`;
};

const rows: readonly [text: string, meaning: string | undefined, why: string][] = [
  ['patient/Observation.rs', 'patient/Observation.rs?', 'control: version 2'],
  ['patient/Observation.cruds', 'patient/Observation.cruds?', 'every letter'],
  ['user/*.cruds', 'user/*.cruds?', 'every type'],
  ['system/Patient.r', 'system/Patient.r?', 'one letter'],
  ['patient/Observation.read', 'patient/Observation.rs?', 'version 1: read is rs'],
  ['patient/Observation.write', 'patient/Observation.cud?', 'version 1: write is cud'],
  ['user/Observation.*', 'user/Observation.cruds?', 'version 1: * is all'],
  ['patient/*.*', 'patient/*.cruds?', 'version 1: every type and interaction'],
  ['patient/Observation.rs?category=laboratory', 'patient/Observation.rs?category=laboratory', 'granular'],
  ['patient/Observation.rs?a=b&c=d', 'patient/Observation.rs?a=b&c=d', 'granular with two parameters'],
  ['patient/Observation.sr', undefined, 'letters out of order'],
  ['patient/Observation.rr', undefined, 'a letter twice'],
  ['patient/Observation.', undefined, 'no letter'],
  ['patient/Observation', undefined, 'nothing is said'],
  ['patient/Observation.rs?', undefined, 'an empty query'],
  ['patient/Observation.read?category=laboratory', undefined, 'version 1 has no parameters'],
  ['patient/observation.rs', undefined, 'no type is written so'],
  ['Patient/Observation.rs', undefined, 'a context in another case'],
  ['practitioner/Observation.rs', undefined, 'no such context'],
  ['patient/Observation.rs.rs', undefined, 'more than the grammar'],
  ['patient/Observation.rs?code="x"', undefined, 'a quotation mark is in no scope (RFC 6749 3.3)'],
  ['patient/Observation.rs?code=a\\b', undefined, 'nor a backslash'],
  ['openid', undefined, 'not about resources'],
  ['launch/patient', undefined, 'not about resources'],
  ['patient/__proto__.rs', undefined, 'a name of the prototype chain'],
];
test('§4.3.1 smart@grammar: each scope means what its row says', () => {
  assert.deepEqual(
    rows.map(([text, , why]) => [text, shown(text), why]),
    rows.map(([...row]) => row),
  );
});

test('§4.3.1 smart@unknown-ignored: what is not known is left out, the rest counts once', () => {
  const found = scopesOf('openid  fhirUser launch patient/Patient.r nonsense/x patient/Patient.r user/Patient.s');
  assert.deepEqual(
    found.map(({ context, verbs }) => [context, ...verbs]),
    [
      ['patient', 'read'],
      ['user', 'search'],
    ],
  );
  assert.deepEqual(scopesOf(''), []);
});
