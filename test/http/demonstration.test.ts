// docs/configuration.md: what a server is that asks nobody who they are, and when it is the demonstration; one meaning for cards, alerts, $evaluate and the sandbox.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConfig } from '../../src/config.ts';
import { isDemonstration, isOnlyHere, isOpen } from '../../src/demonstration.ts';

type Env = Readonly<Record<string, string>>;
const rows: readonly (readonly [why: string, env: Env, asksTokens: boolean, open: boolean, demonstration: boolean])[] =
  [
    ['control: as it starts without settings', {}, false, true, true],
    ['localhost by name', { HOST: 'localhost', PUBLIC_URL: 'http://127.0.0.1:8080' }, false, true, true],
    ['without the synthetic patients', { SEED: 'none' }, false, true, false],
    ['an issuer is known', {}, true, false, false],
    ['CDS clients are registered', { CDS_CLIENTS_DIR: '/clients' }, false, false, false],
    ['others reach it by its public address', { PUBLIC_URL: 'https://fhir.example.org' }, false, true, false],
    ['others reach it by its host', { HOST: '0.0.0.0' }, false, true, false],
  ];
test('demonstration@one-meaning: open, only here, over the synthetic patients', () => {
  const wrong = rows.flatMap(([why, env, asksTokens, open, demonstration]) => {
    const config = readConfig({ DATA_DIR: '/nowhere', ...env });
    const is = [isOpen(config, asksTokens), isDemonstration(config, asksTokens)];
    return is[0] === open && is[1] === demonstration ? [] : [`${why}: ${is.join()}`];
  });
  assert.deepEqual(wrong, []);
  assert.equal(isOnlyHere(readConfig({ DATA_DIR: '/nowhere' })), true);
});
