// The MongoDB engine: the common contract on the server that can be had. docs/decisions/0040 and 0041.
import { type TestContext, test } from 'node:test';
import { followMongo, openMongoMove } from '../../src/store/mongodb/transfer.ts';
import { type MongoOptions, type MongoStore, openMongo } from '../../src/store/mongodb.ts';
import { storeParts } from '../migrate/world.ts';
import { clockContract } from './clock-contract.ts';
import { storeContract } from './contract.ts';
import { testServer } from './mongodb-server.ts';
import { purgeContract } from './purge-contract.ts';
import { searchContract } from './search-contract.ts';
import { transferContract } from './transfer-contract.ts';

const server = await testServer();

const renderAudit: MongoOptions['renderAudit'] = (row, event) =>
  `${row.bytes} ${event} ${row.patientOf('second') ?? row.patientOf('key-p1')}`;

function options(url: string, more: Partial<MongoOptions> = {}): MongoOptions {
  const types = ['Patient', 'Observation'];
  return { url, budgetMs: 10_000, renderAudit, headKey: new Uint8Array(32), indexHash: 'one', types, ...more };
}

if ('skip' in server) {
  test('the MongoDB engine', { skip: server.skip }, () => undefined);
} else {
  const open = async (context: TestContext, at?: number, more: Partial<MongoOptions> = {}): Promise<MongoStore> => {
    const store = await openMongo(
      options(server.url(), { ...more, ...(at === undefined ? {} : { clock: { fixed: at } }) }),
    );
    context.after(() => store.close());
    return store;
  };
  storeContract('mongodb', open);
  searchContract('mongodb', open);
  purgeContract('mongodb', open);
  clockContract('mongodb', (context) => {
    const url = server.url();
    return async (fixed) => {
      const store = await openMongo(options(url, { clock: { fixed } }));
      context.after(() => store.close());
      return store;
    };
  });
  transferContract('mongodb', () => {
    const place = { url: server.url(), headKey: new Uint8Array(32) };
    return {
      serve: () => openMongo({ ...place, budgetMs: 10_000, ...storeParts }),
      moved: (types, indexOf) => openMongoMove({ ...place, types, indexOf, now: Date.now }),
      followed: () => followMongo({ ...place, types: storeParts.types, now: Date.now }),
    };
  });
  // A small world made to take the ways of a large one.
  searchContract('mongodb, joins with more than 1 end', (context, at) => open(context, at, { mostEnds: 1 }), [5, 6]);
}
