/** $status, $events and $get-ws-binding-token. Source: Subscriptions R5 Backport 1.1.0, operations. */
import { fhirError } from '../../fhir/outcome.ts';
import { instantText } from '../../fhir/time.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { mayRead } from '../interactions/read.ts';
import { permitsVersion, seesAll } from '../permission/permission.ts';
import { bundleText, searchEntry } from '../wire/bundle-text.ts';
import { textOf } from './input.ts';
import type { Operation, OperationCall } from './operation.ts';
import { answered, parametersText } from './output.ts';
import type { EventVersion, SubscriptionDesk } from './subscription-desk.ts';

/** Most subscriptions of one answer. */
const MOST = 1000;
const NUMBER = /^\d{1,12}$/;

export const SUBSCRIPTION_STATUS: Operation = {
  levels: ['type', 'instance'],
  takes: ['id', 'status'],
  perform: async (call, caller, context) => {
    const desk = deskOf(context);
    const ids = await asked(call, desk, caller, context);
    const wanted = call.key === undefined ? textsOf(call, 'status') : [];
    const found = desk.statuses(ids).filter(({ status }) => wanted.length === 0 || wanted.includes(status));
    const text = bundleText({
      id: context.ambient.newId(),
      at: context.ambient.now(),
      type: 'searchset',
      total: found.length,
      links: [],
      entries: found.map((each) => searchEntry(undefined, each.text, 'match')),
    });
    return answered(call, text, [], context);
  },
};

export const SUBSCRIPTION_EVENTS: Operation = {
  levels: ['instance'],
  takes: ['eventsSinceNumber', 'eventsUntilNumber', 'content'],
  perform: async (call, caller, context) => {
    const desk = deskOf(context);
    const [id = ''] = await asked(call, desk, caller, context);
    const found = await desk.events(id, {
      from: numberOf(call, 'eventsSinceNumber', 1),
      until: numberOf(call, 'eventsUntilNumber', Number.MAX_SAFE_INTEGER),
      content: textOf(call.input, 'content'),
      sees: (version) => seesEvent(version, caller, context),
    });
    if (found === undefined)
      throw fhirError('not-found', 'This subscription has not been served yet: it has no events.');
    return answered(call, found.text, found.patients, context);
  },
};

export const SUBSCRIPTION_TOKEN: Operation = {
  levels: ['type', 'instance'],
  takes: ['id'],
  perform: async (call, caller, context): Promise<Performed> => {
    const desk = deskOf(context);
    const named = call.key !== undefined || call.input.has('id');
    const all = await asked(call, desk, caller, context);
    const ids = named ? all : all.filter((id) => desk.mayBind(id, caller));
    const made = ids.length === 0 ? undefined : await desk.token(ids, caller);
    if (made === undefined) {
      throw fhirError(
        'business-rule',
        'A token binds websockets: subscriptions of yours on this channel that are not off.',
      );
    }
    const outs = [
      { name: 'token', value: made.token },
      { name: 'expiration', value: instantText(made.expiresAt) },
      ...ids.map((id) => ({ name: 'subscription', value: id })),
      { name: 'websocket-url', value: made.url },
    ];
    return answered(call, parametersText(call.definition, outs), [], context);
  },
};

/** By the version that triggered, and as vread does by the one that is current. A deletion is judged by what was deleted. */
async function seesEvent({ type, id, version }: EventVersion, caller: Caller, context: RestContext): Promise<boolean> {
  if (seesAll(type, ['read'], caller)) return true;
  const held = await context.store.read({ type, id }, version);
  if (held === undefined || !(await permitsVersion(['read'], held, caller, context))) return false;
  return mayRead({ type, id }, caller, context);
}

/** Only the main thread has the desk; what comes to another is a large body, or part of a batch. */
function deskOf({ subscriptions }: RestContext): SubscriptionDesk {
  if (subscriptions !== undefined) return subscriptions;
  throw fhirError(
    'payload-too-large',
    'Operations on subscriptions take a small request of their own, not a part of a Bundle.',
  );
}

/** The instance, the ids that are named, or all that the caller may see. */
async function asked(
  call: OperationCall,
  desk: SubscriptionDesk,
  caller: Caller,
  context: RestContext,
): Promise<readonly string[]> {
  const { key, type } = call;
  if (key !== undefined) {
    const version = await context.store.read(key);
    if (version === undefined || !(await mayRead(key, caller, context))) {
      throw fhirError('not-found', 'The subscription is not known.');
    }
    if (version.deleted) throw fhirError('deleted', 'The subscription was deleted.');
    return [key.id];
  }
  const named = textsOf(call, 'id').map((id) => id.replace(`${type}/`, ''));
  const ids = named.length > 0 ? named : desk.ids();
  if (ids.length > MOST) throw fhirError('too-costly', `More than ${MOST} subscriptions; name some by \`id\`.`);
  const visible = await Promise.all(ids.map((id) => mayRead({ type, id }, caller, context)));
  return ids.filter((_, index) => visible[index]);
}

/** Every value of a parameter; commas separate values. */
function textsOf({ input }: OperationCall, name: string): readonly string[] {
  return (input.get(name) ?? []).flatMap(({ value }) => (typeof value === 'string' ? value.split(',') : []));
}

function numberOf({ input }: OperationCall, name: string, fallback: number): number {
  const text = textOf(input, name);
  if (text === undefined) return fallback;
  if (!NUMBER.test(text)) throw fhirError('value', `\`${name}\` is not the number of an event.`);
  return Number(text);
}
