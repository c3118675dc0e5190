// cds-services/*.json against hooks, search claims and models at start-up; discovery. CDS Hooks 2.0.1 "Discovery", "Prefetch Template".
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT, world } from './world.ts';

const FOLDER = join(ROOT, 'cds-services');
type Json = Record<string, unknown>;
const read = (name: string): Json => JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8'));
const SCORES = read('deterioration-sepsis');
const DRUGS = read('drug-interactions-sign');

function problemsOf(files: Readonly<Record<string, Json | string>>): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'cds-'));
  try {
    cpSync(join(FOLDER, 'schema.json'), join(folder, 'schema.json'));
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(folder, `${name}.json`), typeof content === 'string' ? content : JSON.stringify(content));
    }
    return world({ folder }).cds.problems;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
const template = (text: string): Json => ({ ...SCORES, prefetch: { x: text }, optionalPrefetch: [] });
const engine = (change: object): Json => ({ ...SCORES, engine: { ...(SCORES.engine as object), ...change } });
const rule = (change: object) =>
  engine({ rules: [{ model: 'news2', band: 'high', indicator: 'info', summary: '{label}', ...change }] });

const thresholds = (first: number, second: number) =>
  engine({
    scoreOutputs: { news2: 'total' },
    rules: [
      { model: 'news2', band: 'high', indicator: 'warning', summary: '{label}', from: first },
      { model: 'news2', band: 'medium', indicator: 'info', summary: '{label}', from: second },
    ],
  });

const ordering = (change: object, output = 'sepsis') =>
  engine({
    models: ['news2', 'qsofa', 'sirs', 'sepsis-3'],
    orders: {
      title: 'Bundle',
      model: 'sepsis-3',
      bands: ['sepsis'],
      items: [
        {
          id: 'lactate',
          label: 'lactate',
          when: { model: 'sepsis-3', output },
          coding: { system: 'http://loinc.org', code: '2524-7', display: 'Lactate' },
          timing: 'now',
        },
      ],
      ...change,
    },
  });

const rows: readonly [problem: RegExp | undefined, file: Json | string, why: string][] = [
  [undefined, SCORES, 'control'],
  [undefined, DRUGS, 'control'],
  [undefined, template('Encounter/{{context.encounterId}}'), '§1.4.1 optional field as token'],
  [undefined, template('Practitioner/{{userPractitionerId}}'), '§1.4.1 user token'],
  [undefined, template('Observation?patient={{context.patientId}}&date=ge2020-01-01'), '§1.4.2 date with ge'],
  [/token `context.draftOrders`/, template('Patient/{{context.draftOrders}}'), '§1.2.4 §1.4.1 no token'],
  [
    /token `context.patientId.id`/,
    template('Patient/{{context.patientId.id}}'),
    '§1.2.4 §1.4.1 §8.4 deeper than the root',
  ],
  [
    /token `today\(\)`/,
    template('Observation?patient={{context.patientId}}&date=ge{{today()}}'),
    '§1.2.4 §1.4.1 §8.4 a token of 3.0',
  ],
  [/braces/, template('Patient/{{context.patientId}'), 'broken braces'],
  [/neither/, template('Patient'), 'neither read nor search'],
  [/does not exist/, template('Patients/{{context.patientId}}'), 'no resource type'],
  [
    /`_include`/,
    template('MedicationRequest?patient={{context.patientId}}&_include=MedicationRequest:medication'),
    '§1.4.2 an include',
  ],
  [/`_has`|_has/, template('Patient?_has:Observation:patient:code=1'), '§1.4.2 a reverse chain'],
  [/chains/, template('Observation?subject.identifier=1'), '§1.4.2 a chain'],
  [/only reference, token and date/, template('Patient?name=x'), '§1.4.2 a string parameter'],
  [/modifier `:not`/, template('Observation?code:not=1'), '§1.4.2 a modifier'],
  [/prefix/, template('Observation?patient={{context.patientId}}&date=sa2020'), '§1.4.2 prefix sa'],
  [/no search parameter/, template('Observation?nonsense=1'), 'an unknown parameter'],
  [/`_count`/, template('Observation?patient={{context.patientId}}&_count=many'), '_count that is no number'],
  [/hook `patient-veiw` is not known/, { ...SCORES, hook: 'patient-veiw' }, 'unknown hook'],
  [/not known/, { ...SCORES, hook: 'medication-prescribe' }, 'deprecated hook'],
  [/a hook with orders/, { ...DRUGS, hook: 'patient-view' }, 'drug-safety without draft orders'],
  [
    /model `news3` is not loaded/,
    engine({ models: ['news2', 'qsofa', 'sirs', 'news3'] }),
    'a model that is not loaded',
  ],
  [/not among its models/, engine({ models: ['news2'] }), 'a rule of another model'],
  [/a meaning without a threshold/, rule({ meaning: 'x' }), 'a meaning without a threshold'],
  [
    /a threshold of `news2`, which has no scoreOutput/,
    engine({
      scoreOutputs: {},
      rules: [{ model: 'news2', band: 'high', indicator: 'info', summary: '{label}', from: 5 }],
    }),
    'a threshold on a model without a score',
  ],
  [undefined, thresholds(7, 5), 'thresholds in falling order'],
  [/not in falling order/, thresholds(5, 7), 'thresholds in rising order'],
  [/not in falling order/, thresholds(5, 5), 'the same threshold twice'],
  [undefined, ordering({}), 'orders of a published score'],
  [/orders by `news2`, which is no score from a file/, ordering({ model: 'news2' }), 'a graph proposes an order'],
  [
    /orders name `mews`, which is not among its models/,
    ordering({ model: 'mews' }),
    'orders of a model that is not asked',
  ],
  [/`sepsis-3` has no band `severe`/, ordering({ bands: ['severe'] }), 'orders of a band that the score does not have'],
  [/score `sepsis-3` has no result `guess`/, ordering({}, 'guess'), 'orders by a result that the score does not have'],
  [/has no band `severe`/, rule({ band: 'severe' }), 'a band the model does not have'],
  [/unknown token/, rule({ summary: '{probability}' }), 'an unknown summary token'],
  [/engine/, rule({ indicator: 'critical' }), '§6.2.6 critical from a score'],
  [/never gives `critical`/, { ...SCORES, ceiling: 'critical' }, 'a ceiling of critical for scores'],
  [
    /engine/,
    { ...DRUGS, engine: { kind: 'drug-safety', severities: { major: 'critical' } } },
    'critical for less than contraindicated',
  ],
  [/topic/, { ...SCORES, topic: undefined }, 'no topic'],
  [/topic/, { ...SCORES, topic: { system: 'urn:x', code: 'a_b', display: 'x' } }, 'a topic code with underscore'],
  [/disclaimer lacks/, { ...SCORES, disclaimer: 'Careful.' }, 'a disclaimer that says nothing'],
  [/markup/, { ...SCORES, notice: '<b>x</b>' }, 'markup in a text'],
  [/absolute/, { ...SCORES, links: [{ label: 'x', url: '/x' }] }, 'a relative link'],
  [/optionalPrefetch/, { ...SCORES, optionalPrefetch: ['nothing'] }, 'an optional key that is none'],
  [
    /repeats a code/,
    { ...SCORES, overrideReasons: [1, 2].map(() => ({ system: 'urn:x', code: 'a', display: 'A' })) },
    '§1.6.9 override reasons twice',
  ],
  [/additional/, { ...SCORES, colour: 'red' }, 'an unknown field'],
  [/JSON/, '{', 'not JSON'],
];
for (const [problem, file, why] of rows) {
  test(`${why} (cds-service@start-up ${problem === undefined ? 'accepts' : 'refuses'})`, () => {
    const problems = problemsOf({ one: file });
    if (problem === undefined) assert.deepEqual(problems, []);
    else
      assert.ok(
        problems.some((text) => problem.test(text) && text.startsWith('cds-services/one.json: ')),
        problems.join('\n'),
      );
  });
}

