/** Index rows made anew at start, when the definitions are not those that the stored ones were made by. */

import type { Progress } from '../commands/progress.ts';
import { parseJson, type Resource } from '../fhir/resource.ts';
import type { RestContext } from '../rest/context.ts';
import type { Engine } from '../store/engine.ts';

/** Index rows by the definitions of today, before any request is answered. */
export async function reindex(store: Engine, context: RestContext, onProgress: Progress | undefined): Promise<void> {
  const types = [...context.capability.types.keys()];
  const total = await store.size();
  await store.reindex(
    types,
    (text) => {
      const resource = parseJson(text) as Resource;
      return { entries: context.indexEntries(resource), patients: context.patientsOf(resource) };
    },
    (done) => onProgress?.(done, Math.max(done, total)),
  );
}
