/** Builds every model.onnx from its table and writes its SHA-256 into the manifest: `node models/train/build.ts`. Same tables, same bytes. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onnxBytes } from './onnx-writer.ts';
import { graphOf } from './rule-network.ts';
import { NETWORKS } from './tables.ts';

/** Model folder (under models/) -> bytes of its model.onnx. */
export function builtModels(): ReadonlyMap<string, Uint8Array> {
  return new Map(Object.entries(NETWORKS).map(([folder, network]) => [folder, onnxBytes(graphOf(network))]));
}

if (import.meta.main) {
  const models = join(import.meta.dirname, '..');
  for (const [folder, bytes] of builtModels()) {
    const manifest = join(models, folder, 'manifest.json');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(models, folder, 'model.onnx'), bytes);
    writeFileSync(
      manifest,
      readFileSync(manifest, 'utf8').replace(/("sha256": ")[^"]*(")/, (_all, before, after) => before + sha256 + after),
    );
    process.stdout.write(`${folder} ${bytes.length} bytes ${sha256}\n`);
  }
}
