// Commands used wrongly: each is refused with what is wrong, exit code 1, and leaves nothing behind. Files of data are their owner's only.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { embeddedOnly, storeSettings } from '../test-store.ts';
import { newFolder, removeFolder, start } from './server.ts';

function run(folder: string, ...words: readonly string[]) {
  return spawnSync(process.execPath, ['src/main.ts', ...words], {
    env: { ...process.env, SEED: 'none', ...storeSettings(folder) },
    encoding: 'utf8',
    timeout: 60_000,
  });
}

const WRONG: readonly [words: readonly string[], said: RegExp][] = [
  [['clients'], /unknown command 'clients'\s+\(Did you mean client\?\)/],
  [['verify-audits'], /unknown command 'verify-audits'\s+\(Did you mean verify-audit\?\)/],
  [['nothing-like-it'], /unknown command 'nothing-like-it'/],
  [['client', 'addd', 'x'], /unknown command 'addd'\s+\(Did you mean add\?\)/],
  [['serve', 'now'], /too many arguments for 'serve'/],
  [['--nope'], /unknown option '--nope'/],
];
test('reliability@commands-wrong: a mistyped command is told with the nearest name', () => {
  const folder = newFolder();
  try {
    for (const [words, said] of WRONG) {
      const { status, stderr } = run(folder, ...words);
      assert.equal(status, 1, words.join(' '));
      assert.match(stderr, said);
    }
  } finally {
    removeFolder(folder);
  }
});

test('reliability@commands-wrong: what asks about held data makes no empty store of a mistyped DATA_DIR', {
  skip: embeddedOnly,
  timeout: 120_000,
}, () => {
  const folder = newFolder();
  try {
    for (const words of [['verify-audit'], ['erasures'], ['compact'], ['feedback-report'], ['explain', 'x']]) {
      const { status, stdout, stderr } = run(join(folder, 'typo'), ...words);
      assert.equal(status, 1, words[0]);
      assert.match(stderr, /There is no database in /, words[0]);
      assert.equal(stdout, '');
    }
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    removeFolder(folder);
  }
});

test('reliability@commands-wrong: a register of erasures that is not there, or is something else, is not taken for an empty one', {
  timeout: 120_000,
}, async () => {
  const folder = newFolder();
  try {
    assert.equal(await (await start({}, folder)).stop(), 0);
    const copy = join(folder, 'copy.ndjson');
    assert.equal(run(folder, 'erasures', '--apply', copy).status, 1, 'not there');
    writeFileSync(copy, 'patient,at\np,2026-01-01T00:00:00Z\n');
    const { status, stderr } = run(folder, 'erasures', '--apply', copy);
    assert.equal(status, 1, 'something else');
    assert.match(stderr, /holds no erasure/);
    assert.ok(!existsSync(join(folder, 'erasures.ndjson')));
    writeFileSync(copy, '{"patient":"p","at":"2026-01-01T00:00:00Z"}\n');
    const applied = run(folder, 'erasures', '--apply', copy);
    assert.equal(applied.status, 0, applied.stderr);
    assert.match(applied.stdout, /"patient":"p"/);
  } finally {
    removeFolder(folder);
  }
});

test('reliability@data-mode: in a folder that all may read, new files of data are readable by their owner only', {
  skip: embeddedOnly,
}, async () => {
  const folder = newFolder();
  chmodSync(folder, 0o755);
  const server = await start({}, folder);
  try {
    const modes = readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o077] as const);
    assert.ok(modes.some(([name]) => name === 'firewatch.db-wal'));
    assert.deepEqual(
      modes.filter(([, others]) => others !== 0),
      [],
    );
  } finally {
    await server.stop();
    removeFolder(folder);
  }
});
