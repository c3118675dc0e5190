/** Reads the published code systems and value sets, when one is first asked for. Source: profiles/README.md. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { isJsonObject, type Resource } from '../resource.ts';

const FILE = 'terminology.json.gz';

/**
 * The hash is checked at once, the text is parsed at the first question: about 60 ms and 20 MB.
 * @param files file name -> SHA-256 of definitions.lock.json
 * @throws Error on a file that is missing or differs from its hash
 */
export function publishedTerminology(
  folder: string,
  files: Readonly<Record<string, string>>,
): (type: 'CodeSystem' | 'ValueSet', url: string) => Resource | undefined {
  const bytes = readFileSync(join(folder, FILE));
  if (createHash('sha256').update(bytes).digest('hex') !== files[FILE]) {
    throw new Error(
      `profiles/definitions/${FILE} differs from its hash in definitions.lock.json; run npm run definitions.`,
    );
  }
  let byUrl: ReadonlyMap<string, Resource> | undefined;
  return (type, url) => {
    byUrl ??= parsed(bytes);
    return byUrl.get(`${type} ${url}`);
  };
}

function parsed(bytes: Buffer): ReadonlyMap<string, Resource> {
  const list: unknown = JSON.parse(gunzipSync(bytes).toString());
  const resources = Array.isArray(list) ? list.filter(isResource) : [];
  return new Map(resources.map((each) => [`${each.resourceType} ${String(each.url)}`, each]));
}

function isResource(value: unknown): value is Resource {
  return isJsonObject(value) && typeof value.resourceType === 'string';
}
