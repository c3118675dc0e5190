// No text that tells whose data it is survives: every official example and seed patient, and whatever strings stand wherever strings can stand.
// 45 CFR 164.514(b)(2)(i); docs/privacy.md#de-identified-export
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { Mode } from '../../src/deidentify/rules.ts';
import { isJsonObject, type Json, type JsonObject, type Resource, serialize } from '../../src/fhir/resource.ts';
import { storedResource } from '../../src/rest/wire/represent.ts';
import { generated } from '../fhir/generate.ts';
import { random } from '../store/world.ts';
import { definitions, deidentified, rules, validate } from './world.ts';

const MODES: readonly Mode[] = ['safe-harbor', 'shifted'];
const MARKER = 'Zq7Garcia';

function inBundle(text: string): readonly Resource[] {
  const { entry } = storedResource(text);
  return (Array.isArray(entry) ? entry : []).flatMap((each) =>
    isJsonObject(each) && isJsonObject(each.resource) ? [storedResource(serialize(each.resource))] : [],
  );
}
const SEEDED = globSync('seed-data/*.json').flatMap((file) => inBundle(readFileSync(file, 'utf8')));
const SYNTHETIC = globSync('test/data/synthea/*.json.gz').flatMap((file) =>
  inBundle(gunzipSync(readFileSync(file)).toString('utf8')),
);
const EXAMPLES = globSync('test/data/{fhir-examples,us-core}/**/*.json').flatMap((file) => {
  const resource = storedResource(readFileSync(file, 'utf8'));
  return typeof resource.resourceType === 'string' ? [resource] : [];
});
const ALL = [...EXAMPLES, ...SEEDED, ...SYNTHETIC];

/** Every text in a value, with the name of the element it stands in. */
function texts(value: Json | undefined, name = ''): readonly (readonly [name: string, text: string])[] {
  if (typeof value === 'string') return [[name, value]];
  if (Array.isArray(value)) return value.flatMap((each) => texts(each, name));
  return isJsonObject(value) ? Object.entries(value).flatMap(([key, each]) => texts(each, key)) : [];
}

/** Elements that say what kind of thing something is, in codes; every other text may tell whose it is. */
const CODED = new Set([
  'resourceType',
  'code',
  'system',
  'status',
  'intent',
  'unit',
  'valueCode',
  'state',
  'country',
  'category',
  'use',
  'type',
]);
/** Shorter texts are in everything. */
const SHORTEST = 5;

for (const mode of MODES) {
  test(`privacy@deidentified-survivors ${mode}: no identifying text of ${ALL.length} examples and seed resources is in what is made of them`, () => {
    const found: string[] = [];
    let made = 0;
    for (const resource of ALL) {
      const after = deidentified(resource, mode);
      if (after === undefined) continue;
      made++;
      const before = texts(resource);
      const coded = new Set(before.flatMap(([name, text]) => (CODED.has(name) ? [text] : [])));
      // That moved dates are moved, also where they fall on another date of the resource, is rules.test.ts.
      const isMoved = (text: string): boolean => mode === 'shifted' && /^(?:\d{4}-\d{2}|\d{2}:\d{2}:)/.test(text);
      const identifying = before.filter(
        ([name, text]) => !CODED.has(name) && text.length >= SHORTEST && !coded.has(text) && !isMoved(text),
      );
      const kept = texts(after).map(([, text]) => text);
      for (const [name, text] of identifying) {
        // What a required binding or the definitions say is no text of anybody's: dayOfWeek, gender, extension urls.
        if (kept.some((each) => each.includes(text)) && !isPublic(text)) {
          found.push(`${resource.resourceType}/${resource.id} ${name}: ${text}`);
        }
      }
    }
    assert.ok(made > 400, String(made));
    assert.deepEqual(found, []);
  });

  test(`privacy@deidentified-valid ${mode}: what is made of a valid resource is valid R4`, () => {
    const found = ALL.flatMap((resource) => {
      const errors = (of: Resource) => validate(of).filter(({ severity = 'error' }) => severity === 'error');
      const after = deidentified(resource, mode);
      if (after === undefined || errors(resource).length > 0) return [];
      const again = storedResource(serialize(after));
      return errors(again).map(({ message }) => `${resource.resourceType}/${resource.id}: ${message}`);
    });
    assert.deepEqual(found, []);
  });
}

