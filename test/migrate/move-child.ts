/** Moves one folder to another and is killed after so many reports of progress. Run by move.test.ts. */
import { move } from '../../src/migrate/move.ts';
import { moveSqlite } from '../../src/store/sqlite/transfer.ts';
import { TYPES } from './world.ts';

const [source = '', target = '', reports = '0'] = process.argv.slice(2);
let left = Number(reports);
await move(moveSqlite({ folder: source, types: TYPES }), moveSqlite({ folder: target, types: TYPES }), {
  source: 'source',
  mostRows: 7,
  onProgress: () => {
    if (left-- === 0) process.kill(process.pid, 'SIGKILL');
  },
});
