/**
 * The stand-in of MongoDB (decision 0041): where its program is, by what command it runs, when it answers. For tests and scripts/test-stand-in.ts.
 * SecantusDB (GPL-2.0) is a process of its own, installed from the Python index into a folder of its own.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';

export const STAND_IN = 'SecantusDB==0.7.0b3';
const INSTALL_MS = 90_000;
/** Short patience with an index that cannot be reached. */
const PIP = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--timeout', '10', '--retries', '1'];
const START_MS = 30_000;
const HOST = '127.0.0.1';

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

export interface StandIn {
  /** Program and arguments that start it, empty, in memory, with the test commands that make faults. */
  readonly command: readonly [string, ...string[]];
  /** With no database. */
  readonly url: string;
}

/** One to be started on a port that nobody has. @param found what `program` gave */
export async function standIn(found: string): Promise<StandIn> {
  const port = String(await freePort());
  return {
    command: [
      join(found, '..', 'python'),
      found,
      ...['--host', HOST, '--port', port],
      ...['--storage-path', ':memory:', '--log-level', 'ERROR', '--enable-test-commands'],
    ],
    url: `mongodb://${HOST}:${port}/?directConnection=true`,
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
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
