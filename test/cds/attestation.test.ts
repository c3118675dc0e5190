// Sepsis as regulated use (21 CFR 880.6316): outside the demonstration a service that needs the site's attestation is not there without it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MANIFESTS, world } from './world.ts';

const clients = mkdtempSync(join(tmpdir(), 'firewatch-attestation-'));
after(() => rmSync(clients, { recursive: true }));
const client = {
  name: 'ehr',
  issuer: 'https://ehr.example',
  services: ['sepsis-icu'],
  jku: ['https://ehr.example/jwks'],
};
writeFileSync(join(clients, 'a.json'), JSON.stringify(client));

const VERSION = MANIFESTS.get('sepsis-icu')?.version ?? '';
const rows: readonly [
  isThere: boolean,
  clientsFolder: string | undefined,
  attested: readonly [model: string, version: string] | undefined,
  why: string,
][] = [
  [true, undefined, undefined, 'control: a demonstration asks for none'],
  [false, clients, undefined, 'with clients, without attestation'],
  [true, clients, ['sepsis-icu', VERSION], 'this model in this version'],
  [false, clients, ['sepsis-icu', '0.9.0'], 'another version'],
  [false, clients, ['icu-mortality-24h', VERSION], 'another model'],
];
test('cds-attestation@demonstration: a server that asks nobody, but not over the synthetic patients, needs it too; and $evaluate withholds what the services tell', () => {
  const { cds } = world({ isDemonstration: false });
  assert.deepEqual([...cds.withheld].toSorted(), ['sepsis-3-start', 'sepsis-3-view', 'sepsis-icu']);
  assert.deepEqual(
    [...cds.withheldModels].toSorted(),
    ['sepsis-3', 'sepsis-hour-1', 'sepsis-icu'],
    'SOFA is none of sepsis',
  );
  assert.deepEqual([...world({}).cds.withheldModels], [], 'control: the demonstration');
});

for (const [isThere, clientsFolder, held, why] of rows) {
  test(`§6.2.6 §8.15 cds-attestation@sepsis: ${why}`, () => {
    const attested = (model: string, version: string) => held?.[0] === model && held[1] === version;
    const { cds } = world({ ...(clientsFolder === undefined ? {} : { clientsFolder }), attested });
    assert.deepEqual(cds.problems, [], 'a client may be registered for it all the same');
    assert.equal(cds.services.has('sepsis-icu'), isThere);
    assert.equal(cds.discover().body.includes('"sepsis-icu"'), isThere, 'discovery');
    const rules = clientsFolder === undefined ? [] : ['sepsis-3-start', 'sepsis-3-view']; // each of their models is asked for
    assert.deepEqual([...cds.withheld].toSorted(), isThere ? rules : [...rules, 'sepsis-icu']);
    for (const id of ['deterioration-sepsis', 'triage', 'icu-mortality', 'drug-interactions-sign'])
      assert.ok(cds.services.has(id), `${id} needs none`);
  });
}
