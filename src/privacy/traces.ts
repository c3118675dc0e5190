/**
 * What rooms keep beside the resources, and which of it tells of a person: each room has a row. Found by walking a space: for the thread of a
 * purge, not for requests. Source: docs/privacy.md#what-is-removed.
 */
import type { Command, Keyed, ResourceStore } from '../store/port.ts';

/** A keyed space that may tell of patients. */
export interface TraceSpace {
  readonly space: string;
  /** Whether a row tells of one of them. `removed`: keys of rows that are removed already, as `space key`. */
  tells(row: Keyed, patients: ReadonlySet<string>, removed: ReadonlySet<string>): boolean;
}

const PAGE = 200;

/** The commands that remove every trace of these patients; spaces are walked in the order given. */
export async function traceCommands(
  patients: ReadonlySet<string>,
  spaces: readonly TraceSpace[],
  store: Pick<ResourceStore, 'keyedPage'>,
  pause: () => Promise<void>,
): Promise<readonly Command[]> {
  const removed = new Set<string>();
  const commands: Command[] = [];
  for (const { space, tells } of spaces) {
    let after: string | undefined;
    do {
      const page = await store.keyedPage(space, { after, count: PAGE });
      for (const row of page.filter((each) => tells(each, patients, removed))) {
        removed.add(`${space} ${row.key}`);
        commands.push({ op: 'set', space, key: row.key, value: undefined });
      }
      after = page.length < PAGE ? undefined : page.at(-1)?.key;
      await pause();
    } while (after !== undefined);
  }
  return commands;
}

/** A JSON value that holds an id, or a reference by it, as a text of its own. */
export function holdsId({ value }: Keyed, patients: ReadonlySet<string>): boolean {
  return [...patients].some((id) => value.includes(`"${id}"`) || value.includes(`"Patient/${id}"`));
}
