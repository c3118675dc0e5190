// The Dockerfile's own steps, run in clean folders without a container engine: FROM starts a folder, COPY and RUN happen in it,
// the last stage's entry point starts and answers its health check.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { storeSettings } from '../test-store.ts';

interface Stage {
  readonly name: string;
  readonly folder: string;
}

/** Files of a stage live below its folder as they would below `/`; absolute paths of the image are mapped into it. */
function inStage(stage: Stage, path: string, workdir: string): string {
  return join(stage.folder, resolve(workdir, path));
}

function copy(words: readonly string[], stage: Stage, stages: readonly Stage[], workdir: string): void {
  const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
  const paths = words.filter((word) => !word.startsWith('--'));
  const target = paths.at(-1) ?? '.';
  const source = stages.find(({ name }) => name === from);
  for (const path of paths.slice(0, -1)) {
    const origin = source === undefined ? path : inStage(source, path, workdir);
    const into = inStage(stage, target, workdir);
    const place = target.endsWith('/') || target === '.' ? join(into, basename(path)) : into;
    mkdirSync(dirname(place), { recursive: true });
    cpSync(origin, place, { recursive: true, verbatimSymlinks: true });
  }
}

test('the image builds by its own steps and its entry point becomes healthy', { timeout: 300_000 }, async () => {
  const root = mkdtempSync(join(tmpdir(), 'firewatch-image-'));
  try {
    const stages: Stage[] = [];
    let workdir = '/';
    let entrypoint: readonly string[] = [];
    let health: readonly string[] = [];
    for (const line of readFileSync('Dockerfile', 'utf8').split('\n')) {
      const [instruction = '', ...words] = line.trim().split(/\s+/);
      const stage = stages.at(-1);
      if (instruction === 'FROM') {
        assert.match(words[0] ?? '', /^node:24/, 'every stage stands on Node 24');
        stages.push({ name: words[2] ?? '', folder: mkdtempSync(join(root, 'stage-')) });
      } else if (instruction === 'WORKDIR') workdir = words[0] ?? '/';
      else if (instruction === 'COPY' && stage !== undefined) copy(words, stage, stages, workdir);
      else if (instruction === 'RUN' && stage !== undefined && !line.includes('chown')) {
        const cwd = join(stage.folder, workdir);
        mkdirSync(cwd, { recursive: true });
        execFileSync('sh', ['-c', words.join(' ')], { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
      } else if (instruction === 'ENTRYPOINT') entrypoint = JSON.parse(words.join(' ')) as string[];
      else if (instruction === 'HEALTHCHECK') health = JSON.parse(line.slice(line.indexOf('['))) as string[];
    }

    const image = stages.at(-1);
    assert.ok(image !== undefined);
    const cwd = join(image.folder, workdir);
    assert.ok(statSync(join(cwd, 'dist/main.js')).isFile(), 'what is published is compiled');
    const [, ...args] = entrypoint;
    const port = 18_000 + (process.pid % 2000);
    const env = { ...process.env, ...storeSettings(join(root, 'data')), PORT: String(port), SEED: 'none' };
    const server = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] });
    try {
      const [, ...probe] = health;
      let healthy = false;
      for (let attempt = 0; attempt < 60 && !healthy; attempt++) {
        await new Promise((done) => setTimeout(done, 500));
        try {
          execFileSync(process.execPath, probe, { cwd, env, stdio: 'ignore' });
          healthy = true;
        } catch {
          healthy = false;
        }
      }
      assert.ok(healthy, 'HEALTHCHECK answers within 30 s');
    } finally {
      server.kill('SIGTERM');
      await new Promise((done) => server.once('exit', done));
    }
    assert.equal(server.exitCode, 0, 'SIGTERM drains and ends with 0');
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
