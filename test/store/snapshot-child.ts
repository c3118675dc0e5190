/** A store on another thread: commits and reads what it is told to. Run by sqlite-snapshot.test.ts. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { attachSqlite } from '../../src/store/sqlite.ts';
import { put } from './world.ts';

const { folder, port } = workerData as { folder: string; port: MessagePort };
const store = attachSqlite({ folder, port, budgetMs: 5000, renderAudit: ({ bytes }) => bytes });
/** [commit, id, version], or [read, type, id]: answered with the version that is found. */
parentPort?.on('message', async ([op, first, second]: readonly ['commit' | 'read', string, string]) => {
  if (op === 'commit') await store.commit({ commands: [put('Patient', first, Number(second))], audit: [] });
  const key = op === 'commit' ? { type: 'Patient', id: first } : { type: first, id: second };
  parentPort?.postMessage((await store.read(key))?.version ?? 0);
});
parentPort?.postMessage('ready');
