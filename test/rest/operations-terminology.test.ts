// terminology-service.html, valueset-operation-*.html, codesystem-operation-*.html, conceptmap-operation-translate.html.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isJsonObject } from '../../src/fhir/resource.ts';
import { at, json } from '../world.ts';
import { type OperationsWorld, operationsWorld, out, parameters } from './operations-world.ts';

let w: OperationsWorld;
const URL = 'http://example.org';
const ANIMALS = {
  resourceType: 'CodeSystem',
  id: 'animals',
  url: `${URL}/animals`,
  version: '1',
  name: 'Animals',
  status: 'active',
  content: 'complete',
  property: [{ code: 'legs', type: 'integer' }],
  concept: [
    {
      code: 'animal',
      display: 'Animal',
      property: [{ code: 'notSelectable', valueBoolean: true }],
      concept: [
        { code: 'cat', display: 'Cat', definition: 'It purrs.', designation: [{ language: 'de', value: 'Katze' }] },
        {
          code: 'dog',
          display: 'Dog',
          property: [{ code: 'legs', valueInteger: 4 }],
          concept: [{ code: 'pug', display: 'Pug dog' }],
        },
        { code: 'dodo', display: 'Dodo', property: [{ code: 'status', valueCode: 'retired' }] },
      ],
    },
  ],
};
const set = (id: string, compose: object) => ({
  resourceType: 'ValueSet',
  id,
  url: `${URL}/${id}`,
  status: 'active',
  compose: compose as never,
});
const system = `${URL}/animals`;

before(async () => {
  w = await operationsWorld();
  await w.hold(
    ANIMALS,
    set('all', { include: [{ system }] }),
    set('dogs', { include: [{ system, filter: [{ property: 'concept', op: 'is-a', value: 'dog' }] }] }),
    set('not-dogs', { include: [{ system }], exclude: [{ valueSet: [`${URL}/dogs`] }] }),
    set('four-legs', { include: [{ system, filter: [{ property: 'legs', op: '=', value: '4' }] }] }),
    set('both', { include: [{ valueSet: [`${URL}/dogs`, `${URL}/four-legs`] }] }),
    set('listed', { include: [{ system: 'http://snomed.info/sct', concept: [{ code: '1', display: 'One' }] }] }),
    set('snomed', { include: [{ system: 'http://snomed.info/sct' }] }),
    set('regex', { include: [{ system, filter: [{ property: 'code', op: 'regex', value: '(a+)+$' }] }] }),
    set('self', { include: [{ valueSet: [`${URL}/self`] }, { valueSet: [`${URL}/self`] }] }),
    {
      resourceType: 'ConceptMap',
      id: 'translation',
      url: `${URL}/translation`,
      status: 'active',
      group: [
        {
          source: system,
          target: `${URL}/tiere`,
          element: [
            { code: 'cat', target: [{ code: 'katze', display: 'Katze', equivalence: 'equivalent' }] },
            { code: 'pug', target: [{ code: 'hund', equivalence: 'wider' }] },
            { code: 'dodo', target: [{ equivalence: 'unmatched' }] },
          ],
        },
      ],
    },
  );
});
after(async () => {
  await w.close();
  assert.deepEqual(w.reported, []);
});

const codesIn = (body: unknown): readonly unknown[] => {
  const list = at(body, 'expansion.contains');
  return (Array.isArray(list) ? list : []).map(({ code }) => code);
};

const expansions: readonly (readonly [url: string, codes: readonly string[], why: string])[] = [
  ['?url=http://example.org/all', ['animal', 'cat', 'dog', 'pug', 'dodo'], 'a whole system'],
  ['?url=http://example.org/dogs', ['dog', 'pug'], 'is-a'],
  ['?url=http://example.org/not-dogs', ['animal', 'cat', 'dodo'], 'exclude'],
  ['?url=http://example.org/four-legs', ['dog'], 'a property'],
  ['?url=http://example.org/both', ['dog'], 'two value sets in one include: both'],
  ['?url=http://example.org/listed', ['1'], 'listed codes stand without their system'],
  ['?url=http://example.org/all&filter=do', ['dog', 'pug', 'dodo'], 'filter on display and code'],
  ['?url=http://example.org/all&filter=PUG%20dog', ['pug'], 'every word, any case'],
  ['?url=http://example.org/all&activeOnly=true', ['animal', 'cat', 'dog', 'pug'], 'without retired'],
  ['?url=http://example.org/all&offset=1&count=2', ['cat', 'dog'], 'a page'],
  ['?url=http://example.org/all&count=0', [], 'how large is it'],
  ['?url=http://hl7.org/fhir/ValueSet/administrative-gender', ['male', 'female', 'other', 'unknown'], 'published'],
  ['?url=http://hl7.org/fhir/ValueSet/administrative-gender%7C4.0.1&count=1', ['male'], 'in a version'],
];
for (const [query, codes, why] of expansions) {
  test(`$expand ${query}: ${why}`, async () => {
    const response = await w.send('GET', `/ValueSet/$expand${query}`);
    assert.equal(response.status, 200, response.body);
    assert.deepEqual(codesIn(json(response)), codes);
  });
}

