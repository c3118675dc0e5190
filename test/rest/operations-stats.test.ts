// observation-operation-stats.html, valueset-observation-statistics; resource-operation-convert.html.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { at, json } from '../world.ts';
import { issuesIn, type OperationsWorld, operationsWorld, parameters } from './operations-world.ts';

const LOINC = 'http://loinc.org';
const UCUM = 'http://unitsofmeasure.org';
const beats = (value: number, code = '/min') => ({ value, unit: 'per minute', system: UCUM, code });
const coded = (code: string) => ({ coding: [{ system: LOINC, code }] });
const measured = (id: string, more: object, status = 'final') => ({
  resourceType: 'Observation',
  id,
  status,
  code: coded('8867-4'),
  subject: { reference: 'Patient/p' },
  ...more,
});
const pressure = (id: string, systolic: number, diastolic: number) =>
  measured(id, {
    code: coded('85354-9'),
    effectiveDateTime: '2026-01-01T00:00:00Z',
    component: [
      { code: coded('8480-6'), valueQuantity: beats(systolic, 'mm[Hg]') },
      { code: coded('8462-4'), valueQuantity: beats(diastolic, 'mm[Hg]') },
    ],
  });

let w: OperationsWorld;
before(async () => {
  w = await operationsWorld();
  const rates = [50, 70, 60, 90, 80];
  await w.hold(
    { resourceType: 'Patient', id: 'p', link: [{ other: { reference: 'Patient/old' }, type: 'replaces' }] },
    { resourceType: 'Patient', id: 'old' },
    ...rates.map((rate, index) =>
      measured(`r${index}`, { valueQuantity: beats(rate), effectiveDateTime: `2026-01-0${index + 1}T00:00:00Z` }),
    ),
    measured('absent', { dataAbsentReason: { text: 'refused' }, effectiveDateTime: '2026-01-01T00:00:00Z' }),
    measured('above', { valueQuantity: { ...beats(300), comparator: '>' }, effectiveDateTime: '2026-01-01T00:00:00Z' }),
    measured('wrong', { valueQuantity: beats(1000) }, 'entered-in-error'),
    measured('early', { valueQuantity: beats(1000) }, 'preliminary'),
    pressure('b1', 120, 80),
    pressure('b2', 140, 100),
    measured('of-old', {
      code: coded('8310-5'),
      subject: { reference: 'Patient/old' },
      valueQuantity: beats(37, 'Cel'),
      effectiveDateTime: '2026-01-01',
    }),
    measured('of-new', {
      code: coded('8310-5'),
      valueQuantity: beats(39, 'Cel'),
      effectiveDateTime: '2026-01-02',
    }),
    measured('grams', { code: coded('w'), valueQuantity: beats(500, 'g'), effectiveDateTime: '2026-01-01' }),
    measured('kilos', { code: coded('w'), valueQuantity: beats(1, 'kg'), effectiveDateTime: '2026-01-02' }),
    measured('mixed-1', { code: coded('mixed'), valueQuantity: beats(1, 'g') }),
    measured('mixed-2', { code: coded('mixed'), valueQuantity: beats(1, 'cm') }),
  );
});
after(async () => {
  assert.deepEqual(w.reported, []);
  await w.close();
});

const query = (code: string, statistic: string, more = '') =>
  `/Observation/$stats?subject=Patient/p&system=${LOINC}&code=${code}&statistic=${statistic}${more}`;

/** Values of the components of each statistics Observation, by code and statistic. */
async function stats(url: string) {
  const response = await w.send('GET', url);
  assert.equal(response.status, 200, response.body);
  const list = json(response).parameter;
  const found: Record<string, Record<string, unknown>> = {};
  for (const each of Array.isArray(list) ? list : []) {
    if (at(each, 'name') !== 'statistics') continue;
    const components = at(each, 'resource.component');
    const values = (Array.isArray(components) ? components : []).map((component) => [
      at(component, 'code.coding.0.code'),
      at(component, 'valueQuantity.value') ?? at(component, 'dataAbsentReason.coding.0.code'),
    ]);
    found[String(at(each, 'resource.code.coding.0.code'))] = Object.fromEntries(values);
  }
  return found;
}