test('§1.2.3 cds-service@start-up: every problem of every file is listed; two files may not share an id', () => {
  const problems = problemsOf({ a: { ...template('Patients/1'), ceiling: 'critical' }, b: SCORES, c: SCORES });
  assert.deepEqual(
    problems.map((text) => text.split(':')[0]),
    ['cds-services/a.json', 'cds-services/a.json', 'cds-services/b.json', 'cds-services/c.json'],
  );
});

test('§1.1.2 §1.2.2 §1.4.2 cds-hooks-2.0@discovery: our services, each with hook, description and id, nothing empty; ETag', () => {
  const { cds } = world();
  assert.deepEqual(cds.problems, []);
  const { status, headers, body } = cds.discover();
  const { services }: { services: readonly Json[] } = JSON.parse(body);
  assert.equal(status, 200);
  assert.deepEqual(
    services.map(({ id, hook }) => [id, hook]),
    [
      ['allergy-create', 'allergyintolerance-create'],
      ['deterioration-sepsis', 'patient-view'],
      ['drug-interactions-refill', 'medication-refill'],
      ['drug-interactions-select', 'order-select'],
      ['drug-interactions-sign', 'order-sign'],
      ['icu-mortality', 'patient-view'],
      ['readmission-discharge', 'encounter-discharge'],
      ['sepsis-3-start', 'encounter-start'],
      ['sepsis-3-view', 'patient-view'],
      ['sepsis-icu', 'patient-view'],
      ['triage', 'patient-view'],
    ],
  );
  assert.deepEqual([...new Set(services.flatMap((service) => Object.keys(service)))].toSorted(), [
    'description',
    'hook',
    'id',
    'prefetch',
    'title',
    'usageRequirements',
  ]);
  assert.doesNotMatch(body, /null|""|\[\]|\{\}/);
  assert.equal(cds.discover({ 'if-none-match': headers.ETag ?? '' }).status, 304);
  assert.equal(cds.discover({ 'if-none-match': '"other"' }).status, 200);
});

test('§1.1.2 §1.2.1 cds-service@disabled: checked but neither discovered nor callable', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cds-'));
  try {
    cpSync(join(FOLDER, 'schema.json'), join(folder, 'schema.json'));
    writeFileSync(join(folder, 'one.json'), JSON.stringify({ ...SCORES, enabled: false }));
    const { cds, call } = world({ folder });
    assert.deepEqual(
      [cds.problems, cds.discover().body, (await call('deterioration-sepsis', {})).status],
      [[], '{"services":[]}', 404],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
