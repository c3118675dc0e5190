// Published scores through resources: both sides of every boundary, and vignettes. Expected points are an independent transcription of the
// publications (test/risk/vignettes/transcribe.py), never read from models/scores.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Assessment } from '../../src/risk/assessment.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import { type Inputs, patientOf, resourcesOf } from './score-world.ts';
import { AT, MODELS, NEVER } from './world.ts';

interface Expected {
  readonly total?: number;
  readonly atLeast?: boolean;
  readonly parts?: Readonly<Record<string, number>>;
  readonly outputs?: Readonly<Record<string, number>>;
}
interface Row {
  readonly inputs: Inputs;
  readonly expected: Expected;
}
interface Case extends Row {
  readonly score: string;
  readonly input: string;
}
const json = <T>(path: string): readonly T[] => JSON.parse(readFileSync(path, 'utf8'));
const HERE = import.meta.dirname;

let models: LoadedModels;
before(async () => {
  models = await loadModels(MODELS, { now: () => AT, mode: 'inline' });
});
after(() => models.close());

/** Points by item: the parts of a score file, the points beside the inputs of a graph. */
const partsOf = ({ parts, used }: Assessment): Readonly<Record<string, number>> =>
  parts ??
  Object.fromEntries(used.flatMap(({ name, points }) => (points === undefined ? [] : [[name, points] as const])));

/** What differs from what is expected; empty when nothing does. */
async function differences(score: string, { inputs, expected }: Row): Promise<readonly string[]> {
  const found = await models.assess(
    score,
    { patient: patientOf(inputs), resources: resourcesOf(inputs), at: AT },
    NEVER,
  );
  const given = partsOf(found);
  const kept: Assessment = JSON.parse(JSON.stringify(found));
  const again = await models.rescore(kept.model, kept.answeredBy, kept.vector ?? []);
  const facts: readonly (readonly [what: string, found: unknown, wanted: unknown])[] = [
    ['outside', found.outsidePopulation, undefined],
    ['again', JSON.stringify(again), JSON.stringify(found.outputs)],
    ...(expected.total === undefined ? [] : [['total', found.outputs.total, expected.total] as const]),
    ...(expected.atLeast === undefined ? [] : [['atLeast', found.atLeast, expected.atLeast] as const]),
    ...Object.entries(expected.parts ?? {}).map(([name, wanted]) => [name, given[name], wanted] as const),
    ...Object.entries(expected.outputs ?? {}).map(([name, wanted]) => [name, found.outputs[name], wanted] as const),
  ];
  return facts.flatMap(([what, one, other]) =>
    Object.is(one, other) ? [] : [`${score} ${JSON.stringify(inputs)}: ${what} ${one}, not ${other}`],
  );
}

test('score@boundaries: both sides of every boundary of every item', async () => {
  const cases = json<Case>(join(HERE, 'cases', 'scores.json'));
  assert.ok(cases.length >= 900, `${cases.length}`);
  const wrong = (await Promise.all(cases.map((row) => differences(row.score, row)))).flat();
  assert.deepEqual(wrong.slice(0, 20), []);
});

test('score@vignettes: at least 500 rows give the published points, totals and lower bounds', async () => {
  const files = globSync(join(HERE, 'vignettes', '*.json'));
  const rows = files.flatMap((file) => json<Row>(file).map((row) => [basename(file, '.json'), row] as const));
  assert.ok(rows.length >= 500, `${rows.length}`);
  const wrong = (await Promise.all(rows.map(([score, row]) => differences(score, row)))).flat();
  assert.deepEqual(wrong.slice(0, 20), []);
});

test('score@again: only by the same file, and only a whole vector; another vector gives another result', async () => {
  const inputs = { age: 60, pulse: 130 };
  const [patient, resources] = [patientOf(inputs), resourcesOf(inputs)];
  const {
    model,
    answeredBy,
    vector = [],
    vectorUnits = [],
    outputs,
  } = await models.assess('mews', { patient, resources, at: AT }, NEVER);
  assert.equal(vectorUnits.length, vector.length);
  assert.equal(vectorUnits[vector.indexOf(130)], '/min');
  assert.deepEqual(await models.rescore(model, answeredBy, vector), outputs, 'control');
  assert.equal(await models.rescore({ ...model, sha256: 'x' }, answeredBy, vector), undefined);
  assert.equal(await models.rescore({ ...model, version: '0.9.0' }, answeredBy, vector), undefined);
  assert.equal(await models.rescore(model, answeredBy, vector.slice(1)), undefined);
  const calm = vector.map((value) => (value === 130 ? 80 : value));
  assert.notDeepEqual(await models.rescore(model, answeredBy, calm), outputs);
});

test('score@covered: every score of the folder has vignettes', () => {
  const scores = globSync(join(MODELS, 'scores', '*.json')).map((file) => basename(file, '.json'));
  const covered = new Set(globSync(join(HERE, 'vignettes', '*.json')).map((file) => basename(file, '.json')));
  assert.deepEqual(
    scores.filter((id) => !covered.has(id) && !['sepsis-3', 'sepsis-hour-1'].includes(id)),
    [],
    'these have tables of their own: test/risk/sepsis-3.test.ts, test/cds/sepsis-bundle.test.ts',
  );
});
