/** Generators of the leak test: small stores that point criss-cross, scopes of every kind, and every kind of interaction. */
import fc from 'fast-check';
import { OWNER_URL } from '../../src/fhir/search/owner.ts';
import type { Situation } from '../../src/smart/scopes.ts';
import type { Whole } from './leak-reference.ts';

const PATIENTS = ['a', 'b', 'c'];
export const IDS: Readonly<Record<string, readonly string[]>> = {
  Patient: PATIENTS,
  Observation: ['o1', 'o2', 'o3'],
  Condition: ['k1', 'k2'],
  Encounter: ['e1', 'e2'],
  MedicationRequest: ['m1', 'm2'],
  Medication: ['d1'],
  Practitioner: ['p1'],
  Organization: ['g1'],
  Device: ['v1'],
  Composition: ['n1'],
  Provenance: ['w1'],
  Group: ['u1'],
  List: ['l1'],
  Binary: ['x1', 'x2', 'x3'],
  Consent: ['z1', 'z2'],
  Subscription: ['s1', 's2'],
};
const TYPES = Object.keys(IDS);
const KEYS = TYPES.flatMap((type) => (IDS[type] ?? []).map((id) => [type, id] as const));
/** What callers write: never a Consent, which would change what they may see. */
const WRITTEN_TYPES = TYPES.filter((type) => type !== 'Consent');
const WRITTEN_KEYS = KEYS.filter(([type]) => type !== 'Consent');

const to = (type: string, ids = IDS[type] ?? []) =>
  fc.constantFrom(...ids).map((id) => ({ reference: `${type}/${id}` }));
const patient = to('Patient');
const coded = (...codes: string[]) =>
  fc.constantFrom(...codes).map((code) => ({ coding: [{ system: 'urn:s', code }] }));
const maybe = <T>(name: string, value: fc.Arbitrary<T>) =>
  fc.option(value, { nil: undefined }).map((found) => (found === undefined ? {} : { [name]: found }));
const joined = (...parts: fc.Arbitrary<object>[]): fc.Arbitrary<object> =>
  fc.tuple(...parts).map((all) => Object.assign({}, ...all));

