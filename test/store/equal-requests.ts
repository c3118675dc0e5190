/** Generated requests over a few resources that name each other: writes, races with the past, searches, paging. By fast-check from a seed. */
import fc from 'fast-check';

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}
/** `next`: the next link of the search before, whatever an engine wrote into it. */
export type Step = Asked | 'next';

const one = fc.constantFrom;
const IDS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'] as const;
const TYPES = ['Patient', 'Observation', 'Condition', 'Encounter', 'Organization'] as const;
const NAMES = ['Ann', 'ANNA', 'Müller', 'muller', 'O Brien', 'Ng', 'Łucja', '李'] as const;
const CODES = ['8867-4', '8480-6', '2708-6', '718-7'] as const;
const DATES = [
  ...['2019', '2020-02', '2020-02-29', '2020-02-29T10:00:00Z', '2020-02-29T23:59:59.999+02:00'],
  ...['2021-12-31T23:30:00-05:00', '2022-01-01', '1970-01-01'],
] as const;
const VALUES = [0, 1, 5, 5.0, 5.4, 72, 72.5, 100, 1e-3, -4] as const;
const UNITS = ['/min', 'mm[Hg]', 'g/dL', 'g/L'] as const;
const LOINC = 'http://loinc.org';
const UCUM = 'http://unitsofmeasure.org';

/** Half of them there, half absent. */
const maybe = <T>(name: string, value: fc.Arbitrary<T>) =>
  fc.option(value, { nil: undefined }).map((given) => (given === undefined ? {} : { [name]: given }));
const parts = (...of: readonly fc.Arbitrary<object>[]): fc.Arbitrary<object> =>
  fc.tuple(...of).map((all) => Object.assign({}, ...all));
const reference = (...types: readonly string[]) =>
  fc.tuple(one(...types), one(...IDS, 'nobody')).map(([type, id]) => ({ reference: `${type}/${id}` }));
const coding = one(...CODES).map((code) => ({ coding: [{ system: LOINC, code }] }));
const identifier = fc.tuple(one('urn:a', 'urn:b'), one('1', '2', '3')).map(([system, value]) => [{ system, value }]);
const quantity = fc
  .tuple(one(...VALUES), one(...UNITS))
  .map(([value, code]) => ({ value, system: UCUM, code, unit: code }));
const tags = fc.subarray(['x', 'y', 'z']).map((codes) => ({ tag: codes.map((code) => ({ system: 'urn:t', code })) }));

