// searchparameter.html, search.html#errors: parameters that clients define are judged at the write, indexed in the background and searched by like
// those of the specification; a search by what is not whole yet is refused, or says what it left out.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { at, json } from '../world.ts';
import { matchesOf, type ParameterWorld, parameter, parameterWorld, removeWorld } from './parameter-world.ts';

const eye = (id: string, code: string): Record<string, unknown> => ({
  resourceType: 'Patient',
  id,
  extension: [{ url: 'http://client.example/eye', valueCode: code }],
});
const put = (world: ParameterWorld, resource: Record<string, unknown>) =>
  world.send('PUT', `/${resource.resourceType}/${resource.id}`, { body: resource });

async function in_(options: Parameters<typeof parameterWorld>[0], work: (world: ParameterWorld) => Promise<void>) {
  const world = await parameterWorld(options);
  try {
    await work(world);
  } finally {
    await world.end();
    removeWorld(world);
  }
}

type Judged = readonly [
  status: number,
  expression: string | undefined,
  changes: Readonly<Record<string, unknown>>,
  why: string,
];
const COMPONENT = { definition: 'http://hl7.org/fhir/SearchParameter/individual-birthdate', expression: 'birthDate' };
/** 201: it is stored. 422: it is active, but cannot be kept. */
const judged: readonly Judged[] = [
  [201, undefined, {}, 'control: a token on an extension'],
  [201, undefined, { status: 'draft', expression: 'Patient.nothing' }, 'a draft promises nothing'],
  [201, undefined, { status: 'retired', code: 'gender' }, 'retired: no claim'],
  [422, 'expression', { expression: 'Patient.nothing' }, 'an element that is not there'],
  [422, 'expression', { expression: 'Patient.name.given.lower()' }, 'a function outside the subset'],
  [422, 'expression', { expression: 'Patient.name.where(' }, 'not well formed'],
  [422, 'expression', { expression: undefined }, 'no expression'],
  [422, 'expression', { expression: 'Observation.code' }, 'no alternative starts at the base'],
  [422, 'expression', { expression: 'Patient.name', type: 'date' }, 'a date cannot index a name'],
  [422, 'expression', { expression: `Patient.name${'.given'.repeat(400)}` }, 'over 2,000 characters'],
  [422, 'expression', { expression: `${'('.repeat(900)}Patient.name${')'.repeat(900)}.x` }, 'deeply nested'],
  [422, 'type', { type: 'special' }, 'special means code of its own'],
  [422, 'base', { base: ['AuditEvent'], expression: 'AuditEvent.action' }, 'the audit is searched as it is'],
  [422, 'base', { base: ['Resource'], expression: 'Resource.language' }, 'abstract types are not gathered'],
  [422, 'base', { base: ['Patient', 'Parameters'] }, 'one of two types is not served'],
  [422, 'code', { code: 'gender' }, 'a published parameter of the type'],
  [422, 'code', { code: '_tag' }, 'a published parameter of all types'],
  [422, 'code', { code: 'a.b' }, 'the dot means a chain'],
  [422, 'code', { code: 'a:b' }, 'the colon means a modifier'],
  [422, 'url', { url: 'http://hl7.org/fhir/SearchParameter/individual-gender' }, 'the url of a published parameter'],
  [422, 'component', { type: 'composite', expression: 'Patient' }, 'a composite without components'],
  [201, undefined, { type: 'composite', expression: 'Patient', component: [COMPONENT, COMPONENT] }, 'control'],
  [
    422,
    'component[0].definition',
    { type: 'composite', expression: 'Patient', component: [{ ...COMPONENT, definition: 'http://nobody.example' }] },
    'a component that nobody defines',
  ],
  [
    422,
    'expression',
    { type: 'composite', expression: 'Patient', component: [{ ...COMPONENT, expression: 'nothing' }] },
    'a component without an element',
  ],
];

test('a definition is judged when it is written', async () => {
  await in_({ free: true }, async (world) => {
    const wrong: string[] = [];
    for (const [status, element, changes, why] of judged) {
      const body = JSON.parse(JSON.stringify(parameter(changes)));
      const answered = await put(world, body);
      const issue = at(json(answered), 'issue.0');
      const where = at(issue, 'expression.0');
      const asked = element && `SearchParameter.${element}`;
      if (answered.status !== status || (status === 422 && where !== asked)) {
        wrong.push(`${why}: ${answered.status} ${answered.body?.slice(0, 300)}`);
      }
      await world.send('DELETE', '/SearchParameter/eye');
    }
    assert.deepEqual(wrong, []);
  });
});

