// docs/models.md, "Of one moment": the inputs of NEWS2 lie within one hour, or what the site has set; one outside is missing, and said so.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../../src/config.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import { readCatalogue } from '../../src/pages/catalogue.ts';
import { publicPages } from '../../src/pages/pages.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { AT, acvpu, bloodPressure, born, HOUR, iso, MODELS, measured, NEVER, roomAir } from './world.ts';

const MINUTE = HOUR / 60;
const patient = born('1960-05-05');

/** NEWS2 3 for breathing of 28, `apart` minutes before everything else, which adds 2 for a pulse of 115. */
const record = (apart: number): readonly Resource[] =>
  [
    measured('9279-1', 28, '/min', { effectiveDateTime: iso(AT - MINUTE - apart * MINUTE) }),
    ...[measured('59408-5', 98, '%'), measured('8867-4', 115, '/min'), measured('8310-5', 36.8, 'Cel')],
    ...[bloodPressure(124), acvpu('A'), roomAir()],
  ].map((resource, index) => (index === 0 ? resource : { ...resource, effectiveDateTime: iso(AT - MINUTE) }));

const NEWEST = 'before the newest input';
const rows: readonly (readonly [
  within: readonly string[],
  apart: number,
  total: number,
  atLeast: boolean,
  band: string | undefined,
  reason: string | undefined,
])[] = [
  [[], 0, 5, false, 'medium', undefined],
  [[], 60, 5, false, 'medium', undefined],
  [[], 61, 2, true, undefined, `measured more than 60 min ${NEWEST}`],
  [['news2=30'], 30, 5, false, 'medium', undefined],
  [['news2=30'], 31, 2, true, undefined, `measured more than 30 min ${NEWEST}`],
  [['news2=240'], 240, 5, false, 'medium', undefined],
  [['news2=240'], 241, 2, true, undefined, `measured more than 4 h ${NEWEST}`],
  [['news2=0'], 23 * 60, 5, false, 'medium', undefined],
  [['qsofa=10'], 60, 5, false, 'medium', undefined],
  [['qsofa=10'], 61, 2, true, undefined, `measured more than 60 min ${NEWEST}`],
];
test('simultaneity@news2: inputs within [0, 60] minutes of the newest count; one outside is missing, the total "at least N"', async () => {
  for (const [within, apart, ...wanted] of rows) {
    const models = await loadModels(MODELS, { now: () => AT, mode: 'inline', within });
    const found = await models.assess('news2', { patient, resources: record(apart), at: AT }, NEVER);
    const { reason } = found.missing.find(({ name }) => name === 'respiratoryRate') ?? {};
    const { outputs, atLeast, band, answeredBy } = found;
    assert.deepEqual([within, apart, outputs.total, atLeast, band, reason], [within, apart, ...wanted]);
    assert.equal(answeredBy, 'model');
    await models.close();
  }
});

test('simultaneity@site: a score from a file obeys it too; a site that names no model, or one twice, does not start', async () => {
  const mews = await loadModels(MODELS, { now: () => AT, mode: 'inline', within: ['mews=60'] });
  const found = await mews.assess('mews', { patient, resources: record(61), at: AT }, NEVER);
  assert.ok(found.atLeast && found.missing.some(({ reason }) => reason.endsWith(NEWEST)));
  await mews.close();
  for (const within of [['news3=60'], ['news2=60', 'news2=30'], ['news2=1h'], ['news2']]) {
    await assert.rejects(loadModels(MODELS, { now: () => AT, mode: 'inline', within }), TypeError, within.join(' '));
  }
});

test('simultaneity@setting: INPUTS_WITHIN_MINUTES is read as a list of model=minutes, and anything else is refused', () => {
  const read = (text: string) => readConfig({ INPUTS_WITHIN_MINUTES: text }).INPUTS_WITHIN_MINUTES;
  assert.deepEqual([read('news2=90'), read('news2=90, mews=60')], [['news2=90'], ['news2=90', 'mews=60']]);
  for (const wrong of ['news2', 'news2=', 'news2=-1', 'news2=1.5', 'news2=1000000', 'News 2=5']) {
    assert.throws(() => read(wrong), /INPUTS_WITHIN_MINUTES/, wrong);
  }
});

test('simultaneity@page: the page of the model says what holds here', () => {
  const root = join(MODELS, '..');
  const folders = { models: MODELS, knowledge: join(root, 'knowledge'), pages: join(root, 'pages') };
  const said = (within: readonly string[]) => {
    const pages = publicPages({ catalogue: readCatalogue(folders, within), assets: folders.pages, sandbox: undefined });
    const page = String(pages.answer('/models/news2/1.0.0', undefined)?.body);
    return /Values older than (.*?) before the newest/.exec(page)?.[1];
  };
  assert.deepEqual([said([]), said(['news2=90']), said(['news2=0'])], ['60 min', '90 min', undefined]);
});
