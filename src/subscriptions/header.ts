/**
 * `Subscription.channel.header` holds secrets. The resource keeps the names; the values are kept beside it, for the endpoint's origin only, and
 * leave this server in calls to that origin, nowhere else: docs/subscriptions.md#headers.
 */
import { isJsonObject, type Json, type Resource } from '../fhir/resource.ts';
import type { Command, ResourceStore } from '../store/port.ts';

export interface Header {
  readonly name: string;
  readonly value: string;
}

/** What stands where the value was. A write that brings it back keeps the value that is held. */
const WITHHELD = '(withheld)';
const HEADER_SPACE = 'subscription.header';

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/;
const VALUE = /^[\t\x20-\x7e]{1,4096}$/;
const MOST = 10;
/** What the call itself says, or what would change how it is carried. */
const OURS =
  /^(?:host|content-.*|transfer-encoding|connection|keep-alive|upgrade|te|trailer|expect|date|idempotency-key|proxy-.*|x-forwarded-.*|forwarded|via)$/i;

/** Lines as name and value; a line without colon has no name. */
export function headersOf(lines: Json | undefined): readonly Header[] {
  const texts = Array.isArray(lines) ? lines.filter((line) => typeof line === 'string') : [];
  return texts.map((line) => {
    const colon = line.indexOf(':');
    return colon < 0
      ? { name: '', value: line.trim() }
      : { name: line.slice(0, colon).trim(), value: line.slice(colon + 1).trim() };
  });
}

/** Why a header is not sent, as a clause that repeats nothing of it. */
export function headerFault({ name, value }: Header, count: number): string | undefined {
  if (count > MOST) return `is one of more than ${MOST}`;
  if (!NAME.test(name)) return 'is not of the form `Name: value`';
  if (OURS.test(name)) return 'is one that the server sets itself';
  return VALUE.test(value) ? undefined : 'has no value of printable ASCII, or one over 4096 characters';
}

const keyOf = (id: string, origin: string, name: string): string => `${id} ${origin} ${name.toLowerCase()}`;

/** Scheme, host and port of an endpoint; '' when it has none. */
export function originOf(endpoint: Json | undefined): string {
  return typeof endpoint === 'string' && URL.canParse(endpoint) ? new URL(endpoint).origin : '';
}

/**
 * The resource without header values, and what keeps them.
 * @param isAnothers it was somebody else's until now: values that are not sent anew are forgotten, not passed on
 */
export function withheld(
  resource: Resource,
  id: string,
  isAnothers = false,
): { readonly resource: Resource; readonly keeps: readonly Command[] } {
  const { channel } = resource;
  if (!isJsonObject(channel) || !Array.isArray(channel.header)) return { resource, keeps: [] };
  const origin = originOf(channel.endpoint);
  const keeps: Command[] = [];
  const header = channel.header.map((line: Json): Json => {
    const [parsed] = headersOf([line]);
    if (parsed === undefined) return line;
    const { name, value } = parsed;
    const given = value === WITHHELD ? undefined : value;
    if (name !== '' && (given !== undefined || isAnothers)) {
      keeps.push({ op: 'set', space: HEADER_SPACE, key: keyOf(id, origin, name), value: given });
    }
    return name === '' ? WITHHELD : `${name}: ${WITHHELD}`;
  });
  return { resource: { ...resource, channel: { ...channel, header } }, keeps };
}

/** Headers with the values that are held for this endpoint's origin; a name whose value is not held is in `missing`. */
export async function revealed(
  id: string,
  endpoint: string,
  headers: readonly Header[],
  store: Pick<ResourceStore, 'keyed'>,
): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly missing: readonly string[] }> {
  const found = await Promise.all(
    headers.map(
      async ({ name }) => [name, await store.keyed(HEADER_SPACE, keyOf(id, originOf(endpoint), name))] as const,
    ),
  );
  return {
    headers: Object.fromEntries(found.flatMap(([name, held]) => (held === undefined ? [] : [[name, held.value]]))),
    missing: found.flatMap(([name, held]) => (held === undefined ? [name] : [])),
  };
}

/** Commands that forget every value held for a subscription. */
export async function forgetHeaders(id: string, store: Pick<ResourceStore, 'keyedPage'>): Promise<readonly Command[]> {
  const held = await store.keyedPage(HEADER_SPACE, { after: `${id} `, count: 100 });
  return held
    .filter(({ key }) => key.startsWith(`${id} `))
    .map(({ key }) => ({ op: 'set', space: HEADER_SPACE, key, value: undefined }));
}
