/**
 * A server for the MongoDB engine's tests: the replica set that MONGODB_URL names, else the stand-in (decision 0041). Where it cannot be had the tests
 * are skipped, and say so.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import { after } from 'node:test';
import { MongoClient } from 'mongodb';
import { isStandIn, TEST_DATABASES, withDatabase } from '../test-store.ts';
import { answers, type NoServer, program, STAND_IN, standIn } from './stand-in.ts';

export interface TestServer {
  /** `mongodb` a real one, `SecantusDB` the stand-in. */
  readonly kind: 'mongodb' | 'SecantusDB';
  /** A URL with a database name that nobody else uses; it is dropped after the file's tests. */
  url(): string;
}

/** To be called once a test file. */
export async function testServer(): Promise<TestServer | NoServer> {
  const given = process.env.MONGODB_URL;
  if (given !== undefined && given !== '') return served(isStandIn(given) ? 'SecantusDB' : 'mongodb', given);
  const found = program();
  if (typeof found !== 'string') return found;
  const { command, url } = await standIn(found);
  // Ends with its input, so also when this process is killed.
  const script = '"$@" </dev/null & server=$!; cat >/dev/null; kill "$server"';
  const child = spawn('sh', ['-c', script, 'sh', ...command], { stdio: ['pipe', 'ignore', 'ignore'] });
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  after(() => void child.stdin.end());
  try {
    await answers(url);
  } catch (cause) {
    throw new Error(`${STAND_IN} did not start.`, { cause });
  }
  return served('SecantusDB', url);
}

function served(kind: TestServer['kind'], base: string): TestServer {
  const names: string[] = [];
  after(async () => {
    if (kind === 'SecantusDB') return;
    const client = new MongoClient(base);
    for (const name of names) await client.db(name).dropDatabase();
    await client.close();
  });
  return {
    kind,
    url: () => {
      const name = TEST_DATABASES + randomBytes(6).toString('hex');
      names.push(name);
      return withDatabase(base, name);
    },
  };
}
