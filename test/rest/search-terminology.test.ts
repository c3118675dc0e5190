// search.html#modifiers :in, :not-in, :above, :below over the real engine: value sets and code systems held here, and the refusal of others by name.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { idsOf, json } from '../world.ts';
import { type EngineWorld, engineWorld } from './engine-world.ts';

const S = 'http://codes.example';
const condition = (id: string, code: string | undefined, system = S) => ({
  resourceType: 'Condition',
  id,
  subject: { reference: 'Patient/p' },
  ...(code === undefined ? {} : { code: { coding: [{ system, code }] } }),
});
const valueSet = (id: string, more: object) => ({
  resourceType: 'ValueSet',
  id,
  url: `http://sets.example/${id}`,
  status: 'active',
  ...more,
});
const listed = (...codes: string[]) => ({ system: S, concept: codes.map((code) => ({ code })) });
const compose = (...include: object[]) => ({ compose: { include } });
const isA = (value: string, op = 'is-a') => ({ system: S, filter: [{ property: 'concept', op, value }] });
const RESOURCES = [
  { resourceType: 'Patient', id: 'p', gender: 'female' },
  {
    resourceType: 'CodeSystem',
    id: 'tree',
    url: S,
    status: 'active',
    content: 'complete',
    hierarchyMeaning: 'is-a',
    concept: [
      { code: 'animal', concept: [{ code: 'dog', concept: [{ code: 'puppy' }] }, { code: 'cat' }] },
      { code: 'pet' },
      {
        code: 'hamster',
        property: [
          { code: 'parent', valueCode: 'pet' },
          { code: 'parent', valueCode: 'animal' },
        ],
      },
    ],
  },
  {
    resourceType: 'CodeSystem',
    id: 'part',
    url: 'http://part.example',
    status: 'active',
    content: 'complete',
    hierarchyMeaning: 'part-of',
    concept: [{ code: 'x' }],
  },
  { resourceType: 'CodeSystem', id: 'stub', url: 'http://stub.example', status: 'active', content: 'not-present' },
  condition('puppy', 'puppy'),
  condition('dog', 'dog'),
  condition('cat', 'cat'),
  condition('hamster', 'hamster'),
  condition('other', 'dog', 'http://other.example'),
  condition('none', undefined),
  valueSet('some', compose(listed('dog', 'cat'))),
  valueSet('whole', compose({ system: S })),
  valueSet('dogs', compose(isA('dog'))),
  valueSet('below', compose(isA('dog', 'descendent-of'))),
  valueSet('less', { compose: { include: [{ system: S }], exclude: [listed('cat')] } }),
  valueSet('outer', compose({ valueSet: ['http://sets.example/some'] }, listed('hamster'))),
  valueSet('both', compose({ valueSet: ['http://sets.example/some', 'http://sets.example/dogs'] })),
  valueSet('expanded', {
    expansion: {
      timestamp: '2026-01-01',
      contains: [{ system: S, abstract: true, code: 'animal', contains: [{ system: S, code: 'cat' }] }],
    },
  }),
  valueSet('self', compose({ valueSet: ['http://sets.example/self'] })),
  valueSet('regex', compose({ system: S, filter: [{ property: 'concept', op: 'regex', value: '.*' }] })),
  valueSet('snomed', compose({ system: 'http://snomed.info/sct' })),
  valueSet('stubbed', compose({ system: 'http://stub.example' })),
  valueSet(
    'huge',
    compose({ system: S, concept: Array.from({ length: 1001 }, (_, index) => ({ code: `c${index}` })) }),
  ),
];

let there: EngineWorld;
before(async () => {
  there = await engineWorld(RESOURCES);
});
after(() => there.close());

