// Client profiles: what each kind of client is sent, from the same cards. docs/cds-hooks.md#clients.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Action, BuiltCard, Suggestion } from '../../src/cds/cards/card.ts';
import { type HookBody, shaped, suggestionsLost } from '../../src/cds/cards/client-profile.ts';
import type { ClientProfile } from '../../src/cds/clients/client.ts';
import { HOOKS } from '../../src/cds/hook/hooks.ts';
import { FINDING, orderSign, PEER, patientView, world } from './world.ts';

const removal: Action = { type: 'delete', description: 'Removes it.', resourceId: 'MedicationRequest/new' };
const creation: Action = { type: 'create', description: 'Adds it.', resource: { resourceType: 'MedicationRequest' } };
const suggestion = (uuid: string, ...actions: readonly Action[]): Suggestion => ({ label: uuid, uuid, actions });
const CARD: BuiltCard['card'] = {
  uuid: 'c',
  summary: 's',
  detail: 'd',
  indicator: 'warning',
  source: { label: 'l', topic: { system: 'urn:x', code: 'drug-safety', display: 'Drugs' } },
  suggestions: [suggestion('one', removal), suggestion('two', removal, creation)],
  selectionBehavior: 'at-most-one',
  links: [{ label: 'Basis', url: 'https://x.example', type: 'absolute' }],
};
const built: BuiltCard = { kind: 'finding', key: 'k', about: ['MedicationRequest/new'], card: CARD };
const { suggestions: _none, selectionBehavior: _any, ...TOLD } = CARD;
const notice: BuiltCard = { kind: 'notice', key: 'n', card: TOLD };
const annotation: Action = {
  type: 'update',
  description: 'Notes.',
  resource: { resourceType: 'ServiceRequest', id: '1' },
};
const body = (
  profile: ClientProfile,
  systemActions: readonly Action[] = [],
  cards = [built, notice],
  hook = 'order-sign',
) => shaped({ profile, hooks3: false }, { cards, systemActions }, HOOKS.get(hook));

test('§1.6.11 §2.4 cds-hooks-2.0@profile generic loses nothing and adds nothing', () => {
  assert.deepEqual(body('generic'), { cards: [CARD, TOLD] });
  assert.deepEqual(body('generic', [removal]), { cards: [CARD, TOLD], systemActions: [removal] });
});

test('§2.1 cds-hooks-2.0@profile sandbox is as generic, and finds system actions where it looks for them', () => {
  assert.deepEqual(body('sandbox'), body('generic'));
  assert.deepEqual(body('sandbox', [removal]), {
    ...body('generic', [removal]),
    extension: { systemActions: [removal] },
  });
});

const TEST = (text: string): Action => ({
  type: 'create',
  description: `Drafts ${text}, now.`,
  resource: { resourceType: 'ServiceRequest', status: 'draft', code: { text } },
});
test('§2.2 cds-hooks-2.0@profile epic: one action a suggestion, any, a plain topic code', () => {
  const [first, second] = body('epic').cards;
  assert.deepEqual(first?.suggestions?.[0], suggestion('one', removal));
  assert.equal(first?.selectionBehavior, 'any');
  assert.equal(first?.source.topic.code, 'drugsafety');
  assert.deepEqual(first?.links, CARD.links);
  assert.equal(second?.selectionBehavior, undefined);
});

const several: readonly [why: string, actions: readonly Action[], sent: readonly (readonly [string, string?])[]][] = [
  ['a replaced order is changed in place', [creation, removal], [['update', 'MedicationRequest/new']]],
  ['in either order', [removal, creation], [['update', 'MedicationRequest/new']]],
  [
    'tests that were added together are offered one by one',
    [TEST('INR'), TEST('potassium'), TEST('creatinine')],
    [['create'], ['create'], ['create']],
  ],
  ['two drugs that belong together are left out', [creation, creation], []],
  ['two removals are left out', [removal, { ...removal, resourceId: 'MedicationRequest/2' }], []],
  ['a test with a removal is left out', [TEST('INR'), removal], []],
  ['two replacements are left out', [creation, removal, creation, removal], []],
  ['a removal of another type is left out', [creation, { ...removal, resourceId: 'ServiceRequest/2' }], []],
];
for (const [why, actions_, sent] of several) {
  test(`§2.2 cds-hooks-2.0@profile epic: of several actions, ${why}`, () => {
    const card = {
      ...built,
      card: { ...CARD, suggestions: [suggestion('a4b1c9e0-1111-4222-8333-444455556666', ...actions_)] },
    };
    const told = body('epic', [], [card]);
    const { suggestions = [], selectionBehavior } = told.cards[0] ?? {};
    assert.deepEqual(
      suggestions.map(({ actions: [one], actions }) => [
        actions.length,
        one?.type,
        ...(one?.type === 'update' ? [`${one.resource?.resourceType}/${one.resource?.id}`] : []),
      ]),
      sent.map((each) => [1, ...each]),
    );
    assert.equal(new Set(suggestions.map(({ uuid }) => uuid)).size, sent.length);
    assert.equal(selectionBehavior, sent.length === 0 ? undefined : 'any');
    assert.equal(suggestionsLost({ cards: [card], systemActions: [] }, told), sent.length === 0 ? 1 : 0);
    assert.deepEqual(
      body('generic', [], [card]).cards[0]?.suggestions,
      card.card.suggestions,
      'generic keeps it whole',
    );
  });
}