// 50, 60, 70, 80, 90 and two without a plain value; 50 to 90 has mean 70, sample variance 250.
const VALUES: readonly [statistic: string, expected: unknown][] = [
  ['average', 70],
  ['maximum', 90],
  ['minimum', 50],
  ['count', 5],
  ['total-count', 7],
  ['median', 70],
  ['sum', 350],
  ['variance', 250],
  ['std-dev', 15.8113883008],
  ['20-percent', 58],
  ['80-percent', 82],
  ['4-lower', 60],
  ['4-upper', 80],
  ['4-dev', 10],
  ['5-1', 58],
  ['5-2', 66],
  ['5-3', 74],
  ['5-4', 82],
  ['skew', 0],
  ['kurtosis', -1.2],
];
for (const [statistic, expected] of VALUES)
  test(`fhir-r4-operations@stats ${statistic} of 50, 60, 70, 80, 90: ${expected}`, async () =>
    assert.deepEqual(await stats(query('8867-4', statistic)), { '8867-4': { [statistic]: expected } }));

const none = 'not-applicable';
const ROWS: readonly [url: string, expected: object, why: string][] = [
  [query('8867-4', 'count,average'), { '8867-4': { count: 5, average: 70 } }, 'several, with commas'],
  [query('8867-4', 'count&statistic=average'), { '8867-4': { count: 5, average: 70 } }, 'several, repeated'],
  [query('8867-4', 'count', '&duration=1'), { '8867-4': { count: 0 } }, 'the last hour'],
  [
    query('8867-4', 'count', '&duration=3.07'),
    { '8867-4': { count: 1 } },
    'hours up to the request, at 03:04:05: from 00:00',
  ],
  [query('8867-4', 'count', '&duration=3.06'), { '8867-4': { count: 0 } }, 'from just after it'],
  [query('nothing', 'count,average,skew'), { nothing: { count: 0, average: none, skew: none } }, 'nothing measured'],
  [query('w', 'std-dev,skew,kurtosis'), { w: { 'std-dev': 0.353553390593, skew: none, kurtosis: none } }, 'too few'],
  [query('w', 'sum'), { w: { sum: 1.5 } }, 'in the unit of the newest: kg'],
  [query('85354-9', 'average'), { '8480-6': { average: 130 }, '8462-4': { average: 90 } }, 'a panel: its parts'],
  [query('8480-6', 'maximum'), { '8480-6': { maximum: 140 } }, 'a part of a panel'],
  [query('8310-5', 'average'), { '8310-5': { average: 38 } }, 'every record of the person'],
  [query('8867-4,8480-6', 'count'), { '8867-4': { count: 5 }, '8480-6': { count: 2 } }, 'two codes'],
];
for (const [url, expected, why] of ROWS)
  test(`fhir-r4-operations@stats ${url}: ${why}`, async () => assert.deepEqual(await stats(url), expected));

test('fhir-r4-operations@stats period, coding, include and limit by POST; the audit names the person', async () => {
  const asked = (...more: readonly (readonly [string, object])[]) =>
    w.send('POST', '/Observation/$stats', {
      body: parameters(
        ['subject', { valueUri: 'Patient/p' }],
        ['coding', { valueCoding: { system: LOINC, code: '8867-4' } }],
        ['period', { valuePeriod: { start: '2026-01-02', end: '2026-01-03' } }],
        ['statistic', { valueCode: 'average' }],
        ...more,
      ),
    });
  const sources = async (...more: readonly (readonly [string, object])[]) => {
    const list = json(await asked(...more)).parameter;
    const found = (Array.isArray(list) ? list : []).filter((each) => at(each, 'name') === 'source');
    return found.map((each) => at(each, 'resource.id'));
  };
  const response = await asked();
  assert.equal(response.status, 200, response.body);
  assert.equal(at(json(response), 'parameter.0.resource.component.0.valueQuantity.value'), 65);
  assert.deepEqual(at(json(response), 'parameter.0.resource.component.0.valueQuantity.code'), '/min');
  assert.deepEqual(at(json(response), 'parameter.0.resource.effectivePeriod'), {
    start: '2026-01-02',
    end: '2026-01-03',
  });
  assert.deepEqual(await sources(), []);
  assert.deepEqual(await sources(['include', { valueBoolean: true }]), ['r2', 'r1']);
  assert.deepEqual(await sources(['limit', { valuePositiveInt: 1 }]), ['r2']);
  const [entry] = w.accesses.at(-1)?.entries ?? [];
  assert.deepEqual([entry?.operation, entry?.patients], ['stats', ['p', 'old']]);
});

