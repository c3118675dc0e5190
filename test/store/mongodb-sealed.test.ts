// The common contract on a MongoDB that does not read what it holds: the same rows as without a key. docs/decisions/0058.
import { type TestContext, test } from 'node:test';
import { mongoFields } from '../../src/store/mongodb/connect.ts';
import { followMongo, openMongoMove } from '../../src/store/mongodb/transfer.ts';
import { type MongoOptions, type MongoStore, openMongo } from '../../src/store/mongodb.ts';
import { storeParts } from '../migrate/world.ts';
import { storeContract } from './contract.ts';
import { testServer } from './mongodb-server.ts';
import { purgeContract } from './purge-contract.ts';
import { searchContract } from './search-contract.ts';
import { transferContract } from './transfer-contract.ts';

const server = await testServer();
const KEY = 'a passphrase';

const renderAudit: MongoOptions['renderAudit'] = (row, event) =>
  `${row.bytes} ${event} ${row.patientOf('second') ?? row.patientOf('key-p1')}`;

if ('skip' in server) {
  test('the MongoDB engine with a data key', { skip: server.skip }, () => undefined);
} else {
  const open = async (context: TestContext, at?: number, more: Partial<MongoOptions> = {}): Promise<MongoStore> => {
    const url = server.url();
    const store = await openMongo({
      ...{ url, budgetMs: 10_000, renderAudit, headKey: new Uint8Array(32), indexHash: 'one' },
      types: ['Patient', 'Observation'],
      fields: await mongoFields(url, KEY),
      ...more,
      ...(at === undefined ? {} : { clock: { fixed: at } }),
    });
    context.after(() => store.close());
    return store;
  };
  storeContract('mongodb with a key', open);
  searchContract('mongodb with a key', open, [1, 2]);
  purgeContract('mongodb with a key', open);
  transferContract('mongodb with a key', () => {
    const place = { url: server.url(), headKey: new Uint8Array(32) };
    return {
      serve: async () => {
        const fields = await mongoFields(place.url, KEY);
        return openMongo({ ...place, fields, budgetMs: 10_000, ...storeParts });
      },
      moved: (types, indexOf) => openMongoMove({ ...place, key: KEY, types, indexOf, now: Date.now }),
      followed: () => followMongo({ ...place, key: KEY, types: storeParts.types, now: Date.now }),
    };
  });
  searchContract(
    'mongodb with a key, joins with more than 1 end',
    (context, at) => open(context, at, { mostEnds: 1 }),
    [5],
  );
}
