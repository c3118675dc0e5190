// docs/surveillance.md, Definitions: files that are right load; each fault is named with its file. The shipped ones are among them.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadSurveillance } from '../../src/surveillance/definition.ts';
import { codeQuery } from '../../src/surveillance/source.ts';
import { type OperationsWorld, operationsWorld } from '../rest/operations-world.ts';
import { definitionFolder, FLU, ICD } from './ward.ts';

const SHIPPED = loadSurveillance(join(import.meta.dirname, '..', '..', 'surveillance'));
const { sources: _sources, ...sourceless } = FLU;
const source = (content: object): object => ({ ...FLU, sources: [content] });
const codes = { codes: { [ICD]: ['J10.1'] } };
const detection = (content: object): object => ({ ...FLU, detection: { ...FLU.detection, ...content } });
const cusum = { k: 0.5, h: 4, baselineDays: 28, runDays: 14 };

const rows: readonly [content: unknown, fault: RegExp | undefined, why: string][] = [
  [FLU, undefined, 'control'],
  [detection({ cusum }), undefined, 'with CUSUM'],
  [detection({ cusum, thresholds: {} }), undefined, 'with CUSUM alone'],
  [source({ type: 'Condition', code: { valueSet: 'http://example.org/ValueSet/flu' } }), undefined, 'a value set'],
  ['{', /flu\.json: \/ /, 'no JSON'],
  [[], /must be object/, 'a list'],
  [sourceless, /'sources'/, 'no sources'],
  [{ ...FLU, sources: [] }, /fewer than 1/, 'an empty list of them'],
  [{ ...FLU, id: 'influenza' }, /its id is influenza/, 'the name of another file'],
  [{ ...FLU, id: 'Flu' }, /\/id must match/, 'an id that is none'],
  [{ ...FLU, version: '1' }, /\/version/, 'a version that is none'],
  [{ ...FLU, level: 'ward' }, /\/level/, 'a level that is none'],
  [{ ...FLU, severity: 'bad' }, /\/severity/, 'a severity that is none'],
  [{ ...FLU, episodeDays: 0 }, /\/episodeDays/, 'episodes of no day'],
  [{ ...FLU, episodeDays: 1 }, undefined, 'of one day'],
  [{ ...FLU, quietDays: 0 }, undefined, 'never quiet'],
  [{ ...FLU, quietDays: -1 }, /\/quietDays/, 'quiet before'],
  [{ ...FLU, minimumCount: 0 }, /\/minimumCount/, 'signals of nobody'],
  [{ ...FLU, smallCell: 0 }, /\/smallCell/, 'a cell of nobody'],
  [{ ...FLU, query: 'Patient?' }, /additional/, 'an element that is not defined'],
  [source({ type: 'Patient', code: codes }), /\/sources\/0\/type/, 'a type that holds no cases'],
  [source({ type: 'Condition' }), /\/sources\/0/, 'no codes at all: everybody'],
  [source({ type: 'Condition', code: codes, value: codes }), /\/sources\/0/, 'a Condition has no value'],
  [source({ type: 'Observation', code: codes }), /\/sources\/0/, 'an Observation without what was found'],
  [source({ type: 'Condition', code: { ...codes, valueSet: 'urn:x' } }), /\/code/, 'codes and value set'],
  [source({ type: 'Condition', code: { codes: {} } }), /\/codes/, 'no system'],
  [source({ type: 'Condition', code: { codes: { [ICD]: [] } } }), /\/codes/, 'no code'],
  [source({ type: 'Condition', code: { codes: { [ICD]: ['a,b'] } } }), /\/codes/, 'what a search would read as two'],
  [source({ type: 'Condition', code: { codes: { [ICD]: ['a&patient=1'] } } }), /\/codes/, 'or as a parameter'],
  [source({ type: 'Condition', code: { codes: { icd: ['J10.1'] } } }), /\/codes/, 'a system that is no URI'],
  [detection({ minimumDays: 6 }), /minimumDays is above baselineDays/, 'more days than there are'],
  [detection({ minimumDays: 5 }), undefined, 'all of them'],
  [detection({ cusum: { ...cusum, baselineDays: 3 }, minimumDays: 4 }), /above cusum/, 'more days than CUSUM has'],
  [detection({ minimumDeviation: 0 }), /\/minimumDeviation/, 'a division by 0'],
  [detection({ thresholds: {} }), /names no algorithm/, 'nothing to judge by'],
  [detection({ thresholds: { c4: 3 } }), /\/thresholds/, 'an algorithm that is none'],
  [detection({ thresholds: { c1: 0 } }), /\/thresholds\/c1/, 'a threshold of 0'],
];
for (const [content, fault, why] of rows) {
  test(`surveillance@definition: ${why}`, () => {
    const folder = definitionFolder(['flu.json', content]);
    try {
      if (fault === undefined) assert.deepEqual([...loadSurveillance(folder).keys()], ['flu']);
      else assert.throws(() => loadSurveillance(folder), fault);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

test('surveillance@definition: every file that is wrong is named at once', () => {
  const folder = definitionFolder(['a.json', FLU], ['b.json', '{'], ['flu.json', FLU]);
  try {
    assert.throws(() => loadSurveillance(folder), /a\.json: its id is flu.*b\.json: /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('surveillance@definition: counts depend on sources, level and episode, not on thresholds', () => {
  const hashOf = (content: object): string | undefined => {
    const folder = definitionFolder(['flu.json', { ...FLU, ...content }]);
    const by = loadSurveillance(folder).get('flu')?.countsBy;
    rmSync(folder, { recursive: true });
    return by;
  };
  const own = hashOf({});
  assert.equal(hashOf({ title: 'Flu', minimumCount: 9, quietDays: 9 }), own);
  for (const other of [{ level: 'si' }, { episodeDays: 9 }, { sources: FLU.sources.slice(1) }]) {
    assert.notEqual(hashOf(other), own, JSON.stringify(other));
  }
});

let w: OperationsWorld;
before(async () => {
  w = await operationsWorld();
});
after(() => w.close());
test('surveillance@shipped: the searches of every shipped definition are answered', async () => {
  assert.deepEqual(
    [...SHIPPED.keys()],
    ['c-difficile', 'gastrointestinal', 'influenza-like', 'mrsa', 'respiratory', 'sepsis'],
  );
  for (const { id, sources } of SHIPPED.values()) {
    for (const source of sources) {
      const { status, body } = await w.send('GET', `/${source.type}?${codeQuery(source)}`);
      assert.equal(status, 200, `${id}: ${body}`);
    }
  }
});
