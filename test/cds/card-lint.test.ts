// CDS Hooks 2.0.1 "CDS Service Response" as rules on a card; both sides of every boundary. The control card breaks none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Card, CardKind, Link } from '../../src/cds/cards/card.ts';
import { lintCard } from '../../src/cds/cards/lint.ts';

const UUID = 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea';
const DISCLAIMER = 'Supports, and does not replace, clinical judgement; not for patients.';
const ROW = '| Pulse | 114 /min | 2 | 2026-01-15 11:00 UTC |';
const SCORE_DETAIL = [
  '**What was computed:** x',
  '**Inputs used** (largest effect first)',
  `| Input | Value | Points | Measured |\n|---|---|---|---|\n${ROW}\n| Age | 60 years | – | – |`,
  '**Missing inputs** (not replaced by assumed values):',
  '- no usable Observation within 24 h: Body temperature',
  '**Model:** news2 version 1.0.0; qsofa version 1.0.0.',
  '**Intended population:** adults. Nothing recorded places this patient outside it.',
  '**Limits:** x',
  '**Source:** x',
  DISCLAIMER,
].join('\n\n');
const changed = (from: string, to: string) => ({ detail: SCORE_DETAIL.replace(from, to) });
const DELETE = { type: 'delete', description: 'Removes it', resourceId: 'MedicationRequest/1' } as const;
const suggestion = { label: 'Remove', uuid: UUID, actions: [DELETE] };
const BASIS: Link = {
  label: 'Basis of this card',
  url: `https://example.org/cds-basis/${'A'.repeat(43)}`,
  type: 'absolute',
};
const MODEL_PAGE: Link = { label: 'Model card', url: 'https://example.org/models/news2/1.0.0', type: 'absolute' };
const CARD: Card = {
  uuid: UUID,
  summary: 'Major interaction',
  detail: `Severity: major\n\nSource: x\n\n${DISCLAIMER}`,
  indicator: 'critical',
  source: {
    label: 'Firewatch',
    url: 'https://example.org/',
    topic: { system: 'urn:x', code: 'drug-safety', display: 'Drugs' },
  },
  suggestions: [suggestion],
  selectionBehavior: 'any',
  overrideReasons: [{ system: 'urn:x', code: 'a', display: 'A' }],
  links: [BASIS, { label: 'Label', url: 'https://example.org/x', type: 'absolute' }],
};
const SCORE: Card = {
  uuid: UUID,
  summary: 'NEWS2 7',
  detail: SCORE_DETAIL,
  indicator: 'warning',
  source: CARD.source,
  links: [BASIS, MODEL_PAGE],
};
const { topic } = CARD.source;
const withAction = (action: object) => ({ suggestions: [{ ...suggestion, actions: [action] }] });
const DRAFT = { resourceType: 'ServiceRequest', status: 'draft' };
const drafting = (resource: object, more: object = {}) => ({
  suggestions: [{ ...suggestion, ...more, actions: [{ type: 'create', description: 'x', resource }] }],
  selectionBehavior: 'any',
});
const withLink = (link: object) => ({
  links: [BASIS, { label: 'x', url: 'https://example.org/', type: 'absolute', ...link }],
});

