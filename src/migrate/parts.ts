/** The parts of two stores, one beside the other, as every kind of move and comparison goes through them. */
import type { AuditFacet } from '../store/port.ts';
import type { Movable, MovedAudit, MovedVersion, Part, PartName } from '../store/transfer.ts';

/** Rows of a batch at most, and about how many characters it is to have. */
export const MOST_ROWS = 500;
const FIRST_ROWS = 50;
const CHARACTERS = 4_000_000;

export interface PartWork<Row, Place extends string | number> {
  readonly name: PartName;
  readonly from: Part<Row, Place>;
  readonly to: Part<Row, Place>;
  placeOf(row: Row): Place;
  /** A place as a journal or a note tells it. */
  placeIn(told: string | number): Place;
  /** By which its rows are also counted. */
  typeOf?(row: Row): string;
  /** Everything that must be equal. */
  textOf(row: Row): string;
}
export type Act = <Row, Place extends string | number>(work: PartWork<Row, Place>) => Promise<void>;

const versionText = (row: MovedVersion): string => {
  const { key, version, sequence, at, method, deleted, text, patients, rank } = row;
  return JSON.stringify([sequence, key.type, key.id, version, at, method, deleted, patients, text ?? null, rank]);
};
const auditText = ({ place, at, form, bytes, erasable, hash: chained, events }: MovedAudit): string =>
  JSON.stringify([
    ...[place, at, form, bytes, erasable, chained],
    events.map(({ kind, agents, subjects, entities }) => [kind, agents, subjects, entities]),
  ]);
/** Entries are a set. Words are of no use in a facet, and not every engine keeps them. */
const facetText = ({ key, entries }: AuditFacet): string => {
  const each = entries
    .filter(({ kind }) => kind !== 'text')
    .map((entry) => JSON.stringify(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1))));
  return JSON.stringify([key, [...new Set(each)].sort()]);
};

/** Audit rows name facets and subjects, so these come first. */
export async function eachPart(from: Movable, to: Movable, act: Act): Promise<void> {
  const facet = { name: 'facet', from: from.facet, to: to.facet } as const;
  await act({ ...facet, placeOf: ({ key }) => key, placeIn: String, textOf: facetText });
  const subject = { name: 'subject', from: from.subject, to: to.subject } as const;
  await act({
    ...subject,
    placeOf: ({ key }) => key,
    placeIn: String,
    textOf: ({ key, patient }) => JSON.stringify([key, patient]),
  });
  const version = { name: 'version', from: from.version, to: to.version } as const;
  const typeOf = ({ key }: MovedVersion): string => key.type;
  await act({ ...version, placeOf: ({ sequence }) => sequence, placeIn: Number, typeOf, textOf: versionText });
  const audit = { name: 'audit', from: from.audit, to: to.audit } as const;
  await act({ ...audit, placeOf: ({ place }) => place, placeIn: Number, textOf: auditText });
  const kept = { name: 'kept', from: from.kept, to: to.kept } as const;
  await act({
    ...kept,
    placeOf: ({ key }) => key,
    placeIn: String,
    textOf: ({ key, value, at }) => JSON.stringify([key, value, at]),
  });
  await act({
    ...{ name: 'keyed', from: from.keyed, to: to.keyed },
    placeOf: ({ place }) => place,
    placeIn: String,
    textOf: ({ place, value, expiresAt }) => JSON.stringify([place, value, expiresAt]),
  });
}

export interface Batch<Row, Place> {
  readonly rows: readonly Row[];
  readonly text: string;
  /** What the page was asked by. */
  readonly after: Place | undefined;
  readonly count: number;
}

/** The rows above a place in batches of about CHARACTERS. */
export async function* batches<Row, Place extends string | number>(
  { from, placeOf, textOf }: PartWork<Row, Place>,
  start: Place | undefined,
  mostRows: number,
): AsyncGenerator<Batch<Row, Place>> {
  let after = start;
  for (let count = Math.min(FIRST_ROWS, mostRows); ; ) {
    const rows = await from.page(after, count);
    const last = rows.at(-1);
    if (last === undefined) return;
    const text = rows.map(textOf).join('\n');
    yield { rows, text, after, count };
    after = placeOf(last);
    count = text.length > CHARACTERS ? Math.max(1, Math.floor(count / 2)) : Math.min(count * 2, mostRows);
  }
}
