// CDS Hooks 2.0.1 "Calling a CDS Service": one deadline for a call. What is ready is answered, what is not is said; advice is never a 5xx. Only
// when the AuditEvent cannot be written is there no answer (503). docs/cds-hooks.md#a-call.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../src/risk/drugs/finding.ts';
import {
  assessment,
  bundle,
  FINDING,
  orderSign,
  PATIENT,
  PEER,
  patientView,
  type WorldOptions,
  world,
} from './world.ts';

const never = () => new Promise<never>(() => undefined);
const fails = () => Promise.reject(new Error('broken'));
const HIGH = { outputs: { total: 8 }, band: 'high' };
const MAJOR: Finding = { ...FINDING, severity: 'major' };
const OUTSIDE = 'https://ehr.example/fhir';
const AUTHORIZATION = { access_token: 't', token_type: 'Bearer', expires_in: 300, scope: 'x', subject: 's' };
const NOTHING_SENT = { prefetch: undefined };
const AWAY = { ...NOTHING_SENT, fhirServer: OUTSIDE, fhirAuthorization: AUTHORIZATION };
const SIGN = 'drug-interactions-sign';
const SCORES = 'deterioration-sepsis';

interface Row {
  readonly why: string;
  readonly slow: WorldOptions;
  readonly service: string;
  readonly body: object;
  /** Summaries of the cards, in order. */
  readonly cards: readonly RegExp[];
  /** Status as audited: 500 when an engine failed behind the 200. */
  readonly audited: 200 | 500;
  readonly said?: RegExp;
}
const next = { ...bundle(), link: [{ relation: 'next', url: `${OUTSIDE}/MedicationRequest?page=2` }] };
const rows: readonly Row[] = [
  {
    why: 'control: nothing is slow',
    slow: { assess: async (id) => assessment(id, HIGH) },
    service: SCORES,
    body: patientView(),
    cards: [/./],
    audited: 200,
  },
  {
    why: 'our store never answers a read',
    slow: { door: never, findings: [MAJOR] },
    service: SIGN,
    body: orderSign(NOTHING_SENT),
    cards: [/Major/, /not received/],
    audited: 200,
    said: /Not received:\*\* .*medications/,
  },
  {
    why: 'our store fails each read',
    slow: { door: fails, findings: [MAJOR] },
    service: SIGN,
    body: orderSign(NOTHING_SENT),
    cards: [/Major/, /not received/],
    audited: 200,
    said: /Not received:\*\* .*medications/,
  },
  {
    why: "§1.5.2 the caller's server never answers",
    slow: { readOutside: never, findings: [MAJOR] },
    service: SIGN,
    body: orderSign(AWAY),
    cards: [/Major/, /not received/],
    audited: 200,
    said: /Not received:\*\* .*medications/,
  },
  {
    why: "the caller's server answers one page, and never the next",
    slow: {
      readOutside: async ({ path }) =>
        path.includes('page=2')
          ? never()
          : {
              status: 200,
              body: path.startsWith('MedicationRequest') ? next : path.startsWith('Patient') ? PATIENT : bundle(),
            },
      findings: [MAJOR],
    },
    service: SIGN,
    body: orderSign(AWAY),
    cards: [/Major/, /not received/],
    audited: 200,
    said: /Incomplete data:\*\* /,
  },
  {
    why: 'one model never answers (its queue is full)',
    slow: { assess: async (id) => (id === 'news2' ? assessment(id, HIGH) : never()) },
    service: SCORES,
    body: patientView(),
    cards: [/./],
    audited: 500,
  },
  {
    why: 'one model fails (its worker crashed)',
    slow: { assess: async (id) => (id === 'news2' ? assessment(id, HIGH) : fails()) },
    service: SCORES,
    body: patientView(),
    cards: [/./],
    audited: 500,
  },
  {
    why: 'the breaker is open: the rule-based stand-in answers, and is named',
    slow: { assess: async (id) => assessment(id, { ...HIGH, answeredBy: 'fallback' }) },
    service: SCORES,
    body: patientView(),
    cards: [/./],
    audited: 200,
    said: /[Ff]allback|stand-in|rules/,
  },
  {
    why: '§1.6.12 no model answers',
    slow: { assess: never },
    service: SCORES,
    body: patientView(),
    cards: [],
    audited: 500,
  },
  {
    why: '§1.6.12 the drug check fails',
    slow: {
      check: () => {
        throw new Error('broken');
      },
    },
    service: SIGN,
    body: orderSign(),
    cards: [/not available/],
    audited: 500,
  },
  {
    why: 'the ranking never answers: findings are told as checked',
    slow: { rank: never, findings: [MAJOR] },
    service: SIGN,
    body: orderSign(),
    cards: [/Major/],
    audited: 200,
  },
  {
    why: 'the memory of overrides never answers: findings are told',
    slow: { keyed: never, findings: [MAJOR] },
    service: SIGN,
    body: orderSign(),
    cards: [/Major/],
    audited: 200,
  },
  {
    why: 'the memory of overrides fails: findings are told',
    slow: { keyed: fails, findings: [MAJOR] },
    service: SIGN,
    body: orderSign(),
    cards: [/Major/],
    audited: 200,
  },
];
for (const { why, slow, service, body, cards, audited, said } of rows) {
  test(`§1.3.6 §1.11.3 cds-hooks-2.0@call-deadline 200: ${why}`, { timeout: 20_000 }, async () => {
    const one = world({ deadlineMs: 100, ...slow });
    const admitted = await one.cds.admit({ path: '/x', service: undefined }, PEER);
    const sender = { ...admitted, client: { ...admitted.client, fhirServers: [OUTSIDE] } };
    const answer = await one.cds.invoke(service, JSON.stringify(body), sender);
    const { cards: shown } = JSON.parse(answer.body) as { cards: readonly { summary: string }[] };
    assert.deepEqual(
      [answer.status, shown.length, one.audits.at(-1)?.status],
      [200, cards.length, audited],
      answer.body,
    );
    for (const [index, summary] of cards.entries()) assert.match(shown[index]?.summary ?? '', summary);
    if (said !== undefined) assert.match(answer.body, said);
  });
}

const unwritable: readonly [why: string, commit: () => Promise<never>][] = [
  ['never answers', never],
  ['fails', fails],
];
for (const [why, commit] of unwritable) {
  test(`cds-hooks-2.0@call-deadline 503: the write of the AuditEvent ${why}; no advice goes out unrecorded`, {
    timeout: 20_000,
  }, async () => {
    const one = world({ deadlineMs: 100, commit, findings: [MAJOR] });
    const { status, text } = await one.call(SIGN, orderSign());
    assert.equal(status, 503);
    assert.doesNotMatch(text, /simvastatin/);
    assert.deepEqual(one.events, [['audit-failed', 1]]);
  });
}