test('a refusal in a transaction points into the Bundle, and nothing is stored', async () => {
  await in_({ free: true }, async (world) => {
    const entry = [eye('p1', 'blue'), parameter({ expression: 'Patient.nothing' })].map((resource) => ({
      resource,
      request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
    }));
    const answered = await world.send('POST', '', { body: { resourceType: 'Bundle', type: 'transaction', entry } });
    assert.equal(answered.status, 422);
    assert.match(String(at(json(answered), 'issue.0.expression.0')), /^Bundle\.entry\[1\]/);
    assert.equal((await world.send('GET', '/Patient/p1')).status, 404);
  });
});

test('one code of one type means one thing: the second active definition is a conflict', async () => {
  await in_({ free: true }, async (world) => {
    assert.equal((await put(world, parameter())).status, 201);
    const second = parameter({ id: 'second', url: 'http://client.example/SearchParameter/second' });
    assert.equal((await put(world, second)).status, 409);
    assert.equal((await put(world, { ...second, status: 'draft' })).status, 201, 'a draft claims nothing');
    assert.equal(
      (await put(world, { ...second, base: ['Person'], expression: 'Person.name', type: 'string' })).status,
      200,
      'another type',
    );
    assert.equal((await put(world, parameter({ description: 'Said otherwise.' }))).status, 200, 'itself');
    const both = [parameter({ id: 'a', code: 'twice' }), parameter({ id: 'b', code: 'twice' })].map((resource) => ({
      resource,
      request: { method: 'PUT', url: `SearchParameter/${resource.id}` },
    }));
    const body = { resourceType: 'Bundle', type: 'transaction', entry: both };
    assert.equal((await world.send('POST', '', { body })).status, 409, 'two of one transaction');
    await world.send('DELETE', '/SearchParameter/eye');
    assert.equal((await put(world, second)).status, 200, 'after the first is gone');
  });
});

const QUANTITY = { value: 4, unit: 'mmol/L', system: 'http://unitsofmeasure.org', code: 'mmol/L' };
const code = (text: string) => ({ coding: [{ system: 'http://loinc.org', code: text }] });
const HELD: readonly Record<string, unknown>[] = [
  { resourceType: 'Organization', id: 'acme', name: 'Acme' },
  { resourceType: 'Organization', id: 'none', name: 'None' },
  {
    ...eye('p1', 'blue'),
    multipleBirthInteger: 2,
    identifier: [{ system: 'http://a.example/x/y', value: '1' }],
    maritalStatus: { coding: [{ system: 'http://m', code: 'M' }], text: 'Married' },
    contact: [
      {
        name: { family: 'Müller' },
        period: { start: '2020-02-01', end: '2020-03-01' },
        organization: { reference: 'Organization/acme', identifier: { system: 'urn:o', value: 'acme' } },
      },
    ],
  },
  {
    ...eye('p2', 'brown'),
    multipleBirthInteger: 3,
    contact: [{ name: { family: 'Miller' }, period: { start: '2021' } }],
  },
  { resourceType: 'Patient', id: 'p3' },
  {
    resourceType: 'Observation',
    id: 'o1',
    status: 'final',
    code: code('1'),
    subject: { reference: 'Patient/p1' },
    referenceRange: [{ low: QUANTITY, text: 'usual' }],
  },
  {
    resourceType: 'Observation',
    id: 'o2',
    status: 'final',
    code: code('2'),
    subject: { reference: 'Patient/p2' },
    referenceRange: [{ low: { ...QUANTITY, value: 7 } }],
  },
  {
    resourceType: 'Practitioner',
    id: 'd1',
    extension: [{ url: 'http://client.example/eye', valueCode: 'blue' }],
  },
];
const of = (code: string, changes: Readonly<Record<string, unknown>>) =>
  parameter({ id: code, code, url: `http://client.example/SearchParameter/${code}`, ...changes });
