/** $status: whether a search parameter of a client can be searched by, and how far its index is. An operation of our own: profiles/operation/search-parameter-status.json. */
import { activeParameter, keyOf } from '../../fhir/definitions/custom-parameter.ts';
import type { Json, Resource } from '../../fhir/resource.ts';
import type { RestContext } from '../context.ts';
import { storedResource } from '../wire/represent.ts';
import { heldByKey } from './held.ts';
import type { Operation } from './operation.ts';
import { answered, type Out, parametersText } from './output.ts';
import { type HeldState, type States, statesOf } from './parameter-state.ts';

/** 200 with one part a parameter and type; 404 and 410 as for a read. */
export const STATUS: Operation = {
  levels: ['type', 'instance'],
  takes: [],
  perform: async (call, caller, context) => {
    const states = await statesOf(context.store);
    if (call.key === undefined) {
      const all = [...states].map(([key, state]) => part(key, state, context));
      return answered(call, parametersText(call.definition, all), [], context);
    }
    const { text } = await heldByKey(call.key, caller, context);
    const own = partsOf(storedResource(text ?? 'null'), states, context);
    return answered(call, parametersText(call.definition, own), [], context);
  },
};

const value = (name: string, of: Json): Out => ({ name, value: of });

function part(key: string, { definition, after, percent }: HeldState, { definitions }: RestContext): Out {
  const dot = key.indexOf('.');
  const [base, code] = [key.slice(0, dot), key.slice(dot + 1)];
  const url = definitions.searchParameters(base).get(code)?.url;
  const state = definition === '' ? 'removing' : after === undefined ? 'searchable' : 'indexing';
  return {
    name: 'parameter',
    part: [
      ...(url === undefined ? [] : [value('definition', url)]),
      value('base', base),
      value('code', code),
      value('state', state),
      value('percent', after === undefined ? 100 : percent),
    ],
  };
}

/** Of one SearchParameter: one part a base type. */
function partsOf(resource: Resource, states: States, context: RestContext): readonly Out[] {
  const custom = activeParameter(resource);
  const { code, url } = resource;
  const bases = Array.isArray(resource.base) ? resource.base : [];
  return bases.map((each): Out => {
    const base = String(each);
    const key = keyOf(base, String(code));
    const state = states.get(key);
    const inForce = context.definitions.searchParameters(base).get(String(code))?.url === url;
    if (state !== undefined && (inForce || state.definition === '')) return part(key, state, context);
    const [fault] = custom === undefined ? [] : context.validate(resource);
    const reason =
      custom === undefined ? 'Its status is not active.' : (fault?.message ?? 'Another parameter has its place.');
    const said = [value('definition', url ?? ''), value('base', base), value('code', code ?? '')];
    return { name: 'parameter', part: [...said, value('state', 'inactive'), value('reason', reason)] };
  });
}
