// docs/monitoring.md, "Rules are files": a rule whose model is not there stops the start with what can be done; a rule that is off asks for nothing.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadRules } from '../../src/monitor/rule.ts';
import { MONITORING, models } from './world.ts';

after(() => models.close());

test('monitoring@models: of a model that MODELS_DIR does not hold the start says the file, the model, and what to do', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rules-'));
  try {
    cpSync(MONITORING, folder, { recursive: true });
    const some = new Map([...models.manifests].filter(([id]) => id !== 'sepsis-3'));
    const load = () => loadRules(folder, some, models.knowledge.vocabulary).map(({ id }) => id);
    assert.throws(load, /sepsis\.json: there is no model sepsis-3 \(add it to MODELS_DIR, .*MONITORING=off\)/);
    const file = join(folder, 'sepsis.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), enabled: false }));
    assert.deepEqual(load(), ['news2']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
