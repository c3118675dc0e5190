/** A resource as text, made comparable: without what the server owns, numbers as they are written. */

export type Element = Readonly<Record<string, unknown>>;

/** Everything but id, meta.versionId and meta.lastUpdated; an empty meta is none. */
export function comparable(text: string): Element {
  const parse = JSON.parse as (
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ) => Element;
  const resource = parse(text, (_key, value, { source }) => (typeof value === 'number' ? `number ${source}` : value));
  const { versionId: _version, lastUpdated: _updated, ...meta } = (resource.meta ?? {}) as Element;
  const { meta: _meta, id: _id, ...rest } = resource;
  return Object.keys(meta).length === 0 ? rest : { ...rest, meta };
}
