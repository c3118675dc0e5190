/**
 * How far the index of each parameter of a client is: kept beside the resources, so that a restart goes on where it stopped.
 * One value a parameter and type, under `Patient.eye-colour`.
 */
import { isJsonObject } from '../../fhir/resource.ts';
import type { Command, ResourceStore } from '../../store/port.ts';

export interface IndexState {
  /** What the rows are decided by, see `rowsDecidedBy`; '' when they are to go. */
  readonly definition: string;
  /** Place of the last resource that is done; undefined when all are. */
  readonly after: number | undefined;
  /** 0 to 100. */
  readonly percent: number;
}
export interface HeldState extends IndexState {
  /** The value as kept: what the next one expects to find. */
  readonly text: string;
}
export type States = ReadonlyMap<string, HeldState>;

const SPACE = 'search-parameter';
const PAGE = 200;
const FRESH = { after: 0, percent: 0 } as const;

/** Every state that is kept. */
export async function statesOf(store: Pick<ResourceStore, 'keyedPage'>): Promise<States> {
  const states = new Map<string, HeldState>();
  for (let after = ''; ; ) {
    const page = await store.keyedPage(SPACE, { after, count: PAGE });
    for (const { key, value } of page) {
      states.set(key, decoded(value));
      after = key;
    }
    if (page.length < PAGE) return states;
  }
}

/** What is not of our own form counts as nothing done. */
function decoded(text: string): HeldState {
  const value: unknown = JSON.parse(text);
  const { definition, after, percent } = isJsonObject(value) ? value : {};
  return {
    text,
    definition: typeof definition === 'string' ? definition : '',
    after: typeof after === 'number' ? after : undefined,
    percent: typeof percent === 'number' ? percent : 0,
  };
}

/** Sets a state, or removes it; a conflict when it is not `before` any more. */
export function setState(key: string, state: IndexState | undefined, before?: HeldState): Command {
  const value = state && JSON.stringify({ definition: state.definition, after: state.after, percent: state.percent });
  return { op: 'set', space: SPACE, key, value, expect: before?.text };
}

/**
 * What must be set so that the states are those of the parameters in force: what is new or decided by something else is begun, what is gone is
 * begun to be removed.
 * @param keys parameter -> what its rows are decided by
 */
export function settling(keys: ReadonlyMap<string, string>, states: States): readonly Command[] {
  const begun = [...keys]
    .filter(([key, definition]) => states.get(key)?.definition !== definition)
    .map(([key, definition]) => setState(key, { definition, ...FRESH }));
  const gone = [...states]
    .filter(([key, { definition }]) => !keys.has(key) && definition !== '')
    .map(([key]) => setState(key, { definition: '', ...FRESH }));
  return [...begun, ...gone];
}

/** Parameters that are not whole yet, with percent. */
export function unfinished(states: States): readonly (readonly [key: string, percent: number])[] {
  return [...states].flatMap(([key, { definition, after, percent }]) =>
    definition !== '' && after !== undefined ? [[key, percent] as const] : [],
  );
}
