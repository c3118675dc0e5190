// search.html#summary, #elements, http.html#parameters (_pretty): which elements an answer keeps, and that no digit is lost on the way.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { prettyText } from '../../src/rest/wire/pretty.ts';
import { at, json, type World, world } from '../world.ts';

const OBSERVATION = `{"resourceType":"Observation","id":"o","meta":{"tag":[{"system":"urn:t","code":"kept"}]},
"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">x</div>"},
"status":"final","_status":{"extension":[{"url":"urn:e","valueBoolean":true}]},"code":{"text":"c"},
"valueQuantity":{"value":1.50,"unit":"mg"},"note":[{"text":"n"}],
"referenceRange":[{"low":{"value":1.0}}],"component":[{"code":{"text":"k"},"valueString":"v","interpretation":[{"text":"i"}]}]}`;

let there: World;
before(async () => {
  there = world();
  const { status, body } = await there.send('PUT', '/Observation/o', { body: OBSERVATION });
  assert.equal(status, 201, body);
});

const ALL = ['_status', 'code', 'component', 'note', 'referenceRange', 'status', 'text', 'valueQuantity'];
const rows: readonly [query: string, kept: readonly string[], subsetted: boolean, why: string][] = [
  ['', ALL, false, 'control'],
  ['?_summary=false', ALL, false, 'everything'],
  ['?_summary=true', ['_status', 'code', 'component', 'status', 'valueQuantity'], true, 'elements marked as summary'],
  ['?_summary=text', ['_status', 'code', 'status', 'text'], true, 'text and mandatory elements'],
  ['?_summary=data', ALL.filter((name) => name !== 'text'), true, 'all but text'],
  ['?_elements=note', ['_status', 'code', 'note', 'status'], true, 'named and mandatory'],
  ['?_elements=value', ['_status', 'code', 'status', 'valueQuantity'], true, 'a choice by its stem'],
  ['?_elements=valueQuantity', ['_status', 'code', 'status', 'valueQuantity'], true, 'a choice by its name'],
  [
    '?_elements=Observation.component.code',
    ['_status', 'code', 'component', 'status'],
    true,
    'a path keeps its top element',
  ],
  ['?_elements=nothing', ['_status', 'code', 'status'], true, 'an element that is not there'],
];
for (const [query, kept, subsetted, why] of rows) {
  test(`fhir-r4@summary ${query || 'whole'}: ${why}`, async () => {
    const resource = json(await there.send('GET', `/Observation/o${query}`));
    const names = Object.keys(resource).filter((name) => !['resourceType', 'id', 'meta'].includes(name));
    assert.deepEqual(names.toSorted(), kept);
    assert.equal(at(resource, 'meta.tag.1.code'), subsetted ? 'SUBSETTED' : undefined);
    assert.equal(at(resource, 'meta.tag.0.code'), 'kept');
  });
}

test('fhir-r4@summary goes down into backbone elements', async () => {
  const resource = json(await there.send('GET', '/Observation/o?_summary=true'));
  assert.deepEqual(at(resource, 'component.0'), { code: { text: 'k' }, valueString: 'v' });
});

test('decimals keep their lexeme in every form', async () => {
  for (const query of ['', '?_pretty=true', '?_summary=true', '?_elements=valueQuantity&_pretty=true']) {
    assert.match((await there.send('GET', `/Observation/o${query}`)).body ?? '', /"value": ?1\.50/, query);
  }
});

test('fhir-r4@search: the subset holds for matches', async () => {
  const bundle = json(await there.send('GET', '/Observation?_elements=status'));
  assert.equal(at(bundle, 'entry.0.resource.meta.tag.1.code'), 'SUBSETTED');
  assert.equal(at(bundle, 'entry.0.resource.note'), undefined);
});

test('_pretty is the same JSON, indented', () => {
  const text = '{"a":[1.0,{"b":"x\\"{,:}"},[]],"c":{},"d":null}';
  assert.equal(JSON.stringify(JSON.parse(prettyText(text))), JSON.stringify(JSON.parse(text)));
  assert.equal(prettyText('{"a":[1.0,2]}'), '{\n  "a": [\n    1.0,\n    2\n  ]\n}');
});
