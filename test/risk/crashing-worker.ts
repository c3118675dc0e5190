/** A worker that ends in an error when its input's first value is 1, never answers when it is 2, and doubles it otherwise. */
import { parentPort } from 'node:worker_threads';

parentPort?.on('message', ({ id, vector }: { readonly id: number; readonly vector: Float32Array }) => {
  const [first = 0] = vector;
  if (first === 1) throw new Error('struck');
  if (first !== 2) parentPort?.postMessage({ id, outputs: { total: [first * 2] } });
});
parentPort?.postMessage({ id: 0, outputs: {} });
