// docs/threat-model.md: the ONNX runtime calls nobody. What it would send it first keeps below the home folder, so that folder tells.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

/** Makes a session in a process of its own, on a machine that wants telemetry. @returns what it left in its home folder */
function leftBy(code: string): readonly string[] {
  const home = mkdtempSync(join(tmpdir(), 'firewatch-home-'));
  try {
    const { CI: _ci, XDG_CACHE_HOME: _cache, ...env } = process.env;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      env: { ...env, HOME: home, ORT_DISABLE_TELEMETRY: '0' },
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.equal(status, 0, stderr);
    return readdirSync(home, { recursive: true }).map(String);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

const BYTES = `(await import('node:fs')).readFileSync('models/qsofa/1.0.0/model.onnx')`;

test('privacy@runtime-silent: the ONNX runtime keeps nothing of its own', () => {
  const bare = `const { InferenceSession } = await import('onnxruntime-node'); await InferenceSession.create(${BYTES});`;
  assert.ok(
    leftBy(bare).some((name) => name.endsWith('deviceid')),
    'control: by itself it keeps an identifier',
  );
  // The contract does not fit: the session is made before that is seen.
  const ours = `const { openRunner } = await import('./src/risk/models/session.ts');
    const refused = await openRunner(${BYTES}, { input: { tensor: 'none', width: 1 }, outputs: [] }).catch(String);
    if (!refused.includes('tensor')) throw new Error(refused);`;
  assert.deepEqual(leftBy(ours), []);
});