const DEFINED: readonly Record<string, unknown>[] = [
  of('eye', {
    base: ['Patient', 'Practitioner'],
    expression:
      "Patient.extension('http://client.example/eye').value | Practitioner.extension.where(url='http://client.example/eye').value",
  }),
  of('birth-order', { type: 'number', expression: '(Patient.multipleBirth as integer)' }),
  of('contact-since', { type: 'date', expression: 'Patient.contact.period' }),
  of('contact-name', { type: 'string', expression: 'Patient.contact.name' }),
  of('marital', { type: 'token', expression: 'Patient.maritalStatus' }),
  of('contact-org', { type: 'reference', expression: 'Patient.contact.organization', target: ['Organization'] }),
  of('id-system', { type: 'uri', expression: 'Patient.identifier.system' }),
  of('range-low', { base: ['Observation'], type: 'quantity', expression: 'Observation.referenceRange.low' }),
  of('code-low', {
    base: ['Observation'],
    type: 'composite',
    expression: 'Observation',
    component: [
      { definition: 'http://hl7.org/fhir/SearchParameter/clinical-code', expression: 'code' },
      { definition: 'http://client.example/SearchParameter/range-low', expression: 'referenceRange.low' },
    ],
  }),
];

const searches: readonly [query: string, ids: readonly string[], why: string][] = [
  ['Patient?eye=blue', ['p1'], 'token of an extension'],
  ['Practitioner?eye=blue', ['d1'], 'the same of a second base'],
  ['Patient?eye=blue,brown', ['p1', 'p2'], 'OR'],
  ['Patient?eye:not=blue', ['p2', 'p3'], ':not'],
  ['Patient?eye:missing=true', ['p3'], ':missing'],
  ['Patient?eye:missing=false', ['p1', 'p2'], ':missing, the other way'],
  ['Patient?marital=http://m|M', ['p1'], 'token with its system'],
  ['Patient?marital:text=marri', ['p1'], ':text'],
  ['Patient?birth-order=2', ['p1'], 'number'],
  ['Patient?birth-order=gt2', ['p2'], 'number with a prefix'],
  ['Patient?contact-since=ge2021', ['p2'], 'date of a period'],
  ['Patient?contact-since=2020', ['p1'], 'a year holds a period'],
  ['Patient?contact-name=mull', ['p1'], 'string, folded'],
  ['Patient?contact-name:exact=Miller', ['p2'], ':exact'],
  ['Patient?contact-name:contains=ller', ['p1', 'p2'], ':contains'],
  ['Patient?id-system:below=http://a.example/x', ['p1'], ':below'],
  ['Patient?id-system=http://a.example/x/y', ['p1'], 'uri'],
  ['Patient?contact-org=Organization/acme', ['p1'], 'reference'],
  ['Patient?contact-org:identifier=urn:o|acme', ['p1'], ':identifier'],
  ['Patient?contact-org.name=Acme', ['p1'], 'chain from it'],
  ['Patient?contact-org:Organization.name=none', [], 'chain from it, without a match'],
  ['Observation?subject:Patient.eye=brown', ['o2'], 'chain to it'],
  ['Organization?_has:Patient:contact-org:eye=blue', ['acme'], '_has by it'],
  ['Observation?range-low=lt5', ['o1'], 'quantity'],
  ['Observation?range-low=7|http://unitsofmeasure.org|mmol/L', ['o2'], 'quantity with its unit'],
  ['Observation?code-low=http://loinc.org|1$lt5', ['o1'], 'composite of a published and an added one'],
  ['Observation?code-low=http://loinc.org|2$lt5', [], 'composite: both components of one'],
  ['Patient?_filter=eye eq blue', ['p1'], '_filter'],
  ['Patient?_filter=birth-order gt 2 or eye eq blue', ['p1', 'p2'], '_filter with or'],
];

