/** The meaning of the algebra, written for reading and not for speed: the oracle for plans and for every engine. Source: src/fhir/search/algebra.ts. */
import type { IndexEntry, Predicate, Relation } from '../../src/fhir/search/algebra.ts';

export interface Indexed {
  readonly type: string;
  readonly id: string;
  /** ms; meta.lastUpdated. */
  readonly at: number;
  readonly entries: readonly IndexEntry[];
}
/** All current resources, for chain and has. */
export type World = readonly Indexed[];

type Leaf<K extends IndexEntry['kind']> = Extract<IndexEntry, { kind: K }>;

export function holdsBetween(relation: Relation, stored: Span, asked: Span, closed: boolean): boolean {
  const { low: l, high: h } = stored;
  const { low: a, high: b } = asked;
  const contained = a <= l && h <= b;
  switch (relation) {
    case 'eq':
      return contained;
    case 'ne':
      return !contained;
    case 'gt':
      return h > b;
    case 'lt':
      return l < a;
    case 'ge':
      return h > b || contained;
    case 'le':
      return l < a || contained;
    case 'sa':
      return closed ? l > b : l >= b;
    case 'eb':
      return closed ? h < a : h <= a;
    case 'ap':
      return closed ? h >= a && l <= b : h > a && l < b;
    default:
      return relation satisfies never;
  }
}
interface Point {
  readonly latitude: number;
  readonly longitude: number;
}

/** Metres between two points of a sphere, by the angle of their vectors. */
function distance(a: Point, b: Point): number {
  const vector = ({ latitude, longitude }: Point): readonly [number, number, number] => {
    const [phi, lambda] = [(latitude * Math.PI) / 180, (longitude * Math.PI) / 180];
    return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)];
  };
  const [[ax, ay, az], [bx, by, bz]] = [vector(a), vector(b)];
  const cross = Math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx);
  return 6_371_008.8 * Math.atan2(cross, ax * bx + ay * by + az * bz);
}

interface Span {
  readonly low: number;
  readonly high: number;
}

function rows<K extends IndexEntry['kind']>(resource: Indexed, kind: K, parameter: string): Leaf<K>[] {
  return resource.entries.filter((entry): entry is Leaf<K> => entry.kind === kind && entry.parameter === parameter);
}

const below = (value: string, base: string): boolean =>
  value === base || value.startsWith(base.endsWith('/') ? base : `${base}/`);

/** The rows that satisfy a leaf. */
function leafRows(predicate: Predicate, resource: Indexed): readonly IndexEntry[] {
  switch (predicate.kind) {
    case 'token':
      return rows(resource, 'token', predicate.parameter).filter(
        ({ system, code }) =>
          (predicate.system === undefined || predicate.system === system) &&
          (predicate.code === undefined || predicate.code === code),
      );
    case 'string':
      return rows(resource, 'string', predicate.parameter).filter(({ folded, exact }) => {
        if (predicate.match === 'exact') return exact === predicate.value;
        if (predicate.match === 'equal') return folded === predicate.value;
        if (predicate.match === 'suffix') return folded.endsWith(predicate.value);
        return predicate.match === 'prefix' ? folded.startsWith(predicate.value) : folded.includes(predicate.value);
      });
    case 'reference':
      return rows(resource, 'reference', predicate.parameter).filter(
        ({ target, version }) =>
          predicate.targets.includes(target) && (predicate.version === undefined || predicate.version === version),
      );
    case 'uri':
      return rows(resource, 'uri', predicate.parameter).filter(({ value }) => {
        if (predicate.match === 'exact') return value === predicate.value;
        return predicate.match === 'below' ? below(value, predicate.value) : below(predicate.value, value);
      });
    case 'text': {
      const { parameter, words } = predicate;
      const either = parameter.endsWith('._content')
        ? rows(resource, 'text', parameter.replace(/_content$/, '_text'))
        : [];
      return [...rows(resource, 'text', parameter), ...either].filter(({ text }) =>
        ` ${text} `.includes(` ${words.join(' ')} `),
      );
    }
    case 'interval':
      return rows(resource, 'date', predicate.parameter).filter((row) =>
        holdsBetween(predicate.relation, row, predicate, false),
      );
    case 'quantity':
      return rows(resource, 'quantity', predicate.parameter).filter(
        (row) =>
          (predicate.unit === undefined ? !row.unit.startsWith('canonical|') : row.unit === predicate.unit) &&
          holdsBetween(predicate.relation, row, predicate, true),
      );
    default:
      throw new TypeError(`${predicate.kind} is no leaf`);
  }
}

/** Whether a resource satisfies a predicate. */
export function matches(predicate: Predicate, resource: Indexed, world: World): boolean {
  switch (predicate.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'ids':
      return predicate.ids.includes(resource.id);
    case 'and':
      return predicate.of.every((each) => matches(each, resource, world));
    case 'or':
      return predicate.of.some((each) => matches(each, resource, world));
    case 'not':
      return !matches(predicate.of, resource, world);
    case 'missing':
      return predicate.missing !== resource.entries.some(({ parameter }) => parameter === predicate.parameter);
    case 'near': {
      const of = (name: string): number | undefined =>
        rows(resource, 'quantity', `${predicate.parameter}:${name}`)[0]?.low;
      const [latitude, longitude] = [of('latitude'), of('longitude')];
      if (latitude === undefined || longitude === undefined) return false;
      return distance({ latitude, longitude }, predicate) <= predicate.metres;
    }
    case 'composite': {
      const [first = new Set<number>(), ...others] = predicate.components.map(
        (component) => new Set(leafRows(component, resource).map(({ group }) => group)),
      );
      return [...first].some((group) => others.every((each) => each.has(group)));
    }
    case 'chain': {
      const targets = new Set(rows(resource, 'reference', predicate.parameter).map(({ target }) => target));
      return world.some(
        (other) =>
          other.type === predicate.type &&
          targets.has(`${other.type}/${other.id}`) &&
          matches(predicate.where, other, world),
      );
    }
    case 'has': {
      const here = `${resource.type}/${resource.id}`;
      return world.some(
        (other) =>
          other.type === predicate.type &&
          rows(other, 'reference', predicate.parameter).some(({ target }) => target === here) &&
          matches(predicate.where, other, world),
      );
    }
    case 'interval':
      if (predicate.parameter === `${resource.type}._lastUpdated`) {
        const updated = { low: resource.at, high: resource.at + 1 };
        return holdsBetween(predicate.relation, updated, predicate, false);
      }
      return leafRows(predicate, resource).length > 0;
    default:
      return leafRows(predicate, resource).length > 0;
  }
}
