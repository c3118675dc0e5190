/**
 * Suggestions for clients that take one action each. Actions of a suggestion hold together, so only two kinds can be said that way without harm:
 * drafts that stand on their own are offered one by one, and an order that is replaced is changed in place. Source: Epic's public tutorials (second hand).
 */
import { type Action, factUuid, type Suggestion } from './card.ts';
import { LABEL_LIMIT } from './lint.ts';
import { plain } from './plain-text.ts';

/** Each of one action; none when it cannot be said so: it is left out, never cut. The first keeps the uuid. */
export function singleActions(suggestion: Suggestion): readonly Suggestion[] {
  const { actions } = suggestion;
  if (actions.length === 1) return [suggestion];
  const change = inPlace(actions);
  if (change !== undefined) return [{ ...suggestion, actions: [change] }];
  return actions.every(standsAlone) ? actions.map((action, at) => one(suggestion, action, at)) : [];
}

/** A draft of a test or procedure: nothing else of the suggestion is needed for it to make sense. */
const standsAlone = ({ type, resource }: Action): boolean =>
  type === 'create' && resource?.resourceType === 'ServiceRequest';

function one({ uuid, label }: Suggestion, action: Action, at: number): Suggestion {
  const said = plain(action.description.replace(/\.$/, ''), LABEL_LIMIT);
  return {
    label: said === '' ? label : said,
    uuid: at === 0 ? uuid : factUuid(uuid, 'action', String(at)),
    actions: [action],
  };
}

/** One order created and one of its type removed: the draft becomes the other order, whole, under the id that it has. */
function inPlace(actions: readonly Action[]): Action | undefined {
  const [created, ...more] = actions.filter(({ type }) => type === 'create');
  const [removed, ...others] = actions.filter(({ type }) => type === 'delete');
  const [type, id] = removed?.resourceId?.split('/') ?? [];
  const isPair = actions.length === 2 && more.length === 0 && others.length === 0;
  if (!isPair || created?.resource === undefined || id === undefined || created.resource.resourceType !== type) {
    return undefined;
  }
  return {
    type: 'update',
    description: `${created.description} It takes the place of the draft order.`,
    resource: { ...created.resource, id },
  };
}
