/** A plain FHIR client for tests: sends what it is told, byte for byte, and hands back status, headers and body. */

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; an empty object when there is none. */
  readonly json: Json;
}

/** Loosely typed JSON: what a test asserts on, it asserts by value. */
export interface Json {
  readonly resourceType?: string;
  readonly id?: string;
  readonly type?: string;
  readonly total?: number;
  readonly meta?: { readonly versionId?: string; readonly lastUpdated?: string; readonly [name: string]: unknown };
  readonly link?: readonly { readonly relation: string; readonly url: string }[];
  readonly entry?: readonly Entry[];
  readonly issue?: readonly { readonly code: string; readonly severity: string; readonly diagnostics?: string }[];
  readonly [name: string]: unknown;
}
export interface Entry {
  readonly fullUrl?: string;
  readonly resource?: Json;
  readonly search?: { readonly mode: string };
  readonly request?: { readonly method: string; readonly url: string };
  readonly response?: {
    readonly status: string;
    readonly location?: string;
    readonly etag?: string;
    readonly lastModified?: string;
    readonly outcome?: Json;
  };
}

export type Send = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>;

/** @param base FHIR base; a path that starts with `http` is used as it is. An object is sent as FHIR JSON, a text as it is. */
export function sender(base: string): Send {
  return async (method, path, body, headers = {}) => {
    const response = await fetch(path.startsWith('http') ? path : base + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/fhir+json' }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = text !== '' && (response.headers.get('content-type') ?? '').includes('json');
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : {} };
  };
}

/** `Type/id` of the entries, in order; only those of a search mode when one is given. */
export function labels({ entry = [] }: Json, mode?: string): readonly string[] {
  return entry
    .filter(({ search }) => mode === undefined || search?.mode === mode)
    .map(({ resource }) => `${resource?.resourceType}/${resource?.id}`);
}

/** The URL of a link of a Bundle. */
export function linkOf({ link = [] }: Json, relation: string): string | undefined {
  return link.find((each) => each.relation === relation)?.url;
}

/** Runs `work` for each item, at most `width` at once. */
export async function each<T>(items: Iterable<T>, width: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items].values();
  const lane = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: width }, lane));
}