const CONTENT: Readonly<Record<string, fc.Arbitrary<object>>> = {
  Patient: joined(
    maybe(
      'link',
      patient.map((other) => [{ other, type: 'seealso' }]),
    ),
    maybe(
      'generalPractitioner',
      to('Practitioner').map((one) => [one]),
    ),
    maybe('birthDate', fc.constantFrom('1970-01-01', '1980-01-01')),
  ),
  Observation: joined(
    fc.record({ status: fc.constantFrom('final', 'preliminary'), code: coded('hr', 'bp') }),
    maybe('subject', patient),
    maybe(
      'performer',
      fc.oneof(patient, to('Practitioner')).map((one) => [one]),
    ),
    maybe(
      'category',
      coded('laboratory', 'vital-signs').map((one) => [one]),
    ),
    maybe('encounter', to('Encounter')),
    maybe(
      'hasMember',
      to('Observation').map((one) => [one]),
    ),
    fc.constantFrom(
      {},
      { effectiveDateTime: '2020-01-01' },
      { valueQuantity: { value: 5, system: 'http://unitsofmeasure.org', code: 'g' } },
    ),
  ),
  Condition: joined(
    fc.record({ subject: patient, code: coded('flu', 'pox') }),
    maybe('asserter', patient),
    maybe(
      'category',
      coded('laboratory', 'problem').map((one) => [one]),
    ),
  ),
  Encounter: joined(
    fc.record({ status: fc.constantFrom('planned', 'finished'), class: fc.constant({ system: 'urn:s', code: 'AMB' }) }),
    maybe('subject', patient),
    maybe('serviceProvider', to('Organization')),
  ),
  MedicationRequest: fc.record({
    status: fc.constant('active'),
    intent: fc.constant('order'),
    subject: patient,
    medicationReference: to('Medication'),
  }),
  Medication: fc.record({ code: coded('pill', 'drop') }),
  Practitioner: fc.record({ active: fc.boolean() }),
  Organization: fc.record({ active: fc.boolean(), name: fc.constant('ward') }),
  Device: maybe('patient', patient),
  Composition: fc.record({
    status: fc.constant('final'),
    type: coded('note'),
    subject: patient,
    date: fc.constant('2020-01-01'),
    author: fc.oneof(patient, to('Practitioner')).map((one) => [one]),
    title: fc.constant('note'),
    section: fc.oneof(to('Observation'), to('Condition')).map((one) => [{ title: 's', entry: [one] }]),
  }),
  Provenance: fc.record({
    target: fc.oneof(patient, to('Observation'), to('Subscription')).map((one) => [one]),
    recorded: fc.constant('2020-01-01T00:00:00Z'),
    agent: to('Practitioner').map((who) => [{ who }]),
  }),
  Group: fc.record({
    type: fc.constant('person'),
    actual: fc.constant(true),
    member: fc.array(
      patient.map((entity) => ({ entity })),
      { minLength: 1, maxLength: 2 },
    ),
  }),
  Subscription: joined(
    fc.record({
      status: fc.constantFrom('off', 'error'),
      reason: fc.constant('x'),
      criteria: fc.constantFrom('Observation?code=hr', 'Patient?_id=b'),
      channel: fc.constant({ type: 'rest-hook', endpoint: 'https://hooks.example/x', header: ['Authorization: y'] }),
    }),
    maybe(
      'extension',
      fc.constantFrom('mine', 'mine', 'theirs').map((valueString) => [{ url: OWNER_URL, valueString }]),
    ),
  ),
  List: joined(fc.record({ status: fc.constant('current'), mode: fc.constant('working') }), maybe('subject', patient)),
  Binary: joined(
    fc.record({ contentType: fc.constant('text/plain'), data: fc.constant('AAAA') }),
    maybe(
      'securityContext',
      fc.oneof(
        { weight: 2, arbitrary: patient },
        to('Observation'),
        to('Encounter'),
        to('Organization'),
        to('Consent'),
        fc.constantFrom<object>(
          { reference: 'Patient/gone' },
          { identifier: { value: 'x' } },
          { reference: 'Binary/x2' },
          { reference: 'https://elsewhere.example/Patient/a' },
        ),
      ),
    ),
  ),
};

/** Who, why and what of a provision: each often left out. */
const conditions = joined(
  maybe(
    'actor',
    fc
      .tuple(fc.constantFrom('Practitioner/p1', 'Practitioner/p9'), fc.constantFrom('IRCP', 'IRCP', 'CST'))
      .map(([reference, as]) => [{ role: { coding: [{ system: 'urn:s', code: as }] }, reference: { reference } }]),
  ),
  maybe(
    'action',
    fc
      .constantFrom(['access'], ['correct'], ['collect', 'access'], ['use'], ['unheard-of'])
      .map((codes) => codes.map((each) => ({ coding: [{ system: 'urn:s', code: each }] }))),
  ),
  maybe(
    'purpose',
    fc.constantFrom('TREAT', 'HRESCH').map((code) => [{ code }]),
  ),
  maybe(
    'class',
    fc
      .constantFrom('Observation', 'Condition', 'Patient')
      .map((code) => [{ system: 'http://hl7.org/fhir/resource-types', code }]),
  ),
  maybe(
    'securityLabel',
    fc.constantFrom('R', 'PSY').map((code) => [{ code }]),
  ),
  maybe(
    'code',
    coded('hr', 'flu').map((one) => [one]),
  ),
);
const provision = (depth: number): fc.Arbitrary<object> => {
  const own = fc
    .tuple(fc.constantFrom('deny', 'deny', 'permit'), conditions)
    .map(([type, more]) => ({ type, ...more }));
  if (depth === 0) return own;
  const nested = fc.array(provision(depth - 1), { maxLength: 2 });
  return fc
    .tuple(own, nested)
    .map(([one, exceptions]) => (exceptions.length === 0 ? one : { ...one, provision: exceptions }));
};
/** What holds where no Consent permits; mostly nothing does. */
export const sites: fc.Arbitrary<object | undefined> = fc.option(provision(1), { nil: undefined, freq: 1 });

