/** Removal for good, inside a transaction: versions with their search documents, and persons from the audit log, whose chains stay whole. */
import type { ClientSession } from 'mongodb';
import { type Command, FORGOTTEN } from '../port.ts';
import type { Fields } from './fields.ts';
import { entriesAt } from './judged.ts';
import { type Collections, type FacetDoc, type HeadDoc, placeOf } from './layout.ts';
import { searchMembers, term } from './members.ts';

/** Parameter of the facets that name users by reference. */
const AGENT = 'AuditEvent.agent';
/** Audit rows changed by one command. */
const STEP = 1000;

/** Who is forgotten, read again when the head says that somebody was. */
export class Forgotten {
  readonly #keyed: Collections['keyed'];
  #patients: ReadonlySet<string> = new Set();
  #state: number | undefined;

  constructor({ keyed }: Pick<Collections, 'keyed'>) {
    this.#keyed = keyed;
  }

  async follow({ forgets = 0 }: HeadDoc, session: ClientSession): Promise<void> {
    if (forgets === this.#state) return;
    const range = { $gt: `${FORGOTTEN} `, $lt: `${FORGOTTEN}!` };
    const found = await this.#keyed.find({ _id: range }, { session, projection: { _id: 1 } }).toArray();
    this.#patients = new Set(found.map(({ _id }) => _id.slice(FORGOTTEN.length + 1)));
    this.#state = forgets;
  }

  /** Inside the transaction that forgets them; whether it commits is asked of the head the next time. */
  add(patients: readonly string[]): void {
    this.#patients = new Set([...this.#patients, ...patients]);
    this.#state = undefined;
  }

  some(patients: readonly string[]): boolean {
    return this.#patients.size > 0 && patients.some((patient) => this.#patients.has(patient));
  }
}

/** Nothing may be staged. */
export async function purge(
  { version, resource, head }: Collections,
  { key, versions }: Extract<Command, { op: 'purge' }>,
  session: ClientSession,
): Promise<void> {
  const o = `${key.type}/${key.id}`;
  if (versions !== undefined) {
    await version.deleteMany({ o, v: { $in: [...versions] } }, { session });
    return;
  }
  const options = { session, projection: { _id: 1 as const } };
  const [newest] = await version.find({}, options).sort({ _id: -1 }).limit(1).toArray();
  await version.deleteMany({ o }, { session });
  await resource.deleteOne({ _id: o }, { session });
  await head.updateOne({ _id: 'data' }, { $max: { purged: newest?._id ?? 0 } }, { session });
}

/** Without the user and the ids of the user's tokens (the only URIs of agents); a parameter that nothing is left of is missing. */
function anonymous(k: readonly string[], user: string): readonly string[] {
  const part = (text: string, index: number) => text.split(' ', 2)[index];
  const left = k.filter((text) => part(text, 1) !== 'u' && !text.endsWith(` ${user}`));
  const parameters = new Set(left.filter((text) => part(text, 1) !== 'h').map((text) => part(text, 0)));
  return left.filter((text) => part(text, 1) !== 'h' || parameters.has(part(text, 0)));
}

/** The same where texts are sealed: made again of the entries that are left. */
function withoutUser({ _id, e }: FacetDoc, user: string, fields: Fields): Omit<FacetDoc, '_id'> {
  const place = placeOf.facet(_id);
  const left = entriesAt(fields, place, e).filter((entry) => {
    const values: readonly unknown[] = Object.values(entry);
    return entry.kind !== 'uri' && !values.some((value) => value === user || String(value).endsWith(` ${user}`));
  });
  const { k, e: sealed } = searchMembers(left, fields, place);
  return { ...(k === undefined ? {} : { k }), ...(sealed === undefined ? {} : { e: sealed }) };
}

/** Nothing may be staged. Rows about them lose what is erasable, their keys the mapping, agents facets the user. */
export async function forget(
  { keyed: values, subject, audit, auditEvent, facet, head, fields }: Collections,
  { patients, value }: Extract<Command, { op: 'forget' }>,
  session: ClientSession,
): Promise<void> {
  for (const patient of patients) {
    const _id = `${FORGOTTEN} ${patient}`;
    const v = fields.seal(placeOf.keyed(_id, null), value);
    await values.replaceOne({ _id }, { v, x: null }, { session, upsert: true });
    const keys = await subject.find({ p: patient }, { session }).toArray();
    const named = auditEvent.find(
      { k: { $in: keys.map((key) => `s ${key._id}`) } },
      { session, projection: { _id: 0, a: 1 } },
    );
    const rows = [...new Set((await named.toArray()).map(({ a }) => a))];
    for (let start = 0; start < rows.length; start += STEP) {
      await audit.updateMany({ _id: { $in: rows.slice(start, start + STEP) } }, { $set: { x: null } }, { session });
    }
    await subject.deleteMany({ p: patient }, { session });
    const user = `Patient/${patient}`;
    for (const found of await facet.find({ k: term(fields, AGENT, 'r', user) }, { session }).toArray()) {
      const left = fields.isSealed ? withoutUser(found, user, fields) : { k: anonymous(found.k ?? [], user) };
      await facet.updateOne({ _id: found._id }, { $set: left }, { session });
    }
  }
  await head.updateOne({ _id: 'data' }, { $inc: { forgets: 1 } }, { session });
}
