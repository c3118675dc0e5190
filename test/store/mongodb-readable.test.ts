// What who reads the database finds of what came through the door: the table of docs/mongodb.md, both of its sides.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BSON } from 'mongodb';
import { connectMongo, mongoFields } from '../../src/store/mongodb/connect.ts';
import { openMongo } from '../../src/store/mongodb.ts';
import { FORGOTTEN } from '../../src/store/port.ts';
import { engineWorld } from '../rest/engine-world.ts';
import { json } from '../world.ts';
import { ok } from './contract.ts';
import { testServer } from './mongodb-server.ts';

const server = await testServer();
const LIMIT = { timeout: 240_000, skip: 'skip' in server ? server.skip : false };

/** Made up, so that nothing else can hold them; folded and as written. */
const SECRETS = {
  family: 'Zwolfhagen',
  given: 'Quirinus',
  'identifier value': '90210447',
  'identifier system': 'urn:oid:2.999.4711.1',
  telephone: '5550198877',
  mail: 'quirinus.z@mail.example',
  street: 'Kranichgasse',
  city: 'Oberwalden',
  'word of a narrative': 'pneumothorax',
  'word of a text': 'brotherinlaw',
  note: 'smells of almonds',
  code: 'zz-77120',
  'code of a component': 'part-5501',
  'code system': 'http://codes.example/private',
  display: 'Morbus Exemplaris',
  'string value': 'greenish tint',
  'reference elsewhere': 'http://elsewhere.example/Patient/hidden-77',
  'logical reference': 'mrn-elsewhere-31',
  canonical: 'http://questions.example/Questionnaire/secret-form',
  'agent of a posted event': 'Torvald Nachtwache',
  value: 'kept-behind-a-key',
  'answer that is kept': 'kept-for-a-repeat',
} as const;

const patient = {
  resourceType: 'Patient',
  id: 'p-one',
  text: {
    status: 'generated',
    div: `<div xmlns="http://www.w3.org/1999/xhtml">A ${SECRETS['word of a narrative']} seen</div>`,
  },
  identifier: [{ system: SECRETS['identifier system'], value: SECRETS['identifier value'] }],
  name: [{ family: SECRETS.family, given: [SECRETS.given] }],
  telecom: [
    { system: 'phone', value: SECRETS.telephone },
    { system: 'email', value: SECRETS.mail },
  ],
  address: [{ line: [`${SECRETS.street} 4 im Hinterhaus links`], city: SECRETS.city }],
  birthDate: '1987-06-05',
  contact: [{ name: { text: `the ${SECRETS['word of a text']}` } }],
};
const observation = {
  resourceType: 'Observation',
  id: 'o-one',
  status: 'final',
  identifier: [{ system: SECRETS['identifier system'], value: SECRETS['identifier value'] }],
  code: { coding: [{ system: SECRETS['code system'], code: SECRETS.code, display: SECRETS.display }] },
  subject: { reference: 'Patient/p-one' },
  focus: [{ reference: SECRETS['reference elsewhere'] }],
  hasMember: [{ identifier: { value: SECRETS['logical reference'] } }],
  effectiveDateTime: '2024-11-07T08:09:10Z',
  valueString: SECRETS['string value'],
  component: [
    {
      code: { coding: [{ system: SECRETS['code system'], code: SECRETS['code of a component'] }] },
      valueQuantity: { value: 731.5, system: 'http://unitsofmeasure.org', code: 'mg', unit: 'mg' },
    },
  ],
  note: [{ text: SECRETS.note }],
};
const form = {
  resourceType: 'QuestionnaireResponse',
  id: 'q-one',
  status: 'completed',
  questionnaire: SECRETS.canonical,
};
const posted = {
  resourceType: 'AuditEvent',
  type: { system: 'http://dicom.nema.org/resources/ontology/DCM', code: '110110' },
  recorded: '2024-01-02T03:04:05Z',
  agent: [
    { requestor: true, name: SECRETS['agent of a posted event'], who: { display: SECRETS['agent of a posted event'] } },
  ],
  source: { observer: { display: 'elsewhere' } },
};

