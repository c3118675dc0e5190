// Mutants of valid calls of every service, of feedback and of explanations: 2xx or 4xx, never 5xx, never a hang; each call leaves its AuditEvent.
// GENERATED_CASES: mutants (default 400, at most 5,000); the seed is fixed, a failure names the number of its mutant.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { SERVICE_SYSTEM } from '../../src/audit/codes.ts';
import { answerProblems } from './cds-reader.ts';
import { mutant, pick, randomFrom } from './mutation.ts';
import { CALLS, goodCall, type Json } from './registered.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const CASES = Math.min(Number(process.env.GENERATED_CASES ?? 400), 5000);
const SEED = 20_260_115;
/** A call that takes longer hangs. ms */
const HANG_MS = 20_000;
/** CPU time of the main thread, so that other programs do not count; 17 ms were measured with 5,000 mutants. */
const LONGEST_WORK_MS = 250;
const TYPE = { 'content-type': 'application/json' };

interface Listed {
  readonly id: string;
  readonly hook: string;
  readonly prefetch: Readonly<Record<string, string>>;
}

let server: Running;
let services: readonly Listed[];
const valid = new Map<string, Json>();
before(async () => {
  const environment = {
    SEED: 'demo',
    NODE_OPTIONS: `--import ${pathToFileURL('bench/loop-delay.ts')}`,
    // Other programs on the machine must not make models late: what is late is reported like what fails.
    CDS_DEADLINE_MS: '10000',
  };
  server = await start(environment, newFolder());
  const { services: listed } = (await (await fetch(`${server.url}/cds-services`)).json()) as {
    services: readonly Listed[];
  };
  services = listed;
  for (const service of services) valid.set(service.id, await withPrefetch(service));
});
after(async () => {
  assert.equal(await server.stop(), 0, 'the server lived through all of it');
  removeFolder(server.folder);
});

/** A good call that brings everything the service asks for, as an EHR would: real resources of a synthetic patient. */
async function withPrefetch({ id, hook, prefetch }: Listed): Promise<Json> {
  const known = CALLS[id] === undefined ? goodCall('deterioration-sepsis', { hook }) : goodCall(id);
  const { patientId } = known.context as { patientId: string };
  const filled = await Promise.all(
    Object.entries(prefetch).map(async ([key, template]) => {
      const path = template.replaceAll('{{context.patientId}}', patientId).replace(/_count=\d+/, '_count=12');
      return [key, await (await fetch(`${server.url}/fhir/${path}`)).json()] as const;
    }),
  );
  return { ...known, prefetch: Object.fromEntries(filled) };
}

const isClosed = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && (cause.code === 'UND_ERR_SOCKET' || cause.code === 'ECONNRESET');

async function post(path: string, body: string): Promise<{ status: number; text: string }> {
  const once = () =>
    fetch(`${server.url}/cds-services/${path}`, {
      method: 'POST',
      headers: TYPE,
      body,
      signal: AbortSignal.timeout(HANG_MS),
    });
  const response = await once().catch((error: unknown) => {
    // A connection that was idle too long is closed by the server just as it is used again; a mutant that breaks one breaks the next as well.
    if (error instanceof TypeError && isClosed(error.cause)) return once();
    throw error;
  });
  return { status: response.status, text: await response.text() };
}

/** ms of CPU time that the main thread used for its longest piece of work since this was last asked. */
async function ownWork(): Promise<number> {
  const before_ = server.output().length;
  process.kill(server.pid, 'SIGUSR2');
  for (;;) {
    const found = /loop-delay (\{.*\})\n/.exec(server.output().slice(before_))?.[1];
    if (found !== undefined) return (JSON.parse(found) as { work: number }).work;
    await fetch(`${server.url}/health/live`);
  }
}

