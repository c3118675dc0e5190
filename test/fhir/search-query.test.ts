// FHIR R4 search.html#return, #sort, #include, #errors; docs/threat-model.md limits. What parseSearch makes of a query string.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Capability } from '../../src/fhir/definitions/capability.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import { parseSearch, type SearchQuery } from '../../src/fhir/search/query.ts';
import { SEARCH_LIMITS } from '../../src/fhir/search/types.ts';
import { capability, definitions, parsed, planned, settings } from './search-world.ts';

function kindOf(type: string, query: string, handling: 'strict' | 'lenient' = 'strict'): string {
  try {
    parsed(type, query, handling);
    return 'accepted';
  } catch (error) {
    if (error instanceof FhirError) return error.kind;
    throw error;
  }
}

const results: readonly [query: string, part: Partial<SearchQuery>, why: string][] = [
  ['', { count: undefined, total: undefined, sort: [], elements: [] }, 'nothing asked'],
  ['_count=0', { count: 0 }, 'lower bound'],
  ['_count=1000', { count: 1000 }, 'the largest page'],
  ['_count=1001', { count: 1000 }, 'lowered'],
  ['_count=5&_count=5', { count: 5 }, 'repeated but equal'],
  ['_total=accurate', { total: 'accurate' }, 'total'],
  ['_summary=count', { summary: 'count' }, 'summary'],
  ['_elements=name,birthDate', { elements: ['name', 'birthDate'] }, 'elements'],
  ['_cursor=abc&family=x', { cursor: 'abc', used: [['family', 'x']] }, 'the cursor is no part of the self link'],
  [
    'family=a%2Bb+c&_format=json',
    {
      used: [
        ['family', 'a+b c'],
        ['_format', 'json'],
      ],
    },
    'decoded once',
  ],
  ['family=%2541', { used: [['family', '%41']] }, 'and only once'],
  ['&&family=x&', { used: [['family', 'x']] }, 'empty pairs are passed over'],
  [
    '_sort=-birthdate,family,_id',
    {
      sort: [
        { parameter: 'Patient.birthdate', indexed: 'date', descending: true },
        { parameter: 'Patient.family', indexed: 'string', descending: false },
        { parameter: 'Patient._id', indexed: 'id', descending: false },
      ],
    },
    'three keys',
  ],
  [
    '_sort=-_lastUpdated',
    { sort: [{ parameter: 'Patient._lastUpdated', indexed: 'updated', descending: true }] },
    'engine',
  ],
];

test('fhir-r4@search.html#return result parameters', () => {
  for (const [query, part, why] of results) {
    const actual = parsed('Patient', query);
    for (const [name, value] of Object.entries(part)) {
      assert.deepEqual(Object.entries(actual).find(([key]) => key === name)?.[1], value, `${query} ${name}: ${why}`);
    }
  }
});

const repeated = (text: string, times: number, separator = '&'): string => Array(times).fill(text).join(separator);
const refusals: readonly [query: string, kind: string, why: string][] = [
  ['_count=-1', 'value', 'negative'],
  ['_count=1.5', 'value', 'not whole'],
  ['_count=ten', 'value', 'no number'],
  ['_count=5&_count=6', 'value', 'two different values'],
  ['_total=maybe', 'value', 'not in the list'],
  ['_summary=yes', 'value', 'not in the list'],
  ['_elements=a b', 'value', 'no element name'],
  ['_elements=__proto__', 'value', 'no element name'],
  ['_sort=nope', 'unsupported-parameter', 'unknown key'],
  ['_sort=', 'value', 'empty'],
  ['_sort=family,given,birthdate', 'accepted', 'three keys'],
  ['_sort=family,given,birthdate,gender', 'too-costly', 'four keys'],
  [repeated('family=x', SEARCH_LIMITS.parameters), 'accepted', 'as many parameters as allowed'],
  [repeated('family=x', SEARCH_LIMITS.parameters + 1), 'too-costly', 'one more'],
  [`family=${repeated('x', SEARCH_LIMITS.orValues, ',')}`, 'accepted', 'as many values as allowed'],
  [`family=${repeated('x', SEARCH_LIMITS.orValues + 1, ',')}`, 'too-costly', 'one more'],
  [repeated(`family=${repeated('x', 200, ',')}`, 5), 'accepted', '1,000 in all'],
  [`${repeated(`family=${repeated('x', 200, ',')}`, 5)}&given=x`, 'too-costly', '1,001 in all'],
  [repeated('_include=Patient:organization', SEARCH_LIMITS.includes), 'accepted', 'ten includes'],
  [repeated('_include=Patient:organization', SEARCH_LIMITS.includes + 1), 'too-costly', 'eleven'],
  ['_include=Patient:nope', 'unsupported-parameter', 'unknown'],
  ['_include=Patient:family', 'unsupported-parameter', 'no reference'],
  ['_include=Patient', 'value', 'no parameter'],
  ['_include=Patient:organization:Practitioner', 'value', 'no target of it'],
  ['_include:recurse=Patient:organization', 'unsupported-parameter', 'no such modifier'],
  ['_revinclude=Observation:nope', 'unsupported-parameter', 'unknown'],
  ['_revinclude=Observation:encounter', 'unsupported-parameter', 'cannot point at a Patient'],
  ['_revinclude=AuditEvent:patient', 'unsupported-parameter', 'AuditEvents are searched by themselves only'],
  ['_has:AuditEvent:patient:action=R', 'unsupported-parameter', 'AuditEvents are searched by themselves only'],
  ['_filter=x', 'value', 'no operator'],
  ['_query=x', 'unsupported-parameter', 'not claimed'],
  ['__proto__=x', 'unsupported-parameter', 'no parameter'],
  ['constructor=x', 'unsupported-parameter', 'no parameter'],
];

