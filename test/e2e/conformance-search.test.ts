// What public suites ask of FHIR search, as rows: fhir-r4@search. World: conformance-world.ts.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { labels, linkOf, type Send, sender } from './client.ts';
import { WORLD } from './conformance-world.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

let server: Running;
let send: Send;
before(async () => {
  server = await start({ LOG_LEVEL: 'error' }, newFolder());
  send = sender(`${server.url}/fhir`);
  const entry = WORLD.map((resource) => ({
    resource,
    request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
  }));
  const loaded = await send('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });
  assert.equal(loaded.status, 200, loaded.text);
});
after(async () => {
  assert.equal(await server.stop(), 0);
  removeFolder(server.folder);
});

/** Ids of the matches, or of everything in the page when `+` stands in front; a number is a refusal's status. */
type Row = readonly [query: string, expected: string | number, why: string];

const TABLES: Readonly<Record<string, readonly Row[]>> = {
  'search-token': [
    ['Patient?identifier=12345', 'p-1 p-3', 'any system'],
    ['Patient?identifier=urn:mrn|12345', 'p-1', 'system and code'],
    ['Patient?identifier=urn:mrn%7C12345', 'p-1', 'an escaped bar is the same bar'],
    ['Patient?identifier=urn:mrn|', 'p-1 p-2', 'system alone'],
    ['Patient?identifier=|no-system', 'p-2', 'no system'],
    ['Patient?identifier=|12345', '', 'no system: both have one'],
    ['Patient?identifier=no-system', 'p-2', 'any system includes none'],
    ['Patient?identifier=urn:ssn|12345,urn:mrn|12345', 'p-1 p-3', 'a comma is OR'],
    ['Patient?identifier=urn:ssn|&identifier=12345', 'p-3', 'repetition is AND'],
    ['Patient?identifier=urn:ssn|&identifier=urn:mrn|', '', 'repetition is AND'],
    ['Patient?gender=female', 'p-1', 'code'],
    ['Patient?gender=http://hl7.org/fhir/administrative-gender|female', 'p-1', 'the system implied by the binding'],
    ['Patient?gender=Female', '', 'codes of a case sensitive system'],
    ['Patient?active=true', 'p-1', 'boolean'],
    ['Patient?active:not=true', 'p-2 p-3 p-4', ':not includes resources without value'],
    ['Patient?gender:not=male,female', 'p-3 p-4', ':not of a list is none of them'],
    ['Patient?gender:missing=true', 'p-3 p-4', ':missing'],
    ['Patient?gender:missing=false', 'p-1 p-2', ':missing'],
    ['Patient?gender:missing=maybe', 400, ':missing is a boolean'],
    [`Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|12345`, 'p-1', ':of-type'],
    [`Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|SS|12345`, 'p-3', ':of-type'],
    [`Patient?identifier:of-type=|MR|12345`, '', ':of-type: the system counts'],
    ['Patient?identifier:of-type=MR|12345', 400, ':of-type has three parts'],
    ['Observation?code=http://loinc.org|29463-7', 'q-1 q-2 q-3 q-4 q-5', 'CodeableConcept'],
    ['Observation?code=local', 'q-6', 'a code without system'],
    ['Observation?code=|local', 'q-6', 'a code without system'],
    ['Observation?combo-code=8480-6', 'bp', 'component or whole'],
    ['Observation?status=final&_summary=count', '', 'count only'],
  ],
  'search-escaping': [
    ['Patient?identifier=urn:mrn|a\\,b\\|c\\$d\\\\e', 'p-2', 'escaped , | $ and \\'],
    ['Patient?identifier=urn%3Amrn%7Ca%5C%2Cb%5C%7Cc%5C%24d%5C%5Ce', 'p-2', 'the same, percent-encoded'],
    ['Patient?identifier=urn:mrn|a,b\\|c\\$d\\\\e', '', 'not escaped: another meaning'],
    ['Patient?identifier=a%2Cb', '', 'an encoded comma is a comma: search.html#escaping'],
    ['Patient?family=van%20der', 'p-2', '%20'],
    ['Patient?family=van+der', 'p-2', '+ is a space in a query'],
    ['Patient?family=van%2Bder', 'p-2', 'a plus is punctuation, as a space is'],
    ['Patient?name=', 400, 'no value'],
    ['Patient?name=a,,b', 400, 'an empty value'],
  ],
  'search-string': [
    ['Patient?family=muller', 'p-1 p-3', 'accents and case fold'],
    ['Patient?family=M%C3%BCller', 'p-1 p-3', 'accents and case fold on both sides'],
    ['Patient?family=Mu%CC%88ller', 'p-1 p-3', 'decomposed accents are the same'],
    ['Patient?family=mul', 'p-1 p-3', 'starts with'],
    ['Patient?family=uller', '', 'not inside'],
    ['Patient?family:contains=uller', 'p-1 p-3', ':contains'],
    ['Patient?family:contains=%C3%BCDENSCH', 'p-1', ':contains folds'],
    ['Patient?family:exact=MULLER', 'p-3', ':exact'],
    ['Patient?family:exact=Muller', '', ':exact minds case'],
    ['Patient?family:exact=M%C3%BCller-L%C3%BCdenscheidt', 'p-1', ':exact minds accents'],
    ['Patient?family:exact=M%C3%BCller', '', ':exact is the whole string'],
    ["Patient?given=o'brien", 'p-1', 'punctuation'],
    ['Patient?given=o%20brien', 'p-1', 'punctuation folds to a space'],
    ['Patient?name=%E6%9D%B1%E4%BA%AC', 'p-4', 'other scripts'],
    ['Patient?name=van', 'p-2', 'any part of a name'],
    ['Patient?address-city=den haag', 'p-1', 'white space'],
    ['Patient?address=2511', 'p-1', 'any part of an address'],
    ['Patient?name=house', '', 'another type is not searched'],
    ['Patient?name:missing=false', 'p-1 p-2 p-3 p-4', ':missing'],
  ],
  'search-date': [
    ['Patient?birthdate=1974-12-25', 'p-1', 'eq: a day holds the day'],
    ['Patient?birthdate=1974-12', 'p-1 p-2', 'eq: a month holds the day and the month'],
    ['Patient?birthdate=1974', 'p-1 p-2 p-3', 'eq: a year holds all'],
    ['Patient?birthdate=ne1974-12-25', 'p-2 p-3', 'ne: not within; without value is no match'],
    ['Patient?birthdate=gt1974-12-25', 'p-2 p-3', 'gt: part of the stored interval lies above'],
    ['Patient?birthdate=gt1974-12-31', '', 'gt: nothing lies above'],
    ['Patient?birthdate=lt1974-12-25', 'p-2 p-3', 'lt: part lies below'],
    ['Patient?birthdate=lt1974-01-01', '', 'lt: nothing lies below'],
    ['Patient?birthdate=ge1974-12-25', 'p-1 p-2 p-3', 'ge'],
    ['Patient?birthdate=le1974-12-25', 'p-1 p-2 p-3', 'le'],
    ['Patient?birthdate=sa1974-12-24', 'p-1', 'sa: starts after'],
    ['Patient?birthdate=sa1974-11', 'p-1 p-2', 'sa: starts after the month'],
    ['Patient?birthdate=eb1974-12-26', 'p-1', 'eb: ends before'],
    ['Patient?birthdate=eb1975', 'p-1 p-2 p-3', 'eb: ends before'],
    ['Patient?birthdate=ap1974-12-25', 'p-1 p-2 p-3', 'ap'],
    ['Patient?birthdate=1974-12-25T10:00:00Z', '', 'eq: a second cannot hold a day'],
    ['Patient?birthdate=1974-13', 400, 'no such month'],
    ['Patient?birthdate=xx1974', 400, 'no such prefix'],
    ['Patient?birthdate=1974-12-25,1900', 'p-1', 'OR'],
    ['Patient?birthdate=ge1974-12-25&birthdate=le1974-12-25', 'p-1 p-2 p-3', 'AND'],
    ['Encounter?date=2023-01-10', '', 'eq: a day cannot hold a period of ten'],
    ['Encounter?date=2023-01', 'e-1', 'eq: the month holds the closed period'],
    ['Encounter?date=gt2023-06', 'e-2', 'an open period goes on'],
    ['Encounter?date=sa2023-01-12', 'e-2', 'sa'],
    ['Encounter?date=eb2023-01-21', 'e-1', 'eb'],
    ['Encounter?date=ge2023-01-18&date=le2023-01-18', 'e-1 e-2', 'overlap of a day'],
    ['Observation?date=2023-01-16', 'q-2 q-5', 'offset: 23:30-05:00 is the 16th in UTC'],
    ['Observation?date=2023-01-15', 'q-1', 'offset'],
    ['Observation?date=2023-01-16T04:30:00Z', 'q-2 q-5', 'seconds hold milliseconds'],
    ['Observation?date=2023-01-15T23:30:00-05:00', 'q-2 q-5', 'an offset in the value'],
    ['Observation?date=2023-01-16T05:30:00%2B01:00', 'q-2 q-5', 'an escaped plus of an offset'],
    ['Observation?date=2023-01-16T05:30:00+01:00', 'q-2 q-5', 'a plus that was not escaped'],
    ['Observation?date=2023-01-16T04:30', 'q-2 q-5', 'minutes'],
    ['Observation?date=2023-01-16T04:30:00.123Z', 'q-5', 'milliseconds'],
    ['Observation?date=lt2023-01-02', 'q-3 q-4', 'years and periods'],
    ['Observation?date:missing=true', 'bp q-6', ':missing'],
    ['ValueSet?date=2020', 'vs', 'partial dates'],
    ['ValueSet?date=2020-02-29', '', 'partial dates'],
    ['Patient?_lastUpdated=gt2020-01-01', 'p-1 p-2 p-3 p-4', '_lastUpdated'],
    ['Patient?_lastUpdated=lt2020-01-01', '', '_lastUpdated'],
    ['Patient?_lastUpdated=ge2020&_lastUpdated=lt2999', 'p-1 p-2 p-3 p-4', '_lastUpdated'],
  ],
  'search-quantity': [
    ['Observation?value-quantity=5.4', 'q-1 q-2 q-4', 'any unit as sent, [5.35, 5.45)'],
    ['Observation?value-quantity=5.40', 'q-1 q-4', 'precision: [5.395, 5.405)'],
    ['Observation?value-quantity=5.4|http://unitsofmeasure.org|kg', 'q-1 q-2 q-3', 'units convert'],
    ['Observation?value-quantity=5400|http://unitsofmeasure.org|g', 'q-1 q-3', 'units convert; [5399.5, 5400.5) g'],
    [
      'Observation?value-quantity=54e2|http://unitsofmeasure.org|g',
      'q-1 q-3',
      'as 1e2 is [95, 105) in search.html#number: [5395, 5405)',
    ],
    ['Observation?value-quantity=5.4||kg', 'q-1 q-2', 'unit or code alone'],
    ['Observation?value-quantity=5.4|http://unitsofmeasure.org|', 400, 'a system needs a code'],
    ['Observation?value-quantity=gt5.4', 'q-3 q-5', 'gt is exact; <100 may be above'],
    ['Observation?value-quantity=gt5.4|http://unitsofmeasure.org|kg', 'q-5', 'gt is exact'],
    ['Observation?value-quantity=lt5.4|http://unitsofmeasure.org|kg', 'q-2 q-5', 'lt is exact'],
    ['Observation?value-quantity=ge5.4|http://unitsofmeasure.org|kg', 'q-1 q-3 q-5', 'ge'],
    ['Observation?value-quantity=le5.35|http://unitsofmeasure.org|kg', 'q-2 q-5', 'le'],
    ['Observation?value-quantity=ap5.9|http://unitsofmeasure.org|kg', 'q-1 q-2 q-3 q-5', 'ap: a tenth'],
    ['Observation?value-quantity=sa5.3|http://unitsofmeasure.org|kg', 'q-1 q-2 q-3', 'sa: wholly above'],
    ['Observation?value-quantity=abc', 400, 'not a number'],
    ['Observation?component-value-quantity=120', 'bp', 'component'],
    ['Observation?component-code-value-quantity=8480-6$120', 'bp', 'composite: the same component'],
    ['Observation?component-code-value-quantity=8480-6$80', '', 'composite: not two components'],
    ['Observation?component-code-value-quantity=http://loinc.org|8480-6$gt100', 'bp', 'composite with prefix'],
    ['Observation?code-value-concept=local$urn:x|pos', 'q-6', 'composite of tokens'],
    ['Observation?component-code-value-quantity=8480-6', 400, 'a composite has all its parts'],
    ['RiskAssessment?probability=0.02', 'r-1', 'number'],
    ['RiskAssessment?probability=0.020', 'r-1', 'number: precision'],
    ['RiskAssessment?probability=0.0', 'r-1', 'number: [-0.05, 0.05)'],
    ['RiskAssessment?probability=0.00', '', 'number: [-0.005, 0.005)'],
    ['RiskAssessment?probability=gt0.019', 'r-1', 'number: gt'],
    ['RiskAssessment?probability=2e-2', 'r-1', 'number: exponent'],
  ],
  'search-reference': [
    ['Observation?subject=Patient/p-1', 'bp q-1 q-2', 'Type/id'],
    ['Observation?subject=p-1', 'bp q-1 q-2', 'id'],
    ['Observation?subject:Patient=p-1', 'bp q-1 q-2', ':type'],
    ['Observation?subject:Group=p-1', '', ':type'],
    ['Observation?subject:Basic=p-1', 400, ':type that is no target'],
    ['Observation?subject=BASE/Patient/p-1', 'bp q-1 q-2', 'own absolute URL'],
    ['Observation?subject=http://elsewhere.example/fhir/Patient/p-1', '', 'a foreign absolute URL'],
    ['Observation?patient=p-1,p-2', 'bp q-1 q-2 q-3 q-4', 'OR'],
    ['Encounter?subject:identifier=urn:mrn|12345', 'e-2', ':identifier is of the reference itself'],
    ['Encounter?subject:missing=false', 'e-1 e-2', 'an identifier alone is a value'],
    ['QuestionnaireResponse?questionnaire=http://example.org/qu', 'qr', 'canonical without version'],
    ['QuestionnaireResponse?questionnaire=http://example.org/qu|1.0', 'qr', 'canonical with version'],
    ['QuestionnaireResponse?questionnaire=http://example.org/qu|2.0', '', 'canonical with another version'],
  ],
  'search-uri': [
    ['ValueSet?url=http://example.org/vs/one/two', 'vs', 'exact'],
    ['ValueSet?url=http://example.org/vs/one', '', 'exact'],
    ['ValueSet?url=http://example.org/vs/one/TWO', '', 'case matters'],
    ['ValueSet?url:below=http://example.org/vs', 'vs', ':below'],
    ['ValueSet?url:below=http://example.org/vs/on', '', ':below whole segments'],
    ['ValueSet?url:above=http://example.org/vs/one/two/three', 'vs', ':above'],
  ],
  'search-id': [
    ['Patient?_id=p-1', 'p-1', '_id'],
    ['Patient?_id=p-1,p-3,none', 'p-1 p-3', 'list'],
    ['Patient?_id=p-1&_id=p-3', '', 'AND'],
    ['Patient?_id:not=p-1', 'p-2 p-3 p-4', ':not'],
    ['Patient?_id=p-1&gender=male', '', 'AND'],
  ],
  chaining: [
    ['Observation?subject:Patient.family=muller', 'bp q-1 q-2 q-5 q-6', 'chain with type'],
    ['Observation?patient.family=muller', 'bp q-1 q-2 q-5 q-6', 'chain'],
    ['Observation?subject.name=van', 'q-3 q-4', 'chain over several targets'],
    ['Observation?encounter.subject:Patient.gender=female', 'q-1', 'chain of two'],
    ['Patient?organization.partof.partof.name=top', 'p-1', 'chain of three'],
    ['Patient?organization.partof.name=top', '', 'chain of two is not three'],
    ['Patient?general-practitioner:Practitioner.family=house', 'p-1', 'chain'],
    ['Observation?patient.identifier=urn:mrn|12345&code=85354-9', 'bp', 'chain and criterion'],
    ['Observation?patient._id=p-2', 'q-3 q-4', 'chain to _id'],
    ['Observation?patient.birthdate=1974-12', 'bp q-1 q-2 q-3 q-4', 'chain to a date'],
    ['Observation?patient.family:exact=MULLER', 'q-5 q-6', 'chain with modifier'],
    ['Observation?patient.nonsense=x', 400, 'chain to an unknown parameter'],
  ],
  has: [
    ['Patient?_has:Observation:patient:code=85354-9', 'p-1', '_has'],
    ['Patient?_has:Observation:subject:value-quantity=5400', 'p-2', '_has'],
    ['Patient?_has:Observation:patient:code=local,85354-9', 'p-1 p-3', '_has with OR'],
    ['Patient?_has:Observation:patient:_has:Provenance:target:agent=Practitioner/pr-1', 'p-1', '_has of _has'],
    ['Encounter?subject:Patient._has:Observation:patient:code=85354-9', 'e-1', '_has in a chain'],
    ['Patient?_has:Observation:patient:code=nothing', '', '_has without match'],
    ['Practitioner?_has:Patient:general-practitioner:_id=p-1', 'pr-1', '_has and _id'],
    ['Patient?_has:Patient:nothing:code=x', 400, '_has by an unknown parameter'],
  ],
  include: [
    ['Observation?_id=q-1&_include=Observation:subject', '+q-1 p-1', '_include'],
    ['Observation?_id=q-1&_include=Observation:subject:Patient', '+q-1 p-1', '_include of a type'],
    ['Observation?_id=q-1&_include=Observation:subject:Group', '+q-1', '_include of another type'],
    ['Observation?_id=q-1&_include=*', '+q-1 p-1 e-1', '_include of everything'],
    ['Observation?_id=q-1&_include=Observation:*', '+q-1 p-1 e-1', '_include of everything'],
    ['Observation?_id=q-1,q-2&_include=Observation:patient', '+q-1 q-2 p-1', 'once each'],
    // Not by Patient.link: who is linked is one person, and found together: test/rest/patient-links.test.ts.
    ['Organization?_id=o-round&_include:iterate=Organization:partof', '+o-round o-about', ':iterate ends in a circle'],
    ['Organization?_id=o-low&_include:iterate=Organization:partof', '+o-low o-mid o-top', ':iterate over its own type'],
    [
      'Patient?_id=p-1&_include=Patient:organization&_include:iterate=Organization:partof',
      '+p-1 o-low o-mid o-top',
      ':iterate to the end',
    ],
    [
      'Patient?_id=p-1&_include=Patient:organization&_include=Organization:partof',
      '+p-1 o-low',
      'without :iterate one step',
    ],
    ['Observation?_id=q-1&_revinclude=Provenance:target', '+q-1 prov', '_revinclude'],
    ['Patient?_id=p-2&_revinclude=Observation:patient', '+p-2 q-3 q-4', '_revinclude'],
    ['Patient?_id=p-1&_revinclude=Observation:patient&_revinclude=Encounter:patient', '+p-1 bp q-1 q-2 e-1', 'two'],
    ['Observation?_id=q-1&_revinclude=Observation:derived-from', '+q-1 bp', '_revinclude of its own type'],
    [
      'Observation?_id=bp&_include=Observation:derived-from&_include=Observation:has-member',
      '+bp q-1 q-2',
      'its own type',
    ],
    ['Patient?_id=p-1&_include=Patient:name', 400, 'not a reference'],
    ['Patient?_id=p-1&_include=nonsense', 400, 'not an include'],
    [
      'QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire',
      '+qr qu',
      '_include follows canonicals, by version',
    ],
    ['QuestionnaireResponse?_include=*', '+qr qu', '_include of everything follows canonicals'],
    ['Questionnaire?_id=qu&_revinclude=QuestionnaireResponse:questionnaire', '+qu qr', '_revinclude by canonical'],
    [
      'Questionnaire?_id=qu-2&_revinclude=QuestionnaireResponse:questionnaire',
      '+qu-2',
      'a canonical of another version',
    ],
  ],
  sort: [
    ['Patient?_sort=birthdate', '=p-3 p-2 p-1 p-4', 'by the start; missing last'],
    ['Patient?_sort=-birthdate', '=p-1 p-2 p-3 p-4', 'descending; missing last'],
    ['Patient?_sort=family', '=p-3 p-1 p-2 p-4', 'folded'],
    ['Patient?_sort=_id', '=p-1 p-2 p-3 p-4', 'by id'],
    ['Patient?_sort=-_id', '=p-4 p-3 p-2 p-1', 'by id, descending'],
    ['Patient?_sort=-gender,_id', '=p-2 p-1 p-3 p-4', 'two keys; missing last'],
    ['Patient?_sort=gender,-_id', '=p-1 p-2 p-4 p-3', 'two keys; missing last'],
    ['Patient?_sort=nonsense', 400, 'unknown'],
  ],
  result: [
    ['Patient?_count=2&_total=accurate', 'p-1 p-2', 'a page'],
    ['Patient?_count=-1', 400, 'not a count'],
    ['Patient?_count=x', 400, 'not a count'],
    ['Patient?_total=maybe', 400, 'not a total'],
    ['Patient?_summary=maybe', 400, 'not a summary'],
    ['Patient?_format=ttl', 406, 'a format that is not claimed'],
    ['Patient?_format=json&_id=p-1', 'p-1', '_format'],
    ['Patient?_format=application/fhir%2Bjson&_id=p-1', 'p-1', '_format'],
    ['Patient?_format=application/fhir+json&_id=p-1', 'p-1', '_format with a plus'],
    ['Patient?nonsense=x', 400, 'unknown'],
    ['Patient?family:nonsense=x', 400, 'unknown modifier'],
    ['Patient?Family=x', 400, 'names mind case'],
    ['Patient?&&_id=p-1&', 'p-1', 'empty parts'],
    ['Patient?_pretty=true&_id=p-1', 'p-1', '_pretty'],
  ],
};

for (const [anchor, rows] of Object.entries(TABLES)) {
  test(`fhir-r4@${anchor}: by GET and by POST`, async () => {
    const wrong: string[] = [];
    for (const [asked, expected, why] of rows) {
      const [path = '', text = ''] = asked.replace('BASE', `${server.url}/fhir`).split(/\?(.*)/s);
      const form = { 'content-type': 'application/x-www-form-urlencoded' };
      const answers = [await send('GET', `/${path}?${text}`), await send('POST', `/${path}/_search`, text, form)];
      for (const [index, { status, json, text: body }] of answers.entries()) {
        const ids = (json.entry ?? []).map(({ resource }) => resource?.id ?? '');
        const ordered = typeof expected === 'string' && expected.startsWith('=');
        const found = status === 200 ? (ordered ? ids : ids.toSorted()).join(' ') : status;
        const all = typeof expected === 'string' ? expected.replace(/^[+=]/, '').split(' ') : [];
        const wanted = typeof expected === 'number' ? expected : (ordered ? all : all.toSorted()).join(' ');
        if (found !== wanted)
          wrong.push(
            `${index === 0 ? 'GET' : 'POST'} ${asked}: [${found}] instead of [${wanted}], ${why} ${status === 200 ? '' : body.slice(0, 200)}`,
          );
      }
    }
    assert.deepEqual(wrong, []);
  });
}

test('fhir-r4@search-total, @summary, @elements, @conformance (self link)', async () => {
  const get = async (query: string, headers = {}) => (await send('GET', `/Patient?${query}`, undefined, headers)).json;
  const counted = await get('_count=0&gender:missing=true');
  assert.deepEqual([counted.total, counted.entry], [2, undefined], '_count=0 is count only');
  const summary = await get('_summary=count');
  assert.deepEqual([summary.total, summary.entry], [4, undefined]);
  const page = await get('_count=1&_total=accurate&_include=Patient:organization');
  assert.equal(page.total, 4, 'total counts matches, not the page, not includes');
  assert.deepEqual(
    page.entry?.map(({ search }) => search?.mode),
    ['match', 'include'],
  );
  assert.equal((await get('_count=1&_total=none')).total, undefined);
  assert.ok(
    page.entry?.every(
      ({ fullUrl, resource }) => fullUrl === `${server.url}/fhir/${resource?.resourceType}/${resource?.id}`,
    ),
  );
  const names = async (query: string) =>
    Object.keys((await get(`_id=p-1&${query}`)).entry?.[0]?.resource ?? {}).toSorted();
  assert.deepEqual(await names('_elements=gender'), ['gender', 'id', 'meta', 'resourceType']);
  assert.deepEqual(await names('_elements=gender,birthDate'), ['birthDate', 'gender', 'id', 'meta', 'resourceType']);
  assert.deepEqual(await names('_summary=text'), ['id', 'meta', 'resourceType']);
  assert.ok(!(await names('_summary=true')).includes('generalPractitioner'));
  assert.ok((await names('_summary=true')).includes('managingOrganization'));
  const tag = ((await get('_id=p-1&_elements=gender')).entry?.[0]?.resource?.meta?.tag ?? []) as { code: string }[];
  assert.deepEqual(
    tag.map(({ code }) => code),
    ['SUBSETTED'],
  );

  const lenient = await get('nonsense=1&gender=female', { prefer: 'handling=lenient' });
  assert.equal(linkOf(lenient, 'self'), `${server.url}/fhir/Patient?gender=female`, 'self says what was used');
  assert.deepEqual(
    lenient.entry?.map(({ search }) => search?.mode),
    ['match', 'outcome'],
  );
  assert.equal((await send('GET', '/Patient?nonsense=1', undefined, { prefer: 'handling=strict' })).status, 400);
  const self = new URL(
    linkOf(await get('family=m%C3%BCller&identifier=urn:mrn%7C12345&_sort=-birthdate'), 'self') ?? '',
  );
  assert.deepEqual(
    [...self.searchParams],
    [
      ['family', 'müller'],
      ['identifier', 'urn:mrn|12345'],
      ['_sort', '-birthdate'],
    ],
  );
});

test('fhir-r4@search-sort with missing values, through pages', async () => {
  for (const sort of [
    'birthdate',
    '-birthdate',
    'gender',
    '-gender',
    'identifier',
    'organization,-_id',
    'name',
    '-_lastUpdated',
    'link',
  ]) {
    const whole = labels((await send('GET', `/Patient?_sort=${sort}`)).json);
    const walked: string[] = [];
    for (let url: string | undefined = `/Patient?_sort=${sort}&_count=1`; url !== undefined; ) {
      const { json }: { json: Parameters<typeof labels>[0] } = await send('GET', url);
      walked.push(...labels(json));
      url = linkOf(json, 'next');
    }
    assert.deepEqual(walked, whole, sort);
  }
});
