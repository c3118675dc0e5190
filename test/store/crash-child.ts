/** Commits without pause until it is killed; prints each acknowledged id. Run by crash.test.ts. */
import { openSqlite } from '../../src/store/sqlite.ts';
import { auditRow, entriesOf, put, random } from './world.ts';

const [folder = '', round = '0'] = process.argv.slice(2);
const store = await openSqlite({
  folder,
  renderAudit: ({ bytes }) => bytes,
  indexHash: '',
  types: ['Patient', 'Observation'],
});
const next = random(Number(round));

async function commitForever(lane: number): Promise<never> {
  for (let index = 0; ; index++) {
    const id = `${round}-${lane}-${index}`;
    // A request of two resources and one audit row: all three or none.
    const result = await store.commit({
      commands: [
        put('Patient', id, 1, entriesOf(next, 'Patient')),
        put('Observation', id, 1, entriesOf(next, 'Observation')),
      ],
      audit: [auditRow(id, { patient: id, key: id })],
    });
    if (!result.ok) throw new TypeError('a create conflicted');
    process.stdout.write(`${id} ${result.auditIds[0]}\n`);
  }
}
await Promise.all(Array.from({ length: 16 }, (_, lane) => commitForever(lane)));
