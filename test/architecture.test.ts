// The rules of docs/architecture.md: who may import whom, who may read the clock and the environment, names, sizes.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

interface Room {
  /** Path prefix below src/; the longest that fits a file names its room. */
  readonly prefix: string;
  /** Path prefixes below src/ it may import, besides its own room. Type-only imports count too. */
  readonly rooms: readonly string[];
  /** Packages and node: modules it may import. */
  readonly packages: readonly string[];
}

const STORE_PACKAGES = [
  'better-sqlite3-multiple-ciphers',
  'node:worker_threads',
  'node:fs',
  'node:path',
  'node:crypto',
  'node:events',
  'node:url',
];
const ROOMS: readonly Room[] = [
  { prefix: 'fhir/quantity', rooms: ['fhir/'], packages: ['@lhncbc/ucum-lhc', 'node:module'] },
  { prefix: 'fhir/path/fhirpath', rooms: ['fhir/'], packages: ['fhirpath', 'node:module'] },
  { prefix: 'fhir/patch/', rooms: ['fhir/'], packages: ['fast-json-patch'] },
  { prefix: 'fhir/xml/read', rooms: ['fhir/'], packages: ['saxes'] },
  { prefix: 'fhir/definitions/load', rooms: ['fhir/'], packages: ['node:fs', 'node:path', 'node:crypto'] },
  { prefix: 'fhir/terminology/load', rooms: ['fhir/'], packages: ['node:fs', 'node:path', 'node:crypto', 'node:zlib'] },
  { prefix: 'fhir/', rooms: [], packages: ['fhir/r4.d.ts'] },
  { prefix: 'store/port', rooms: ['fhir/'], packages: [] },
  {
    prefix: 'store/mongodb',
    rooms: ['fhir/', 'audit', 'store/'],
    packages: ['mongodb', 'node:crypto', 'node:timers/promises', 'node:worker_threads'],
  },
  { prefix: 'store/', rooms: ['fhir/', 'audit'], packages: STORE_PACKAGES },
  {
    prefix: 'audit',
    rooms: ['fhir/', 'store/port', 'rest/context', 'audit'],
    packages: ['node:crypto', 'fhir/r4.d.ts'],
  },
  {
    prefix: 'rest/',
    rooms: ['fhir/', 'store/port', 'audit', 'smart/scopes', 'smart/policy', 'smart/consent-rule'],
    packages: ['node:crypto', 'fhir/r4.d.ts'],
  },
  {
    prefix: 'risk/models/session',
    rooms: ['fhir/', 'risk/'],
    packages: ['onnxruntime-node', 'node:worker_threads', 'node:url', 'node:module'],
  },
  {
    prefix: 'risk/',
    rooms: ['fhir/'],
    packages: ['ajv', 'ajv/dist/2020.js', 'node:fs', 'node:path', 'node:crypto', 'node:zlib'],
  },
  {
    prefix: 'cds/',
    rooms: ['fhir/', 'risk/', 'rest/', 'smart/access', 'smart/scopes', 'audit', 'store/port'],
    packages: ['node:zlib', 'jose', 'ajv', 'ajv/dist/2020.js', 'node:fs', 'node:path', 'node:crypto', 'fhir/r4.d.ts'],
  },
  {
    prefix: 'jobs/',
    rooms: ['fhir/', 'rest/', 'store/port', 'store/fenced'],
    packages: ['node:crypto', 'node:timers/promises', 'node:fs', 'node:fs/promises', 'node:path'],
  },
  {
    prefix: 'deidentify/',
    rooms: ['fhir/'],
    packages: ['ajv', 'node:fs', 'node:path', 'node:crypto'],
  },
  {
    prefix: 'export/',
    rooms: ['fhir/', 'rest/', 'store/port', 'jobs/', 'deidentify/'],
    packages: ['node:path'],
  },
  {
    prefix: 'import/',
    rooms: ['fhir/', 'rest/', 'store/port', 'jobs/'],
    packages: ['node:fs', 'node:fs/promises', 'node:path', 'node:crypto', 'node:stream/promises', 'node:url'],
  },
  {
    prefix: 'privacy/',
    rooms: ['fhir/', 'rest/', 'store/port', 'jobs/'],
    packages: ['node:fs/promises', 'node:path'],
  },
  {
    prefix: 'outbound/',
    rooms: [],
    packages: ['fhir-kit-client', 'undici', 'opossum', 'node:dns', 'node:http', 'node:https', 'node:net'],
  },
  {
    prefix: 'subscriptions/',
    rooms: ['fhir/', 'rest/', 'store/port', 'outbound/'],
    packages: ['node:crypto', 'ws', 'node:fs', 'node:path', 'node:http', 'node:stream', 'node:timers/promises'],
  },
  {
    prefix: 'pages/',
    rooms: ['fhir/', 'risk/', 'cds/'],
    packages: ['node:fs', 'node:path', 'node:crypto', 'node:zlib'],
  },
  {
    prefix: 'authorization/',
    rooms: ['fhir/', 'smart/scopes', 'store/port'],
    packages: ['oidc-provider', 'otpauth', 'jose', 'node:crypto', 'node:util'],
  },
  { prefix: 'smart/scopes', rooms: ['fhir/'], packages: [] },
  { prefix: 'smart/policy', rooms: ['fhir/', 'smart/scopes', 'smart/consent-rule'], packages: [] },
  { prefix: 'smart/consent-rule', rooms: ['fhir/'], packages: [] },
  {
    prefix: 'smart/',
    rooms: ['fhir/', 'rest/', 'store/port'],
    packages: ['jose', 'ajv', 'node:fs', 'node:path', 'node:crypto', 'fhir/r4.d.ts'],
  },
  {
    prefix: 'monitor/',
    rooms: ['fhir/', 'rest/', 'risk/', 'store/port'],
    packages: ['ajv', 'node:fs', 'node:path', 'node:crypto'],
  },
  { prefix: 'migrate/', rooms: ['store/', 'commands/progress'], packages: ['node:crypto'] },
  {
    prefix: 'surveillance/',
    rooms: ['fhir/', 'rest/', 'store/port'],
    packages: ['ajv', 'node:fs', 'node:path', 'node:crypto', 'node:util'],
  },
  { prefix: 'telemetry/', rooms: ['store/port', 'risk/assessment'], packages: ['winston'] },
  {
    prefix: 'http/',
    rooms: [
      'fhir/',
      'rest/',
      'cds/',
      'pages/',
      'authorization/',
      'smart/',
      'audit',
      'telemetry/',
      'store/port',
      'config',
    ],
    packages: [
      'express',
      'node:http',
      'node:net',
      'node:zlib',
      'node:crypto',
      'node:stream',
      'node:stream/promises',
      'fhir/r4.d.ts',
    ],
  },
];
/** The composition root and its neighbours at the top of src/ may import anything but each other's internals; nothing imports these three. */
const TOP = ['system.ts', 'main.ts', 'serve.ts'];

