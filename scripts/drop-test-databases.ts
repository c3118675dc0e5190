/** Removes the databases of tests from the server that MONGODB_URL names, and no others. */
import { MongoClient } from 'mongodb';
import { TEST_DATABASES } from '../test/test-store.ts';

const client = new MongoClient(process.env.MONGODB_URL ?? '');
try {
  const { databases } = await client.db('admin').admin().listDatabases({ nameOnly: true });
  const own = databases.filter(({ name }) => name.startsWith(TEST_DATABASES));
  for (const { name } of own) await client.db(name).dropDatabase();
  console.log(`${own.length} test databases dropped.`);
} finally {
  await client.close();
}