test('$expand of an instance, of one in the body, and its answer is a valid ValueSet', async () => {
  const instance = json(await w.send('GET', '/ValueSet/dogs/$expand'));
  assert.deepEqual([codesIn(instance), at(instance, 'expansion.total')], [['dog', 'pug'], 2]);
  const body = set('x', { include: [{ system, concept: [{ code: 'cat' }] }] });
  const bare = json(await w.send('POST', '/ValueSet/$expand', { body }));
  assert.deepEqual(at(bare, 'expansion.contains'), [{ system, code: 'cat', display: 'Cat' }]);
  for (const each of [instance, bare]) {
    assert.deepEqual(w.context.validate({ ...each, resourceType: 'ValueSet' }), []);
  }
});

test('every published value set is expanded or refused clearly', async () => {
  const { definitions } = w.context;
  const urls = [...definitions.types].flatMap((type) =>
    (definitions.structure(type)?.elements ?? []).flatMap(({ valueSet }) => valueSet ?? []),
  );
  const refused: string[] = [];
  for (const url of new Set(urls)) {
    const { status } = await w.send('GET', `/ValueSet/$expand?url=${url}&count=1`);
    assert.ok([200, 404, 422].includes(status), `${url}: ${status}`);
    if (status !== 200) refused.push(url);
  }
  assert.ok(refused.length < new Set(urls).size / 10, refused.join(' '));
});

const validations: readonly (readonly [url: string, result: boolean, why: string])[] = [
  ['/ValueSet/$validate-code?url=http://example.org/dogs&system=SYSTEM&code=pug', true, 'in it'],
  ['/ValueSet/$validate-code?url=http://example.org/dogs&system=SYSTEM&code=cat', false, 'not in it'],
  ['/ValueSet/$validate-code?url=http://example.org/dogs&system=http://x.org&code=pug', false, 'another system'],
  ['/ValueSet/dogs/$validate-code?system=SYSTEM&code=pug&display=PUG%20Dog', true, 'display in any case'],
  ['/ValueSet/dogs/$validate-code?system=SYSTEM&code=pug&display=Poodle', false, 'another display'],
  ['/ValueSet/all/$validate-code?system=SYSTEM&code=animal', false, 'abstract'],
  ['/ValueSet/all/$validate-code?system=SYSTEM&code=animal&abstract=true', true, 'abstract is allowed'],
  ['/ValueSet/snomed/$validate-code?system=http://x.org&code=1', false, 'what is not asked for is not looked at'],
  ['/CodeSystem/$validate-code?url=SYSTEM&code=cat', true, 'a code of the system'],
  ['/CodeSystem/$validate-code?url=SYSTEM&code=cow', false, 'no code of the system'],
  ['/CodeSystem/animals/$validate-code?code=cat&display=Dog', false, 'another display'],
  ['/CodeSystem/$validate-code?url=http://hl7.org/fhir/administrative-gender&code=male', true, 'published'],
];
for (const [url, result, why] of validations) {
  test(`validate-code ${url}: ${why}`, async () => {
    const response = await w.send('GET', url.replaceAll('SYSTEM', system));
    assert.equal(response.status, 200, response.body);
    assert.equal(out(response, 'result'), result);
    assert.equal(out(response, 'message') === undefined, result);
  });
}

test('validate-code of a CodeableConcept: one of its codings is enough', async () => {
  const concept = {
    coding: [
      { system, code: 'cat' },
      { system, code: 'pug' },
    ],
  };
  const body = parameters(['url', { valueUri: `${URL}/dogs` }], ['codeableConcept', { valueCodeableConcept: concept }]);
  assert.equal(out(await w.send('POST', '/ValueSet/$validate-code', { body }), 'result'), true);
});

test('$lookup: name, display, designation, hierarchy, properties', async () => {
  const response = await w.send('GET', `/CodeSystem/$lookup?system=${system}&code=dog`);
  assert.deepEqual(
    [out(response, 'name'), out(response, 'version'), out(response, 'display')],
    ['Animals', '1', 'Dog'],
  );
  const list = json(response).parameter;
  const properties = (Array.isArray(list) ? list : [])
    .filter(({ name }) => name === 'property')
    .map(({ part }) => part.map((each: object) => Object.values(each)[1]).join('='));
  assert.deepEqual(properties, ['parent=animal', 'child=pug', 'legs=4']);
  const cat = await w.send('GET', `/CodeSystem/$lookup?system=${system}&code=cat&property=designation`);
  assert.match(cat.body ?? '', /Katze/);
  for (const each of [response, cat]) {
    const value = json(each);
    assert.deepEqual(isJsonObject(value) && w.context.validate({ ...value, resourceType: 'Parameters' }), []);
  }
});

