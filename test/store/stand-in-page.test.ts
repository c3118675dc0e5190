// docs/store-stand-in.md: what a file's run tells, and the page that is made of many.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FileRun, rowsOf, standInPage } from '../../scripts/stand-in-page.ts';

const TAP = `TAP version 13
# Subtest: a \\# b
ok 1 - a \\# b
ok 2 - skipped # SKIP the stand-in of MongoDB: slow
# Subtest: group
    # Subtest: in | one
    ok 1 - in | one
      ---
      duration_ms: 0.1
      ...
    not ok 2 - in two
      ---
      stack: |-
        at ok 7 - no row
      ...
    1..2
not ok 3 - group
not ok 4 - late
ok 5 - bare # SKIP
1..5
# pass 2
`;

test('rows of a run: groups are no rows, but are named when what is in them fails', () => {
  assert.deepEqual(rowsOf(TAP), {
    passed: 2,
    failed: 2,
    skips: [
      { row: 'skipped', why: 'the stand-in of MongoDB: slow' },
      { row: 'bare', why: '' },
    ],
    failing: ['in two', 'group', 'late'],
  });
});

test('a run that was cut short tells what it had', () => {
  assert.deepEqual(rowsOf('ok 1 - one\n# Subtest: two\n'), { passed: 1, failed: 0, skips: [], failing: [] });
  assert.deepEqual(rowsOf(''), { passed: 0, failed: 0, skips: [], failing: [] });
});

const run = (over: Partial<FileRun>): FileRun => ({
  ...{ file: 'test/a.test.ts', commit: 'abc1234', isPass: true, began: '2026-01-02T03:04:05.000Z', seconds: 7 },
  ...{ end: 'passes', passed: 3, failed: 0, skips: [], failing: [], ...over },
});
const SETTINGS = {
  ...{ standIn: 'Stand 1', counts: { LEAK_CASES: '6' }, machine: 'a machine' },
  files: ['test/a.test.ts', 'test/b.test.ts', 'test/c.test.ts', 'test/d.test.ts'],
};

test('the page: one pass, what it did not reach, what failed, what was run again, and why rows were skipped', () => {
  const page = standInPage(
    [
      run({ file: 'test/c.test.ts', end: 'time', passed: 0 }),
      run({ file: 'test/b.test.ts', end: 'fails', passed: 1, failed: 1, failing: ['one | row'] }),
      run({ skips: [{ row: 'x', why: 'slow' }] }),
      run({ file: 'test/b.test.ts', isPass: false, commit: 'def5678', began: '2026-01-02T05:00:00.000Z' }),
      run({ file: 'test/gone.test.ts', isPass: false }),
    ],
    SETTINGS,
  );
  assert.match(page, /One pass of 3 of 4 files, .* on the commit abc1234: \*\*1 files pass, 2 do not\*\*;/);
  assert.match(page, /\n4 rows passed, 1 failed, 1 were skipped\. On a machine\./);
  assert.match(page, /\*\*Not run in the pass:\*\* `test\/d\.test\.ts`\./);
  assert.match(page, /- `test\/b\.test\.ts`: "one \| row"\.\n- `test\/c\.test\.ts`: no row told; ended by its time\./);
  assert.match(page, /\| `test\/b\.test\.ts` \| 2026-01-02 05:00 UTC \| def5678 \| passes \| 3 \| 0 \| 0 \| 7 \|/);
  assert.match(
    page,
    /\| `test\/a\.test\.ts` \| abc1234 \| passes \| 3 \| 0 \| 1 \| 7 \|\n\| `test\/b\.test\.ts` \| abc1234 \| \*\*fails\*\*/,
  );
  assert.match(page, /\| slow \| 1 \| `test\/a\.test\.ts` \|/);
  assert.doesNotMatch(page, /gone/);
});

test('the page of a pass in which nothing failed says so', () => {
  const page = standInPage([run({})], { ...SETTINGS, files: ['test/a.test.ts'] });
  assert.match(page, /## What failed in the pass\n\nNothing\.\n/);
  assert.match(page, /## Run again after the pass\n\nNone\.\n/);
});