async function filled(context: TestContext, key: string | undefined) {
  if ('skip' in server) throw new TypeError('There is no server.');
  const url = server.url();
  const world = await engineWorld([patient, observation, form], undefined, async ({ folder: _folder, ...options }) =>
    openMongo({ ...options, url, fields: await mongoFields(url, key), headKey: new Uint8Array(32) }),
  );
  context.after(() => world.close());
  const { client, db } = connectMongo(url);
  context.after(() => client.close());
  const taken = await world.send('POST', '/AuditEvent', { body: posted });
  assert.equal(taken.status, 201, taken.body);
  await world.send('PUT', '/Patient/p-one', { body: { ...patient, active: true } });
  ok(
    await world.store.commit({
      commands: [
        { op: 'set', space: 'room', key: 'one', value: SECRETS.value },
        { op: 'keep', key: 'one', value: SECRETS['answer that is kept'] },
      ],
      audit: [],
    }),
  );
  /** Every byte of every document, by collection. */
  const held = async (): Promise<ReadonlyMap<string, string>> => {
    const all = new Map<string, string>();
    for (const { name } of await db.listCollections({}, { nameOnly: true }).toArray()) {
      const documents = await db.collection(name).find().toArray();
      all.set(
        name,
        documents
          .map((each) => Buffer.from(BSON.serialize(each)).toString('latin1'))
          .join('\n')
          .toLowerCase(),
      );
    }
    return all;
  };
  return { ...world, held, db };
}

const whereIn = (held: ReadonlyMap<string, string>, text: string): readonly string[] =>
  [...held].filter(([, bytes]) => bytes.includes(text.toLowerCase())).map(([name]) => name);

const SEARCHES: readonly [url: string, total: number][] = [
  ['/Patient?family=zwolf', 1],
  [`/Patient?name:exact=${SECRETS.given}`, 1],
  ['/Patient?name:contains=lfhag', 1],
  ['/Patient?name:contains=absent', 0],
  ['/Patient?address=kranichgasse%204', 1],
  // Of 24 characters, 25, and 25 that differ in the last.
  ['/Patient?address=kranichgasse%204%20im%20hinter', 1],
  ['/Patient?address=kranichgasse%204%20im%20hinterh', 1],
  ['/Patient?address=kranichgasse%204%20im%20hinterx', 0],
  ['/Patient?address=kranichgasse%204%20im%20hinterhaus%20rechts', 0],
  [`/Patient?identifier=${SECRETS['identifier system']}|${SECRETS['identifier value']}`, 1],
  [`/Patient?identifier=${SECRETS['identifier value']}`, 1],
  [`/Patient?identifier=${SECRETS['identifier system']}|`, 1],
  ['/Patient?_text=pneumothorax', 1],
  ['/Patient?_text=%22a%20pneumothorax%20seen%22', 1],
  ['/Patient?_text=%22pneumothorax%20a%22', 0],
  ['/Patient?birthdate=1987', 1],
  [`/Observation?code=${SECRETS['code system']}|${SECRETS.code}&patient.family=Zwolfhagen`, 1],
  ['/Patient?_has:Observation:patient:code=zz-77120', 1],
  [`/Observation?focus=${encodeURIComponent(SECRETS['reference elsewhere'])}`, 1],
  ['/Observation?component-value-quantity=gt700', 1],
  ['/Observation?component-code-value-quantity=part-5501$gt700', 1],
  [`/QuestionnaireResponse?questionnaire=${SECRETS.canonical}`, 1],
  ['/AuditEvent?agent-name:contains=nacht', 1],
  ['/AuditEvent?agent-name=Torvald', 1],
];

