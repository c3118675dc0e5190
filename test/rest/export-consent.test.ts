// docs/authorization.md: an export gives what was permitted at its kick-off, and still is when it ends.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { FOLDERS } from '../../src/folders.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import { StoreError } from '../../src/store/port.ts';
import { callerWith } from '../smart/tokens.ts';
import { at, json } from '../world.ts';
import { type ExportWorld, exportWorld, linesOf } from './export-world.ts';

const NONE_BOUND = { roles: ['integration-engine'], purposes: [], actors: [] };
const BOUND = { roles: ['physician'], purposes: [], actors: [] };
const scope = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] };
const consent = (id: string, patient: string, type: 'deny' | 'permit') => ({
  ...{ resourceType: 'Consent', id, status: 'active', scope, category: [{ text: 'x' }] },
  ...{ patient: { reference: `Patient/${patient}` }, policyRule: { text: 'x' }, provision: { type } },
});
const observation = (id: string, patient: string) => ({
  ...{ resourceType: 'Observation', id, status: 'final', code: { text: 'x' } },
  subject: { reference: `Patient/${patient}` },
});

let w: ExportWorld;
before(async () => {
  w = await exportWorld();
  w.policy = loadPolicy(FOLDERS);
  await w.operations.hold(
    ...['a', 'b', 'c', 'late'].map((id) => ({ resourceType: 'Patient', id })),
    ...['a', 'b', 'c'].map((id) => observation(`of-${id}`, id)),
    { resourceType: 'Organization', id: 'o', name: 'O' },
    consent('of-c', 'c', 'deny'),
  );
});
after(() => w.close());

/** The path of an export; `meanwhile` is done after its kick-off and before it reads anything. */
async function during(url: string, situation: typeof BOUND, meanwhile: () => Promise<unknown>): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<void>();
  w.gate = promise;
  const path = await w.kickOff(url, bound(situation));
  await meanwhile();
  resolve();
  await w.desk().idle();
  return path;
}
const bound = (situation: typeof BOUND) => callerWith(w.context(), 'system/*.rs', [], situation);
const hold = (...resources: readonly Resource[]) => w.operations.hold(...resources);
const lift = async (id: string) => {
  assert.equal((await w.operations.send('DELETE', `/Consent/${id}`)).status, 204);
};

const REFUSED: readonly (readonly [url: string, why: string])[] = [
  ['/$export?_type=Observation', 'system'],
  ['/Patient/$export?_type=Observation', 'patients'],
  ['/Patient/$export?_type=Patient', 'the Patient'],
];
for (const [url, why] of REFUSED) {
  test(`consent@export a denial after the kick-off of what is exported: 409, no files (${why})`, async () => {
    const path = await during(url, BOUND, () => hold(consent('new', 'a', 'deny')));
    const status = await w.ask('GET', path, bound(BOUND));
    assert.equal(status.status, 409, status.body);
    assert.match(String(at(json(status), 'issue.0.diagnostics')), /Consents changed while the export ran: ask again/);
    for (const name of ['Observation-1', 'Patient-1']) {
      assert.equal((await w.ask('GET', `${path}/${name}.ndjson`, bound(BOUND))).status, 404);
    }
    assert.deepEqual(readdirSync(join(w.folder, path)), [], 'nor on disk');
    await w.restart();
    assert.equal((await w.ask('GET', path, bound(BOUND))).status, 409, 'over a restart too');
    const again = await w.exported('/$export?_type=Observation', bound(BOUND));
    assert.deepEqual(idsIn(again.Observation), ['of-b'], 'asked again');
    await w.ask('DELETE', path, bound(BOUND));
    await lift('new');
  });
}

test('consent@export a denial while it runs, after what it denies was read: 409', async () => {
  let pages = 0;
  w.tools.page = 1;
  w.tools.pause = async () => {
    if (++pages === 1) await hold(consent('new', 'a', 'deny'));
  };
  const path = await during('/$export?_type=Observation', BOUND, async () => undefined);
  delete w.tools.page;
  delete w.tools.pause;
  assert.equal((await w.ask('GET', path, bound(BOUND))).status, 409);
  await w.ask('DELETE', path, bound(BOUND));
  await lift('new');
});

const GIVEN: readonly (readonly [why: string, url: string, situation: typeof BOUND, change: () => Promise<unknown>])[] =
  [
    [
      'about a patient of whom nothing is exported',
      '/$export?_type=Observation',
      BOUND,
      () => hold(consent('new', 'late', 'deny')),
    ],
    [
      'of types that are not the patient’s',
      '/$export?_type=Organization',
      BOUND,
      () => hold(consent('new', 'a', 'deny')),
    ],
    ['that permits', '/$export?_type=Observation', BOUND, () => hold(consent('new', 'a', 'permit'))],
    [
      'that does not bind the caller',
      '/$export?_type=Observation',
      NONE_BOUND,
      () => hold(consent('new', 'a', 'deny')),
    ],
  ];
for (const [why, url, situation, change] of GIVEN) {
  test(`consent@export a Consent after the kick-off ${why}: the files are given`, async () => {
    const path = await during(url, situation, change);
    const lines = await linesOf(path, w, bound(situation));
    const [type = ''] = Object.keys(lines);
    const all = situation === BOUND ? ['of-a', 'of-b'] : ['of-a', 'of-b', 'of-c'];
    assert.deepEqual(idsIn(lines[type]), type === 'Organization' ? ['o'] : all);
    await w.ask('DELETE', path, bound(situation));
    await lift('new');
  });
}

test('consent@export a Consent that is lifted meanwhile adds nothing', async () => {
  await hold(consent('old', 'a', 'deny'));
  const path = await during('/$export?_type=Observation', BOUND, () => lift('old'));
  assert.deepEqual(idsIn((await linesOf(path, w, bound(BOUND))).Observation), ['of-b']);
  await w.ask('DELETE', path, bound(BOUND));
});

test('consent@export when it cannot be told in time, the files are not given', async () => {
  w.tools.store = {
    search: async (plan, page) => {
      if (JSON.stringify(plan.where).includes('"not"') && isEnd) throw new StoreError('too-costly', 'Too long.');
      return w.operations.context.store.search(plan, page);
    },
  };
  let isEnd = false;
  w.tools.access = async () => {
    isEnd = true;
    return bound(BOUND).access.asOfNow?.() ?? bound(BOUND).access;
  };
  const path = await during('/$export?_type=Observation', BOUND, () => hold(consent('new', 'late', 'deny')));
  delete w.tools.store;
  delete w.tools.access;
  assert.equal((await w.ask('GET', path, bound(BOUND))).status, 409);
  await w.ask('DELETE', path, bound(BOUND));
  await lift('new');
});

function idsIn(resources: readonly object[] = []): readonly string[] {
  return resources.map((resource) => String(at(resource, 'id'))).toSorted();
}