const subsumptions: readonly (readonly [a: string, b: string, outcome: string])[] = [
  ['dog', 'dog', 'equivalent'],
  ['animal', 'pug', 'subsumes'],
  ['pug', 'animal', 'subsumed-by'],
  ['cat', 'dog', 'not-subsumed'],
];
for (const [a, b, outcome] of subsumptions) {
  test(`$subsumes ${a} ${b}: ${outcome}`, async () => {
    const response = await w.send('GET', `/CodeSystem/$subsumes?system=${system}&codeA=${a}&codeB=${b}`);
    assert.equal(out(response, 'outcome'), outcome);
    const instance = await w.send('GET', `/CodeSystem/animals/$subsumes?codeA=${a}&codeB=${b}`);
    assert.equal(out(instance, 'outcome'), outcome);
  });
}

const translated: readonly (readonly [query: string, result: boolean, code: unknown, equivalence: unknown])[] = [
  [`/$translate?url=${URL}/translation&system=${system}&code=cat`, true, 'katze', 'equivalent'],
  [`/translation/$translate?system=${system}&code=pug`, true, 'hund', 'wider'],
  [`/$translate?system=${system}&code=cat&targetsystem=${URL}/tiere`, true, 'katze', 'equivalent'],
  [`/$translate?system=${system}&code=cat&targetsystem=${URL}/none`, false, undefined, undefined],
  [`/$translate?system=${system}&code=dodo`, false, undefined, 'unmatched'],
  [`/$translate?system=${URL}/tiere&code=hund&reverse=true`, true, 'pug', 'narrower'],
  ['/$translate?system=http://x.org&code=cat', false, undefined, undefined],
];
for (const [query, result, code, equivalence] of translated) {
  test(`$translate ${query}`, async () => {
    const response = await w.send('GET', `/ConceptMap${query}`);
    assert.equal(out(response, 'result'), result, response.body);
    const list = json(response).parameter;
    const match = (Array.isArray(list) ? list : []).find(({ name }) => name === 'match');
    const part = (name: string) =>
      (at(match, 'part') as never as object[] | undefined)?.find((each) => at(each, 'name') === name);
    assert.equal(at(part('equivalence'), 'valueCode'), equivalence);
    assert.equal(at(part('concept'), 'valueCoding.code'), code);
  });
}

const refused: readonly (readonly [url: string, status: number, why: string])[] = [
  ['/ValueSet/$expand', 400, 'of which value set'],
  ['/ValueSet/$expand?url=http://example.org/none', 404, 'not held'],
  ['/ValueSet/$expand?url=http://example.org/snomed', 422, 'its code system is not held complete'],
  ['/ValueSet/$expand?url=http://example.org/regex', 422, 'a filter that is not supported'],
  ['/ValueSet/$expand?url=http://example.org/self', 422, 'it includes itself'],
  ['/ValueSet/$expand?url=http://example.org/all&valueSetVersion=9', 404, 'another version'],
  ['/ValueSet/$expand?url=http://example.org/all&count=-1', 400, 'no such page'],
  ['/ValueSet/$expand?url=http://example.org/all&date=2020-01-01', 400, 'not supported is not ignored'],
  ['/ValueSet/$validate-code?url=http://example.org/dogs&code=pug', 400, 'a code without its system'],
  ['/ValueSet/nobody/$expand', 404, 'not held'],
  [`/CodeSystem/$lookup?system=${system}&code=cow`, 404, 'no such code'],
  ['/CodeSystem/$lookup?system=http://loinc.org&code=8867-4', 404, 'a code system that is not held'],
  ['/CodeSystem/$lookup?code=cat', 400, 'no system'],
  ['/CodeSystem/animals/$lookup?code=cat', 404, 'of a type only'],
  [`/CodeSystem/$subsumes?system=${system}&codeA=cat&codeB=cow`, 404, 'no such code'],
  [`/CodeSystem/$subsumes?system=${system}&codeA=cat`, 400, 'only one'],
  [`/ConceptMap/$translate?url=${URL}/none&system=${system}&code=cat`, 404, 'no such map'],
  ['/ConceptMap/$translate?code=cat', 400, 'no system'],
];
for (const [url, status, why] of refused) {
  test(`terminology refuses ${url}: ${why}`, async () => {
    const response = await w.send('GET', url);
    assert.equal(response.status, status, response.body);
  });
}

test('a caller who may not see a code system does not see it through an operation', async () => {
  const hidden = (type: string) => (type === 'CodeSystem' ? ({ kind: 'none' } as const) : ({ kind: 'all' } as const));
  assert.equal((await w.sendAs(hidden, 'GET', '/ValueSet/all/$expand')).status, 404);
});