const consent = joined(
  fc.record({
    status: fc.constantFrom('active', 'active', 'active', 'inactive'),
    scope: fc.constant({ coding: [{ code: 'patient-privacy' }] }),
    category: fc.constant([{ text: 'x' }]),
    patient,
    policyRule: fc.constantFrom('OPTIN', 'OPTIN', 'OPTOUT').map((code) => ({ coding: [{ code }] })),
  }),
  maybe('provision', provision(2)),
);

const labels = fc.option(fc.constantFrom(['R'], ['V'], ['PSY'], ['N'], ['R', 'PSY']), { nil: undefined, freq: 3 });

/** A resource without its mark. */
const content = (type: string, id: string): fc.Arbitrary<Whole> =>
  fc.tuple(type === 'Consent' ? consent : (CONTENT[type] ?? fc.constant({})), labels).map(([own, codes]) => ({
    ...{ resourceType: type, id, ...own },
    ...(codes === undefined ? {} : { meta: { security: codes.map((code) => ({ system: 'urn:label', code })) } }),
  }));

/** What beside scopes decides: half of all callers need no role, and are bound by every Consent. */
export const situations: fc.Arbitrary<Situation> = joined(
  maybe(
    'roles',
    fc.constantFrom(
      ['physician'],
      ['nurse'],
      ['pharmacist'],
      ['patient'],
      ['auditor'],
      ['auditor', 'pharmacist'],
      ['integration-engine'],
      ['privacy-officer'],
      ['administrator'],
      [],
    ),
  ),
  fc.constantFrom({ purposes: [] }, { purposes: [] }, { purposes: ['HRESCH'] }),
  fc.constantFrom({ actors: ['Practitioner/p1'] }, { actors: [] }),
  fc.constantFrom({}, {}, {}, { clearance: ['PSY'] }),
  fc.constantFrom({ holder: 'mine' }, { holder: 'mine' }, {}),
  fc.constantFrom({}, {}, {}, {}, { breakGlass: { patient: 'a' } }),
).map((all) => ({ purposes: [], actors: [], ...all }));

/** What becomes of one id: its first version, perhaps another, perhaps its deletion. */
export interface Story {
  readonly first: Whole;
  readonly second: Whole | undefined;
  readonly isDeleted: boolean;
}
const story = ([type, id]: readonly [string, string]): fc.Arbitrary<Story | undefined> =>
  fc.option(
    fc.record({
      first: content(type, id),
      second: fc.option(content(type, id), { nil: undefined, freq: 2 }),
      isDeleted: fc.nat(7).map((dice) => dice === 0),
    }),
    { nil: undefined, freq: 4 },
  );
export const stories: fc.Arbitrary<readonly Story[]> = fc
  .tuple(...KEYS.map(story))
  .map((all) => all.flatMap((each) => each ?? []));

const verbs = fc.oneof(
  fc.constantFrom('read', 'write', '*', 'rs', 'cruds', 'r', 's', 'cud'),
  fc.subarray(['c', 'r', 'u', 'd', 's'], { minLength: 1 }).map((letters) => letters.join('')),
);
const plain = fc
  .tuple(fc.constantFrom('patient', 'patient', 'patient', 'user', 'system'), fc.constantFrom('*', '*', ...TYPES), verbs)
  .map(([context, type, access]) => `${context}/${type}.${access}`);