const BODIES: Readonly<Record<(typeof TYPES)[number], fc.Arbitrary<object>>> = {
  Patient: parts(
    maybe('identifier', identifier),
    maybe('active', fc.boolean()),
    maybe(
      'name',
      fc.tuple(one(...NAMES), one(...NAMES)).map(([family, given]) => [{ family, given: [given] }]),
    ),
    maybe('gender', one('male', 'female', 'other')),
    maybe('birthDate', one('1974-12-25', '1974-12', '2001')),
    maybe('managingOrganization', reference('Organization')),
    maybe(
      'address',
      one('Bonn', 'Köln').map((city) => [{ city, country: 'DE' }]),
    ),
  ),
  Observation: parts(
    one('final', 'amended', 'cancelled').map((status) => ({ status })),
    coding.map((code) => ({ code })),
    maybe('subject', reference('Patient')),
    maybe('encounter', reference('Encounter')),
    maybe('effectiveDateTime', one(...DATES.slice(0, 6))),
    maybe('valueQuantity', quantity),
    maybe(
      'component',
      fc.array(
        fc.tuple(coding, quantity).map(([code, valueQuantity]) => ({ code, valueQuantity })),
        { minLength: 1, maxLength: 2 },
      ),
    ),
    maybe(
      'note',
      one('bone pain', 'pain in the bone', 'none').map((text) => [{ text }]),
    ),
  ),
  Condition: parts(
    reference('Patient').map((subject) => ({ subject })),
    coding.map((code) => ({ code })),
    maybe('onsetDateTime', one(...DATES.slice(0, 5))),
    maybe('encounter', reference('Encounter')),
  ),
  Encounter: parts(
    one('planned', 'finished').map((status) => ({ status })),
    fc.constant({ class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' } }),
    maybe('subject', reference('Patient')),
    maybe(
      'period',
      one(...DATES.slice(1, 4)).map((start) => ({ start })),
    ),
    maybe('partOf', reference('Encounter')),
  ),
  Organization: parts(
    one(...NAMES).map((name) => ({ name })),
    maybe('partOf', reference('Organization')),
  ),
};

const resource = (type: (typeof TYPES)[number], id?: string): fc.Arbitrary<object> =>
  fc.tuple(BODIES[type], fc.option(tags, { nil: undefined })).map(([body, meta]) => ({
    resourceType: type,
    ...(id === undefined ? {} : { id }),
    ...(meta === undefined ? {} : { meta }),
    ...body,
  }));
const place = fc.tuple(one(...TYPES), one(...IDS));
const ifMatch = fc
  .option(one('1', '2', '3', '9'), { nil: undefined, freq: 1 })
  .map((version): Readonly<Record<string, string>> => (version === undefined ? {} : { 'if-match': `W/"${version}"` }));

/** Criteria by type, as a client would write them. */
const CRITERIA: Readonly<Record<(typeof TYPES)[number], readonly string[]>> = {
  Patient: [
    ...NAMES.flatMap((name) => [
      `family=${encodeURIComponent(name)}`,
      `name:contains=${encodeURIComponent(name.slice(1))}`,
    ]),
    ...[
      'family:exact=Ann',
      'given=an,m',
      'gender=male',
      'gender:not=male',
      'active=true',
      'identifier=urn:a|1',
      'identifier=|2',
      'identifier=urn:b|',
    ],
    ...[
      'birthdate=1974',
      'birthdate=lt1980',
      'birthdate=ne1974-12-25',
      'birthdate:missing=true',
      'address-city=k',
      'name:missing=false',
    ],
    ...[
      'organization=Organization/a',
      'organization:Organization.name=ann',
      'organization.partof=Organization/b',
      'general-practitioner:missing=true',
    ],
    ...[
      '_has:Observation:patient:code=8867-4',
      '_has:Condition:subject:code=718-7',
      '_has:Observation:subject:_has:Patient:link:active=true',
    ],
  ],
  Observation: [
    ...CODES.flatMap((code) => [`code=${code}`, `combo-code=${LOINC}|${code}`, `code-value-quantity=${code}$gt5`]),
    ...DATES.flatMap((date) =>
      ['', 'ge', 'lt', 'sa', 'eb', 'ap'].map((prefix) => `date=${prefix}${encodeURIComponent(date)}`),
    ),
    ...VALUES.flatMap((value) => ['', 'gt', 'le', 'ne', 'ap'].map((prefix) => `value-quantity=${prefix}${value}`)),
    ...[
      'value-quantity=5.4|http://unitsofmeasure.org|g/dL',
      'value-quantity=54||g/L',
      'combo-value-quantity=lt100',
      'status:not=final',
    ],
    ...[
      'subject=Patient/a',
      'patient=b',
      'patient=a,b',
      'subject:Patient.family=ann',
      'patient.gender=female',
      'patient.organization.name=m',
    ],
    ...[
      'encounter.status=finished',
      'encounter:Encounter.part-of=Encounter/a',
      'subject:missing=true',
      '_text=bone',
      '_content=bone',
      '_content=pain bone',
    ],
    ...['component-code-value-quantity=8480-6$ge5', 'date=ge2020-01-01&date=lt2020-03-01', 'date=gt2019&code=8867-4'],
  ],
  Condition: [
    ...CODES.map((code) => `code=${code}`),
    'onset-date=ge2020',
    'subject.family=m',
    'encounter=Encounter/c',
    'patient:missing=false',
  ],
  Encounter: [
    'status=planned,finished',
    'date=2020-02',
    'date=gt2020',
    'part-of=Encounter/a',
    'part-of.part-of.status=planned',
    'patient.name=an',
    'class=AMB',
  ],
  Organization: [
    'name=ann',
    'name:exact=ANNA',
    'partof=Organization/a',
    'partof:missing=true',
    'partof.partof=Organization/b',
  ],
};
const SHARED = [
  ...[
    '_id=a,b,c',
    '_id=nobody',
    '_tag=urn:t|x',
    '_tag=y&_tag=z',
    '_tag:not=x',
    '_tag:missing=true',
    '_lastUpdated=gt2000',
    '_lastUpdated=lt2000',
  ],
  ...['unknown=1', 'code=', '_id:exact=a', 'date=13', '_profile=http://nowhere', '_lastUpdated=le2026-01-02'],
];
const SORTS: Readonly<Record<(typeof TYPES)[number], readonly string[]>> = {
  Patient: ['family', '-birthdate', 'gender,-family', 'identifier', 'organization', '_id', '-_id'],
  Observation: ['date', '-date,code', 'value-quantity', '-value-quantity', 'patient,-date', '-_id', '-_lastUpdated'],
  Condition: ['code', '-onset-date', 'subject', '_id'],
  Encounter: ['-date', 'status,_id', 'part-of'],
  Organization: ['name', '-name', 'partof'],
};
const INCLUDES: Readonly<Record<(typeof TYPES)[number], readonly string[]>> = {
  Patient: [
    '_include=Patient:organization',
    '_revinclude=Observation:subject',
    '_revinclude=Condition:patient&_revinclude=Encounter:patient',
    '_include=*',
  ],
  Observation: [
    '_include=Observation:subject',
    '_include=Observation:patient&_include:iterate=Patient:organization',
    '_include=Observation:encounter',
  ],
  Condition: ['_include=Condition:encounter', '_include=Condition:subject:Patient'],
  Encounter: ['_revinclude=Observation:encounter', '_include:iterate=Encounter:part-of', '_include=Encounter:part-of'],
  Organization: ['_revinclude=Patient:organization', '_revinclude:iterate=Organization:partof'],
};
const RESULTS = [
  '_total=accurate',
  '_total=none',
  '_total=estimate',
  '_summary=count',
  '_summary=true',
  '_summary=text',
  '_elements=id,status',
  '_count=0',
  '_contained=true',
];

const search = one(...TYPES).chain((type) =>
  fc
    .tuple(
      fc.array(one(...CRITERIA[type], ...SHARED), { maxLength: 3 }),
      fc.option(one(...SORTS[type]), { nil: undefined }),
      fc.option(one(1, 2, 3, 20), { nil: undefined, freq: 3 }),
      fc.option(one(...INCLUDES[type]), { nil: undefined, freq: 2 }),
      fc.option(one(...RESULTS), { nil: undefined, freq: 2 }),
    )
    .map(([criteria, sort, count, include, result]) => {
      const query = [...criteria, sort && `_sort=${sort}`, count && `_count=${count}`, include, result].filter(Boolean);
      return { method: 'GET', url: `/${type}?${query.join('&')}` };
    }),
);

const conditional = one(...TYPES).chain((type) =>
  fc.tuple(fc.constant(type), one(...CRITERIA[type], ...SHARED), resource(type)),
);

const updated: fc.Arbitrary<Asked> = place.chain(([type, id]) =>
  fc
    .tuple(resource(type, id), ifMatch)
    .map(([body, headers]) => ({ method: 'PUT', url: `/${type}/${id}`, body, headers })),
);

const written: fc.Arbitrary<Asked> = fc.oneof(
  {
    weight: 6,
    arbitrary: one(...TYPES).chain((type) => resource(type).map((body) => ({ method: 'POST', url: `/${type}`, body }))),
  },
  { weight: 8, arbitrary: updated },
  {
    weight: 2,
    arbitrary: fc
      .tuple(place, ifMatch)
      .map(([[type, id], headers]) => ({ method: 'DELETE', url: `/${type}/${id}`, headers })),
  },
  {
    weight: 2,
    arbitrary: conditional.map(([type, query, body]) => ({
      method: 'POST',
      url: `/${type}`,
      body,
      headers: { 'if-none-exist': query },
    })),
  },
  {
    weight: 2,
    arbitrary: conditional.map(([type, query, body]) => ({ method: 'PUT', url: `/${type}?${query}`, body })),
  },
  { weight: 1, arbitrary: conditional.map(([type, query]) => ({ method: 'DELETE', url: `/${type}?${query}` })) },
  {
    weight: 2,
    arbitrary: fc.tuple(place, one(...DATES), ifMatch).map(([[type, id], value, headers]) => ({
      method: 'PATCH',
      url: `/${type}/${id}`,
      body: JSON.stringify([{ op: 'add', path: '/language', value: value.slice(0, 2) === '20' ? 'de' : 'fr' }]),
      headers: { 'content-type': 'application/json-patch+json', ...headers },
    })),
  },
);

const entry = ({ method, url, body, headers = {} }: Asked) => ({
  ...(body === undefined || method === 'PATCH' ? {} : { resource: body }),
  request: {
    method: method === 'PATCH' ? 'GET' : method,
    url: url.slice(1),
    ...(headers['if-match'] === undefined || method === 'PATCH' ? {} : { ifMatch: headers['if-match'] }),
    ...(headers['if-none-exist'] === undefined ? {} : { ifNoneExist: headers['if-none-exist'] }),
  },
});
const bundled = (type: 'batch' | 'transaction', entries: readonly Asked[]): Asked => ({
  method: 'POST',
  url: '',
  body: { resourceType: 'Bundle', type, entry: entries.map(entry) },
});
const transaction = fc
  .array(fc.oneof(written, search), { minLength: 1, maxLength: 5 })
  .map((entries) => bundled('transaction', entries));
/** Entries of a batch are in work side by side, so that two writes of one may meet in either order: at most one here. */
const batch = fc
  .tuple(fc.array(search, { maxLength: 3 }), fc.array(updated, { maxLength: 1 }))
  .map(([searches, writes]) => bundled('batch', [...searches, ...writes]));

const looked: fc.Arbitrary<Asked> = fc.oneof(
  place.map(([type, id]) => ({ method: 'GET', url: `/${type}/${id}` })),
  fc
    .tuple(place, one(1, 2, 3, 7))
    .map(([[type, id], version]) => ({ method: 'GET', url: `/${type}/${id}/_history/${version}` })),
  fc
    .tuple(place, one('', '?_count=2', '?_since=2000-01-01T00:00:00Z', '?_since=2030-01-01T00:00:00Z'))
    .map(([[type, id], query]) => ({
      method: 'GET',
      url: `/${type}/${id}/_history${query}`,
    })),
  one(...TYPES).map((type) => ({ method: 'GET', url: `/${type}/_history?_count=5` })),
  one('?_count=4', '?_at=2026-01-02').map((query) => ({ method: 'GET', url: `/_history${query}` })),
  one('/?_type=Patient,Organization&_tag=urn:t|x', '/?_id=a&_count=2', '/?_type=Observation,Patient&_sort=_id').map(
    (url) => ({ method: 'GET', url }),
  ),
  one(...IDS).map((id) => ({ method: 'GET', url: `/Patient/${id}/$everything?_count=4` })),
  one(...IDS).map((id) => ({ method: 'GET', url: `/Patient/${id}/Observation?_sort=-date` })),
  one(...IDS).map((id) => ({ method: 'GET', url: `/Observation/$lastn?patient=${id}&max=2` })),
  one(
    'subtype=create',
    'action=R&_count=3',
    'entity=Patient/a',
    'patient=b&_summary=count',
    'outcome=4&_total=accurate',
  ).map((query) => ({
    method: 'GET',
    url: `/AuditEvent?${query}`,
  })),
);

/** The same steps for the same seed and count. */
export function steps(count: number, seed: number): readonly Step[] {
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 9, arbitrary: written },
    { weight: 12, arbitrary: search },
    { weight: 4, arbitrary: fc.constant<Step>('next') },
    { weight: 4, arbitrary: looked },
    { weight: 2, arbitrary: transaction },
    { weight: 1, arbitrary: batch },
  );
  return fc.sample(step, { numRuns: count, seed });
}
