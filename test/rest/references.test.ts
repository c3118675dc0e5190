// Links inside resources: references.html#literal, http.html#trules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject } from '../../src/fhir/resource.ts';
import { localTarget, rewritten, rootOf, withoutOwnBase } from '../../src/rest/interactions/references.ts';
import { at, BASE, bundle, json, world } from './write-world.ts';

const { context } = world();
const NEW = 'Patient/9';
const URN = 'urn:uuid:84d85421-ad41-47ff-8fe8-df69c8f78038';
const rules = { reference: (text: string) => (text === URN ? NEW : text), links: new Map([[URN, NEW]]) };

test('#trules: links are replaced in every place where a link can stand, and nowhere else', () => {
  const rows: readonly [type: string, path: string, replaced: boolean, why: string][] = [
    ['Observation', 'subject.reference', true, 'a reference'],
    ['Observation', 'performer.1.reference', true, 'a reference in a list'],
    ['Observation', 'extension.0.valueReference.reference', true, 'a reference in an extension'],
    ['Observation', 'component.0.extension.0.extension.0.valueReference.reference', true, 'deep'],
    ['Observation', '_status.extension.0.valueReference.reference', true, 'an extension of a primitive'],
    ['Observation', 'extension.0.valueUri', true, 'uri'],
    ['Observation', 'extension.0.valueUrl', true, 'url'],
    ['Observation', 'extension.0.valueUuid', false, 'no uuid can be Type/id'],
    ['Observation', 'extension.0.valueOid', false, 'no oid can be Type/id'],
    ['Observation', 'extension.0.valueCanonical', false, 'canonicals are not replaced'],
    ['Observation', 'extension.0.valueString', false, 'a string is not a link'],
    ['Observation', 'implicitRules', true, 'uri'],
    ['Observation', 'identifier.0.system', true, 'uri'],
    ['Observation', 'identifier.0.value', false, 'string'],
    ['Observation', 'subject.display', false, 'string'],
    ['Observation', 'instantiatesCanonical', false, 'no element of Observation'],
    ['Attachment', 'x', false, 'not a resource'],
    ['Communication', 'payload.0.contentAttachment.url', true, 'url in a choice'],
    ['Composition', 'section.0.section.0.entry.0.reference', true, 'an element defined by reference to another'],
    ['Questionnaire', 'item.0.item.0.definition', true, 'uri in an element defined by reference to another'],
    ['Questionnaire', 'item.0.item.0.answerValueSet', false, 'canonical in such an element'],
  ];
  for (const [type, path, replaced, why] of rows) {
    const resource = { resourceType: type, ...built(path.split('.'), URN) };
    const after = rewritten(resource, rules, context.definitions);
    assert.equal(at(after, path), replaced ? NEW : URN, `${type}.${path}: ${why}`);
    assert.equal(at(resource, path), URN, 'the input is not mutated');
    if (!replaced) assert.equal(after, resource);
  }
});

test('#trules: contained resources are walked by their own type', () => {
  const resource = {
    resourceType: 'Observation',
    contained: [{ resourceType: 'Patient', link: [{ other: { reference: URN } }], implicitRules: URN, gender: URN }],
  };
  const after = rewritten(resource, rules, context.definitions);
  assert.equal(at(after, 'contained.0.link.0.other.reference'), NEW);
  assert.equal(at(after, 'contained.0.implicitRules'), NEW);
  assert.equal(at(after, 'contained.0.gender'), URN);
});

test('resources inside a resource that are not contained keep their links', () => {
  const document = {
    resourceType: 'Bundle',
    entry: [{ resource: { resourceType: 'Observation', subject: { reference: URN }, implicitRules: URN } }],
  };
  assert.equal(rewritten(document, rules, context.definitions), document);
});

test('#trules: narrative links', () => {
  const links = new Map([...rules.links, ['http://x/a?b=1&c=2', 'Patient/8']]);
  const rows: readonly [before: string, after: string][] = [
    [`<div><a href="${URN}">x</a></div>`, `<div><a href="${NEW}">x</a></div>`],
    [`<div><img alt='' src='${URN}'/></div>`, `<div><img alt='' src='${NEW}'/></div>`],
    ['<div><a href="http://x/a?b=1&amp;c=2">x</a></div>', '<div><a href="Patient/8">x</a></div>'],
    [`<div>${URN} <b title="${URN}">x</b></div>`, `<div>${URN} <b title="${URN}">x</b></div>`],
  ];
  for (const [before, after] of rows) {
    const resource = { resourceType: 'Patient', text: { status: 'generated', div: before } };
    assert.equal(at(rewritten(resource, { ...rules, links }, context.definitions), 'text.div'), after);
  }
});