test('fhir-r4@search.html#errors what is refused, and the last that is not', () => {
  const wrong = refusals.flatMap(([query, kind, why]) => {
    const actual = kindOf('Patient', query);
    return actual === kind ? [] : [`${query.slice(0, 80)}: ${actual}, not ${kind}: ${why}`];
  });
  assert.equal(wrong.join('\n'), '');
});

test('fhir-r4@search.html#errors an unknown name is answered with the valid ones; lenient ignores it and says so', () => {
  assert.throws(() => parsed('Patient', 'nope=1'), /Valid are: .*birthdate.*family/);
  const { ignored, criteria, used } = parsed('Patient', 'nope=1&family=x&_sort=nope', 'lenient');
  assert.deepEqual([ignored, criteria.length, used], [['nope', '_sort'], 1, [['family', 'x']]]);
  assert.equal(kindOf('Patient', 'family:nope=1', 'lenient'), 'unsupported-parameter', 'a modifier is never ignored');
  assert.equal(kindOf('Patient', 'birthdate=', 'lenient'), 'value', 'nor an empty value');
  assert.equal(kindOf('Patient', '_query=x', 'lenient'), 'unsupported-parameter', 'nor a named query: #query');
});

test('fhir-r4@search.html#chaining fan-out of chains without a type is bounded over the whole search', () => {
  assert.equal(kindOf('Basic', 'subject:Patient.family=x'), 'accepted', 'control: a named type');
  assert.equal(kindOf('Basic', 'subject.family=x'), 'accepted', 'few of all types have it');
  assert.equal(kindOf('Basic', 'subject.identifier=x'), 'too-costly', 'too many have it');
  assert.equal(kindOf('Basic', 'subject.subject.subject.family=x'), 'too-costly', 'too many to look at');
  assert.equal(kindOf('Basic', repeated('subject.family=x', 10)), 'too-costly', 'the product counts');
});

test('fhir-r4@search.html#include forms', () => {
  const [one, two, all] = parsed(
    'Observation',
    '_include=Observation:subject:Patient&_include:iterate=Patient:organization&_include=*',
  ).includes;
  assert.deepEqual([one?.source, one?.target, one?.iterate], ['Observation', 'Patient', false]);
  assert.deepEqual([two?.source, two?.iterate], ['Patient', true]);
  assert.deepEqual([all?.source, all?.parameter], ['Observation', '*']);
  const [rev] = parsed('Patient', '_revinclude=Observation:patient').revIncludes;
  assert.equal(rev?.source, 'Observation');
  assert.ok(parsed('Patient', '_revinclude=Observation:*').revIncludes.length > 1);
});

test('fhir-r4@search.html#include a claimed list is enforced', () => {
  const patient = capability.types.get('Patient');
  assert.ok(patient);
  const claims: Capability = {
    ...capability,
    types: new Map([...capability.types, ['Patient', { ...patient, includes: ['Patient:link'], revIncludes: [] }]]),
  };
  const ask = (query: string): SearchQuery =>
    parseSearch('Patient', query, 'strict', { definitions, capability: claims, settings });
  assert.equal(ask('_include=Patient:link').includes.length, 1);
  assert.equal(ask('_include=*').includes.length, 1, 'only the claimed one');
  assert.throws(() => ask('_include=Patient:organization'), FhirError);
  assert.throws(() => ask('_revinclude=Observation:patient'), FhirError);
});

const names = [...(capability.types.get('Observation')?.searchParameters.keys() ?? [])];
const modifiers = [
  '',
  ':missing',
  ':not',
  ':exact',
  ':contains',
  ':of-type',
  ':identifier',
  ':Patient',
  ':below',
  ':x',
  ':',
];
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({
    unit: fc.constantFrom("'", '"', '%', '_', '\u0000', '$', '|', ',', '\\', '1', 'a', ':', '.', ' ', '/', '2', '-'),
    maxLength: 30,
  }),
  fc.constantFrom(
    '\u0000',
    '$'.repeat(5000),
    '\\',
    '%',
    '%%%',
    "'; DROP TABLE",
    'a'.repeat(20_000),
    '\ud800',
    '(((',
    '1e300',
  ),
);

test('any name and value of a search either plans or is a FhirError', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...names, '_has:Observation:has-member:code', 'subject.name', '_sort', '_include'),
      fc.constantFrom(...modifiers),
      hostile,
      fc.boolean(),
      (name, modifier, value, encode) => {
        const text = encode
          ? new URLSearchParams([[`${name}${modifier}`, value.toWellFormed()]]).toString()
          : `${name}${modifier}=${value}`;
        try {
          planned('Observation', text);
        } catch (error) {
          if (!(error instanceof FhirError)) throw error;
          assert.ok(error.status >= 400 && error.status < 500);
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test('any query string at all either parses or is a FhirError, strict and lenient', () => {
  fc.assert(
    fc.property(hostile, fc.constantFrom('strict' as const, 'lenient' as const), (query, handling) => {
      assert.ok(typeof kindOf('Patient', query, handling) === 'string');
    }),
    { numRuns: 1000 },
  );
});
