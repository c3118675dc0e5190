// The leak test. Two stores: one as generated, one without whatever the reference judge (leak-reference.ts) denies to the caller altogether. Every
// interaction must be answered by both alike: status, headers, body, totals, outcomes and audit. And no mark of a denied resource, or of a version
// that may not be read, is ever in an answer. LEAK_CASES: requests that are tried (default 400); 50 of them share a pair of stores.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { renderAuditEvent } from '../../src/audit.ts';
import { FOLDERS } from '../../src/folders.ts';
import type { Caller, RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { siteProvision } from '../../src/smart/consent-rule.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import type { Situation } from '../../src/smart/scopes.ts';
import { openTestStore } from '../test-store.ts';
import { json, linkOf, type Sent, world } from '../world.ts';
import { launch, type Step, type Story, scopes, sites, situations, step, stories } from './leak-cases.ts';
import { isDenied, type Limits, permitted, personOf, type Whole } from './leak-reference.ts';
import { callerWith } from './tokens.ts';

const CASES = Number(process.env.LEAK_CASES ?? 400);
const SHARED = 50;
/** LEAK_SHRINK: a failure is made small, which takes its time. */
const SHRINKS = process.env.LEAK_SHRINK !== undefined;
const AT = Date.UTC(2026, 0, 2, 3, 4, 5);
const PAGES = 4;
const policy = loadPolicy(FOLDERS);
const policyOf = (site: object) => ({
  ...policy,
  consentDefault: siteProvision(JSON.parse(JSON.stringify(site)), (reference) => reference),
});

const folder = mkdtempSync(join(tmpdir(), 'leak-'));
after(() => rmSync(folder, { recursive: true }));
let stores = 0;

interface Side {
  readonly context: RestContext;
  readonly audits: unknown[];
  ask(caller: Caller, method: string, url: string, sent?: Sent): Promise<FhirResponse>;
  close(): Promise<void>;
}

async function side(site: object | undefined): Promise<Side> {
  const { context: outline, wire, reported } = world({ start: AT, settings: { referentialIntegrity: false } });
  const options = {
    folder: join(folder, String(++stores)),
    renderAudit: renderAuditEvent,
    indexHash: 'test',
    types: [...outline.capability.types.keys()],
    budgetMs: 5000,
    clock: { fixed: AT },
  };
  const store = await openTestStore(options);
  const audits: unknown[] = [];
  const context: RestContext = {
    ...outline,
    store,
    policy: site === undefined ? policy : policyOf(site),
    audit: ({ caller: _caller, ...access }) => {
      audits.push(access);
      return { form: 1, bytes: '', erasable: undefined, events: [], subjects: [] };
    },
  };
  const close = async (): Promise<void> => {
    await store.close();
    assert.deepEqual(reported, []);
  };
  const ask: Side['ask'] = (caller, method, url, sent) => answer(wire(method, url, sent), caller, context);
  return { context, audits, ask, close };
}

/** With a mark that names the version: `canary-b`, `canary-b-2`. */
const marked = (resource: Whole, version: number): Whole => ({
  ...resource,
  meta: {
    ...Object(resource.meta),
    tag: [`canary-${resource.id}`, `canary-${resource.id}-${version}`].map((code) => ({ system: 'urn:mark', code })),
  },
});
const versionsOf = ({ first, second }: Story): readonly Whole[] =>
  (second === undefined ? [first] : [first, second]).map((each, index) => marked(each, index + 1));
const isConsent = ({ first }: Story): boolean => first.resourceType === 'Consent';
const isLinking = ({ first, second }: Story): boolean => first.link !== undefined || second?.link !== undefined;
const current = (story: Story): Whole => versionsOf(story).at(-1) ?? story.first;

/** Three commits whatever there is, so that versions and instants are the same in both stores. */
async function filled({ ask }: Side, told: readonly Story[]): Promise<void> {
  const local = localCaller(localFacts('fill', '127.0.0.1'));
  const put = (resource: Whole) => ({
    resource,
    request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
  });
  const always = (name: string) => put({ resourceType: 'Basic', id: 'always', code: { text: name } });
  const commits = [
    [always('1'), ...told.flatMap((story) => versionsOf(story).slice(0, 1).map(put))],
    [always('2'), ...told.flatMap((story) => versionsOf(story).slice(1).map(put))],
    [
      always('3'),
      ...told
        .filter(({ isDeleted }) => isDeleted)
        .map(({ first }) => ({ request: { method: 'DELETE', url: `${first.resourceType}/${first.id}` } })),
    ],
  ];
  for (const entry of commits) {
    const { status, body } = await ask(local, 'POST', '/', {
      body: { resourceType: 'Bundle', type: 'transaction', entry },
    });
    assert.equal(status, 200, body);
  }
}

/** Cursors are sealed with a random number, and entries of a batch draw their ids at once: both differ by themselves. */
const shown = ({ status, headers, body = '' }: FhirResponse): string =>
  JSON.stringify([status, headers, body.replace(/_cursor=[A-Za-z0-9_-]+/g, '_cursor')], undefined, 1).replace(
    /\bid-\d+/g,
    'id-n',
  );

const sentOf = ({ headers, body }: Step): Sent => ({
  ...(headers === undefined ? {} : { headers }),
  ...(body === undefined ? {} : { body: headers?.['content-type']?.includes('patch') ? JSON.stringify(body) : body }),
});

/** The marks that no answer may hold; what the caller has sent itself is theirs. */
function forbiddenMarks(
  told: readonly Story[],
  granted: readonly string[],
  persons: readonly string[],
  limits: Limits,
): readonly string[] {
  return told.flatMap((story) => {
    const now = current(story);
    const id = now.id;
    if (isDenied(now, granted, persons, limits))
      return [`canary-${id}"`, ...versionsOf(story).map((_, index) => `canary-${id}-${index + 1}`)];
    const readable = (each: Whole) =>
      (['r', 's'] as const).some((letter) => permitted(letter, each, granted, persons, limits));
    return versionsOf(story).flatMap((each, index) => (readable(each) ? [] : [`canary-${id}-${index + 1}`]));
  });
}

/** A Binary names what is there, or what never will be: what callers make under a name that is free would be another matter. */
function named(told: readonly Story[]): readonly Story[] {
  const there = new Set(
    told.filter(({ isDeleted }) => !isDeleted).map((each) => `${each.first.resourceType}/${each.first.id}`),
  );
  const kept = <T extends Whole | undefined>(whole: T): T | Whole => {
    const reference = String(Reflect.get(Object(whole?.securityContext), 'reference'));
    if (whole?.resourceType !== 'Binary' || !NAMES.test(reference) || there.has(reference)) return whole;
    return { ...whole, securityContext: { reference: 'Patient/gone' } };
  };
  return told.map((each) => ({ ...each, first: kept(each.first) ?? each.first, second: kept(each.second) }));
}
const NAMES = /^[A-Z][a-zA-Z]+\/[a-z0-9]+$/;

async function compared(
  stories: readonly Story[],
  granted: readonly string[],
  patient: string | undefined,
  situation: Situation,
  site: object | undefined,
  steps: readonly Step[],
) {
  const told = named(stories);
  const consents = told.filter((story) => isConsent(story) && !story.isDeleted).map(current);
  const held = told.filter(({ isDeleted }) => !isDeleted).map(current);
  const limits = { situation, consents, site, held };
  const persons = patient === undefined ? [] : personOf(patient, held);
  const [whole, without] = await Promise.all([side(site), side(site)]);
  try {
    await filled(whole, told);
    await filled(
      without,
      // A Consent is a rule besides: what it denies is denied, also where it may not be read itself.
      // So are the links that say whose it is.
      told.filter(
        (story) =>
          isConsent(story) ||
          (consents.length > 0 && isLinking(story)) ||
          !isDenied(current(story), granted, persons, limits),
      ),
    );
    const marks = forbiddenMarks(told, granted, persons, limits);
    for (const each of steps) {
      const next = new Map<Side, string | undefined>();
      for (let page = 0; page < PAGES; page++) {
        const method = page === 0 ? each.method : 'GET';
        const [left, right] = await Promise.all(
          [whole, without].map(async (where) => {
            where.audits.length = 0;
            const caller = callerWith(where.context, granted.join(' '), persons, situation);
            const found = await where.ask(caller, method, next.get(where) ?? each.url, page === 0 ? sentOf(each) : {});
            next.set(where, each.method === 'GET' ? linkOf(json(found), 'next') : undefined);
            return found;
          }),
        );
        if (left === undefined || right === undefined) throw new TypeError('Both sides answer.');
        assert.ok(left.status < 500, left.body);
        const text = shown(left);
        assert.equal(text, shown(right), 'the answers differ');
        const audits = (where: Side) =>
          where.audits
            .map((row) =>
              JSON.stringify(row)
                .replace(/_cursor=[A-Za-z0-9_-]+/g, '_cursor')
                .replace(/\bid-\d+/g, 'id-n'),
            )
            .toSorted(); // entries of a batch are answered at once
        assert.deepEqual(audits(whole), audits(without), 'the audits differ');
        const sent = `${each.url} ${JSON.stringify(each.headers ?? {})} ${JSON.stringify(each.body ?? '')}`;
        const leaked = marks.filter(
          (mark) => text.replaceAll('\\"', '"').includes(mark) && !sent.includes(mark.replace('"', '')),
        );
        assert.deepEqual(leaked, [], text);
        if (next.get(whole) === undefined) break;
      }
    }
  } finally {
    await whole.close();
    await without.close();
  }
}

/** Properties at once: most of the time is spent waiting for commits. */
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

test('§4.3.4 §8.14 smart@no-leak: what is denied leaves no trace in any answer', { timeout: 3_600_000 }, async () => {
  const steps = fc.array(step, { minLength: SHRINKS ? 1 : SHARED, maxLength: SHARED, size: 'max' });
  const numRuns = Math.max(1, Math.ceil(CASES / SHARED / SEEDS.length));
  const judged = (seed: number) =>
    fc.assert(fc.asyncProperty(stories, scopes, launch, situations, sites, steps, compared), {
      numRuns,
      seed,
      endOnFailure: !SHRINKS,
    });
  await Promise.all(SEEDS.map(judged));
});
