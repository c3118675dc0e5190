// docs/authorization.md, decision 0037, over real HTTP: what a label or a Consent restricts is checked for a hook call and told without being named,
// neither on cards nor in what is kept of them; models do not see it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type Ehr,
  ehr,
  goodCall,
  type Json,
  newKey,
  type Registered,
  registeredServer,
  registration,
} from './registered.ts';

const key = await newKey('ES384', 'es');
let there: Registered;
let one: Ehr;
before(async () => {
  there = await registeredServer([registration('ehr', [key], { ownPatients: true })]);
  one = ehr(there.server.url, 'https://ehr.example/fhir', key);
});
after(() => there.end());

const fhir = async (method: string, path: string, body?: Json): Promise<Json> => {
  const response = await fetch(`${there.server.url}/fhir/${path}`, {
    method,
    headers: { 'content-type': 'application/fhir+json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text === '' ? {} : JSON.parse(text);
};
const found = async (query: string): Promise<readonly Json[]> => {
  const { entry = [] } = (await fhir('GET', query)) as { readonly entry?: readonly { readonly resource: Json }[] };
  return entry.map(({ resource }) => resource);
};
interface Shown extends Json {
  readonly uuid: string;
  readonly summary: string;
}
const cardsOf = async (service: string) => {
  const { status, json, text } = await one.ask(`/${service}`, goodCall(service));
  assert.equal(status, 200, text);
  return { cards: json?.cards as readonly Shown[], text };
};

const SIGN = 'drug-interactions-sign';
const RESTRICTED = /^Restricted medication, contact the pharmacy: a contraindicated hazard/;
const OTHER_DRUG = /simvastatin/i;
const isRestricted = ({ summary }: Shown): boolean => RESTRICTED.test(summary);

const CODE = (code: string) => ({ coding: [{ system: 'urn:codes', code }] });
const consent = (patient: string, ...types: readonly string[]): Json => ({
  resourceType: 'Consent',
  id: `deny-${patient}`,
  status: 'active',
  scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
  category: [CODE('x')],
  patient: { reference: `Patient/${patient}` },
  policyRule: CODE('OPTIN'),
  provision: { type: 'deny', class: types.map((code) => ({ system: 'http://hl7.org/fhir/resource-types', code })) },
});

/** Each way to restrict what the patient takes, and its end. */
const ways: readonly [why: string, restrict: (taken: readonly Json[]) => Promise<void>, lift: () => Promise<void>][] = [
  [
    'a label',
    async (taken) => {
      const security = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code: 'R' }];
      for (const each of taken) await fhir('PUT', `${each.resourceType}/${each.id}`, { ...each, meta: { security } });
    },
    async () => undefined,
  ],
  [
    'a Consent that denies',
    async () => {
      const both = consent('demo-polypharmacy', 'MedicationRequest', 'MedicationStatement');
      await fhir('PUT', 'Consent/deny-demo-polypharmacy', both);
    },
    async () => {
      await fhir('DELETE', 'Consent/deny-demo-polypharmacy');
    },
  ],
];

for (const [why, restrict, lift] of ways) {
  test(`labels@cds-own-reads ${why}: the hazard is told and its drug is named nowhere, and named again when it is lifted`, async () => {
    const open = await cardsOf(SIGN);
    assert.match(open.text, OTHER_DRUG, 'control');
    assert.ok(!open.cards.some(isRestricted));
    const taken = [
      ...(await found('MedicationRequest?patient=demo-polypharmacy&_count=50')),
      ...(await found('MedicationStatement?patient=demo-polypharmacy&_count=50')),
    ].filter((each) => OTHER_DRUG.test(JSON.stringify(each)));
    assert.ok(taken.length > 0);

    await restrict(taken);
    const restricted = await cardsOf(SIGN);
    const card = restricted.cards.find(isRestricted);
    assert.ok(card !== undefined, restricted.text);
    assert.equal(card.indicator, 'warning');
    assert.doesNotMatch(restricted.text, OTHER_DRUG);
    const explained = await one.ask(`/explain/${card.uuid}`);
    assert.equal(explained.status, 200);
    assert.doesNotMatch(explained.text, OTHER_DRUG, 'what is kept of the card does not name it either');

    await lift();
    for (const { meta: _meta, ...each } of taken) await fhir('PUT', `${each.resourceType}/${each.id}`, each);
    assert.match((await cardsOf(SIGN)).text, OTHER_DRUG);
  });
}

test('labels@cds-own-reads a Consent that denies observations leaves no score; one that is not active changes nothing', async () => {
  const scores = 'deterioration-sepsis';
  const open = (await cardsOf(scores)).cards.length;
  assert.ok(open > 0, 'control');
  await fhir('PUT', 'Consent/deny-demo-sepsis', { ...consent('demo-sepsis', 'Observation'), status: 'inactive' });
  assert.equal((await cardsOf(scores)).cards.length, open);
  await fhir('PUT', 'Consent/deny-demo-sepsis', consent('demo-sepsis', 'Observation'));
  assert.deepEqual((await cardsOf(scores)).cards, []);
  await fhir('DELETE', 'Consent/deny-demo-sepsis');
  assert.equal((await cardsOf(scores)).cards.length, open);
});

test('labels@cds-own-reads checking what is restricted is no emergency access: it raises no alert', async () => {
  assert.deepEqual(await found('AuditEvent?subtype=110127'), []);
  assert.deepEqual(await found('Task?code=break-glass-review'), []);
});