async function callEvents(): Promise<number> {
  const counts = await Promise.all(
    services.map(async ({ id }) => {
      const found = await fetch(
        `${server.url}/fhir/AuditEvent?subtype=${encodeURIComponent(SERVICE_SYSTEM)}%7C${id}&_summary=count`,
      );
      return ((await found.json()) as { total: number }).total;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

test('cds-hooks-2.0@fuzz control: each valid call is 200', async () => {
  for (const { id } of services) {
    const { status, text } = await post(id, JSON.stringify(valid.get(id)));
    assert.equal(status, 200, `${id}: ${text}`);
  }
});

test(`cds-hooks-2.0@fuzz ${CASES} mutants of calls: 200 or 4xx, answers break no rule, one AuditEvent each`, {
  timeout: 600_000,
}, async () => {
  const random = randomFrom(SEED);
  const from = await callEvents();
  await ownWork();
  const wrong: string[] = [];
  const seen = new Map<number, number>();
  for (let number = 0; number < CASES; number++) {
    const id = services[number % services.length]?.id ?? '';
    const body = mutant(valid.get(id), random);
    const { status, text } = await post(id, body).catch((error: unknown) => ({ status: 0, text: String(error) }));
    seen.set(status, (seen.get(status) ?? 0) + 1);
    const problems = status === 200 ? answerProblems(JSON.parse(text)) : refusalProblems(status, text);
    if (problems.length > 0) wrong.push(`${number} ${id} ${status}: ${problems.slice(0, 3).join('; ')}`);
  }
  assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} of ${CASES}`);
  assert.ok(
    (seen.get(200) ?? 0) > CASES / 10 && (seen.get(400) ?? 0) > CASES / 20,
    `both kinds: ${JSON.stringify([...seen])}`,
  );
  assert.equal(
    (await callEvents()) - from,
    CASES - (seen.get(413) ?? 0),
    'one AuditEvent a call; what is too large reaches no service',
  );
  const failed = server.output().split('\n');
  assert.deepEqual(
    failed.filter((line) => line.includes('"event":"request-failed"')).slice(0, 3),
    [],
    'nothing failed inside',
  );
  const worst = await ownWork();
  assert.ok(worst < LONGEST_WORK_MS, `the main thread worked ${worst} ms on one mutant`);
});

const ALLOWED: ReadonlySet<number> = new Set([400, 412, 413]);
function refusalProblems(status: number, text: string): readonly string[] {
  return [
    ...(ALLOWED.has(status) ? [] : [`status ${status}: ${text.slice(0, 200)}`]),
    ...(/^\{"resourceType":"OperationOutcome"/.test(text) ? [] : ['no OperationOutcome']),
    ...(/node_modules|\.ts:\d+|at async/.test(text) ? ['a stack trace'] : []),
  ];
}

test(`cds-hooks-2.0@fuzz mutants of feedback and explanations: 200 or 4xx`, { timeout: 600_000 }, async () => {
  const random = randomFrom(SEED + 1);
  const { text } = await post('drug-interactions-sign', JSON.stringify(valid.get('drug-interactions-sign')));
  const [card] = (JSON.parse(text) as { cards: readonly { uuid: string }[] }).cards;
  assert.ok(card);
  const item = { card: card.uuid, outcomeTimestamp: '2026-01-15T12:00:00Z' };
  const coded = { system: 'https://ehr.example', code: 'known', display: 'Known' };
  const feedback = {
    feedback: [
      { ...item, outcome: 'accepted', acceptedSuggestions: [{ id: card.uuid }] },
      { ...item, outcome: 'overridden', overrideReason: { reason: coded, userComment: 'seen' } },
    ],
  };
  const wrong: string[] = [];
  const note = (number: number, status: number, body: string) => {
    const problems = status === 200 ? [] : refusalProblems(status === 404 ? 400 : status, body);
    if (problems.length > 0) wrong.push(`${number}: ${problems.join('; ')}`);
  };
  for (let number = 0; number < CASES / 4; number++) {
    const answer = await post('drug-interactions-sign/feedback', mutant(feedback, random));
    note(number, answer.status, answer.text);
    const asked = pick(random, [
      card.uuid,
      card.uuid.toUpperCase(),
      `${card.uuid}x`,
      'x',
      '%00',
      '%f0%9f%92%8a',
      '..%2f',
      'a'.repeat(3000),
    ]);
    const response = await fetch(`${server.url}/cds-services/explain/${asked}`, {
      signal: AbortSignal.timeout(HANG_MS),
    });
    note(number, response.status, await response.text());
  }
  assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} wrong`);
});
