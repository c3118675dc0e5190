// Guessing at passwords and second factors of the embedded authorization server, over HTTP (NIST SP 800-63B-4 §3.2.2; OWASP ASVS 5 V6.3).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TOTP } from 'otpauth';
import { Browser, OauthWorld, PASSWORD } from '../authorization/server-world.ts';
import { limit } from '../test-store.ts';

const LIMIT = { timeout: limit(90_000) };
/** Each test has an address of its own: a new server, whose only caller it is. */
async function fresh(body: (w: OauthWorld) => Promise<void>): Promise<void> {
  const w = await OauthWorld.open();
  try {
    await w.client('app');
    await w.patient('p1');
    await body(w);
  } finally {
    await w.close();
  }
}
async function guess(w: OauthWorld, name: string, password: string) {
  const browser = new Browser();
  const page = (await browser.ask(w.authorizeUrl({}, 'v'.repeat(43)))).headers.get('location') ?? '';
  return { browser, page, answer: await browser.post(page, { step: 'login', name, password }) };
}
const at = (totp: TOTP | undefined, steps: number): string =>
  totp?.generate({ timestamp: Date.now() + steps * 30_000 }) ?? '';

test(
  'attack@guess who is there: unknown, disabled, locked and wrong answer with the same status, headers and page',
  LIMIT,
  () =>
    fresh(async (w) => {
      for (const name of ['known', 'gone', 'locked']) await w.user(name, { role: 'patient', fhirUser: 'Patient/p1' });
      await w.server.users.disable('gone');
      for (let count = 0; count < 5; count++) await guess(w, 'locked', 'wrong wrong wrong');
      const tries = [
        ['known', 'wrong wrong wrong'],
        ['gone', PASSWORD],
        ['locked', PASSWORD],
        ['nobody', PASSWORD],
        ['', ''],
        ['known', ''],
        ['known', `${PASSWORD}\0`],
        ['known\0', PASSWORD],
        ['known', 'x'.repeat(10_000)],
        ['<script>', PASSWORD],
      ] as const;
      const seen = new Set<string>();
      for (const [name, password] of tries) {
        const { answer } = await guess(w, name, password);
        const headers = [...answer.headers].filter(([each]) => !['date', 'x-request-id'].includes(each));
        seen.add(JSON.stringify([answer.status, headers, answer.text]));
      }
      assert.equal(seen.size, 1);
      assert.equal(JSON.parse([...seen][0] ?? '[]')[0], 401);
    }),
);

test('attack@guess one address over many users: after twenty failures nobody is tried, known or not', LIMIT, () =>
  fresh(async (w) => {
    await w.user('victim', { role: 'patient', fhirUser: 'Patient/p1' });
    for (let count = 0; count < 20; count++) await guess(w, `name-${count}`, PASSWORD);
    assert.equal((await guess(w, 'victim', PASSWORD)).answer.status, 401);
  }),
);

test(
  'attack@guess the second factor: five codes, then the right one neither, nor by another page or the password anew',
  LIMIT,
  () =>
    fresh(async (w) => {
      const totp = await w.user('doctor');
      const right = new Set([-1, 0, 1, 2].map((steps) => at(totp, steps)));
      const wrong = ['000000', '000001', '000002', '000003', '000004', '000005'].filter((code) => !right.has(code));
      for (const code of ['', '12345', '1234567', '0x1234', ...wrong].slice(0, 5)) {
        const { browser, page, answer } = await guess(w, 'doctor', PASSWORD);
        assert.equal(answer.status, 200, 'the right password is no failure, so it frees no guess either');
        assert.equal((await browser.post(page, { step: 'code', code })).status, 401);
      }
      const { browser, page, answer } = await guess(w, 'doctor', PASSWORD);
      assert.equal(answer.status, 401);
      assert.equal((await browser.post(page, { step: 'code', code: at(totp, 0) })).status, 401);
    }),
);

test(
  'attack@guess a code of the second factor: used, of long ago, of to come, of another, and without a password',
  LIMIT,
  () =>
    fresh(async (w) => {
      const totp = await w.user('doctor');
      const other = await w.user('other');
      const tried = async (code: string): Promise<number> => {
        const { browser, page } = await guess(w, 'doctor', PASSWORD);
        return (await browser.post(page, { step: 'code', code })).status;
      };
      const now = at(totp, 0);
      assert.equal(await tried(now), 303);
      assert.equal(await tried(now), 401, 'replayed within its window');
      assert.equal(await tried(at(totp, -3)), 401);
      assert.equal(await tried(at(totp, 4)), 401);
      assert.equal(await tried(at(other, 0)), 401);
      const browser = new Browser();
      const page = (await browser.ask(w.authorizeUrl({}, 'v'.repeat(43)))).headers.get('location') ?? '';
      assert.equal((await browser.post(page, { step: 'code', code: at(other, 0) })).status, 401);
    }),
);

test(
  'attack@guess a ward that signs in well is not locked out: twenty-one sign-ins with both factors from one address',
  LIMIT,
  () =>
    fresh(async (w) => {
      for (let count = 0; count < 7; count++) {
        const totp = await w.user(`nurse-${count}`);
        // Codes of the half minute before, of now and of the next are good, each once; the first may be over meanwhile.
        for (const steps of [-1, 0, 1]) {
          const { browser, page, answer } = await guess(w, `nurse-${count}`, PASSWORD);
          assert.equal(answer.status, 200, `${count} ${steps}`);
          const { status } = await browser.post(page, { step: 'code', code: at(totp, steps) });
          assert.ok(status === 303 || (status === 401 && steps === -1), `${count} ${steps}: ${status}`);
        }
      }
    }),
);
