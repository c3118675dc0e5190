/**
 * A server for the MongoDB engine's tests: the replica set that MONGODB_URL names, else SecantusDB (GPL-2.0, a process of its own, tests only),
 * installed from the Python index into a folder of its own. Decision 0041. Where it cannot be had the tests are skipped, and say so.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { MongoClient } from 'mongodb';
import { isStandIn, TEST_DATABASES, withDatabase } from '../test-store.ts';

export const STAND_IN = 'SecantusDB==0.7.0b3';
const INSTALL_MS = 90_000;
/** Short patience with an index that cannot be reached. */
const PIP = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--timeout', '10', '--retries', '1'];
const START_MS = 30_000;

export interface TestServer {
  /** `mongodb` a real one, `SecantusDB` the stand-in. */
  readonly kind: 'mongodb' | 'SecantusDB';
  /** A URL with a database name that nobody else uses; it is dropped after the file's tests. */
  url(): string;
}
/** Why there is none. */
export interface NoServer {
  readonly skip: string;
}

/** Program of the stand-in, installed when it is not; or why it cannot be. */
export function program(): string | NoServer {
  const folder = join(tmpdir(), `firewatch-${STAND_IN.replaceAll(/[^\w.]+/g, '-')}`);
  const found = join(folder, 'bin', 'secantusd-py');
  if (existsSync(found)) return found;
  const made = mkdtempSync(`${folder}-`);
  const run = (command: string, ...rest: readonly string[]) =>
    spawnSync(command, rest, { timeout: INSTALL_MS, encoding: 'utf8' }).status === 0;
  try {
    if (!run('python3', '-m', 'venv', made))
      return { skip: 'python3 with venv is not here: the MongoDB engine is not tested' };
    if (!run(join(made, 'bin', 'python'), ...PIP, STAND_IN))
      return { skip: `pip cannot fetch ${STAND_IN}: the MongoDB engine is not tested` };
    try {
      renameSync(made, folder);
    } catch (error) {
      // Another test file was first.
      if (!existsSync(found)) throw error;
    }
    return found;
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Resolves when the server answers, rejects after START_MS. */
export async function answers(url: string): Promise<void> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: START_MS });
  try {
    await client.db('admin').command({ ping: 1 });
  } finally {
    await client.close();
  }
}

/** To be called once a test file. */
export async function testServer(): Promise<TestServer | NoServer> {
  const given = process.env.MONGODB_URL;
  if (given !== undefined && given !== '') return served(isStandIn(given) ? 'SecantusDB' : 'mongodb', given);
  const found = program();
  if (typeof found !== 'string') return found;
  const port = await freePort();
  const python = join(found, '..', 'python');
  const settings = [
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
    '--storage-path',
    ':memory:',
    '--log-level',
    'ERROR',
  ];
  // Ends with its input, so also when this process is killed.
  const script = '"$@" </dev/null & server=$!; cat >/dev/null; kill "$server"';
  const child = spawn('sh', ['-c', script, 'sh', python, found, ...settings, '--enable-test-commands'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  after(() => void child.stdin.end());
  const base = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  try {
    await answers(base);
  } catch (cause) {
    throw new Error(`${STAND_IN} did not start.`, { cause });
  }
  return served('SecantusDB', base);
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
