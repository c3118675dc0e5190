// What $evaluate asks of several patients: one run of each graph, and each patient their own answer. src/risk/desk.ts
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { InferenceSession } from 'onnxruntime-node';
import { riskDesk } from '../../src/risk/desk.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { AT, MODELS, measured } from './world.ts';

/** Rows of each run of a graph, as the runtime is asked: it is watched, not replaced. */
const rows: number[] = [];
const { create } = InferenceSession;
const watched = async (bytes: Uint8Array, options?: InferenceSession.SessionOptions) => {
  const session = await create.call(InferenceSession, bytes, options);
  const run = session.run.bind(session);
  return Object.assign(session, {
    run: (feeds: InferenceSession.FeedsType) => {
      rows.push(Object.values(feeds)[0]?.dims[0] ?? 0);
      return run(feeds);
    },
  });
};
Object.assign(InferenceSession, { create: watched });

const models = await loadModels(MODELS, { now: () => AT, mode: 'inline' });
after(() => models.close());
const desk = riskDesk(models, () => AT);
const person = (id: string, rate: number) => ({
  patient: { resourceType: 'Patient', id, birthDate: '1960-01-01' },
  resources: [measured('9279-1', rate, '/min')],
  at: AT,
});
const people = [person('a', 16), person('b', 22), person('c', 30), person('d', 8)];
const totals = (found: Awaited<ReturnType<typeof desk.evaluate>>) =>
  found.map(({ assessment: { subject, note } }) => JSON.stringify([subject, note]));

test('evaluate@batched: what a graph is asked of several patients is one run, a score and a graph beside it', async () => {
  rows.length = 0;
  await desk.evaluate(['news2', 'mews', 'qsofa'], people, () => 'x', AT);
  assert.deepEqual(rows, [4, 4]);
});

test('evaluate@batched: each patient has the answer that they have alone, patient by patient, model by model', async () => {
  const together = totals(await desk.evaluate(['news2', 'qsofa'], people, () => 'x', AT));
  const alone: string[] = [];
  for (const one of people) alone.push(...totals(await desk.evaluate(['news2', 'qsofa'], [one], () => 'x', AT)));
  assert.deepEqual(together, alone);
  assert.equal(new Set(together).size, together.length);
});