const REFUSED: readonly [url: string, status: number, why: string][] = [
  [query('8867-4', 'regression'), 400, 'a statistic that is not supported'],
  [query('8867-4', 'mode'), 400, 'no statistic'],
  ['/Observation/$stats?subject=Patient/p&code=x&statistic=count', 400, 'a code without system'],
  ['/Observation/$stats?subject=Patient/p&statistic=count', 400, 'no code'],
  [`/Observation/$stats?system=${LOINC}&code=x&statistic=count`, 400, 'no subject'],
  [`/Observation/$stats?subject=Patient/p&system=${LOINC}&code=x`, 400, 'no statistic'],
  [query('8867-4', 'count', '&duration=0'), 400, 'no time'],
  [query('8867-4', 'count', '&duration=-1'), 400, 'time backwards'],
  [query('8867-4', 'count', '&limit=0'), 400, 'limit is positive'],
  [query('8867-4', 'count', '&period=2026'), 400, 'a period does not fit in a query'],
  [query('mixed', 'count'), 422, 'units that cannot be compared'],
  ['/Observation/mixed-1/$stats', 404, 'of a type only'],
];
for (const [url, status, why] of REFUSED)
  test(`fhir-r4-operations@stats refused ${url}: ${why}`, async () => {
    const response = await w.send('GET', url);
    assert.equal(response.status, status, response.body);
    assert.ok(issuesIn(response).length > 0);
  });

test('fhir-r4-operations@convert JSON to XML and back says the same; nothing is stored', async () => {
  const resource = { resourceType: 'Patient', id: 'conv', name: [{ family: 'Ünï <&>' }], multipleBirthInteger: 2 };
  const xml = await w.send('POST', '/$convert', {
    body: resource,
    headers: { accept: 'application/fhir+xml' },
  });
  assert.equal(xml.status, 200, xml.body);
  assert.match(xml.headers['Content-Type'] ?? '', /xml/);
  assert.match(xml.body ?? '', /<family value="Ünï &lt;&amp;&gt;"\/>/);
  const back = await w.send('POST', '/$convert', {
    body: xml.body ?? '',
    headers: { 'content-type': 'application/fhir+xml', accept: 'application/fhir+json' },
  });
  assert.deepEqual(json(back), resource);
  assert.equal((await w.send('GET', '/Patient/conv')).status, 404);
});

const CONVERTED: readonly [status: number, body: unknown, why: string][] = [
  [200, parameters(['input', { resource: { resourceType: 'Basic', code: { text: 'x' } } }]), 'in Parameters'],
  [
    200,
    { resourceType: 'AllergyIntolerance', patient: { reference: 'Patient/p' } },
    'a rule that is broken is no matter',
  ],
  [400, { resourceType: 'Patient', unknown: true }, 'an element that is not defined'],
  [400, { resourceType: 'Patient', birthDate: 7 }, 'a value of another type'],
  [400, { resourceType: 'Nothing' }, 'no resource type'],
  [400, parameters(), 'no input'],
  [400, '{', 'no JSON'],
];
for (const [status, body, why] of CONVERTED)
  test(`fhir-r4-operations@convert ${status}: ${why}`, async () => {
    const response = await w.send('POST', '/$convert', { body, headers: { accept: 'application/fhir+xml' } });
    assert.equal(response.status, status, response.body);
  });
