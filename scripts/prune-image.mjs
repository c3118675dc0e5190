/** Removes native libraries of platforms other than this one from a node_modules folder: node scripts/prune-image.mjs FOLDER */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const [folder] = process.argv.slice(2);
if (folder === undefined || folder === '--help') {
  console.log('usage: node scripts/prune-image.mjs FOLDER   (a node_modules folder)');
  process.exit(folder === undefined ? 2 : 0);
}

const onnx = join(folder, 'onnxruntime-node', 'bin', 'napi-v6');
for (const platform of existsSync(onnx) ? readdirSync(onnx) : []) {
  if (platform !== process.platform) rmSync(join(onnx, platform), { recursive: true });
  else {
    for (const arch of readdirSync(join(onnx, platform))) {
      if (arch !== process.arch) rmSync(join(onnx, platform, arch), { recursive: true });
    }
  }
}
const sqlite = join(folder, 'better-sqlite3-multiple-ciphers');
rmSync(join(sqlite, 'deps'), { recursive: true, force: true });
for (const file of existsSync(join(sqlite, 'prebuilds')) ? readdirSync(join(sqlite, 'prebuilds')) : []) {
  if (!file.startsWith(`${process.platform}-`) && !file.startsWith(`${process.platform}musl-`))
    rmSync(join(sqlite, 'prebuilds', file));
}
