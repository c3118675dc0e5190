/** Which requests go first when there is more to do than can be done, and how many of each may be under way. docs/operations.md#overload. */

import type { WireRequest } from '../request.ts';
import { type Asked, methodsOf, placeOf } from '../wire/place.ts';
import type { CallerFacts } from './caller.ts';

/** What goes first stands first. */
export const LOAD_CLASSES = ['emergency', 'hook', 'read', 'search', 'write', 'bulk'] as const;
export type LoadClass = (typeof LOAD_CLASSES)[number];

export interface Allowance {
  /** Of this class under way at most. */
  readonly own: number;
  /** Under way at most, of all classes, for one of this to begin: a class leaves room for those before it. */
  readonly total: number;
  /** Wait at most; the next is turned away. */
  readonly queue: number;
}
export type Allowances = Readonly<Record<LoadClass, Allowance>>;

/** THE tables. On the main thread work is short, and what runs side by side shares one group commit. */
export const MAIN: Allowances = {
  emergency: { own: 128, total: 128, queue: 1000 },
  hook: { own: 96, total: 120, queue: 500 },
  read: { own: 96, total: 104, queue: 1000 },
  search: { own: 64, total: 88, queue: 500 },
  write: { own: 64, total: 88, queue: 500 },
  bulk: { own: 32, total: 72, queue: 64 },
};
/** On the thread of large requests a search keeps everybody waiting until it ends: two, so that one runs while the other is recorded. */
export const HEAVY: Allowances = {
  emergency: { own: 32, total: 32, queue: 200 },
  hook: { own: 24, total: 28, queue: 100 },
  read: { own: 16, total: 24, queue: 100 },
  search: { own: 2, total: 24, queue: 32 },
  write: { own: 16, total: 24, queue: 100 },
  bulk: { own: 8, total: 20, queue: 32 },
};

/** Characters of a body from which it is bulk: some hundred resources. */
const BULK = 262_144;

const CLASSES: Readonly<Record<Asked, LoadClass>> = {
  read: 'read',
  vread: 'read',
  capabilities: 'read',
  'search-type': 'search',
  'search-system': 'search',
  'history-instance': 'search',
  'history-type': 'search',
  'history-system': 'search',
  operation: 'search',
  create: 'write',
  update: 'write',
  patch: 'write',
  delete: 'write',
  'conditional-update': 'write',
  'conditional-patch': 'write',
  'conditional-delete': 'write',
  bundle: 'write',
};

/** A token says of an emergency, never a header; what cannot be understood is refused as fast as a read. */
export function loadClassOf(wire: WireRequest, { rights }: Pick<CallerFacts, 'rights'>): LoadClass {
  if (rights.kind === 'granted' && rights.situation?.purposes.includes('BTG') === true) return 'emergency';
  if ((wire.body?.length ?? 0) > BULK || wire.upload !== undefined) return 'bulk';
  const place = placeOf(wire.path);
  const asked = place && methodsOf(place).get(wire.method === 'HEAD' ? 'GET' : wire.method);
  return asked === undefined ? 'read' : CLASSES[asked];
}
