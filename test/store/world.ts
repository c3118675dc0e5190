/** Small random worlds and predicates for the storage property tests, from a seed; and commit requests in short. */
import type { IndexEntry, Predicate, Relation, SortKey } from '../../src/fhir/search/algebra.ts';
import type { AuditRow, Command, WriteMethod } from '../../src/store/port.ts';

export type Random = () => number;

/** mulberry32: uniform in [0, 1). */
export function random(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const whole = (next: Random, below: number): number => Math.floor(next() * below);
export function pick<T>(next: Random, of: readonly T[]): T {
  const found = of[whole(next, of.length)];
  if (found === undefined) throw new TypeError('nothing to pick from');
  return found;
}
const some = <T>(next: Random, most: number, make: () => T): T[] => Array.from({ length: whole(next, most + 1) }, make);

const SYSTEMS = ['', 'http://a', 'http://b'];
const CODES = ['', 'x', 'y', 'z', '10'];
const FOLDED = ['anna', 'ann', 'bob', 'böb'.normalize('NFC'), 'annabel lee', 'z'];
const URIS = ['http://u/a', 'http://u/a/b', 'http://u/ab', 'urn:oid:1.2', 'http://u/a/'];
/** Both poles, both sides of the date line. */
const LATITUDES = [-90, 0, 0.5, 52.5, 90];
const LONGITUDES = [-180, -179.5, 0, 13.4, 179.5];
const WORDS = ['bone', 'liver', 'müller', '¦', '7', 'NEAR'.toLowerCase()];
const UNITS = ['', 'u|mg', 'u|g', 'canonical|g'];
const DAY = 86_400_000;
export const IDS = Array.from({ length: 12 }, (_, index) => `r${index}`);
const RELATIONS: readonly Relation[] = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'];
export const TYPES = ['Patient', 'Observation'] as const;
const targetOf = (next: Random): string =>
  next() < 0.15 ? 'http://elsewhere/1' : `${pick(next, TYPES)}/${pick(next, IDS)}`;

/** A few days wide, now and then months; empty and equal bounds included. */
function span(next: Random): { low: number; high: number } {
  const low = whole(next, 8) * (DAY / 2);
  return { low, high: low + pick(next, [0, 1, DAY / 2, DAY, DAY + 1, 30 * DAY]) };
}
function amount(next: Random): { low: number; high: number } {
  const low = whole(next, 6) / 2;
  return { low, high: low + pick(next, [0, 0, 0.5, 2]) };
}

function entry(next: Random, type: string, suffix = '', group = 0): IndexEntry {
  const name = (kind: string) => `${type}.${kind}${suffix}`;
  switch (whole(next, 6)) {
    case 0:
      return { kind: 'token', parameter: name('token'), system: pick(next, SYSTEMS), code: pick(next, CODES), group };
    case 1: {
      const folded = pick(next, FOLDED);
      return { kind: 'string', parameter: name('string'), folded, exact: folded.toUpperCase(), group };
    }
    case 2:
      return {
        kind: 'reference',
        parameter: name('reference'),
        target: targetOf(next),
        version: pick(next, ['', '1']),
        group,
      };
    case 3:
      return { kind: 'date', parameter: name('date'), ...span(next), group };
    case 4:
      return { kind: 'quantity', parameter: name('quantity'), unit: pick(next, UNITS), ...amount(next), group };
    default:
      return { kind: 'uri', parameter: name('uri'), value: pick(next, URIS), group };
  }
}

export function entriesOf(next: Random, type: string): readonly IndexEntry[] {
  const simple = some(next, 9, () => entry(next, type));
  const groups = some(next, 3, () => 0).flatMap((_zero, index) => [
    {
      kind: 'token',
      parameter: `${type}.pair$1`,
      system: pick(next, SYSTEMS),
      code: pick(next, CODES),
      group: index + 1,
    } as const,
    { kind: 'quantity', parameter: `${type}.pair$2`, unit: 'u|mg', ...amount(next), group: index + 1 } as const,
  ]);
  const texts = (['_text', '_content'] as const).flatMap((code): readonly IndexEntry[] => {
    const text = some(next, 4, () => pick(next, WORDS)).join(' ');
    return text === '' ? [] : [{ kind: 'text', parameter: `${type}.${code}`, text, group: 0 }];
  });
  const degrees = (name: string, value: number): IndexEntry => ({
    kind: 'quantity',
    parameter: `${type}.near:${name}`,
    unit: '',
    low: value,
    high: value,
    group: 0,
  });
  const position =
    next() < 0.5 ? [] : [degrees('latitude', pick(next, LATITUDES)), degrees('longitude', pick(next, LONGITUDES))];
  return [...simple, ...groups, ...texts, ...position];
}

export function leaf(next: Random, type: string, suffix = ''): Predicate {
  const name = (kind: string) => `${type}.${kind}${suffix}`;
  switch (whole(next, 6)) {
    case 0:
      return {
        kind: 'token',
        parameter: name('token'),
        ...(next() < 0.6 ? { system: pick(next, SYSTEMS) } : {}),
        ...(next() < 0.8 ? { code: pick(next, CODES) } : {}),
      };
    case 1: {
      const match = pick(next, ['prefix', 'exact', 'contains', 'equal', 'suffix'] as const);
      const value = pick(next, ['ann', 'anna', 'b', 'n', 'ANNA', 'lee', '']);
      return { kind: 'string', parameter: name('string'), match, value };
    }
    case 2:
      return {
        kind: 'reference',
        parameter: name('reference'),
        targets: some(next, 3, () => targetOf(next)),
        ...(next() < 0.2 ? { version: '1' } : {}),
      };
    case 3: {
      const parameter = next() < 0.2 ? `${type}._lastUpdated` : name('date');
      return { kind: 'interval', parameter, relation: pick(next, RELATIONS), ...span(next) };
    }
    case 4:
      return {
        kind: 'quantity',
        parameter: name('quantity'),
        relation: pick(next, RELATIONS),
        ...(next() < 0.7 ? { unit: pick(next, UNITS) } : {}),
        ...amount(next),
      };
    default:
      return {
        kind: 'uri',
        parameter: name('uri'),
        match: pick(next, ['exact', 'below', 'above'] as const),
        value: pick(next, URIS),
      };
  }
}

export function predicate(next: Random, type: string, depth = 2): Predicate {
  if (next() < 0.05) {
    const metres = pick(next, [0, 1e4, 1.2e5, 5e6, 3e7]);
    return {
      kind: 'near',
      parameter: `${type}.near`,
      latitude: pick(next, LATITUDES),
      longitude: pick(next, LONGITUDES),
      metres,
    };
  }
  if (next() < 0.08) {
    const words = ['bone', 'liver', 'müller', '7', 'near'];
    const phrase = [pick(next, words), ...some(next, 1, () => pick(next, words))];
    return { kind: 'text', parameter: `${type}.${pick(next, ['_text', '_content'])}`, words: phrase };
  }
  if (depth === 0 || next() < 0.45) return leaf(next, type);
  const deeper = (of: string) => predicate(next, of, depth - 1);
  switch (whole(next, 9)) {
    case 0:
    case 1:
      return { kind: 'and', of: some(next, 3, () => deeper(type)) };
    case 2:
      return { kind: 'or', of: some(next, 3, () => deeper(type)) };
    case 3:
      return { kind: 'not', of: deeper(type) };
    case 4:
      return {
        kind: 'missing',
        parameter: `${type}.${pick(next, ['token', 'date', 'uri', 'never'])}`,
        missing: next() < 0.5,
      };
    case 5:
      return {
        kind: 'composite',
        components: [
          { kind: 'token', parameter: `${type}.pair$1`, code: pick(next, CODES) },
          { kind: 'quantity', parameter: `${type}.pair$2`, relation: pick(next, RELATIONS), ...amount(next) },
        ],
      };
    case 6: {
      const other = pick(next, TYPES);
      return { kind: 'chain', parameter: `${type}.reference`, type: other, where: deeper(other) };
    }
    case 7: {
      const other = pick(next, TYPES);
      return { kind: 'has', type: other, parameter: `${other}.reference`, where: deeper(other) };
    }
    default:
      return pick<Predicate>(next, [
        { kind: 'all' },
        { kind: 'none' },
        { kind: 'ids', ids: some(next, 4, () => pick(next, IDS)) },
      ]);
  }
}

export function sortKeys(next: Random, type: string): readonly SortKey[] {
  return some(next, 2, () => {
    const indexed = pick(next, ['token', 'string', 'reference', 'date', 'uri', 'quantity', 'id', 'updated'] as const);
    const parameter = `${type}.${indexed === 'id' ? '_id' : indexed === 'updated' ? '_lastUpdated' : indexed}`;
    return { parameter, indexed, descending: next() < 0.5 };
  });
}

export function put(
  type: string,
  id: string,
  version = 1,
  entries: readonly IndexEntry[] = [],
  method: WriteMethod = version === 1 ? 'POST' : 'PUT',
  patients: readonly string[] = [],
): Command {
  const head = `{"resourceType":"${type}","id":"${id}","meta":{"versionId":"${version}","lastUpdated":"`;
  return { op: 'put', key: { type, id }, version, method, body: { head, tail: '"}}' }, entries, patients };
}

export function remove(type: string, id: string, version: number): Command {
  return { op: 'delete', key: { type, id }, version, patients: [] };
}

/** An audit row of `events` events of one kind by one agent about one patient. */
export function auditRow(
  bytes: string,
  options: { action?: string; agent?: string; patient?: string; key?: string; entity?: string; events?: number } = {},
): AuditRow {
  const { action = 'R', agent = 'local', patient, key = `key-${patient}`, entity, events = 1 } = options;
  const token = (parameter: string, code: string): IndexEntry => ({
    kind: 'token',
    parameter: `AuditEvent.${parameter}`,
    system: '',
    code,
    group: 0,
  });
  return {
    form: 1,
    bytes,
    erasable: undefined,
    events: Array.from({ length: events }, () => ({
      kind: { key: `kind ${action}`, entries: [token('action', action)] },
      agents: { key: `agents ${agent}`, entries: [token('agent', agent)] },
      subjects: patient === undefined ? [] : [key],
      entities: entity === undefined ? [] : [entity],
    })),
    subjects: patient === undefined ? [] : [{ key, patient }],
  };
}
