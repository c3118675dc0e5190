/** The thread that copies the database while servers write it: VACUUM INTO reads one state, in one read transaction, and holds no writer. */
import { parentPort, workerData } from 'node:worker_threads';
import { connect, type Place } from './schema.ts';

export interface CopyData extends Place {
  /** An empty file. */
  readonly file: string;
}

if (parentPort !== null) {
  const { file, ...place } = workerData as CopyData;
  const connection = connect(place);
  // Pages of what was removed, and words in freed pages, are not copied; encrypted as the database is.
  connection.prepare('VACUUM INTO ?').run(file);
  connection.close();
}
