/**
 * Components of composites repeat what plain parameters say of the same element. Their rows by value are left out where a plain parameter of the
 * resource has the same: each is a page of an index written, and checkpointed. Rows by resource (`entry`) are all there, and decide.
 */
import { KIND } from './message.ts';
import type { Entry } from './rows.ts';

/** What is left out: the kinds that components mostly are. Dates are not, since windows rest on their own rows. */
const LEFT_OUT: ReadonlySet<number> = new Set([KIND.token, KIND.quantity]);

const textOf = ([, kind, a, b, c]: Entry): string => `${kind} ${c} ${a} ${b}`;

export const isLeftOut = ([, kind, , , , group]: Entry): boolean => group > 0 && LEFT_OUT.has(kind);

/** Of each entry of a component the plain parameter whose row has its value, if any. @param all every entry of the resource */
export function standIns(all: readonly Entry[]): (entry: Entry) => number | undefined {
  let plain: Map<string, number> | undefined;
  const ofPlain = (): Map<string, number> => {
    const found = new Map<string, number>();
    for (const each of all) {
      const [parameter, kind, , , , group] = each;
      if (group > 0 || !LEFT_OUT.has(kind)) continue;
      const value = textOf(each);
      if (!found.has(value)) found.set(value, parameter);
    }
    return found;
  };
  return (entry) => {
    if (!isLeftOut(entry)) return undefined;
    plain ??= ofPlain();
    return plain.get(textOf(entry));
  };
}