test(
  'fields@readable: no document holds a text, a name, an identifier or a code; every search finds them',
  LIMIT,
  async (context) => {
    const sealed = await filled(context, 'a passphrase');
    for (const [url, total] of SEARCHES) {
      const answer = await sealed.send('GET', `${url}&_total=accurate`);
      assert.equal(answer.status, 200, `${url} ${answer.body}`);
      assert.equal(json(answer).total, total, url);
    }
    const held = await sealed.held();
    assert.ok((held.get('version') ?? '').length > 1000, 'control: there are documents');
    const found = Object.entries(SECRETS).map(([what, text]) => [what, whereIn(held, text)] as const);
    assert.deepEqual(
      found.filter(([, where]) => where.length > 0),
      [],
    );
    for (const id of ['p-one', 'o-one']) assert.ok(whereIn(held, id).length > 0, 'control: ids are readable');
    const document = await sealed.db
      .collection<{ _id: string; q: unknown[]; d: unknown[] }>('resource')
      .findOne({ _id: 'Observation/o-one' });
    const told = JSON.stringify([document?.d, document?.q]);
    assert.match(told, /731\.5/, 'numbers are readable, as the table says');
    assert.match(told, new RegExp(`${Date.UTC(2024, 10, 7, 8, 9, 10)}`), 'dates are readable');
    assert.match(told, /unitsofmeasure\.org\|mg/, 'units are readable');
  },
);

test(
  'fields@readable: without a key each of them is there, so that the search for them is one',
  LIMIT,
  async (context) => {
    const held = await (await filled(context, undefined)).held();
    const missing = Object.entries(SECRETS).filter(([, text]) => whereIn(held, text).length === 0);
    assert.deepEqual(missing, []);
  },
);

test('fields@erased: what is purged and forgotten is in no document any more', LIMIT, async (context) => {
  const { store, held } = await filled(context, 'a passphrase');
  const { version = 0 } = (await store.read({ type: 'Patient', id: 'p-one' })) ?? {};
  const through = await store.latestSequence();
  const key = { type: 'Patient', id: 'p-one' };
  ok(
    await store.commit({
      commands: [
        { op: 'purge', key, version },
        { op: 'purge', key: { type: 'Observation', id: 'o-one' }, version: 1 },
        { op: 'forget', patients: ['p-one'], through, value: 'why' },
      ],
      audit: [],
    }),
  );
  const after = await held();
  assert.deepEqual(whereIn(after, 'Patient/p-one'), []);
  assert.deepEqual(whereIn(after, 'p-one'), ['keyed'], 'who is forgotten is remembered by id');
  assert.equal((await store.keyed(FORGOTTEN, 'p-one'))?.value, 'why');
  assert.equal(await store.read(key), undefined);
  assert.equal((await store.verifyAudit()).broken, undefined);
});

test('fields@fault: what does not open is 500 without a word of it, and told to the log', LIMIT, async (context) => {
  if ('skip' in server) return;
  const { send, db, context: room } = await filled(context, 'a passphrase');
  const told: unknown[] = [];
  const { report } = room;
  Object.assign(room, { report: (error: unknown) => told.push(error) });
  context.after(() => Object.assign(room, { report }));
  const version = db.collection<{ _id: number }>('version');
  const [first, second] = await version.find().sort({ _id: 1 }).toArray();
  await version.updateOne({ _id: second?._id ?? 0 }, { $set: { x: (first as { x?: unknown } | undefined)?.x } });
  const answer = await send('GET', '/Observation/o-one');
  assert.equal(answer.status, 500);
  assert.doesNotMatch(answer.body ?? '', /zwolf|quirinus/i);
  assert.match(String(told[0]), /does not open.*\(version 2\)/);
  const entries = db.collection<{ _id: string; e?: unknown }>('resource');
  const [other] = await entries.find({ _id: 'QuestionnaireResponse/q-one' }).toArray();
  await entries.updateOne({ _id: 'Patient/p-one' }, { $set: { e: other?.e } });
  assert.equal((await send('GET', '/Patient?name:contains=lfhag')).status, 500);
  assert.match(String(told[1]), /does not open.*\(resource Patient\/p-one\)/);
  assert.equal((await send('GET', '/QuestionnaireResponse/q-one')).status, 200, 'the others go on');
});
