/**
 * What the audit of a read costs: `node bench/audit-share.ts`. Audit cannot be switched off, so its parts are run alone, in the process:
 * (a) making the audit row and committing it, nothing else; (b) the whole read through the door, which includes (a). CPU is user + system
 * time of the process, writer and checkpoint threads included. HTTP is in neither: `npm run bench` has the whole request.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../src/config.ts';
import { answer } from '../src/rest/interact.ts';
import { localCaller, localFacts } from '../src/rest/permission/caller.ts';
import { buildSystem } from '../src/system.ts';
import { patientId, recordOf } from './data.ts';

const PATIENTS = 50;
const REQUESTS = 20_000;
const ROUNDS = 3;

const folder = mkdtempSync(join(tmpdir(), 'firewatch-bench-'));
const system = await buildSystem(readConfig({ DATA_DIR: folder, SEED: 'none', LOG_LEVEL: 'error' }));
const caller = localCaller(localFacts('0193b5a0-0000-7000-8000-000000000000', '127.0.0.1'));
for (let patient = 0; patient < PATIENTS; patient++) {
  const body = JSON.stringify(recordOf(patient, Date.now()));
  const headers = { 'content-type': 'application/fhir+json' };
  const wire = { method: 'POST', path: '', query: '', headers, body };
  const { status, body: text } = await system.answerHeavy(wire, localFacts('load', '127.0.0.1'));
  if (status !== 200) throw new Error(`Loading was answered ${status}: ${text}`);
}

async function auditOnly(index: number): Promise<void> {
  const id = patientId(index % PATIENTS);
  const resource = { type: 'Patient', id };
  const row = system.context.audit({
    caller,
    entries: [{ interaction: 'read', resource, patients: [id] }],
    status: 200,
  });
  await system.store.commit({ commands: [], audit: [row] });
}

async function wholeRead(index: number): Promise<void> {
  const path = `/Patient/${patientId(index % PATIENTS)}`;
  const wire = { method: 'GET', path, query: '', headers: {}, body: undefined };
  const { status } = await answer(wire, caller, system.context);
  if (status !== 200) throw new Error(`A read was answered ${status}.`);
}

/** CPU in us of one call, `lanes` at a time. */
async function cpuOf(call: (index: number) => Promise<void>, lanes: number): Promise<number> {
  const before = process.cpuUsage();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < REQUESTS) await call(next++);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  const { user, system: kernel } = process.cpuUsage(before);
  return (user + kernel) / REQUESTS;
}

console.log('lanes  audit us  read us  audit of read');
for (const lanes of [1, 16, 64]) {
  for (let round = 0; round < ROUNDS; round++) {
    const audit = await cpuOf(auditOnly, lanes);
    const read = await cpuOf(wholeRead, lanes);
    console.log(
      `${String(lanes).padEnd(6)} ${audit.toFixed(1).padEnd(9)} ${read.toFixed(1).padEnd(8)} ${((100 * audit) / read).toFixed(0)} %`,
    );
  }
}
await system.close();
rmSync(folder, { recursive: true, force: true });
process.exit(0);