const set = (id: string) => `http://sets.example/${id}`;
const rows: readonly [query: string, ids: string, why: string][] = [
  ['Condition?code=dog', 'dog other', 'control'],
  [`Condition?code:in=${set('some')}`, 'cat dog', 'listed concepts, of their system'],
  ['Condition?code:in=ValueSet/some', 'cat dog', 'named as a resource of this server'],
  [`Condition?code:not-in=${set('some')}`, 'hamster none other puppy', 'the others, also without code'],
  [`Condition?code:in=${set('whole')}`, 'cat dog hamster puppy', 'a whole code system held here'],
  [`Condition?code:in=${set('dogs')}`, 'dog puppy', 'filter is-a'],
  [`Condition?code:in=${set('below')}`, 'puppy', 'filter descendent-of'],
  [`Condition?code:in=${set('less')}`, 'dog hamster puppy', 'exclude'],
  [`Condition?code:in=${set('outer')}`, 'cat dog hamster', 'a value set of value sets'],
  [`Condition?code:in=${set('both')}`, 'dog', 'what is in both'],
  [`Condition?code:in=${set('expanded')}`, 'cat', 'an expansion without its abstract concepts'],
  [`Condition?code:in=${set('below')},${set('expanded')}`, 'cat puppy', 'OR'],
  ['Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender', 'p', 'a published value set'],
  ['Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1', 'p', 'and its version'],
  ['Patient?gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender', '', 'none is outside'],
  [`Patient?_has:Condition:subject:code:in=${set('some')}`, 'p', 'through _has'],
  [`Condition?code:below=${S}|dog`, 'dog puppy', 'below: itself and what it subsumes'],
  [`Condition?code:below=${S}|animal`, 'cat dog hamster puppy', 'below, by property parent too'],
  [`Condition?code:below=${S}|pet`, 'hamster', 'a second parent'],
  [`Condition?code:above=${S}|puppy`, 'dog puppy', 'above: itself and what subsumes it'],
  [`Condition?code:above=${S}|cat`, 'cat', 'nothing between'],
  [`Condition?subject:Patient._id=p&code:below=${S}|dog`, 'dog puppy', 'with others'],
];
test('fhir-r4@modifiers :in, :not-in, :above, :below: what is found', async () => {
  const wrong: string[] = [];
  for (const [query, ids, why] of rows) {
    const found = idsOf(json(await there.send('GET', `/${query}`)))
      .toSorted()
      .join(' ');
    if (found !== ids) wrong.push(`${query} found [${found}]: ${why}`);
  }
  assert.equal(wrong.join('\n'), '');
});

const conditional: readonly [
  method: string,
  url: string,
  ifNoneExist: string | undefined,
  status: number,
  why: string,
][] = [
  ['POST', '/Condition', `code:in=${set('dogs')}&code:not-in=${set('below')}`, 200, 'one: nothing is created'],
  ['POST', '/Condition', `code:below=${S}|animal`, 412, 'several'],
  ['PUT', `/Condition?code:above=${S}|cat`, undefined, 200, 'the one is updated'],
  ['POST', '/Condition', `code:in=${set('snomed')}`, 400, 'what is not held is refused, not taken for nothing'],
  ['DELETE', `/Condition?code:below=${S}|pet`, undefined, 204, 'the one is deleted'],
  ['POST', '/Condition', `code:in=${set('expanded')}&code:not-in=${set('some')}`, 201, 'none: created'],
];
test('fhir-r4@ccreate :in, :not-in, :above and :below in criteria of conditional interactions', async () => {
  const wrong: string[] = [];
  for (const [method, url, ifNoneExist, status, why] of conditional) {
    const body = {
      resourceType: 'Condition',
      subject: { reference: 'Patient/q' },
      code: { coding: [{ system: S, code: 'cat' }] },
    };
    const headers = ifNoneExist === undefined ? {} : { 'if-none-exist': ifNoneExist };
    const answer = await there.send(method, url, { headers, ...(method === 'DELETE' ? {} : { body }) });
    if (answer.status !== status)
      wrong.push(`${method} ${url} ${ifNoneExist}: ${answer.status} ${answer.body}: ${why}`);
  }
  assert.equal(wrong.join('\n'), '');
});

const refused: readonly [query: string, message: RegExp, why: string][] = [
  [
    'Condition?code:in=http://nowhere.example/set',
    /nowhere\.example\/set.*not a value set that this server holds/,
    'unknown',
  ],
  ['Condition?code:in=ValueSet/nothing', /ValueSet\/nothing/, 'no such resource'],
  [`Condition?code:in=${set('some')}|9`, /some\|9/, 'another version'],
  [`Condition?code:in=${set('snomed')}`, /snomed\.info\/sct is not held/, 'a code system that is not held'],
  [`Condition?code:in=${set('stubbed')}`, /not held complete/, 'a code system without its concepts'],
  [`Condition?code:in=${set('regex')}`, /filter regex/, 'a filter that is not understood'],
  [`Condition?code:in=${set('self')}`, /too deeply/, 'a value set that includes itself'],
  [`Condition?code:in=${set('huge')}`, /more than 1000/, 'too many concepts'],
  ['Condition?code:below=dog', /system\|code/, 'no system'],
  [`Condition?code:below=${S}|unicorn`, /no such concept/, 'no such concept'],
  ['Condition?code:below=http://snomed.info/sct|1', /not held/, 'a code system that is not held'],
  ['Condition?code:below=http://part.example|x', /not is-a/, 'a hierarchy of another meaning'],
];
test('fhir-r4@modifiers :in, :above, :below: what is not held is refused by name', async () => {
  const wrong: string[] = [];
  for (const [query, message, why] of refused) {
    const { status, body } = await there.send('GET', `/${query}`);
    if (status !== 400 || !message.test(body ?? '')) wrong.push(`${query}: ${status} ${body}: ${why}`);
  }
  assert.equal(wrong.join('\n'), '');
});
