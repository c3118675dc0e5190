/** Mutants of a JSON value, from a seed: the same seed gives the same mutants. */

/** Numbers from 0 up to 1, by mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
type Random = () => number;
export const pick = <T>(random: Random, from: readonly [T, ...T[]]): T =>
  from[Math.floor(random() * from.length)] ?? from[0];

const deep = (levels: number, close: unknown = 1): unknown => {
  let value = close;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
};
const LONG = 'x'.repeat(70_000);
const TEXTS = [
  '',
  ' ',
  '\u202e',
  '\u200b\u200d',
  '\ufeff',
  '\ud83d\udc8a',
  'İıß',
  '\u0000',
  'a\u0000b',
  "'; DROP TABLE resource;--",
  '<script>',
  '../../etc/passwd',
  '__proto__',
  'constructor',
  'toString',
  'Patient/../x',
  '%2e%2e',
  '{{context.patientId}}',
  '2023-02-30',
  '9999-12-31T23:59:60Z',
  '0000-00-00',
  'NaN',
  '-0',
  '1e400',
  'urn:uuid:',
  '#',
  '#contained',
  'Medication/',
  LONG,
] as const;
const VALUES: readonly [unknown, ...unknown[]] = [
  null,
  true,
  false,
  0,
  -1,
  1e308,
  5e-324,
  9_007_199_254_740_992,
  -0.1,
  [],
  {},
  [[]],
  [null],
  [{}],
  { a: null },
  { resourceType: 'Bundle' },
  { resourceType: 'Patient' },
  { resourceType: 'Bundle', entry: [{ resource: { resourceType: 'Bundle', entry: [] } }] },
  { resourceType: 'OperationOutcome', issue: [{ severity: 'error' }] },
  { resourceType: 'toString' },
  { reference: '#' },
  { reference: 'Patient/x' },
  { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  { value: 1, unit: 'mg', system: 'http://unitsofmeasure.org', code: 'mg' },
  deep(20),
  deep(60),
  deep(63),
  deep(64),
  deep(200),
  deep(500),
];

interface Parent {
  readonly holder: Record<string, unknown> | unknown[];
  readonly key: string;
}
/** Every place of the value that has a name. */
function places(value: unknown, found: Parent[] = []): Parent[] {
  if (typeof value !== 'object' || value === null) return found;
  const holder = value as Parent['holder'];
  for (const [key, inner] of Object.entries(holder)) {
    found.push({ holder, key });
    places(inner, found);
  }
  return found;
}
const get = ({ holder, key }: Parent): unknown => (holder as Record<string, unknown>)[key];
const set = ({ holder, key }: Parent, value: unknown): void => {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
};

/** What may happen to one place. */
const CHANGES: readonly [
  (at: Parent, all: readonly Parent[], random: Random) => void,
  ...((at: Parent, all: readonly Parent[], random: Random) => void)[],
] = [
  (at, _all, random) => set(at, pick(random, VALUES)),
  (at, _all, random) => set(at, pick(random, TEXTS)),
  ({ holder, key }) => void (Array.isArray(holder) ? holder.splice(Number(key), 1) : delete holder[key]),
  (at) => set(at, [get(at)]),
  (at) => set(at, { value: get(at) }),
  (at) => set(at, String(JSON.stringify(get(at))).slice(0, 100_000)),
  (at, all, random) => set(at, structuredClone(get(pick(random, [at, ...all])))),
  (at, _all, random) =>
    set(
      at,
      Array.from({ length: pick(random, [2, 200, 1000, 1001, 6000]) }, () => small(get(at))),
    ),
  ({ holder, key }, _all, random) => {
    if (!Array.isArray(holder))
      set({ holder, key: pick(random, [...TEXTS, key.toUpperCase(), `_${key}`, 'extension']) }, holder[key]);
  },
  (at) =>
    set(
      at,
      typeof get(at) === 'string'
        ? `${get(at)}${get(at)}\u0301`
        : typeof get(at) === 'number'
          ? Number(get(at)) * -1e9
          : -1e9,
    ),
  (at) =>
    set(
      at,
      typeof get(at) === 'string'
        ? String(get(at)).split('').reverse().join('')
        : (JSON.stringify(get(at)) ?? '').slice(0, 1000),
    ),
];
/** Long lists hold copies of what is short, so that a body stays below its limit. */
const small = (value: unknown): unknown => ((JSON.stringify(value) ?? '').length > 400 ? {} : structuredClone(value));

/** The text of a mutant: one to four places changed; one in eight is then cut, doubled or poisoned as text. */
export function mutant(valid: unknown, random: Random): string {
  const body = structuredClone(valid);
  for (let change = 0; change <= random() * 4; change++) {
    const all = places(body);
    if (all.length === 0) break;
    // The first places are the request's own fields: they are changed more often than their share.
    const among = random() < 0.3 ? all.filter(({ holder }) => holder === body) : all;
    const at = among[Math.floor(random() * among.length)];
    if (at !== undefined) pick(random, CHANGES)(at, all, random);
  }
  const text = JSON.stringify(body) ?? '';
  if (random() >= 0.125) return text;
  const cut = Math.floor(random() * text.length);
  return pick(random, [
    text.slice(0, cut),
    text.slice(0, cut) +
      pick(random, [
        'null',
        '['.repeat(20_000) + ']'.repeat(20_000),
        '{"__proto__":1}',
        '\\u0000',
        '1e999',
        '\u202e',
        '"',
        ']',
        '}',
      ]) +
      text.slice(cut + 1),
    `${text}${text.slice(0, 1000)}`,
    text.replace('"hook":', '"hook":1,"hook":'),
  ]);
}