test('every search type, modifier, prefix, chain and filter works as for the published ones', async (t) => {
  const world = await parameterWorld();
  try {
    for (const resource of HELD) assert.equal((await put(world, resource)).status, 201);
    for (const one of DEFINED) assert.equal((await put(world, one)).status, 201, String(one.id));
    await world.settled();
    for (const [query, ids, why] of searches) {
      await t.test(`${query}: ${why}`, async () => assert.deepEqual(await world.found(encodeURI(query)), ids));
    }
    await t.test('_sort by an added parameter, both ways', async () => {
      const order = async (key: string): Promise<readonly unknown[]> => {
        const bundle = json(await world.send('GET', `/Patient?birth-order:missing=false&_sort=${key}`));
        return (bundle.entry as unknown[]).map((each) => at(each, 'resource.id'));
      };
      assert.deepEqual(await order('birth-order'), ['p1', 'p2']);
      assert.deepEqual(await order('-birth-order'), ['p2', 'p1']);
    });
    await t.test('_include and _revinclude by an added reference', async () => {
      const modes = async (query: string): Promise<readonly string[]> => {
        const bundle = json(await world.send('GET', `/${query}`));
        return (bundle.entry as unknown[]).map((each) => `${at(each, 'search.mode')} ${at(each, 'resource.id')}`);
      };
      assert.deepEqual(await modes('Patient?_id=p1&_include=Patient:contact-org'), ['match p1', 'include acme']);
      assert.deepEqual(await modes('Organization?_id=acme&_revinclude=Patient:contact-org'), [
        'match acme',
        'include p1',
      ]);
    });
    await t.test('a resource written afterwards is found at once', async () => {
      assert.equal((await put(world, eye('p9', 'green'))).status, 201);
      assert.deepEqual(await world.found('Patient?eye=green'), ['p9']);
    });
    await t.test('a conditional create is judged by it', async () => {
      const sent = { body: eye('x', 'blue'), headers: { 'if-none-exist': 'eye=blue' } };
      assert.equal((await world.send('POST', '/Patient', sent)).status, 200);
    });
    await t.test('what is frozen for a bulk export is not by what may go', () => {
      assert.throws(() => world.live.current.parseFrozen?.('Patient', 'eye=blue', 'strict'), /not a search parameter/);
    });
  } finally {
    await world.end();
    removeWorld(world);
  }
});

test('/metadata lists what is whole, and its ETag follows', async () => {
  await in_({}, async (world) => {
    await put(world, HELD[2] ?? {});
    const claims = async () => {
      const answered = await world.send('GET', '/metadata');
      const types = at(json(answered), 'rest.0.resource') as readonly unknown[];
      const claimed = types.find((each) => at(each, 'type') === 'Patient');
      const names = (at(claimed, 'searchParam') as readonly unknown[]).map((each) => at(each, 'name'));
      return { has: names.includes('contact-org'), etag: answered.headers.ETag, types };
    };
    const first = await claims();
    await put(world, DEFINED[5] ?? {});
    const second = await claims();
    assert.deepEqual([second.has, second.etag], [false, first.etag], 'not while it is indexed');
    await world.settled();
    const third = await claims();
    assert.equal(third.has, true);
    assert.notEqual(third.etag, first.etag);
    const target = third.types.find((each) => at(each, 'type') === 'Organization');
    assert.ok((at(target, 'searchRevInclude') as readonly unknown[]).includes('Patient:contact-org'));
    await world.send('DELETE', '/SearchParameter/contact-org');
    const last = await claims();
    assert.deepEqual([last.has, last.etag], [false, first.etag]);
  });
});

const unready: readonly [query: string, why: string][] = [
  ['Patient?eye=blue', 'a criterion'],
  ['Patient?eye:missing=true', 'with a modifier'],
  ['Patient?_sort=eye', 'a sort key'],
  ['Patient?_filter=eye eq blue', 'in a filter'],
  ['Observation?subject:Patient.eye=blue', 'at the end of a chain'],
  ['Observation?subject.eye=blue', 'at the end of a chain to several types, of which another can answer'],
  ['Organization?_has:Patient:general-practitioner:eye=blue', 'in _has'],
  ['Patient?contact-org.name=Acme', 'at the beginning of a chain'],
  ['Patient?_include=Patient:contact-org', 'an include'],
  ['Organization?_revinclude=Patient:contact-org', 'a reverse include'],
  ['?_type=Patient,Group&eye=blue', 'of one of several types'],
];

