/** Prefixes and ancestors of texts, as ranges and lists that an index answers. Texts are ordered by code point, as UTF-8 bytes are. */

/** First text after every text that starts with `prefix`: its last code point plus one; undefined when there is none. */
export function prefixEnd(prefix: string): string | undefined {
  const points = [...prefix];
  for (let last = points.length - 1; last >= 0; last--) {
    const point = points[last]?.codePointAt(0) ?? 0;
    if (point < 0x10ffff) {
      // Surrogates are no characters: the next one after U+D7FF is U+E000.
      return points.slice(0, last).join('') + String.fromCodePoint(point === 0xd7ff ? 0xe000 : point + 1);
    }
  }
  return undefined;
}

/** The URI and its ancestors by path segment, with and without trailing slash: what `above` accepts. */
export function ancestors(uri: string): readonly string[] {
  const found = new Set([uri]);
  for (let at = uri.lastIndexOf('/'); at > 0; at = uri.lastIndexOf('/', at - 1)) {
    found.add(uri.slice(0, at + 1));
    found.add(uri.slice(0, at));
  }
  return [...found];
}
