'use strict';
// Runs a TypeScript file of this project on a Node that may carry patient data: 24 or newer (20 is past its end of life).
// CommonJS and old syntax on purpose: this file is what an old Node must still understand. See docs/decisions/0001.
const { spawn, spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const NEEDED = 24;
const root = path.dirname(__dirname);
const say = (text) => process.stderr.write(`${text}\n`);

/** Installs the locked packages of a folder when they are not those of its lockfile. */
function install(folder, why, flags) {
  const stamp = path.join(folder, 'node_modules', '.firewatch-lock');
  const lock = createHash('sha256').update(fs.readFileSync(path.join(folder, 'package-lock.json'))).digest('hex');
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === lock) return;
  if (!fs.existsSync(stamp) && fs.existsSync(path.join(folder, 'node_modules', '.package-lock.json')) && flags.length === 0) {
    fs.writeFileSync(stamp, lock); // the user ran `npm ci` or `npm install` themselves
    return;
  }
  say(`firewatch: installing ${why} ...`);
  const started = Date.now();
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'].concat(flags), {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) {
    say(`firewatch: \`npm ci\` failed in ${path.relative(process.cwd(), folder) || '.'}; its output above says why. Run the command again when that is mended.`);
    process.exit(1);
  }
  fs.writeFileSync(stamp, lock);
  say(`firewatch: installed in ${Math.round((Date.now() - started) / 100) / 10} s.`);
}

/** Path of a Node that is new enough: this one, or the platform package that is installed for it. */
function node() {
  if (Number(process.versions.node.split('.')[0]) >= NEEDED) return process.execPath;
  const folder = path.join(root, 'runtime');
  const binary = path.join(folder, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  install(folder, `Node ${NEEDED} (this machine has ${process.versions.node}, which is no longer maintained)`, ['--no-bin-links']);
  if (!fs.existsSync(binary)) {
    say(`firewatch: no Node ${NEEDED} package for ${process.platform}-${process.arch}. Install Node ${NEEDED} or newer yourself and run the command again.`);
    process.exit(1);
  }
  return binary;
}

const binary = node();
install(root, 'packages', []);
// The channel says nothing: its end tells the server that this process is gone, so that no orphan keeps the port and the data folder.
const child = spawn(binary, process.argv.slice(2), {
  stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  env: Object.assign({}, process.env, {
    PATH: path.dirname(binary) + path.delimiter + process.env.PATH,
    ORT_DISABLE_TELEMETRY: '1', // tests and training load the ONNX runtime too; see src/risk/models/session.ts
  }),
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
/** Parent and grandparent of this process: the shell of an npm script, and npm. */
function ancestors() {
  try {
    const stat = fs.readFileSync(`/proc/${process.ppid}/stat`, 'utf8');
    return `${process.ppid} ${stat.slice(stat.lastIndexOf(')')).split(' ')[2]}`;
  } catch (_noProc) {
    return String(process.ppid);
  }
}
if (process.env.npm_lifecycle_event !== undefined) {
  // npm was killed and could not pass it on: stop like on SIGTERM, so that no orphan keeps the port and the data folder.
  const started = ancestors();
  setInterval(() => {
    if (ancestors() !== started) child.kill('SIGTERM');
  }, 250).unref();
}
child.on('exit', (code, signal) => {
  if (signal) process.kill(process.pid, signal);
  else process.exit(code === null ? 1 : code);
});
child.on('error', (error) => {
  say(`firewatch: cannot start Node: ${error.message}`);
  process.exit(1);
});