const REQUIRED = new Set(
  [...definitions.types].flatMap((type) =>
    (definitions.structure(type)?.elements ?? []).flatMap(({ requiredCodes }) => [...(requiredCodes ?? [])]),
  ),
);
const URLS = new Set(Object.keys(rules.extensions));
const PARTS = new Set(Object.values(rules.extensions).flatMap((rule) => ('parts' in rule ? rule.parts : [])));
const isPublic = (text: string): boolean =>
  REQUIRED.has(text) || URLS.has(text) || PARTS.has(text) || text in rules.systems;

/** Where a marker is planted: the whole text, behind it, or before it. */
const PLANTED: readonly ((text: string) => string)[] = [() => MARKER, (text) => text + MARKER, (text) => MARKER + text];

function planted(value: Json, how: (text: string) => string, name = ''): Json {
  if (typeof value === 'string') return name === 'resourceType' ? value : how(value);
  if (Array.isArray(value)) return value.map((each: Json) => planted(each, how, name));
  if (!isJsonObject(value)) return value;
  const made: Record<string, Json> = {};
  for (const [key, each] of Object.entries(value)) if (each !== undefined) made[key] = planted(each, how, key);
  return made;
}

/** Systems, urls and units stay as they are, so that what stands beside them is believed. */
const BELIEVED = new Set(['system', 'url', 'unit']);
const besides =
  (how: (text: string) => string) =>
  (value: JsonObject): Json => {
    const inner = (each: Json, name: string): Json => {
      if (typeof each === 'string') return name === 'resourceType' || BELIEVED.has(name) ? each : how(each);
      if (Array.isArray(each)) return each.map((one: Json) => inner(one, name));
      if (!isJsonObject(each)) return each;
      return Object.fromEntries(Object.entries(each).map(([key, one]) => [key, inner(one ?? null, key)]));
    };
    return inner(value, '');
  };
/** Of extensions and narrative, which made resources have none of. */
const MORE = {
  language: 'en',
  text: { status: 'generated', div: `<div>${MARKER}</div>` },
  contained: [{ resourceType: 'Patient', id: MARKER, name: [{ family: MARKER }] }],
  extension: [
    { url: MARKER, valueString: MARKER },
    { url: [...URLS][0] ?? '', valueCode: MARKER },
    ...[...URLS].map((url) => ({
      url,
      valueString: MARKER,
      extension: [
        { url: 'text', valueString: MARKER },
        {
          url: 'ombCategory',
          valueString: MARKER,
          valueCoding: { system: 'http://loinc.org', code: MARKER, display: MARKER },
        },
      ],
    })),
  ],
};

test('privacy@deidentified-survivors: a marker in any text of any made resource never comes out', () => {
  const types = [...rules.resources];
  let made = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...types),
      fc.nat(30),
      fc.nat(1_000_000),
      fc.constantFrom(...PLANTED),
      fc.constantFrom(...MODES),
      fc.boolean(),
      (type, turn, seed, how, mode, believes) => {
        const resource = generated(type, 'made', turn, random(seed), definitions, validate);
        if (resource === undefined) return;
        const with_ = { ...resource, ...MORE };
        const marked = believes ? besides(how)(with_) : planted(with_, how);
        const after = deidentified(isJsonObject(marked) ? marked : {}, mode);
        assert.ok(after !== undefined, type);
        made++;
        assert.ok(!serialize(after).includes(MARKER), serialize(after));
      },
    ),
    { numRuns: 600, seed: 45 },
  );
  assert.ok(made > 500, String(made));
});

test('privacy@deidentified-survivors: ids of made resources are new, and references lead to the new ids', () => {
  const observation = {
    resourceType: 'Observation',
    id: 'o',
    status: 'final',
    code: {},
    subject: { reference: 'Patient/p' },
  };
  const subject = deidentified(observation)?.subject;
  const patient = deidentified({ resourceType: 'Patient', id: 'p' });
  assert.deepEqual(subject, { reference: `Patient/${patient?.id}` });
  assert.notEqual(patient?.id, 'p');
});
