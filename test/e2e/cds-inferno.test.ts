// The server tests of the Inferno CRD test kit 0.13, recreated by their letters over real HTTP with registered clients. What concerns payers only
// (coverage, questionnaires, profiles of CRD) and smart links does not apply; see docs/requirements/cds-hooks-2.0.csv, rows inferno-*.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answerProblems, discoveryProblems } from './cds-reader.ts';
import {
  type Answered,
  CALLS,
  CLARITHROMYCIN,
  type Ehr,
  ehr,
  goodCall,
  HOOK_INSTANCE,
  type Json,
  newKey,
  type Registered,
  registeredServer,
  registration,
} from './registered.ts';

const [es, rs] = await Promise.all([newKey('ES384', 'es'), newKey('RS384', 'rs')]);
let there: Registered;
let one: Ehr;
let other: Ehr;
let crd: Ehr;
before(async () => {
  there = await registeredServer([
    registration('ehr', [es], { ownPatients: true }),
    registration('other', [rs], { ownPatients: true }),
    registration('crd', [es], { ownPatients: true, profile: 'crd' }),
  ]);
  one = ehr(there.server.url, 'https://ehr.example/fhir', es);
  crd = ehr(there.server.url, 'https://crd.example/fhir', es);
  other = ehr(there.server.url, 'https://other.example/fhir', rs);
});
after(() => there.end());

interface Card {
  readonly links?: readonly { readonly type: string }[];
  readonly suggestions?: readonly Suggested[];
}
interface Suggested {
  readonly actions: readonly {
    readonly type: string;
    readonly resourceId?: string;
    readonly resource?: { readonly resourceType: string; readonly id?: string };
  }[];
}
const cardsOf = ({ json }: Answered): readonly Card[] => (json?.cards ?? []) as readonly Card[];
const shown = new Map<string, readonly Card[]>();
const IDS = Object.keys(CALLS);
const AUTHORIZATION = {
  access_token: 't',
  token_type: 'Bearer',
  expires_in: 300,
  scope: 'patient/*.rs',
  subject: 'cds',
};

test('§1.2.1 Inferno (b) discovery answers 200 JSON: without JWT, with ES384, with RS384', async () => {
  const answers = await Promise.all([one.ask('', undefined, { authorization: null }), one.ask(''), other.ask('')]);
  for (const { status, headers } of answers) {
    assert.equal(status, 200);
    assert.match(headers.get('content-type') ?? '', /^application\/json/);
  }
});

test('§1.2.2 §1.2.3 Inferno (c) every service has hook, description and id, and each listed id can be called', async () => {
  const { json } = await one.ask('');
  assert.deepEqual(discoveryProblems(json), []);
  const services = (json?.services ?? []) as readonly { readonly id: string; readonly hook: string }[];
  assert.deepEqual(services.map(({ id }) => id).toSorted(), IDS.toSorted(), 'every service has a call here');
  for (const id of IDS)
    assert.ok(
      services.some((each) => each.id === id && each.hook === CALLS[id]?.hook),
      id,
    );
  for (const { id } of services) assert.equal((await one.ask(`/${id}`, {})).status, 400, `${id} is there`);
});

for (const id of IDS) {
  test(`§1.6.1 §1.11.5 Inferno (d) a call of ${id} with its JWT is 200 JSON, under ES384 and RS384`, async () => {
    for (const client of [one, other]) {
      const answer = await client.ask(`/${id}`, goodCall(id));
      assert.deepEqual(
        [answer.status, answer.headers.get('content-type')],
        [200, 'application/json; charset=utf-8'],
        answer.text,
      );
      shown.set(id, cardsOf(answer));
    }
  });

  test(`Inferno (e) ${id} needs hook, hookInstance and context; nothing else`, async () => {
    for (const name of ['hook', 'hookInstance', 'context']) {
      const { [name]: _gone, ...rest } = goodCall(id);
      const { status, json } = await one.ask(`/${id}`, rest);
      assert.deepEqual([status, json?.resourceType], [400, 'OperationOutcome'], name);
    }
  });

  const context = CALLS[id]?.context as Json;
  const contexts: readonly (readonly [why: string, status: number, change: Json, only?: string])[] = [
    ['bare ids', 200, {}],
    ['patientId as a number', 400, { patientId: 7 }],
    ['patientId of another type', 400, { patientId: 'Practitioner/1' }],
    ['userId without type', 400, { userId: 'demo-physician' }],
    ['encounterId as an object', 400, { encounterId: { reference: 'Encounter/1' } }],
    ['draftOrders that are no Bundle', 400, { draftOrders: { resourceType: 'MedicationRequest' } }, 'draftOrders'],
    ['draftOrders as a list', 400, { draftOrders: [] }, 'draftOrders'],
    ['selections as a text', 400, { selections: 'MedicationRequest/draft-1' }, 'selections'],
    ['a selection outside draftOrders, ignored', 200, { selections: ['MedicationRequest/elsewhere'] }, 'selections'],
  ];
  for (const [why, status, change] of contexts.filter(
    ([, , , only]) => only === undefined || Object.hasOwn(context, only),
  )) {
    test(`Inferno (f) context of ${id}, ${why}: ${status}`, async () => {
      const answer = await one.ask(`/${id}`, goodCall(id, { context: { ...context, ...change } }));
      assert.equal(answer.status, status, answer.text);
    });
  }

  const optionals: readonly [why: string, status: number, change: Json][] = [
    ['fhirServer as a number', 400, { fhirServer: 7 }],
    ['fhirAuthorization without fhirServer', 400, { fhirAuthorization: AUTHORIZATION }],
    ['fhirAuthorization as a text', 400, { fhirAuthorization: 'token' }],
    ['prefetch as a list', 400, { prefetch: [1] }],
    ['all of them, typed', 200, { fhirAuthorization: AUTHORIZATION, fhirServer: 'OWN', prefetch: {} }],
    ['an extension', 200, { extension: { 'com.example': { a: null } } }],
  ];
  for (const [why, status, change] of optionals) {
    test(`Inferno (g) optional fields of ${id}, ${why}: ${status}`, async () => {
      const own = change.fhirServer === 'OWN' ? { fhirServer: `${there.server.url}/fhir` } : {};
      assert.equal((await one.ask(`/${id}`, goodCall(id, { ...change, ...own }))).status, status);
    });
  }

  test(`§8.7 Inferno (h)(i) the answer of ${id} breaks no rule, and it has cards`, async () => {
    const answer = await one.ask(`/${id}`, goodCall(id));
    assert.deepEqual(answerProblems(answer.json), []);
    assert.ok(cardsOf(answer).length > 0, 'without cards nothing was looked at');
  });
}

