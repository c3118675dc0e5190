// Two hundred current drugs and fifty orders: the answer says what it could not check, whatever the limit of cards. docs/decisions/0035-hazards-and-quiet.md
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { AT, bundle, DRUG_PREFETCH, INSTANCE, ORDER, orderSign, ROOT, world } from './world.ts';

const drugSafety = loadDrugSafety(join(ROOT, 'knowledge'));
const NAMES = ['clarithromycin', 'amiodarone', 'haloperidol', 'ondansetron', 'warfarin', 'ibuprofen', 'simvastatin'];
const order = (index: number, id: string) => ({
  ...ORDER,
  id: `${id}${index}`,
  medicationCodeableConcept: { text: NAMES[index % NAMES.length] },
});
const call = (orders: number, taken: number) =>
  orderSign(
    {
      prefetch: {
        ...DRUG_PREFETCH,
        medications: bundle(
          ...Array.from({ length: taken }, (_, index) => ({ ...order(index, 'a'), status: 'active' })),
        ),
      },
    },
    Array.from({ length: orders }, (_, index) => ({ resource: order(index, 'd') })),
  );
const LATE = /^Not checked: (\d+) orders, too many to check in time$/;

test('hostile@whole: within the deadline every order is checked, and the limit of cards holds', async () => {
  const { status, cards } = await world({ drugSafety }).call('drug-interactions-sign', call(50, 200));
  assert.equal(status, 200);
  assert.equal(cards.length, 10);
  assert.ok(cards.every(({ summary }) => !LATE.test(summary)));
  const notices = cards.filter(({ summary }) => /have no card|are not shown/.test(summary));
  assert.equal(notices.length, 2, 'what is not written and what is not shown are counted');
  assert.ok(cards.every((card) => notices.includes(card) || card.indicator === 'critical'));
});

test('hostile@deadline: what is left is named in one notice among the cards, beside what was found', async () => {
  let now = AT;
  const one = world({ drugSafety, now: () => (now += 20) });
  const { status, cards } = await one.call('drug-interactions-sign', call(50, 200));
  assert.equal(status, 200);
  const notices = cards.filter(({ summary }) => LATE.test(summary));
  assert.equal(notices.length, 1);
  assert.ok(cards.length <= 10 && cards.some(({ indicator }) => indicator === 'critical'));
  assert.match(notices[0]?.detail ?? '', /And \d+ more\.[\s\S]*does not mean that there is no hazard/);
});

test('hostile@number: orders above the ceiling are counted in the notice', async () => {
  const { cards } = await world({ drugSafety }).call('drug-interactions-sign', call(103, 1));
  assert.deepEqual(
    cards.flatMap(({ summary }) => LATE.exec(summary)?.[1] ?? []),
    ['3'],
  );
});

test('hostile@current: drugs beyond the ceiling are said', async () => {
  const { cards } = await world({ drugSafety }).call('drug-interactions-sign', call(1, 503));
  assert.ok(cards.some(({ detail }) => detail.includes('With 3 further current drugs nothing was compared')));
});

test('hostile@beside: while 100 orders are held against 400 drugs, another call is answered', async () => {
  let now = AT;
  const one = world({ drugSafety, now: () => (now += 0.2) });
  const ended: string[] = [];
  const named = async (name: string, body: ReturnType<typeof call>) => {
    const { cards } = await one.call('drug-interactions-sign', body);
    ended.push(name);
    return cards;
  };
  const [many, few] = await Promise.all([named('many', call(100, 400)), named('few', call(1, 2))]);
  assert.deepEqual(ended, ['few', 'many']);
  assert.deepEqual([many.length, few.length > 0], [10, true]);
  assert.ok(
    many.every(({ summary }) => !LATE.test(summary)),
    'nothing was left out for it',
  );
});

const inWords = (index: number, drug: string) => ({
  resource: {
    ...ORDER,
    id: `w${index}`,
    medicationCodeableConcept: { text: drug },
    dosageInstruction: [{ text: 'as told' }],
  },
});
const noticed = async (...drugs: readonly string[]) => {
  const body = orderSign(
    {},
    drugs.map((drug, index) => inWords(index, drug)),
  );
  const { cards } = await world({ drugSafety }).call('drug-interactions-sign', body);
  return cards.filter(({ summary }) => summary.startsWith('Dose not checked'));
};

test('undosed@one notice: free-text dosages of a call are one info card with a line each, naming no text of the dosage', async () => {
  const [one] = await noticed('acetaminophen');
  assert.deepEqual(
    [one?.indicator, one?.summary, one?.suggestions],
    ['info', 'Dose not checked: acetaminophen', undefined],
  );
  const several = await noticed('acetaminophen', 'metformin', 'folic acid', 'ibuprofen');
  assert.deepEqual(
    several.map(({ summary }) => summary),
    ['Dose not checked: 3 orders'],
  );
  assert.equal(several[0]?.detail.match(/^- /gm)?.length, 3);
  assert.ok(several[0]?.detail.includes('as told') === false);
  assert.deepEqual(await noticed('folic acid'), [], 'no ceiling, nothing to say');
});

/** A clock that is over its deadline after so many looks. */
const clockOf = (looks: number) => {
  let look = 0;
  return () => AT + (++look > looks ? 1_900 : 0);
};

test('hostile@allergies: allergies that time leaves unread leave no order unnamed: each is said not to be checked', async () => {
  const allergies = bundle(
    ...Array.from({ length: 600 }, (_, index) => ({
      resourceType: 'AllergyIntolerance',
      id: `y${index}`,
      patient: { reference: 'Patient/1288992' },
      code: { text: 'penicillin' },
    })),
  );
  const body = orderSign({ prefetch: { ...DRUG_PREFETCH, allergies } }, [{ resource: order(0, 'd') }]);
  const { cards } = await world({ drugSafety, now: clockOf(60) }).call('drug-interactions-sign', body);
  assert.ok(
    cards.some(({ summary }) => /^Not checked: 1 order,/.test(summary)),
    JSON.stringify(cards.map(({ summary }) => summary)),
  );
  const whole = await world({ drugSafety }).call('drug-interactions-sign', body);
  assert.ok(
    whole.cards.every(({ summary }) => !/^Not checked/.test(summary)),
    'control: in time it is checked',
  );
});

test('hostile@recorded: a new allergy is held against current drugs within the deadline; what is left is named', async () => {
  const body = {
    hookInstance: INSTANCE,
    hook: 'allergyintolerance-create',
    context: {
      userId: 'Practitioner/example',
      patientId: '1288992',
      allergyIntolerance: {
        resourceType: 'AllergyIntolerance',
        patient: { reference: 'Patient/1288992' },
        code: { text: 'clarithromycin' },
      },
    },
    prefetch: {
      medications: bundle(...Array.from({ length: 60 }, (_, index) => ({ ...order(index, 'a'), status: 'active' }))),
      statements: null,
    },
  };
  const { cards } = await world({ drugSafety, now: clockOf(40) }).call('allergy-create', body);
  const [late] = cards.flatMap(({ summary }) => LATE.exec(summary)?.[1] ?? []);
  assert.ok(Number(late) > 0 && Number(late) < 60, `${late} of 60`);
  const whole = await world({ drugSafety }).call('allergy-create', body);
  assert.ok(
    whole.cards.every(({ summary }) => !LATE.test(summary)),
    'control: in time all are checked',
  );
});
