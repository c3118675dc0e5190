/** Index rows made anew: at start, when the definitions are not those that the stored ones were made by; later what older releases have written. */
import type { Progress } from '../commands/progress.ts';
import { parseJson, type Resource } from '../fhir/resource.ts';
import type { RestContext } from '../rest/context.ts';
import type { Engine, IndexOf } from '../store/engine.ts';

const typesOf = ({ capability }: RestContext): readonly string[] => [...capability.types.keys()];
const indexBy =
  (context: RestContext): IndexOf =>
  (text) => {
    const resource = parseJson(text) as Resource;
    return { entries: context.indexEntries(resource), patients: context.patientsOf(resource) };
  };

/** Index rows by the definitions of today, before any request is answered. */
export async function reindex(store: Engine, context: RestContext, onProgress: Progress | undefined): Promise<void> {
  const total = await store.size();
  await store.reindex(typesOf(context), indexBy(context), (done) => onProgress?.(done, Math.max(done, total)));
}

/** Between two looks at what others wrote, ms: as often as at their search parameters. */
const LOOK_MS = 2000;

/** While requests are answered: what a process of an older release writes has the rows of this one soon. Nothing where no other process has the data. */
export function followOlder(
  store: Engine,
  current: () => RestContext,
  report: (error: unknown) => void,
): { close(): Promise<void> } {
  let looking: Promise<unknown> | undefined;
  const look = (): void => {
    looking ??= store
      .followOthers?.(typesOf(current()), indexBy(current()))
      .catch(report)
      .finally(() => {
        looking = undefined;
      });
  };
  const timer = store.followOthers === undefined ? undefined : setInterval(look, LOOK_MS).unref();
  return {
    close: async () => {
      clearInterval(timer);
      await looking;
    },
  };
}