test('while rows are made a search is refused, with how far they are', async (t) => {
  const world = await parameterWorld();
  try {
    await put(world, of('group-eye', { code: 'eye', base: ['Group'], expression: 'Group.code' }));
    await world.settled();
    for (let count = 0; count < 4; count++) await put(world, eye(`p${count}`, 'blue'));
    await put(world, of('eye', {}));
    await put(world, DEFINED[5] ?? {});
    await world.pages(2);
    for (const [query, why] of unready) {
      await t.test(`strict ${query}: ${why}`, async () => {
        const answered = await world.send('GET', query.startsWith('?') ? query : `/${encodeURI(query)}`);
        assert.equal(answered.status, 400);
        assert.equal(at(json(answered), 'issue.0.code'), 'incomplete');
        assert.match(String(at(json(answered), 'issue.0.diagnostics')), /not yet indexed \(\d+ % done\)/);
      });
    }
    for (const [query, all] of [
      ['/Patient?eye=blue&active:missing=true', ['p0', 'p1', 'p2', 'p3']],
      ['/Patient?_sort=eye', ['p0', 'p1', 'p2', 'p3']],
      ['/Observation?subject.eye=blue', []],
      ['?_type=Patient,Group&eye=blue', ['p0', 'p1', 'p2', 'p3']],
    ] as const) {
      await t.test(`lenient ${query}: answered without it, and says so`, async () => {
        const answered = await world.send('GET', query, { headers: { prefer: 'handling=lenient' } });
        const bundle = json(answered);
        assert.equal(answered.status, 200);
        assert.deepEqual(matchesOf(bundle), all);
        const outcome = (bundle.entry as unknown[]).find((each) => at(each, 'search.mode') === 'outcome');
        assert.match(String(at(outcome, 'resource.issue.0.diagnostics')), /was ignored: `eye` of Patient is not yet/);
        const self = String(at(bundle, 'link.0.url'));
        assert.ok(!/eye/.test(self), 'the self link says what was used');
      });
    }
    await t.test('what does not name it is answered meanwhile', async () => {
      assert.deepEqual(await world.found('Patient?_id=p1'), ['p1']);
    });
    await t.test('conditional criteria never go without it', async () => {
      const sent = { body: eye('x', 'blue'), headers: { 'if-none-exist': 'eye=blue', prefer: 'handling=lenient' } };
      const answered = await world.send('POST', '/Patient', sent);
      assert.ok(answered.status >= 400 && answered.status < 500, String(answered.status));
    });
    await t.test('$status names it with percent', async () => {
      const states = await world.send('GET', '/SearchParameter/eye/$status');
      const parts = at(json(states), 'parameter.0.part') as readonly Record<string, unknown>[];
      const said = Object.fromEntries(parts.map((each) => [each.name, Object.values(each).at(-1)]));
      assert.equal(said.state, 'indexing');
      assert.ok(Number(said.percent) > 0 && Number(said.percent) < 100);
    });
    await t.test('health has it', () => {
      const { percent = -1, failed } = world.parameters.progress ?? {};
      assert.ok(percent >= 0 && percent < 100);
      assert.equal(failed, false);
    });
    await world.settled();
    await t.test('afterwards it is answered, on every thread', async () => {
      assert.deepEqual(await world.found('Patient?eye=blue'), ['p0', 'p1', 'p2', 'p3']);
      const elsewhere = await world.sendBy(world.other.current, 'GET', '/Patient?eye=blue');
      assert.deepEqual(matchesOf(json(elsewhere)), ['p0', 'p1', 'p2', 'p3']);
      assert.equal(world.parameters.progress, undefined);
      assert.ok(world.logged.includes('reindexing Patient 100'));
    });
  } finally {
    await world.end();
    removeWorld(world);
  }
});

let shared: ParameterWorld;
before(async () => {
  shared = await parameterWorld({ free: true });
});
after(async () => {
  await shared.end();
  removeWorld(shared);
});

test('$status of what is not in force says why', async () => {
  await put(shared, parameter({ id: 'draft', status: 'draft' }));
  const body = json(await shared.send('GET', '/SearchParameter/draft/$status'));
  assert.match(JSON.stringify(body), /"inactive".*not active/);
  assert.equal((await shared.send('GET', '/SearchParameter/nobody/$status')).status, 404);
});

test('writing a definition is audited like any write', async () => {
  await put(shared, parameter({ id: 'seen', code: 'seen' }));
  const found = json(await shared.send('GET', '/AuditEvent?entity=SearchParameter/seen&_total=accurate'));
  assert.equal(found.total, 1);
});