const files = globSync('src/**/*.ts').map((file) => ({
  file: relative('src', file),
  text: readFileSync(file, 'utf8'),
}));
const roomOf = (file: string): Room | undefined => ROOMS.find(({ prefix }) => file.startsWith(prefix));
const importsOf = (text: string): string[] =>
  [...text.matchAll(/^(?:import|export)\s[^;]*?from\s+'([^']+)'/gms)].map(([, from]) => from ?? '');

test('architecture@imports: a room imports only what its row names', () => {
  const wrong = files.flatMap(({ file, text }) => {
    const room = roomOf(file);
    if (room === undefined) return [];
    return importsOf(text).flatMap((from) => {
      if (!from.startsWith('.')) return room.packages.includes(from) ? [] : [`${file} imports ${from}`];
      const target = join(dirname(file), from);
      const allowed =
        target.startsWith(room.prefix) ||
        room.rooms.some((prefix) => target.startsWith(prefix)) ||
        (room.prefix.startsWith('fhir/') && target.startsWith('fhir/'));
      return allowed ? [] : [`${file} imports ${target}`];
    });
  });
  assert.deepEqual(wrong, []);
});

/**
 * Folders of a room, in layers: a file imports its own layer, those before it, and the files at the top of the room. What stands in one
 * layer may know each other; engines do not.
 */
const LAYERS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'rest/': [['wire'], ['permission'], ['interactions'], ['operations'], ['privacy'], ['jobs']],
  'cds/': [['hook'], ['clients'], ['services', 'cards'], ['basis'], ['call'], ['feedback']],
  'risk/': [['features', 'triage'], ['scores'], ['models'], ['drugs']],
};

for (const [room, layers] of Object.entries(LAYERS)) {
  const heightOf = (file: string): number =>
    layers.findIndex((folders) => folders.some((folder) => file.startsWith(`${room}${folder}/`)));
  test(`architecture@layers: folders of ${room} import downwards`, () => {
    const inside = files.filter(({ file }) => file.startsWith(room) && file.split('/').length > 2);
    assert.deepEqual(
      inside.filter(({ file }) => heightOf(file) < 0).map(({ file }) => file),
      [],
      'every folder has its layer',
    );
    const wrong = inside.flatMap(({ file, text }) =>
      importsOf(text)
        .filter((from) => from.startsWith('.') && heightOf(join(dirname(file), from)) > heightOf(file))
        .map((from) => `${file} imports ${from}`),
    );
    assert.deepEqual(wrong, []);
  });
}

