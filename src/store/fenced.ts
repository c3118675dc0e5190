/** A store whose every commit expects that its writer is still the one who may: work that was passed on writes nothing more. Source: docs/decisions/0052-jobs-in-the-store.md. */
import { type Command, type CommitRequest, type CommitResult, type ResourceStore, StoreError } from './port.ts';

/** Commands that conflict once somebody else has taken over. */
export type Fence = readonly Command[];

/**
 * @param fence none: the store itself
 * @returns the store; its `commit` throws StoreError `unavailable` when the fence does not hold, and then has written nothing
 */
export function fencedStore<S extends Pick<ResourceStore, 'commit'>>(store: S, fence: Fence = []): S {
  if (fence.length === 0) return store;
  const commit = async ({ commands, audit }: CommitRequest): Promise<CommitResult> => {
    const result = await store.commit({ commands: [...fence, ...commands], audit });
    if (result.ok) return result;
    if (result.command >= fence.length) return { ...result, command: result.command - fence.length };
    throw new StoreError('unavailable', 'The work was taken over by another process, or was cancelled.');
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'commit') return commit;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}