const actions: readonly [why: string, action: Action, kept: boolean][] = [
  ['a note on a ServiceRequest', annotation, true],
  ['a creation', creation, false],
  ['a removal', removal, false],
  ['an update of another type', { ...annotation, resource: { resourceType: 'Task', id: '1' } }, false],
];
for (const [why, action, kept] of actions) {
  test(`§2.2 cds-hooks-2.0@profile epic system actions, ${why}: ${kept ? 'kept' : 'left out'}`, () =>
    assert.deepEqual(body('epic', [action]).systemActions, kept ? [action] : undefined));
}

const lists: readonly [hook: string, there: boolean][] = [
  ['order-sign', true],
  ['order-dispatch', true],
  ['appointment-book', true],
  ['order-select', false],
  ['patient-view', false],
  ['encounter-start', false],
];
for (const [hook, there] of lists) {
  test(`§1.6.11 cds-hooks-2.0@profile crd ${hook}: ${there ? 'a list of system actions, though empty' : 'no list'}`, () =>
    assert.deepEqual(body('crd', [], [], hook), there ? { cards: [], systemActions: [] } : { cards: [] }));
}

test('§1.11.2 cds-hooks-2.0@profile crd names the orders of a card; a notice is an instruction without links', () => {
  const [first, second] = body('crd').cards;
  assert.deepEqual(first?.extension, { 'davinci-crd.associated-resource': ['MedicationRequest/new'] });
  assert.deepEqual([first?.links, second?.links, second?.extension], [CARD.links, undefined, undefined]);
});

test('§2.4 cds-hooks-2.0@profile each client is answered in its own shape, also when there is nothing to say', async () => {
  const one = world({ findings: [FINDING] });
  const admitted = await one.cds.admit({ path: '/x', service: undefined }, PEER);
  const ask = async (profile: ClientProfile, id: string, call: object): Promise<HookBody> => {
    const sender = { ...admitted, client: { ...admitted.client, profile } };
    return JSON.parse((await one.cds.invoke(id, JSON.stringify(call), sender)).body);
  };
  assert.equal((await ask('crd', 'drug-interactions-sign', orderSign())).systemActions?.length, 0);
  const nobody = orderSign({ context: { ...(orderSign().context as object), userId: 'Patient/1288992' } });
  assert.deepEqual(await ask('crd', 'drug-interactions-sign', nobody), { cards: [], systemActions: [] });
  assert.deepEqual(await ask('crd', 'deterioration-sepsis', patientView()), { cards: [] });
  assert.deepEqual(await ask('generic', 'drug-interactions-sign', nobody), { cards: [] });
  assert.equal((await ask('epic', 'drug-interactions-sign', orderSign())).cards[0]?.source.topic.code, 'drugsafety');
});

test('§1.2.6 cds-hooks-2.0@ballot versions are told when the setting is on, and only then', () => {
  const listed = (hooks3: boolean): readonly Record<string, unknown>[] =>
    JSON.parse(world({ hooks3 }).cds.discover().body).services;
  const sign = (services: readonly Record<string, unknown>[]) => services.find(({ hook }) => hook === 'order-sign');
  assert.deepEqual([sign(listed(true))?.version, sign(listed(true))?.hookVersion], ['3.0.0-ballot', '1.1']);
  assert.deepEqual([sign(listed(false))?.version, sign(listed(false))?.hookVersion], [undefined, undefined]);
  for (const service of listed(true)) assert.match(String(service.hookVersion), /^\d+\.\d+$/);
});