const granular = fc
  .tuple(
    fc.constantFrom('patient', 'user'),
    fc.constantFrom('Observation', 'Condition'),
    fc.constantFrom('rs', 'cruds', 'r', 's', 'crus'),
    fc.constantFrom(
      'category=laboratory',
      'category=vital-signs',
      'code=hr',
      'code=flu',
      'category=laboratory&code=hr',
    ),
  )
  .map(([context, type, access, query]) => `${context}/${type}.${access}?${query}`);
/** Mostly wide enough that something is answered: what is refused altogether shows little. */
const wide = fc.constantFrom(
  'patient/*.cruds',
  'patient/*.rs',
  'patient/*.cruds',
  'patient/Patient.rs',
  'user/Patient.cruds',
  'user/Observation.rs',
  'user/Subscription.cruds',
  'user/*.cruds',
);
export const scopes: fc.Arbitrary<readonly string[]> = fc
  .tuple(wide, fc.array(fc.oneof({ weight: 2, arbitrary: plain }, granular), { maxLength: 3 }), fc.nat(5))
  .map(([first, others, dice]) => (dice === 0 && others.length > 0 ? others : [first, ...others]));
export const launch: fc.Arbitrary<string | undefined> = fc.constantFrom('a', 'a', 'b', undefined);

/** One request; a search is followed over its pages. */
export interface Step {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const key = fc.constantFrom(...KEYS);
const writtenKey = fc.constantFrom(...WRITTEN_KEYS);
const writtenType = fc.constantFrom(...WRITTEN_TYPES);
const typed = fc.constantFrom(...TYPES);
const tag = fc.constantFrom(...KEYS.map(([, id]) => id), 'none');
const COMMON = [
  '',
  '',
  '_tag=canary-b',
  '_security=R',
  '_security:not=V',
  '_list=l1',
  '_lastUpdated=gt2000',
  '_content=ward',
  '_filter=_id ne zz',
];
/** Criteria that the type has; those of others would only be refused. */
const CRITERIA: Readonly<Record<string, readonly string[]>> = {
  Patient: [
    'birthdate=1970-01-01',
    'link=Patient/b',
    'link:missing=false',
    'link:Patient.birthdate=1980-01-01',
    'general-practitioner.active=true',
    '_has:Observation:patient:code=hr',
    '_has:Observation:subject:performer:Practitioner.active=true',
    '_has:Observation:performer:status=final',
    '_has:Condition:patient:code=flu',
    '_has:Provenance:target:_lastUpdated=gt2000',
    '_has:Group:member:_id=u1',
    '_has:Consent:patient:status=active',
    '_has:Observation:patient:encounter.status=finished',
    '_filter=not (birthdate eq 1970-01-01)',
  ],
  Observation: [
    'patient=a',
    'patient=b',
    'subject:Patient.birthdate=1970-01-01',
    'patient.birthdate=1980-01-01',
    'patient.general-practitioner.active=true',
    'encounter.status=finished',
    'code=hr',
    'code:not=hr',
    'category=laboratory',
    'category:missing=true',
    'performer=Patient/b',
    'has-member.code=bp',
    '_has:Observation:has-member:code=hr',
    '_has:Provenance:target:agent=Practitioner/p1',
    '_filter=code eq hr or patient.birthdate eq 1970-01-01',
  ],
  Condition: ['patient=b', 'asserter=Patient/b', 'code=flu', 'category=problem', 'patient.birthdate=1970-01-01'],
  Encounter: ['patient=b', 'status=finished', '_has:Observation:encounter:code=hr', 'service-provider.name=ward'],
  MedicationRequest: ['patient=b', 'medication.code=pill', 'status=active'],
  Medication: ['code=pill', '_has:MedicationRequest:medication:patient=b'],
  Practitioner: [
    'active=true',
    '_has:Patient:general-practitioner:birthdate=1970-01-01',
    '_has:Observation:performer:code=hr',
  ],
  Organization: ['name=ward', '_has:Encounter:service-provider:status=finished'],
  Device: ['patient=b', 'patient.birthdate=1970-01-01'],
  Composition: ['patient=b', 'author=Patient/b', 'entry.code=hr'],
  Provenance: [
    'target=Patient/b',
    'target:Patient.birthdate=1970-01-01',
    'target:Subscription.status=off',
    'agent.active=true',
  ],
  Group: ['member=Patient/b', 'member:Patient.birthdate=1970-01-01'],
  List: ['patient=b'],
  Binary: [],
  Consent: ['patient=a', 'status=active', 'patient.birthdate=1970-01-01'],
  Subscription: [
    'status=off',
    'criteria=Patient?_id=b',
    'type=rest-hook',
    'url=https://hooks.example/x',
    '_has:Provenance:target:agent=Practitioner/p1',
  ],
};
const SHAPES = [
  '',
  '',
  '_count=1',
  '_count=2&_sort=-_lastUpdated',
  '_total=accurate',
  '_total=estimate',
  '_summary=count',
  '_summary=text',
  '_summary=true',
  '_elements=id,subject',
  '_count=0',
  '_include=*',
];
const OWN_SHAPES: Readonly<Record<string, readonly string[]>> = {
  Patient: [
    '_sort=birthdate',
    '_revinclude=Observation:subject',
    '_revinclude=Observation:patient&_revinclude=Condition:patient&_include:iterate=Observation:encounter',
    '_revinclude=Provenance:target',
    '_revinclude=Encounter:patient&_revinclude:iterate=Observation:encounter',
    '_revinclude=Group:member',
    '_include=Patient:general-practitioner&_include=Patient:link',
  ],
  Observation: [
    '_sort=-code',
    '_include=Observation:subject&_include=Observation:encounter',
    '_include=Observation:performer&_include:iterate=Patient:general-practitioner',
    '_include=Observation:has-member&_include:iterate=Observation:has-member',
    '_revinclude=Provenance:target',
    '_revinclude=Observation:has-member',
  ],
  Encounter: ['_revinclude=Observation:encounter', '_include=Encounter:patient'],
  MedicationRequest: ['_include=MedicationRequest:medication&_include=MedicationRequest:patient'],
  Condition: ['_include=Condition:patient&_include=Condition:asserter'],
  Practitioner: ['_revinclude=Patient:general-practitioner', '_revinclude=Observation:performer'],
  Medication: ['_revinclude=MedicationRequest:medication'],
  Subscription: ['_revinclude=Provenance:target', '_sort=status'],
  Provenance: ['_include=Provenance:target', '_include=Provenance:target:Subscription'],
};
/** Types that point most are asked most. */
const searched = fc.constantFrom(
  ...TYPES,
  'Patient',
  'Patient',
  'Patient',
  'Observation',
  'Observation',
  'Observation',
  'Observation',
  'Subscription',
  'Subscription',
);
const queryOf = (type: string) =>
  fc
    .tuple(
      fc.constantFrom(...COMMON, ...(CRITERIA[type] ?? [])),
      fc.constantFrom(...SHAPES, ...(OWN_SHAPES[type] ?? []), ...(OWN_SHAPES[type] ?? [])),
    )
    .map((parts) =>
      parts
        .filter((part) => part !== '')
        .map(encodeURI)
        .join('&'),
    );
const asked = searched.chain((type) => queryOf(type).map((query) => ({ type, query })));
const shared = queryOf('List');
const tagged = tag.map((id) => `_tag=canary-${id}`);

/** What a client writes: the marks of its own writes are its own. */
const written = writtenKey.chain(([type, id]) => content(type, id));
const precondition = fc.constantFrom({}, { 'if-match': 'W/"1"' }, { 'if-match': 'W/"2"' }, { 'if-none-match': '*' });
const returning = fc.constantFrom({}, { prefer: 'return=representation' }, { prefer: 'return=OperationOutcome' });
const headers = fc.tuple(precondition, returning).map(([one, other]) => ({ ...one, ...other }));
const JSON_PATCH = { 'content-type': 'application/json-patch+json' };
const patches = fc.constantFrom(
  [{ op: 'test', path: '/status', value: 'final' }],
  [{ op: 'replace', path: '/subject/reference', value: 'Patient/b' }],
  [{ op: 'add', path: '/language', value: 'en' }],
  [{ op: 'remove', path: '/code' }],
);

const get = (url: fc.Arbitrary<string>) => url.map((text): Step => ({ method: 'GET', url: text }));
const writtenOf = (suffix: string) => writtenKey.map(([type, id]) => `/${type}/${id}${suffix}`);
const of = (suffix: string) => key.map(([type, id]) => `/${type}/${id}${suffix}`);

/** What a history of many resources is asked by. */
const page = fc.constantFrom(
  ...['', '?_count=1', '?_count=2', '?_count=0', '?_since=2020-01-01T00:00:00Z', '?_since=2030-01-01T00:00:00Z'],
  ...['?_at=2026', '?_at=2026-01-02T03:04:05Z', '?_at=2026-01-02T03:04:05Z&_count=1', '?_at=2020'],
);
const reads: fc.Arbitrary<Step> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('GET', 'HEAD'),
      of(''),
      fc.constantFrom({}, { 'if-none-match': 'W/"1"' }, { 'if-modified-since': 'Thu, 01 Jan 2099 00:00:00 GMT' }),
    )
    .map(([method, url, conditions]): Step => ({ method, url, headers: conditions })),
  get(fc.tuple(of('/_history/'), fc.constantFrom('1', '2', '3')).map(([url, version]) => url + version)),
  get(
    fc
      .tuple(of('/_history'), fc.constantFrom('', '?_count=1', '?_since=2020-01-01T00:00:00Z'))
      .map((parts) => parts.join('')),
  ),
  { weight: 2, arbitrary: get(fc.tuple(typed, page).map(([type, text]) => `/${type}/_history${text}`)) },
  { weight: 2, arbitrary: get(page.map((text) => `/_history${text}`)) },
);
const searches: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: get(asked.map(({ type, query }) => `/${type}?${query}`)) },
  asked.map(
    ({ type, query }): Step => ({
      method: 'POST',
      url: `/${type}/_search`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: query,
    }),
  ),
  get(fc.tuple(fc.constantFrom(...PATIENTS), asked).map(([id, { type, query }]) => `/Patient/${id}/${type}?${query}`)),
  get(fc.constantFrom(...PATIENTS).map((id) => `/Patient/${id}/*`)),
  get(shared.map((text) => `/?_type=Patient,Observation,Condition&${text}`)),
  get(tagged.map((text) => `/?${text}`)),
  get(fc.tuple(typed, tagged).map(([type, text]) => `/${type}?${text}&_total=accurate`)),
);
const writes: fc.Arbitrary<Step> = fc.oneof(
  fc
    .tuple(written, headers)
    .map(([body, head]): Step => ({ method: 'PUT', url: `/${body.resourceType}/${body.id}`, headers: head, body })),
  fc
    .tuple(written, returning)
    .map(
      ([{ id: _id, ...body }, head]): Step => ({ method: 'POST', url: `/${body.resourceType}`, headers: head, body }),
    ),
  fc.tuple(written, tagged).map(
    ([{ id: _id, ...body }, text]): Step => ({
      method: 'POST',
      url: `/${body.resourceType}`,
      headers: { 'if-none-exist': text },
      body,
    }),
  ),
  fc
    .tuple(written, tagged, returning)
    .map(([body, text, head]): Step => ({ method: 'PUT', url: `/${body.resourceType}?${text}`, headers: head, body })),
  fc
    .tuple(writtenKey, precondition)
    .map(([[type, id], head]): Step => ({ method: 'DELETE', url: `/${type}/${id}`, headers: head })),
  fc.tuple(writtenType, tagged).map(([type, text]): Step => ({ method: 'DELETE', url: `/${type}?${text}` })),
  fc.tuple(writtenKey, patches, headers).map(
    ([[type, id], body, head]): Step => ({
      method: 'PATCH',
      url: `/${type}/${id}`,
      headers: { ...head, ...JSON_PATCH },
      body,
    }),
  ),
  fc
    .tuple(writtenType, tagged, patches)
    .map(([type, text, body]): Step => ({ method: 'PATCH', url: `/${type}?${text}`, headers: JSON_PATCH, body })),
);
const meta = {
  resourceType: 'Parameters',
  parameter: [{ name: 'meta', valueMeta: { tag: [{ system: 'urn:x', code: 'y' }] } }],
};
const operations: fc.Arbitrary<Step> = fc.oneof(
  get(fc.constantFrom(...PATIENTS).map((id) => `/Patient/${id}/$everything`)),
  get(fc.constantFrom(...PATIENTS).map((id) => `/Patient/${id}/$everything?_count=1`)),
  get(fc.constantFrom('e1', 'e2').map((id) => `/Encounter/${id}/$everything`)),
  get(fc.constantFrom(...PATIENTS).map((id) => `/Observation/$lastn?patient=${id}&code=hr,bp&max=3`)),
  get(
    fc
      .constantFrom(...PATIENTS)
      .map((id) => `/Observation/$stats?subject=Patient/${id}&code=hr&system=urn:s&statistic=count&include=true`),
  ),
  get(of('/$meta')),
  fc.tuple(writtenOf('/$meta-add'), fc.constant(meta)).map(([url, body]): Step => ({ method: 'POST', url, body })),
  get(fc.constant('/Composition/n1/$document')),
  get(fc.constant('/Composition/n1/$document?persist=true')),
  fc
    .tuple(written, fc.constantFrom('', '?mode=update', '?mode=delete'))
    .map(([body, mode]): Step => ({ method: 'POST', url: `/${body.resourceType}/${body.id}/$validate${mode}`, body })),
  fc.constant({
    method: 'POST',
    url: '/Patient/$merge',
    body: {
      resourceType: 'Parameters',
      parameter: [
        { name: 'source-patient', valueReference: { reference: 'Patient/b' } },
        { name: 'target-patient', valueReference: { reference: 'Patient/a' } },
      ],
    },
  }),
  get(fc.constantFrom('/$export', '/Patient/$export', '/Group/u1/$export')).map((step) => ({
    ...step,
    headers: { prefer: 'respond-async' },
  })),
);
const entries = fc.array(fc.oneof(reads, searches, writes), { minLength: 1, maxLength: 4 }).map((steps) =>
  steps
    .filter(({ url, method }) => !url.includes('_search') && method !== 'PATCH')
    .map(({ method, url, headers: head = {}, body }) => ({
      ...(body === undefined ? {} : { resource: body }),
      request: {
        method,
        url: url.slice(1),
        ...(head['if-match'] === undefined ? {} : { ifMatch: head['if-match'] }),
        ...(head['if-none-exist'] === undefined ? {} : { ifNoneExist: head['if-none-exist'] }),
      },
    })),
);
const bundles: fc.Arbitrary<Step> = fc
  .tuple(fc.constantFrom('batch', 'transaction'), entries, returning)
  .map(([type, entry, head]) => ({
    method: 'POST',
    url: '/',
    headers: head,
    body: { resourceType: 'Bundle', type, entry },
  }));
const conditionalReference: fc.Arbitrary<Step> = tag.map((id) => ({
  method: 'POST',
  url: '/',
  body: {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      {
        resource: {
          resourceType: 'Condition',
          subject: { reference: `Patient?_tag=canary-${id}` },
          code: { text: 'x' },
        },
        request: { method: 'POST', url: 'Condition' },
      },
    ],
  },
}));

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: reads },
  { weight: 5, arbitrary: searches },
  { weight: 3, arbitrary: writes },
  { weight: 2, arbitrary: operations },
  { weight: 2, arbitrary: bundles },
  conditionalReference,
);