const rows: readonly [fine: boolean, change: object, why: string, kind?: CardKind][] = [
  [true, {}, 'control'],
  [true, { summary: 'x'.repeat(139) }, '§1.6.2 summary of 139'],
  [false, { summary: 'x'.repeat(140) }, '§1.6.2 §8.1 summary of 140'],
  [false, { summary: '𝒙'.repeat(70) }, '§1.6.2 summary of 70 code points but 140 units'],
  [true, { summary: `${'𝒙'.repeat(69)}x` }, 'summary of 139 units in pairs'],
  [false, { summary: '' }, '§1.1.2 summary empty'],
  [false, { summary: 'a <b>' }, 'summary with a tag'],
  [false, { summary: 'a\u202eb' }, 'summary with a bidirectional override'],
  [false, { summary: 'a\nb' }, 'summary of two lines'],
  [false, { detail: `${CARD.detail}<img src=x>` }, '§1.6.3 §1.10.7 detail with HTML'],
  [true, { detail: `${CARD.detail}&lt;img&gt;` }, 'detail with escaped HTML'],
  [false, { detail: `${CARD.detail}![x](y)` }, '§1.6.3 detail with an image'],
  [false, { detail: `${CARD.detail}[x](y)` }, '§1.6.3 detail with a link'],
  [true, { detail: `${CARD.detail}\\[x\\](y)` }, 'detail with an escaped link'],
  [false, { detail: `${CARD.detail} https://evil.example` }, 'detail with an address'],
  [false, { detail: `${CARD.detail} www.evil.example` }, 'detail with www'],
  [false, { detail: `${CARD.detail} a@b.example` }, 'detail with a mail address'],
  [false, { detail: CARD.detail.replace('does not replace, ', '') }, '§6.2.3 detail without disclaimer'],
  [false, { detail: CARD.detail.replace('not for patients', '') }, '§6.2.3 detail without audience'],
  [false, { detail: CARD.detail.replace('Severity', '') }, 'finding without severity'],
  [false, { detail: CARD.detail.replace('Source', '') }, 'finding without source'],
  [false, { detail: undefined }, 'no detail'],
  [false, { uuid: undefined }, '§1.6.3 no uuid'],
  [false, { uuid: 'x' }, 'uuid that is none'],
  [false, { indicator: 'hard-stop' }, '§1.6.4 indicator of CDS Hooks 1.0'],
  [false, { suggestions: [suggestion, suggestion] }, 'two suggestions of one uuid'],
  [false, { suggestions: [{ ...suggestion, actions: [DELETE, DELETE] }] }, '§1.6.7 two actions on one order'],
  [false, { suggestions: [{ label: 'x', uuid: UUID }] }, 'suggestion without actions'],
  [true, withAction({ type: 'create', description: 'x', resource: DRAFT }), 'create of a draft'],
  [false, withAction({ type: 'create', description: 'x', resource: { ...DRAFT, id: '1' } }), 'create with an id'],
  [
    false,
    withAction({ type: 'create', description: 'x', resource: { ...DRAFT, status: 'active' } }),
    'create of an active order',
  ],
  [true, { ...SCORE, ...drafting(DRAFT) }, 'score that offers a draft test', 'score'],
  [
    false,
    { ...SCORE, ...drafting({ ...DRAFT, resourceType: 'MedicationRequest' }) },
    'score that offers a drug',
    'score',
  ],
  [false, { ...SCORE, ...withAction(DELETE), selectionBehavior: 'any' }, 'score that removes an order', 'score'],
  [false, { ...SCORE, ...drafting(DRAFT, { isRecommended: true }) }, 'score that recommends an order', 'score'],
  [false, withLink({ url: 'https://example.org/Patient/1' }), '§1.6.14 §8.16 link with a patient in its path'],
  [false, withLink({ url: 'https://example.org/?patient=1' }), '§1.6.14 link with a patient in its query'],
  [true, { suggestions: [{ ...suggestion, label: 'x'.repeat(80) }] }, 'label of 80'],
  [false, { suggestions: [{ ...suggestion, label: 'x'.repeat(81) }] }, 'label of 81'],
  [false, { source: { topic } }, '§1.6.5 §6.3.6 no source label'],
  [false, { source: { label: 'x' } }, '§1.6.5 §8.7 no topic'],
  [false, { source: { label: 'x', topic: { ...topic, display: '' } } }, '§1.6.5 topic without display'],
  [true, { source: { label: 'x', topic: { ...topic, code: 'a'.repeat(100) } } }, 'topic code of 100'],
  [false, { source: { label: 'x', topic: { ...topic, code: 'a'.repeat(101) } } }, '§1.6.5 topic code of 101'],
  [false, { source: { label: 'x', topic: { ...topic, code: 'a b' } } }, 'topic code with a space'],
  [false, { source: { ...CARD.source, url: '/relative' } }, '§1.6.5 relative source url'],
  [false, { selectionBehavior: undefined }, '§1.6.6 §1.10.10 suggestions without selectionBehavior'],
  [false, { selectionBehavior: 'all' }, '§1.6.6 selectionBehavior of no code'],
  [false, { suggestions: undefined }, 'selectionBehavior without suggestions'],
  [false, { suggestions: [] }, '§1.1.2 empty suggestions'],
  [false, { suggestions: [{ ...suggestion, label: '' }] }, '§1.6.7 suggestion without label'],
  [false, { suggestions: [{ ...suggestion, uuid: undefined }] }, '§1.6.7 §8.7 suggestion without uuid'],
  [false, { suggestions: [{ ...suggestion, actions: [] }] }, '§1.6.7 empty actions'],
  [
    true,
    { suggestions: [1, 2].map((n) => ({ ...suggestion, uuid: UUID.replace('d', `${n}`), isRecommended: true })) },
    '§1.6.6 two recommended under any',
  ],
  [
    false,
    {
      selectionBehavior: 'at-most-one',
      suggestions: [1, 2].map((n) => ({ ...suggestion, uuid: UUID.replace('d', `${n}`), isRecommended: true })),
    },
    '§1.6.6 §1.10.10 two recommended under at-most-one',
  ],
  [false, withAction({ ...DELETE, description: undefined }), '§1.6.8 §1.10.10 action without description'],
  [false, withAction({ ...DELETE, type: 'remove' }), '§1.6.8 action of no type'],
  [false, withAction({ ...DELETE, resourceId: 'MedicationRequest/2' }), '§1.6.8 delete of an order that was not sent'],
  [false, withAction({ ...DELETE, resourceId: '1' }), 'delete by bare id'],
  [false, withAction({ ...DELETE, resourceId: undefined }), '§1.10.10 delete of nothing'],
  [
    false,
    withAction({ ...DELETE, resource: { resourceType: 'MedicationRequest', id: '1' } }),
    '§1.6.8 §8.8 §1.10.10 delete with resource',
  ],
  [
    true,
    withAction({ type: 'update', description: 'x', resource: { resourceType: 'MedicationRequest', id: '1' } }),
    'update of a draft',
  ],
  [
    false,
    withAction({ type: 'update', description: 'x', resource: { resourceType: 'MedicationRequest', id: '2' } }),
    '§1.6.8 update of another',
  ],
  [false, withAction({ type: 'create', description: 'x' }), '§1.6.8 create of nothing'],
  [false, { overrideReasons: [{ system: 'urn:x', code: 'a' }] }, '§1.6.9 §1.10.10 override reason without display'],
  [false, { overrideReasons: [] }, '§1.6.9 empty overrideReasons'],
  [false, { links: [] }, '§1.1.2 §8.1 empty links'],
  [false, { links: null }, '§1.1.2 null links'],
  [false, withLink({ label: '' }), '§1.6.10 link without label'],
  [false, withLink({ url: 'javascript:alert(1)' }), 'link that is script'],
  [false, withLink({ url: '/x' }), '§1.6.10 relative link'],
  [false, withLink({ type: 'other' }), '§1.6.10 link of no type'],
  [false, withLink({ appContext: 'x' }), '§1.6.10 §1.10.10 appContext on an absolute link'],
  [true, withLink({ type: 'smart', appContext: 'x' }), '§1.6.10 appContext on a smart link'],
  [false, { extra: 1 }, 'unknown field'],
  [true, {}, 'control', 'score'],
  [false, { indicator: 'critical' }, '§1.6.4 critical from a score', 'score'],
  [false, { links: undefined }, '§6.2.4 no links'],
  [
    false,
    { links: [{ ...BASIS, url: 'https://example.org/cds-basis/Patient/12' }] },
    '§1.6.14 a basis address that is not opaque',
  ],
  [false, { links: [BASIS, { ...BASIS, url: `${BASIS.url.slice(0, -1)}B` }] }, 'two links to a basis'],
  [false, { links: [BASIS] }, '§6.3.2 score without link to the page of its model', 'score'],
  [false, { links: [MODEL_PAGE] }, 'score without link to its basis', 'score'],
  [false, { summary: 'NEWS2 7. Start antibiotics' }, '§6.3.4 score that gives an order', 'score'],
  [false, { detail: `${SCORE_DETAIL}\n- Give fluids` }, '§6.3.4 score detail that gives an order', 'score'],
  ...['What was computed', 'Inputs used', 'Missing inputs', 'Model', 'Intended population', 'Limits', 'Source'].map(
    (part): [boolean, object, string, CardKind] => [
      false,
      { detail: SCORE_DETAIL.replace(part, '') },
      `§6.2.5 §6.3.1 score without ${part}`,
      'score',
    ],
  ),
  [true, changed(ROW, ROW.replace('| 2 |', '| – |')), 'score with an input without points', 'score'],
  [true, changed('UTC |', 'UTC (with 40 % oxygen) |'), 'score with a note beside the instant', 'score'],
  [false, changed('2026-01-15 11:00 UTC', ''), '§6.3.1 score with an input without instant', 'score'],
  [false, changed('2026-01-15 11:00 UTC', 'today'), '§6.3.1 score with an input of today', 'score'],
  [false, changed('114 /min', '–'), '§6.3.1 score with an input without value', 'score'],
  [false, changed('114 /min', ''), 'score with an empty cell', 'score'],
  [false, changed('| Value |', '| |'), 'score without the column of values', 'score'],
  [false, changed(`${ROW}\n| Age | 60 years | – | – |`, ''), 'score with a table of no rows', 'score'],
  [false, changed('Pulse', 'Pulse | heart'), 'score with a cell too many', 'score'],
  [true, changed('Pulse', 'Pulse \\| heart'), 'score with an escaped bar', 'score'],
  [
    false,
    changed('- no usable Observation within 24 h: Body temperature', 'some'),
    '§6.3.1 score whose missing inputs have no reason',
    'score',
  ],
  [
    true,
    changed(
      '**Missing inputs** (not replaced by assumed values):\n\n- no usable Observation within 24 h: Body temperature',
      '**Missing inputs:** none.',
    ),
    'score that misses nothing',
    'score',
  ],
  [false, changed('qsofa version 1.0.0', 'qsofa'), '§6.3.1 score with a model without version', 'score'],
  [true, changed('qsofa version 1.0.0', 'ESI v4 rules'), 'score with rules beside the model', 'score'],
  [
    false,
    changed('Nothing recorded places this patient outside it.', ''),
    '§6.3.1 score that does not say whether the patient is inside',
    'score',
  ],
  [
    true,
    changed('Nothing recorded places this patient outside it.', 'This patient is outside it for qSOFA.'),
    'score that says where the patient is outside',
    'score',
  ],
  [false, { summary: 'Sepsis 95 %: look at the patient' }, '§6.3.4 score that says what to do', 'score'],
  [false, { indicator: 'critical', detail: DISCLAIMER }, 'critical notice', 'notice'],
];
for (const [fine, change, why, kind = 'finding'] of rows) {
  test(`${why} (cds-hooks-2.0@card ${kind} ${fine ? 'passes' : 'fails'})`, () => {
    const card = { ...(kind === 'score' ? SCORE : CARD), ...change };
    const problems = lintCard(card, { kind, drafts: new Set(['MedicationRequest/1']) });
    assert.equal(problems.length === 0, fine, problems.join('; '));
  });
}
