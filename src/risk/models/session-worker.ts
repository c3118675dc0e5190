/** Worker thread of one model: opens the session, answers `{id, vector}` with `{id, outputs}` or `{id, error}`. Started by session.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { openRunner, type RunnerContract } from './session.ts';

interface Order {
  readonly id: number;
  readonly vector: Float32Array;
}
interface Start {
  readonly bytes: Uint8Array;
  readonly contract: RunnerContract;
}

// The only sender is session.ts of the same build: both sides share these two shapes.
const { bytes, contract } = workerData as Start;
const runner = await openRunner(bytes, contract);
parentPort?.on('message', async ({ id, vector }: Order) => {
  try {
    parentPort?.postMessage({ id, outputs: await runner.run(vector) });
  } catch (error) {
    parentPort?.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
parentPort?.postMessage({ id: 0, outputs: {} });