const all = (): readonly Card[] => [...shown.values()].flat();
test('Inferno (j)(s) External Reference: a card whose links are all absolute', () => {
  assert.ok(all().some(({ links = [] }) => links.length > 0 && links.every(({ type }) => type === 'absolute')));
});
test('§1.6.11 Inferno (h)(l)(t) a CRD client gets a list of system actions, and Instructions: a card without links and suggestions', async () => {
  const answer = await crd.ask('/drug-interactions-sign', goodCall('drug-interactions-sign'));
  assert.deepEqual(answer.json?.systemActions, []);
  assert.ok(cardsOf(answer).some(({ links, suggestions }) => links === undefined && suggestions === undefined));
});
test('Inferno (o)(p) Propose Alternate and Additional Orders: what is changed or removed is in the draft, what is created is an order', async () => {
  const coding = [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '5640', display: 'ibuprofen' }];
  const resource = { ...CLARITHROMYCIN, medicationCodeableConcept: { coding, text: 'Ibuprofen' } };
  const draftOrders = { resourceType: 'Bundle', entry: [{ resource }] };
  const context = { userId: 'Practitioner/demo-physician', patientId: 'demo-polypharmacy', draftOrders };
  const answer = await one.ask('/drug-interactions-sign', goodCall('drug-interactions-sign', { context }));
  assert.deepEqual(answerProblems(answer.json), []);
  const offered = cardsOf(answer).flatMap(({ suggestions = [] }) => suggestions.map(({ actions }) => actions));
  const kinds = offered.map((actions) =>
    actions
      .map(({ type, resource: made }) => `${type} ${made?.resourceType ?? 'order'}`)
      .toSorted()
      .join(),
  );
  assert.ok(kinds.includes('create MedicationRequest,delete order'), `an alternate: ${kinds}`);
  assert.ok(kinds.includes('create ServiceRequest'), `an additional order: ${kinds}`);
  const removed = offered.flat().flatMap(({ resourceId = [] }) => resourceId);
  assert.deepEqual([...new Set(removed)], ['MedicationRequest/draft-1']);
});
test('Inferno (d) one hook instance may call several services, and the cards of each have their own uuids', async () => {
  const answers = await Promise.all(IDS.map((id) => one.ask(`/${id}`, goodCall(id, { hookInstance: HOOK_INSTANCE }))));
  const uuids = answers.flatMap(({ json }) => ((json?.cards ?? []) as { uuid: string }[]).map(({ uuid }) => uuid));
  assert.equal(new Set(uuids).size, uuids.length);
});

test('§1.7.4 §8.16 cds-hooks-2.0@metrics calls, cards and feedback are counted by names of the deployment, and nothing of a request is among them', async () => {
  const item = { card: HOOK_INSTANCE, outcome: 'overridden', outcomeTimestamp: '2026-01-15T12:00:00Z' };
  assert.equal((await one.ask('/triage/feedback', { feedback: [item] })).status, 200);
  const response = await fetch(`${there.server.url}/metrics`);
  assert.deepEqual(
    [response.status, response.headers.get('content-type')],
    [200, 'text/plain; version=0.0.4; charset=utf-8'],
  );
  const text = await response.text();
  assert.match(text, /^firewatch_cds_calls_total\{service="triage",status="200"\} \d+$/m);
  assert.match(
    text,
    /^firewatch_cds_cards_total\{indicator="\w+",model="drug-safety\|[^"]+",service="drug-interactions-sign"\} \d+$/m,
  );
  assert.match(text, /^firewatch_cds_feedback_total\{model="unknown",outcome="overridden",service="triage"\} 1$/m);
  assert.doesNotMatch(text, /demo-|Practitioner|Patient|draft|clarithromycin|[0-9a-f]{8}-/i);
  for (const line of text.trim().split('\n'))
    assert.match(line, /^# (?:HELP|TYPE) \w+ |^\w+\{(?:\w+="[^"\n]*",?)*\} \d+$|^\w+ \d+(?:\.\d+)?$/);
});