test('#literal: own absolute references become relative; all else stays', () => {
  const rows: readonly [before: string, after: string][] = [
    [`${BASE}/Patient/1`, 'Patient/1'],
    [`${BASE}/Patient/1/_history/2`, 'Patient/1/_history/2'],
    [`${BASE}/Patient?identifier=1`, 'Patient?identifier=1'],
    [`${BASE}/metadata`, `${BASE}/metadata`],
    [`${BASE}x/Patient/1`, `${BASE}x/Patient/1`],
    ['http://other/fhir/Patient/1', 'http://other/fhir/Patient/1'],
    ['Patient/1', 'Patient/1'],
    ['#contained', '#contained'],
    [URN, URN],
  ];
  for (const [before, after] of rows) assert.equal(withoutOwnBase(before, BASE), after);
});

test('grammar: local targets and roots', () => {
  assert.deepEqual(localTarget('Patient/1/_history/2'), { type: 'Patient', id: '1' });
  for (const text of ['patient/1', 'Patient', 'Patient/', 'Patient/a b', 'http://x/Patient/1', '../Patient/1', '#p']) {
    assert.equal(localTarget(text), undefined, text);
  }
  assert.equal(rootOf('http://x/fhir/Patient/1'), 'http://x/fhir');
  assert.equal(rootOf(URN), undefined);
});

test('single writes: own absolute references come back relative, conditional ones are refused', async () => {
  const { ask } = world();
  const observation = (reference: string) => ({ resourceType: 'Observation', subject: { reference } });
  const response = await ask('POST', '/Observation', observation(`${BASE}/Patient/1`));
  assert.equal(at(json(response), 'subject.reference'), 'Patient/1');
  assert.equal((await ask('POST', '/Observation', observation('Patient?identifier=1'))).status, 400);
});

test('bundle.html#references: relative references are resolved against the full URL of their entry', async () => {
  const { ask, store } = world();
  const observation = { resourceType: 'Observation', subject: { reference: 'Patient/7' } };
  const response = await ask(
    'POST',
    '/',
    bundle(
      'transaction',
      ['POST', 'Patient', { resourceType: 'Patient' }, { fullUrl: 'http://ehr/fhir/Patient/7' }],
      ['POST', 'Observation', observation, { fullUrl: 'http://ehr/fhir/Observation/1' }],
      ['POST', 'Observation', observation, { fullUrl: 'http://other/fhir/Observation/1' }],
      ['POST', 'Observation', { ...observation, subject: { reference: 'http://ehr/fhir/Patient/7' } }],
    ),
  );
  assert.equal(response.status, 200);
  const subjects = store.texts('Observation').map((text) => at(JSON.parse(text), 'subject.reference'));
  assert.deepEqual(subjects, ['Patient/new-1', 'Patient/7', 'Patient/new-1']);
});

test('#trules: a uuid that equals the full URL of an entry stays what it is, and the transaction is done', async () => {
  const { ask, store } = world();
  const extension = [{ url: 'http://example.org/x', valueUuid: URN }];
  const response = await ask(
    'POST',
    '/',
    bundle('transaction', ['POST', 'Patient', { resourceType: 'Patient', extension }, { fullUrl: URN }]),
  );
  assert.equal(response.status, 200, response.body);
  assert.equal(at(JSON.parse(store.texts('Patient')[0] ?? ''), 'extension.0.valueUuid'), URN);
});

/** `['a', '0', 'b']` -> `{a: [{b: value}]}`; a list is filled up with empty objects. */
function built(path: readonly string[], value: string): JsonObject {
  const make = ([first = '', ...rest]: readonly string[]): Json => {
    const inner = rest.length === 0 ? value : make(rest);
    if (!/^\d+$/.test(first)) return { [first]: inner };
    return Array.from({ length: Number(first) + 1 }, (_, index) => (index === Number(first) ? inner : {}));
  };
  return make(path) as JsonObject;
}