test('architecture@engines: the two engines do not know each other', () => {
  const wrong = files.flatMap(({ file, text }) => {
    const [, engine] = /^store\/(sqlite|mongodb)/.exec(file) ?? [];
    const other = engine === 'sqlite' ? 'store/mongodb' : 'store/sqlite';
    return engine === undefined
      ? []
      : importsOf(text)
          .filter((from) => join(dirname(file), from).startsWith(other))
          .map((from) => `${file} imports ${from}`);
  });
  assert.deepEqual(wrong, []);
});

test('architecture@top: nothing below imports the composition root', () => {
  const wrong = files
    .filter(({ file }) => roomOf(file) !== undefined)
    .flatMap(({ file, text }) =>
      importsOf(text)
        .filter((from) => from.startsWith('.') && TOP.includes(join(dirname(file), from)))
        .map((from) => `${file} imports ${from}`),
    );
  assert.deepEqual(wrong, []);
});

/** The server's own questions, whose results no caller is shown: docs/decisions/0028. */
const UNFILTERED = [
  'fhir/search/plan.ts',
  'parameters/client-parameters.ts',
  'privacy/purge.ts',
  'rest/interactions/integrity.ts',
  'rest/interactions/parameter-claim.ts',
  'rest/interactions/patient-links.ts',
  'rest/permission/referred.ts',
  'rest/privacy/access-log.ts',
  'rest/privacy/legal-hold.ts',
  'smart/consent-actors.ts',
  'smart/held-consents.ts',
];

test('architecture@filtered: a plan is made with an access filter, but for the files that are named', () => {
  const makes = /unfilteredPlan\(|\bsort: \[[^\]]*\],\s*principal\b|: SearchPlan = \{/;
  const found = files.filter(({ text }) => makes.test(text)).map(({ file }) => file);
  assert.deepEqual(found.toSorted(), UNFILTERED);
});

test('architecture@cycles: no import cycles between files', () => {
  const graph = new Map(
    files.map(({ file, text }) => [
      file,
      importsOf(text.replace(/^import type [^;]*;/gms, ''))
        .filter((from) => from.startsWith('.'))
        .map((from) => join(dirname(file), from)),
    ]),
  );
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
    if (done.has(file) || path.includes(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  assert.deepEqual(cycles, []);
});

const ONLY_IN: readonly { readonly what: RegExp; readonly where: readonly string[]; readonly why: string }[] = [
  {
    what: /process\.env/,
    where: ['config.ts', 'risk/models/session.ts'],
    why: 'settings are one table; the ONNX runtime is told to send nothing',
  },
  {
    what: /Date\.now\(|new Date\(\)|randomUUID\(/,
    where: ['ambient.ts', 'store/sqlite/commit.ts', 'store/mongodb/commit.ts'],
    why: 'time and ids enter as Ambient; the writer stamps commits',
  },
  {
    what: /from '(?:node:https?|undici|node:dns)'|\bfetch\(/,
    where: [
      ...['http/app.ts', 'http/body.ts', 'http/fhir.ts', 'http/cds.ts', 'http/ops.ts', 'http/access.ts', 'probe.ts'],
      ...['http/oauth.ts'],
      ...['outbound/outbound.ts', 'outbound/fhir-servers.ts', 'subscriptions/socket.ts'],
    ],
    why: 'calls leave through outbound/outbound.ts only',
  },
  { what: /\.innerHTML|\beval\(|new Function\(/, where: [], why: 'no code from text' },
  { what: /\bas any\b|: any\b|@ts-ignore|@ts-expect-error|biome-ignore/, where: [], why: 'types stay on' },
];
for (const { what, where, why } of ONLY_IN) {
  test(`architecture@only-in: ${what} (${why})`, () => {
    const wrong = files
      .filter(({ file, text }) => what.test(text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')) && !where.includes(file))
      .map(({ file }) => file);
    assert.deepEqual(wrong, []);
  });
}

test('architecture@resource-types: no code names a resource type outside tables of fhir/ and the rooms whose subject it is', () => {
  const branch = /===\s*'(?:Patient|Observation|Encounter|Condition|MedicationRequest|Practitioner|Binary|Group)'/;
  const wrong = files
    .filter(({ file, text }) => /^(?:rest|store|http)\//.test(file) && branch.test(text))
    .map(({ file }) => file);
  assert.deepEqual(wrong, []);
});

test('architecture@names: no name that says nothing of the field, no file over 400 lines', () => {
  const vague = files.filter(
    ({ file }) =>
      /(?:^|[/-])(?:utils?|helpers?|managers?|common|misc|shared|lib|index|types)\.ts$/.test(file) &&
      file !== 'fhir/search/types.ts',
  );
  assert.deepEqual(
    vague.map(({ file }) => file),
    [],
  );
  const long = files.filter(({ text }) => text.split('\n').length > 401);
  assert.deepEqual(
    long.map(({ file }) => file),
    [],
  );
});
