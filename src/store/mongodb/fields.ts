/**
 * What of a document the database may read: everything, or, with a data key, only what docs/mongodb.md lists. Texts are sealed before they leave the process and
 * bound to their place, so that none can be put in another's; what is asked by equality is a
 * keyed hash. Reasons: docs/decisions/0058.
 */
import { createHmac, hkdfSync } from 'node:crypto';
import { Binary } from 'mongodb';
import { KEY_BYTES, Sealer } from './xaes.ts';

/** A text as the database has it. */
export type Stored = string | Binary;
/** Collection, then whatever tells the document, and the member when there are several. */
export type Place = readonly [collection: string, ...where: (string | number | null)[]];

/** A sealed text is not what was written there, or a clear one lies where a sealed one belongs. Neither is a fault of who asks. */
export class SealError extends Error {
  constructor([collection, where]: Place) {
    // What follows a space of values may be a name.
    const which = String(where).split(' ')[0];
    super(`What is stored does not open: it was changed, moved, or sealed with another key (${collection} ${which}).`);
    this.name = 'SealError';
  }
}

export interface Fields {
  /** False: the database reads everything. */
  readonly isSealed: boolean;
  seal(place: Place, text: string): Stored;
  /** @throws SealError */
  open(place: Place, stored: Stored): string;
  /** What stands for a value that is asked by equality only; alike for equal values of one scope, and without a key the value itself. */
  hidden(scope: string, value: string): string;
}

export const CLEAR: Fields = {
  isSealed: false,
  seal: (_place, text) => text,
  open: (place, stored) => {
    if (typeof stored === 'string') return stored;
    throw new SealError(place);
  },
  hidden: (_scope, value) => value,
};

/** Of a hash: 128 bits, which 2^50 values share with a chance of 2^-29. */
const HIDDEN_CHARACTERS = 22;
/** First byte of what is sealed: how. */
const FORM = 1;
const boundTo = (place: Place): Uint8Array => Buffer.from(JSON.stringify(place));

/** @param key the data key of the installation, KEY_BYTES */
export function sealedFields(key: Uint8Array): Fields {
  const derived = (what: string) => Buffer.from(hkdfSync('sha256', key, '', `firewatch fields ${what}`, KEY_BYTES));
  const sealer = new Sealer(derived('text'));
  const termKey = derived('term');
  return {
    isSealed: true,
    seal: (place, text) => new Binary(Buffer.concat([Buffer.of(FORM), sealer.seal(Buffer.from(text), boundTo(place))])),
    open: (place, stored) => {
      const bytes = typeof stored === 'string' ? undefined : stored.value();
      const text = bytes?.[0] === FORM ? sealer.open(bytes.subarray(1), boundTo(place)) : undefined;
      if (text === undefined) throw new SealError(place);
      return text.toString();
    },
    hidden: (scope, value) =>
      createHmac('sha256', termKey)
        .update(JSON.stringify([scope, value]))
        .digest('base64url')
        .slice(0, HIDDEN_CHARACTERS),
  };
}
