/** The store as the authorization server uses it: it counts what is ended, so that what was looked up before an end is not believed after it. */
import type { CommitRequest, ResourceStore } from '../store/port.ts';

const isEnding = ({ commands }: CommitRequest): boolean =>
  commands.some((command) => command.op === 'set' && command.space.startsWith('oauth.') && command.value === undefined);

/**
 * `endings` grows before such a commit and after it: a look that fell between the two is not believed either. Where other processes may end
 * things (an engine without a stamp) it equals nothing, not even itself: every look is into the store.
 */
export function endingsCounted(store: ResourceStore): { readonly store: ResourceStore; endings(): number } {
  let count = 0;
  const commit: ResourceStore['commit'] = async (request) => {
    if (!isEnding(request)) return store.commit(request);
    count++;
    try {
      return await store.commit(request);
    } finally {
      count++;
    }
  };
  const watched = new Proxy(store, {
    get: (target, name) => {
      if (name === 'commit') return commit;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  return { store: watched, endings: () => (store.stamp() === undefined ? Number.NaN : count) };
}
